/** What is at a path: the viewer, details, lines of code, and what can be done with it. */
import { Component, lazy, Suspense, useEffect, useState, type ReactElement, type ReactNode } from 'react';

import type { TreeEntry } from '../api/types';
import type { Catalog } from '../model/catalog';
import { ancestorsOf, baseName, rootOf } from '../model/paths';
import { Details } from '../ui/Details';
import { formatBytes, formatCount, formatTime } from '../ui/format';
import { iconOf } from '../ui/icons';
import { kindName } from '../ui/kinds';
import { Notice } from '../ui/Notice';
import { arrayFacts } from '../ui/Tree';
import { useSignal } from '../ui/useSignal';
import type { ViewerState } from '../viewer/state';
import type { Place } from './address';
import { copyText } from './clipboard';
import { snippetsOf } from './code';
import { Contents } from './Contents';
import type { Wish } from './Dialogs';
import { Link } from './Link';
import { RootState } from './RootState';
import type { Router } from './router';
import { isContainer, type Session } from './session';
import { isOutdated } from './outdated';
import { namedEntry } from './shared';
import { Tools } from './Sidebar';
import { TEXTS } from './texts';

export interface PathPageProps {
  readonly place: Extract<Place, { kind: 'path' }>;
  readonly session: Session;
  readonly router: Router;
  /** Somebody is logged in who may make links for others. */
  readonly canShare: boolean;
  onWish(wish: Wish): void;
}

type Tab = 'view' | 'details' | 'code';
const TABS: readonly (readonly [Tab, string])[] = [
  ['view', 'View'],
  ['details', 'Details'],
  ['code', 'Code']
];
const DIRECTORY_TABS: typeof TABS = [
  ['view', 'Contents'],
  ['details', 'Details'],
  ['code', 'Code']
];

const NOT_FOUND = 404;

export function PathPage({ place, session, router, canShare, onWish }: PathPageProps): ReactElement {
  const { path } = place;
  const { catalog, details } = session;
  useSignal(catalog.changed, details.changed);
  const [tab, setTab] = useState<Tab>('view');
  const known = catalog.find(path)?.entry ?? null;
  const entry = known ?? namedEntry(path, 'file');
  const [isLookedUp, setLookedUp] = useState(false);
  useEffect(() => {
    const looking = catalog.selected === path ? Promise.resolve() : reveal(catalog, path);
    void looking.then(() => setLookedUp(true));
  }, [catalog, path]);
  useEffect(() => details.show(entry), [details, entry.path, entry.kind]);
  const isDirectory = isContainer(entry);
  // A name without suffix is that of a directory, as a rule: no viewer is loaded to find out.
  const isUnknown = known === null && !isLookedUp && !baseName(path).includes('.');
  // Nothing can be done with what is not there; why it is not shown says the view.
  const isMissing = known === null && isLookedUp && details.error?.status === NOT_FOUND;
  const tabs = isDirectory ? DIRECTORY_TABS : TABS;
  return (
    <article className="c2-path" data-path={path} aria-label={path}>
      <div className="c2-title">
        <Crumbs path={path} router={router} />
        <h1>
          <KindIcon entry={entry} />
          {baseName(path)}
        </h1>
        {!isMissing && <Facts entry={entry} session={session} />}
      </div>
      {!isMissing && (
        <Actions entry={entry} session={session} router={router} canShare={canShare} onWish={onWish} />
      )}
      <div className="c2-tabs" role="tablist" aria-label="What is shown">
        {tabs.map(([name, label]) => (
          <button
            key={name}
            id={`c2-tab-${name}`}
            role="tab"
            aria-selected={tab === name}
            aria-controls="c2-panel"
            tabIndex={tab === name ? 0 : -1}
            onClick={() => setTab(name)}
            onKeyDown={event => {
              const names = tabs.map(([each]) => each);
              const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
              const next = names[(names.indexOf(name) + step + names.length) % names.length];
              if (step !== 0 && next) {
                setTab(next);
                document.getElementById(`c2-tab-${next}`)?.focus();
              }
            }}
          >
            {label}
          </button>
        ))}
      </div>
      <div
        className={`c2-panel c2-panel-${isDirectory && tab === 'view' ? 'contents' : tab}`}
        id="c2-panel"
        role="tabpanel"
        aria-labelledby={`c2-tab-${tab}`}
        tabIndex={tab === 'view' && !isDirectory ? undefined : 0}
      >
        {tab === 'view' &&
          !isUnknown &&
          (isDirectory ? (
            <Contents entry={entry} session={session} router={router} onWish={onWish} />
          ) : (
            <View place={place} session={session} router={router} />
          ))}
        {tab === 'details' && (
          <Details
            entry={entry}
            described={details.described}
            error={details.error}
            texts={TEXTS}
            onRetry={() => details.refresh()}
          />
        )}
        {tab === 'code' && <Code entry={entry} session={session} />}
      </div>
    </article>
  );
}

