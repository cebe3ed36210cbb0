/** What other plugins may ask for. */
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

import type { Api } from '../api/client';
import type { ApiError } from '../api/errors';
import type { EventStream } from '../api/events';
import type { Status, SubscriberStatus } from '../api/types';

/** The way to one subscriber. */
export interface Connection {
  /** Its name in the configuration of the server extension. */
  readonly name: string;
  readonly api: Api;
  /** Says something as long as somebody listens; see `EventStream.listen`. */
  readonly feed: EventStream;
}

/** The subscribers that are configured. */
export interface ICaterva2 {
  /** Status, error or the current subscriber have changed. */
  readonly changed: ISignal<ICaterva2, void>;
  /** What the server extension says; null as long as it has not. */
  readonly status: Status | null;
  /** Why it says nothing. */
  readonly error: ApiError | null;
  /** The name of the subscriber that is shown. */
  readonly current: string | null;
  subscriber(name: string): SubscriberStatus | null;
  get(name: string): Connection;
  refresh(): Promise<void>;
  retry(): Promise<void>;
  switchTo(name: string): Promise<void>;
  /** Log in at a subscriber; the server extension keeps what it answers, the browser nothing. */
  logIn(name: string, user: string, password: string): Promise<void>;
  logOut(name: string): Promise<void>;
}

export const ICaterva2 = new Token<ICaterva2>(
  '@caterva2/jupyterlab:ICaterva2',
  'The Caterva2 subscribers that this Jupyter server is connected to.'
);
