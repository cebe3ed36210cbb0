/** Blocks as bitmaps, painted once per way of colouring, and their drawing. */

import type { Block } from './arraySource';
import type { Plane } from './plane';
import type { Rect } from './state';
import { heightOf, widthOf, type Size } from './viewport';

export interface Layer {
  readonly plane: Plane;
  readonly bitmap: HTMLCanvasElement;
}

/** Bitmaps of blocks; a block's bitmap goes with it. */
export class Pictures {
  /** Return the bitmap of a block; painted anew if `style` is not that of the last time. */
  bitmap(
    block: Block,
    style: string,
    plane: Plane,
    paint: () => Uint32Array<ArrayBuffer>
  ): HTMLCanvasElement {
    const known = this._bitmaps.get(block);
    if (known?.style === style) {
      return known.bitmap;
    }
    const bitmap = known?.bitmap ?? document.createElement('canvas');
    bitmap.width = plane.width;
    bitmap.height = plane.height;
    const pixels = new ImageData(new Uint8ClampedArray(paint().buffer), plane.width, plane.height);
    bitmap.getContext('2d')?.putImageData(pixels, 0, 0);
    this._bitmaps.set(block, { style, bitmap });
    return bitmap;
  }

  private readonly _bitmaps = new WeakMap<Block, { style: string; bitmap: HTMLCanvasElement }>();
}

/** Draw layers, the coarse first, so that the rectangle `view` of the array fills the canvas. */
export function drawLayers(
  canvas: HTMLCanvasElement,
  size: Size,
  ratio: number,
  view: Rect,
  layers: readonly Layer[]
): void {
  const width = Math.max(1, Math.round(size.width * ratio));
  const height = Math.max(1, Math.round(size.height * ratio));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  if (context === null) {
    return;
  }
  context.clearRect(0, 0, width, height);
  const scaleX = width / widthOf(view);
  const scaleY = height / heightOf(view);
  for (const { plane, bitmap } of layers) {
    const first = {
      x: Math.max(0, Math.floor((view.x0 - plane.x) / plane.stepX)),
      y: Math.max(0, Math.floor((view.y0 - plane.y) / plane.stepY))
    };
    const end = {
      x: Math.min(plane.width, Math.ceil((view.x1 - plane.x) / plane.stepX)),
      y: Math.min(plane.height, Math.ceil((view.y1 - plane.y) / plane.stepY))
    };
    const [columns, rows] = [end.x - first.x, end.y - first.y];
    if (columns <= 0 || rows <= 0) {
      continue;
    }
    const [cellX, cellY] = [plane.stepX * scaleX, plane.stepY * scaleY];
    // Averages where many items share a pixel, sharp squares where an item has many.
    context.imageSmoothingEnabled = cellX < 1 || cellY < 1;
    context.imageSmoothingQuality = 'medium';
    const left = (plane.x + first.x * plane.stepX - view.x0) * scaleX;
    const top = (plane.y + first.y * plane.stepY - view.y0) * scaleY;
    context.drawImage(bitmap, first.x, first.y, columns, rows, left, top, columns * cellX, rows * cellY);
  }
}
