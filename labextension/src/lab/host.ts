/** Requests from inside JupyterLab: its server settings, token and XSRF cookie. */
import { ServerConnection } from '@jupyterlab/services';

import { sendWithProgress, type Host, type HostWords, type Translator, type UploadBody, type UploadOptions } from '../api/host';

export class JupyterHost implements Host {
  readonly words: HostWords;

  constructor(
    private readonly settings: ServerConnection.ISettings,
    trans: Translator
  ) {
    this.words = {
      silent: trans.__('look whether Jupyter still runs'),
      refused: trans.__('Jupyter refuses the request; the session may have ended'),
      trans
    };
  }

  request(url: string, init: RequestInit = {}): Promise<Response> {
    // Else JupyterLab adds the time to the query, and nothing is ever found in the cache.
    return ServerConnection.makeRequest(url, { cache: 'no-cache', ...init }, this.settings);
  }

  socket(url: string): WebSocket {
    const { baseUrl, wsUrl, appendToken, token, WebSocket } = this.settings;
    const address = new URL(wsUrl + url.slice(baseUrl.length));
    if (appendToken && token) {
      address.searchParams.set('token', token);
    }
    return new WebSocket(address.toString());
  }

  upload(url: string, body: UploadBody, options: UploadOptions): Promise<Response> {
    const { token } = this.settings;
    const xsrf = cookie('_xsrf');
    const headers = {
      ...options.headers,
      ...(token ? { Authorization: `token ${token}` } : {}),
      ...(xsrf ? { 'X-XSRFToken': xsrf } : {})
    };
    return sendWithProgress(url, body, { ...options, headers });
  }
}

/** The last cookie of a name: of several, such as those of a hub, it is the one that Jupyter reads. */
function cookie(name: string): string | null {
  const found = document.cookie
    .split('; ')
    .filter(part => part.startsWith(`${name}=`))
    .pop();
  return found ? found.slice(name.length + 1) : null;
}
