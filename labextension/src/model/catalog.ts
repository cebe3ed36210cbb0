/**
 * The state of the tree: what is known, what is expanded, what is looked for.
 *
 * Directories are read page by page when they are shown. Changes that the server
 * tells are applied; where that does not suffice, what is shown is read again.
 */
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import { isAborted, toApiError, type ApiError } from '../api/errors';
import type { EventFeed, FeedState } from '../api/events';
import type { CaterEvent, TreeEntry, TreeKind, TreePage, TreeState } from '../api/types';
import type { TreeOptions } from '../api/client';
import { entryOf } from './entries';
import { FarRows } from './farRows';
import { Debouncer, REAL_CLOCK, type Clock } from './debounce';
import { ancestorsOf, isWithin, parentOf, rootOf } from './paths';

/** What the tree needs of the API. */
export interface TreeApi {
  tree(path: string, options?: TreeOptions, signal?: AbortSignal): Promise<TreePage>;
}

/** Where the expanded paths are kept from one page load to the next. */
export interface ExpandedStore {
  load(): Promise<readonly string[]>;
  save(paths: readonly string[]): Promise<void>;
}

export interface CatalogOptions {
  readonly api: TreeApi;
  readonly feed: EventFeed;
  readonly store?: ExpandedStore;
  /** Rows of the first page of a directory. */
  readonly pageSize?: number;
  readonly clock?: Clock;
}

/** Something in the tree: a root, an area, a directory, a file. */
export interface TreeNode {
  readonly path: string;
  readonly entry: TreeEntry;
  readonly isContainer: boolean;
  readonly isLoading: boolean;
}

/** What is known of the contents of a directory, whether it is expanded or not. */
export interface Listing {
  /** In the order of the server: directories first. */
  readonly entries: readonly TreeEntry[];
  /** How many there are; `entries` may lack some. */
  readonly total: number;
  readonly isComplete: boolean;
  readonly error: ApiError | null;
}

/** One line of the tree. */
export type Row =
  | {
      readonly type: 'entry';
      readonly key: string;
      readonly node: TreeNode;
      readonly depth: number;
      readonly isExpanded: boolean;
      /** Place among its siblings, from 1, and how many there are. */
      readonly place: number;
      readonly siblings: number;
      /** Its root is not known to be current. */
      readonly isStale: boolean;
    }
  | {
      /** Rows that are not known yet; a run of them is one object. */
      readonly type: 'pending';
      readonly key: string;
      readonly parent: string;
      readonly depth: number;
      /** Place of the first of them among its siblings, from 1, and where it is among all rows. */
      readonly place: number;
      readonly index: number;
    }
  | { readonly type: 'empty'; readonly key: string; readonly parent: string; readonly depth: number }
  | {
      readonly type: 'problem';
      readonly key: string;
      readonly parent: string;
      readonly depth: number;
      readonly error: ApiError;
    };

const FIRST_PAGE = 200;
const NEXT_PAGE = 1000;
/** Rows that are asked for beyond what is shown. */
const AHEAD = 200;
/** What is farther behind the known beginning of a directory is read without what lies between. */
const NEAR = 2 * NEXT_PAGE;
/** Rows that are read in the midst of a directory. */
const FAR_PAGE = 500;
const FILTER_MS = 120;
const SAVE_MS = 500;
/** Between two times that changes of others are told. */
const TELL_MS = 40;
/** Changes that come within this time are answered by one reading. */
const SETTLE_MS = 150;
/** Part of the time that may go into reading again what changes without end. */
const BUSY = 4;
const CONTAINERS: ReadonlySet<string> = new Set(['root', 'area', 'directory']);

/** A directory, as far as it is known. */
class Node implements TreeNode {
  constructor(
    readonly path: string,
    public entry: TreeEntry,
    readonly filter: string
  ) {}

  /** Null as long as it was not read. */
  get children(): readonly Node[] | null {
    return this._children;
  }

  set children(children: readonly Node[] | null) {
    this._children = children === null ? null : [...children];
    this._index = null;
  }

  child(path: string): Node | null {
    return this.index.get(path) ?? this.far.find(path);
  }

  /** All children that are known. */
  get known(): readonly Node[] {
    const children = this._children ?? [];
    return this.far.size === 0 ? children : [...children, ...this.far.rows()];
  }

