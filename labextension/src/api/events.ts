/** The stream of changes: one websocket, open as long as somebody listens, continued where it broke. */
import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import type { CaterEvent, Envelope } from './types';

/** Waiting times before the first, second, … attempt, in milliseconds; the last one repeats. */
const PAUSES_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000];

/** `idle`: nobody listens. */
export type FeedState = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed';

/** What opens the stream, `Api.openEvents` for example. */
export type OpenEvents = (since?: { epoch: string; seq: number }) => WebSocket;

/** What a viewer or a tree may do with the stream. */
export interface EventFeed {
  readonly state: FeedState;
  readonly stateChanged: ISignal<EventFeed, FeedState>;
  /** Each change once, in order. `resync` means: changes may have been missed, read again. */
  readonly happened: ISignal<EventFeed, CaterEvent>;
}

/** Timer functions; tests turn them by hand. */
export interface Timers {
  set(run: () => void, ms: number): unknown;
  clear(timer: unknown): void;
}

const REAL: Timers = {
  set: (run, ms) => setTimeout(run, ms),
  clear: timer => clearTimeout(timer as ReturnType<typeof setTimeout>)
};

/** The events of one subscriber. */
export class EventStream implements EventFeed, IDisposable {
  constructor(
    private readonly open: OpenEvents,
    private readonly timers: Timers = REAL
  ) {}

  get state(): FeedState {
    return this._state;
  }

  get stateChanged(): ISignal<EventFeed, FeedState> {
    return this._stateChanged;
  }

  get happened(): ISignal<EventFeed, CaterEvent> {
    return this._happened;
  }

  get isDisposed(): boolean {
    return this._state === 'closed';
  }

  /** Keep the stream open until what is returned is disposed; the first who listens opens it, the last closes it. */
  listen(): IDisposable {
    this._nlisteners += 1;
    if (this._state === 'idle') {
      this.connect();
    }
    return new DisposableDelegate(() => {
      this._nlisteners -= 1;
      if (this._nlisteners === 0 && !this.isDisposed) {
        this.leave('idle');
      }
    });
  }

  /** Do not wait for the next attempt. */
  retry(): void {
    if (this._state === 'waiting') {
      this._attempts = 0;
      this.connect();
    }
  }

  dispose(): void {
    if (!this.isDisposed) {
      this.leave('closed');
      Signal.clearData(this);
    }
  }

  private leave(state: FeedState): void {
    this.timers.clear(this._timer);
    const socket = this._socket;
    this._socket = null;
    this._attempts = 0;
    this.enter(state);
    socket?.close();
  }

  private connect(): void {
    this.timers.clear(this._timer);
    this.enter('connecting');
    let socket: WebSocket;
    try {
      socket = this.open(this._position ?? undefined);
    } catch {
      this.wait();
      return;
    }
    this._socket = socket;
    socket.onopen = () => {
      if (this._socket !== socket) {
        return;
      }
      this.enter('open');
      if (!this._position) {
        // What happened before is unknown.
        this._happened.emit({ type: 'resync', root: null });
      }
    };
    socket.onmessage = message => {
      if (this._socket === socket) {
        this._attempts = 0;
        this.receive(message.data);
      }
    };
    socket.onclose = () => {
      if (this._socket === socket) {
        this._socket = null;
        this.wait();
      }
    };
  }

  private receive(data: unknown): void {
    const envelope = typeof data === 'string' ? parse(data) : null;
    if (!envelope) {
      return;
    }
    const { epoch, seq, event } = envelope;
    const known = this._position;
    if (known && known.epoch === epoch && seq <= known.seq && event.type !== 'resync') {
      return; // told twice
    }
    this._position = { epoch, seq };
    this._happened.emit(event);
  }

  private wait(): void {
    const pause = PAUSES_MS[Math.min(this._attempts, PAUSES_MS.length - 1)] ?? 15_000;
    this._attempts += 1;
    this.enter('waiting');
    // Half of it by chance: not all browsers come back at once.
    this._timer = this.timers.set(() => this.connect(), pause * (0.5 + Math.random() / 2));
  }

  private enter(state: FeedState): void {
    if (state !== this._state) {
      this._state = state;
      this._stateChanged.emit(state);
    }
  }

  private _state: FeedState = 'idle';
  private _nlisteners = 0;
  private _socket: WebSocket | null = null;
  private _position: { epoch: string; seq: number } | null = null;
  private _attempts = 0;
  private _timer: unknown = null;
  private readonly _stateChanged = new Signal<EventFeed, FeedState>(this);
  private readonly _happened = new Signal<EventFeed, CaterEvent>(this);
}

function parse(text: string): Envelope | null {
  try {
    const value: unknown = JSON.parse(text);
    return isEnvelope(value) ? value : null;
  } catch {
    return null;
  }
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== 'object' || value === null) {
    return false;
  }
  const { epoch, seq, event } = value as Partial<Envelope>;
  return typeof epoch === 'string' && typeof seq === 'number' && typeof event === 'object' && event !== null;
}
