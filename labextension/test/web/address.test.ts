import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ViewerState } from '../../src/viewer/state';
import { readPlace, readQuery, writePlace, writeQuery, type Place } from '../../src/web/address';

function roundTrip(place: Place): Place {
  const url = new URL(writePlace(place), 'http://host/some/prefix/');
  return readPlace(url.pathname.slice('/some/prefix/'.length), url.search);
}

test('every place is found again from its address', () => {
  const places: Place[] = [
    { kind: 'home' },
    { kind: 'login' },
    { kind: 'register' },
    { kind: 'forgot-password' },
    { kind: 'reset-password', token: 'a.b/c?d' },
    { kind: 'account' },
    { kind: 'admin' },
    { kind: 'admin', part: 'service' },
    { kind: 'path', path: '@public', state: {} },
    { kind: 'path', path: 'foo/sp ace/ünï+ #1?%.b2nd', state: {} }
  ];
  for (const place of places) {
    assert.deepEqual(roundTrip(place), place);
  }
});

test('what a viewer shows survives the way through an address', () => {
  const state: ViewerState = {
    view: 'heatmap',
    x: 2,
    y: 1,
    indices: [0, 3, 7],
    field: 'a b&c',
    colorMap: 'magma',
    reversed: true,
    summary: false,
    scale: 'log',
    aspect: 'fill',
    range: { kind: 'percentile', low: 1, high: 99.5 },
    zoom: { x0: 0.5, y0: 2, x1: 10, y1: 20 },
    filter: '(a > 0) & (b < 10)',
    sortby: '-energy'
  };
  assert.deepEqual(readQuery(writeQuery(state)), state);
  assert.deepEqual(readQuery(writeQuery({ range: { kind: 'auto' } })), { range: { kind: 'auto' } });
});

test('a query that somebody made up does no harm', () => {
  assert.deepEqual(readQuery('?x=-1&at=1,NaN&zoom=3,1,0,9&view=nothing&range=manual,a,b&other=1'), {});
  assert.deepEqual(readPlace('roots/%E0%A4%A/x', ''), { kind: 'path', path: '%E0%A4%A/x', state: {} });
  assert.deepEqual(readPlace('elsewhere/x', ''), { kind: 'home' });
  assert.deepEqual(readPlace('roots/', ''), { kind: 'home' });
});

test('nothing to say needs no query', () => {
  assert.equal(writePlace({ kind: 'path', path: 'foo/a', state: {} }), 'roots/foo/a');
});
