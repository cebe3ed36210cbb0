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
  const trans = { __: (text: string, ...values: string[]) => text.replace('%1', values[0] ?? '') };

  assert.equal(nameProblem('a/b', trans), 'A name can not contain "/".');
  assert.ok(nameProblem('..', trans));
  assert.ok(nameProblem('  ', trans));
  assert.equal(nameProblem('a b.b2nd', trans), null);
});

test('the line of code is the one of the documentation', () => {
  assert.equal(pythonExpression('foo/dir/x.b2nd', null), 'caterva2.Root("foo")["dir/x.b2nd"]');
  assert.equal(pythonExpression('@public', null), 'caterva2.Root("@public")');
});

test('hostile names stay inside their quotes in Python', () => {
  const name = 'a"] + "\\\n\'\'\'\u2028%d{}<img onerror=alert(1)>\0\ud83d\ude00.b2nd';
  const expression = pythonExpression(`foo/${name}`, null);
  const literal = expression.slice('caterva2.Root("foo")['.length, -1);

  assert.equal(JSON.parse(literal), name);
  assert.ok(!/[\n\r]/.test(expression));
  // Python has all escapes of JSON but the one for a slash, which is never written.
  assert.ok(!literal.includes('\\/'));
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
