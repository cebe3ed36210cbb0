/** Who uses the page, and what he can do about his account. The forms are those of the contract. */
import { Signal, type ISignal } from '@lumino/signaling';

import type { Api } from '../api/client';
import { ApiError } from '../api/errors';
import type { components } from '../api/schema.gen';

type Schemas = components['schemas'];
export type Me = Schemas['Me'];
export type TokenInfo = Schemas['TokenInfo'];
export type MadeToken = Schemas['MadeToken'];
export type ShareInfo = Schemas['ShareInfo'];

/** The contract's names for what went wrong, as sentences. */
const SENTENCES: Readonly<Record<string, string>> = {
  LOGIN_BAD_CREDENTIALS: 'the e-mail or the password is wrong',
  REGISTER_USER_ALREADY_EXISTS: 'there is an account with this e-mail already',
  RESET_PASSWORD_BAD_TOKEN: 'the link is unknown, was used already, or is too old; ask for a new one'
};

export class Account {
  /** @param hasUsers - The subscriber has users to be. */
  constructor(
    private readonly api: Api,
    readonly hasUsers: boolean
  ) {}

  /** Somebody logged in or out. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Who is logged in; null for nobody. */
  get me(): Me | null {
    return this._me;
  }

  /** Ask who is logged in. */
  async load(): Promise<void> {
    let me: Me | null = null;
    if (this.hasUsers) {
      try {
        me = (await (await this.api.get('me', '')).json()) as Me;
      } catch (reason) {
        if (!(reason instanceof ApiError) || reason.status !== 401) {
          throw reason;
        }
      }
    }
    this.become(me);
  }

  async logIn(email: string, password: string): Promise<void> {
    await this.auth('jwt/login', new URLSearchParams({ username: email, password }));
    await this.load();
  }

  async register(email: string, password: string): Promise<void> {
    await this.auth('register', { email, password });
    await this.logIn(email, password);
  }

  async logOut(everywhere = false): Promise<void> {
    await this.auth(everywhere ? 'logout-everywhere' : 'jwt/logout');
    this.become(null);
  }

  async forgot(email: string): Promise<void> {
    await this.auth('forgot-password', { email });
  }

  async reset(token: string, password: string): Promise<void> {
    await this.auth('reset-password', { token, password });
  }

  /** All sessions end with it. */
  async changePassword(password: string, newPassword: string): Promise<void> {
    const email = this._me?.email;
    await this.auth('change-password', { password, new_password: newPassword });
    if (email !== undefined) {
      await this.logIn(email, newPassword);
    }
  }

  async tokens(): Promise<TokenInfo[]> {
    return (await (await this.api.get('tokens', '')).json()) as TokenInfo[];
  }

  async createToken(name: string, scope: string, days: number | null): Promise<MadeToken> {
    const response = await this.send(this.api.url('tokens'), { name, scope, days });
    return (await response.json()) as MadeToken;
  }

  async revokeToken(id: string): Promise<void> {
    await this.api.request(this.api.url('tokens/', id), { method: 'DELETE' });
  }

  async shares(): Promise<ShareInfo[]> {
    return (await (await this.api.get('shares', '')).json()) as ShareInfo[];
  }

  /** Make a link that opens a path without an account. */
  async createShare(path: string, name: string, days: number): Promise<ShareInfo> {
    return (await (await this.send(this.api.url('shares'), { path, name, days })).json()) as ShareInfo;
  }

  async revokeShare(id: string): Promise<void> {
    await this.api.request(this.api.url('shares/', id), { method: 'DELETE' });
  }

  private async auth(endpoint: string, content?: unknown): Promise<void> {
    try {
      await this.send(`${this.api.base}auth/${endpoint}`, content);
    } catch (reason) {
      const sentence = reason instanceof ApiError ? SENTENCES[reason.message] : undefined;
      throw sentence === undefined ? reason : new ApiError({ message: sentence }, (reason as ApiError).status);
    }
  }

  private send(url: string, content?: unknown): Promise<Response> {
    const body = content === undefined ? null : content instanceof URLSearchParams ? content : JSON.stringify(content);
    const headers: HeadersInit = typeof body === 'string' ? { 'Content-Type': 'application/json' } : {};
    return this.api.request(url, { method: 'POST', body, headers });
  }

  private become(me: Me | null): void {
    const before = this._me;
    const isNew = me?.id !== before?.id || me?.email !== before?.email || me?.is_superuser !== before?.is_superuser;
    this._me = me;
    if (isNew) {
      this._changed.emit();
    }
  }

  private _me: Me | null = null;
  private readonly _changed = new Signal<this, void>(this);
}
