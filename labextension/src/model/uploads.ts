/** Files on their way to an area: a queue, two at a time. */
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import { ApiError, isAborted, toApiError } from '../api/errors';
import { REAL_CLOCK, type Clock } from './debounce';
import { baseName, parentOf } from './paths';
import { isTaken, PART, Transfer, Waiter, type Parcel, type UploadApi } from './transfer';
import { isSameFile, type Target, type UploadNotes } from './uploadNotes';

/**
 * `asking`: there is a file of this name; the user says whether it is replaced.
 * `storing`: all bytes are sent, and the server checks them.
 * `away`: the server does not answer; it goes on by itself.
 * `held`: the user has paused it.
 * `left`: the page was left while it was sent; it goes on when the file is chosen again.
 */
export type UploadState = 'waiting' | 'sending' | 'storing' | 'asking' | 'away' | 'held' | 'left' | 'failed' | 'done';

/** Files that were chosen together: one answer may hold for all of them. */
export interface Batch {
  readonly together: number;
  /** What was said about all files that are there already; null as long as nothing was. */
  readonly overwrite: boolean | null;
}

/** A file on its way, or a directory that has none. */
export interface Upload {
  readonly id: number;
  readonly directory: string;
  readonly name: string;
  readonly size: number;
  readonly sent: number;
  readonly state: UploadState;
  readonly error: ApiError | null;
  readonly batch: Batch;
  /** It may be paused, and goes on where it was. */
  readonly isInParts: boolean;
}

/** Files for one directory; none for one that is only made. */
export interface UploadGroup {
  readonly directory: string;
  readonly files: readonly File[];
}

/** How far all of what was chosen is. */
export interface Tally {
  readonly nfiles: number;
  readonly narrived: number;
  readonly size: number;
  readonly sent: number;
}

export interface UploadsOptions {
  /** Where it is kept what to go on with after a reload. */
  readonly notes?: UploadNotes | undefined;
  readonly clock?: Clock;
}

const AT_ONCE = 2;
/** Finished uploads that stay in sight. */
const MOST_DONE = 20;
/** Between two times that progress is told. */
const TELL_MS = 60;
const UNDER_WAY: ReadonlySet<UploadState> = new Set(['sending', 'storing', 'away']);
const ENDED: ReadonlySet<UploadState> = new Set(['done', 'failed', 'left']);

interface Job extends Upload, Parcel {
  sent: number;
  state: UploadState;
  error: ApiError | null;
  overwrite: boolean;
  uploadId: string | null;
  /** Null for a directory, and for a file that has to be chosen again. */
  file: File | null;
  isDirectory: boolean;
  abort: AbortController | null;
  batch: OpenBatch;
}

type OpenBatch = { -readonly [name in keyof Batch]: Batch[name] };

