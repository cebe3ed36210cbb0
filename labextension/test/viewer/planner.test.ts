import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ahead, planFiner, planPlane, planStretch, planTiles, TILE_POINTS } from '../../src/viewer/planner';
import { select } from '../../src/viewer/selection';
import { fit, isWhole, naturalAspect, panned, wholeOf, zoomedAt } from '../../src/viewer/viewport';

const shape = [4, 8192, 8192];
const selection = select(shape, 'heatmap', {});
const pixels = { width: 800, height: 600 };
const coarse = { x: 8, y: 8 };

describe('tiles', () => {
  test('are not planned where the picture of the plane will do', () => {
    const view = { x0: 0, x1: 8192, y0: 0, y1: 8192 };

    assert.deepEqual(planTiles(shape, selection, undefined, view, pixels, coarse), []);
  });

  test('cover what is seen, on a grid that panning keeps', () => {
    const view = { x0: 1000, x1: 1800, y0: 2000, y1: 2600 };
    const tiles = planTiles(shape, selection, undefined, view, pixels, coarse);
    const moved = planTiles(shape, selection, undefined, { ...view, x0: 1010, x1: 1810 }, pixels, coarse);

    assert.deepEqual(tiles.map(tile => tile.slice).sort(), moved.map(tile => tile.slice).sort());
    assert.equal(Math.min(...tiles.map(tile => tile.x.start)), 512);
    assert.equal(Math.max(...tiles.map(tile => tile.x.stop)), 2048);
    assert.ok(tiles.every(tile => tile.x.start % TILE_POINTS === 0 && tile.points === TILE_POINTS));
  });

  test('begin in the middle of what is seen', () => {
    const view = { x0: 0, x1: 3200, y0: 0, y1: 2400 };
    const [first] = planTiles(shape, selection, undefined, view, pixels, coarse);

    assert.deepEqual(first?.x, { start: 0, stop: 2048 });
    assert.deepEqual(first?.y, { start: 0, stop: 2048 });
  });

  test('end where the array ends', () => {
    const view = { x0: 8000, x1: 8192, y0: 8000, y1: 8192 };
    const tiles = planTiles([4, 8100, 8192], selection, undefined, view, pixels, coarse);

    assert.deepEqual(
      tiles.map(tile => tile.slice),
      ['2,7680:8100,7680:8192']
    );
  });
});

describe('a finer picture', () => {
  const quick = planPlane(shape, selection, 'a');

  test('is planned where the server took fewer points than it might', () => {
    assert.deepEqual(planFiner(quick, { x: 64, y: 8 }), { ...quick, blocks: 16384 });
  });

  test('is not planned where it took as many', () => {
    assert.equal(planFiner(quick, { x: 8, y: 8 }), undefined);
  });
});

describe('a stretch of a line', () => {
  const line = select([1_000_000], 'line', {});

  test('is finer than the whole line, and holds what is seen', () => {
    const stretch = planStretch([1_000_000], line, undefined, 5000, 6000, 245);

    assert.equal(stretch?.slice, '4096:6144');
  });

  test('is not planned where the whole line will do', () => {
    assert.equal(planStretch([1000], line, undefined, 100, 900, 1), undefined);
  });
});

test('planes ahead follow the direction and stop at the end', () => {
  assert.deepEqual(ahead(5, 1, 8, 3), [6, 7]);
  assert.deepEqual(ahead(1, -1, 8, 3), [0]);
});

describe('a view', () => {
  const whole = wholeOf(200, 100);
  const area = { width: 400, height: 400 };

  test('of the whole with squares is as wide as the area', () => {
    assert.deepEqual(fit(whole, whole, area, 'equal'), { view: whole, plot: { width: 400, height: 200 } });
  });

  test('with squares grows to fill the area', () => {
    const { view, plot } = fit({ x0: 50, x1: 100, y0: 40, y1: 60 }, whole, area, 'equal');

    assert.deepEqual(view, { x0: 50, x1: 100, y0: 25, y1: 75 });
    assert.deepEqual(plot, area);
  });

  test('keeps what is under the pointer while it zooms', () => {
    const view = zoomedAt(whole, whole, { x: 50, y: 20 }, 0.5);

    assert.deepEqual(view, { x0: 25, x1: 125, y0: 10, y1: 60 });
  });

  test('does not zoom in further than a few items, nor out further than everything', () => {
    const near = zoomedAt(whole, whole, { x: 50, y: 50 }, 1e-9);

    assert.ok(near.x1 - near.x0 >= 4 && near.y1 - near.y0 >= 3.9);
    assert.ok(isWhole(zoomedAt(whole, whole, { x: 50, y: 50 }, 10), whole));
  });

  test('stops at the edges', () => {
    assert.deepEqual(panned({ x0: 0, x1: 20, y0: 0, y1: 10 }, whole, -5, 95), {
      x0: 0,
      x1: 20,
      y0: 90,
      y1: 100
    });
  });

  test('is of squares unless that would leave a thin strip', () => {
    assert.deepEqual([naturalAspect(100, 300), naturalAspect(10, 300)], ['equal', 'fill']);
  });
});
