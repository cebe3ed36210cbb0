/** Which axes of an array are drawn, and where the others stand. */

import { isByte, isNumeric, type DType } from './dtype';
import type { ViewerState, ViewKind } from './state';

export interface Selection {
  /** The axis that runs to the right; of a line the only one. */
  readonly x: number;
  /** The axis that runs down; none for a line or an array of one axis. */
  readonly y: number | undefined;
  /** The axis of the colours of an image. */
  readonly channel: number | undefined;
  /** One per axis; those of the drawn axes do not count. */
  readonly indices: readonly number[];
}

/** A part of one axis; `start:stop`, or everything. */
export interface Span {
  readonly start: number;
  readonly stop: number;
}

/** Tell which views make sense for an array, the best first. */
export function viewsOf(shape: readonly number[], dtype: DType): ViewKind[] {
  if (dtype.kind === 'record') {
    return dtype.fields.some(field => isNumeric(field.dtype)) && shape.length > 0
      ? shape.length > 1
        ? ['table', 'heatmap', 'line']
        : ['table', 'line']
      : ['table'];
  }
  if (!isNumeric(dtype) || shape.length === 0) {
    return ['table'];
  }
  if (shape.length === 1) {
    return ['line', 'table'];
  }
  return isColors(shape, dtype) ? ['image', 'heatmap', 'line', 'table'] : ['heatmap', 'line', 'table'];
}

/** Tell whether the last axis holds the colours of pixels. */
export function isColors(shape: readonly number[], dtype: DType): boolean {
  const last = shape[shape.length - 1];
  return shape.length >= 3 && isByte(dtype) && (last === 3 || last === 4);
}

/** Lengths below which an axis is not drawn if two others are longer: bands, components, single items. */
const LONG_ENOUGH = [16, 5, 2];

/**
 * Return the axes that a plane shows at first: the last two that are long enough.
 *
 * So a picture of three channels, or a series of twelve months, is not seen as a strip. The widgets of
 * notebooks have the same rule: `first_axes` of `caterva2_jupyter.widgets.model`.
 */
export function firstAxes(shape: readonly number[], free: readonly number[]): readonly number[] {
  const found = LONG_ENOUGH.map(least => free.filter(axis => (shape[axis] ?? 0) >= least));
  return (found.find(axes => axes.length >= 2) ?? free).slice(-2);
}

/** Find what is drawn: what a state wants as far as the array has it, else `firstAxes`; others at their middle. */
export function select(shape: readonly number[], view: ViewKind, state: ViewerState): Selection {
  const ndim = shape.length;
  const channel = view === 'image' && ndim >= 3 ? ndim - 1 : undefined;
  const free = [...shape.keys()].filter(axis => axis !== channel);
  const flat = view === 'line' || free.length < 2;
  const first = firstAxes(shape, free);
  const x = state.x !== undefined && free.includes(state.x) ? state.x : (first.at(-1) ?? 0);
  const others = free.filter(axis => axis !== x);
  const good = first.filter(axis => axis !== x);
  const y = state.y !== undefined && others.includes(state.y) ? state.y : (good.at(-1) ?? others.at(-1));
  const indices = shape.map((length, axis) => {
    const wanted = state.indices?.[axis] ?? Math.floor(length / 2);
    return Math.max(0, Math.min(wanted, length - 1));
  });
  return { x, y: flat ? undefined : y, channel, indices };
}

/** Return the axes that are not drawn, each with its place. */
export function sliders(
  shape: readonly number[],
  selection: Selection
): { axis: number; length: number; index: number }[] {
  return [...shape.entries()]
    .filter(([axis]) => !isDrawn(selection, axis))
    .map(([axis, length]) => ({ axis, length, index: selection.indices[axis] ?? 0 }));
}

/** Draw another axis; one that was drawn already changes places with it. */
export function withAxis(selection: Selection, role: 'x' | 'y', axis: number): Pick<Selection, 'x' | 'y'> {
  const other = role === 'x' ? selection.y : selection.x;
  const before = role === 'x' ? selection.x : selection.y;
  const swapped = other === axis ? before : other;
  return role === 'x' ? { x: axis, y: swapped } : { x: swapped ?? selection.x, y: axis };
}

/** Return the selection with one of the other axes elsewhere. */
export function withIndex(selection: Selection, axis: number, index: number): Selection {
  return { ...selection, indices: selection.indices.map((old, at) => (at === axis ? index : old)) };
}

/** Return the text of a slice: numbers at the other axes, spans at the drawn ones. */
export function sliceText(
  shape: readonly number[],
  selection: Selection,
  spans: { readonly x?: Span; readonly y?: Span } = {}
): string {
  return shape
    .map((_, axis) => {
      const span = axis === selection.x ? spans.x : axis === selection.y ? spans.y : undefined;
      if (!isDrawn(selection, axis)) {
        return String(selection.indices[axis] ?? 0);
      }
      return span === undefined ? ':' : `${span.start}:${span.stop}`;
    })
    .join(',');
}

/** Return the full index of an item, in the order of the array's axes. */
export function fullIndex(selection: Selection, x: number, y: number | undefined): (number | string)[] {
  return selection.indices.map((index, axis) => {
    if (axis === selection.channel) {
      return ':';
    }
    return axis === selection.x ? x : axis === selection.y && y !== undefined ? y : index;
  });
}

function isDrawn(selection: Selection, axis: number): boolean {
  return axis === selection.x || axis === selection.y || axis === selection.channel;
}
