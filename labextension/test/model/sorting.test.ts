import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BY_NAME, nextSorting, sorted, type SortKey } from '../../src/model/sorting';
import { entry } from '../support/fakes';

const LIST = [
  entry('foo/a', 'directory'),
  entry('foo/b', 'directory'),
  entry('foo/run2.txt', 'text', { size: 30, mtime: '2026-01-01T00:00:00Z' }),
  entry('foo/run10.txt', 'text', { size: 20, mtime: '2026-03-01T00:00:00Z' }),
  entry('foo/x', 'broken'),
  entry('foo/z.b2nd', 'array', { size: 40, mtime: '2026-02-01T00:00:00Z' })
];
const names = (by: SortKey, isDescending: boolean): string[] =>
  sorted(LIST, { by, isDescending }).map(({ name }) => name);

test('by name it is the order of the server, where run2 is before run10', () => {
  assert.equal(sorted(LIST, BY_NAME), LIST);
});

test('the other way round directories stay first', () => {
  assert.deepEqual(names('name', true), ['b', 'a', 'z.b2nd', 'x', 'run10.txt', 'run2.txt']);
});

test('what has no size is last in either direction', () => {
  assert.deepEqual(names('size', true), ['a', 'b', 'z.b2nd', 'run2.txt', 'run10.txt', 'x']);
  assert.deepEqual(names('size', false), ['a', 'b', 'run10.txt', 'run2.txt', 'z.b2nd', 'x']);
});

test('the newest is first, and equals stay in the order of the server', () => {
  assert.deepEqual(names('mtime', true), ['a', 'b', 'run10.txt', 'z.b2nd', 'run2.txt', 'x']);
  assert.deepEqual(names('kind', false), ['a', 'b', 'z.b2nd', 'x', 'run2.txt', 'run10.txt']);
});

test('a column that is chosen again turns round', () => {
  const first = nextSorting(BY_NAME, 'size');
  assert.deepEqual(first, { by: 'size', isDescending: true });
  assert.deepEqual(nextSorting(first, 'size'), { by: 'size', isDescending: false });
  assert.deepEqual(nextSorting(first, 'kind'), { by: 'kind', isDescending: false });
});
