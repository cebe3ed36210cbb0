/** The texts of the page, in English; `%1` stands for the first value. */
import type { Texts } from '../ui/text';

function fill(text: string, values: readonly (string | number)[]): string {
  return text.replace(/%(\d)/g, (whole, place) => String(values[Number(place) - 1] ?? whole));
}

export const TEXTS: Texts = {
  __: (text, ...values) => fill(text, values),
  _n: (one, many, n, ...values) => fill(n === 1 ? one : many, [n, ...values])
};
