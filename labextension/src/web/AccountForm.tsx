/** Log in, register, and both halves of a forgotten password. */
import { useState, type FormEvent, type ReactElement } from 'react';

import { toApiError } from '../api/errors';
import { Notice } from '../ui/Notice';
import type { Account } from './account';
import type { Place } from './address';
import { Link } from './Link';
import { Field } from './Modal';
import type { Router } from './router';
import type { Settings } from './settings';

export interface AccountFormProps {
  readonly place: Extract<Place, { kind: 'login' | 'register' | 'forgot-password' | 'reset-password' }>;
  readonly account: Account;
  readonly router: Router;
  readonly settings: Settings;
}

const TITLES = {
  login: 'Log in',
  register: 'Register',
  'forgot-password': 'Forgotten password',
  'reset-password': 'New password'
} as const;
const ACTIONS = { ...TITLES, 'forgot-password': 'Send a link', 'reset-password': 'Set the password' } as const;

export function AccountForm({ place, account, router, settings }: AccountFormProps): ReactElement {
  const { kind } = place;
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const [done, setDone] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const isNew = kind === 'register' || kind === 'reset-password';
  const run = async (): Promise<void> => {
    switch (place.kind) {
      case 'login':
        await account.logIn(email, password);
        return router.go({ kind: 'home' });
      case 'register':
        await account.register(email, password);
        return router.go({ kind: 'home' });
      case 'forgot-password':
        await account.forgot(email);
        return setDone('If there is such an account, a link is on its way by mail and good for one hour. ' +
            'A subscriber that sends no mail tells its operator instead; he can give you a link.');
      case 'reset-password':
        await account.reset(place.token, password);
        return setDone('The password is set. You can log in with it now.');
    }
  };
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setProblem(null);
    if (isNew && password !== again) {
      setProblem('The two passwords are not the same.');
      return;
    }
    setBusy(true);
    try {
      await run();
    } catch (reason) {
      setProblem(toApiError(reason).sentence);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className="c2-form" onSubmit={event => void submit(event)} aria-labelledby="c2-form-title">
      <h1 id="c2-form-title">{TITLES[kind]}</h1>
      {problem !== null && <Notice kind="error" text={problem} />}
      {done !== null && <Notice kind="info" text={done} />}
      {kind !== 'reset-password' && (
        <Field label="E-mail" type="email" autoComplete="username" value={email} isFirst onChange={setEmail} />
      )}
      {kind !== 'forgot-password' && (
        <Field
          label={kind === 'reset-password' ? 'New password' : 'Password'}
          type="password"
          autoComplete={isNew ? 'new-password' : 'current-password'}
          value={password}
          onChange={setPassword}
        />
      )}
      {isNew && (
        <Field
          label="Password once more"
          type="password"
          autoComplete="new-password"
          value={again}
          onChange={setAgain}
        />
      )}
      <div className="c2-buttons">
        <button className="c2-button c2-primary" disabled={isBusy || (done !== null && kind === 'reset-password')}>
          {ACTIONS[kind]}
        </button>
      </div>
      <p className="c2-more">
        {kind !== 'login' && (
          <Link router={router} place={{ kind: 'login' }}>
            Log in
          </Link>
        )}
        {kind !== 'register' && settings.register && (
          <Link router={router} place={{ kind: 'register' }}>
            Register
          </Link>
        )}
        {kind === 'login' && (
          <Link router={router} place={{ kind: 'forgot-password' }}>
            Password forgotten?
          </Link>
        )}
      </p>
    </form>
  );
}
