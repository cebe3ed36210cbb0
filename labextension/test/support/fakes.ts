/** Stand-ins for what is not ours: a clock that tests turn, a subscriber in memory, a feed one can speak through. */
import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import type { TreeOptions } from '../../src/api/client';
import { ApiError } from '../../src/api/errors';
import type { EventFeed, FeedState } from '../../src/api/events';
import type { CaterEvent, TreeEntry, TreeKind, TreePage } from '../../src/api/types';
import type { Clock } from '../../src/model/debounce';

/** A clock that stands still until it is turned. */
export class FakeClock implements Clock {
  now(): number {
    return this._now;
  }

  set(run: () => void, ms: number): unknown {
    const timer = { at: this._now + ms, run };
    this._timers.add(timer);
    return timer;
  }

  clear(timer: unknown): void {
    this._timers.delete(timer as { at: number; run: () => void });
  }

  /** Let time pass, and everything that was due then happen. */
  async turn(ms: number): Promise<void> {
    const end = this._now + ms;
    for (;;) {
      await settle();
      const next = [...this._timers].filter(t => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) {
        break;
      }
      this._timers.delete(next);
      this._now = Math.max(this._now, next.at);
      next.run();
    }
    this._now = end;
    await settle();
  }

  get ntimers(): number {
    return this._timers.size;
  }

  private _now = 0;
  private readonly _timers = new Set<{ at: number; run: () => void }>();
}

/** Let all promises that can, be kept. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i += 1) {
    await Promise.resolve();
  }
}

export class FakeFeed implements EventFeed {
  state: FeedState = 'open';
  readonly stateChanged: Signal<EventFeed, FeedState> = new Signal<EventFeed, FeedState>(this);
  readonly happened: Signal<EventFeed, CaterEvent> = new Signal<EventFeed, CaterEvent>(this);
  nlisteners = 0;

  listen(): IDisposable {
    this.nlisteners += 1;
    return new DisposableDelegate(() => (this.nlisteners -= 1));
  }
}

export function entry(path: string, kind: TreeKind, more: Partial<TreeEntry> = {}): TreeEntry {
  return {
    name: path.slice(path.lastIndexOf('/') + 1),
    path,
    kind,
    shape: null,
    dtype: null,
    size: null,
    mtime: null,
    etag: null,
    lazy: false,
    error: null,
    subscribed: kind === 'root' || kind === 'area' ? true : null,
    state: kind === 'root' || kind === 'area' ? 'fresh' : null,
    writable: false,
    ...more
  };
}

/** A subscriber: directories in memory, pages as the real one cuts them. */
export class FakeSubscriber {
  readonly directories = new Map<string, TreeEntry[]>();
  readonly asked: { path: string; options: TreeOptions }[] = [];
  /** Directories that can not be read at present. */
  readonly failing = new Map<string, ApiError>();

  put(directory: string, ...entries: TreeEntry[]): void {
    this.directories.set(directory, entries);
  }

  async tree(path: string, options: TreeOptions = {}, signal?: AbortSignal): Promise<TreePage> {
    this.asked.push({ path, options });
    await Promise.resolve();
    signal?.throwIfAborted();
    const failure = this.failing.get(path);
    if (failure) {
      throw failure;
    }
    let all = this.directories.get(path);
    if (!all) {
      throw new ApiError({ message: `there is no ${path}`, code: 'dataset-not-found' }, 404);
    }
    if (options.recursive) {
      all = [...this.directories.values()].flat().filter(item => item.path.startsWith(`${path}/`));
    }
    const { filter } = options;
    if (filter) {
      all = all.filter(item => item.name.includes(filter));
    }
    const behind = `${path}/${options.after}`.replace(/\/$/, '');
    const start = options.after
      ? all.findIndex(item => item.path === options.after || item.path === behind) + 1
      : (options.offset ?? 0);
    const limit = options.limit ?? 200;
    const entries = all.slice(start, start + limit);
    const last = entries[entries.length - 1];
    const next = start + limit < all.length && last ? last.path : null;
    return { path, entries, next, total: all.length, offset: start, state: 'fresh', age_s: 0, writable: false };
  }

  /** How often a directory was read. */
  nasked(path: string): number {
    return this.asked.filter(one => one.path === path).length;
  }
}
