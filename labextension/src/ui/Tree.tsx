/** The tree: a virtual list with the keyboard, drops and drags of a tree. */
import { caretDownIcon, caretRightIcon } from '@jupyterlab/ui-components';
import {
  useCallback,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  type DragEvent,
  type KeyboardEvent,
  type MouseEvent,
  type ReactElement
} from 'react';

import type { TreeEntry } from '../api/types';
import type { Row } from '../model/catalog';
import { belowRoot, parentOf } from '../model/paths';
import type { UploadGroup } from '../model/uploads';
import { groupsOf, readDropped } from './dropped';
import { compactShape, countFields, formatBytes, formatDtype, formatShape, formatTime } from './format';
import { iconOf } from './icons';
import { kindName } from './kinds';
import type { Texts } from './text';

/** Height of a line, in pixels; the style sheet has the same number. */
export const ROW_HEIGHT = 24;
/** Lines that are drawn above and below what is on the screen. */
const OVERSCAN = 8;
/** Letters typed within this time belong to one word. */
const TYPE_AHEAD_MS = 700;
/** A press becomes a drag after so many pixels. */
const DRAG_PX = 6;

/** Where dropped files would go, or why they can not. */
export type DropTarget = { readonly directory: string } | { readonly reason: string };

export interface TreeProps {
  readonly rows: readonly Row[];
  readonly selected: string | null;
  /** Path of the row whose name is being edited. */
  readonly edited: string | null;
  /** Whether rows are results of a search, at any depth. */
  readonly isSearch: boolean;
  readonly label: string;
  readonly texts: Texts;
  onSelect(path: string): void;
  onOpen(path: string): void;
  onExpand(path: string, isExpanded: boolean): void;
  onRetry(parent: string): void;
  /** Rows of a directory are on the screen that are not known; places count from 1. */
  onNeed(parent: string, first: number, last: number): void;
  onRename(path: string): void;
  onDelete(path: string): void;
  /** The name was typed; null if it stays as it was. */
  onEdited(path: string, name: string | null): void;
  onDrag(path: string, x: number, y: number): void;
  dropTarget(path: string | null): DropTarget;
  /** Files were dropped for a directory; folders among them make groups of their own. */
  onFiles(directory: string, groups: readonly UploadGroup[]): void;
  onRefused(reason: string): void;
}

