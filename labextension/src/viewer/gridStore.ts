/** Parts of one data set that were fetched: kept while there is room, asked for while they are wanted. */

import { Signal, type ISignal } from '@lumino/signaling';

export interface Sized {
  readonly nbytes: number;
}

export interface StoreOptions {
  /** Most bytes that are kept. */
  readonly capacity: number;
  /** Most requests at a time. */
  readonly parallel: number;
}

interface Running {
  readonly controller: AbortController;
  urgent: boolean;
}

/**
 * The state of what a view shows: a view says what it wants, the most important first; the store fetches
 * it, drops what nobody wants any more, and keeps what came, the least recently used going first.
 */
export class GridStore<Request, Part extends Sized> {
  constructor(
    private readonly load: (request: Request, signal: AbortSignal) => Promise<Part>,
    private readonly keyOf: (request: Request) => string,
    private readonly options: StoreOptions
  ) {}

  /** Something came, failed, or was dropped. */
  get contentChanged(): ISignal<this, void> {
    return this._contentChanged;
  }

  /** Counts the changes, for those who compare. */
  get version(): number {
    return this._version;
  }

  /** Return a part that is here; looking at it makes it young. */
  peek(request: Request): Part | undefined {
    const key = this.keyOf(request);
    const part = this._parts.get(key);
    if (part !== undefined) {
      this._parts.delete(key);
      this._parts.set(key, part);
    }
    return part;
  }

  /** Return why a part could not be fetched. */
  failure(request: Request): unknown {
    return this._failures.get(this.keyOf(request));
  }

  /**
   * Say what is wanted now instead of what was wanted before.
   *
   * One request that was urgent a moment ago is let finish, so that something is seen while a slider is
   * dragged faster than answers come; all others that are not wanted any more are aborted.
   */
  want(urgent: readonly Request[], likely: readonly Request[] = []): void {
    this._wanted = new Map();
    for (const request of urgent) {
      this._wanted.set(this.keyOf(request), { request, urgent: true });
    }
    for (const request of likely) {
      const key = this.keyOf(request);
      if (!this._wanted.has(key)) {
        this._wanted.set(key, { request, urgent: false });
      }
    }
    let spared = false;
    for (const [key, running] of [...this._running]) {
      const still = this._wanted.get(key);
      if (still !== undefined) {
        running.urgent = still.urgent;
      } else if (running.urgent && !spared) {
        spared = true;
        running.urgent = false;
      } else {
        this._abort(key, running);
      }
    }
    for (const key of [...this._failures.keys()]) {
      if (!this._wanted.has(key)) {
        this._failures.delete(key);
      }
    }
    this._pump();
  }

  /** Ask again for what failed, or for some of it. */
  retry(some: (reason: unknown) => boolean = () => true): void {
    const again = [...this._failures].filter(([, reason]) => some(reason));
    if (again.length === 0) {
      return;
    }
    again.forEach(([key]) => this._failures.delete(key));
    this._announce();
    this._pump();
  }

  /** Forget everything: the data set has changed. What is wanted is asked for again. */
  invalidate(): void {
    for (const [key, running] of [...this._running]) {
      this._abort(key, running);
    }
    this._parts.clear();
    this._failures.clear();
    this._bytes = 0;
    this._announce();
    this._pump();
  }

  /** Abort what runs, and announce nothing any more. */
  dispose(): void {
    this._wanted.clear();
    for (const [key, running] of [...this._running]) {
      this._abort(key, running);
    }
    Signal.clearData(this);
  }

  private _pump(): void {
    for (const [key, { request, urgent }] of this._wanted) {
      if (this._parts.has(key) || this._running.has(key) || this._failures.has(key)) {
        continue;
      }
      // What is only likely waits until all that is urgent is here: it would take its share of the server.
      if (!urgent && [...this._running.values()].some(running => running.urgent)) {
        return;
      }
      if (this._running.size >= this.options.parallel && !(urgent && this._giveWay())) {
        return;
      }
      this._start(key, request, urgent);
    }
  }

  /** Abort one request that is only likely to be needed, for the sake of one that is. */
  private _giveWay(): boolean {
    for (const [key, running] of this._running) {
      if (!running.urgent) {
        this._abort(key, running);
        return true;
      }
    }
    return false;
  }

  private _start(key: string, request: Request, urgent: boolean): void {
    const controller = new AbortController();
    const running: Running = { controller, urgent };
    this._running.set(key, running);
    this.load(request, controller.signal).then(
      part => {
        if (this._finish(key, running)) {
          this._keep(key, part);
          this._announce();
          this._pump();
        }
      },
      (reason: unknown) => {
        if (this._finish(key, running)) {
          if (this._wanted.has(key)) {
            this._failures.set(key, reason ?? new Error('the request failed'));
            this._announce();
          }
          this._pump();
        }
      }
    );
  }

  /** Tell whether an answer is to one of our requests and not to one that was given up. */
  private _finish(key: string, running: Running): boolean {
    if (this._running.get(key) !== running) {
      return false;
    }
    this._running.delete(key);
    return true;
  }

  private _abort(key: string, running: Running): void {
    this._running.delete(key);
    running.controller.abort();
  }

  private _keep(key: string, part: Part): void {
    this._parts.set(key, part);
    this._bytes += part.nbytes;
    for (const [old, { nbytes }] of [...this._parts]) {
      if (this._bytes <= this.options.capacity || this._parts.size === 1) {
        return;
      }
      if (old !== key) {
        this._parts.delete(old);
        this._bytes -= nbytes;
      }
    }
  }

  private _announce(): void {
    this._version++;
    this._contentChanged.emit();
  }

  private readonly _contentChanged = new Signal<this, void>(this);
  private readonly _parts = new Map<string, Part>();
  private readonly _running = new Map<string, Running>();
  private readonly _failures = new Map<string, unknown>();
  private _wanted = new Map<string, { readonly request: Request; readonly urgent: boolean }>();
  private _bytes = 0;
  private _version = 0;
}
