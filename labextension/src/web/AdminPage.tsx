/** For superusers: users, and how the service is. */
import { useMemo, type ReactElement } from 'react';

import type { Account } from './account';
import { Link } from './Link';
import { Management } from './management';
import type { Router } from './router';
import { ServicePanel } from './ServicePanel';
import type { Session } from './session';
import { UsersPanel } from './UsersPanel';

export interface AdminPageProps {
  readonly account: Account;
  readonly router: Router;
  readonly session: Session | null;
  readonly part: 'users' | 'service';
}

export function AdminPage({ account, router, session, part }: AdminPageProps): ReactElement {
  const api = session?.api;
  const management = useMemo(() => (api ? new Management(api) : null), [api]);
  const { me } = account;
  if (!me?.is_superuser || !management) {
    return (
      <div className="c2-text">
        <h1>Manage</h1>
        {session && <p>This is for superusers.</p>}
      </div>
    );
  }
  return (
    <div className="c2-text c2-manage">
      <h1>Manage</h1>
      <nav className="c2-parts" aria-label="Manage">
        <Link router={router} place={{ kind: 'admin' }} className="c2-part">
          Users
        </Link>
        <Link router={router} place={{ kind: 'admin', part: 'service' }} className="c2-part">
          Service
        </Link>
      </nav>
      {part === 'users' ? (
        <UsersPanel management={management} me={me} onMyself={() => void account.load()} />
      ) : (
        <ServicePanel management={management} />
      )}
    </div>
  );
}
