/** What is in a directory: a list of links with facts, of which only what is on the screen is drawn. */
import {
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  type DragEvent,
  type KeyboardEvent,
  type ReactElement,
  type RefObject
} from 'react';

import type { TreeEntry } from '../api/types';
import { BY_NAME, MOST_SORTED, nextSorting, sorted, type SortKey, type Sorting } from '../model/sorting';
import { groupsOf, readDropped } from '../ui/dropped';
import { formatBytes, formatTime } from '../ui/format';
import { iconOf } from '../ui/icons';
import { kindName } from '../ui/kinds';
import { Notice } from '../ui/Notice';
import { arrayFacts } from '../ui/Tree';
import { useSignal } from '../ui/useSignal';
import type { Wish } from './Dialogs';
import { downloadIcon } from './labui';
import { Link } from './Link';
import type { Router } from './router';
import { isContainer, type Session } from './session';
import { dropTarget, UploadButton } from './Sidebar';
import { TEXTS } from './texts';
import { useNarrow } from './useNarrow';

export interface ContentsProps {
  /** The directory, root or area. */
  readonly entry: TreeEntry;
  readonly session: Session;
  readonly router: Router;
  onWish(wish: Wish): void;
}

/** Heights of a row in pixels, on wide and narrow screens; the style sheet has the same numbers. */
const ROW = 34;
const NARROW_ROW = 52;
/** Rows that are drawn beyond what is on the screen. */
const OVERSCAN = 12;

const COLUMNS: readonly (readonly [SortKey | null, string])[] = [
  ['name', 'Name'],
  ['kind', 'Kind'],
  [null, 'Shape and type'],
  ['size', 'Size'],
  ['mtime', 'Changed']
];

export function Contents({ entry, session, router, onWish }: ContentsProps): ReactElement {
  const { catalog } = session;
  const { path } = entry;
  useSignal(catalog.changed);
  useEffect(() => void catalog.load(path), [catalog, path]);
  const [sorting, setSorting] = useState(session.lists.get(path)?.sorting ?? BY_NAME);
  const drop = useDrop(entry, session);
  const listing = catalog.listing(path);
  const sort = (by: SortKey): void => {
    void catalog.load(path, listing?.total);
    setSorting(nextSorting(sorting, by));
  };
  return (
    <div className={`c2-contents ${drop.goal === path ? 'c2-drop' : ''}`} {...drop.handlers}>
      {listing?.error && (
        <Notice kind="error" text={listing.error.sentence} action="Retry" onAction={() => catalog.retry(path)} />
      )}
      {listing === null && <p className="c2-empty">Reading…</p>}
      {listing && !listing.error && listing.total === 0 && (
        <Empty entry={entry} session={session} onWish={onWish} />
      )}
      {listing && listing.total > 0 && (
        <List
          entries={sorted(listing.entries, sorting)}
          total={listing.total}
          path={path}
          session={session}
          router={router}
          sorting={sorting}
          onSort={listing.total <= MOST_SORTED ? sort : null}
          dropGoal={drop.goal}
        />
      )}
    </div>
  );
}

type EmptyProps = Omit<ContentsProps, 'router'>;

function Empty({ entry, session, onWish }: EmptyProps): ReactElement {
  if (!session.isWritable(entry.path)) {
    return <p className="c2-empty">{entry.kind === 'root' ? 'Nothing is published here yet.' : 'Nothing is here yet.'}</p>;
  }
  return (
    <div className="c2-empty c2-empty-drop">
      <p>
        <strong>Drop files or folders here</strong>
      </p>
      <p className="c2-hint">{`They are stored in ${entry.path}.`}</p>
      <div className="c2-empty-buttons">
        <UploadButton session={session} goal={entry.path} label="Choose files" />
        <UploadButton session={session} goal={entry.path} label="Choose a folder" isFolder />
        <button className="c2-button" onClick={() => onWish({ kind: 'new-folder', goal: entry.path })}>
          Make a folder
        </button>
      </div>
    </div>
  );
}

interface ListProps {
  /** In the order in which they are shown; those that are not known yet are missing at the end. */
  readonly entries: readonly TreeEntry[];
  readonly total: number;
  readonly path: string;
  readonly session: Session;
  readonly router: Router;
  readonly sorting: Sorting;
  readonly onSort: ((by: SortKey) => void) | null;
  /** The directory into which files would fall. */
  readonly dropGoal: string | null;
}

