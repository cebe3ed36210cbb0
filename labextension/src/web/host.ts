/** Requests from the page of a subscriber to that subscriber: the cookie of the session goes along. */
import { sendWithProgress, type Host, type UploadBody, type UploadOptions } from '../api/host';

export class WebHost implements Host {
  readonly words = {
    silent: 'look whether you are online; what is shown may be old',
    refused: 'the server refuses the request; log in again if the session has ended'
  };

  request(url: string, init: RequestInit = {}): Promise<Response> {
    return fetch(url, { cache: 'no-cache', credentials: 'same-origin', ...init });
  }

  socket(url: string): WebSocket {
    return new WebSocket(url.replace(/^http/, 'ws'));
  }

  upload(url: string, body: UploadBody, options: UploadOptions): Promise<Response> {
    return sendWithProgress(url, body, options);
  }
}