  /** Forget a child that is gone. */
  drop(child: Node): void {
    const place = this.index.has(child.path)
      ? (this._children ?? []).indexOf(child) + 1
      : (this.far.placeOf(child.path) ?? 0);
    if (this.index.has(child.path)) {
      this.children = (this._children ?? []).filter(each => each !== child);
    }
    this.far.close(place);
    this.total -= 1;
  }

  /** Whether something that is on the screen, far behind the beginning, is not known. */
  get isBlind(): boolean {
    if (this.sight === null || this.children === null || this.next === null) {
      return false;
    }
    for (let place = this.sight.first; place <= Math.min(this.sight.last, this.total); place += 1) {
      if (place > this.children.length && !this.far.has(place)) {
        return true;
      }
    }
    return false;
  }

  /** The first of the places to be read for what is on the screen: below it, above it, or around it. */
  get gap(): number {
    const { first, last } = this.sight ?? { first: 1, last: 1 };
    const begin = this.far.has(first - 1)
      ? first
      : this.far.has(last + 1)
        ? last - FAR_PAGE + 1
        : Math.round((first + last - FAR_PAGE) / 2);
    return Math.max(begin, (this._children?.length ?? 0) + 1);
  }

  /** Add children behind those that are known; a long directory comes in many pages. */
  append(children: readonly Node[]): void {
    this._children ??= [];
    for (const child of children) {
      this._children.push(child);
      this.index.set(child.path, child);
    }
    this.far.dropTo(this._children.length);
  }

  private get index(): Map<string, Node> {
    this._index ??= new Map((this._children ?? []).map(child => [child.path, child]));
    return this._index;
  }

  /** Where the next page begins; null if there is none. */
  next: string | null = null;
  total = 0;
  state: TreeState = 'fresh';
  error: ApiError | null = null;
  /** So many children should be known. */
  wanted = 0;
  /** What is known behind these. */
  readonly far = new FarRows<Node>();
  /** Places far behind the beginning that were on the screen last. */
  sight: { readonly first: number; readonly last: number } | null = null;
  /** What is known must be read again. */
  isDirty = false;
  isReading = false;
  abort = new AbortController();

  get isContainer(): boolean {
    return CONTAINERS.has(this.entry.kind);
  }

  get isLoading(): boolean {
    return this.isReading && this.children === null;
  }

  /** Stop what is being read, here and below. */
  stop(): void {
    this.abort.abort();
    this.known.forEach(child => child.stop());
  }

  private _children: Node[] | null = null;
  private _index: Map<string, Node> | null = null;
}

/** The tree of one subscriber. */
export class Catalog implements IDisposable {
  constructor({ api, feed, store, pageSize = FIRST_PAGE, clock = REAL_CLOCK }: CatalogOptions) {
    this._api = api;
    this._feed = feed;
    this._store = store ?? null;
    this._pageSize = pageSize;
    this._clock = clock;
    this._root = new Node('', rootEntry(''), '');
    this._settling = new Debouncer(() => this.readDirty(), SETTLE_MS, clock);
    this._filtering = new Debouncer(() => this.search(), FILTER_MS, clock);
    this._saving = new Debouncer(() => void this.save(), SAVE_MS, clock);
    feed.happened.connect(this.onEvent, this);
    feed.stateChanged.connect(this.onFeed, this);
  }

  /** Rows of the first page of a directory, from now on. */
  set pageSize(pageSize: number) {
    this._pageSize = pageSize;
  }

