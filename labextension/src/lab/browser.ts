/** What the sidebar shows: the tree, details and uploads of the current subscriber. */
import type { IStateDB } from '@jupyterlab/statedb';
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import type { EventFeed, FeedState } from '../api/events';
import { Catalog, type ExpandedStore } from '../model/catalog';
import { DetailsModel } from '../model/details';
import { parentOf } from '../model/paths';
import { browserStore, UploadNotes } from '../model/uploadNotes';
import { Uploads } from '../model/uploads';
import type { Connection, ICaterva2 } from './tokens';

/** One subscriber, as it is browsed. */
export class Session implements IDisposable {
  constructor(
    readonly connection: Connection,
    store: ExpandedStore | undefined,
    pageSize: number
  ) {
    const { api, feed } = connection;
    this.catalog = new Catalog({ api, feed, pageSize, ...(store ? { store } : {}) });
    this.details = new DetailsModel(api, feed);
    const notes = new UploadNotes(browserStore(), `caterva2:uploads:${api.base}`);
    this.uploads = new Uploads(api, { notes });
    feed.stateChanged.connect(this.onFeed, this);
    this.catalog.selectionChanged.connect(this.onSelection, this);
    this.uploads.arrived.connect((_, path) => this.catalog.refresh(parentOf(path)));
    void this.catalog.start();
  }

  readonly catalog: Catalog;
  readonly details: DetailsModel;
  readonly uploads: Uploads;

  /** Whether it is seen; only then it listens to what happens. */
  set isShown(shown: boolean) {
    if (shown) {
      this._listening ??= this.connection.feed.listen();
    } else {
      this._listening?.dispose();
      this._listening = null;
    }
  }

  get isDisposed(): boolean {
    return this.catalog.isDisposed;
  }

  dispose(): void {
    this.isShown = false;
    this.connection.feed.stateChanged.disconnect(this.onFeed, this);
    this.catalog.dispose();
    this.details.dispose();
    this.uploads.dispose();
  }

  /** The server is there again. */
  private onFeed(_: EventFeed, state: FeedState): void {
    if (state === 'open') {
      this.uploads.wake();
    }
  }

  private onSelection(_: Catalog, path: string | null): void {
    this.details.show(path === null ? null : (this.catalog.find(path)?.entry ?? null));
  }

  private _listening: IDisposable | null = null;
}

export interface BrowserOptions {
  readonly connections: ICaterva2;
  readonly state: IStateDB | null;
}

export class Browser implements IDisposable {
  constructor({ connections, state }: BrowserOptions) {
    this.connections = connections;
    this._state = state;
    connections.changed.connect(this.onConnections, this);
    this.onConnections();
  }

  readonly connections: ICaterva2;
  /** Rows of the first page of a directory. */
  get pageSize(): number {
    return this._pageSize;
  }

  set pageSize(pageSize: number) {
    this._pageSize = pageSize;
    for (const session of this._sessions.values()) {
      session.catalog.pageSize = pageSize;
    }
  }

  /** Another subscriber is shown, or another name is edited. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The tree that is shown has changed. */
  get treeChanged(): ISignal<this, void> {
    return this._treeChanged;
  }

  get session(): Session | null {
    return this._session;
  }

  /** Those of all subscribers that were shown. */
  get uploads(): readonly Uploads[] {
    return [...this._sessions.values()].map(session => session.uploads);
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Path of the row whose name is being edited. */
  get edited(): string | null {
    return this._edited;
  }

  edit(path: string | null): void {
    this._edited = path;
    this._changed.emit();
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this.connections.changed.disconnect(this.onConnections, this);
      this._sessions.forEach(session => session.dispose());
      Signal.clearData(this);
    }
  }

  private onConnections(): void {
    const name = this.connections.current;
    if (name !== null && name !== this._session?.connection.name) {
      const before = this._session;
      this._session = this.sessionOf(name);
      this._session.isShown = true;
      if (before) {
        before.isShown = false;
      }
      this._edited = null;
    }
    this._changed.emit();
  }

  /** Sessions are kept: uploads go on while another one is shown, and what happened meanwhile is heard later. */
  private sessionOf(name: string): Session {
    let session = this._sessions.get(name);
    if (!session) {
      session = new Session(this.connections.get(name), this.storeOf(name), this.pageSize);
      session.catalog.changed.connect(() => this._treeChanged.emit());
      this._sessions.set(name, session);
    }
    return session;
  }

  private storeOf(name: string): ExpandedStore | undefined {
    const state = this._state;
    if (!state) {
      return undefined;
    }
    const key = `caterva2:expanded:${name}`;
    return {
      load: async () => {
        const value = await state.fetch(key);
        return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
      },
      save: paths => state.save(key, [...paths])
    };
  }

  private readonly _state: IStateDB | null;
  private readonly _sessions = new Map<string, Session>();
  private _session: Session | null = null;
  private _edited: string | null = null;
  private _pageSize = 200;
  private _isDisposed = false;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _treeChanged = new Signal<this, void>(this);
}
