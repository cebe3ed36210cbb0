import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { colorAt, COLOR_MAPS, lookupTable, pixel } from '../../src/viewer/colorMaps';
import { curvePath } from '../../src/viewer/curve';
import { Track } from '../../src/viewer/gridLayout';
import {
  digitsOf,
  formatAge,
  formatBytes,
  formatCount,
  formatNumber,
  formatOrdinal,
  formatShort,
  logTicks,
  ticks
} from '../../src/viewer/numbersText';
import { itemAt, itemsIn, paint, paintColors, type Plane } from '../../src/viewer/plane';
import { histogram, limitsOf, summarize } from '../../src/viewer/statistics';

/** Two rows of three items; every second row and every fourth column of an array. */
const plane: Plane = {
  values: new Float32Array([0, 1, 2, 3, 4, NaN]),
  width: 3,
  height: 2,
  strideX: 1,
  strideY: 3,
  x: 8,
  y: 10,
  stepX: 4,
  stepY: 2
};
const turned: Plane = { ...plane, width: 2, height: 3, strideX: 3, strideY: 1 };

describe('a plane', () => {
  test('tells the item that is drawn at an index, and its own index', () => {
    assert.deepEqual(itemAt(plane, 13.9, 12.1), { value: 4, x: 12, y: 12, at: 4 });
    assert.equal(itemAt(plane, 7.9, 12), undefined);
    assert.equal(itemAt(plane, 20, 12), undefined);
  });

  test('is turned by its strides', () => {
    assert.equal(itemAt(turned, 12, 10)?.value, 3);
  });

  test('gives the items of a rectangle', () => {
    assert.deepEqual([...itemsIn(plane, { x0: 12, x1: 20, y0: 10, y1: 12 })], [1, 2]);
  });

  test('is painted by the table, odd values transparent', () => {
    const table = Uint32Array.from({ length: 256 }, (_, level) => level + 1);
    const pixels = paint(plane, { low: 0, high: 4 }, 'linear', table);

    assert.deepEqual([...pixels], [1, 65, 129, 193, 256, 0]);
  });

  test('of one value is painted in the middle of the scale', () => {
    const flat = { ...plane, values: new Float32Array(6).fill(7) };

    assert.equal(
      paint(
        flat,
        { low: 7, high: 7 },
        'linear',
        Uint32Array.from({ length: 256 }, (_, level) => level)
      )[0],
      128
    );
  });

  test('on a logarithmic scale has no colour for zero', () => {
    const table = Uint32Array.from({ length: 256 }, (_, level) => level + 1);
    const pixels = paint(plane, { low: 1, high: 4 }, 'log', table);

    assert.deepEqual([pixels[0], pixels[1], pixels[2], pixels[4]], [0, 1, 129, 256]);
  });

  test('of bytes becomes pixels', () => {
    const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
    const flat = { ...plane, width: 2, height: 1, strideX: 4, strideY: 8, values: bytes };

    assert.deepEqual([...paintColors(flat, bytes, 4)], [0x04030201, 0x08070605]);
  });
});

describe('statistics', () => {
  const values = new Float64Array([1, 2, 3, 4, NaN, Infinity]);

  test('leave odd values out and count them', () => {
    const summary = summarize(values);

    assert.deepEqual(
      [summary.count, summary.odd, summary.min, summary.max, summary.mean, summary.median],
      [4, 2, 1, 4, 2.5, 2.5]
    );
    assert.equal(summary.std, Math.sqrt(1.25));
  });

  test('of nothing are no numbers', () => {
    assert.ok(Number.isNaN(summarize(new Float32Array([NaN])).mean));
  });

  test('find the ends of a scale', () => {
    const hundred = Float64Array.from({ length: 101 }, (_, index) => index);

    assert.deepEqual(limitsOf(values, { kind: 'auto' }, 'linear'), { low: 1, high: 4 });
    assert.deepEqual(limitsOf(hundred, { kind: 'percentile', low: 5, high: 95 }, 'linear'), {
      low: 5,
      high: 95
    });
    assert.deepEqual(limitsOf(hundred, { kind: 'auto' }, 'log'), { low: 1, high: 100 });
    assert.deepEqual(limitsOf(values, { kind: 'manual', low: 9, high: 3 }, 'linear'), { low: 3, high: 9 });
    assert.deepEqual(limitsOf(new Float32Array([NaN]), { kind: 'auto' }, 'linear'), { low: 0, high: 1 });
  });

  test('count in bins, the highest value in the last', () => {
    assert.deepEqual(histogram(values, { low: 1, high: 4 }, 'linear', 3).counts, [1, 1, 2]);
    assert.deepEqual(
      histogram(new Float32Array([7, 7]), { low: 7, high: 7 }, 'linear', 4).counts,
      [0, 0, 2, 0]
    );
  });
});

describe('colour maps', () => {
  test('have their first and last colour at their ends, and turned round when reversed', () => {
    assert.deepEqual(colorAt('viridis', 0), [0x44, 0x01, 0x54]);
    assert.deepEqual(colorAt('viridis', 1, true), [0x44, 0x01, 0x54]);
    assert.deepEqual(colorAt('gray', 0.5), [128, 128, 128]);
  });

  test('are opaque at every level', () => {
    assert.ok(COLOR_MAPS.every(name => lookupTable(name).every(entry => entry >>> 24 === 255)));
    assert.equal(pixel(1, 2, 3, 4), 0x04030201);
  });
});

