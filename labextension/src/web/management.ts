/** What superusers ask of a subscriber: the other users, their tokens, and how the service is. */
import type { Api } from '../api/client';
import type { components } from '../api/schema.gen';
import type { TokenInfo } from './account';

type Schemas = components['schemas'];
export type ManagedUser = Schemas['ManagedUser'];
export type UserPage = Schemas['UserPage'];
export type UserChange = Schemas['UserChange'];
export type ResetLink = Schemas['ResetLink'];
export type ServiceReport = Schemas['ServiceReport'];
export type PublisherReport = Schemas['PublisherReport'];

/** Which users. */
export interface UsersWanted {
  /** Only those whose e-mail has this in it. */
  readonly filter?: string | undefined;
  /** Only those behind this e-mail. */
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

export class Management {
  constructor(private readonly api: Api) {}

  async users({ filter, after, limit }: UsersWanted): Promise<UserPage> {
    const query = { filter: filter || undefined, after, limit };
    return (await (await this.api.get('users', '', query)).json()) as UserPage;
  }

  /** Change what is given, all of it or nothing. */
  async change(email: string, change: UserChange): Promise<ManagedUser> {
    const response = await this.send('PATCH', this.api.url('users/', email), change);
    return (await response.json()) as ManagedUser;
  }

  /** Add a user; what the server answers has the password that it made. */
  async add(username: string, superuser: boolean): Promise<string> {
    const response = await this.send('POST', this.api.url('adduser/'), { username, password: null, superuser });
    return (await response.json()) as string;
  }

  /** Remove a user with all that is his. */
  async remove(email: string): Promise<void> {
    await this.api.get('deluser/', email);
  }

  /** Make a link with which a user sets a new password. */
  async resetLink(email: string): Promise<ResetLink> {
    return (await (await this.send('POST', this.api.url('reset-links/', email))).json()) as ResetLink;
  }

  async tokens(email: string): Promise<TokenInfo[]> {
    return (await (await this.api.get('tokens', '', { username: email })).json()) as TokenInfo[];
  }

  async revokeToken(id: string): Promise<void> {
    await this.send('DELETE', this.api.url('tokens/', id));
  }

  async service(): Promise<ServiceReport> {
    return (await (await this.api.get('service', '')).json()) as ServiceReport;
  }

  private send(method: string, url: string, content?: unknown): Promise<Response> {
    return this.api.request(url, {
      method,
      ...(content === undefined
        ? {}
        : { body: JSON.stringify(content), headers: { 'Content-Type': 'application/json' } })
    });
  }
}
