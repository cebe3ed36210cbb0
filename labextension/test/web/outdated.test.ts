import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isOutdated } from '../../src/web/outdated';

const page = {
  baseURI: 'http://host/prefix/',
  querySelector: () => ({ getAttribute: () => 'static/main-AAAAAAAA.js' })
} as unknown as Document;

const answering = (text: string, status = 200): typeof fetch => async () => new Response(text, { status });

test('a page is outdated when its subscriber serves another script', async () => {
  const script = (hash: string): string => `<script type="module" src="static/main-${hash}.js"></script>`;

  assert.equal(await isOutdated(page, answering(script('AAAAAAAA'))), false);
  assert.equal(await isOutdated(page, answering(script('BBBBBBBB'))), true);
});

test('a subscriber that does not answer says nothing of its build', async () => {
  assert.equal(await isOutdated(page, answering('bad gateway', 502)), false);
  assert.equal(await isOutdated(page, () => Promise.reject(new TypeError('no connection'))), false);
});
