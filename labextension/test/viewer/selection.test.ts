import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { caption, formatPlace } from '../../src/viewer/caption';
import { parseDType } from '../../src/viewer/dtype';
import {
  fullIndex,
  select,
  sliceText,
  sliders,
  viewsOf,
  withAxis,
  withIndex
} from '../../src/viewer/selection';
import { changed, readState } from '../../src/viewer/state';
import firstAxes from './axes.json';

const same = (text: string) => text;

describe('views of an array', () => {
  const cases: readonly (readonly [string, readonly number[], string, string])[] = [
    ['a plane', [4, 5], '<f4', 'heatmap line table'],
    ['a line', [4], '<f4', 'line table'],
    ['a scalar', [], '<f4', 'table'],
    ['texts', [4, 5], '<U3', 'table'],
    ['pixels', [4, 5, 3], '|u1', 'image heatmap line table'],
    ['no pixels: two colours', [4, 5, 2], '|u1', 'heatmap line table'],
    ['no pixels: not bytes', [4, 5, 3], '<u2', 'heatmap line table'],
    ['rows of records', [4], '[["a","<f4"]]', 'table line'],
    ['rows of records without numbers', [4], '[["a","<U4"]]', 'table']
  ];
  for (const [what, shape, dtype, views] of cases) {
    test(what, () => {
      assert.equal(viewsOf(shape, parseDType(dtype)).join(' '), views);
    });
  }
});

describe('the first plane', () => {
  // The same file is read by the test of the widgets of notebooks.
  for (const { about, shape, dtype, axes } of firstAxes) {
    test(`of ${about}`, () => {
      const view = viewsOf(shape, parseDType(dtype))[0] ?? 'table';
      const selection = select(shape, view, {});

      assert.deepEqual([selection.y, selection.x], axes);
    });
  }

  test('keeps the other axis when one is chosen', () => {
    const selection = select([500, 400, 2], 'heatmap', { x: 0 });

    assert.deepEqual([selection.y, selection.x], [1, 0]);
  });
});

describe('a selection', () => {
  test('takes the last axes and the middle of the others', () => {
    const selection = select([10, 20, 30], 'heatmap', {});

    assert.deepEqual(selection, { x: 2, y: 1, channel: undefined, indices: [5, 10, 15] });
    assert.equal(sliceText([10, 20, 30], selection), '5,:,:');
  });

  test('of an image leaves the colours out', () => {
    const selection = select([7, 20, 30, 3], 'image', {});

    assert.deepEqual([selection.x, selection.y, selection.channel], [2, 1, 3]);
    assert.equal(sliceText([7, 20, 30, 3], selection), '3,:,:,:');
    assert.deepEqual(fullIndex(selection, 8, 9), [3, 9, 8, ':']);
  });

  test('follows the state as far as the array has it', () => {
    const selection = select([10, 20, 30], 'heatmap', { x: 0, y: 9, indices: [1, 99, 3] });

    assert.deepEqual([selection.x, selection.y], [0, 2]);
    assert.deepEqual(sliders([10, 20, 30], selection), [{ axis: 1, length: 20, index: 19 }]);
  });

  test('of a line has one axis', () => {
    const selection = select([10, 20], 'line', { x: 0 });

    assert.equal(selection.y, undefined);
    assert.equal(sliceText([10, 20], selection, { x: { start: 2, stop: 5 } }), '2:5,10');
  });

  test('swaps axes when one is drawn twice', () => {
    const selection = select([10, 20, 30], 'heatmap', {});

    assert.deepEqual(withAxis(selection, 'x', 1), { x: 1, y: 2 });
    assert.deepEqual(withAxis(selection, 'y', 0), { x: 2, y: 0 });
  });

  test('moves one axis only', () => {
    const moved = withIndex(select([10, 20, 30], 'heatmap', {}), 0, 9);

    assert.deepEqual(moved.indices, [9, 10, 15]);
  });
});

describe('a caption', () => {
  const shape = [64, 8192, 8192];
  const selection = select(shape, 'heatmap', {});
  const shown = { shape, selection, stepX: 8, stepY: 8, view: undefined };

  test('says every how manyeth item is shown', () => {
    assert.equal(caption(shown, same), 'every 8th item of 8192 × 8192');
  });

  test('says so for rows and columns if they differ', () => {
    assert.equal(
      caption({ ...shown, stepX: 1, stepY: 3 }, same),
      'every 3rd row, every column of 8192 × 8192'
    );
  });

  test('says that everything is shown', () => {
    assert.equal(caption({ ...shown, stepX: 1, stepY: 1 }, same), 'all of 8192 × 8192');
  });

  test('says how much is zoomed in on, and the place of it', () => {
    const view = { x0: 10.2, x1: 19.8, y0: 0, y1: 5 };

    assert.equal(caption({ ...shown, stepX: 1, stepY: 1, view }, same), '5 × 10 of 8192 × 8192');
    assert.equal(formatPlace(shape, selection, view), '[32, 0:5, 10:20]');
  });
});

describe('a remembered state', () => {
  test('comes back as it was', () => {
    const state = {
      view: 'heatmap',
      x: 2,
      y: 1,
      indices: [1, 2],
      colorMap: 'magma',
      reversed: true,
      scale: 'log',
      aspect: 'fill',
      range: { kind: 'manual', low: 0, high: 2 },
      zoom: { x0: 0, y0: 0, x1: 3, y1: 4 },
      summary: true,
      sortby: '-a'
    };

    assert.deepEqual(readState(JSON.parse(JSON.stringify(state))), state);
  });

  test('loses what is unsound', () => {
    const state = {
      view: 'cube',
      x: -1,
      y: 1.5,
      indices: [1, 'a'],
      range: { kind: 'manual', low: NaN, high: 1 },
      zoom: { x0: 4, y0: 0, x1: 3, y1: 4 },
      scale: 'cubic',
      colorMap: 7,
      more: 1
    };

    assert.deepEqual(readState(state), {});
    assert.deepEqual(readState('nothing'), {});
  });

  test('forgets what is set to undefined', () => {
    assert.deepEqual(changed({ view: 'line', field: 'a' }, { field: undefined, x: 0 }), {
      view: 'line',
      x: 0
    });
  });
});
