import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import { Signal } from '@lumino/signaling';

import type { PutOptions } from '../../src/api/client';
import { Browser } from '../../src/lab/browser';
import type { Connection, ICaterva2 } from '../../src/lab/tokens';
import { FakeFeed, FakeSubscriber, settle } from '../support/fakes';

class FakeConnections {
  readonly changed = new Signal<ICaterva2, void>(this as unknown as ICaterva2);
  current: string | null = 'near';
  readonly aborted: string[] = [];
  readonly finish: (() => void)[] = [];

  readonly feeds = new Map<string, FakeFeed>();

  get(name: string): Connection {
    const feed = new FakeFeed();
    this.feeds.set(name, feed);
    const subscriber = new FakeSubscriber();
    subscriber.put('');
    const put = (directory: string, file: File, options: PutOptions = {}): Promise<string> =>
      new Promise(resolve => {
        this.finish.push(() => resolve(`${directory}/${file.name}`));
        options.signal?.addEventListener('abort', () => this.aborted.push(file.name));
      });
    return { name, api: Object.assign(subscriber, { put }), feed } as unknown as Connection;
  }

  show(name: string): void {
    this.current = name;
    this.changed.emit();
  }
}

let connections: FakeConnections;
let browser: Browser;

beforeEach(() => {
  connections = new FakeConnections();
  browser = new Browser({ connections: connections as unknown as ICaterva2, state: null });
});

describe('switching to another subscriber', () => {
  test('uploads to the one before go on, and are seen when it is shown again', async () => {
    const near = browser.session;
    near?.uploads.add('@public', [new File(['x'], 'a')]);

    connections.show('far');
    assert.equal(browser.session?.connection.name, 'far');
    assert.deepEqual(browser.session?.uploads.list, []);
    connections.finish[0]?.();
    await settle();
    connections.show('near');

    assert.equal(browser.session, near);
    assert.deepEqual(
      near?.uploads.list.map(upload => upload.state),
      ['done']
    );
    assert.deepEqual(connections.aborted, []);
  });

  test('only the one that is shown is listened to', () => {
    const listeners = (): (number | undefined)[] =>
      ['near', 'far'].map(name => connections.feeds.get(name)?.nlisteners);
    assert.deepEqual(listeners(), [1, undefined]);

    connections.show('far');
    assert.deepEqual(listeners(), [0, 1]);
    connections.show('near');
    assert.deepEqual(listeners(), [1, 0]);

    browser.dispose();
    assert.deepEqual(listeners(), [0, 0]);
  });

  test('all are given up with the sidebar', () => {
    const near = browser.session;
    near?.uploads.add('@public', [new File(['x'], 'a')]);
    connections.show('far');
    const far = browser.session;

    browser.dispose();

    assert.deepEqual([near?.isDisposed, far?.isDisposed], [true, true]);
    assert.deepEqual(connections.aborted, ['a']);
  });
});
