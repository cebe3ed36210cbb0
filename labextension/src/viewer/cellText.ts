/** Cells of a table as text, and how wide their columns are. */

import type { Cell } from './arraySource';
import type { DType } from './dtype';
import { formatNumber } from './numbersText';

/** Write a cell; nested ones in parentheses, as NumPy writes records. */
export function cellText(cell: Cell | undefined, dtype: DType | undefined): string {
  if (cell === undefined) {
    return '';
  }
  if (cell === null) {
    return '–';
  }
  if (typeof cell === 'number') {
    return dtype?.kind === 'int' || dtype?.kind === 'uint'
      ? String(cell).replace('-', '−')
      : formatNumber(cell, dtype?.size === 4 ? 7 : 10);
  }
  if (typeof cell === 'object') {
    return `(${cell.map(one => cellText(one, undefined)).join(', ')})`;
  }
  return String(cell);
}

/** Write a cell for other programs: numbers with all their digits, and as these read them. */
export function copiedText(cell: Cell | undefined): string {
  if (cell === undefined || cell === null) {
    return '';
  }
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
}

/** Tell whether the cells of a column stand at its right. */
export function alignsRight(dtype: DType): boolean {
  return ['int', 'uint', 'float', 'complex'].includes(dtype.kind);
}

/** Return a width for a column, in CSS pixels: for the longest of some cells, or by the dtype while there are none. */
export function columnWidth(dtype: DType, header: string, longest: number | undefined): number {
  const body = longest === undefined ? bodyWidth(dtype) : Math.max(64, Math.min(340, 24 + 8.6 * longest));
  return Math.round(Math.max(body, Math.min(260, 40 + 7.2 * header.length)));
}

function bodyWidth(dtype: DType): number {
  switch (dtype.kind) {
    case 'bool':
      return 72;
    case 'int':
    case 'uint':
      return dtype.size <= 2 ? 76 : dtype.size === 4 ? 104 : 132;
    case 'float':
      return dtype.size <= 4 ? 112 : 132;
    case 'complex':
      return 220;
    case 'date':
      return 210;
    case 'text':
      return Math.max(90, Math.min(320, 24 + (7.4 * dtype.size) / 4));
    case 'bytes':
      return Math.max(90, Math.min(320, 40 + 7.4 * dtype.size));
    default:
      return 220;
  }
}
