/** What is known of one file, read again when it changes. */
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import { isAborted, toApiError, type ApiError } from '../api/errors';
import type { EventFeed, FeedState } from '../api/events';
import type { CaterEvent, Described, TreeEntry } from '../api/types';
import { Debouncer, REAL_CLOCK, type Clock } from './debounce';
import { isWithin, rootOf } from './paths';

/** What it needs of the API. */
export interface InfoApi {
  info(path: string, signal?: AbortSignal): Promise<Described>;
}

/** Walking through rows with the keyboard asks for the one where it stops. */
const PAUSE_MS = 120;
const WITHOUT: ReadonlySet<string> = new Set(['root', 'area', 'directory']);

export class DetailsModel implements IDisposable {
  constructor(
    private readonly api: InfoApi,
    private readonly feed: EventFeed,
    clock: Clock = REAL_CLOCK
  ) {
    this._reading = new Debouncer(() => void this.read(), PAUSE_MS, clock);
    feed.happened.connect(this.onEvent, this);
    feed.stateChanged.connect(this.onFeed, this);
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Null as long as nothing was said of the file. */
  get described(): Described | null {
    return this._described;
  }

  get error(): ApiError | null {
    return this._error;
  }

  /** Tell of another file; null for none. */
  show(entry: TreeEntry | null): void {
    const path = entry && !WITHOUT.has(entry.kind) ? entry.path : null;
    if (path === this._path) {
      return;
    }
    this._abort.abort();
    this._path = path;
    this._described = null;
    this._error = null;
    this._reading.cancel();
    if (path !== null) {
      this._reading.ask();
    }
    this._changed.emit();
  }

  /** Read it again. */
  refresh(): void {
    if (this._path !== null) {
      this._reading.ask();
    }
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._abort.abort();
      this._reading.dispose();
      this.feed.happened.disconnect(this.onEvent, this);
      this.feed.stateChanged.disconnect(this.onFeed, this);
      Signal.clearData(this);
    }
  }

  private async read(): Promise<void> {
    const path = this._path;
    if (path === null) {
      return;
    }
    this._abort.abort();
    const abort = new AbortController();
    this._abort = abort;
    try {
      const described = await this.api.info(path, abort.signal);
      if (!abort.signal.aborted) {
        this._described = described;
        this._error = null;
      }
    } catch (reason) {
      if (abort.signal.aborted || isAborted(reason)) {
        return;
      }
      this._error = toApiError(reason);
    }
    if (!this._isDisposed && !abort.signal.aborted) {
      this._changed.emit();
    }
  }

  private onFeed(_: EventFeed, state: FeedState): void {
    if (state === 'open' && this._error?.isPassing) {
      this._reading.ask();
    }
  }

  private onEvent(_: EventFeed, event: CaterEvent): void {
    if (this._path === null) {
      return;
    }
    const root = rootOf(this._path);
    switch (event.type) {
      case 'dataset-changed':
        if (this._path === `${event.root}/${event.entry.path}`) {
          this._reading.ask();
        }
        break;
      case 'dataset-removed':
        if (isWithin(this._path, `${event.root}/${event.path}`)) {
          this.show(null);
        }
        break;
      default:
        if (event.root === null || event.root === root) {
          this._reading.ask();
        }
    }
  }

  private _path: string | null = null;
  private _described: Described | null = null;
  private _error: ApiError | null = null;
  private _abort = new AbortController();
  private _isDisposed = false;
  private readonly _reading: Debouncer;
  private readonly _changed = new Signal<this, void>(this);
}