/** Show a path in the tree, a directory with what is in it. */
async function reveal(catalog: Catalog, path: string): Promise<void> {
  await catalog.reveal(path);
  if (catalog.find(path)?.isContainer) {
    catalog.expand(path);
  }
}

function KindIcon({ entry }: { readonly entry: TreeEntry }): ReactElement {
  const icon = iconOf(entry.kind);
  return <icon.react tag="span" className="c2-kind" width="20px" height="20px" />;
}

function Crumbs({ path, router }: { readonly path: string; readonly router: Router }): ReactElement {
  return (
    <nav className="c2-crumbs" aria-label="Path">
      <Link router={router} place={{ kind: 'home' }}>
        Datasets
      </Link>
      {ancestorsOf(path).map(ancestor => (
        <span key={ancestor}>
          {' / '}
          <Link router={router} place={{ kind: 'path', path: ancestor, state: {} }}>
            {baseName(ancestor)}
          </Link>
        </span>
      ))}
    </nav>
  );
}

/** What it is, in a line. */
function Facts({ entry, session }: { readonly entry: TreeEntry; readonly session: Session }): ReactElement {
  const total = isContainer(entry) ? session.catalog.listing(entry.path)?.total : undefined;
  const facts = [
    kindName(entry, TEXTS),
    arrayFacts(entry, TEXTS),
    total === undefined ? '' : TEXTS._n('%1 entry', '%1 entries', total, formatCount(total)),
    entry.size === null ? '' : formatBytes(entry.size),
    entry.mtime === null ? '' : `changed ${formatTime(entry.mtime)}`
  ];
  return (
    <p className="c2-fact-line">
      {facts
        .filter(fact => fact !== '')
        .map((fact, place) => (
          <span key={fact}>
            {place > 0 && ' · '}
            <span className="c2-fact">{fact}</span>
          </span>
        ))}
      <RootState root={session.catalog.find(rootOf(entry.path))?.entry ?? null} />
    </p>
  );
}

interface ActionsProps {
  readonly entry: TreeEntry;
  readonly session: Session;
  readonly router: Router;
  readonly canShare: boolean;
  onWish(wish: Wish): void;
}

function Actions({ entry, session, router, canShare, onWish }: ActionsProps): ReactElement {
  const { api, catalog } = session;
  const isDirectory = isContainer(entry);
  const [copied, setCopied] = useState(false);
  const isOurs = session.isOurs(entry);
  const canCopy = session.goal(null) !== null && entry.kind !== 'area' && entry.kind !== 'root';
  const subscribe = (): void =>
    void session.attempt('The root could not be subscribed to.', async () => {
      await api.subscribe(entry.path);
      catalog.refresh();
      catalog.expand(entry.path);
    });
  return (
    <div className="c2-actions">
      {isDirectory && session.isWritable(entry.path) && (
        <Tools session={session} router={router} selected={entry} onWish={onWish} />
      )}
      {!isDirectory && (
        <a className="c2-button" href={api.downloadUrl(entry.path)} download={baseName(entry.path)}>
          Download
        </a>
      )}
      <button
        className="c2-button"
        onClick={() => {
          void copyText(router.url(router.place)).then(setCopied);
        }}
      >
        {copied ? 'Link copied' : 'Copy link'}
      </button>
      {canShare && (
        <button className="c2-button" onClick={() => onWish({ kind: 'share', entry })}>
          Share
        </button>
      )}
      {entry.kind === 'root' && entry.subscribed === false && (
        <button className="c2-button c2-primary" onClick={subscribe}>
          Subscribe
        </button>
      )}
      {entry.shape && session.isWritable('@personal') && (
        <button className="c2-button" onClick={() => onWish({ kind: 'expression', entry })}>
          Compute with it
        </button>
      )}
      {isOurs && (
        <>
          <button className="c2-button" onClick={() => onWish({ kind: 'rename', entry })}>
            Rename
          </button>
          <button className="c2-button" onClick={() => onWish({ kind: 'move', entry })}>
            Move
          </button>
        </>
      )}
      {canCopy && (
        <button className="c2-button" onClick={() => onWish({ kind: 'copy', entry })}>
          Copy
        </button>
      )}
      {isOurs && (
        <button className="c2-button c2-danger" onClick={() => onWish({ kind: 'delete', entry })}>
          Delete
        </button>
      )}
    </div>
  );
}

