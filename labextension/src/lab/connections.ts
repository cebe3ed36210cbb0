/** The subscribers that the server extension knows, and the connection to each. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import { Api } from '../api/client';
import { ApiError, errorOf, notWhatWasAsked, toApiError } from '../api/errors';
import { EventStream } from '../api/events';
import type { HostWords, Translator } from '../api/host';
import type { Status, SubscriberStatus } from '../api/types';
import { JupyterHost } from './host';
import type { Connection, ICaterva2 } from './tokens';

/** How long to wait before asking again for a subscriber that is not connected, in milliseconds. */
const AGAIN_MS = 3_000;
const PATIENCE_MS = 30_000;

export class Connections implements ICaterva2, IDisposable {
  constructor(
    private readonly settings: ServerConnection.ISettings,
    private readonly trans: Translator
  ) {
    this._host = new JupyterHost(settings, trans);
  }

  get changed(): ISignal<ICaterva2, void> {
    return this._changed;
  }

  get status(): Status | null {
    return this._status;
  }

  get error(): ApiError | null {
    return this._error;
  }

  get current(): string | null {
    const known = this._status;
    if (!known) {
      return null;
    }
    const { current, subscribers } = known;
    return subscribers.some(one => one.name === current) ? current : (subscribers[0]?.name ?? null);
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  subscriber(name: string): SubscriberStatus | null {
    return this._status?.subscribers.find(one => one.name === name) ?? null;
  }

  get(name: string): Connection {
    let known = this._connections.get(name);
    if (!known) {
      const base = URLExt.join(this.settings.baseUrl, 'caterva2/s', encodeURIComponent(name)) + '/';
      const api = new Api(this._host, base);
      const feed = new EventStream(since => api.openEvents(since));
      // What the server extension knows of the subscriber has probably changed too.
      feed.stateChanged.connect((_, state) => {
        if (state === 'waiting' || state === 'open') {
          void this.refresh();
        }
      });
      known = { name, api, feed };
      this._connections.set(name, known);
    }
    return known;
  }

  refresh(): Promise<void> {
    this._refreshing ??= this.read().finally(() => {
      this._refreshing = null;
    });
    return this._refreshing;
  }

  switchTo(name: string): Promise<void> {
    return this.change('api/current', { name });
  }

  async logIn(name: string, user: string, password: string): Promise<void> {
    await this.change('api/login', { name, user, password });
    this._connections.get(name)?.feed.retry();
  }

  logOut(name: string): Promise<void> {
    return this.change('api/logout', { name });
  }

  /** Try at once to reach what could not be reached. */
  async retry(): Promise<void> {
    await this.refresh();
    this._connections.forEach(({ feed }) => feed.retry());
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      clearTimeout(this._timer);
      this._connections.forEach(({ feed }) => feed.dispose());
      Signal.clearData(this);
    }
  }

  private async read(): Promise<void> {
    clearTimeout(this._timer);
    try {
      const response = await this.send('api/status');
      this._status = asStatus(await response.json(), this._host.words);
      this._error = null;
    } catch (reason) {
      this._error = toApiError(reason, this._host.words);
    }
    if (this._isDisposed) {
      return;
    }
    // One that stops may still answer for a moment; its events have ended by then.
    const feed = this._connections.get(this.current ?? '')?.feed.state ?? 'idle';
    const isWell =
      this._error === null &&
      this.subscriber(this.current ?? '')?.connected === true &&
      (feed === 'open' || feed === 'idle');
    if (!isWell) {
      this._timer = setTimeout(() => void this.refresh(), AGAIN_MS);
    }
    this._changed.emit();
  }

  private async change(path: string, content: object): Promise<void> {
    await this.send(path, {
      method: 'POST',
      body: JSON.stringify(content),
      headers: { 'Content-Type': 'application/json' }
    });
    // What is being read already may be older than the change.
    await this._refreshing;
    await this.refresh();
  }

  private async send(path: string, init: RequestInit = {}): Promise<Response> {
    const url = URLExt.join(this.settings.baseUrl, 'caterva2', path);
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await this._host.request(url, { ...init, signal });
    if (response.status === 404) {
      throw new ApiError(
        {
          message: this.trans.__('the server extension of Caterva2 is not running in this Jupyter'),
          code: 'no-server-extension',
          hint: this.trans.__('run %1, and start Jupyter again', '"jupyter server extension enable caterva2_jupyter"')
        },
        404
      );
    }
    if (!response.ok) {
      throw await errorOf(response, this._host.words);
    }
    return response;
  }

  private _status: Status | null = null;
  private _error: ApiError | null = null;
  private _isDisposed = false;
  private _refreshing: Promise<void> | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined = undefined;
  private readonly _host: JupyterHost;
  private readonly _connections = new Map<string, Connection>();
  private readonly _changed = new Signal<ICaterva2, void>(this);
}

function asStatus(value: unknown, words: HostWords): Status {
  if (typeof value === 'object' && value !== null && 'subscribers' in value && Array.isArray(value.subscribers)) {
    return value as Status;
  }
  throw notWhatWasAsked(0, words);
}
