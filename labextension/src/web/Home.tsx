/** What one sees first. */
import type { ReactElement } from 'react';

import type { TreeKind } from '../api/types';
import { iconOf } from '../ui/icons';
import { kindName } from '../ui/kinds';
import { useSignal } from '../ui/useSignal';
import type { Account } from './account';
import type { Wish } from './Dialogs';
import { Link } from './Link';
import { RootState } from './RootState';
import type { Router } from './router';
import type { Session } from './session';
import type { Settings } from './settings';
import { TEXTS } from './texts';

export interface HomeProps {
  readonly account: Account;
  readonly router: Router;
  readonly settings: Settings;
  readonly session: Session | null;
  onWish(wish: Wish): void;
}

export function Home({ account, router, settings, session }: HomeProps): ReactElement {
  return (
    <div className="c2-text c2-home">
      <h1>Datasets</h1>
      <p>
        Choose a dataset on the left to look at it: arrays as pictures, curves and tables, and texts, images, PDFs and
        notebooks. The address of what you see can be sent to others.
      </p>
      {session && <Roots session={session} router={router} />}
      {settings.login && account.me === null && (
        <p>
          <Link router={router} place={{ kind: 'login' }}>
            Log in
          </Link>
          {settings.register && (
            <>
              {' or '}
              <Link router={router} place={{ kind: 'register' }}>
                register
              </Link>
            </>
          )}
          {' to upload files and to compute with datasets.'}
        </p>
      )}
      {account.me && <p>Drop files on an area in the list to upload them.</p>}
      <p className="c2-hint">
        {`Caterva2 ${settings.version}. `}
        <a className="c2-link" href="api/openapi.json">
          API
        </a>
      </p>
    </div>
  );
}

function Roots({ session, router }: { readonly session: Session; readonly router: Router }): ReactElement | null {
  const { catalog } = session;
  useSignal(catalog.changed);
  const tops = catalog.rows.flatMap(row => (row.type === 'entry' && row.depth === 0 ? [row.node.entry] : []));
  if (tops.length === 0 || catalog.filter !== '') {
    return null;
  }
  return (
    <ul className="c2-roots">
      {tops.map(entry => (
        <li key={entry.path}>
          <KindIcon kind={entry.kind} />
          <Link router={router} place={{ kind: 'path', path: entry.path, state: {} }}>
            {entry.name}
          </Link>
          <span className="c2-hint">
            {kindName(entry, TEXTS)}
            {entry.writable && ', you may write'}
            <RootState root={entry} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function KindIcon({ kind }: { readonly kind: TreeKind }): ReactElement {
  const icon = iconOf(kind);
  return <icon.react tag="span" className="c2-kind" width="18px" height="18px" />;
}
