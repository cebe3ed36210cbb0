/** One's own account: room, password, tokens. */
import { useCallback, useEffect, useState, type FormEvent, type ReactElement } from 'react';

import { formatTime } from '../ui/format';
import { toApiError } from '../api/errors';
import { Notice } from '../ui/Notice';
import type { Account } from './account';
import { Link } from './Link';
import { Field } from './Modal';
import { RoomBar } from './RoomBar';
import type { Router } from './router';
import type { Session } from './session';
import { formatRoom } from './sizes';
import { formatPercent } from './times';
import { useKept } from './useKept';

export interface AccountPageProps {
  readonly account: Account;
  readonly router: Router;
  readonly session: Session | null;
}

export function AccountPage({ account, router, session }: AccountPageProps): ReactElement {
  const { me } = account;
  useEffect(() => {
    if (me !== null) {
      void account.load();
    }
  }, []);
  if (!me) {
    return (
      <div className="c2-text">
        <h1>Account</h1>
        <p>
          <Link router={router} place={{ kind: 'login' }}>
            Log in
          </Link>
          {' to see your account.'}
        </p>
      </div>
    );
  }
  return (
    <div className="c2-text">
      <h1>Account</h1>
      <p>{`You are ${me.email}${me.is_superuser ? ', a superuser' : ''}.`}</p>
      <Room me={me} />
      <Password account={account} />
      <Tokens account={account} />
      <Shares account={account} />
      <section>
        <h2>Sessions</h2>
        <button
          className="c2-button"
          onClick={() => {
            void session?.attempt('The sessions have not ended.', async () => {
              await account.logOut(true);
              router.go({ kind: 'login' });
            });
          }}
        >
          Log out everywhere
        </button>
      </section>
    </div>
  );
}

function Room({ me }: { readonly me: NonNullable<Account['me']> }): ReactElement {
  const { used } = me;
  const quota = me.quota ?? null;
  const room = formatRoom(used, quota);
  const text =
    room.limit === null
      ? `${room.used} in @personal, without limit`
      : `${room.used} of ${room.limit} in @personal (${formatPercent(used, quota ?? used)})`;
  return (
    <section className="c2-room">
      <h2>Room</h2>
      <RoomBar used={used} limit={quota} label="Room in @personal" text={text} />
    </section>
  );
}

function Password({ account }: { readonly account: Account }): ReactElement {
  const [old, setOld] = useState('');
  const [next, setNext] = useState('');
  const [result, setResult] = useState<{ kind: 'error' | 'info'; text: string } | null>(null);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    try {
      await account.changePassword(old, next);
      setOld('');
      setNext('');
      setResult({ kind: 'info', text: 'The password is changed; all other sessions have ended.' });
    } catch (reason) {
      setResult({ kind: 'error', text: toApiError(reason).sentence });
    }
  };
  return (
    <section>
      <h2>Password</h2>
      {result && <Notice kind={result.kind} text={result.text} />}
      <form onSubmit={event => void submit(event)}>
        <Field label="Password now" type="password" autoComplete="current-password" value={old} onChange={setOld} />
        <Field label="New password" type="password" autoComplete="new-password" value={next} onChange={setNext} />
        <button className="c2-button">Change password</button>
      </form>
    </section>
  );
}

function Tokens({ account }: { readonly account: Account }): ReactElement {
  const { items: tokens, problem, attempt } = useKept(useCallback(() => account.tokens(), [account]));
  const [name, setName] = useState('');
  const [scope, setScope] = useState('read');
  const [days, setDays] = useState('90');
  const [made, setMade] = useState<string | null>(null);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void attempt(async () => {
      const answer = await account.createToken(name, scope, days === '' ? null : Number(days));
      setMade(answer.token);
      setName('');
    });
  };
  return (
    <section>
      <h2>Tokens</h2>
      <p>A token lets a script work in your name, without your password.</p>
      {problem !== null && <Notice kind="error" text={problem} />}
      {made !== null && (
        <div className="c2-made" role="status">
          <p>Copy the token now; it is shown only once.</p>
          <code className="c2-secret">{made}</code>
          <button className="c2-button" onClick={() => void navigator.clipboard?.writeText(made)}>
            Copy token
          </button>
        </div>
      )}
      {tokens && tokens.length > 0 && (
        <div className="c2-scroll" tabIndex={0} role="region" aria-label="Tokens">
          <table className="c2-table">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Good for</th>
                <th scope="col">Ends</th>
                <th scope="col">Last used</th>
                <th scope="col">
                  <span className="c2-hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {tokens.map(token => (
                <tr key={token.id}>
                  <td>{token.name}</td>
                  <td>{token.scope}</td>
                  <td>{token.expires ? formatTime(token.expires) : 'never'}</td>
                  <td>{token.last_used ? formatTime(token.last_used) : 'never'}</td>
                  <td>
                    <button
                      className="c2-button c2-danger"
                      aria-label={`Revoke the token ${token.name}`}
                      onClick={() => void attempt(() => account.revokeToken(token.id))}
                    >
                      Revoke
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <form className="c2-line" onSubmit={submit}>
        <Field label="Name of a new token" value={name} onChange={setName} />
        <div className="c2-field">
          <label htmlFor="c2-scope">Good for</label>
          <select id="c2-scope" value={scope} onChange={event => setScope(event.currentTarget.value)}>
            <option value="read">reading</option>
            <option value="write">reading and writing</option>
          </select>
        </div>
        <Field label="Days (empty: no end)" type="number" value={days} isRequired={false} onChange={setDays} />
        <button className="c2-button">Make a token</button>
      </form>
    </section>
  );
}

function Shares({ account }: { readonly account: Account }): ReactElement {
  const { items: shares, problem, attempt } = useKept(useCallback(() => account.shares(), [account]));
  return (
    <section>
      <h2>Share links</h2>
      {problem !== null && <Notice kind="error" text={problem} />}
      {shares && shares.length === 0 && <p>None. Make one with the button above a file or directory.</p>}
      {shares && shares.length > 0 && (
        <div className="c2-scroll" tabIndex={0} role="region" aria-label="Share links">
          <table className="c2-table">
            <thead>
              <tr>
                <th scope="col">Path</th>
                <th scope="col">Name</th>
                <th scope="col">Ends</th>
                <th scope="col">Last used</th>
                <th scope="col">
                  <span className="c2-hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {shares.map(share => (
                <tr key={share.id}>
                  <td>{share.path}</td>
                  <td>{share.name}</td>
                  <td>{formatTime(share.expires)}</td>
                  <td>{share.last_used ? formatTime(share.last_used) : 'never'}</td>
                  <td>
                    <button
                      className="c2-button c2-danger"
                      aria-label={`Revoke the link to ${share.path}`}
                      onClick={() => void attempt(() => account.revokeShare(share.id))}
                    >
                      Revoke
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
