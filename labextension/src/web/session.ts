/** What the page knows of its subscriber, as one user sees it; made anew when somebody logs in or out. */
import { Signal, type ISignal } from '@lumino/signaling';

import type { Api } from '../api/client';
import { toApiError } from '../api/errors';
import { EventStream } from '../api/events';
import type { TreeEntry } from '../api/types';
import { Catalog, type ExpandedStore, type TreeApi } from '../model/catalog';
import { DetailsModel } from '../model/details';
import { parentOf, rootOf } from '../model/paths';
import type { Sorting } from '../model/sorting';
import type { UploadNotes } from '../model/uploadNotes';
import { Uploads } from '../model/uploads';

const CONTAINERS: ReadonlySet<string> = new Set(['root', 'area', 'directory']);
const AREAS = ['@personal', '@shared', '@public'];

export class Session {
  constructor(
    readonly api: Api,
    store: ExpandedStore,
    notes: UploadNotes,
    /** Lists the tree; the API itself unless only a part is shown. */
    tree: TreeApi = api
  ) {
    this.feed = new EventStream(since => api.openEvents(since));
    this.catalog = new Catalog({ api: tree, feed: this.feed, store });
    this.details = new DetailsModel(api, this.feed);
    this.uploads = new Uploads(api, { notes });
    this.uploads.arrived.connect((_, path) => this.catalog.refresh(parentOf(path)));
    this.feed.stateChanged.connect((_, state) => state === 'open' && this.uploads.wake());
    this.feed.listen();
    void this.catalog.start();
  }

  readonly feed: EventStream;
  readonly catalog: Catalog;
  readonly details: DetailsModel;
  readonly uploads: Uploads;
  /** How lists of directories were left, by path: who comes back finds his place. */
  readonly lists = new Map<string, ListPlace>();

  get said(): ISignal<this, Notice | null> {
    return this._said;
  }

  /** Whether something new may go there. */
  isWritable(path: string): boolean {
    return this.catalog.find(rootOf(path))?.entry.writable === true;
  }

  /** Whether it may be renamed, moved, deleted. */
  isOurs(entry: TreeEntry): boolean {
    return entry.kind !== 'root' && entry.kind !== 'area' && this.isWritable(entry.path);
  }

  /** The writable directory where something new goes: the one given, the one around it, or the first area. */
  goal(entry: TreeEntry | null): string | null {
    if (entry && this.isWritable(entry.path)) {
      return isContainer(entry) ? entry.path : parentOf(entry.path);
    }
    return AREAS.find(area => this.isWritable(area)) ?? null;
  }

  /** Do something at the subscriber; what goes wrong is said. Answers whether it went well. */
  async attempt(title: string, run: () => Promise<void>): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (reason) {
      this.say({ kind: 'error', text: `${title} ${toApiError(reason).sentence}` });
      return false;
    }
  }

  /** Show a sentence until it is read. */
  say(notice: Notice | null): void {
    this._said.emit(notice);
  }

  dispose(): void {
    this.catalog.dispose();
    this.details.dispose();
    this.uploads.dispose();
    this.feed.dispose();
  }

  private readonly _said = new Signal<this, Notice | null>(this);
}

/** Where one is in a list. */
export interface ListPlace {
  readonly sorting: Sorting;
  /** The row that had the focus. */
  readonly active: number;
}

export interface Notice {
  readonly kind: 'error' | 'warning' | 'info';
  readonly text: string;
}

export function isContainer(entry: TreeEntry): boolean {
  return CONTAINERS.has(entry.kind);
}