describe('numbers as text', () => {
  test('are short and exact', () => {
    assert.deepEqual(
      [0, -3, 0.1 + 0.2, 1234567.891, 1e-7, 1e20, NaN, -Infinity].map(value => formatNumber(value)),
      ['0', '−3', '0.3', '1234568', '1e−7', '1e20', 'NaN', '−∞']
    );
    assert.deepEqual([formatShort(18000000), formatShort(0.12345)], ['1.8e7', '0.1235']);
  });

  test('of counts, ages, bytes and places read well', () => {
    assert.equal(formatCount(1234567), '1\u202f234\u202f567');
    assert.deepEqual(
      [formatAge(40), formatAge(600), formatAge(7200), formatAge(864000)],
      ['40 s', '10 min', '2 h', '10 d']
    );
    assert.deepEqual([formatBytes(10), formatBytes(1 << 20)], ['10 B', '1.00 MiB']);
    assert.deepEqual([1, 2, 3, 8, 11, 12, 21, 102].map(value => formatOrdinal(value)), [
      '1st',
      '2nd',
      '3rd',
      '8th',
      '11th',
      '12th',
      '21st',
      '102nd'
    ]);
  });

  test('marks are round and within', () => {
    assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
    assert.deepEqual(ticks(3.2, 5.9, 10, true), [4, 5]);
    assert.deepEqual(logTicks(1, 1000, 5), [1, 10, 100, 1000]);
    assert.deepEqual(ticks(1, 1, 5), []);
    assert.deepEqual(ticks(-1, 1, 4), [-1, -0.5, 0, 0.5, 1]);
  });

  test('have as many digits as tell them apart', () => {
    const write = (marks: readonly number[]) => marks.map(mark => formatShort(mark, digitsOf(marks, 4)));

    assert.deepEqual(write([1020, 1020.5, 1021]), ['1020', '1020.5', '1021']);
    assert.deepEqual(write([0, 0.5, 1]), ['0', '0.5', '1']);
    assert.deepEqual(write([12345670, 12345680]), ['1.234567e7', '1.234568e7']);
    assert.deepEqual([[], [5], [0, 0]].map(marks => digitsOf(marks, 4)), [4, 4, 4]);
  });

  test('end where numbers are so large that a step is less than what tells them apart', () => {
    const moment = 1_700_000_000_000_000_000;
    for (const [from, to] of [
      [moment, moment + 256],
      [2 ** 53, 2 ** 53 + 6],
      [-moment - 1024, -moment],
      [1e300, 1e300 * (1 + 2e-16)]
    ] as const) {
      for (const whole of [false, true]) {
        const marks = ticks(from, to, 10, whole);

        assert.ok(marks.length <= 20 && marks.every(mark => mark >= from && mark <= to), String(marks));
        assert.equal(new Set(marks).size, marks.length);
      }
    }
  });
});

describe('a track of a table', () => {
  test('of one size finds items and offsets', () => {
    const track = new Track(1000, 24);

    assert.deepEqual(track.seen(25, 50), { first: 1, end: 4 });
    assert.equal(track.reveal(0, 100, 240), 0);
    assert.equal(track.reveal(20, 0, 240), 264);
  });

  test('of sizes each finds items and offsets', () => {
    const track = new Track(3, [10, 20, 30]);

    assert.deepEqual(
      [track.at(9), track.at(10), track.at(59), track.startOf(2), track.total],
      [0, 1, 2, 30, 60]
    );
  });

  test('that is longer than a page can be reaches its last item at the end of the scroll bar', () => {
    const track = new Track(1_000_000_000, 24);
    const room = 480;

    assert.equal(track.scrolled, 8_000_000);
    assert.equal(track.fromScroll(track.scrolled - room, room), track.total - room);
    assert.equal(track.seen(track.fromScroll(track.scrolled - room, room), room).end, 1_000_000_000);
    assert.equal(Math.round(track.toScroll(track.fromScroll(4_000_000, room), room)), 4_000_000);
  });
});

describe('a curve', () => {
  const line: Plane = {
    ...plane,
    values: new Float32Array([0, 1, NaN, 1]),
    width: 4,
    height: 1,
    x: 0,
    stepX: 1,
    strideX: 1,
    strideY: 0
  };
  const frame = { from: 0, to: 4, width: 40, height: 10, rise: (value: number) => value };

  test('is broken where a value is missing', () => {
    assert.equal(curvePath(line, frame), 'M5.0 10.0L15.0 0.0M35.0 0.0');
  });

  test('keeps the extremes where many items share a pixel', () => {
    const values = new Float32Array(1000);
    values[500] = 1;
    const path = curvePath({ ...line, values, width: 1000 }, { ...frame, to: 1000, width: 10 });

    assert.match(path, / 0\.0/);
    assert.ok(path.length < 400);
  });
});

test('a rectangle of pixels gives all their colours', () => {
  const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
  const pixels = {
    ...plane,
    width: 2,
    height: 1,
    strideX: 4,
    strideY: 8,
    values: bytes,
    x: 0,
    y: 0,
    stepX: 1,
    stepY: 1
  };

  assert.deepEqual([...itemsIn(pixels, { x0: 1, x1: 2, y0: 0, y1: 1 }, 4)], [5, 6, 7, 8]);
});
