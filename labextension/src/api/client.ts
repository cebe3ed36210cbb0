/** The API of a subscriber, as the browser uses it. Nothing else builds addresses or reads answers. */
import { ApiError, errorOf, isAborted, notWhatWasAsked, toApiError } from './errors';
import type { Host, UploadBody, UploadOptions } from './host';
import type { Described, Explanation, FileDescription, TreePage, UploadState } from './types';

/** How long an answer may take to begin, in milliseconds. */
const PATIENCE_MS = 60_000;
/** Checking an upload that has arrived may take so long. */
const CHECKED_MS = 900_000;

export type QueryValue = string | number | boolean | null | undefined;
export type Query = Readonly<Record<string, QueryValue>>;

/** Which rows of a directory. */
export interface TreeOptions {
  readonly after?: string | null | undefined;
  /** Rows before the page; not together with `after`. */
  readonly offset?: number | undefined;
  readonly limit?: number | undefined;
  readonly filter?: string | undefined;
  readonly recursive?: boolean | undefined;
}

/** Which part of a dataset, and how fine. */
export interface WindowOptions {
  readonly slice_?: string | undefined;
  readonly field?: string | undefined;
  readonly filter?: string | undefined;
  readonly sortby?: string | undefined;
  /** Most points along each axis of the answer. */
  readonly points?: number | undefined;
}

/** A window as raw little-endian bytes in C order. */
export interface RawWindow {
  readonly data: ArrayBuffer;
  /** `<f4`, `|b1`, …; JSON for structured types. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Every how manyeth item along each axis of the answer. */
  readonly step: readonly number[];
  readonly etag: string | null;
}

/** A window as cells for people. */
export interface JsonWindow {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly step: readonly number[];
  readonly names?: readonly string[] | null;
  readonly data: readonly unknown[];
}

/** How a file is uploaded. */
export interface PutOptions {
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((sent: number, total: number) => void) | undefined;
}

/** A new dataset that is computed from others. */
export interface NewExpression {
  readonly name: string;
  readonly expression: string;
  readonly operands: Readonly<Record<string, string>>;
}

/** One subscriber. Stateless; every method may fail with `ApiError`, or with `AbortError` if told to stop. */
export class Api {
  /**
   * @param host - Carries the requests.
   * @param base - Address below which `api/` begins; absolute, ends in a slash.
   */
  constructor(
    private readonly host: Host,
    readonly base: string
  ) {}

  /** Absolute address of an endpoint; `path` goes into its last part. */
  url(endpoint: string, path = '', query: Query = {}): string {
    const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
    checkPath(path);
    const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
    return `${this.base}api/${endpoint}${encodePath(path)}${text ? `?${text}` : ''}`;
  }

  /** Send a request; an answer that says failure is thrown. */
  async request(url: string, init: RequestInit = {}, patienceMs = PATIENCE_MS): Promise<Response> {
    const patience = AbortSignal.timeout(patienceMs);
    const signal = init.signal ? AbortSignal.any([init.signal, patience]) : patience;
    let response: Response;
    try {
      response = await this.host.request(url, { ...init, signal });
    } catch (reason) {
      if (isAborted(reason) || init.signal?.aborted) {
        throw new DOMException('nobody waits for it', 'AbortError');
      }
      // What carries the request may have wrapped the end of our patience.
      throw toApiError(patience.aborted ? patience.reason : reason, this.host.words);
    }
    if (!response.ok && response.status !== 304) {
      throw await errorOf(response, this.host.words);
    }
    return response;
  }

  /** Read an endpoint; the answer is not interpreted. */
  async get(endpoint: string, path: string, query?: Query, init?: RequestInit): Promise<Response> {
    return this.request(this.url(endpoint, path, query), init);
  }

