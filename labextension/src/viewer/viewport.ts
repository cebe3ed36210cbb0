/** Which rectangle of a plane is seen, and where: zooming and panning without a picture. */

import type { Aspect, Rect } from './state';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** What is seen, and how many CSS pixels it takes. */
export interface Fitted {
  readonly view: Rect;
  readonly plot: Size;
}

/** Fewest items along an axis that a zoom goes down to. */
const FEWEST = 4;

/** Return the whole of a plane. */
export function wholeOf(width: number, height: number): Rect {
  return { x0: 0, y0: 0, x1: width, y1: height };
}

/** Choose an aspect: squares where they leave a picture, else fill the area. */
export function naturalAspect(width: number, height: number): Aspect {
  const ratio = width / Math.max(1, height);
  return ratio > 1 / 5 && ratio < 5 ? 'equal' : 'fill';
}

/** Fit a wanted rectangle into an area; with equal aspect more may be seen, where the plane has more. */
export function fit(wanted: Rect, whole: Rect, area: Size, aspect: Aspect): Fitted {
  const available = { width: Math.max(1, area.width), height: Math.max(1, area.height) };
  if (aspect === 'fill') {
    return { view: inside(wanted, whole), plot: available };
  }
  const scale = Math.max(widthOf(wanted) / available.width, heightOf(wanted) / available.height);
  const width = Math.min(widthOf(whole), available.width * scale);
  const height = Math.min(heightOf(whole), available.height * scale);
  const view = inside(around(middle(wanted), width, height), whole);
  return { view, plot: { width: width / scale, height: height / scale } };
}

/** Return the rectangle seen after zooming by a factor; what is at `at` stays where it is. */
export function zoomedAt(view: Rect, whole: Rect, at: { x: number; y: number }, factor: number): Rect {
  const bounded = Math.max(factor, Math.min(1, Math.max(FEWEST / widthOf(view), FEWEST / heightOf(view))));
  const wanted = {
    x0: at.x - (at.x - view.x0) * bounded,
    x1: at.x + (view.x1 - at.x) * bounded,
    y0: at.y - (at.y - view.y0) * bounded,
    y1: at.y + (view.y1 - at.y) * bounded
  };
  return inside(wanted, whole);
}

/** Return the rectangle seen after moving by a number of items. */
export function panned(view: Rect, whole: Rect, dx: number, dy: number): Rect {
  return inside({ x0: view.x0 + dx, x1: view.x1 + dx, y0: view.y0 + dy, y1: view.y1 + dy }, whole);
}

/** Tell whether everything is seen. */
export function isWhole(view: Rect, whole: Rect): boolean {
  return widthOf(view) >= widthOf(whole) * 0.9999 && heightOf(view) >= heightOf(whole) * 0.9999;
}

export function widthOf(rect: Rect): number {
  return rect.x1 - rect.x0;
}

export function heightOf(rect: Rect): number {
  return rect.y1 - rect.y0;
}

function middle(rect: Rect): { x: number; y: number } {
  return { x: (rect.x0 + rect.x1) / 2, y: (rect.y0 + rect.y1) / 2 };
}

function around(at: { x: number; y: number }, width: number, height: number): Rect {
  return { x0: at.x - width / 2, x1: at.x + width / 2, y0: at.y - height / 2, y1: at.y + height / 2 };
}

/** Shift, and shrink if it must be, a rectangle into another. */
function inside(rect: Rect, whole: Rect): Rect {
  const width = Math.min(widthOf(rect), widthOf(whole));
  const height = Math.min(heightOf(rect), heightOf(whole));
  const x0 = Math.max(whole.x0, Math.min(rect.x0, whole.x1 - width));
  const y0 = Math.max(whole.y0, Math.min(rect.y0, whole.y1 - height));
  return { x0, y0, x1: x0 + width, y1: y0 + height };
}