function List(props: ListProps): ReactElement {
  const { entries, total, path, session, sorting, onSort } = props;
  const body = useRef<HTMLDivElement>(null);
  const height = useNarrow() ? NARROW_ROW : ROW;
  const { first, last } = useWindow(body, total, height);
  const [active, setActive] = useState(session.lists.get(path)?.active ?? 0);
  const wantsFocus = useRef(false);
  const { catalog } = session;

  useEffect(() => {
    if (last > entries.length && entries.length < total) {
      void catalog.load(path, last);
    }
  }, [catalog, path, last, entries.length, total]);

  useLayoutEffect(() => {
    if (active > 0) {
      body.current?.querySelector(`[data-index="${active}"]`)?.scrollIntoView({ block: 'center' });
    }
  }, []);
  useEffect(() => void session.lists.set(path, { sorting, active }), [session, path, sorting, active]);

  useEffect(() => {
    if (wantsFocus.current) {
      wantsFocus.current = false;
      body.current?.querySelector<HTMLElement>(`[data-index="${active}"] a`)?.focus();
    }
  }, [active]);

  const go = (index: number): void => {
    wantsFocus.current = true;
    const known = catalog.listing(path)?.entries.length ?? 0;
    setActive(Math.max(0, Math.min(index, known - 1)));
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const page = Math.max(1, last - first - 2 * OVERSCAN - 1);
    const steps: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    const step = steps[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
      return;
    }
    if (step !== undefined) {
      go(active + step);
    } else if (event.key === 'Home') {
      go(0);
    } else if (event.key === 'End') {
      void catalog.load(path, total).then(() => go(Infinity));
    } else {
      return;
    }
    event.preventDefault();
  };

  const indices = range(first, Math.min(last, total));
  // The row that has the focus stays, wherever one has scrolled.
  const shown = active < total && !indices.includes(active) ? [...indices, active] : indices;
  return (
    <div
      className={`c2-list ${entries.some(entry => entry.shape) ? '' : 'c2-no-types'}`}
      role="table"
      aria-label={`Contents of ${path}`}
      aria-rowcount={total + 1}
    >
      <div className="c2-list-head" role="rowgroup">
        <div className="c2-list-row" role="row" aria-rowindex={1}>
          {COLUMNS.map(([by, label]) => (
            <div
              key={label}
              role="columnheader"
              className={`c2-cell-${by ?? 'type'}`}
              aria-sort={by === sorting.by ? (sorting.isDescending ? 'descending' : 'ascending') : undefined}
            >
              {by && onSort ? (
                <button className="c2-sort" onClick={() => onSort(by)}>
                  {label}
                  <span aria-hidden>{by === sorting.by ? (sorting.isDescending ? ' ▾' : ' ▴') : ''}</span>
                </button>
              ) : (
                label
              )}
            </div>
          ))}
          <div role="columnheader" className="c2-cell-download">
            <span className="c2-hidden">Download</span>
          </div>
        </div>
      </div>
      <div
        ref={body}
        className="c2-list-body"
        role="rowgroup"
        style={{ height: total * height }}
        onKeyDown={onKeyDown}
        onFocus={event => {
          const index = event.target.closest('[data-index]')?.getAttribute('data-index');
          if (index !== null && index !== undefined) {
            setActive(Number(index));
          }
        }}
      >
        {shown.map(index => (
          <Line key={entries[index]?.path ?? index} index={index} height={height} isActive={index === active} {...props} />
        ))}
      </div>
    </div>
  );
}

interface LineProps extends ListProps {
  readonly index: number;
  readonly height: number;
  readonly isActive: boolean;
}

