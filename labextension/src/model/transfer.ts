/** How one file gets into an area: at once if it is small, else in parts that go on after each interruption. */
import type { PutOptions } from '../api/client';
import { ApiError, isAborted, toApiError } from '../api/errors';
import type { UploadState as Arrived } from '../api/types';
import type { Clock } from './debounce';
import type { Target, UploadNotes } from './uploadNotes';

/** What uploads need of the API. */
export interface UploadApi {
  put(directory: string, file: File, options?: PutOptions): Promise<string>;
  mkdir(path: string): Promise<string>;
  /** The etag of what is there; null if nothing is. */
  generation(path: string, signal?: AbortSignal): Promise<string | null>;
  beginUpload(path: string, size: number, signal?: AbortSignal): Promise<Arrived>;
  uploadState(id: string, signal?: AbortSignal): Promise<Arrived>;
  sendPart(id: string, offset: number, part: Blob, options?: PutOptions): Promise<Arrived>;
  finishUpload(id: string, options?: PutOptions): Promise<string>;
  abandonUpload(id: string): Promise<void>;
}

/** A file on its way; what is known of it at the server outlives an attempt. */
export interface Parcel extends Target {
  readonly overwrite: boolean;
  /** The server's name for it; null as long as it has none. */
  uploadId: string | null;
  /** What was at its place when it was told to get its name; undefined before. */
  before: string | null | undefined;
}

/** What is told on the way. */
export interface Steps {
  onProgress(sent: number): void;
  /** All bytes have arrived, and are checked. */
  onStoring(): void;
  /** The server is away; null when it is tried again. */
  onAway(reason: ApiError | null): void;
}

/** Files of more bytes go in parts of so many. */
export const PART = 8 << 20;
/** Waiting times before an attempt when the server is away, in milliseconds; the last one repeats. */
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 15_000];
/** Until the server has noticed that another request of the same upload has ended. */
const BUSY_MS = 1_000;
/** So often an upload that the server has lost is begun again. */
const MOST_LOST = 3;
/** Code of our own for: there is a file of this name. */
const TAKEN = 'taken';

/** Waits, until time has passed or somebody knows that it may go on. */
export class Waiter {
  constructor(private readonly clock: Clock) {}

  wait(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.clock.clear(timer);
        signal.removeEventListener('abort', stop);
        this._ends.delete(end);
        resolve();
      };
      const stop = (): void => {
        end();
        reject(new DOMException('upload cancelled', 'AbortError'));
      };
      const timer = this.clock.set(end, ms);
      this._ends.add(end);
      if (signal.aborted) {
        reject(new DOMException('upload cancelled', 'AbortError'));
        end();
        return;
      }
      signal.addEventListener('abort', stop);
    });
  }

  /** End all waiting. */
  wake(): void {
    [...this._ends].forEach(end => end());
  }

  private readonly _ends = new Set<() => void>();
}

export class Transfer {
  constructor(
    private readonly api: UploadApi,
    private readonly waiter: Waiter,
    private readonly notes: UploadNotes | null
  ) {}

  /** Send a file for as long as it takes; answers its path. What does not pass by itself is thrown. */
  async send(parcel: Parcel, file: File, steps: Steps, signal: AbortSignal): Promise<string> {
    let nlost = 0;
    for (let nfailed = 0; ; ) {
      try {
        return parcel.size <= PART && parcel.uploadId === null
          ? await this.whole(parcel, file, steps, signal)
          : await this.inParts(parcel, file, steps, signal, () => {
              nfailed = 0;
            });
      } catch (reason) {
        if (isAborted(reason) || signal.aborted) {
          throw new DOMException('upload cancelled', 'AbortError');
        }
        const error = toApiError(reason);
        if (error.status === 404 && parcel.uploadId !== null && nlost < MOST_LOST) {
          nlost += 1;
          continue; // the server has lost it; what that means, the next attempt finds out
        }
        if (!isAway(error)) {
          throw error;
        }
        await checkReadable(file);
        steps.onAway(error);
        await this.waiter.wait(PAUSES_MS[Math.min(nfailed, PAUSES_MS.length - 1)] ?? 0, signal);
        nfailed += 1;
        steps.onAway(null);
      }
    }
  }

  /** Forget an upload here and at the server. */
  async abandon(parcel: Parcel): Promise<void> {
    const { uploadId } = parcel;
    if (uploadId === null) {
      return;
    }
    this.forget(parcel);
    const { signal } = new AbortController();
    for (let nfailed = 0; nfailed < PAUSES_MS.length; nfailed += 1) {
      try {
        return await this.api.abandonUpload(uploadId);
      } catch (reason) {
        // A part may still be arriving there. What stays is given up by the server after a day.
        if (!isBusy(toApiError(reason)) && !isAway(toApiError(reason))) {
          return;
        }
      }
      await this.waiter.wait(PAUSES_MS[nfailed] ?? 0, signal);
    }
  }

