import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { planeOf, readFreshness, type Block, type CellBlock } from '../../src/viewer/arraySource';
import { cellText, copiedText } from '../../src/viewer/cellText';
import { describe as describePath, fileKind, imageType } from '../../src/viewer/description';
import { parseDType } from '../../src/viewer/dtype';
import { hexRows, isBinary } from '../../src/viewer/fileSource';
import { itemText } from '../../src/viewer/items';
import { readNotebook, withoutColors } from '../../src/viewer/notebook';
import { besidePath } from '../../src/viewer/sanitize';
import { select } from '../../src/viewer/selection';
import { cellOf, planCells, tableShape } from '../../src/viewer/tablePlan';

describe('what lies at a path', () => {
  test('is an array if it has a shape', () => {
    const found = describePath('foo/a.b2nd', { kind: 'array', shape: [2, 3], dtype: 'float32' });

    assert.deepEqual(found, {
      kind: 'array',
      shape: [2, 3],
      dtype: parseDType('<f4'),
      expression: undefined
    });
  });

  test('is broken if the server says so', () => {
    assert.deepEqual(describePath('foo/a.b2nd', { kind: 'broken', error: 'cut off' }), {
      kind: 'broken',
      reason: 'cut off'
    });
  });

  test('else is known by its ending', () => {
    const names = [
      'a/README.md',
      'a/x.ipynb',
      'a/x.PDF',
      'a/x.svg',
      'a/x.py',
      'a/LICENSE',
      'a/x.bin',
      'a.md/x'
    ];

    assert.deepEqual(names.map(fileKind), [
      'markdown',
      'notebook',
      'pdf',
      'image',
      'text',
      'text',
      'binary',
      'binary'
    ]);
  });

  test('is never given a type that a page would run', () => {
    assert.deepEqual(
      [imageType('a/x.png'), imageType('a/x.html')],
      ['image/png', 'application/octet-stream']
    );
  });
});

describe('a notebook', () => {
  const output = (data: object) => ({ output_type: 'display_data', data });
  const notebook = (...outputs: object[]) =>
    readNotebook(
      JSON.stringify({ cells: [{ cell_type: 'code', source: ['a\n', 'b'], execution_count: 3, outputs }] })
    );

  test('joins lines', () => {
    assert.deepEqual(notebook().cells, [{ kind: 'code', source: 'a\nb', count: 3, outputs: [] }]);
  });

  test('shows a picture rather than its text, and only of bytes that are base64', () => {
    assert.deepEqual(notebook(output({ 'image/png': 'QUJD\n', 'text/plain': 'x' })).cells[0]?.outputs, [
      { kind: 'image', address: 'data:image/png;base64,QUJD' }
    ]);
    assert.deepEqual(notebook(output({ 'image/png': '"><script>', 'text/plain': 'x' })).cells[0]?.outputs, [
      { kind: 'text', text: 'x', error: false }
    ]);
  });

  test('shows drawings as images, where they can not run', () => {
    const [drawing] = notebook(output({ 'image/svg+xml': '<svg onload="x()"/>' })).cells[0]?.outputs ?? [];

    assert.deepEqual(drawing, {
      kind: 'image',
      address: 'data:image/svg+xml;charset=utf-8,%3Csvg%20onload%3D%22x()%22%2F%3E'
    });
  });

  test('loses the colours of terminals and what is unknown', () => {
    const trace = { output_type: 'error', ename: 'E', evalue: 'v', traceback: ['\u001b[31mE\u001b[0m: v'] };

    assert.deepEqual(notebook(trace, { output_type: 'odd' }).cells[0]?.outputs, [
      { kind: 'text', text: 'E: v', error: true }
    ]);
    assert.equal(withoutColors('\u001b[1;32mok\u001b[0m'), 'ok');
  });

  test('of another kind is refused with a sentence', () => {
    assert.throws(() => readNotebook('{"worksheets": []}'), /no list of cells/);
    assert.throws(() => readNotebook('<html>'), /not JSON/);
  });
});

describe('a file beside a document', () => {
  test('is found in the same root only', () => {
    const found = [
      'a.png',
      './b/a.png',
      '../a.png',
      '../../../a.png',
      '/a.png',
      'http://x/a.png',
      '//x/a.png',
      'javascript:x',
      'a%2Fb.png',
      '%2e%2e/a.png'
    ].map(source => besidePath('foo/dir/doc.md', source));

    assert.deepEqual(found, [
      'foo/dir/a.png',
      'foo/dir/b/a.png',
      'foo/a.png',
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      undefined
    ]);
  });
});

describe('bytes', () => {
  test('with a zero are no text', () => {
    assert.deepEqual([isBinary(new Uint8Array([65, 0])), isBinary(new Uint8Array([65]))], [true, false]);
  });

  test('are written in rows of sixteen', () => {
    const rows = hexRows(new Uint8Array(Array.from({ length: 17 }, (_, index) => 64 + index))).split('\n');

    assert.equal(rows[0], '00000000  40 41 42 43 44 45 46 47  48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO');
    assert.match(rows[1] ?? '', /^00000010 {2}50 .*P$/);
  });
});

