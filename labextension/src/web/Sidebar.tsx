/** Roots and areas: search, tools, tree, uploads. */
import { useRef, useState, type MouseEvent, type ReactElement } from 'react';

import type { TreeEntry } from '../api/types';
import type { Catalog } from '../model/catalog';
import { nameProblem, parentOf, rootOf } from '../model/paths';
import { groupsOfFolder } from '../ui/dropped';
import { Filter } from '../ui/Filter';
import { Notice } from '../ui/Notice';
import { Tree, type DropTarget } from '../ui/Tree';
import { Uploads } from '../ui/Uploads';
import { useSignal } from '../ui/useSignal';
import type { Wish } from './Dialogs';
import type { Router } from './router';
import { isContainer, type Session } from './session';
import { TEXTS } from './texts';
import { isNarrow, useNarrow } from './useNarrow';

export interface SidebarProps {
  readonly session: Session;
  readonly router: Router;
  onWish(wish: Wish): void;
}

interface WholeSidebarProps extends SidebarProps {
  /** There are users, and nobody is logged in. */
  readonly canLogIn: boolean;
}

export function Sidebar({ session, router, canLogIn, onWish }: WholeSidebarProps): ReactElement {
  const { catalog, uploads } = session;
  useSignal(catalog.changed);
  const isOneColumn = useNarrow();
  const [edited, setEdited] = useState<string | null>(null);
  const need = useRef((parent: string, first: number, last: number) => catalog.need(parent, first, last));
  const box = useRef<HTMLDivElement>(null);
  const entryOf = (path: string | null): TreeEntry | null =>
    path === null ? null : (catalog.find(path)?.entry ?? null);
  const open = (path: string): void => router.go({ kind: 'path', path, state: {} });
  const ours = (path: string, run: (entry: TreeEntry) => void): void => {
    const entry = entryOf(path);
    if (entry && session.isOurs(entry)) {
      run(entry);
    } else {
      session.say({ kind: 'info', text: whyNotOurs(path) });
    }
  };
  const onClick = (event: MouseEvent): void => {
    const row = event.target instanceof Element ? event.target.closest('[data-path]') : null;
    const path = row?.getAttribute('data-path');
    const entry = path ? entryOf(path) : null;
    // Where there is one column a directory is only unfolded.
    if (entry && !(isContainer(entry) && isNarrow())) {
      open(entry.path);
    }
  };
  const { rows } = catalog;
  const isNothingFound = rows.length === 0 && catalog.filter !== '' && catalog.nmatches === 0;
  return (
    <aside className="jp-Caterva2-Sidebar c2-sidebar" aria-label="Datasets">
      <Filter
        value={catalog.filter}
        result={filterResult(catalog)}
        texts={TEXTS}
        onFilter={text => catalog.setFilter(text)}
        onLeave={() => box.current?.querySelector<HTMLElement>('.jp-Caterva2-tree')?.focus()}
      />
      <Tools isBesideTree session={session} onWish={onWish} selected={entryOf(catalog.selected)} router={router} />
      {catalog.error && (
        <Notice kind="error" text={catalog.error.sentence} action="Retry" onAction={() => catalog.retry('')} />
      )}
      {catalog.isOffline && !catalog.error && (
        <Notice kind="warning" text="The broker can not be reached; roots that were known before are shown." />
      )}
      <div className="c2-tree" ref={box} onClick={onClick}>
        {rows.length === 0 ? (
          <div className="jp-Caterva2-empty">
            {isNothingFound
              ? 'No name has this in it.'
              : catalog.isStarting || catalog.isSearching
                ? 'Reading…'
                : catalog.error
                  ? ''
                  : `There is no root and no area to see.${canLogIn ? ' Log in to have areas of your own.' : ''}`}
          </div>
        ) : (
          <Tree
            rows={rows}
            selected={catalog.selected}
            edited={edited}
            isSearch={catalog.filter !== ''}
            label="Datasets"
            texts={TEXTS}
            onSelect={path => catalog.select(path)}
            onOpen={open}
            onExpand={(path, isExpanded) => (isExpanded ? catalog.expand(path) : catalog.collapse(path))}
            onRetry={parent => catalog.retry(parent)}
            onNeed={need.current}
            onRename={path => ours(path, () => setEdited(path))}
            onDelete={path => ours(path, entry => onWish({ kind: 'delete', entry }))}
            onEdited={(path, name) => {
              setEdited(null);
              if (name !== null) {
                void rename(session, router, path, name);
              }
            }}
            onDrag={() => undefined}
            dropTarget={path => dropTarget(session, entryOf(path))}
            onFiles={(directory, groups) => {
              catalog.expand(directory);
              uploads.addAll(groups);
            }}
            onRefused={text => session.say({ kind: 'warning', text })}
          />
        )}
      </div>
      {!isOneColumn && <UploadList session={session} />}
    </aside>
  );
}

