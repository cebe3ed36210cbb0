import assert from 'node:assert/strict';
import { test } from 'node:test';

import { pythonCell, pythonExpression } from '../../src/model/code';
import { ancestorsOf, baseName, belowRoot, isWithin, nameProblem, parentOf, rootOf } from '../../src/model/paths';
import { entry } from '../support/fakes';

test('paths come apart at slashes', () => {
  assert.equal(baseName('foo/dir/x.b2nd'), 'x.b2nd');
  assert.equal(parentOf('foo/dir/x.b2nd'), 'foo/dir');
  assert.equal(parentOf('foo'), '');
  assert.equal(rootOf('@public/x'), '@public');
  assert.equal(belowRoot('foo/dir/x'), 'dir/x');
  assert.deepEqual(ancestorsOf('foo/dir/x'), ['foo', 'foo/dir']);
});

test('a name that begins alike is not within', () => {
  assert.equal(isWithin('foo/dir2/x', 'foo/dir'), false);
  assert.equal(isWithin('foo/dir/x', 'foo/dir'), true);
  assert.equal(isWithin('foo/dir', 'foo/dir'), true);
});

test('names that would leave their directory are refused', () => {
  assert.ok(nameProblem('a/b'));
  assert.ok(nameProblem('..'));
  assert.ok(nameProblem('  '));
  assert.equal(nameProblem('a b.b2nd'), null);
});

test('the line of code is the one of the documentation', () => {
  assert.equal(pythonExpression('foo/dir/x.b2nd', null), 'caterva2.Root("foo")["dir/x.b2nd"]');
  assert.equal(pythonExpression('@public', null), 'caterva2.Root("@public")');
});

test('another subscriber than the current one is named', () => {
  const code = pythonExpression('foo/x.b2nd', 'https://lab.example.org');
  assert.equal(code, 'caterva2.Root("foo", urlbase="https://lab.example.org")["x.b2nd"]');
});

test('quotes and backslashes in names stay inside their string', () => {
  assert.equal(pythonExpression('foo/a"b\\c', null), 'caterva2.Root("foo")["a\\"b\\\\c"]');
});

test('a cell shows a dataset, and leaves a file as it is', () => {
  assert.match(pythonCell(entry('foo/x.b2nd', 'array'), null), /\ncaterva2_jupyter\.show\(ds\)$/);
  assert.match(pythonCell(entry('foo/README.md', 'markdown'), null), /\nfile$/);
});