describe('freshness', () => {
  test('is read from the header', () => {
    assert.deepEqual(readFreshness('fresh'), { fresh: true, ageSeconds: 0 });
    assert.deepEqual(readFreshness('stale; age=40'), { fresh: false, ageSeconds: 40 });
    assert.deepEqual(readFreshness(null), { fresh: true, ageSeconds: 0 });
  });
});

describe('a block', () => {
  const block = (shape: readonly number[], step: readonly number[], dtype = '<f4'): Block => ({
    request: { slice: '', points: 9, field: undefined, x: { start: 2, stop: 9 }, y: { start: 4, stop: 9 } },
    shape,
    step,
    dtype: parseDType(dtype),
    numbers: new Float32Array([1, 2, 3, 4, 5, 6]),
    freshness: { fresh: true, ageSeconds: 0 },
    nbytes: 0
  });

  test('lies along the drawn axes, whichever comes first in the array', () => {
    const values = new Float32Array(6);
    const upright = planeOf(block([2, 3], [1, 4]), select([5, 7, 9], 'heatmap', { x: 2, y: 1 }), values);
    const turned = planeOf(block([2, 3], [1, 4]), select([5, 7, 9], 'heatmap', { x: 1, y: 2 }), values);

    assert.deepEqual([upright.width, upright.strideX, upright.strideY, upright.stepX], [3, 1, 3, 4]);
    assert.deepEqual([turned.width, turned.strideX, turned.strideY, turned.stepX, turned.x], [2, 3, 1, 1, 2]);
  });

  test('of pixels steps over their colours', () => {
    const plane = planeOf(block([1, 2, 3], [1, 1, 1]), select([7, 9, 3], 'image', {}), new Float32Array(6));

    assert.deepEqual([plane.width, plane.height, plane.strideX, plane.strideY], [2, 1, 3, 6]);
  });

  test('tells complex items whole', () => {
    assert.equal(itemText(block([3], [1], '<c8'), 1), '3 + 4i');
  });
});

describe('a table', () => {
  const dtype = parseDType('[["a","<f4"],["b","<U4"]]');
  const order = { filter: undefined, sortby: undefined };
  const cells = (
    request: CellBlock['request'],
    shape: readonly number[],
    data: CellBlock['cells']
  ): CellBlock => ({
    request,
    shape,
    cells: data,
    total: undefined,
    freshness: { fresh: true, ageSeconds: 0 },
    nbytes: 0
  });

  test('of records has their fields as columns, and asks for whole rows', () => {
    const selection = select([1000], 'table', {});
    const table = tableShape([1000], dtype, selection, undefined);
    const requests = planCells(
      [1000],
      table,
      selection,
      undefined,
      order,
      1000,
      { start: 120, stop: 140 },
      { start: 0, stop: 1 }
    );

    assert.deepEqual(table, { rows: 1000, columns: 2, fields: true });
    assert.deepEqual(
      requests.map(one => one.slice),
      ['0:128', '128:256']
    );
    const [, second] = requests;
    assert.ok(second);
    assert.equal(
      cellOf(
        cells(
          second,
          [2],
          [
            [1, 'x'],
            [2, 'y']
          ]
        ),
        table,
        selection,
        129,
        1
      ),
      'y'
    );
  });

  test('of a plane finds cells whichever axis comes first', () => {
    for (const [x, y, data] of [
      [
        1,
        0,
        [
          [1, 2],
          [3, 4]
        ]
      ],
      [
        0,
        1,
        [
          [1, 3],
          [2, 4]
        ]
      ]
    ] as const) {
      const selection = select([2, 2], 'table', { x, y });
      const table = tableShape([2, 2], parseDType('<i4'), selection, undefined);
      const [request] = planCells(
        [2, 2],
        table,
        selection,
        undefined,
        order,
        2,
        { start: 0, stop: 2 },
        { start: 0, stop: 2 }
      );

      assert.ok(request);
      assert.equal(cellOf(cells(request, [2, 2], data), table, selection, 0, 1), 2);
    }
  });

  test('of a scalar has one cell', () => {
    const selection = select([], 'table', {});
    const table = tableShape([], parseDType('<f4'), selection, undefined);
    const [request] = planCells(
      [],
      table,
      selection,
      undefined,
      order,
      1,
      { start: 0, stop: 1 },
      { start: 0, stop: 1 }
    );

    assert.equal(request?.slice, '');
    assert.ok(request);
    assert.equal(cellOf(cells(request, [], 7), table, selection, 0, 0), 7);
  });

  test('writes cells as people read them', () => {
    assert.deepEqual(
      [
        cellText(-5, parseDType('<i4')),
        cellText(0.5, parseDType('<f4')),
        cellText(null, undefined),
        cellText([1, 'a'], dtype),
        cellText(true, undefined)
      ],
      ['−5', '0.5', '–', '(1, a)', 'true']
    );
  });

  test('are copied with all their digits, as other programs read them', () => {
    assert.deepEqual(
      [-0.1234567890123, 5, '9007199254740993', null, undefined, true, [1, 'a']].map(copiedText),
      ['-0.1234567890123', '5', '9007199254740993', '', '', 'true', '[1,"a"]']
    );
  });
});