/** The uploads: below the tree, or below everything where there is one column. */
export function UploadList({ session: { uploads } }: { readonly session: Session }): ReactElement {
  useSignal(uploads.changed);
  return (
    <Uploads
      uploads={uploads.list}
      tally={uploads.tally}
      texts={TEXTS}
      onAnswer={(upload, overwrite, forAll) => uploads.answer(upload, overwrite, forAll)}
      onHold={upload => uploads.hold(upload)}
      onResume={upload => uploads.resume(upload)}
      onChoose={(upload, file) => uploads.choose(upload, file)}
      onDismiss={upload => uploads.dismiss(upload)}
      onClear={() => uploads.clear()}
    />
  );
}

interface ToolsProps extends SidebarProps {
  readonly selected: TreeEntry | null;
  /** Beside the tree, where one also goes to what is selected. */
  readonly isBesideTree?: boolean;
}

/** What can be made where something is selected. */
export function Tools({ session, selected, isBesideTree, router, onWish }: ToolsProps): ReactElement | null {
  const goal = session.goal(selected);
  const hasPersonal = session.isWritable('@personal');
  return (
    <div className="c2-tools" role="toolbar" aria-label="New">
      {goal !== null && (
        <>
          <UploadButton session={session} goal={goal} />
          {!isBesideTree && <UploadButton session={session} goal={goal} label="Upload folder" isFolder />}
          <button className="c2-button" onClick={() => onWish({ kind: 'new-folder', goal })}>
            New folder
          </button>
          <button className="c2-button" onClick={() => onWish({ kind: 'new-notebook', goal })}>
            New notebook
          </button>
        </>
      )}
      {hasPersonal && (
        <button className="c2-button" onClick={() => onWish({ kind: 'expression', entry: selected })}>
          Expression
        </button>
      )}
      {/* There from the start: what comes with a selection would move the rows away from the finger. */}
      {isBesideTree && (
        <button
          className="c2-button c2-narrow"
          disabled={!selected}
          onClick={() => selected && router.go({ kind: 'path', path: selected.path, state: {} })}
        >
          Details
        </button>
      )}
    </div>
  );
}

interface UploadButtonProps {
  readonly session: Session;
  readonly goal: string;
  readonly label?: string;
  readonly className?: string;
  /** A folder is chosen, and goes with all that is in it. */
  readonly isFolder?: boolean;
}

export function UploadButton(props: UploadButtonProps): ReactElement {
  const { session, goal, label = 'Upload', className = 'c2-button', isFolder = false } = props;
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        aria-label={isFolder ? 'Folder to upload' : 'Files to upload'}
        {...(isFolder ? { webkitdirectory: '' } : {})}
        onChange={event => {
          const files = [...(event.currentTarget.files ?? [])];
          session.catalog.expand(goal);
          session.uploads.addAll(isFolder ? groupsOfFolder(goal, files) : [{ directory: goal, files }]);
          event.currentTarget.value = '';
        }}
      />
      <button
        className={className}
        title={isFolder ? `Upload a folder to ${goal}` : `Upload files to ${goal}`}
        onClick={() => input.current?.click()}
      >
        {label}
      </button>
    </>
  );
}

/** Give something another name, and go there. */
export async function rename(session: Session, router: Router, path: string, name: string): Promise<void> {
  const problem = nameProblem(name, TEXTS);
  if (problem) {
    session.say({ kind: 'error', text: problem });
    return;
  }
  const goal = `${parentOf(path)}/${name}`;
  const went = await session.attempt('It could not be renamed.', async () => {
    await session.api.move(path, goal);
    session.catalog.refresh(parentOf(path));
  });
  if (went) {
    router.go({ kind: 'path', path: goal, state: {} });
  }
}

export function whyNotOurs(path: string): string {
  if (!path.includes('/')) {
    return 'Roots and areas themselves can not be renamed, moved or deleted.';
  }
  return rootOf(path).startsWith('@')
    ? 'You are not logged in to write here.'
    : `${rootOf(path)} is published by others, and read-only. Copy it to an area, such as @personal.`;
}

/** Where files that are dropped on something go, or why they can not. */
export function dropTarget(session: Session, entry: TreeEntry | null): DropTarget {
  if (entry && !rootOf(entry.path).startsWith('@')) {
    return { reason: `${rootOf(entry.path)} is published by others. Drop files on an area, such as @public.` };
  }
  const directory = session.goal(entry);
  return directory === null ? { reason: 'No area is writable; log in to upload files.' } : { directory };
}

function filterResult(catalog: Catalog): string {
  if (catalog.filter === '') {
    return '';
  }
  if (catalog.isSearching) {
    return 'Looking…';
  }
  const count = catalog.nmatches;
  const rest = catalog.nunsearched;
  const found = count === 0 ? 'Nothing matches' : TEXTS._n('%1 match', '%1 matches', count);
  return rest === 0 ? found : `${found}; ${TEXTS._n('%1 root is not subscribed', '%1 roots are not subscribed', rest)}`;
}
