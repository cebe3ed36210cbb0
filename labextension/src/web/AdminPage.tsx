/** For superusers: users, and how the service is. */
import { useCallback, useEffect, useState, type FormEvent, type ReactElement } from 'react';

import { formatBytes } from '../ui/format';
import { toApiError } from '../api/errors';
import { Notice } from '../ui/Notice';
import { useSignal } from '../ui/useSignal';
import type { Account } from './account';
import { readMetrics } from './metrics';
import { Field, Modal } from './Modal';
import type { Session } from './session';
import { useKept } from './useKept';

export interface AdminPageProps {
  readonly account: Account;
  readonly session: Session | null;
}

export function AdminPage({ account, session }: AdminPageProps): ReactElement {
  if (!account.me?.is_superuser) {
    return (
      <div className="c2-text">
        <h1>Manage</h1>
        <p>This is for superusers.</p>
      </div>
    );
  }
  return (
    <div className="c2-text">
      <h1>Manage</h1>
      <Users account={account} />
      {session && <Service session={session} />}
    </div>
  );
}

function Users({ account }: { readonly account: Account }): ReactElement {
  const { items, problem, attempt } = useKept(useCallback(() => account.users(), [account]));
  const users = items ?? [];
  const [added, setAdded] = useState<string | null>(null);
  const [name, setName] = useState('');
  const [isSuperuser, setSuperuser] = useState(false);
  const [doomed, setDoomed] = useState<string | null>(null);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void attempt(async () => {
      setAdded(await account.addUser(name, isSuperuser));
      setName('');
    });
  };
  return (
    <section>
      <h2>Users</h2>
      {problem !== null && <Notice kind="error" text={problem} />}
      {added !== null && <Notice kind="info" text={`${added}. The password is shown only once.`} />}
      <div className="c2-scroll" tabIndex={0} role="region" aria-label="Users">
        <table className="c2-table">
          <thead>
            <tr>
              <th scope="col">E-mail</th>
              <th scope="col">Superuser</th>
              <th scope="col">Groups</th>
              <th scope="col">
                <span className="c2-hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {users.map(user => (
              <tr key={user.id}>
                <td>{user.email}</td>
                <td>{user.is_superuser ? 'yes' : ''}</td>
                <td>{user.groups?.join(', ')}</td>
                <td>
                  {user.email !== account.me?.email && (
                    <button
                      className="c2-button c2-danger"
                      aria-label={`Remove ${user.email}`}
                      onClick={() => setDoomed(user.email)}
                    >
                      Remove
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <form className="c2-line" onSubmit={submit}>
        <Field label="E-mail of a new user" type="email" value={name} onChange={setName} />
        <label className="c2-check">
          <input
            type="checkbox"
            checked={isSuperuser}
            onChange={event => setSuperuser(event.currentTarget.checked)}
          />
          superuser
        </label>
        <button className="c2-button">Add user</button>
      </form>
      {doomed !== null && (
        <Modal
          title="Remove user"
          action="Remove"
          isDangerous
          onClose={() => setDoomed(null)}
          onAction={async () => {
            await account.removeUser(doomed);
            setDoomed(null);
            await attempt();
          }}
        >
          <p>{`Remove ${doomed} with all files in @personal? It can not be undone.`}</p>
        </Modal>
      )}
    </section>
  );
}

const REFRESH_MS = 5_000;

function Service({ session }: { readonly session: Session }): ReactElement {
  const { api, catalog } = session;
  useSignal(catalog.changed);
  const [metrics, setMetrics] = useState<ReadonlyMap<string, number>>(new Map());
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    const read = async (): Promise<void> => {
      try {
        setMetrics(readMetrics(await (await api.request(`${api.base}metrics`)).text()));
        setProblem(null);
      } catch (reason) {
        setProblem(toApiError(reason).sentence);
      }
    };
    void read();
    const timer = setInterval(() => void read(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [api]);
  const tops = catalog.rows.flatMap(row =>
    row.type === 'entry' && row.depth === 0 && row.node.entry.kind === 'root' ? [row.node.entry] : []
  );
  const bytes = (name: string): string => formatBytes(metrics.get(name) ?? 0);
  return (
    <section>
      <h2>Service</h2>
      {problem !== null && <Notice kind="error" text={problem} />}
      <dl className="c2-facts">
        <dt>Publishers</dt>
        <dd>
          {tops.length === 0
            ? 'none'
            : tops.map(entry => (
                <div key={entry.path}>{`${entry.name}: ${entry.state ?? 'fresh'}${entry.subscribed ? '' : ', not subscribed'}`}</div>
              ))}
        </dd>
        <dt>Cache</dt>
        <dd>{`${bytes('cache_bytes')} kept, ${bytes('cache_hit_bytes')} served, ${bytes('cache_evicted_bytes')} given up`}</dd>
        <dt>From publishers</dt>
        <dd>{`${bytes('publisher_bytes')} in ${metrics.get('publisher_requests') ?? 0} requests`}</dd>
        <dt>Events</dt>
        <dd>{`${metrics.get('event_readers') ?? 0} readers, the last event was ${(metrics.get('event_lag_seconds') ?? 0).toFixed(2)} s old`}</dd>
        <dt>Requests</dt>
        <dd>{`${metrics.get('request_seconds_count') ?? 0} answered, ${metrics.get('request_seconds_count:5xx') ?? 0} of them failed here`}</dd>
      </dl>
    </section>
  );
}
