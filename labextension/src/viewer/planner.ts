/** Which windows of an array are worth fetching for what is to be seen. */

import { sliceText, type Selection, type Span } from './selection';
import type { Rect } from './state';
import { heightOf, widthOf, type Size } from './viewport';

/** One question to the window endpoint. */
export interface WindowRequest {
  readonly slice: string;
  /** Most items along each axis of the answer. */
  readonly points: number;
  readonly field: string | undefined;
  /** Most blocks that the server reads for it; undefined leaves it to the server. */
  readonly blocks?: number;
  /** Where the answer lies in the drawn axes. */
  readonly x: Span;
  readonly y: Span;
}

/** Items along an axis of the picture of a whole plane. */
export const PLANE_POINTS = 1024;
/** Items along an axis of a line. */
export const LINE_POINTS = 4096;
/** Items along an axis of a tile of what is zoomed in on. */
export const TILE_POINTS = 512;
/** Blocks that are worth reading while somebody looks at a quick picture already. */
const FINER_BLOCKS = 16384;
/** More tiles than so many are never asked for at a time. */
const MOST_TILES = 40;

/** Plan the picture of a whole plane. */
export function planPlane(
  shape: readonly number[],
  selection: Selection,
  field: string | undefined,
  points = PLANE_POINTS
): WindowRequest {
  return {
    slice: sliceText(shape, selection),
    points,
    field,
    x: { start: 0, stop: shape[selection.x] ?? 1 },
    y: { start: 0, stop: selection.y === undefined ? 1 : (shape[selection.y] ?? 1) }
  };
}

/**
 * Plan the same picture again where the server, to be quick, took fewer points than it was allowed to.
 *
 * @param steps - Of the quick picture, along x and y.
 */
export function planFiner(
  quick: WindowRequest,
  steps: { readonly x: number; readonly y: number }
): WindowRequest | undefined {
  const least = (span: Span) => Math.ceil((span.stop - span.start) / quick.points);
  return steps.x > least(quick.x) || steps.y > least(quick.y)
    ? { ...quick, blocks: FINER_BLOCKS }
    : undefined;
}

/**
 * Plan finer tiles of what is zoomed in on, those nearest to its middle first.
 *
 * Tiles lie on a grid that does not depend on the view, so that panning finds them again; their steps
 * are powers of two.
 *
 * @param coarse - The step of the picture of the whole plane along x and y; nothing is planned if it will do.
 * @param pixels - Device pixels that the view takes.
 */
export function planTiles(
  shape: readonly number[],
  selection: Selection,
  field: string | undefined,
  view: Rect,
  pixels: Size,
  coarse: { readonly x: number; readonly y: number }
): WindowRequest[] {
  if (selection.y === undefined) {
    return [];
  }
  const stepX = stepFor(widthOf(view) / Math.max(1, pixels.width), coarse.x);
  const stepY = stepFor(heightOf(view) / Math.max(1, pixels.height), coarse.y);
  if (stepX >= coarse.x && stepY >= coarse.y) {
    return [];
  }
  const columns = spansOf(view.x0, view.x1, stepX * TILE_POINTS, shape[selection.x] ?? 0);
  const rows = spansOf(view.y0, view.y1, stepY * TILE_POINTS, shape[selection.y] ?? 0);
  const tiles = rows.flatMap(y => columns.map(x => ({ x, y })));
  const middle = { x: (view.x0 + view.x1) / 2, y: (view.y0 + view.y1) / 2 };
  const far = (tile: { x: Span; y: Span }) =>
    Math.hypot(
      ((tile.x.start + tile.x.stop) / 2 - middle.x) / stepX,
      ((tile.y.start + tile.y.stop) / 2 - middle.y) / stepY
    );
  return tiles
    .sort((one, other) => far(one) - far(other))
    .slice(0, MOST_TILES)
    .map(({ x, y }) => ({ slice: sliceText(shape, selection, { x, y }), points: TILE_POINTS, field, x, y }));
}

/** Plan a finer part of a line; nothing if the whole line will do. */
export function planStretch(
  shape: readonly number[],
  selection: Selection,
  field: string | undefined,
  from: number,
  to: number,
  coarse: number
): WindowRequest | undefined {
  const length = shape[selection.x] ?? 0;
  const step = stepFor((to - from) / (LINE_POINTS / 4), coarse);
  if (step >= coarse) {
    return undefined;
  }
  // On a grid of a quarter of what is fetched, so that a small move finds it again.
  const grid = (step * LINE_POINTS) / 4;
  const start = Math.max(0, Math.floor(from / grid) * grid);
  const stop = Math.min(length, Math.ceil(to / grid) * grid);
  const x = { start, stop };
  return {
    slice: sliceText(shape, selection, { x }),
    points: 2 * LINE_POINTS,
    field,
    x,
    y: { start: 0, stop: 1 }
  };
}

/** Return the places of a slider that are likely next, when it goes in a direction. */
export function ahead(index: number, direction: number, length: number, count: number): number[] {
  const step = direction < 0 ? -1 : 1;
  return Array.from({ length: count }, (_, ahead) => index + step * (ahead + 1)).filter(
    place => place >= 0 && place < length
  );
}

/** Return the step, a power of two, that is nearest to the items that share a pixel. */
function stepFor(itemsPerPixel: number, most: number): number {
  const step = 2 ** Math.max(0, Math.round(Math.log2(Math.max(1, itemsPerPixel))));
  return Math.min(step, most);
}

function spansOf(from: number, to: number, size: number, length: number): Span[] {
  const spans: Span[] = [];
  for (let start = Math.max(0, Math.floor(from / size) * size); start < Math.min(to, length); start += size) {
    spans.push({ start, stop: Math.min(start + size, length) });
  }
  return spans;
}