export function Tree(props: TreeProps): ReactElement {
  const { rows, selected, edited, texts, onNeed } = props;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [dropOn, setDropOn] = useState<string | null>(null);
  const typed = useRef({ text: '', at: 0 });
  /** Where a key goes to, if that is not known yet. */
  const goal = useRef<{ readonly index: number; readonly step: 1 | -1 } | null>(null);
  const at = rows.findIndex(row => row.type === 'entry' && row.node.path === selected);

  const first = Math.max(0, Math.floor(view.top / ROW_HEIGHT) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW_HEIGHT) + OVERSCAN);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) {
      return;
    }
    const measure = (): void => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);

  // Ask for what is on the screen and not known yet.
  useEffect(() => {
    for (const [parent, places] of pendingPlaces(rows, first, last)) {
      onNeed(parent, places.first, places.last);
    }
  }, [rows, first, last, onNeed]);

  const scrollTo = useCallback((index: number): void => {
    const element = box.current;
    if (!element || index < 0) {
      return;
    }
    const top = index * ROW_HEIGHT;
    if (top < element.scrollTop) {
      element.scrollTop = top;
    } else if (top + ROW_HEIGHT > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + ROW_HEIGHT - element.clientHeight;
    }
  }, []);

  // Keep the selected row in sight when the selection moves, not when rows come and go.
  useEffect(() => scrollTo(at), [selected, scrollTo]);

  useEffect(() => {
    if (edited === null) {
      return;
    }
    return () => box.current?.focus();
  }, [edited]);

  const go = (index: number, step: 1 | -1): void => {
    goal.current = null;
    if (rows[index]?.type === 'pending') {
      goal.current = { index, step };
      scrollTo(index);
      return;
    }
    for (let i = index; i >= 0 && i < rows.length; i += step) {
      const row = rows[i];
      if (row?.type === 'entry') {
        props.onSelect(row.node.path);
        scrollTo(i);
        return;
      }
    }
  };

  useEffect(() => {
    if (goal.current && rows[goal.current.index]?.type !== 'pending') {
      go(goal.current.index, goal.current.step);
    }
  }, [rows]);

  const typeAhead = (letter: string): void => {
    const now = Date.now();
    const text = (now - typed.current.at < TYPE_AHEAD_MS ? typed.current.text : '') + letter.toLowerCase();
    typed.current = { text, at: now };
    const from = text.length > 1 ? Math.max(at, 0) : at + 1;
    for (let i = 0; i < rows.length; i += 1) {
      const index = (from + i) % rows.length;
      const row = rows[index];
      if (row?.type === 'entry' && row.node.entry.name.toLowerCase().startsWith(text)) {
        go(index, 1);
        return;
      }
    }
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    // Keys in a button of a row are that button's.
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (edited !== null) {
      // The row may be out of sight or gone, and its field with it.
      props.onEdited(edited, null);
    }
    if (event.key.length > 1) {
      typed.current.at = 0; // the next letter begins a word
    }
    const row = rows[at];
    const entry = row?.type === 'entry' ? row : null;
    const page = Math.max(1, Math.floor(view.height / ROW_HEIGHT) - 1);
    switch (event.key) {
      case 'ArrowDown':
        go(at + 1, 1);
        break;
      case 'ArrowUp':
        go(at < 0 ? rows.length - 1 : at - 1, -1);
        break;
      case 'Home':
        go(0, 1);
        break;
      case 'End':
        go(rows.length - 1, -1);
        break;
      case 'PageDown':
        go(Math.min(at + page, rows.length - 1), -1);
        break;
      case 'PageUp':
        go(Math.max(at - page, 0), 1);
        break;
      case 'ArrowRight':
        if (entry?.node.isContainer && !entry.isExpanded) {
          props.onExpand(entry.node.path, true);
        } else if (entry?.isExpanded) {
          go(at + 1, 1);
        }
        break;
      case 'ArrowLeft':
        if (entry?.isExpanded) {
          props.onExpand(entry.node.path, false);
        } else if (entry) {
          go(parentIndex(rows, at), -1);
        }
        break;
      case 'Enter':
        if (entry) {
          activate(entry, props);
        }
        break;
      case 'F2':
        if (entry) {
          props.onRename(entry.node.path);
        }
        break;
      case 'Delete':
        if (entry) {
          props.onDelete(entry.node.path);
        }
        break;
      default:
        if (event.key.length !== 1 || event.key === ' ') {
          if (event.key === ' ' && entry) {
            activate(entry, props);
            break;
          }
          return;
        }
        typeAhead(event.key);
    }
    event.preventDefault();
    event.stopPropagation();
  };

  const pathAt = (event: DragEvent): string | null => {
    const row = event.target instanceof Element ? event.target.closest('[data-path]') : null;
    return row?.getAttribute('data-path') ?? null;
  };

  const onDragOver = (event: DragEvent): void => {
    if (!event.dataTransfer.types.includes('Files')) {
      return;
    }
    event.preventDefault();
    const target = props.dropTarget(pathAt(event));
    event.dataTransfer.dropEffect = 'directory' in target ? 'copy' : 'none';
    setDropOn('directory' in target ? target.directory : null);
  };

  const onDrop = (event: DragEvent): void => {
    if (!event.dataTransfer.types.includes('Files')) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    setDropOn(null);
    const target = props.dropTarget(pathAt(event));
    if ('directory' in target) {
      const { directory } = target;
      void readDropped(event.dataTransfer).then(
        found => props.onFiles(directory, groupsOf(directory, found)),
        () => props.onRefused(texts.__('What was dropped can not be read.'))
      );
    } else {
      props.onRefused(target.reason);
    }
  };

  const shown = rows.slice(first, last);
  return (
    <div
      ref={box}
      className="jp-Caterva2-tree"
      role="tree"
      aria-label={props.label}
      aria-activedescendant={at >= first && at < last ? rowId(selected) : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onScroll={event =>
        setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })
      }
      onMouseDown={() => {
        goal.current = null;
      }}
      onWheel={() => {
        goal.current = null;
      }}
      onDragOver={onDragOver}
      onDragLeave={() => setDropOn(null)}
      onDrop={onDrop}
      onFocus={() => {
        if (at < 0 && box.current?.matches(':focus-visible')) {
          go(0, 1);
        }
      }}
    >
      <div className="jp-Caterva2-tree-room" style={{ height: rows.length * ROW_HEIGHT }} role="presentation">
        <div
          className="jp-Caterva2-tree-window"
          style={{ transform: `translateY(${first * ROW_HEIGHT}px)` }}
          role="presentation"
        >
          {shown.map((row, i) => (
            <TreeRow
              key={row.type === 'pending' ? `${row.key}${first + i}` : row.key}
              row={row}
              isSelected={row.type === 'entry' && row.node.path === selected}
              isEdited={row.type === 'entry' && row.node.path === edited}
              isDropTarget={row.type === 'entry' && row.node.path === dropOn}
              {...props}
              texts={texts}
            />
          ))}
        </div>
      </div>
    </div>
  );
}

