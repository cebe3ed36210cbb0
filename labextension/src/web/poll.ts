/** Something at a server that is read again and again, as long as somebody looks. */
import { Signal, type ISignal } from '@lumino/signaling';
import type { IDisposable } from '@lumino/disposable';

import { isAborted, toApiError } from '../api/errors';
import { REAL_CLOCK, type Clock } from '../model/debounce';

export interface PollOptions {
  readonly clock?: Clock;
  /** Whether nobody can see it, so that there is no need to read. */
  readonly isHidden?: () => boolean;
}

/**
 * What was read last stays while it is read again, and when that fails: nothing flickers.
 * An answer to an earlier question never replaces that to a later one.
 */
export class Poll<T> implements IDisposable {
  /** @param read - Reads it; asked for the next time so many milliseconds after it was answered. */
  constructor(
    private readonly read: () => Promise<T>,
    private readonly ms: number,
    { clock = REAL_CLOCK, isHidden = () => document.hidden }: PollOptions = {}
  ) {
    this.clock = clock;
    this.isHidden = isHidden;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** What was read last; null as long as nothing was. */
  get value(): T | null {
    return this._value;
  }

  /** Why it could not be read the last time; null if it could. */
  get problem(): string | null {
    return this._problem;
  }

  /** Read it now, and from then on again and again. */
  async refresh(): Promise<void> {
    if (this._isDisposed) {
      return;
    }
    this.clock.clear(this._timer);
    const question = (this._question += 1);
    let value: T | null = null;
    let problem: string | null = null;
    try {
      value = await this.read();
    } catch (reason) {
      problem = isAborted(reason) ? null : toApiError(reason).sentence;
    }
    if (this._isDisposed || question !== this._question) {
      return;
    }
    this._value = value ?? this._value;
    this._problem = problem;
    this._changed.emit();
    this.wait();
  }

  dispose(): void {
    this._isDisposed = true;
    this.clock.clear(this._timer);
    Signal.clearData(this);
  }

  private wait(): void {
    this._timer = this.clock.set(() => {
      if (this.isHidden()) {
        this.wait();
      } else {
        void this.refresh();
      }
    }, this.ms);
  }

  private readonly clock: Clock;
  private readonly isHidden: () => boolean;
  private _value: T | null = null;
  private _problem: string | null = null;
  private _question = 0;
  private _timer: unknown = null;
  private _isDisposed = false;
  private readonly _changed = new Signal<this, void>(this);
}
