import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { TreeOptions } from '../../src/api/client';
import type { TreeEntry, TreePage } from '../../src/api/types';
import { suggest } from '../../src/web/suggest';
import { TEXTS } from '../../src/web/texts';

const FILES = ['foo/a.b2nd', 'foo/dir/ab.b2nd', 'foo/a.txt', 'bar/a.b2nd'];

const api = {
  asked: [] as [string, TreeOptions | undefined][],
  async tree(path: string, options?: TreeOptions): Promise<TreePage> {
    this.asked.push([path, options]);
    const tops = ['foo', 'bar', 'far'].map(name => ({ path: name, name, kind: 'root', subscribed: name !== 'far' }));
    const files = FILES.filter(file => file.startsWith(`${path}/`)).map(file => ({
      path: file,
      name: file,
      kind: 'array',
      shape: file.endsWith('.b2nd') ? [1] : null
    }));
    return { path, entries: (path === '' ? tops : files) as TreeEntry[], next: null, total: 0, state: 'fresh' } as TreePage;
  }
};

test('datasets of all subscribed roots are suggested, and nothing else', async () => {
  const found = await suggest(api, 'a', new AbortController().signal);
  assert.deepEqual(found, ['foo/a.b2nd', 'foo/dir/ab.b2nd', 'bar/a.b2nd']);
  assert.ok(!api.asked.some(([path]) => path === 'far'));
});

test('a root and directory that were typed are kept', async () => {
  assert.deepEqual(await suggest(api, 'foo/dir/a', new AbortController().signal), ['foo/dir/ab.b2nd']);
});

test('texts take their values', () => {
  assert.equal(TEXTS.__('%2 of %1', 'b', 'a'), 'a of b');
  assert.equal(TEXTS._n('%1 row', '%1 rows of %2', 2, 'x'), '2 rows of x');
});