interface TreeRowProps extends TreeProps {
  readonly row: Row;
  readonly isSelected: boolean;
  readonly isEdited: boolean;
  readonly isDropTarget: boolean;
}

function TreeRow(props: TreeRowProps): ReactElement {
  const { row, texts } = props;
  const indent = { paddingLeft: 4 + row.depth * 14 };
  switch (row.type) {
    case 'pending':
      return (
        <div className="jp-Caterva2-row jp-mod-pending" style={indent} aria-hidden>
          <span className="jp-Caterva2-caret" />
          <span className="jp-Caterva2-skeleton" />
        </div>
      );
    case 'empty':
      return (
        <div className="jp-Caterva2-row jp-mod-note" style={indent}>
          <span className="jp-Caterva2-caret" />
          {props.isSearch ? texts.__('Nothing here matches') : texts.__('Empty')}
        </div>
      );
    case 'problem':
      return (
        <div className="jp-Caterva2-row jp-mod-problem" style={indent} title={row.error.sentence} role="alert">
          <span className="jp-Caterva2-caret" />
          <span className="jp-Caterva2-row-name">{row.error.sentence}</span>
          <button className="jp-Caterva2-link" onClick={() => props.onRetry(row.parent)}>
            {texts.__('Retry')}
          </button>
        </div>
      );
    case 'entry':
      return <EntryRow {...props} row={row} indent={indent} />;
  }
}

interface EntryRowProps extends TreeRowProps {
  readonly row: Extract<Row, { type: 'entry' }>;
  readonly indent: { paddingLeft: number };
}

