/** Notes of uploads that go in parts, kept by the browser: the same file goes on where it was after a reload. */
import { REAL_CLOCK, type Clock } from './debounce';

/** What of `localStorage` is needed. */
export interface NoteStore {
  getItem(key: string): string | null;
  setItem(key: string, text: string): void;
}

/** That of the browser; it may be told to keep nothing. */
export function browserStore(): NoteStore {
  const none: NoteStore = { getItem: () => null, setItem: () => undefined };
  try {
    return (globalThis as { localStorage?: NoteStore }).localStorage ?? none;
  } catch {
    return none;
  }
}

/** The file as it was chosen, and how much of it has arrived. */
export interface UploadNote {
  /** The server's name for the upload. */
  readonly id: string;
  readonly directory: string;
  readonly name: string;
  readonly size: number;
  /** When the file was changed last, in milliseconds since 1970. */
  readonly modified: number;
  readonly offset: number;
  /** When a part arrived last, likewise. */
  readonly at: number;
  /** The page that sent it was left. */
  readonly isLeft: boolean;
}

/** What tells a file from another one of the same name. */
export interface Target {
  readonly directory: string;
  readonly name: string;
  readonly size: number;
  readonly modified: number;
}

/** The server gives up what nothing was added to for so long. */
const EXPIRES_MS = 24 * 3600 * 1000;
/** What stood still so long is not sent by another window any more. */
const STILL_MS = 120_000;

export class UploadNotes {
  constructor(
    private readonly store: NoteStore,
    private readonly key: string,
    private readonly clock: Clock = REAL_CLOCK
  ) {}

  /** The notes that nobody works at. */
  left(): UploadNote[] {
    return this.all().filter(note => note.isLeft || this.clock.now() - note.at > STILL_MS);
  }

  find(target: Target): UploadNote | null {
    return this.all().find(note => isSameFile(note, target)) ?? null;
  }

  /** Write down how far an upload is. */
  keep(id: string, target: Target, offset: number): void {
    const { directory, name, size, modified } = target;
    const note = { id, directory, name, size, modified, offset, at: this.clock.now(), isLeft: false };
    this.write([...this.all().filter(other => other.id !== id), note]);
  }

  /** The page is left: whoever comes next may go on. */
  leave(ids: ReadonlySet<string>): void {
    this.write(this.all().map(note => (ids.has(note.id) ? { ...note, isLeft: true } : note)));
  }

  forget(id: string): void {
    this.write(this.all().filter(note => note.id !== id));
  }

  private all(): UploadNote[] {
    let found: unknown;
    try {
      found = JSON.parse(this.store.getItem(this.key) ?? '[]');
    } catch {
      return []; // a browser may keep nothing, or something else
    }
    const now = this.clock.now();
    return Array.isArray(found) ? found.filter(isNote).filter(note => now - note.at < EXPIRES_MS) : [];
  }

  private write(notes: readonly UploadNote[]): void {
    try {
      this.store.setItem(this.key, JSON.stringify(notes));
    } catch {
      // Without notes an upload starts over after a reload.
    }
  }
}

/** Whether both speak of the same file for the same place. */
export function isSameFile(one: Target, other: Target): boolean {
  return (
    one.directory === other.directory &&
    one.name === other.name &&
    one.size === other.size &&
    one.modified === other.modified
  );
}

function isNote(value: unknown): value is UploadNote {
  if (typeof value !== 'object' || value === null) {
    return false;
  }
  const note = value as Readonly<Record<string, unknown>>;
  return (
    ['id', 'directory', 'name'].every(name => typeof note[name] === 'string') &&
    ['size', 'modified', 'offset', 'at'].every(name => typeof note[name] === 'number')
  );
}