  /** Something of what is shown has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Another path is selected. */
  get selectionChanged(): ISignal<this, string | null> {
    return this._selectionChanged;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** The lines that are shown, from the top. */
  get rows(): readonly Row[] {
    this._rows ??= this.flatten();
    return this._rows;
  }

  /** The row that is selected. */
  get selected(): string | null {
    return this._selected;
  }

  /** What is looked for. */
  get filter(): string {
    return this._filter;
  }

  /** Whether the list of roots has never been read. */
  get isStarting(): boolean {
    return this._root.children === null && this._root.error === null;
  }

  /** Why the list of roots could not be read. */
  get error(): ApiError | null {
    return this._root.error;
  }

  /** Whether the broker of the subscriber is out of reach. */
  get isOffline(): boolean {
    return this._root.state === 'offline';
  }

  /** How changes arrive. */
  get feedState(): FeedState {
    return this._feed.state;
  }

  /** How many rows match what is looked for. */
  get nmatches(): number {
    return this._search?.children?.reduce((sum, child) => sum + child.total, 0) ?? 0;
  }

  /** Roots that are not looked through: nothing of them is known here. */
  get nunsearched(): number {
    return this._root.children?.filter(child => child.entry.subscribed === false).length ?? 0;
  }

  /** Whether something that is looked for is still on its way. */
  get isSearching(): boolean {
    return this._filter !== '' && (!this._search || (this._search.children ?? []).some(c => c.isReading));
  }

  /** Begin: expand what was expanded, and read. */
  async start(): Promise<void> {
    if (this._store) {
      const paths = await this._store.load().catch(() => []);
      paths.forEach(path => this._expanded.add(path));
    }
    this.want(this._root, this._pageSize);
  }

  /** What is known of a path. */
  find(path: string): TreeNode | null {
    return this.lookup(this._search, path) ?? this.lookup(this._root, path);
  }

  select(path: string | null): void {
    if (path !== this._selected) {
      this._selected = path;
      this._selectionChanged.emit(path);
      this.emit();
    }
  }

  isExpanded(path: string): boolean {
    return this._search ? !this._collapsed.has(path) : this._expanded.has(path);
  }

  expand(path: string): void {
    this.setExpanded(path, true);
  }

  collapse(path: string): void {
    this.setExpanded(path, false);
  }

  toggle(path: string): void {
    this.setExpanded(path, !this.isExpanded(path));
  }

  collapseAll(): void {
    this._expanded.clear();
    this._saving.ask();
    this.emit();
  }

  /** Look for a text in names, at any depth of all roots; empty shows the tree again. */
  setFilter(text: string): void {
    const filter = text.trim();
    if (filter === this._filter) {
      return;
    }
    this._filter = filter;
    if (filter === '') {
      this._filtering.cancel();
      this.search();
    } else {
      this._filtering.ask();
    }
    this.emit();
  }

  /** Read again what is shown, or what is below one directory. */
  refresh(path = ''): void {
    const node = path === '' ? this._root : this.lookup(this._root, path);
    if (node) {
      this.soil(node, true);
    }
    if (this._search) {
      this.soil(this._search, true);
    }
    this.readDirty();
  }

  /** Try again to read a directory that could not be read. */
  retry(path: string): void {
    const node = path === '' ? this._root : this.lookup(this.shown, path);
    if (node) {
      node.error = null;
      node.isDirty = true;
      this.want(node, Math.max(node.wanted, this._pageSize));
    }
  }

  /** Tell that rows of a directory are on the screen that are not known; `first` and `last` are their places. */
  need(parent: string, first: number, last: number): void {
    const node = parent === '' ? this.shown : this.lookup(this.shown, parent);
    if (!node || node.error !== null) {
      return;
    }
    const isFar = first - (node.children?.length ?? 0) > NEAR;
    node.sight = isFar ? { first, last } : null;
    this.want(node, isFar ? 0 : Math.min(last + AHEAD, node.total));
  }

  /** What is known of the contents of a directory; null as long as nothing is. */
  listing(path: string): Listing | null {
    const node = this.lookup(this._root, path);
    if (!node || (node.children === null && node.error === null)) {
      return null;
    }
    const entries = (node.children ?? []).map(child => child.entry);
    return { entries, total: Math.max(node.total, entries.length), isComplete: node.next === null, error: node.error };
  }

  /** Read the first entries of a directory, for a list of its own; what is above it is read as far as it takes. */
  async load(path: string, count = this._pageSize): Promise<void> {
    for (const step of [...ancestorsOf(path), path]) {
      const parent = this.lookup(this._root, parentOf(step));
      if (!parent) {
        return;
      }
      await this.readUntil(parent, step);
    }
    const node = this.lookup(this._root, path);
    if (node?.isContainer) {
      this.want(node, count);
      await this.whenRead(node);
    }
  }

  /** Expand what is above a path, select it, and end the search. */
  async reveal(path: string): Promise<void> {
    this.setFilter('');
    this._filtering.flush();
    for (const ancestor of ancestorsOf(path)) {
      const parent = this.lookup(this._root, parentOf(ancestor));
      if (parent) {
        await this.readUntil(parent, ancestor);
      }
      this.expand(ancestor);
    }
    const parent = this.lookup(this._root, parentOf(path));
    if (parent) {
      await this.readUntil(parent, path);
    }
    this.select(path);
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this._saving.flush();
    this._saving.dispose();
    if (this._telling !== null) {
      this._clock.clear(this._telling);
    }
    this._settling.dispose();
    this._filtering.dispose();
    this._feed.happened.disconnect(this.onEvent, this);
    this._feed.stateChanged.disconnect(this.onFeed, this);
    this._root.stop();
    this._search?.stop();
    Signal.clearData(this);
  }

  // reading

  private get shown(): Node {
    return this._search ?? this._root;
  }

  private lookup(from: Node | null, path: string): Node | null {
    let node = from;
    if (path === '' || !node) {
      return node;
    }
    if (node === this._search) {
      // What was found is listed flat, below its root.
      const root = node.child(rootOf(path));
      return root?.path === path ? root : (root?.child(path) ?? null);
    }
    for (const step of [...ancestorsOf(path), path]) {
      node = node.child(step);
      if (!node) {
        return null;
      }
    }
    return node;
  }

  /** Make sure that so many children are known; returns at once. */
  private want(node: Node, count: number): void {
    node.wanted = Math.max(node.wanted, count);
    if (!node.isReading && this.isBehind(node)) {
      void this.read(node);
    }
  }

  private isBehind(node: Node): boolean {
    if (this._isDisposed || node.error !== null || (node === this._search && node.children !== null)) {
      return false;
    }
    if (node.children === null || node.isDirty || node.isBlind) {
      return true;
    }
    return node.next !== null && node.children.length < node.wanted;
  }

  private async read(node: Node): Promise<void> {
    node.isReading = true;
    this.emit();
    try {
      while (this.isBehind(node)) {
        if (node.children === null || node.isDirty) {
          await this.readAgain(node);
        } else if (node.isBlind) {
          await this.readFar(node);
        } else {
          this.append(node, await this.page(node, { after: node.next, limit: NEXT_PAGE }));
        }
        this.emit();
      }
    } catch (reason) {
      if (!isAborted(reason)) {
        node.error = toApiError(reason);
      }
    } finally {
      node.isReading = false;
      this.emit();
    }
  }

  /** Read as much as was known, and put it in its place when all of it is here. */
  private async readAgain(node: Node): Promise<void> {
    const begun = this._clock.now();
    const goal = Math.max(node.children?.length ?? 0, this._pageSize);
    node.isDirty = false;
    let page = await this.page(node, { limit: goal > NEXT_PAGE ? NEXT_PAGE : goal });
    const entries = [...page.entries];
    while (page.next !== null && entries.length < goal) {
      page = await this.page(node, { after: page.next, limit: NEXT_PAGE });
      entries.push(...page.entries);
    }
    const isFar = page.next !== null && node.sight !== null && node.far.size > 0;
    const first = isFar ? Math.max(node.gap, entries.length + 1) : 0;
    const far = isFar ? await this.page(node, { offset: first - 1, limit: FAR_PAGE }) : null;
    const known = new Map(node.known.map(child => [child.path, child]));
    node.children = this.renew(known, entries);
    node.far.clear();
    this.take(node, page);
    if (far) {
      node.far.put(first, FAR_PAGE, this.renew(known, far.entries));
    }
    known.forEach(child => child.stop());
    this.settle(node, node.known);
    this._readUntil = this._clock.now() + (this._clock.now() - begun) * BUSY;
  }

  /** Read what is on the screen, far behind the beginning of a directory. */
  private async readFar(node: Node): Promise<void> {
    const first = node.gap;
    const page = await this.page(node, { offset: first - 1, limit: FAR_PAGE });
    if (node.isDirty) {
      return; // places may have moved
    }
    const rows = page.entries.map(entry => node.child(entry.path) ?? new Node(entry.path, entry, ''));
    node.far.put(first, FAR_PAGE, rows);
    node.total = page.total;
    this.settle(node, rows);
  }

  private page(node: Node, which: TreeOptions): Promise<TreePage> {
    const options = node.filter ? { filter: node.filter, recursive: true } : {};
    return this._api.tree(node.path, { ...options, ...which }, node.abort.signal);
  }

  private append(node: Node, page: TreePage): void {
    const children: Node[] = [];
    for (const entry of page.entries) {
      const known = node.child(entry.path);
      if (known === null) {
        children.push(new Node(entry.path, entry, ''));
      } else if (node.far.find(entry.path) === known) {
        children.push(known);
      }
    }
    node.append(children);
    this.take(node, page);
    this.settle(node, children);
  }

  /** Return the nodes of entries, of which those that were known are taken out of `known`. */
  private renew(known: Map<string, Node>, entries: readonly TreeEntry[]): Node[] {
    return entries.map(entry => {
      const child = known.get(entry.path);
      if (!child || child.isContainer !== CONTAINERS.has(entry.kind)) {
        return new Node(entry.path, entry, '');
      }
      known.delete(entry.path);
      const before = child.entry;
      child.entry = entry;
      if (child.children && comesBack(before, entry)) {
        child.error = null;
        this.soil(child, true);
      }
      return child;
    });
  }

  private take(node: Node, page: TreePage): void {
    node.next = page.next;
    node.total = page.next === null ? (node.children?.length ?? 0) : page.total;
    node.state = page.state;
    node.error = null;
  }

  /** Read what is expanded in a directory that was read. */
  private settle(node: Node, children: readonly Node[]): void {
    if (node === this._root && this._filter !== '') {
      this._filtering.ask();
    }
    if (node.filter !== '') {
      return;
    }
    for (const child of children) {
      if (child.isContainer && child.children === null && this._expanded.has(child.path)) {
        this.want(child, this._pageSize);
      }
    }
    if (!node.isDirty && children.some(child => child.isDirty && !child.isReading && child.children !== null)) {
      this._settling.ask();
    }
  }

  /** Read the row of a path, if there is one: at the beginning, or wherever the server says that it is. */
  private async readUntil(node: Node, path: string): Promise<void> {
    this.want(node, 1);
    await this.whenRead(node);
    const name = node.path === '' ? path : path.slice(node.path.length + 1);
    for (const after of [name, `${name}/`]) {
      if (node.child(path) !== null || node.next === null || node.error !== null || this._isDisposed) {
        return;
      }
      try {
        const { offset } = await this.page(node, { after, limit: 1 });
        if (offset > (node.children?.length ?? 0)) {
          node.sight = { first: offset, last: offset };
          this.want(node, 0);
          await this.whenRead(node);
        }
      } catch (reason) {
        if (!isAborted(reason)) {
          node.error = toApiError(reason);
          this.emit();
        }
      }
    }
  }

  private whenRead(node: Node): Promise<void> {
    return new Promise(resolve => {
      const look = (): void => {
        if (!node.isReading || this._isDisposed) {
          this._changed.disconnect(look);
          resolve();
        }
      };
      this._changed.connect(look);
      look();
    });
  }

  // search

  private search(): void {
    this._search?.stop();
    this._collapsed.clear();
    if (this._filter === '') {
      this._search = null;
      this.emit();
      return;
    }
    const search = new Node('', rootEntry(''), '');
    search.children = (this._root.children ?? [])
      .filter(child => child.entry.subscribed !== false)
      .map(child => new Node(child.path, child.entry, this._filter));
    search.total = search.children.length;
    this._search = search;
    search.children.forEach(child => this.want(child, this._pageSize));
    this.emit();
  }

  // expansion

  private setExpanded(path: string, isExpanded: boolean): void {
    if (this._search) {
      if (isExpanded) {
        this._collapsed.delete(path);
      } else {
        this._collapsed.add(path);
      }
      this.emit();
      return;
    }
    if (isExpanded === this._expanded.has(path)) {
      return;
    }
    if (isExpanded) {
      this._expanded.add(path);
      const node = this.lookup(this._root, path);
      if (node?.isContainer) {
        node.error = null;
        this.want(node, this._pageSize);
      }
    } else {
      this._expanded.delete(path);
    }
    this._saving.ask();
    this.emit();
  }

  private async save(): Promise<void> {
    await this._store?.save([...this._expanded]).catch(() => undefined);
  }

  // changes

  private onFeed(_: EventFeed, state: FeedState): void {
    if (state === 'open') {
      this.soilFailed(this._root);
      this.soilFailed(this._search);
    }
    this.emit();
  }

  /** The way to the server is open again: what could not be read may be readable. */
  private soilFailed(node: Node | null): void {
    if (node?.error?.isPassing) {
      node.isDirty = true;
      this._settling.ask();
    }
    node?.known.forEach(child => this.soilFailed(child));
  }

  private onEvent(_: EventFeed, event: CaterEvent): void {
    switch (event.type) {
      case 'dataset-changed':
        this.applyChange(`${event.root}/${event.entry.path}`, event);
        break;
      case 'dataset-removed':
        this.applyRemoval(`${event.root}/${event.path}`);
        break;
      case 'directory-changed':
        this.applyDirectory(`${event.root}/${event.path}`, event.exists);
        break;
      case 'root-changed':
        this.applyRoot(event.root, event.status === 'online');
        break;
      case 'resync':
        this.applyResync(event.root);
        break;
    }
  }

  private applyChange(path: string, event: Extract<CaterEvent, { type: 'dataset-changed' }>): void {
    let isKnown = false;
    for (const top of [this._root, this._search]) {
      const node = this.lookup(top, path);
      if (node) {
        node.entry = { ...node.entry, ...entryOf(event.entry) };
        // What a plain file is follows from its name, which the server knows to read.
        isKnown ||= top === this._root && (event.entry.info.kind !== 'file' || isPlain(node.entry.kind));
      }
    }
    if (!isKnown) {
      this.soilAbove(path);
    }
    if (this._search && !this.lookup(this._search, path)) {
      this.soilSearch(event.root);
    }
    this.emitSoon();
  }

  private applyRemoval(path: string): void {
    for (const top of [this._root, this._search]) {
      const parent = this.lookup(top, top === this._search ? rootOf(path) : parentOf(path));
      const gone = parent?.child(path);
      if (parent && gone) {
        gone.stop();
        parent.drop(gone);
      }
      if (top === this._root && parent?.children?.length === 0 && parent.entry.kind === 'directory') {
        this.soilAbove(parent.path); // a directory of a root goes with its last file
      }
    }
    if (this._selected !== null && isWithin(this._selected, path)) {
      this.select(null);
    }
    this.emitSoon();
  }

  private applyDirectory(path: string, exists: boolean): void {
    if (exists) {
      this.soilAbove(path);
      this.emitSoon();
    } else {
      this.applyRemoval(path);
    }
  }

  private applyRoot(root: string, isOnline: boolean): void {
    const node = this.lookup(this._root, root);
    if (node) {
      node.entry = { ...node.entry, state: isOnline ? node.entry.state : 'offline' };
      if (isOnline) {
        this.soil(node, true);
      } else {
        node.state = 'offline';
      }
    }
    this.soil(this._root, false);
    this._settling.ask();
    this.emitSoon();
  }

  private applyResync(root: string | null): void {
    const node = root === null ? this._root : this.lookup(this._root, root);
    this.soil(node ?? this._root, true);
    this.soilSearch(root);
    this._settling.ask();
  }

  /** The nearest directory above a path that is known lacks something. */
  private soilAbove(path: string): void {
    for (let above = parentOf(path); ; above = parentOf(above)) {
      const node = this.lookup(this._root, above);
      if (node) {
        // What is being read for the first time may have been answered already.
        if (node.children !== null || node.isReading) {
          node.isDirty = true;
          this._settling.ask();
        }
        return;
      }
    }
  }

  private soilSearch(root: string | null): void {
    for (const child of this._search?.children ?? []) {
      if (root === null || child.path === root) {
        this.soil(child, false);
        this._settling.ask();
      }
    }
  }

  private soil(node: Node, isDeep: boolean): void {
    if (node.children !== null || node.error !== null || node.isReading) {
      node.isDirty = node !== this._search;
    }
    if (isDeep) {
      node.known.filter(child => child.isContainer).forEach(child => this.soil(child, true));
    }
  }

  private readDirty(): void {
    const pause = this._readUntil - this._clock.now();
    if (pause > SETTLE_MS) {
      this._settling.ask();
      return;
    }
    const visit = (node: Node): void => {
      if (node.isDirty) {
        node.error = null;
        this.want(node, node.wanted);
      }
      node.known.filter(child => child.isContainer).forEach(visit);
    };
    visit(this._root);
    if (this._search) {
      visit(this._search);
    }
    this.emit();
  }

  // rows

  private emit(): void {
    this._rows = null;
    if (!this._isDisposed) {
      this._changed.emit();
    }
  }

  /** Tell of many changes that come in a row at once; who looks sees each of them at once. */
  private emitSoon(): void {
    this._rows = null;
    this._telling ??= this._clock.set(() => {
      this._telling = null;
      this.emit();
    }, TELL_MS);
  }

  private flatten(): Row[] {
    const rows: Row[] = [];
    const walk = (node: Node, depth: number, isStale: boolean): void => {
      // Of a search only the roots in which something was found.
      const children = (node.children ?? []).filter(child => node !== this._search || !isFruitless(child));
      const siblings = Math.max(node.total, children.length);
      const show = (child: Node, place: number): void => {
        const stale = isStale || isOutdated(child);
        // What was found is listed flat: only the roots of a search open.
        const opens = child.isContainer && (this._search === null || node === this._search);
        const isExpanded = opens && this.isExpanded(child.path);
        rows.push({
          type: 'entry', key: child.path, node: child, depth, isExpanded, place, siblings, isStale: stale
        });
        if (isExpanded) {
          walk(child, depth + 1, stale);
        }
      };
      children.forEach((child, index) => show(child, index + 1));
      const rest = { parent: node.path, depth };
      if (node.error && node !== this._root) {
        rows.push({ type: 'problem', key: `${node.path}//problem`, ...rest, error: node.error });
      }
      if (node.error) {
        return;
      }
      // Rows that are not known yet take their room, so that the scroll bar tells the truth.
      const leave = (place: number, count: number): void => {
        const row: Row = { type: 'pending', key: `${node.path}//pending`, ...rest, place, index: rows.length };
        for (let i = 0; i < count; i += 1) {
          rows.push(row);
        }
      };
      if (node.children === null) {
        leave(1, node.isReading ? 1 : 0);
      } else if (node.next !== null) {
        let place = children.length + 1;
        for (const [at, child] of node.far.inOrder()) {
          leave(place, at - place);
          show(child, at);
          place = at + 1;
        }
        leave(place, node.total - place + 1);
      }
      if (node.children?.length === 0 && node !== this._root && node !== this._search) {
        rows.push({ type: 'empty', key: `${node.path}//empty`, ...rest });
      }
    };
    const top = this.shown;
    walk(top, 0, false);
    return rows;
  }

  private readonly _api: TreeApi;
  private readonly _feed: EventFeed;
  private readonly _store: ExpandedStore | null;
  private _pageSize: number;
  private readonly _clock: Clock;
  private readonly _root: Node;
  private readonly _settling: Debouncer;
  private readonly _filtering: Debouncer;
  private readonly _saving: Debouncer;
  private readonly _expanded = new Set<string>();
  private readonly _collapsed = new Set<string>();
  private readonly _changed = new Signal<this, void>(this);
  private readonly _selectionChanged = new Signal<this, string | null>(this);
  private _search: Node | null = null;
  private _rows: Row[] | null = null;
  private _telling: unknown = null;
  private _selected: string | null = null;
  private _filter = '';
  private _readUntil = 0;
  private _isDisposed = false;
}

function rootEntry(path: string): TreeEntry {
  return {
    name: path,
    path,
    kind: 'directory',
    shape: null,
    dtype: null,
    size: null,
    mtime: null,
    etag: null,
    lazy: false,
    error: null,
    subscribed: null,
    state: null,
    writable: false
  };
}

function isPlain(kind: TreeKind): boolean {
  return !['array', 'table', 'frame', 'lazy', 'broken'].includes(kind);
}

/** Whether a search in a root has ended, and found nothing. */
function isFruitless(node: Node): boolean {
  return node.children?.length === 0 && node.error === null && !node.isReading;
}

function isOutdated(node: Node): boolean {
  return node.entry.state === 'stale' || node.entry.state === 'offline';
}

/** Whether a root that was away is here again, so that what is known of it may be old. */
function comesBack(before: TreeEntry, after: TreeEntry): boolean {
  return before.state !== null && before.state !== 'fresh' && after.state === 'fresh';
}