function EntryRow(props: EntryRowProps): ReactElement {
  const { row, texts, isSelected, isEdited, isSearch } = props;
  const { entry, isContainer, path } = row.node;
  const hasCaret = isContainer && (!isSearch || row.depth === 0);
  const caret = row.isExpanded ? caretDownIcon : caretRightIcon;
  const kind = iconOf(entry.kind);
  const mark = markOf(entry, texts);
  const classes = ['jp-Caterva2-row'];
  if (isSelected) {
    classes.push('jp-mod-selected');
  }
  if (row.isStale) {
    classes.push('jp-mod-stale');
  }
  if (props.isDropTarget) {
    classes.push('jp-mod-dropTarget');
  }
  return (
    <div
      id={rowId(path)}
      className={classes.join(' ')}
      style={props.indent}
      role="treeitem"
      aria-level={row.depth + 1}
      aria-selected={isSelected}
      aria-expanded={hasCaret ? row.isExpanded : undefined}
      aria-posinset={row.place}
      aria-setsize={row.siblings}
      data-path={path}
      data-kind={entry.kind}
      title={isEdited ? undefined : tooltip(entry, texts)}
      onMouseDown={event => press(event, path, props)}
      onContextMenu={() => props.onSelect(path)}
      onClick={event => {
        // Who is used to open directories by a double click does not close them with its second half.
        if (hasCaret && event.detail < 2) {
          props.onExpand(path, !row.isExpanded);
        }
      }}
      onDoubleClick={() => {
        if (!hasCaret) {
          activate(row, props);
        }
      }}
    >
      <span className="jp-Caterva2-caret">{hasCaret && <caret.react tag="span" width="16px" height="16px" />}</span>
      <kind.react tag="span" className="jp-Caterva2-kind" width="16px" height="16px" />
      {isEdited ? (
        <NameEditor name={entry.name} onDone={name => props.onEdited(path, name)} label={texts.__('New name')} />
      ) : (
        <span className="jp-Caterva2-row-name">{entry.name}</span>
      )}
      {mark ? (
        <span className={`jp-Caterva2-mark jp-mod-${mark.kind}`}>{mark.text}</span>
      ) : (
        <span className="jp-Caterva2-row-facts">
          {(isSearch && row.depth > 0 && directoryBelow(path)) || factsOf(entry, texts)}
        </span>
      )}
    </div>
  );
}

/** The directory of something that was found, below its root. */
function directoryBelow(path: string): string {
  const directory = belowRoot(parentOf(path));
  return directory && `${directory}/`;
}

interface NameEditorProps {
  readonly name: string;
  readonly label: string;
  onDone(name: string | null): void;
}

function NameEditor({ name, label, onDone }: NameEditorProps): ReactElement {
  const input = useRef<HTMLInputElement>(null);
  const isDone = useRef(false);
  useEffect(() => {
    const dot = name.lastIndexOf('.');
    input.current?.focus();
    input.current?.setSelectionRange(0, dot > 0 ? dot : name.length);
  }, [name]);
  const finish = (value: string | null): void => {
    if (!isDone.current) {
      isDone.current = true;
      onDone(value === name ? null : value);
    }
  };
  return (
    <input
      ref={input}
      className="jp-Caterva2-editor"
      aria-label={label}
      defaultValue={name}
      spellCheck={false}
      onBlur={event => finish(event.currentTarget.value)}
      onClick={event => event.stopPropagation()}
      onMouseDown={event => event.stopPropagation()}
      onKeyDown={event => {
        event.stopPropagation();
        if (event.key === 'Enter') {
          finish(event.currentTarget.value);
        } else if (event.key === 'Escape') {
          finish(null);
        }
      }}
    />
  );
}

function activate(row: Extract<Row, { type: 'entry' }>, props: TreeProps): void {
  const { path, isContainer } = row.node;
  if (isContainer && !(props.isSearch && row.depth > 0)) {
    props.onExpand(path, !row.isExpanded);
  } else {
    props.onOpen(path);
  }
}

/** Select, and watch whether the press becomes a drag. */
function press(event: MouseEvent, path: string, props: TreeProps): void {
  props.onSelect(path);
  if (event.button !== 0) {
    return;
  }
  const { clientX: x, clientY: y } = event;
  const onMove = (move: globalThis.MouseEvent): void => {
    if (Math.abs(move.clientX - x) + Math.abs(move.clientY - y) >= DRAG_PX) {
      stop();
      props.onDrag(path, move.clientX, move.clientY);
    }
  };
  const stop = (): void => {
    document.removeEventListener('mousemove', onMove, true);
    document.removeEventListener('mouseup', stop, true);
  };
  document.addEventListener('mousemove', onMove, true);
  document.addEventListener('mouseup', stop, true);
}