export class Uploads implements IDisposable {
  constructor(api: UploadApi, { notes, clock = REAL_CLOCK }: UploadsOptions = {}) {
    this._api = api;
    this._notes = notes ?? null;
    this._clock = clock;
    this._waiter = new Waiter(clock);
    this._transfer = new Transfer(api, this._waiter, this._notes);
    for (const { id, directory, name, size, modified, offset } of this._notes?.left() ?? []) {
      const batch = { together: 1, overwrite: null };
      const job = this.job({ directory, name, size, modified }, null, batch);
      this._jobs.push(Object.assign(job, { uploadId: id, sent: offset, state: 'left' as const }));
    }
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** A file has arrived; tells its path. */
  get arrived(): ISignal<this, string> {
    return this._arrived;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  get list(): readonly Upload[] {
    return this._jobs;
  }

  /** Whether something would not arrive if the page was left. */
  get isBusy(): boolean {
    return !this._isDisposed && this._jobs.some(job => !ENDED.has(job.state));
  }

  /** How far all of it is, what is out of sight too. */
  get tally(): Tally {
    const { nfiles, size } = this._past;
    const tally = { nfiles, narrived: nfiles, size, sent: size };
    for (const job of this._jobs) {
      tally.nfiles += 1;
      tally.narrived += job.state === 'done' ? 1 : 0;
      tally.size += job.size;
      tally.sent += job.sent;
    }
    return tally;
  }

  /** Put files at the end of the queue. */
  add(directory: string, files: readonly File[]): void {
    this.addAll([{ directory, files }]);
  }

  /** Put files that belong together at the end of the queue. */
  addAll(groups: readonly UploadGroup[]): void {
    const batch: OpenBatch = { together: groups.reduce((sum, group) => sum + group.files.length, 0), overwrite: null };
    if (!this.isBusy) {
      this._past = { nfiles: 0, size: 0 };
    }
    const known = new Map(this._jobs.filter(job => job.state !== 'done').map(job => [keyOf(job), job]));
    for (const { directory, files } of groups) {
      if (files.length === 0) {
        const target = { directory: parentOf(directory), name: baseName(directory), size: 0, modified: 0 };
        this._jobs.push(Object.assign(this.job(target, null, batch), { isDirectory: true }));
      }
      files.forEach(file => this.addFile(directory, file, batch, known));
    }
    this.next();
  }

  /** Say whether the file that is there is replaced; `forAll`: and all others that were chosen together. */
  answer(upload: Upload, overwrite: boolean, forAll = false): void {
    const asked = this.jobOf(upload);
    if (!asked) {
      return;
    }
    if (forAll) {
      asked.batch.overwrite = overwrite;
    }
    for (const job of forAll ? this._jobs.filter(other => other.batch === asked.batch) : [asked]) {
      if (job.state === 'asking') {
        if (overwrite) {
          this.again(job, true);
        } else {
          this.drop(job);
        }
      }
    }
    this.next();
  }

  /** Stop for a while. */
  hold(upload: Upload): void {
    const job = this.jobOf(upload);
    if (job && (job.state === 'waiting' || job.state === 'sending' || job.state === 'away')) {
      job.abort?.abort();
      Object.assign(job, { state: 'held', error: null, abort: null });
      this.next();
    }
  }

  /** Go on with what was paused, and try again what failed or waits for the server. */
  resume(upload: Upload): void {
    const job = this.jobOf(upload);
    if (job?.state === 'away') {
      this._waiter.wake();
    } else if (job && (job.state === 'held' || job.state === 'failed')) {
      this.again(job, job.overwrite);
      this.next();
    }
  }

  /** Go on with what was left, now that its file was chosen again. */
  choose(upload: Upload, file: File): void {
    const job = this.jobOf(upload);
    if (job?.state !== 'left') {
      return;
    }
    if (isSameFile(job, targetOf(job.directory, file))) {
      Object.assign(job, { file, state: 'waiting', error: null });
      this.next();
    } else {
      job.error = new ApiError({ message: 'this is another file', hint: `choose ${job.name} as it was before` });
      this._changed.emit();
    }
  }

  /** The server may be there again: try at once. */
  wake(): void {
    this._waiter.wake();
  }

  /** Cancel it, or take it out of sight. */
  dismiss(upload: Upload): void {
    const job = this.jobOf(upload);
    if (job) {
      this.drop(job);
      this.next();
    }
  }

  /** Take out of sight what has ended. */
  clear(): void {
    this._jobs.filter(job => job.state === 'failed').forEach(job => this.drop(job));
    this._jobs = this._jobs.filter(job => job.state !== 'done');
    this._past = { nfiles: 0, size: 0 };
    this._changed.emit();
  }

  /** The page is left: what is under way can be gone on with by the next one. */
  leave(): void {
    this._notes?.leave(new Set(this._jobs.flatMap(job => job.uploadId ?? [])));
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this.leave();
      this._jobs.forEach(job => job.abort?.abort());
      if (this._telling !== null) {
        this._clock.clear(this._telling);
      }
      Signal.clearData(this);
    }
  }

  private jobOf(upload: Upload): Job | undefined {
    return this._jobs.find(job => job.id === upload.id);
  }

  private addFile(directory: string, file: File, batch: OpenBatch, known: ReadonlyMap<string, Job>): void {
    const target = targetOf(directory, file);
    const same = known.get(keyOf(target));
    if (!same) {
      const note = this._notes?.find(target) ?? null;
      this._jobs.push(Object.assign(this.job(target, file, batch), { uploadId: note?.id ?? null }));
    } else if (same.state === 'left' || same.state === 'held' || same.state === 'failed') {
      Object.assign(same, { file, batch });
      this.again(same, same.overwrite);
    }
  }

  private job(target: Target, file: File | null, batch: OpenBatch): Job {
    const { directory, name, size, modified } = target;
    return {
      id: (this._last += 1),
      directory,
      name,
      size,
      modified,
      file,
      batch,
      isInParts: size > PART,
      isDirectory: false,
      sent: 0,
      state: 'waiting',
      error: null,
      overwrite: false,
      uploadId: null,
      before: undefined,
      abort: null
    };
  }

  private again(job: Job, overwrite: boolean): void {
    Object.assign(job, { state: 'waiting', sent: job.isInParts ? job.sent : 0, error: null, overwrite });
  }

  private drop(job: Job): void {
    job.abort?.abort();
    this._jobs = this._jobs.filter(other => other !== job);
    void this._transfer.abandon(job).catch(() => undefined);
  }

  private next(): void {
    if (this._isDisposed) {
      return;
    }
    const nsending = this._jobs.filter(job => UNDER_WAY.has(job.state)).length;
    this._jobs
      .filter(job => job.state === 'waiting')
      .slice(0, Math.max(0, AT_ONCE - nsending))
      .forEach(job => void this.send(job));
    this._changed.emit();
  }

  private async send(job: Job): Promise<void> {
    const abort = new AbortController();
    Object.assign(job, { state: 'sending', abort });
    try {
      const path = await this.store(job, abort.signal);
      Object.assign(job, { state: 'done', sent: job.size, abort: null });
      this._arrived.emit(path);
    } catch (reason) {
      // Who has stopped it knows how it goes on.
      if (!isAborted(reason) && job.abort === abort) {
        this.fail(job, toApiError(reason));
      }
    }
    const done = this._jobs.filter(other => other.state === 'done');
    for (const old of done.slice(0, Math.max(0, done.length - MOST_DONE))) {
      this._past = { nfiles: this._past.nfiles + 1, size: this._past.size + old.size };
      this._jobs = this._jobs.filter(other => other !== old);
    }
    this.next();
  }

  private async store(job: Job, signal: AbortSignal): Promise<string> {
    const path = `${job.directory}/${job.name}`;
    if (job.isDirectory || job.file === null) {
      return this._api.mkdir(path);
    }
    const steps = {
      onProgress: (sent: number) => this.progress(job, signal, sent, 'sending'),
      onStoring: () => this.progress(job, signal, job.size, 'storing'),
      onAway: (error: ApiError | null) => {
        job.error = error;
        this.progress(job, signal, job.sent, error ? 'away' : 'sending');
      }
    };
    return this._transfer.send(job, job.file, steps, signal);
  }

  private fail(job: Job, error: ApiError): void {
    Object.assign(job, { state: 'failed', error, abort: null });
    if (job.isDirectory && error.status === 409) {
      Object.assign(job, { state: 'done', error: null }); // it is there, which is all that was wanted
    } else if (isTaken(error) && !job.overwrite) {
      job.state = 'asking';
      const { overwrite } = job.batch;
      if (overwrite === true) {
        this.again(job, true);
      } else if (overwrite === false) {
        this.drop(job);
      }
    }
  }

  private progress(job: Job, signal: AbortSignal, sent: number, state: UploadState): void {
    if (signal.aborted) {
      return;
    }
    job.sent = sent;
    if (job.state !== state) {
      job.state = state;
      this._changed.emit();
      return;
    }
    this._telling ??= this._clock.set(() => {
      this._telling = null;
      this._changed.emit();
    }, TELL_MS);
  }

  private readonly _api: UploadApi;
  private readonly _notes: UploadNotes | null;
  private readonly _clock: Clock;
  private readonly _waiter: Waiter;
  private readonly _transfer: Transfer;
  private _jobs: Job[] = [];
  private _past = { nfiles: 0, size: 0 };
  private _last = 0;
  private _telling: unknown = null;
  private _isDisposed = false;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _arrived = new Signal<this, string>(this);
}

function targetOf(directory: string, file: File): Target {
  return { directory, name: file.name, size: file.size, modified: file.lastModified };
}

/** The same for the same file in the same place. */
function keyOf({ directory, name, size, modified }: Target): string {
  return `${directory}/${name}\n${size}\n${modified}`;
}
