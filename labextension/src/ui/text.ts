/** How components get their texts: the translation bundle, as far as they need it. */

/** JupyterLab's bundle, or anything that answers the text itself. */
export interface Texts {
  __(text: string, ...values: (string | number)[]): string;
  _n(one: string, many: string, n: number, ...values: (string | number)[]): string;
}