interface Places {
  readonly first: number;
  readonly last: number;
}

/** For each directory with rows that are not known: the places of those on the screen. */
function pendingPlaces(rows: readonly Row[], first: number, last: number): Map<string, Places> {
  const found = new Map<string, Places>();
  for (let i = first; i < last; i += 1) {
    const row = rows[i];
    if (row?.type === 'pending') {
      const place = row.place + i - row.index;
      found.set(row.parent, { first: found.get(row.parent)?.first ?? place, last: place });
    }
  }
  return found;
}

function parentIndex(rows: readonly Row[], index: number): number {
  const depth = rows[index]?.depth ?? 0;
  for (let i = index - 1; i >= 0; i -= 1) {
    const row = rows[i];
    if (row && row.depth < depth) {
      return i;
    }
  }
  return index;
}

function rowId(path: string | null): string | undefined {
  // Half a character, of a name that is no UTF-8, can not be encoded.
  const whole = path?.replace(/[\ud800-\udfff]/gu, half => `~${half.charCodeAt(0)}`);
  return whole === undefined ? undefined : `caterva2-row-${encodeURIComponent(whole)}`;
}

interface Mark {
  readonly kind: 'offline' | 'stale' | 'quiet';
  readonly text: string;
}

function markOf(entry: TreeEntry, texts: Texts): Mark | null {
  if (entry.kind === 'root' || entry.kind === 'area') {
    if (entry.state === 'offline') {
      return { kind: 'offline', text: texts.__('offline') };
    }
    if (entry.state === 'stale') {
      return { kind: 'stale', text: texts.__('updating') };
    }
    if (entry.subscribed === false) {
      return { kind: 'quiet', text: texts.__('not subscribed') };
    }
    if (entry.kind === 'area' && !entry.writable) {
      return { kind: 'quiet', text: texts.__('read-only') };
    }
  }
  return null;
}

/** Shape and type of an array, in few letters; empty for what has none. */
export function arrayFacts(entry: TreeEntry, texts: Texts): string {
  if (!entry.shape || !entry.dtype) {
    return '';
  }
  const fields = countFields(entry.dtype);
  const type = fields > 0 ? texts._n('%1 col', '%1 cols', fields) : formatDtype(entry.dtype);
  return `${compactShape(entry.shape, texts.__('scalar'))} · ${type}`;
}

/** The small text of a row: what distinguishes it from its neighbours. */
function factsOf(entry: TreeEntry, texts: Texts): string {
  if (entry.kind === 'broken') {
    return texts.__('unreadable');
  }
  return arrayFacts(entry, texts) || (entry.size === null ? '' : formatBytes(entry.size));
}

function tooltip(entry: TreeEntry, texts: Texts): string {
  const lines = [entry.path];
  if (entry.kind === 'area' || entry.kind === 'root') {
    lines.push(kindName(entry, texts));
  }
  if (entry.shape && entry.dtype) {
    lines.push(texts.__('Shape: %1', formatShape(entry.shape, texts.__('scalar'))));
    lines.push(texts.__('Type: %1', entry.dtype.length > 200 ? `${entry.dtype.slice(0, 200)}…` : entry.dtype));
  }
  if (entry.size !== null) {
    lines.push(texts.__('Stored size: %1', formatBytes(entry.size)));
  }
  if (entry.mtime !== null) {
    lines.push(texts.__('Modified: %1', formatTime(entry.mtime)));
  }
  if (entry.state === 'offline') {
    lines.push(texts.__('Its publisher can not be reached; what is known of it is shown.'));
  } else if (entry.state === 'stale') {
    lines.push(texts.__('It is being read again; what is shown may be old.'));
  }
  if (entry.subscribed === false) {
    lines.push(texts.__('Not subscribed yet; opening it subscribes.'));
  }
  if (entry.error) {
    lines.push(entry.error);
  }
  return lines.join('\n');
}
