/** Files on their way to an area: a queue, two at a time. */
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import type { PutOptions } from '../api/client';
import { isAborted, toApiError, type ApiError } from '../api/errors';

/** What the queue needs of the API. */
export interface UploadApi {
  put(directory: string, file: File, options?: PutOptions): Promise<string>;
}

/**
 * `asking`: there is a file of this name; the user says whether it is replaced.
 * `storing`: all bytes are sent, and the server checks them.
 */
export type UploadState = 'waiting' | 'sending' | 'storing' | 'asking' | 'failed' | 'done';

/** A file on its way. */
export interface Upload {
  readonly id: number;
  readonly directory: string;
  readonly file: File;
  readonly size: number;
  readonly sent: number;
  readonly state: UploadState;
  readonly error: ApiError | null;
}

const AT_ONCE = 2;
/** Finished uploads that stay in sight. */
const MOST_DONE = 20;

interface Job extends Upload {
  sent: number;
  state: UploadState;
  error: ApiError | null;
  overwrite: boolean;
  abort: AbortController | null;
}

export class Uploads implements IDisposable {
  constructor(private readonly api: UploadApi) {}

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

  /** Whether something has not arrived yet. */
  get isBusy(): boolean {
    return this._jobs.some(job => ['waiting', 'sending', 'storing'].includes(job.state));
  }

  /** Put files at the end of the queue. */
  add(directory: string, files: readonly File[]): void {
    for (const file of files) {
      this._jobs.push({
        id: (this._last += 1),
        directory,
        file,
        size: file.size,
        sent: 0,
        state: 'waiting',
        error: null,
        overwrite: false,
        abort: null
      });
    }
    this.next();
  }

  /** Replace the file that is there. */
  replace(upload: Upload): void {
    this.again(upload, true);
  }

  /** Replace all files of which this is asked. */
  replaceAll(): void {
    this._jobs.filter(job => job.state === 'asking').forEach(job => this.replace(job));
  }

  /** Try again what failed. */
  retry(upload: Upload): void {
    this.again(upload, false);
  }

  /** Cancel it, or take it out of sight. */
  dismiss(upload: Upload): void {
    const job = this.jobOf(upload);
    if (job) {
      job.abort?.abort();
      this._jobs = this._jobs.filter(other => other !== job);
      this.next();
    }
  }

  /** Take out of sight what has ended. */
  clear(): void {
    this._jobs = this._jobs.filter(job => job.state !== 'done' && job.state !== 'failed');
    this._changed.emit();
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._jobs.forEach(job => job.abort?.abort());
      Signal.clearData(this);
    }
  }

  private jobOf(upload: Upload): Job | undefined {
    return this._jobs.find(job => job.id === upload.id);
  }

  private again(upload: Upload, overwrite: boolean): void {
    const job = this.jobOf(upload);
    if (job && (job.state === 'asking' || job.state === 'failed')) {
      Object.assign(job, { state: 'waiting', sent: 0, error: null, overwrite: overwrite || job.overwrite });
      this.next();
    }
  }

  private next(): void {
    if (this._isDisposed) {
      return;
    }
    const nsending = this._jobs.filter(job => job.state === 'sending' || job.state === 'storing').length;
    this._jobs
      .filter(job => job.state === 'waiting')
      .slice(0, Math.max(0, AT_ONCE - nsending))
      .forEach(job => void this.send(job));
    this._changed.emit();
  }

  private async send(job: Job): Promise<void> {
    job.state = 'sending';
    job.abort = new AbortController();
    try {
      const path = await this.api.put(job.directory, job.file, {
        overwrite: job.overwrite,
        signal: job.abort.signal,
        onProgress: (sent, total) => this.progress(job, sent, total)
      });
      job.state = 'done';
      job.sent = job.size;
      this._arrived.emit(path);
    } catch (reason) {
      if (!isAborted(reason)) {
        const error = toApiError(reason);
        job.state = isTaken(error) && !job.overwrite ? 'asking' : 'failed';
        job.error = error;
      }
    } finally {
      job.abort = null;
    }
    const done = this._jobs.filter(other => other.state === 'done');
    const old = new Set(done.slice(0, Math.max(0, done.length - MOST_DONE)));
    this._jobs = this._jobs.filter(other => !old.has(other));
    this.next();
  }

  private progress(job: Job, sent: number, total: number): void {
    // The body is a bit longer than the file: its frame counts too.
    job.sent = total > 0 ? Math.min(job.size, Math.round((job.size * sent) / total)) : 0;
    job.state = total > 0 && sent >= total ? 'storing' : 'sending';
    this._changed.emit();
  }

  private _jobs: Job[] = [];
  private _last = 0;
  private _isDisposed = false;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _arrived = new Signal<this, string>(this);
}

/** Whether there is a file already: the condition "none of this name" did not hold. */
function isTaken(error: ApiError): boolean {
  return error.status === 412 || error.status === 409;
}