  /** A page of a directory; of roots and areas if `path` is empty. */
  async tree(path: string, options: TreeOptions = {}, signal?: AbortSignal): Promise<TreePage> {
    const { after, offset, limit, filter, recursive } = options;
    const query = { after, offset, limit, filter: filter || undefined, recursive: recursive ? 1 : undefined };
    const response = await this.get('tree/', path, query, init(signal));
    return this.json<TreePage>(response);
  }

  /** Describe a file. */
  async info(path: string, signal?: AbortSignal): Promise<Described> {
    const response = await this.get('info/', path, {}, init(signal));
    return {
      info: await this.json<FileDescription>(response),
      etag: response.headers.get('ETag'),
      freshness: response.headers.get('Caterva2-Freshness')
    };
  }

  /** The etag of a file; null if there is none. */
  async generation(path: string, signal?: AbortSignal): Promise<string | null> {
    try {
      return (await this.info(path, signal)).etag ?? '';
    } catch (reason) {
      if (reason instanceof ApiError && reason.status === 404) {
        return null;
      }
      throw reason;
    }
  }

  /** A window of a dataset as numbers. */
  async window(path: string, options: WindowOptions, signal?: AbortSignal): Promise<RawWindow> {
    const response = await this.get('window/', path, { ...options, encoding: 'raw' }, init(signal));
    const header = (name: string): string => response.headers.get(name) ?? '';
    return {
      data: await this.body(response.arrayBuffer()),
      dtype: header('Caterva2-Dtype'),
      shape: numbers(header('Caterva2-Shape')),
      step: numbers(header('Caterva2-Step')),
      etag: response.headers.get('ETag')
    };
  }

  /** A window of a dataset as cells of a table. */
  async cells(path: string, options: WindowOptions, signal?: AbortSignal): Promise<JsonWindow> {
    const response = await this.get('window/', path, { ...options, encoding: 'json' }, init(signal));
    return this.json<JsonWindow>(response);
  }

  /** Address from which the browser downloads a file as it was published. */
  downloadUrl(path: string): string {
    return this.url('download/', path);
  }

  /** Store a file; `path` is the directory it goes to. Answers its path. */
  async put(directory: string, file: File, options: PutOptions = {}): Promise<string> {
    const form = new FormData();
    form.append('file', file, file.name);
    const target = `${directory}/${file.name}`;
    const response = await this.send(this.url('upload/', target), form, {
      headers: options.overwrite ? {} : { 'If-None-Match': '*' },
      patienceMs: CHECKED_MS,
      signal: options.signal,
      onProgress: options.onProgress
    });
    return this.json<string>(response);
  }

  /** Announce a file that goes in parts; room for all of it is set aside. */
  async beginUpload(path: string, size: number, signal?: AbortSignal): Promise<UploadState> {
    const response = await this.request(this.url('uploads'), {
      method: 'POST',
      body: JSON.stringify({ path, size }),
      headers: { 'Content-Type': 'application/json' },
      ...init(signal)
    });
    return this.json<UploadState>(response);
  }

  /** How much of an upload has arrived. */
  async uploadState(id: string, signal?: AbortSignal): Promise<UploadState> {
    return this.json<UploadState>(await this.get('uploads/', id, {}, init(signal)));
  }

  /** Send the part of a file that begins where the last one ended. */
  async sendPart(id: string, offset: number, part: Blob, options: PutOptions = {}): Promise<UploadState> {
    const response = await this.send(this.url('uploads/', id), part, {
      method: 'PATCH',
      headers: { 'Upload-Offset': String(offset), 'Content-Type': 'application/octet-stream' },
      patienceMs: PATIENCE_MS,
      signal: options.signal,
      onProgress: options.onProgress
    });
    return this.json<UploadState>(response);
  }

  /** Let an upload that has arrived be checked, and get its name. Answers its path. */
  async finishUpload(id: string, options: PutOptions = {}): Promise<string> {
    const headers: HeadersInit = options.overwrite ? {} : { 'If-None-Match': '*' };
    const request = { method: 'POST', headers, ...init(options.signal) };
    return this.json<string>(await this.request(this.url('uploads/', id), request, CHECKED_MS));
  }

