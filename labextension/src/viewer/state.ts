/** What a viewer remembers: plain data that a host may keep as JSON and give back. */

import { PARTS, type Part } from './dtype';

export const VIEW_KINDS = ['heatmap', 'image', 'line', 'table'] as const;
export type ViewKind = (typeof VIEW_KINDS)[number];

export type Scale = 'linear' | 'log';
export type Aspect = 'equal' | 'fill';

/** How the ends of the colour scale are found. */
export type RangeChoice =
  | { readonly kind: 'auto' }
  | { readonly kind: 'percentile'; readonly low: number; readonly high: number }
  | { readonly kind: 'manual'; readonly low: number; readonly high: number };

/** A rectangle of an array's plane, edges in array indices: `x0 <= x < x1`. */
export interface Rect {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

export interface ViewerState {
  readonly view?: ViewKind;
  readonly x?: number;
  readonly y?: number;
  /** One per axis; those of the drawn axes do not count. */
  readonly indices?: readonly number[];
  readonly field?: string;
  readonly part?: Part;
  readonly colorMap?: string;
  readonly reversed?: boolean;
  readonly scale?: Scale;
  readonly range?: RangeChoice;
  readonly aspect?: Aspect;
  readonly zoom?: Rect;
  readonly summary?: boolean;
  readonly filter?: string;
  /** A column; with `-` before it from large to small. */
  readonly sortby?: string;
}

/** Take what is sound of a remembered state; it may be of another version, or of somebody else. */
export function readState(value: unknown): ViewerState {
  if (typeof value !== 'object' || value === null) {
    return {};
  }
  const given = new Map(Object.entries(value));
  const state: { -readonly [K in keyof ViewerState]: ViewerState[K] } = {};
  const view = VIEW_KINDS.find(kind => kind === given.get('view'));
  const part = PARTS.find(one => one === given.get('part'));
  const indices = given.get('indices');
  const range = readRange(given.get('range'));
  const zoom = readRect(given.get('zoom'));
  const [x, y] = [given.get('x'), given.get('y')];
  if (view !== undefined) state.view = view;
  if (part !== undefined) state.part = part;
  if (isIndex(x)) state.x = x;
  if (isIndex(y)) state.y = y;
  if (Array.isArray(indices) && indices.length <= 64 && indices.every(isIndex)) state.indices = indices;
  if (range !== undefined) state.range = range;
  if (zoom !== undefined) state.zoom = zoom;
  for (const name of ['field', 'colorMap', 'filter', 'sortby'] as const) {
    const text = given.get(name);
    if (typeof text === 'string') state[name] = text;
  }
  for (const name of ['reversed', 'summary'] as const) {
    const flag = given.get(name);
    if (typeof flag === 'boolean') state[name] = flag;
  }
  const [scale, aspect] = [given.get('scale'), given.get('aspect')];
  if (scale === 'linear' || scale === 'log') state.scale = scale;
  if (aspect === 'equal' || aspect === 'fill') state.aspect = aspect;
  return state;
}

/** Return the state with some of it changed; `undefined` removes. */
export function changed(
  state: ViewerState,
  patch: { readonly [K in keyof ViewerState]?: ViewerState[K] | undefined }
): ViewerState {
  return Object.fromEntries(
    Object.entries({ ...state, ...patch }).filter(([, value]) => value !== undefined)
  );
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function readRange(value: unknown): RangeChoice | undefined {
  if (typeof value !== 'object' || value === null || !('kind' in value)) {
    return undefined;
  }
  if (value.kind === 'auto') {
    return { kind: 'auto' };
  }
  if (!('low' in value && 'high' in value) || !isNumber(value.low) || !isNumber(value.high)) {
    return undefined;
  }
  const { kind, low, high } = value;
  return kind === 'percentile' || kind === 'manual' ? { kind, low, high } : undefined;
}

function readRect(value: unknown): Rect | undefined {
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  const edges = new Map(Object.entries(value));
  const [x0, y0, x1, y1] = ['x0', 'y0', 'x1', 'y1'].map(name => edges.get(name));
  if (!isNumber(x0) || !isNumber(y0) || !isNumber(x1) || !isNumber(y1) || x1 <= x0 || y1 <= y0) {
    return undefined;
  }
  return { x0, y0, x1, y1 };
}