function Line({ entries, index, height, isActive, session, router, dropGoal }: LineProps): ReactElement {
  const entry = entries[index];
  const style = { top: index * height, height };
  if (!entry) {
    return (
      <div className="c2-list-row" style={style} role="row" aria-rowindex={index + 2}>
        <div role="cell" className="c2-cell-name">
          <span className="c2-hidden">Reading…</span>
          <span className="jp-Caterva2-skeleton" />
        </div>
      </div>
    );
  }
  const icon = iconOf(entry.kind);
  const isDirectory = isContainer(entry);
  const size = entry.size === null ? '' : formatBytes(entry.size);
  const [day, hour] = entry.mtime === null ? ['', ''] : formatTime(entry.mtime).split(' ');
  const type = arrayFacts(entry, TEXTS);
  const tab = isActive ? 0 : -1;
  return (
    <div
      className={`c2-list-row ${dropGoal === entry.path ? 'c2-drop' : ''}`}
      style={style}
      role="row"
      aria-rowindex={index + 2}
      data-index={index}
      data-entry={entry.path}
      data-directory={isDirectory ? entry.path : undefined}
    >
      <div role="cell" className="c2-cell-name">
        <icon.react tag="span" className="c2-kind" width="18px" height="18px" />
        <Link
          router={router}
          place={{ kind: 'path', path: entry.path, state: {} }}
          className="c2-entry"
          title={entry.error ?? undefined}
          tabIndex={tab}
        >
          {entry.name}
        </Link>
      </div>
      <div role="cell" className="c2-cell-kind">
        {shortKind(entry)}
      </div>
      <div role="cell" className="c2-cell-type" title={entry.dtype ?? undefined}>
        {type}
      </div>
      <div role="cell" className="c2-cell-size">
        {size}
      </div>
      <div role="cell" className="c2-cell-mtime">
        {day}
        {hour && <span className="c2-hour"> {hour}</span>}
      </div>
      <div role="cell" className="c2-cell-download">
        {!isDirectory && (
          <a
            className="c2-download"
            href={session.api.downloadUrl(entry.path)}
            download={entry.name}
            tabIndex={tab}
            aria-label={`Download ${entry.name}`}
            title="Download"
          >
            <downloadIcon.react tag="span" width="16px" height="16px" />
          </a>
        )}
      </div>
    </div>
  );
}

function shortKind(entry: TreeEntry): string {
  return entry.kind === 'lazy' ? 'expression' : kindName(entry, TEXTS);
}

/** Files that are dropped on the list, or on a directory in it. */
function useDrop(
  entry: TreeEntry,
  session: Session
): {
  goal: string | null;
  handlers: Record<'onDragOver' | 'onDragLeave' | 'onDrop', (event: DragEvent) => void>;
} {
  const [goal, setGoal] = useState<string | null>(null);
  const targetOf = (event: DragEvent): ReturnType<typeof dropTarget> => {
    const target = dropTarget(session, entry);
    const row = event.target instanceof Element ? event.target.closest('[data-directory]') : null;
    const directory = row?.getAttribute('data-directory');
    // Another area would be a surprise.
    if (!('directory' in target) || target.directory !== entry.path) {
      return 'directory' in target ? { reason: `${entry.path} can not be written to.` } : target;
    }
    return directory ? { directory } : target;
  };
  const handle = (event: DragEvent): boolean => {
    const isOurs = event.dataTransfer.types.includes('Files');
    if (isOurs) {
      event.preventDefault();
    }
    return isOurs;
  };
  return {
    goal,
    handlers: {
      onDragOver: event => {
        if (handle(event)) {
          const target = targetOf(event);
          event.dataTransfer.dropEffect = 'directory' in target ? 'copy' : 'none';
          setGoal('directory' in target ? target.directory : null);
        }
      },
      onDragLeave: () => setGoal(null),
      onDrop: event => {
        if (!handle(event)) {
          return;
        }
        setGoal(null);
        const target = targetOf(event);
        if (!('directory' in target)) {
          session.say({ kind: 'warning', text: target.reason });
          return;
        }
        readDropped(event.dataTransfer).then(
          dropped => session.uploads.addAll(groupsOf(target.directory, dropped)),
          () => session.say({ kind: 'error', text: 'What was dropped can not be read.' })
        );
      }
    }
  };
}

/** The rows of a list that are on the screen, whatever scrolls. */
function useWindow(body: RefObject<HTMLElement>, total: number, height: number): { first: number; last: number } {
  const [top, setTop] = useState(0);
  const [room, setRoom] = useState(800);
  useLayoutEffect(() => {
    const measure = (): void => {
      setTop(-(body.current?.getBoundingClientRect().top ?? 0));
      setRoom(window.innerHeight);
    };
    const ends = new AbortController();
    const { signal } = ends;
    measure();
    document.addEventListener('scroll', measure, { signal, capture: true, passive: true });
    window.addEventListener('resize', measure, { signal });
    return () => ends.abort();
  }, [body, total, height]);
  return {
    first: Math.max(0, Math.min(total, Math.floor(top / height)) - OVERSCAN),
    last: Math.min(total, Math.max(0, Math.ceil((top + room) / height)) + OVERSCAN)
  };
}

function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
}
