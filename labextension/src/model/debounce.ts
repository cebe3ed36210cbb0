/** Doing things once when they are asked for often. */
import type { IDisposable } from '@lumino/disposable';

/** Timer functions; tests turn them by hand. */
export interface Clock {
  now(): number;
  set(run: () => void, ms: number): unknown;
  clear(timer: unknown): void;
}

export const REAL_CLOCK: Clock = {
  now: () => Date.now(),
  set: (run, ms) => setTimeout(run, ms),
  clear: timer => clearTimeout(timer as ReturnType<typeof setTimeout>)
};

/** Runs a function once, some time after the last time that it was asked for. */
export class Debouncer implements IDisposable {
  constructor(
    private readonly run: () => void,
    private readonly ms: number,
    private readonly clock: Clock = REAL_CLOCK
  ) {}

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Ask for it; earlier wishes are forgotten. */
  ask(): void {
    this.cancel();
    if (!this._isDisposed) {
      this._timer = this.clock.set(() => {
        this._timer = null;
        this.run();
      }, this.ms);
    }
  }

  /** Run it now if it was asked for. */
  flush(): void {
    if (this._timer !== null) {
      this.cancel();
      this.run();
    }
  }

  /** Forget that it was asked for. */
  cancel(): void {
    if (this._timer !== null) {
      this.clock.clear(this._timer);
      this._timer = null;
    }
  }

  dispose(): void {
    this.cancel();
    this._isDisposed = true;
  }

  private _timer: unknown = null;
  private _isDisposed = false;
}