  /** Give an upload up; what has arrived of it goes. */
  async abandonUpload(id: string): Promise<void> {
    await this.request(this.url('uploads/', id), { method: 'DELETE' });
  }

  /** Make a directory. */
  mkdir(path: string): Promise<string> {
    return this.post('mkdir/', path);
  }

  /** Remove a file, or a directory with its contents. */
  remove(path: string): Promise<string> {
    return this.post('remove/', path);
  }

  /** Give a file or directory another path; nothing may be there. */
  move(src: string, dst: string): Promise<string> {
    return this.post('move/', '', { src, dst, exact: true });
  }

  /** Copy a file or directory into an area. */
  copy(src: string, dst: string): Promise<string> {
    return this.post('copy/', '', { src, dst });
  }

  /** Subscribe to a root. */
  subscribe(root: string): Promise<string> {
    return this.post('subscribe/', root);
  }

  /** Make an empty notebook. */
  addNotebook(path: string): Promise<string> {
    return this.post('addnotebook/', path);
  }

  /** What reading all of a dataset would cost. */
  async explain(path: string, signal?: AbortSignal): Promise<Explanation> {
    return this.json<Explanation>(await this.get('explain/', path, {}, init(signal)));
  }

  /** Store an expression; answers its path. */
  lazyexpr(expression: NewExpression): Promise<string> {
    return this.post('lazyexpr/', '', expression);
  }

  /** Send a body, and tell how far it is. */
  private async send(url: string, body: UploadBody, options: UploadOptions): Promise<Response> {
    let response: Response;
    try {
      response = await this.host.upload(url, body, options);
    } catch (reason) {
      if (isAborted(reason)) {
        throw reason;
      }
      throw toApiError(reason, this.host.words);
    }
    if (!response.ok) {
      throw await errorOf(response, this.host.words);
    }
    return response;
  }

  private async post(endpoint: string, path: string, content?: unknown): Promise<string> {
    const response = await this.request(this.url(endpoint, path), {
      method: 'POST',
      ...(content === undefined
        ? {}
        : { body: JSON.stringify(content), headers: { 'Content-Type': 'application/json' } })
    });
    return this.json<string>(response);
  }

  /** Open the websocket of events; `since` continues behind a known position. */
  openEvents(since?: { epoch: string; seq: number }): WebSocket {
    const query = since ? { epoch: since.epoch, since: since.seq } : {};
    return this.host.socket(this.url('events', '', query));
  }

  /** The server's types are ours: `schema.gen.ts` is made from its own description. */
  private async json<T>(response: Response): Promise<T> {
    const text = await this.body(response.text());
    try {
      return JSON.parse(text) as T;
    } catch {
      throw notWhatWasAsked(response.status, this.host.words);
    }
  }

  /** Wait for a body; a connection that breaks in it is no answer. */
  private async body<T>(content: Promise<T>): Promise<T> {
    try {
      return await content;
    } catch (reason) {
      if (isAborted(reason)) {
        throw reason;
      }
      throw toApiError(reason, this.host.words);
    }
  }
}

/** Percent-encode the parts of a path. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/').replaceAll('%40', '@');
}

/** Refuse what no path has: browsers take dots for a way to other addresses, and can not encode half a character. */
function checkPath(path: string): void {
  const isBad = path.split('/').some(part => part === '.' || part === '..') || /[\ud800-\udfff]/u.test(path);
  if (isBad) {
    throw new ApiError({ message: `${JSON.stringify(path)} is no path of a dataset`, code: 'bad-path' }, 400);
  }
}

function init(signal: AbortSignal | undefined): RequestInit {
  return signal ? { signal } : {};
}

function numbers(text: string): number[] {
  return text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '')
    .map(Number);
}