function Code({ entry, session }: { readonly entry: TreeEntry; readonly session: Session }): ReactElement {
  const [copied, setCopied] = useState('');
  return (
    <div className="c2-codes">
      {snippetsOf(entry, session.api.base).map(({ name, code }) => (
        <section key={name} aria-label={name}>
          <div className="c2-code-title">
            <h2>{name}</h2>
            <button
              className="c2-button"
              aria-label={`Copy the code for ${name}`}
              onClick={() => {
                void copyText(code).then(isCopied => setCopied(isCopied ? name : ''));
              }}
            >
              {copied === name ? 'Copied' : 'Copy'}
            </button>
          </div>
          <pre tabIndex={0} aria-label={`Code for ${name}`}>
            {code}
          </pre>
        </section>
      ))}
    </div>
  );
}

/** The code of the viewer has not come. */
class NotLoaded extends Error {}

/** The chunk of the viewer; asked for again after a failure. */
const viewer = {
  load: () => (viewer.component ??= lazy(viewer.read)),
  read: () =>
    import('../viewer').catch(() => {
      throw new NotLoaded();
    }),
  forget: () => {
    viewer.component = null;
  },
  component: null as ReturnType<typeof lazy<typeof import('../viewer').default>> | null
};

type ViewProps = Omit<PathPageProps, 'canShare' | 'onWish'>;

function View({ place, session, router }: ViewProps): ReactElement {
  const { path } = place;
  const remember = (state: ViewerState): void => {
    const now = router.place;
    if (now.kind === 'path' && now.path === path) {
      router.replace({ kind: 'path', path, state });
    }
  };
  return (
    <div className="jp-Caterva2-Viewer c2-viewer" data-path={path}>
      <Guard
        render={() => {
          const Viewer = viewer.load();
          return (
            <Suspense fallback={<div className="jp-Caterva2-Viewer-loading" data-state="loading" />}>
              <Viewer
                key={router.visits}
                api={session.api}
                events={session.feed}
                path={path}
                state={place.state}
                onState={remember}
                translate={text => text}
              />
            </Suspense>
          );
        }}
      />
    </div>
  );
}

interface Failure {
  readonly text: string;
  /** The page must be loaded again. */
  readonly isFinal: boolean;
}

/** Shows what went wrong in a viewer, in its place. */
class Guard extends Component<{ render(): ReactNode }, { failure: Failure | null }> {
  override state: { failure: Failure | null } = { failure: null };

  static getDerivedStateFromError(reason: unknown): { failure: Failure } {
    const text =
      reason instanceof NotLoaded
        ? 'The viewer could not be loaded; the subscriber may be out of reach.'
        : `The viewer stopped: ${reason instanceof Error ? reason.message : String(reason)}`;
    return { failure: { text, isFinal: false } };
  }

  override componentDidCatch(reason: unknown): void {
    if (reason instanceof NotLoaded) {
      void isOutdated(document).then(isOld => {
        if (isOld) {
          const text = 'The subscriber was updated since this page was loaded. Load it again to go on.';
          this.setState({ failure: { text, isFinal: true } });
        }
      });
    }
  }

  override render(): ReactNode {
    const { failure } = this.state;
    if (failure === null) {
      return this.props.render();
    }
    return (
      <div data-state="error">
        <Notice
          kind="error"
          text={failure.text}
          action={failure.isFinal ? 'Load the page again' : 'Retry'}
          onAction={() => {
            if (failure.isFinal) {
              window.location.reload();
              return;
            }
            viewer.forget();
            this.setState({ failure: null });
          }}
        />
      </div>
    );
  }
}
