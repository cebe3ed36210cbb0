import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { TreeEntry } from '../../src/api/types';
import { snippetsOf, shell } from '../../src/web/code';

function entry(path: string, kind: TreeEntry['kind']): TreeEntry {
  return { path, name: path.split('/').at(-1) ?? path, kind } as TreeEntry;
}

test('an array is opened by all who can', () => {
  const found = snippetsOf(entry('foo/dir/x.b2nd', 'array'), 'https://host/data/');
  assert.deepEqual(
    found.map(snippet => snippet.name),
    ['Python', 'cat2cli', 'blosc2', 'xarray', 'curl']
  );
  assert.match(found[0]?.code ?? '', /caterva2\.Root\("foo", urlbase="https:\/\/host\/data"\)\["dir\/x\.b2nd"\]/);
  assert.equal(found[1]?.code, 'cat2cli --subscriber https://host/data show foo/dir/x.b2nd');
});

test('a file is downloaded and a directory is listed', () => {
  const file = snippetsOf(entry("foo/it's.txt", 'text'), 'http://host/');
  assert.equal(file[1]?.code, "cat2cli --subscriber http://host download 'foo/it'\\''s.txt'");
  const directory = snippetsOf(entry('foo', 'root'), 'http://host/');
  assert.deepEqual(
    directory.map(snippet => snippet.name),
    ['Python', 'cat2cli']
  );
});

test('a word for a shell is one word', () => {
  assert.equal(shell('@public/a-b_c.txt'), '@public/a-b_c.txt');
  assert.equal(shell('$(rm x); y'), "'$(rm x); y'");
});
