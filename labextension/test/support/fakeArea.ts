/** An area in memory that takes uploads in parts, as the subscriber does: what goes wrong is told beforehand. */
import type { PutOptions } from '../../src/api/client';
import { ApiError } from '../../src/api/errors';
import type { UploadState } from '../../src/api/types';
import type { UploadApi } from '../../src/model/transfer';

interface Begun {
  readonly path: string;
  readonly size: number;
  data: Uint8Array<ArrayBuffer>;
}

/** Something a request does instead of being answered; `after`: the server has done it, and the answer is lost. */
export interface Mishap {
  readonly request: 'part' | 'state' | 'finish' | 'put' | 'begin';
  readonly error: unknown;
  readonly after?: boolean;
}

export const AWAY = (): ApiError => new ApiError({ message: 'the server does not answer' });

export class FakeArea implements UploadApi {
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly begun = new Map<string, Begun>();
  readonly directories: string[] = [];
  /** Happen one after the other, each to the next request of its kind. */
  readonly mishaps: Mishap[] = [];
  /** What was asked, as words. */
  readonly asked: string[] = [];
  /** Parts wait for these, if there are some. */
  gate: Promise<void> | null = null;

  async put(directory: string, file: File, { overwrite, signal }: PutOptions = {}): Promise<string> {
    const path = `${directory}/${file.name}`;
    this.asked.push(`put ${file.name}`);
    await this.gate;
    signal?.throwIfAborted();
    this.happen('put');
    this.checkFree(path, overwrite);
    this.store(path, new Uint8Array(await file.arrayBuffer()));
    return path;
  }

  async mkdir(path: string): Promise<string> {
    await Promise.resolve();
    this.directories.push(path);
    return path;
  }

  async generation(path: string): Promise<string | null> {
    await Promise.resolve();
    return this.files.has(path) ? `g${this._generations.get(path)}` : null;
  }

  async beginUpload(path: string, size: number): Promise<UploadState> {
    await Promise.resolve();
    this.asked.push('begin');
    this.happen('begin');
    const id = `u${(this._last += 1)}`;
    this.begun.set(id, { path, size, data: new Uint8Array() });
    return this.stateOf(id);
  }

  async uploadState(id: string): Promise<UploadState> {
    await Promise.resolve();
    this.asked.push('state');
    this.happen('state');
    return this.stateOf(id);
  }

  async sendPart(id: string, offset: number, part: Blob, { signal }: PutOptions = {}): Promise<UploadState> {
    this.asked.push(`part ${offset}`);
    await this.gate;
    signal?.throwIfAborted();
    this.happen('part', false);
    const upload = this.upload(id);
    if (offset !== upload.data.length) {
      throw new ApiError({ message: 'not there', code: 'upload-offset' }, 409);
    }
    upload.data = await joined(upload.data, part);
    this.happen('part', true);
    return this.stateOf(id);
  }

  async finishUpload(id: string, { overwrite }: PutOptions = {}): Promise<string> {
    await Promise.resolve();
    this.asked.push('finish');
    this.happen('finish', false);
    const { path, data } = this.upload(id);
    this.begun.delete(id);
    this.checkFree(path, overwrite);
    this.store(path, data);
    this.happen('finish', true);
    return path;
  }

  async abandonUpload(id: string): Promise<void> {
    await Promise.resolve();
    this.upload(id);
    this.begun.delete(id);
  }

  store(path: string, data: Uint8Array<ArrayBuffer>): void {
    this.files.set(path, data);
    this._generations.set(path, (this._generations.get(path) ?? 0) + 1);
  }

  private happen(request: Mishap['request'], after = false): void {
    const index = this.mishaps.findIndex(mishap => mishap.request === request && (mishap.after ?? false) === after);
    const [mishap] = index < 0 ? [] : this.mishaps.splice(index, 1);
    if (mishap) {
      throw mishap.error;
    }
  }

  private checkFree(path: string, overwrite = false): void {
    if (!overwrite && this.files.has(path)) {
      throw new ApiError({ message: 'exists', code: 'dataset-changed' }, 412);
    }
  }

  private upload(id: string): Begun {
    const found = this.begun.get(id);
    if (!found) {
      throw new ApiError({ message: 'there is no such upload', code: 'not-found' }, 404);
    }
    return found;
  }

  private stateOf(id: string): UploadState {
    const { path, size, data } = this.upload(id);
    return { id, path, size, offset: data.length, expires: '', filename: null, unpack: false };
  }

  private readonly _generations = new Map<string, number>();
  private _last = 0;
}

async function joined(data: Uint8Array<ArrayBuffer>, part: Blob): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Blob([data, part]).arrayBuffer());
}
