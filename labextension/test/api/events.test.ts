import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import type { IDisposable } from '@lumino/disposable';

import { EventStream } from '../../src/api/events';
import type { CaterEvent } from '../../src/api/types';
import { FakeClock } from '../support/fakes';

class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  isClosed = false;

  close(): void {
    this.isClosed = true;
    this.onclose?.();
  }

  say(epoch: string, seq: number, event: CaterEvent): void {
    this.onmessage?.({ data: JSON.stringify({ epoch, seq, at: 0, event }) });
  }
}

const gone = (path: string): CaterEvent => ({ type: 'dataset-removed', root: 'foo', path });

let sockets: FakeSocket[];
let since: ({ epoch: string; seq: number } | undefined)[];
let happened: CaterEvent[];
let clock: FakeClock;
let stream: EventStream;
let listening: IDisposable;

const last = (): FakeSocket => {
  const socket = sockets[sockets.length - 1];
  assert.ok(socket);
  return socket;
};

beforeEach(() => {
  sockets = [];
  since = [];
  happened = [];
  clock = new FakeClock();
  stream = new EventStream(position => {
    since.push(position);
    const socket = new FakeSocket();
    sockets.push(socket);
    return socket as unknown as WebSocket;
  }, clock);
  stream.happened.connect((_, event) => void happened.push(event));
  listening = stream.listen();
});

describe('the stream', () => {
  test('begins with a resync: what happened before is unknown', () => {
    last().onopen?.();

    assert.equal(stream.state, 'open');
    assert.deepEqual(happened, [{ type: 'resync', root: null }]);
  });

  test('tells each event once, whatever the numbers skip', () => {
    last().onopen?.();
    last().say('e', 3, gone('a'));
    last().say('e', 3, gone('a'));
    last().say('e', 9, gone('b'));

    assert.deepEqual(happened.slice(1), [gone('a'), gone('b')]);
  });

  test('goes on where it broke, without a resync of its own', async () => {
    last().onopen?.();
    last().say('e', 3, gone('a'));
    last().close();
    assert.equal(stream.state, 'waiting');

    await clock.turn(1000);
    last().onopen?.();

    assert.deepEqual(since, [undefined, { epoch: 'e', seq: 3 }]);
    assert.deepEqual(happened, [{ type: 'resync', root: null }, gone('a')]);
  });

  test('follows a new life of the server', async () => {
    last().onopen?.();
    last().say('e', 30, gone('a'));
    last().close();
    await clock.turn(1000);
    last().onopen?.();
    last().say('f', 0, { type: 'resync', root: null });
    last().say('f', 1, gone('b'));

    assert.deepEqual(happened.slice(2), [{ type: 'resync', root: null }, gone('b')]);
  });

  test('tries again ever more rarely, at least each quarter of a minute', async () => {
    for (let i = 0; i < 10; i += 1) {
      last().onclose?.();
      await clock.turn(15_000);
    }
    const before = sockets.length;
    last().onclose?.();
    await clock.turn(5_000);
    assert.equal(sockets.length, before);

    await clock.turn(10_000);

    assert.equal(sockets.length, before + 1);
  });

  test('tries at once when it is told to', () => {
    last().onclose?.();
    stream.retry();

    assert.equal(sockets.length, 2);
    assert.equal(clock.ntimers, 0);
  });

  test('ignores what is no event', () => {
    last().onopen?.();
    last().onmessage?.({ data: 'nonsense' });
    last().onmessage?.({ data: '{"epoch": 1}' });

    assert.equal(happened.length, 1);
  });

  test('is closed when nobody listens, and goes on where that was', () => {
    last().onopen?.();
    last().say('e', 3, gone('a'));
    const other = stream.listen();
    listening.dispose();
    assert.deepEqual([stream.state, sockets.length, last().isClosed], ['open', 1, false]);

    other.dispose();
    assert.deepEqual([stream.state, last().isClosed, clock.ntimers], ['idle', true, 0]);

    stream.listen();
    assert.deepEqual(since, [undefined, { epoch: 'e', seq: 3 }]);
  });

  test('does not come back by itself when nobody listens', () => {
    last().onclose?.();
    listening.dispose();
    stream.retry();

    assert.deepEqual([stream.state, sockets.length, clock.ntimers], ['idle', 1, 0]);
  });

  test('is silent after its end', () => {
    const socket = last();
    stream.dispose();
    socket.say('e', 1, gone('a'));

    assert.equal(socket.isClosed, true);
    assert.deepEqual(happened, []);
    assert.equal(clock.ntimers, 0);
  });
});
