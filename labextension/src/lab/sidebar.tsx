/** The sidebar: subscriber, tools, tree, uploads, details. */
import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import {
  CommandToolbarButton,
  HTMLSelect,
  ReactWidget,
  SidePanel
} from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import type { AccordionPanel } from '@lumino/widgets';
import type { ReactElement } from 'react';

import { asSentence } from '../api/errors';
import type { SubscriberStatus, TreeEntry } from '../api/types';
import type { Catalog } from '../model/catalog';
import { rootOf } from '../model/paths';
import { Details } from '../ui/Details';
import { Filter } from '../ui/Filter';
import { caterva2Icon } from '../ui/icons';
import { Notice } from '../ui/Notice';
import { Tree, type DropTarget } from '../ui/Tree';
import { Uploads } from '../ui/Uploads';
import { useSignal } from '../ui/useSignal';
import type { Browser, Session } from './browser';
import { CommandIDs, goalOf, whyNot } from './commands';
import { dragCode } from './notebooks';
import { pythonCell } from '../model/code';

export interface SidebarOptions {
  readonly browser: Browser;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}

export const SIDEBAR_ID = 'caterva2-sidebar';

export class Sidebar extends SidePanel {
  constructor({ browser, commands, trans }: SidebarOptions) {
    super();
    this.id = SIDEBAR_ID;
    this.addClass('jp-Caterva2-Sidebar');
    this.title.icon = caterva2Icon;
    this.title.caption = trans.__('Datasets (Caterva2)');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Datasets'));

    this.header.addWidget(new Part(() => <Header browser={browser} commands={commands} trans={trans} />, 'header'));
    for (const [name, id] of TOOLS) {
      const args = { isToolbar: true };
      this.toolbar.addItem(name, new CommandToolbarButton({ commands, id, args, label: '' }));
    }
    const tree = new Part(() => <TreePane browser={browser} commands={commands} trans={trans} />, 'treePane');
    tree.title.label = trans.__('Datasets');
    this.addWidget(tree);
    this._details = new Part(
      () => <DetailsPane browser={browser} commands={commands} trans={trans} />,
      'detailsPane'
    );
    this._details.title.label = trans.__('Details');
    this.addWidget(this._details);
    this.panel.setRelativeSizes([3, 2]);
  }

  /** Show or hide the details. */
  set showsDetails(shows: boolean) {
    const index = this.panel.widgets.indexOf(this._details);
    if (shows) {
      this.panel.expand(index);
    } else {
      this.panel.collapse(index);
    }
  }

  /** Let the keyboard go to the tree, or to what is there instead. */
  protected override onActivateRequest(): void {
    const { node } = this;
    (node.querySelector<HTMLElement>('.jp-Caterva2-tree') ?? node.querySelector<HTMLElement>('button'))?.focus();
  }

  private get panel(): AccordionPanel {
    return this.content as AccordionPanel;
  }

  private readonly _details: Part;
}

const TOOLS: readonly (readonly [string, string])[] = [
  ['new-folder', CommandIDs.newFolder],
  ['upload', CommandIDs.upload],
  ['expression', CommandIDs.newExpression],
  ['refresh', CommandIDs.refresh]
];

/** A part of the sidebar that React draws. */
class Part extends ReactWidget {
  constructor(
    private readonly draw: () => ReactElement,
    name: string
  ) {
    super();
    this.addClass(`jp-Caterva2-${name}`);
  }

  protected override render(): ReactElement {
    return this.draw();
  }
}

interface PaneProps {
  readonly browser: Browser;
  readonly trans: TranslationBundle;
}

interface ActivePaneProps extends PaneProps {
  readonly commands: CommandRegistry;
}

/** Which subscriber is shown, and how it is. */
function Header({ browser, commands, trans }: ActivePaneProps): ReactElement {
  const { connections } = browser;
  useSignal(connections.changed, browser.changed);
  const { status, current } = connections;
  const shown = current === null ? null : connections.subscriber(current);
  const names = status?.subscribers ?? [];
  const state = connections.error ? 'broken' : !shown ? 'unknown' : shown.connected ? 'connected' : 'broken';
  return (
    <div
      className="jp-Caterva2-subscriber"
      role="group"
      aria-label={trans.__('Subscriber')}
      title={shown ? subscriberTitle(shown, trans) : ''}
    >
      <span
        className={`jp-Caterva2-lamp jp-mod-${state}`}
        role="img"
        aria-label={state === 'connected' ? trans.__('Connected') : trans.__('Not connected')}
      />
      {names.length > 1 ? (
        <HTMLSelect
          value={current ?? ''}
          aria-label={trans.__('Subscriber')}
          onChange={event => {
            const name = event.currentTarget.value;
            connections.switchTo(name).catch(() => {
              Notification.error(trans.__('Could not switch to %1.', name), { autoClose: 8000 });
            });
          }}
        >
          {names.map(({ name }) => (
            <option key={name} value={name}>
              {optionName(connections.subscriber(name), name, trans)}
            </option>
          ))}
        </HTMLSelect>
      ) : (
        <span className="jp-Caterva2-subscriber-name">{shown ? subscriberName(shown, trans) : 'Caterva2'}</span>
      )}
      {shown?.features.includes('login') && <Account shown={shown} commands={commands} trans={trans} />}
    </div>
  );
}

