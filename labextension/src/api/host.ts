/** What carries requests: JupyterLab with its tokens in one place, the page of a subscriber in another. */

/** What to say when the server behind a host gives no answer of ours. */
export interface HostWords {
  /** What to do if it does not answer at all. */
  readonly silent: string;
  /** What it means if it refuses without a reason. */
  readonly refused: string;
  /** Puts other sentences into the language of the page; English without it. */
  readonly trans?: Translator;
}

/** As much of a translation bundle as sentences about failures need; `%1` stands for the first value. */
export interface Translator {
  __(text: string, ...values: string[]): string;
}

/** Something that reaches a server. Addresses are absolute. */
export interface Host {
  readonly words?: HostWords;
  /** Send a request; the answer may have any status. */
  request(url: string, init?: RequestInit): Promise<Response>;
  /** Open a websocket; `url` begins with `http`, as for requests. */
  socket(url: string): WebSocket;
  /** Send a body and tell how far it is, which `fetch` can not. */
  upload(url: string, body: UploadBody, options: UploadOptions): Promise<Response>;
}

/** A form with a file, or bytes as they are. */
export type UploadBody = FormData | Blob;

/** How a body is sent. */
export interface UploadOptions {
  /** POST, unless told otherwise. */
  readonly method?: string;
  /** How long the answer may take when the body is sent, in milliseconds. */
  readonly patienceMs: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((sent: number, total: number) => void) | undefined;
}

/** A body of which nothing is taken for so long will not arrive, in milliseconds. */
const STALLED_MS = 90_000;

/** Send a body by XMLHttpRequest, the only way to see how far an upload is. */
export function sendWithProgress(
  url: string,
  body: UploadBody,
  { method = 'POST', headers = {}, patienceMs, signal, onProgress }: UploadOptions
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const abort = (): void => xhr.abort();
    let isStalled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const watch = (ms: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        isStalled = true;
        xhr.abort();
      }, ms);
    };
    xhr.open(method, url);
    xhr.responseType = 'text';
    for (const [name, value] of Object.entries(headers)) {
      xhr.setRequestHeader(name, value);
    }
    xhr.upload.onprogress = event => {
      watch(STALLED_MS);
      onProgress?.(event.loaded, event.total);
    };
    xhr.upload.onload = () => watch(patienceMs);
    xhr.onload = () => {
      const init = { status: xhr.status, statusText: xhr.statusText };
      resolve(new Response(xhr.status === 204 ? null : xhr.responseText, init));
    };
    xhr.onerror = () => reject(new TypeError('network error'));
    xhr.onabort = () =>
      reject(
        isStalled ? new DOMException('no answer', 'TimeoutError') : new DOMException('upload cancelled', 'AbortError')
      );
    xhr.onloadend = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
    if (signal?.aborted) {
      reject(new DOMException('upload cancelled', 'AbortError'));
      return;
    }
    signal?.addEventListener('abort', abort);
    watch(STALLED_MS);
    xhr.send(body);
  });
}
