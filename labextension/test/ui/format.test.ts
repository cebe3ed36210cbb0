import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compactShape, countFields, fieldNames, formatBytes, formatDtype, formatShape } from '../../src/ui/format';

test('sizes have three digits and a unit', () => {
  assert.deepEqual([0, 999, 1000, 1234, 99_950, 999_500, 5e9].map(formatBytes), [
    '0 B',
    '999 B',
    '1 kB',
    '1.23 kB',
    '100 kB',
    '1 MB',
    '5 GB'
  ]);
});

test('shapes read as lengths', () => {
  assert.equal(formatShape([1024, 64]), '1024 × 64');
  assert.equal(formatShape([100_000]), '100\u202f000');
  assert.equal(formatShape([]), 'scalar');
  assert.equal(compactShape([3, 4, 5]), '3×4×5');
});

test('fields of structured types are found in their text', () => {
  assert.deepEqual(fieldNames("[('a', '<f4'), ('b', '<f8', (2,))]"), ['a', 'b']);
  assert.deepEqual(fieldNames("{'names': ['x', 'y'], 'formats': ['<i4', '<i4'], 'offsets': [0, 8]}"), ['x', 'y']);
  assert.equal(countFields('float64'), 0);
});

test('the byte order that goes without saying is not said', () => {
  assert.deepEqual(['<U6', '|S6', '>i4', 'float32'].map(formatDtype), ['U6', 'S6', '>i4', 'float32']);
});
