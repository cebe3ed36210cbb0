/** A plane of numbers in memory: its items, its place in the array, its pixels. */

import { LEVELS, pixel } from './colorMaps';
import type { Reals } from './dtype';
import type { Rect, Scale } from './state';

/** Items of a rectangle of an array, every `stepX`-th by every `stepY`-th. */
export interface Plane {
  readonly values: Reals;
  readonly width: number;
  readonly height: number;
  /** Distance in `values` of neighbours along x and y. */
  readonly strideX: number;
  readonly strideY: number;
  /** Array indices of the first item. */
  readonly x: number;
  readonly y: number;
  readonly stepX: number;
  readonly stepY: number;
}

/** The ends of a colour scale. */
export interface Limits {
  readonly low: number;
  readonly high: number;
}

/** Return the rectangle of array indices that a plane covers; `stop` is the end of the array there. */
export function covers(plane: Plane, stop: { readonly x: number; readonly y: number }): Rect {
  return {
    x0: plane.x,
    y0: plane.y,
    x1: Math.min(plane.x + plane.width * plane.stepX, stop.x),
    y1: Math.min(plane.y + plane.height * plane.stepY, stop.y)
  };
}

/** Return the item of a plane that is drawn at an array index, and its own index; none outside. */
export function itemAt(
  plane: Plane,
  x: number,
  y: number
): { value: number; x: number; y: number; at: number } | undefined {
  const column = Math.floor((x - plane.x) / plane.stepX);
  const row = Math.floor((y - plane.y) / plane.stepY);
  if (column < 0 || row < 0 || column >= plane.width || row >= plane.height) {
    return undefined;
  }
  const at = row * plane.strideY + column * plane.strideX;
  const value = plane.values[at];
  return value === undefined
    ? undefined
    : { value, x: plane.x + column * plane.stepX, y: plane.y + row * plane.stepY, at };
}

/** Copy the items that lie in a rectangle of array indices; of pixels, all their `depth` colours. */
export function itemsIn(plane: Plane, rect: Rect, depth = 1): Reals {
  const first = {
    x: clampTo((rect.x0 - plane.x) / plane.stepX, plane.width),
    y: clampTo((rect.y0 - plane.y) / plane.stepY, plane.height)
  };
  const last = {
    x: clampTo(Math.ceil((rect.x1 - plane.x) / plane.stepX), plane.width),
    y: clampTo(Math.ceil((rect.y1 - plane.y) / plane.stepY), plane.height)
  };
  const [width, height] = [last.x - first.x, last.y - first.y];
  if (width === plane.width && height === plane.height) {
    return plane.values;
  }
  const items = new Float64Array(Math.max(0, width * height * depth));
  let next = 0;
  for (let row = first.y; row < last.y; row++) {
    for (let column = first.x; column < last.x; column++) {
      const at = row * plane.strideY + column * plane.strideX;
      for (let color = 0; color < depth; color++) {
        items[next++] = plane.values[at + color] ?? NaN;
      }
    }
  }
  return items;
}

/**
 * Colour a plane: one pixel per item, row by row.
 *
 * What is no number, and on a logarithmic scale what is not positive, stays transparent.
 */
export function paint(
  plane: Plane,
  limits: Limits,
  scale: Scale,
  table: Uint32Array
): Uint32Array<ArrayBuffer> {
  const { values, width, height, strideX, strideY } = plane;
  const pixels = new Uint32Array(width * height);
  const log = scale === 'log';
  const low = log ? Math.log(limits.low) : limits.low;
  const high = log ? Math.log(limits.high) : limits.high;
  const top = LEVELS - 1;
  const factor = high > low ? LEVELS / (high - low) : 0;
  const flat = high > low ? 0 : LEVELS / 2;
  let next = 0;
  for (let row = 0; row < height; row++) {
    let from = row * strideY;
    for (let column = 0; column < width; column++, from += strideX, next++) {
      let value = values[from] as number;
      if (log) {
        value = value > 0 ? Math.log(value) : NaN;
      }
      if (value !== value) {
        continue;
      }
      const level = (value - low) * factor + flat;
      // An infinite value times a factor of zero is no number; it gets the colour of the flat plane.
      pixels[next] = table[level <= 0 ? 0 : level >= top ? top : level | 0] as number;
    }
  }
  return pixels;
}

/** Make pixels of neighbouring bytes: red, green, blue, and if there are four of them opacity. */
export function paintColors(plane: Plane, bytes: Uint8Array, channels: number): Uint32Array<ArrayBuffer> {
  const { width, height, strideX, strideY } = plane;
  const pixels = new Uint32Array(width * height);
  let next = 0;
  for (let row = 0; row < height; row++) {
    let from = row * strideY;
    for (let column = 0; column < width; column++, from += strideX, next++) {
      const alpha = channels === 4 ? (bytes[from + 3] as number) : 255;
      pixels[next] = pixel(
        bytes[from] as number,
        bytes[from + 1] as number,
        bytes[from + 2] as number,
        alpha
      );
    }
  }
  return pixels;
}

function clampTo(value: number, length: number): number {
  return Math.max(0, Math.min(length, Math.floor(value)));
}