/** Who is logged in at the subscriber, and the way in and out. */
function Account({
  shown,
  commands,
  trans
}: {
  readonly shown: SubscriberStatus;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}): ReactElement {
  const { user } = shown;
  return (
    <span className="jp-Caterva2-account">
      {user !== null && <span className="jp-Caterva2-subscriber-user">{user}</span>}
      <button
        className="jp-Caterva2-link"
        onClick={() => void commands.execute(user === null ? CommandIDs.logIn : CommandIDs.logOut)}
      >
        {user === null ? trans.__('Log in') : trans.__('Log out')}
      </button>
    </span>
  );
}

function subscriberName(shown: SubscriberStatus, trans: TranslationBundle): string {
  return shown.embedded ? trans.__('This Jupyter server') : shown.url;
}

function optionName(shown: SubscriberStatus | null, name: string, trans: TranslationBundle): string {
  return shown?.embedded ? trans.__('This Jupyter server') : name;
}

function subscriberTitle(shown: SubscriberStatus, trans: TranslationBundle): string {
  const lines = [
    shown.embedded
      ? trans.__('The subscriber runs inside this Jupyter server.')
      : trans.__('Subscriber: %1', shown.url),
    shown.user ? trans.__('Logged in as %1', shown.user) : trans.__('Not logged in'),
    shown.connected ? trans.__('Connected') : trans.__('Not connected')
  ];
  if (shown.reason) {
    lines.push(shown.reason);
  }
  return lines.join('\n');
}

function TreePane(props: ActivePaneProps): ReactElement {
  const { browser, trans } = props;
  const { connections } = browser;
  useSignal(browser.changed, connections.changed);
  const { session } = browser;
  if (!session) {
    return connections.error ? (
      <Problem browser={browser} trans={trans} />
    ) : (
      <Waiting text={connections.status ? trans.__('No subscriber is configured.') : trans.__('Connecting…')} />
    );
  }
  return <SessionPane key={session.connection.name} {...props} session={session} />;
}

function SessionPane(props: ActivePaneProps & { readonly session: Session }): ReactElement {
  const { browser, commands, trans, session } = props;
  const { catalog, uploads } = session;
  useSignal(catalog.changed, uploads.changed, browser.changed, browser.connections.changed);
  const focusTree = (): void => {
    document.querySelector<HTMLElement>(`#${SIDEBAR_ID} .jp-Caterva2-tree`)?.focus();
  };
  return (
    <>
      <Filter
        value={catalog.filter}
        result={filterResult(catalog, trans)}
        texts={trans}
        onFilter={text => catalog.setFilter(text)}
        onLeave={focusTree}
      />
      <Problem browser={browser} trans={trans} />
      <TreeBody browser={browser} commands={commands} trans={trans} session={session} />
      <Uploads
        uploads={uploads.list}
        tally={uploads.tally}
        texts={trans}
        onAnswer={(upload, overwrite, forAll) => uploads.answer(upload, overwrite, forAll)}
        onHold={upload => uploads.hold(upload)}
        onResume={upload => uploads.resume(upload)}
        onChoose={(upload, file) => uploads.choose(upload, file)}
        onDismiss={upload => uploads.dismiss(upload)}
        onClear={() => uploads.clear()}
      />
    </>
  );
}

/** What is wrong with the connection, and how to try again. */
function Problem({ browser, trans }: PaneProps): ReactElement | null {
  const { connections, session } = browser;
  const retry = (): void => {
    void connections.retry();
    session?.catalog.retry('');
  };
  const action = trans.__('Retry');
  if (connections.error) {
    return <Notice kind="error" text={connections.error.sentence} action={action} onAction={retry} />;
  }
  const shown = connections.subscriber(connections.current ?? '');
  if (shown && !shown.connected) {
    const text = shown.reason ? asSentence(shown.reason) : trans.__('The subscriber can not be reached.');
    return <Notice kind="error" text={text} action={action} onAction={retry} />;
  }
  const error = session?.catalog.error;
  if (error) {
    return <Notice kind="error" text={error.sentence} action={action} onAction={retry} />;
  }
  if (session?.catalog.isOffline) {
    return (
      <Notice
        kind="warning"
        text={trans.__('The broker can not be reached; roots that were known before are shown.')}
        action={action}
        onAction={retry}
      />
    );
  }
  return null;
}

function Waiting({ text }: { readonly text: string }): ReactElement {
  return <div className="jp-Caterva2-empty">{text}</div>;
}

