/** The users of a subscriber, one page of them at a time. */
import type { ISignal } from '@lumino/signaling';
import type { IDisposable } from '@lumino/disposable';

import { Debouncer } from '../model/debounce';
import type { ManagedUser, UserPage, UsersWanted } from './management';
import { Poll, type PollOptions } from './poll';

export const PAGE_SIZE = 50;
const REFRESH_MS = 5_000;
const TYPING_MS = 200;

export interface UsersApi {
  users(wanted: UsersWanted): Promise<UserPage>;
}

/** A page, and what it is a page of. */
interface Shown {
  readonly page: UserPage;
  readonly first: number;
}

export class UserList implements IDisposable {
  constructor(
    private readonly api: UsersApi,
    options: PollOptions = {}
  ) {
    this.poll = new Poll(() => this.read(), REFRESH_MS, options);
    this.typing = new Debouncer(() => void this.poll.refresh(), TYPING_MS, options.clock);
  }

  get changed(): ISignal<unknown, void> {
    return this.poll.changed;
  }

  get isDisposed(): boolean {
    return this.poll.isDisposed;
  }

  get problem(): string | null {
    return this.poll.problem;
  }

  /** Null as long as nothing is known. */
  get users(): readonly ManagedUser[] | null {
    return this.poll.value?.page.users ?? null;
  }

  /** How many there are that fit the filter. */
  get total(): number {
    return this.poll.value?.page.total ?? 0;
  }

  /** The number of the first user on the page. */
  get first(): number {
    return this.poll.value?.first ?? 1;
  }

  /** The limit of who has none of his own; null for no limit. */
  get quota(): number | null {
    return this.poll.value?.page.quota ?? null;
  }

  get filter(): string {
    return this._filter;
  }

  get hasNext(): boolean {
    return typeof this.poll.value?.page.next === 'string';
  }

  get hasPrevious(): boolean {
    return this._starts.length > 0;
  }

  /** Begin to read, and read again from then on. */
  refresh(): Promise<void> {
    return this.poll.refresh();
  }

  /** Look for users; asked for when the typing pauses. */
  find(filter: string): void {
    this._filter = filter;
    this._starts = [];
    this.typing.ask();
  }

  async next(): Promise<void> {
    const start = this.poll.value?.page.next;
    if (typeof start === 'string') {
      this._starts = [...this._starts, start];
      await this.refresh();
    }
  }

  async previous(): Promise<void> {
    this._starts = this._starts.slice(0, -1);
    await this.refresh();
  }

  dispose(): void {
    this.typing.dispose();
    this.poll.dispose();
  }

  private async read(): Promise<Shown> {
    const starts = this._starts;
    const page = await this.api.users({ filter: this._filter.trim(), after: starts.at(-1), limit: PAGE_SIZE });
    if (page.users.length === 0 && starts.length > 0 && starts === this._starts) {
      // All who were on this page are gone.
      this._starts = starts.slice(0, -1);
      return this.read();
    }
    return { page, first: starts.length * PAGE_SIZE + 1 };
  }

  private readonly poll: Poll<Shown>;
  private readonly typing: Debouncer;
  private _filter = '';
  private _starts: readonly string[] = [];
}
