import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { TreeOptions } from '../../src/api/client';
import type { TreeEntry, TreePage } from '../../src/api/types';
import { sharedTree } from '../../src/web/shared';

/** A subscriber that knows what is shared, and refuses everything else. */
function apiOf(shared: string, isFile: boolean) {
  const asked: [string, TreeOptions | undefined][] = [];
  return {
    asked,
    async tree(path: string, options?: TreeOptions): Promise<TreePage> {
      asked.push([path, options]);
      assert.ok(path === shared || path.startsWith(`${shared}/`), path);
      const entry = isFile
        ? { path: shared, kind: 'text', name: 'x' }
        : { path: `${path}/x.txt`, kind: 'text', name: 'x.txt' };
      return { path, entries: [entry as TreeEntry], next: null, total: 1, state: 'fresh' } as TreePage;
    }
  };
}

async function walk(shared: string, isFile: boolean, ...paths: string[]): Promise<[string, string][]> {
  const tree = sharedTree(apiOf(shared, isFile), shared);
  const pages = await Promise.all(paths.map(path => tree.tree(path)));
  return pages.flatMap(page => page.entries.map((entry): [string, string] => [entry.path, entry.kind]));
}

test('the way to a shared directory is shown, and what is in it', async () => {
  assert.deepEqual(await walk('foo/a/b', false, '', 'foo', 'foo/a', 'foo/a/b', 'foo/a/b/c'), [
    ['foo', 'root'],
    ['foo/a', 'directory'],
    ['foo/a/b', 'directory'],
    ['foo/a/b/x.txt', 'text'],
    ['foo/a/b/c/x.txt', 'text']
  ]);
});

test('a shared file has its own row', async () => {
  assert.deepEqual(await walk('@personal/x', true, '', '@personal'), [
    ['@personal', 'area'],
    ['@personal/x', 'text']
  ]);
});

test('a whole root can be shared', async () => {
  assert.deepEqual(await walk('foo', false, '', 'foo'), [
    ['foo', 'root'],
    ['foo/x.txt', 'text']
  ]);
});

test('a search looks through what is shared', async () => {
  const api = apiOf('foo/a', false);
  await sharedTree(api, 'foo/a').tree('foo', { filter: 'x', recursive: true });
  assert.deepEqual(api.asked, [['foo/a', { filter: 'x', recursive: true }]]);
});
