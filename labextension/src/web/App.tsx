/** The frame of the page: who is here, what is shown. */
import { useEffect, useRef, useState, type ReactElement } from 'react';

import type { Api } from '../api/client';
import { toApiError } from '../api/errors';
import type { components } from '../api/schema.gen';
import { browserStore, UploadNotes } from '../model/uploadNotes';
import { watchLeaving } from '../ui/leaving';
import { Notice } from '../ui/Notice';
import { caterva2Icon } from '../ui/icons';
import { useSignal } from '../ui/useSignal';
import type { Account } from './account';
import { AccountForm } from './AccountForm';
import { AccountPage } from './AccountPage';
import { AdminPage } from './AdminPage';
import { Home } from './Home';
import { PathPage } from './PathPage';
import { Link } from './Link';
import type { Router } from './router';
import { Session, type Notice as Said } from './session';
import type { Settings } from './settings';
import { sharedTree } from './shared';
import { Sidebar, UploadList } from './Sidebar';
import { nextTheme, readTheme, safely, useTheme, type Theme } from './theme';
import { Dialogs, type Wish } from './Dialogs';
import { useNarrow } from './useNarrow';

type SharedInfo = components['schemas']['SharedInfo'];

export interface AppProps {
  readonly api: Api;
  readonly account: Account;
  readonly router: Router;
  readonly settings: Settings;
}

export function App({ api, account, router, settings }: AppProps): ReactElement {
  useSignal(account.changed, router.changed);
  const [said, setSaid] = useState<Said | null>(null);
  const session = useSession(api, account, router, settings, setSaid);
  const [wish, setWish] = useState<Wish | null>(null);
  const isOneColumn = useNarrow();
  useEffect(() => watchLeaving(() => (session ? [session.uploads] : [])), [session]);
  useNoStrayDrops();
  const { place, visits } = router;
  useEffect(() => {
    const onSaid = (_: Session, notice: Said | null): void => setSaid(notice);
    session?.said.connect(onSaid);
    return () => void session?.said.disconnect(onSaid);
  }, [session]);
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    setSaid(null);
    document.title = titleOf(router);
  }, [visits]);
  const isTree = place.kind === 'home';
  return (
    <div className="c2-page" data-pane={isTree ? 'tree' : 'main'}>
      <a className="c2-skip" href="#c2-main" onClick={event => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <Header account={account} router={router} settings={settings} session={session} />
      {said && (
        <div className="c2-said">
          <Notice kind={said.kind} text={said.text} action="Close" onAction={() => setSaid(null)} />
        </div>
      )}
      <div className="c2-body">
        {session ? (
          <Sidebar
            session={session}
            router={router}
            canLogIn={settings.login && account.me === null}
            onWish={setWish}
          />
        ) : (
          <aside className="jp-Caterva2-Sidebar c2-sidebar" aria-label="Datasets" />
        )}
        <main id="c2-main" ref={main} tabIndex={-1} className="c2-main">
          <Main api={api} account={account} router={router} settings={settings} session={session} onWish={setWish} />
        </main>
      </div>
      {session && isOneColumn && <UploadList session={session} />}
      {session && wish && (
        <Dialogs
          key={wish.kind}
          wish={wish}
          session={session}
          account={account}
          router={router}
          onClose={() => setWish(null)}
        />
      )}
    </div>
  );
}

interface MainProps extends AppProps {
  readonly session: Session | null;
  onWish(wish: Wish): void;
}

function Main({ account, router, settings, session, onWish }: MainProps): ReactElement {
  const { place } = router;
  switch (place.kind) {
    case 'login':
    case 'register':
    case 'forgot-password':
    case 'reset-password':
      return <AccountForm key={place.kind} place={place} account={account} router={router} settings={settings} />;
    case 'account':
      return <AccountPage account={account} router={router} session={session} />;
    case 'admin':
      return <AdminPage account={account} router={router} session={session} part={place.part ?? 'users'} />;
    case 'home':
      return <Home account={account} router={router} settings={settings} session={session} onWish={onWish} />;
    case 'path':
      return session ? (
        <PathPage
          key={place.path}
          place={place}
          session={session}
          router={router}
          canShare={account.me !== null}
          onWish={onWish}
        />
      ) : (
        <></>
      );
  }
}

interface HeaderProps {
  readonly account: Account;
  readonly router: Router;
  readonly settings: Settings;
  readonly session: Session | null;
}

