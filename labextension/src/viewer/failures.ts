/** Failures as sentences. */

import { ApiError, toApiError } from '../api/errors';

/** Say what went wrong: the server's sentence and hint, or our own. */
export function sentenceOf(reason: unknown): string {
  if (
    reason instanceof ApiError ||
    !(reason instanceof Error) ||
    reason instanceof DOMException ||
    reason instanceof TypeError
  ) {
    return toApiError(reason).sentence;
  }
  return reason.message;
}
