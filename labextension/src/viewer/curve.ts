/** A line of numbers as a path on the screen. */

import type { Plane } from './plane';

export interface Frame {
  /** Array indices at the ends of the horizontal axis; an item is at its middle. */
  readonly from: number;
  readonly to: number;
  readonly width: number;
  readonly height: number;
  /** Return the height of a value, 0 at the bottom to 1 at the top; not finite if it has none. */
  readonly rise: (value: number) => number;
}

/** Return the items of a line between two array indices. */
export function rangeOf(plane: Plane, from: number, to: number): { first: number; end: number } {
  const first = Math.max(0, Math.floor((from - plane.x) / plane.stepX));
  return { first, end: Math.max(first, Math.min(plane.width, Math.ceil((to - plane.x) / plane.stepX))) };
}

/**
 * Return the `d` of an SVG path; where more items than two share a pixel, the lowest and the highest of them
 * are joined. The path is broken where a value has no place.
 */
export function curvePath(plane: Plane, frame: Frame): string {
  const { first, end } = rangeOf(plane, frame.from - plane.stepX, frame.to + plane.stepX);
  const toX = (item: number) =>
    ((plane.x + item * plane.stepX + 0.5 - frame.from) / (frame.to - frame.from)) * frame.width;
  const toY = (item: number) => {
    const rise = frame.rise(plane.values[item * plane.strideX] ?? NaN);
    return rise - rise === 0 ? frame.height * (1 - Math.max(-2, Math.min(3, rise))) : NaN;
  };
  const perPixel = (end - first) / Math.max(1, frame.width);
  const parts: string[] = [];
  let open = false;
  const add = (x: number, y: number) => {
    parts.push(`${open ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`);
    open = true;
  };
  if (perPixel <= 2) {
    for (let item = first; item < end; item++) {
      const y = toY(item);
      if (Number.isNaN(y)) {
        open = false;
      } else {
        add(toX(item), y);
      }
    }
    return parts.join('');
  }
  const group = Math.ceil(perPixel);
  for (let start = first; start < end; start += group) {
    let [top, bottom, none] = [Infinity, -Infinity, true];
    for (let item = start; item < Math.min(end, start + group); item++) {
      const y = toY(item);
      if (!Number.isNaN(y)) {
        none = false;
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
      }
    }
    if (none) {
      open = false;
      continue;
    }
    add(toX(start), bottom);
    add(toX(start), top);
  }
  return parts.join('');
}
