/** The one kind of failure that leaves `api/`: what went wrong as a sentence, and what to do about it. */

import type { HostWords, Translator } from './host';

const ENGLISH: Translator = { __: (text, value = '') => text.replace('%1', () => value) };

/** Said where nobody knows better. */
const PLAIN: HostWords = {
  silent: 'look whether it still runs, and whether the network works',
  refused: 'the server refuses the request'
};

/** Codes for what happened before a subscriber could answer. */
export const NO_ANSWER = 'no-answer';
export const TIMED_OUT = 'timed-out';

/** The JSON of a failure, as far as it can be relied on. */
export interface Problem {
  message: string;
  code: string;
  hint: string | null;
  requestId: string | null;
}

/** A request that failed. */
export class ApiError extends Error {
  constructor(problem: Partial<Problem> & { message: string }, status = 0) {
    super(problem.message);
    this.name = 'ApiError';
    this.status = status;
    this.code = problem.code ?? (status === 0 ? NO_ANSWER : `http-${status}`);
    this.hint = problem.hint ?? null;
    this.requestId = problem.requestId ?? null;
  }

  /** HTTP status; 0 if there was no answer. */
  readonly status: number;
  /** Permanent name of the kind of failure. */
  readonly code: string;
  readonly hint: string | null;
  readonly requestId: string | null;

  /** What is wrong and what to do, for a person. */
  get sentence(): string {
    return this.hint ? `${asSentence(this.message)} ${asSentence(this.hint)}` : asSentence(this.message);
  }

  /** Whether the same request may succeed later. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Whether this is the end of a request that nobody waits for any more. */
export function isAborted(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'AbortError';
}

/** Make an `ApiError` of whatever was thrown. */
export function toApiError(reason: unknown, words: HostWords = PLAIN): ApiError {
  if (reason instanceof ApiError) {
    return reason;
  }
  const { trans = ENGLISH } = words;
  if (reason instanceof DOMException && reason.name === 'TimeoutError') {
    return new ApiError({
      message: trans.__('no answer came in time'),
      code: TIMED_OUT,
      hint: trans.__('the server is busy or can not be reached')
    });
  }
  return new ApiError({
    message: trans.__('the server does not answer'),
    code: NO_ANSWER,
    hint: words.silent
  });
}

/** Read the failure out of an answer. Its body may be ours, Jupyter's, a proxy's, or no JSON at all. */
export async function errorOf(response: Response, words: HostWords = PLAIN): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  return new ApiError(parseProblem(text, response.status, response.statusText, words), response.status);
}

/** Make an `ApiError` of an answer that is none of ours. */
export function notWhatWasAsked(status = 0, { trans = ENGLISH }: HostWords = PLAIN): ApiError {
  return new ApiError({ message: trans.__('the answer is not what was asked for'), code: 'not-json' }, status);
}

/** Read a failure out of a body. */
export function parseProblem(text: string, status: number, statusText: string, words: HostWords = PLAIN): Problem {
  const body = parseObject(text);
  return {
    message: messageOf(body) ?? fallback(status, statusText, words),
    code: textOf(body, 'code') ?? `http-${status}`,
    hint: textOf(body, 'hint'),
    requestId: textOf(body, 'request_id')
  };
}

/** Begin with a capital, end with a full stop. */
export function asSentence(text: string): string {
  const trimmed = text.trim();
  const first = trimmed.charAt(0);
  // A path, a name in quotes or a number is left as it is.
  const head = /^[a-z]+(?=[\s,]|$)/.test(trimmed) ? first.toUpperCase() + trimmed.slice(1) : trimmed;
  return /[.!?]$/.test(head) ? head : `${head}.`;
}

function fallback(status: number, statusText: string, words: HostWords): string {
  const { trans = ENGLISH } = words;
  switch (status) {
    case 401:
      return trans.__('you are not logged in');
    case 403:
      return words.refused;
    case 404:
      return trans.__('there is no such thing on the server');
    case 413:
      return trans.__('the answer or the file is larger than allowed');
    case 502:
    case 503:
    case 504:
      return trans.__('the subscriber can not be reached');
    default:
      return trans.__('the server answered %1', `${status} ${statusText}`.trim());
  }
}

type Body = Readonly<Record<string, unknown>>;

function parseObject(text: string): Body {
  try {
    const value: unknown = JSON.parse(text);
    return isBody(value) ? value : {};
  } catch {
    return {};
  }
}

function isBody(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(body: Body, key: string): string | null {
  const value = body[key];
  return typeof value === 'string' && value !== '' ? value : null;
}

function messageOf(body: Body): string | null {
  const detail = body['detail'];
  if (Array.isArray(detail)) {
    const lines = detail.filter(isBody).map(item => {
      const loc = item['loc'];
      const where = Array.isArray(loc) ? loc.join('.') : '';
      return where ? `${where}: ${String(item['msg'])}` : String(item['msg']);
    });
    return lines.length > 0 ? lines.join('; ') : null;
  }
  if (isBody(detail)) {
    return textOf(detail, 'reason');
  }
  return textOf(body, 'detail') ?? textOf(body, 'message');
}
