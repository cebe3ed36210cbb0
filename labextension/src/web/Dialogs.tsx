/** What is asked before something is made, changed or deleted. */
import { useState, type ReactElement } from 'react';

import { ApiError } from '../api/errors';
import type { TreeEntry } from '../api/types';
import { isWithin, nameProblem, parentOf } from '../model/paths';
import type { Account } from './account';
import { ExpressionDialog } from './ExpressionDialog';
import { Field, Modal } from './Modal';
import type { Router } from './router';
import { isContainer, type Session } from './session';
import { ShareDialog } from './ShareDialog';
import { TEXTS } from './texts';

export type Wish =
  | { readonly kind: 'new-folder' | 'new-notebook'; readonly goal: string }
  | { readonly kind: 'rename' | 'move' | 'copy' | 'delete' | 'share'; readonly entry: TreeEntry }
  | { readonly kind: 'expression'; readonly entry: TreeEntry | null };

export interface DialogsProps {
  readonly wish: Wish;
  readonly session: Session;
  readonly account: Account;
  readonly router: Router;
  onClose(): void;
}

export function Dialogs(props: DialogsProps): ReactElement {
  const { wish, session, account, router, onClose } = props;
  switch (wish.kind) {
    case 'new-folder':
    case 'new-notebook':
      return <NewName {...props} wish={wish} />;
    case 'rename':
      return <Rename {...props} entry={wish.entry} />;
    case 'move':
    case 'copy':
      return <Transfer {...props} entry={wish.entry} isCopy={wish.kind === 'copy'} />;
    case 'delete':
      return <Delete {...props} entry={wish.entry} />;
    case 'share':
      return <ShareDialog entry={wish.entry} account={account} onClose={onClose} />;
    case 'expression':
      return <ExpressionDialog entry={wish.entry} session={session} router={router} onClose={onClose} />;
  }
}

interface NewNameProps extends DialogsProps {
  readonly wish: Extract<Wish, { kind: 'new-folder' | 'new-notebook' }>;
}

function NewName({ wish, session, router, onClose }: NewNameProps): ReactElement {
  const isFolder = wish.kind === 'new-folder';
  const [name, setName] = useState('');
  return (
    <Modal
      title={`${isFolder ? 'New folder' : 'New notebook'} in ${wish.goal}`}
      action="Create"
      onClose={onClose}
      onAction={async () => {
        const whole = isFolder || name.endsWith('.ipynb') ? name : `${name}.ipynb`;
        check(whole);
        const path = `${wish.goal}/${whole}`;
        await (isFolder ? session.api.mkdir(path) : session.api.addNotebook(path));
        arrive(session, router, path);
        onClose();
      }}
    >
      <Field label="Name" value={name} isFirst onChange={setName} />
    </Modal>
  );
}

interface EntryProps extends DialogsProps {
  readonly entry: TreeEntry;
}

function Rename({ entry, session, router, onClose }: EntryProps): ReactElement {
  const [name, setName] = useState(entry.name);
  return (
    <Modal
      title={`Rename ${entry.name}`}
      action="Rename"
      onClose={onClose}
      onAction={async () => {
        check(name);
        if (name !== entry.name) {
          const path = `${parentOf(entry.path)}/${name}`;
          await session.api.move(entry.path, path);
          arrive(session, router, path);
        }
        onClose();
      }}
    >
      <Field label="New name" value={name} isFirst onChange={setName} />
    </Modal>
  );
}

function Transfer({ entry, isCopy, session, router, onClose }: EntryProps & { readonly isCopy: boolean }): ReactElement {
  const places = destinations(session);
  const [directory, setDirectory] = useState(
    session.isWritable(entry.path) ? parentOf(entry.path) : (session.goal(null) ?? '')
  );
  const [name, setName] = useState(entry.name);
  return (
    <Modal
      title={`${isCopy ? 'Copy' : 'Move'} ${entry.name}`}
      action={isCopy ? 'Copy' : 'Move'}
      onClose={onClose}
      onAction={async () => {
        check(name);
        const path = `${directory.replace(/\/+$/, '')}/${name}`;
        const there = await (isCopy ? session.api.copy(entry.path, path) : session.api.move(entry.path, path));
        session.catalog.refresh(parentOf(entry.path));
        arrive(session, router, there || path);
        onClose();
      }}
    >
      <Field label="To the directory" value={directory} isFirst list="c2-places" onChange={setDirectory} />
      <datalist id="c2-places">
        {places.map(place => (
          <option key={place} value={place} />
        ))}
      </datalist>
      <Field label="Name there" value={name} onChange={setName} />
    </Modal>
  );
}

function Delete({ entry, session, router, onClose }: EntryProps): ReactElement {
  const isDirectory = isContainer(entry);
  return (
    <Modal
      title={isDirectory ? 'Delete directory' : 'Delete file'}
      action="Delete"
      isDangerous
      onClose={onClose}
      onAction={async () => {
        await session.api.remove(entry.path);
        session.catalog.refresh(parentOf(entry.path));
        const { place } = router;
        if (place.kind === 'path' && isWithin(place.path, entry.path)) {
          router.go({ kind: 'path', path: parentOf(entry.path), state: {} });
        }
        onClose();
      }}
    >
      <p>{`Delete ${entry.path}${isDirectory ? ' with everything in it' : ''}? It can not be undone.`}</p>
    </Modal>
  );
}

/** Read the directory of something new, and show it. */
export function arrive(session: Session, router: Router, path: string): void {
  session.catalog.refresh(parentOf(path));
  session.catalog.expand(parentOf(path));
  router.go({ kind: 'path', path, state: {} });
}

function check(name: string): void {
  const problem = nameProblem(name, TEXTS);
  if (problem) {
    throw new ApiError({ message: problem }, 400);
  }
}

/** Directories that one may write to, of those that the tree knows; at least one level of each area. */
function destinations({ catalog }: Session): string[] {
  return catalog.rows.flatMap(row => {
    if (row.type !== 'entry' || !row.node.isContainer) {
      return [];
    }
    const { path } = row.node;
    return path.startsWith('@') && catalog.find(path.split('/')[0] ?? '')?.entry.writable ? [path] : [];
  });
}