  private async whole(parcel: Parcel, file: File, steps: Steps, signal: AbortSignal): Promise<string> {
    return this.api.put(parcel.directory, file, {
      overwrite: parcel.overwrite,
      signal,
      onProgress: (sent, total) => {
        // The body is a bit longer than the file: its frame counts too.
        steps.onProgress(total > 0 ? Math.min(parcel.size, Math.round((parcel.size * sent) / total)) : 0);
        if (total > 0 && sent >= total) {
          steps.onStoring();
        }
      }
    });
  }

  private async inParts(
    parcel: Parcel,
    file: File,
    steps: Steps,
    signal: AbortSignal,
    onPart: () => void
  ): Promise<string> {
    const path = `${parcel.directory}/${parcel.name}`;
    for (;;) {
      const known = parcel.uploadId === null ? null : await this.known(parcel, parcel.uploadId, path, signal);
      if (known !== null && 'path' in known) {
        return known.path;
      }
      const { id, offset } = known ?? (await this.begin(parcel, path, signal));
      try {
        await this.sendParts(parcel, id, offset, file, steps, signal, onPart);
        return await this.finish(parcel, id, path, steps, signal);
      } catch (reason) {
        if (!isBusy(toApiErrorUnlessAborted(reason))) {
          throw reason;
        }
        await this.waiter.wait(BUSY_MS, signal);
      }
    }
  }

  /** How much of it the server has; its path if it is stored already, null if the server knows nothing of it. */
  private async known(
    parcel: Parcel,
    id: string,
    path: string,
    signal: AbortSignal
  ): Promise<{ id: string; offset: number } | { path: string } | null> {
    try {
      return { id, offset: (await this.api.uploadState(id, signal)).offset };
    } catch (reason) {
      if (toApiErrorUnlessAborted(reason).status !== 404) {
        throw reason;
      }
    }
    const { before } = parcel;
    const now = before === undefined ? null : await this.api.generation(path, signal);
    this.forget(parcel);
    // It may have got its name while the answer was lost.
    return now !== null && now !== before ? { path } : null;
  }

  private async begin(parcel: Parcel, path: string, signal: AbortSignal): Promise<Arrived> {
    await this.checkFree(parcel, path, signal); // before the first byte, not after the last
    const state = await this.api.beginUpload(path, parcel.size, signal);
    parcel.uploadId = state.id;
    this.notes?.keep(state.id, parcel, state.offset);
    return state;
  }

  private async sendParts(
    parcel: Parcel,
    id: string,
    from: number,
    file: File,
    steps: Steps,
    signal: AbortSignal,
    onPart: () => void
  ): Promise<void> {
    let offset = from;
    steps.onProgress(offset);
    while (offset < parcel.size) {
      const begin = offset;
      const part = file.slice(begin, begin + PART);
      const state = await this.api.sendPart(id, begin, part, {
        signal,
        onProgress: sent => steps.onProgress(begin + Math.min(sent, part.size))
      });
      offset = state.offset;
      steps.onProgress(offset);
      this.notes?.keep(id, parcel, offset);
      onPart();
    }
  }

  private async finish(
    parcel: Parcel,
    id: string,
    path: string,
    steps: Steps,
    signal: AbortSignal
  ): Promise<string> {
    parcel.before = await this.checkFree(parcel, path, signal);
    steps.onStoring();
    try {
      const stored = await this.api.finishUpload(id, { overwrite: parcel.overwrite, signal });
      this.forget(parcel);
      return stored;
    } catch (reason) {
      const error = toApiErrorUnlessAborted(reason);
      if (!isAway(error) && !isBusy(error) && error.status !== 401 && error.status !== 403) {
        this.forget(parcel); // what is refused now is gone
      }
      throw reason;
    }
  }

  /** What is there, which may be something only if it may be replaced. */
  private async checkFree(parcel: Parcel, path: string, signal: AbortSignal): Promise<string | null> {
    const there = await this.api.generation(path, signal);
    if (there !== null && !parcel.overwrite) {
      throw new ApiError({ message: `there is ${path} already`, code: TAKEN }, 412);
    }
    return there;
  }

  private forget(parcel: Parcel): void {
    if (parcel.uploadId !== null) {
      this.notes?.forget(parcel.uploadId);
    }
    parcel.uploadId = null;
    parcel.before = undefined;
  }
}

/** Whether there is a file already: the condition "none of this name" did not hold. */
export function isTaken(error: ApiError): boolean {
  return error.status === 412 || (error.status === 409 && !isBusy(error));
}

/** Whether nobody is there to answer, for the moment. */
function isAway(error: ApiError): boolean {
  return error.status === 0 || [429, 502, 503, 504].includes(error.status);
}

/** Whether the server sees another end of what has arrived, or another request at work. */
function isBusy(error: ApiError): boolean {
  return error.code === 'upload-offset';
}

function toApiErrorUnlessAborted(reason: unknown): ApiError {
  if (isAborted(reason)) {
    throw reason;
  }
  return toApiError(reason);
}

/** A browser that can not read a file says the same as one that can not reach the server. */
async function checkReadable(file: File): Promise<void> {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new ApiError({
      message: 'the file has changed or is gone since it was chosen',
      code: 'unreadable',
      hint: 'choose it once more'
    });
  }
}
