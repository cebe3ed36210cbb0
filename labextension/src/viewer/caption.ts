/** One line that says what of an array is shown. */

import { formatOrdinal, formatShape } from './numbersText';
import type { Selection, Span } from './selection';
import type { Rect } from './state';

export type Translate = (text: string) => string;

export interface Shown {
  readonly shape: readonly number[];
  readonly selection: Selection;
  readonly stepX: number;
  readonly stepY: number;
  /** What is seen of the drawn axes; undefined if everything is. */
  readonly view: Rect | undefined;
}

/** Fill the places `%1`, `%2`, ... of a text. */
export function filled(text: string, ...values: readonly (string | number)[]): string {
  return text.replace(/%(\d)/g, (place, index: string) => String(values[Number(index) - 1] ?? place));
}

/** Say which items are drawn: "every 8th item of 8192 × 8192". */
export function caption(shown: Shown, t: Translate): string {
  const { shape, selection, stepX, stepY, view } = shown;
  const lengths = [selection.y, selection.x].filter(axis => axis !== undefined).map(axis => shape[axis] ?? 1);
  const whole = formatShape(lengths);
  const where = view === undefined ? whole : filled(t('%1 of %2'), formatView(view, selection), whole);
  if (stepX === 1 && stepY === 1) {
    return view === undefined ? filled(t('all of %1'), whole) : where;
  }
  if (selection.y === undefined || stepX === stepY) {
    return filled(t('every %1 item of %2'), formatOrdinal(Math.max(stepX, stepY), t), where);
  }
  const rows = stepY === 1 ? t('every row') : filled(t('every %1 row'), formatOrdinal(stepY, t));
  const columns = stepX === 1 ? t('every column') : filled(t('every %1 column'), formatOrdinal(stepX, t));
  return filled(t('%1, %2 of %3'), rows, columns, where);
}

/** Write the place of the other axes as a slice: `[64, :, :]`. */
export function formatPlace(shape: readonly number[], selection: Selection, view: Rect | undefined): string {
  const parts = shape.map((_, axis) => {
    if (axis === selection.channel) {
      return ':';
    }
    if (axis === selection.x) {
      return view === undefined ? ':' : formatSpan(spanOf(view.x0, view.x1));
    }
    if (axis === selection.y) {
      return view === undefined ? ':' : formatSpan(spanOf(view.y0, view.y1));
    }
    return String(selection.indices[axis] ?? 0);
  });
  return `[${parts.join(', ')}]`;
}

function formatView(view: Rect, selection: Selection): string {
  const x = spanOf(view.x0, view.x1);
  const y = spanOf(view.y0, view.y1);
  return formatShape(selection.y === undefined ? [x.stop - x.start] : [y.stop - y.start, x.stop - x.start]);
}

function formatSpan(span: Span): string {
  return `${span.start}:${span.stop}`;
}

function spanOf(from: number, to: number): Span {
  return { start: Math.floor(from), stop: Math.ceil(to) };
}
