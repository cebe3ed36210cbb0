import assert from 'node:assert/strict';
import { test } from 'node:test';

import { formatBinary, formatRoom, readLimit, writeLimit } from '../../src/web/sizes';

const GIB = 1024 ** 3;

for (const [text, quota] of [
  ['10 GiB', 10 * GIB],
  ['10GB', 10 * GIB],
  ['10g', 10 * GIB],
  [' 1,5 T ', 1.5 * 1024 * GIB],
  ['.5 K', 512],
  ['1000', 1000],
  ['1000 B', 1000],
  ['none', 0],
  ['No limit', 0],
  ['Default', null]
] as const) {
  test(`${text} is understood`, () => assert.deepEqual(readLimit(text), { quota }));
}

for (const text of ['', '  ', 'ten', '10 x', '-1 GiB', '10 iB', '1e9', '10 GiB more', '0', '0.1', '9999999 T', 'Infinity']) {
  test(`${JSON.stringify(text)} is refused with a sentence`, () => {
    const found = readLimit(text);
    assert.ok('problem' in found);
    assert.match(found.problem, /[.”]$/);
  });
}

test('what is written reads the same', () => {
  for (const quota of [1, 1000, 1024, 1536, 6000, 5 * 1024 ** 2, 10 * GIB, 1.25 * GIB, 123_456_789, 2 * 1024 ** 4]) {
    assert.deepEqual(readLimit(writeLimit(quota)), { quota });
  }
});

test('limits are short', () => {
  assert.equal(writeLimit(10 * GIB), '10 GiB');
  assert.equal(writeLimit(1.5 * GIB), '1.5 GiB');
  assert.equal(writeLimit(null), 'none');
});

test('what is taken is told in the units of the limit', () => {
  assert.deepEqual(formatRoom(GIB, 10 * GIB), { used: '1 GiB', limit: '10 GiB' });
  assert.deepEqual(formatRoom(500, 6000), { used: '500 B', limit: '6 kB' });
  assert.deepEqual(formatRoom(1_000_000, null), { used: '1 MB', limit: null });
});

test('binary sizes have three digits', () => {
  assert.deepEqual([0, 1023, 1024, 1300 * 1024, 1024 ** 2 - 1, 2000 * GIB].map(formatBinary), [
    '0 B',
    '1023 B',
    '1 KiB',
    '1.27 MiB',
    '1 MiB',
    '1.95 TiB'
  ]);
});
