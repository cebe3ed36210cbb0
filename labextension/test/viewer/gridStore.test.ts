import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { GridStore } from '../../src/viewer/gridStore';

interface Call {
  readonly request: string;
  readonly signal: AbortSignal;
  readonly answer: (part: { nbytes: number; text: string }) => void;
  readonly fail: (reason: unknown) => void;
}

function storeWithCalls(options = { capacity: 1000, parallel: 2 }) {
  const calls: Call[] = [];
  const store = new GridStore<string, { nbytes: number; text: string }>(
    (request, signal) =>
      new Promise((answer, fail) => {
        calls.push({ request, signal, answer, fail });
      }),
    request => request,
    options
  );
  const last = (request: string): Call => {
    const call = calls.filter(one => one.request === request).at(-1);
    assert.ok(call, `nobody asked for ${request}`);
    return call;
  };
  return { store, calls, last, asked: () => calls.map(call => call.request).join(' ') };
}

/** Let all promises that are settled be heard. */
const heard = () => new Promise(resolve => setImmediate(resolve));

describe('a store', () => {
  test('asks for what is likely only when all that is urgent is here', async () => {
    const { store, last, asked } = storeWithCalls();
    store.want(['a', 'b'], ['c']);

    last('a').answer({ nbytes: 1, text: 'A' });
    await heard();
    assert.equal(asked(), 'a b');
    last('b').answer({ nbytes: 1, text: 'B' });
    await heard();
    assert.equal(asked(), 'a b c');
    assert.equal(store.peek('a')?.text, 'A');
  });

  test('asks for so many at a time', () => {
    const { store, asked } = storeWithCalls();
    store.want(['a', 'b', 'c']);

    assert.equal(asked(), 'a b');
  });

  test('asks once for what it has or waits for', async () => {
    const { store, last, asked } = storeWithCalls();
    store.want(['a']);
    store.want(['a']);
    last('a').answer({ nbytes: 1, text: 'A' });
    await heard();
    store.want(['a']);

    assert.equal(asked(), 'a');
  });

  test('drops what was only likely as soon as nobody wants it', () => {
    const { store, last } = storeWithCalls();
    store.want([], ['a', 'b']);
    store.want([], ['a', 'c']);

    assert.equal(last('b').signal.aborted, true);
    assert.equal(last('a').signal.aborted, false);
    assert.equal(last('c').signal.aborted, false);
  });

  test('lets one urgent request finish, so that a dragged slider shows something', () => {
    const { store, last } = storeWithCalls({ capacity: 1000, parallel: 4 });
    store.want(['a', 'b']);
    store.want(['c']);

    assert.equal(last('a').signal.aborted, false);
    assert.equal(last('b').signal.aborted, true);
  });

  test('makes way for what is urgent', () => {
    const { store, last, asked } = storeWithCalls();
    store.want([], ['a', 'b']);
    store.want(['c'], ['a', 'b']);

    assert.equal(asked(), 'a b c');
    assert.equal(last('a').signal.aborted, true);
    assert.equal(last('b').signal.aborted, false);
  });

  test('does not keep the answer to a request that was given up', async () => {
    const { store, last } = storeWithCalls();
    store.want([], ['a']);
    const late = last('a');
    store.want(['b']);
    late.answer({ nbytes: 1, text: 'late' });
    await heard();

    assert.equal(store.peek('a'), undefined);
  });

  test('forgets the least recently used first', async () => {
    const { store, last } = storeWithCalls({ capacity: 2, parallel: 4 });
    store.want(['a', 'b', 'c']);
    last('a').answer({ nbytes: 1, text: 'A' });
    last('b').answer({ nbytes: 1, text: 'B' });
    await heard();
    store.peek('a');
    last('c').answer({ nbytes: 1, text: 'C' });
    await heard();

    assert.deepEqual(
      ['a', 'b', 'c'].map(one => store.peek(one)?.text),
      ['A', undefined, 'C']
    );
  });

  test('keeps a failure until it is told to try again', async () => {
    const { store, last, asked } = storeWithCalls();
    store.want(['a']);
    last('a').fail(new Error('no'));
    await heard();
    store.want(['a']);

    assert.match(String(store.failure('a')), /no/);
    assert.equal(asked(), 'a');
    store.retry();
    assert.equal(asked(), 'a a');
    assert.equal(store.failure('a'), undefined);
  });

  test('tries some of what failed again, and leaves the rest', async () => {
    const { store, last, asked } = storeWithCalls();
    store.want(['a', 'b']);
    last('a').fail(new Error('passing'));
    last('b').fail(new Error('refused'));
    await heard();
    store.retry(reason => String(reason).includes('passing'));

    assert.equal(asked(), 'a b a');
    assert.match(String(store.failure('b')), /refused/);
  });

  test('asks again for what is wanted when everything has changed', async () => {
    const { store, last, asked } = storeWithCalls();
    store.want(['a']);
    last('a').answer({ nbytes: 1, text: 'old' });
    await heard();
    store.invalidate();
    last('a').answer({ nbytes: 1, text: 'new' });
    await heard();

    assert.equal(asked(), 'a a');
    assert.equal(store.peek('a')?.text, 'new');
  });

  test('is silent after its end', async () => {
    const { store, last } = storeWithCalls();
    let changes = 0;
    store.contentChanged.connect(() => {
      changes++;
    });
    store.want(['a']);
    store.dispose();

    assert.equal(last('a').signal.aborted, true);
    last('a').answer({ nbytes: 1, text: 'A' });
    await heard();
    assert.equal(changes, 0);
  });
});