function TreeBody({ browser, commands, trans, session }: ActivePaneProps & { readonly session: Session }): ReactElement {
  const { catalog, uploads } = session;
  const { rows } = catalog;
  if (rows.length === 0 && catalog.filter !== '' && catalog.nmatches === 0) {
    return <div className="jp-Caterva2-tree" />;
  }
  if (rows.length === 0 && catalog.error === null) {
    return <Waiting text={catalog.isStarting ? trans.__('Reading…') : emptyText(trans)} />;
  }
  const run = (id: string, path: string, more: Record<string, string> = {}): void => {
    if (commands.isEnabled(id, { path, ...more })) {
      void commands.execute(id, { path, ...more });
    } else {
      const why = whyNot(commands.label(id, { path }));
      Notification.info(asSentence(why), { autoClose: 5000 });
    }
  };
  return (
    <Tree
      rows={rows}
      selected={catalog.selected}
      edited={browser.edited}
      isSearch={catalog.filter !== ''}
      label={trans.__('Datasets')}
      texts={trans}
      onSelect={path => catalog.select(path)}
      onOpen={path => {
        if (catalog.find(path)?.isContainer) {
          void catalog.reveal(path).then(() => catalog.expand(path));
        } else {
          run(CommandIDs.open, path);
        }
      }}
      onExpand={(path, isExpanded) => (isExpanded ? catalog.expand(path) : catalog.collapse(path))}
      onRetry={parent => catalog.retry(parent)}
      onNeed={catalogNeed(catalog)}
      onRename={path => run(CommandIDs.rename, path)}
      onDelete={path => run(CommandIDs.delete, path)}
      onEdited={(path, name) => {
        browser.edit(null);
        if (name !== null) {
          run(CommandIDs.rename, path, { name });
        }
      }}
      onDrag={(path, x, y) => {
        const entry = catalog.find(path)?.entry;
        if (entry) {
          dragCode(pythonCell(entry, null), path, x, y, browser);
        }
      }}
      dropTarget={path => dropTarget(session, path, trans)}
      onFiles={(directory, groups) => {
        catalog.expand(directory);
        uploads.addAll(groups);
      }}
      onRefused={reason => Notification.warning(reason, { autoClose: 6000 })}
    />
  );
}

const needs = new WeakMap<Catalog, (parent: string, first: number, last: number) => void>();

/** The same function for the same catalog, so that effects do not run in vain. */
function catalogNeed(catalog: Catalog): (parent: string, first: number, last: number) => void {
  let need = needs.get(catalog);
  if (!need) {
    need = (parent, first, last) => catalog.need(parent, first, last);
    needs.set(catalog, need);
  }
  return need;
}

function dropTarget(session: Session, path: string | null, trans: TranslationBundle): DropTarget {
  const entry = path === null ? null : (session.catalog.find(path)?.entry ?? null);
  if (entry && !rootOf(entry.path).startsWith('@')) {
    return { reason: trans.__('%1 is published by others. Drop files on an area, such as @public.', rootOf(entry.path)) };
  }
  const directory = goalOf(session, entry);
  return directory === null
    ? { reason: trans.__('No area is writable; log in to the subscriber to upload files.') }
    : { directory };
}

function filterResult(catalog: Catalog, trans: TranslationBundle): string {
  if (catalog.filter === '') {
    return '';
  }
  if (catalog.isSearching) {
    return trans.__('Looking…');
  }
  const count = catalog.nmatches;
  const rest = catalog.nunsearched;
  const found = count === 0 ? trans.__('Nothing matches') : trans._n('%1 match', '%1 matches', count);
  return rest === 0
    ? found
    : `${found}; ${trans._n('%1 root is not subscribed', '%1 roots are not subscribed', rest)}`;
}

function emptyText(trans: TranslationBundle): string {
  return trans.__(
    'There is no root and no area to see. Start a publisher that reports to the broker of this subscriber, or log in to have areas of your own.'
  );
}

function DetailsPane(props: ActivePaneProps): ReactElement {
  const { browser } = props;
  useSignal(browser.changed);
  const { session } = browser;
  return session ? <SessionDetails key={session.connection.name} {...props} session={session} /> : <></>;
}

function SessionDetails({
  commands,
  trans,
  session
}: ActivePaneProps & { readonly session: Session }): ReactElement {
  const { catalog, details } = session;
  useSignal(catalog.changed, details.changed);
  const entry = catalog.selected === null ? null : (catalog.find(catalog.selected)?.entry ?? null);
  return (
    <Details
      entry={entry}
      described={details.described}
      error={details.error}
      texts={trans}
      onRetry={() => details.refresh()}
      actions={entry && <Actions entry={entry} commands={commands} trans={trans} />}
    />
  );
}

/** The two things that one most often does next. */
function Actions({
  entry,
  commands,
  trans
}: {
  readonly entry: TreeEntry;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}): ReactElement {
  const args = { path: entry.path };
  const isContainer = ['root', 'area', 'directory'].includes(entry.kind);
  return (
    <div className="jp-Caterva2-actions">
      {!isContainer && (
        <button className="jp-mod-styled jp-mod-minimal" onClick={() => void commands.execute(CommandIDs.open, args)}>
          {trans.__('Open')}
        </button>
      )}
      <button
        className="jp-mod-styled jp-mod-minimal"
        onClick={() => void commands.execute(CommandIDs.insertCode, args)}
      >
        {trans.__('Insert code')}
      </button>
      <button className="jp-mod-styled jp-mod-minimal" onClick={() => void commands.execute(CommandIDs.copyPath, args)}>
        {trans.__('Copy path')}
      </button>
    </div>
  );
}
