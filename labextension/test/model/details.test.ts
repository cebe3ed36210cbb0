import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { ApiError } from '../../src/api/errors';
import type { Described } from '../../src/api/types';
import { DetailsModel } from '../../src/model/details';
import { entry, FakeClock, FakeFeed } from '../support/fakes';

let asked: string[];
let answer: (path: string) => Promise<Described>;
let feed: FakeFeed;
let clock: FakeClock;
let details: DetailsModel;

beforeEach(() => {
  asked = [];
  answer = async path => ({ info: { kind: 'array', dtype: path }, etag: null, freshness: 'fresh' });
  feed = new FakeFeed();
  clock = new FakeClock();
  const api = {
    info: (path: string) => {
      asked.push(path);
      return answer(path);
    }
  };
  details = new DetailsModel(api, feed, clock);
});

test('walking through rows asks for the one where it stops', async () => {
  details.show(entry('foo/a', 'array'));
  details.show(entry('foo/b', 'array'));
  await clock.turn(1000);

  assert.deepEqual(asked, ['foo/b']);
  assert.equal(details.described?.info.dtype, 'foo/b');
});

test('roots and directories have nothing to ask for', async () => {
  details.show(entry('foo', 'root'));
  await clock.turn(1000);

  assert.deepEqual(asked, []);
});

test('an answer for what is not selected any more is dropped', async () => {
  let late: (value: Described) => void = () => undefined;
  answer = () => new Promise(resolve => (late = resolve));
  details.show(entry('foo/a', 'array'));
  await clock.turn(1000);
  details.show(null);
  late({ info: { kind: 'array' }, etag: null, freshness: null });
  await clock.turn(0);

  assert.equal(details.described, null);
});

test('a change of the file is read', async () => {
  details.show(entry('foo/a', 'array'));
  await clock.turn(1000);
  feed.happened.emit({ type: 'resync', root: 'foo' });
  feed.happened.emit({ type: 'resync', root: 'bar' });
  await clock.turn(1000);

  assert.deepEqual(asked, ['foo/a', 'foo/a']);
});

test('a failure keeps what was known, and tells', async () => {
  details.show(entry('foo/a', 'array'));
  await clock.turn(1000);
  answer = () => Promise.reject(new ApiError({ message: 'away' }, 503));
  details.refresh();
  await clock.turn(1000);

  assert.equal(details.error?.message, 'away');
  assert.equal(details.described?.info.dtype, 'foo/a');
});

test('what failed for a passing reason is read again when the stream is back', async () => {
  answer = async () => {
    throw new ApiError({ message: 'the server does not answer' });
  };
  details.show(entry('foo/a', 'array'));
  await clock.turn(1000);
  answer = async () => ({ info: { kind: 'array' }, etag: null, freshness: 'fresh' });
  feed.stateChanged.emit('open');
  await clock.turn(1000);

  assert.equal(details.error, null);
  assert.equal(asked.length, 2);
});

test('what the server refused is not asked for again when the stream is back', async () => {
  answer = async () => {
    throw new ApiError({ message: 'there is no such dataset' }, 404);
  };
  details.show(entry('foo/a', 'array'));
  await clock.turn(1000);
  feed.stateChanged.emit('open');
  await clock.turn(1000);

  assert.equal(asked.length, 1);
});
