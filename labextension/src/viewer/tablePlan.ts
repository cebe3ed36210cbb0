/** How an array becomes a table: its columns, and which windows hold which cells. */

import type { Cell, CellBlock, CellRequest } from './arraySource';
import type { DType } from './dtype';
import { sliceText, type Selection, type Span } from './selection';

/** Rows and columns of one window. */
const ROWS = 128;
const COLUMNS = 64;

export interface TableShape {
  readonly rows: number;
  readonly columns: number;
  /** Columns are the fields of records, not places along an axis. */
  readonly fields: boolean;
}

/** What the server does with the rows before they are numbered. */
export interface RowOrder {
  readonly filter: string | undefined;
  readonly sortby: string | undefined;
}

/** Tell how large the table of an array is. */
export function tableShape(
  shape: readonly number[],
  dtype: DType,
  selection: Selection,
  field: string | undefined
): TableShape {
  if (shape.length === 0) {
    return {
      rows: 1,
      columns: dtype.kind === 'record' ? dtype.fields.length : 1,
      fields: dtype.kind === 'record'
    };
  }
  if (selection.y === undefined) {
    const fields = dtype.kind === 'record' && field === undefined;
    return { rows: shape[selection.x] ?? 0, columns: fields ? dtype.fields.length : 1, fields };
  }
  return { rows: shape[selection.y] ?? 0, columns: shape[selection.x] ?? 0, fields: false };
}

/** Tell whether the server can choose and sort rows. */
export function canOrder(shape: readonly number[], dtype: DType): boolean {
  return shape.length === 1 && dtype.kind === 'record';
}

/** Plan the windows that hold some rows and columns; `total` counts the rows there are. */
export function planCells(
  shape: readonly number[],
  table: TableShape,
  selection: Selection,
  field: string | undefined,
  order: RowOrder,
  total: number,
  rows: Span,
  columns: Span
): CellRequest[] {
  const requests: CellRequest[] = [];
  for (const rowSpan of grid(rows, ROWS, total)) {
    for (const columnSpan of table.fields
      ? [{ start: 0, stop: table.columns }]
      : grid(columns, COLUMNS, table.columns)) {
      requests.push({
        slice: sliceOf(shape, selection, rowSpan, columnSpan),
        field,
        filter: order.filter,
        sortby: order.sortby,
        rows: rowSpan,
        columns: columnSpan
      });
    }
  }
  return requests;
}

/** Return a cell of a window; undefined outside of it. */
export function cellOf(
  block: CellBlock,
  table: TableShape,
  selection: Selection,
  row: number,
  column: number
): Cell | undefined {
  const { rows, columns } = block.request;
  const at = row - rows.start;
  const across = column - columns.start;
  if (block.shape.length === 0) {
    return table.fields ? item(block.cells, across) : block.cells;
  }
  if (selection.y === undefined) {
    const one = item(block.cells, at);
    return table.fields ? item(one, across) : one;
  }
  const turned = selection.y > selection.x;
  return turned ? item(item(block.cells, across), at) : item(item(block.cells, at), across);
}

function item(cell: Cell | undefined, index: number): Cell | undefined {
  return Array.isArray(cell) ? (cell as readonly Cell[])[index] : undefined;
}

function sliceOf(shape: readonly number[], selection: Selection, rows: Span, columns: Span): string {
  if (shape.length === 0) {
    return '';
  }
  return sliceText(shape, selection, selection.y === undefined ? { x: rows } : { x: columns, y: rows });
}

function grid(span: Span, size: number, length: number): Span[] {
  const spans: Span[] = [];
  for (let start = Math.floor(span.start / size) * size; start < Math.min(span.stop, length); start += size) {
    spans.push({ start, stop: Math.min(start + size, length) });
  }
  return spans;
}
