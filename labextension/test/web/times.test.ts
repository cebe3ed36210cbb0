import assert from 'node:assert/strict';
import { test } from 'node:test';

import { formatPercent, formatShare, formatSince, formatSpan } from '../../src/web/times';

test('spans have one unit', () => {
  assert.deepEqual([-3, 0, 59, 119, 120, 7199, 7200, 172_799, 172_800].map(formatSpan), [
    '0 s',
    '0 s',
    '59 s',
    '119 s',
    '2 min',
    '119 min',
    '2 h',
    '47 h',
    '2 d'
  ]);
});

test('since is by the clock of who tells', () => {
  assert.equal(formatSince('2026-01-01T00:00:00Z', '2026-01-01T00:05:00Z'), '5 min');
  assert.equal(formatSince('whenever', '2026-01-01T00:05:00Z'), 'whenever');
});

test('percents are whole', () => {
  assert.deepEqual([formatPercent(0, 7), formatPercent(1, 1000), formatPercent(83, 100), formatPercent(3, 2)], ['0 %', '<1 %', '83 %', '150 %']);
});

test('shares of nothing are a dash', () => {
  assert.deepEqual([formatShare(0, 0), formatShare(0, 5), formatShare(1, 3), formatShare(5, 5)], ['–', '0 %', '33.3 %', '100 %']);
});