function Header({ account, router, settings, session }: HeaderProps): ReactElement {
  const [theme, setTheme] = useState<Theme>(readTheme);
  const { me } = account;
  const change = (): void => {
    const next = nextTheme(theme);
    useTheme(next);
    setTheme(next);
  };
  const logOut = async (): Promise<void> => {
    await session?.attempt('You are still logged in.', () => account.logOut());
    router.go({ kind: 'home' });
  };
  return (
    <header className="c2-header">
      <Link router={router} place={{ kind: 'home' }} className="c2-brand">
        <caterva2Icon.react tag="span" width="22px" height="22px" />
        <span>Caterva2</span>
      </Link>
      {session && <Lamp session={session} />}
      <span className="c2-spring" />
      <button className="c2-button c2-quiet" onClick={change} title="Change between light and dark">
        {`Theme: ${theme}`}
      </button>
      {settings.shared && <span className="c2-hint">Shared with you, to read</span>}
      {settings.login && (
        <nav className="c2-account" aria-label="Account">
          {me ? (
            <>
              {me.is_superuser && (
                <Link router={router} place={{ kind: 'admin' }}>
                  Manage
                </Link>
              )}
              <Link router={router} place={{ kind: 'account' }} title="Password, tokens, room">
                {me.email}
              </Link>
              <button className="c2-button c2-quiet" onClick={() => void logOut()}>
                Log out
              </button>
            </>
          ) : (
            <>
              <Link router={router} place={{ kind: 'login' }}>
                Log in
              </Link>
              {settings.register && (
                <Link router={router} place={{ kind: 'register' }}>
                  Register
                </Link>
              )}
            </>
          )}
        </nav>
      )}
    </header>
  );
}

/** Whether changes arrive. */
function Lamp({ session }: { readonly session: Session }): ReactElement {
  useSignal(session.feed.stateChanged);
  const isLive = session.feed.state === 'open';
  return (
    <span className="c2-lamp" role="status" data-state={session.feed.state}>
      <span className={`jp-Caterva2-lamp jp-mod-${isLive ? 'connected' : 'unknown'}`} aria-hidden />
      <span className="c2-lamp-text">{isLive ? 'live' : 'connecting…'}</span>
    </span>
  );
}

/** The session of whoever is logged in, or of who has a share link. */
function useSession(
  api: Api,
  account: Account,
  router: Router,
  settings: Settings,
  onSaid: (notice: Said) => void
): Session | null {
  const [isKnown, setKnown] = useState(false);
  const [shared, setShared] = useState<string | null>(null);
  const [session, setSession] = useState<Session | null>(null);
  const who = account.me?.id ?? '';
  useEffect(() => {
    if (!settings.shared) {
      (settings.session ? account.load() : Promise.resolve()).then(
        () => setKnown(true),
        () => setKnown(true) // the tree will say what is wrong
      );
      return;
    }
    const open = async (): Promise<void> => {
      const { path } = (await (await api.get('shared', '')).json()) as SharedInfo;
      if (router.place.kind === 'home') {
        router.replace({ kind: 'path', path, state: {} });
      }
      setShared(path);
      setKnown(true);
    };
    open().catch((reason: unknown) => onSaid({ kind: 'error', text: toApiError(reason).sentence }));
  }, [account]);
  useEffect(() => {
    if (!isKnown) {
      return;
    }
    const store = storeOf(`caterva2:expanded:${api.base}:${who}`);
    const notes = new UploadNotes(browserStore(), `caterva2:uploads:${api.base}:${who}`);
    const made =
      shared === null ? new Session(api, store, notes) : new Session(api, store, notes, sharedTree(api, shared));
    setSession(made);
    return () => made.dispose();
  }, [api, isKnown, who]);
  return session?.catalog.isDisposed ? null : session;
}

/** What is dropped beside its goal does not take the place of the page. */
function useNoStrayDrops(): void {
  useEffect(() => {
    const ends = new AbortController();
    const { signal } = ends;
    const refuse = (event: DragEvent): void => {
      if (!event.defaultPrevented && event.dataTransfer?.types.includes('Files')) {
        event.preventDefault();
        event.dataTransfer.dropEffect = 'none';
      }
    };
    window.addEventListener('dragover', refuse, { signal });
    window.addEventListener('drop', refuse, { signal });
    return () => ends.abort();
  }, []);
}

function storeOf(key: string): { load(): Promise<string[]>; save(paths: readonly string[]): Promise<void> } {
  return {
    load: async () => {
      const value: unknown = safely(() => JSON.parse(localStorage.getItem(key) ?? '[]') as unknown);
      return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
    },
    save: async paths => {
      safely(() => localStorage.setItem(key, JSON.stringify(paths)));
    }
  };
}

function titleOf({ place }: Router): string {
  switch (place.kind) {
    case 'home':
      return 'Caterva2';
    case 'path':
      return `${place.path} – Caterva2`;
    default:
      return `${place.kind.replace('-', ' ')} – Caterva2`;
  }
}
