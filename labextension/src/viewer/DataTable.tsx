/** An array as a table: only the cells that are seen are fetched and drawn. */

import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'react';

import type { CellBlock, CellRequest } from './arraySource';
import { filled } from './caption';
import { alignsRight, cellText, columnWidth, copiedText } from './cellText';
import { Failure, Icon } from './controls';
import type { DType } from './dtype';
import { sentenceOf } from './failures';
import { Track } from './gridLayout';
import { useSize, useStore } from './hooks';
import { formatCount, formatShape } from './numbersText';
import type { PlotProps } from './plotProps';
import { formatPlace } from './caption';
import { StatusLine } from './StatusLine';
import { canOrder, cellOf, planCells, tableShape, type RowOrder } from './tablePlan';

const ROW_HEIGHT = 24;
const HEAD_HEIGHT = 42;
/** Rows that are supposed to follow while a condition has not told how many it chooses. */
const UNKNOWN = 256;

export function DataTable(props: PlotProps & { readonly dtype: DType }) {
  const { source, shape, selection, field, dtype, state, onState, onStatus, t } = props;
  const table = tableShape(shape, dtype, selection, field);
  const ordered = canOrder(shape, dtype);
  const order: RowOrder = {
    filter: ordered ? state.filter : undefined,
    sortby:
      ordered && dtype.fields.some(one => state.sortby === one.name || state.sortby === `-${one.name}`)
        ? state.sortby
        : undefined
  };
  const version = useStore(source.cells);
  const orderKey = JSON.stringify([order, selection, field]);
  const chosen = useChosen(orderKey, order.filter !== undefined);
  const total = chosen.total ?? table.rows;

  const [longest, setLongest] = useState<readonly number[] | undefined>(undefined);
  const columns = useMemo(
    () => columnsOf(table, dtype, field, longest),
    [table.columns, table.fields, dtype, field, longest]
  );
  useEffect(() => setLongest(undefined), [source, table.columns, table.fields, field]);
  const across = useMemo(() => new Track(table.columns, columns.widths), [table.columns, columns]);
  const down = useMemo(() => new Track(total, ROW_HEIGHT), [total]);
  const activeId = useId();
  const scroller = useRef<HTMLDivElement>(null);
  const size = useSize(scroller);
  const gutter = Math.max(52, 22 + 7.6 * String(Math.max(0, total - 1)).length);
  const room = { width: Math.max(0, size.width - gutter), height: Math.max(0, size.height - HEAD_HEIGHT) };
  const [offset, setOffset] = useState({ x: 0, y: 0 });
  const [active, setActive] = useState({ row: 0, column: 0 });
  const at = { x: across.clamp(offset.x, room.width), y: down.clamp(offset.y, room.height) };
  useScrollBars(scroller, across, down, room, at, setOffset);
  useEffect(() => setOffset(before => ({ ...before, y: 0 })), [orderKey]);

  const seenRows = down.seen(at.y, room.height);
  const seenColumns = across.seen(at.x, room.width);
  const requests =
    room.height === 0
      ? []
      : planCells(
          shape,
          table,
          selection,
          field,
          order,
          total,
          { start: seenRows.first, stop: seenRows.end },
          { start: seenColumns.first, stop: seenColumns.end }
        );
  const wish = `${requests.length} ${requests.map(one => one.slice).join(' ')} ${orderKey}`;
  useEffect(() => {
    source.cells.want(requests);
  }, [source, wish]);

  const blocks = requests.map(request => source.cells.peek(request));
  const failure = requests.map(request => source.cells.failure(request)).find(Boolean);
  const here = blocks.filter(block => block !== undefined);
  chosen.learn(here, requests);
  const ready = room.height > 0 && here.length === requests.length;
  useEffect(() => {
    onStatus(
      failure !== undefined ? { kind: 'error', reason: failure } : { kind: ready ? 'ready' : 'loading' }
    );
  }, [onStatus, failure, ready, version]);

  const cellAt = (row: number, column: number) => {
    const block = here.find(({ request }) => holds(request, row, column));
    return block === undefined ? undefined : cellOf(block, table, selection, row, column);
  };
  const textAt = (row: number, column: number) => cellText(cellAt(row, column), columns.dtypeOf(column));

  // Columns are as wide as the longest cell that was seen; they only grow.
  useEffect(() => {
    if (!ready || requests.length === 0) {
      return;
    }
    const grown = [...(longest ?? [])];
    for (const column of span(seenColumns)) {
      const place = table.fields ? column : 0;
      const needs = Math.max(0, ...span(seenRows).map(row => textAt(row, column).length));
      grown[place] = Math.max(grown[place] ?? 0, needs);
    }
    if (longest === undefined || grown.some((needs, place) => needs > (longest[place] ?? 0))) {
      setLongest(grown);
    }
  });

  const go = (row: number, column: number) => {
    const next = {
      row: Math.max(0, Math.min(total - 1, row)),
      column: Math.max(0, Math.min(table.columns - 1, column))
    };
    setActive(next);
    setOffset({
      x: across.reveal(next.column, at.x, room.width),
      y: down.reveal(next.row, at.y, room.height)
    });
  };
  const page = Math.max(1, Math.floor(room.height / ROW_HEIGHT) - 1);
  const onKeyDown = (event: React.KeyboardEvent) => {
    const whole = event.ctrlKey || event.metaKey;
    const { row, column } = active;
    const moves: Record<string, readonly [number, number]> = {
      ArrowUp: [whole ? 0 : row - 1, column],
      ArrowDown: [whole ? total - 1 : row + 1, column],
      ArrowLeft: [row, whole ? 0 : column - 1],
      ArrowRight: [row, whole ? table.columns - 1 : column + 1],
      PageUp: [row - page, column],
      PageDown: [row + page, column],
      Home: whole ? [0, 0] : [row, 0],
      End: whole ? [total - 1, table.columns - 1] : [row, table.columns - 1]
    };
    const move = moves[event.key];
    if (move !== undefined) {
      go(move[0], move[1]);
    } else if (whole && event.key === 'c') {
      void navigator.clipboard.writeText(copiedText(cellAt(row, column)));
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  const sort = (name: string) => {
    const next = order.sortby === name ? `-${name}` : order.sortby === `-${name}` ? undefined : name;
    onState({ sortby: next });
  };

  const rows = failure === undefined ? span(seenRows) : [];
  const cells = span(seenColumns);
  const said = describeRows(total, table.rows, order, chosen.known, props);
  return (
    <>
      {ordered ? (
        <FilterBar filter={order.filter} dtype={dtype} onFilter={filter => onState({ filter })} t={t} />
      ) : null}
      <div className="jp-Caterva2-View-body">
        <div
          className="jp-Caterva2-View-table"
          ref={scroller}
          role="grid"
          tabIndex={0}
          aria-label={`${props.label}: ${said}`}
          aria-rowcount={total + 1}
          aria-colcount={table.columns + 1}
          aria-activedescendant={activeId}
          onKeyDown={onKeyDown}
        >
          <div style={{ width: gutter + across.scrolled, height: HEAD_HEIGHT + down.scrolled }} />
          <div
            className="jp-Caterva2-View-sheet"
            style={{ width: size.width, height: size.height, marginTop: -(HEAD_HEIGHT + down.scrolled) }}
          >
            <div
              className="jp-Caterva2-View-head"
              role="row"
              aria-rowindex={1}
              style={{ height: HEAD_HEIGHT, left: gutter }}
            >
              {cells.map(column => (
                <HeadCell
                  key={column}
                  left={across.startOf(column) - at.x}
                  width={across.sizeOf(column)}
                  name={columns.nameOf(column)}
                  type={columns.fields ? columns.dtypeOf(column).label : undefined}
                  right={alignsRight(columns.dtypeOf(column))}
                  column={column}
                  sorted={sortedBy(order, columns.nameOf(column))}
                  onSort={ordered ? () => sort(columns.nameOf(column)) : undefined}
                />
              ))}
            </div>
            <div className="jp-Caterva2-View-corner" style={{ width: gutter, height: HEAD_HEIGHT }} />
            <div className="jp-Caterva2-View-rows" style={{ top: HEAD_HEIGHT }}>
              {rows.map(row => (
                <div
                  key={row}
                  role="row"
                  aria-rowindex={row + 2}
                  className="jp-Caterva2-View-row"
                  data-odd={row % 2 === 1}
                  style={{ top: down.startOf(row) - at.y, height: ROW_HEIGHT }}
                >
                  <div className="jp-Caterva2-View-gutter" role="rowheader" style={{ width: gutter }}>
                    {row}
                  </div>
                  <div className="jp-Caterva2-View-cells" style={{ left: gutter }}>
                    {cells.map(column => {
                      const isActive = row === active.row && column === active.column;
                      const cell = cellAt(row, column);
                      const text = cellText(cell, columns.dtypeOf(column));
                      return (
                        <div
                          key={column}
                          id={isActive ? activeId : undefined}
                          role="gridcell"
                          aria-colindex={column + 2}
                          className="jp-Caterva2-View-cell"
                          data-right={alignsRight(columns.dtypeOf(column))}
                          data-active={isActive}
                          data-missing={cell === undefined}
                          title={text.length > 24 ? text : undefined}
                          style={{ left: across.startOf(column) - at.x, width: across.sizeOf(column) }}
                          onClick={() => setActive({ row, column })}
                        >
                          {text}
                        </div>
                      );
                    })}
                  </div>
                </div>
              ))}
            </div>
          </div>
        </div>
        {failure === undefined ? null : (
          <div className="jp-Caterva2-View-over">
            <Failure
              title={
                order.filter === undefined
                  ? t('The rows can not be shown')
                  : t('The rows can not be filtered')
              }
              text={sentenceOf(failure)}
              retry={{ label: t('Try again'), onClick: () => source.cells.retry() }}
            />
          </div>
        )}
        {total === 0 && failure === undefined && ready ? (
          <div className="jp-Caterva2-View-over">{t('No rows')}</div>
        ) : null}
      </div>
      <StatusLine
        place={ordered || shape.length === 0 ? '' : formatPlace(shape, selection, undefined)}
        text={said}
        about={props.about}
        busy={!ready && failure === undefined}
        freshness={here[0]?.freshness}
        failure={undefined}
        onRetry={() => source.cells.retry()}
        t={t}
      />
    </>
  );
}

function HeadCell(props: {
  readonly left: number;
  readonly width: number;
  readonly name: string;
  readonly type: string | undefined;
  readonly right: boolean;
  readonly column: number;
  readonly sorted: 'none' | 'ascending' | 'descending';
  readonly onSort: (() => void) | undefined;
}) {
  const inside = (
    <>
      <span className="jp-Caterva2-View-headName">
        {props.name}
        {props.sorted === 'none' ? null : <Icon name={props.sorted === 'ascending' ? 'up' : 'down'} />}
      </span>
      {props.type === undefined ? null : <small>{props.type}</small>}
    </>
  );
  return (
    <div
      role="columnheader"
      aria-colindex={props.column + 2}
      aria-sort={props.onSort === undefined ? undefined : props.sorted}
      className="jp-Caterva2-View-headCell"
      data-right={props.right}
      style={{ left: props.left, width: props.width }}
    >
      {props.onSort === undefined ? (
        <div title={props.name}>{inside}</div>
      ) : (
        <button type="button" title={props.name} onClick={props.onSort}>
          {inside}
        </button>
      )}
    </div>
  );
}

function FilterBar(props: {
  readonly filter: string | undefined;
  readonly dtype: DType;
  readonly onFilter: (filter: string | undefined) => void;
  readonly t: PlotProps['t'];
}) {
  const { t, filter } = props;
  const [draft, setDraft] = useState(filter ?? '');
  useEffect(() => setDraft(filter ?? ''), [filter]);
  const names = props.dtype.fields
    .filter(field => ['int', 'uint', 'float'].includes(field.dtype.kind))
    .map(field => field.name);
  const example =
    names[0] === undefined
      ? ''
      : names[1] === undefined
        ? `${names[0]} > 0`
        : `(${names[0]} > 0) & (${names[1]} < 10)`;
  return (
    <form
      className="jp-Caterva2-View-filter"
      role="search"
      onSubmit={event => {
        event.preventDefault();
        props.onFilter(draft.trim() === '' ? undefined : draft.trim());
      }}
    >
      <label>
        <span>{t('Rows where')}</span>
        <input
          type="text"
          value={draft}
          spellCheck={false}
          autoComplete="off"
          placeholder={example}
          onChange={event => setDraft(event.target.value)}
          onKeyDown={event => {
            if (event.key === 'Escape') {
              setDraft(filter ?? '');
            }
          }}
        />
      </label>
      <button type="submit" className="jp-Caterva2-View-button" disabled={draft.trim() === (filter ?? '')}>
        {t('Apply')}
      </button>
      {filter === undefined ? null : (
        <button type="button" className="jp-Caterva2-View-link" onClick={() => props.onFilter(undefined)}>
          {t('All rows')}
        </button>
      )}
    </form>
  );
}

interface Columns {
  readonly fields: boolean;
  readonly widths: number | readonly number[];
  readonly nameOf: (column: number) => string;
  readonly dtypeOf: (column: number) => DType;
}

function columnsOf(
  table: { columns: number; fields: boolean },
  dtype: DType,
  field: string | undefined,
  longest: readonly number[] | undefined
): Columns {
  const one = dtype.fields.find(each => each.name === field)?.dtype ?? dtype;
  if (!table.fields) {
    const single = table.columns === 1 ? (field ?? 'value') : undefined;
    return {
      fields: single !== undefined,
      widths: columnWidth(one, single ?? String(Math.max(0, table.columns - 1)), longest?.[0]),
      nameOf: column => single ?? String(column),
      dtypeOf: () => one
    };
  }
  return {
    fields: true,
    widths: dtype.fields.map((each, index) => columnWidth(each.dtype, each.name, longest?.[index])),
    nameOf: column => dtype.fields[column]?.name ?? '',
    dtypeOf: column => dtype.fields[column]?.dtype ?? dtype
  };
}

/** Keep count of the rows that a condition chooses: told by the server, or learnt at their end. */
function useChosen(key: string, filtered: boolean) {
  const [, setTick] = useState(0);
  const found = useRef({ key, total: UNKNOWN, known: false });
  if (found.current.key !== key) {
    found.current = { key, total: UNKNOWN, known: false };
  }
  return {
    total: filtered ? found.current.total : undefined,
    known: found.current.known,
    learn: (blocks: readonly CellBlock[], requests: readonly CellRequest[]) => {
      if (!filtered || blocks.length < requests.length) {
        return;
      }
      for (const block of blocks) {
        // What the server tells is right again after the rows have changed.
        if (found.current.known && block.total === undefined) {
          return;
        }
        const { rows } = block.request;
        const got = block.shape[0] ?? 0;
        const [total, known] =
          block.total !== undefined
            ? [block.total, true]
            : got < rows.stop - rows.start
              ? [rows.start + got, true]
              : [Math.max(found.current.total, rows.stop + UNKNOWN), false];
        if (total !== found.current.total || known !== found.current.known) {
          found.current = { key, total, known };
          queueMicrotask(() => setTick(tick => tick + 1));
        }
        if (known) {
          return;
        }
      }
    }
  };
}

/** Join the scroll bars of an element, which know a bounded number of pixels, to the true offsets of a table. */
function useScrollBars(
  scroller: React.RefObject<HTMLDivElement>,
  across: Track,
  down: Track,
  room: { width: number; height: number },
  at: { x: number; y: number },
  setOffset: (offset: { x: number; y: number }) => void
): void {
  const latest = useRef({ across, down, room, at });
  latest.current = { across, down, room, at };
  const own = useRef({ left: 0, top: 0 });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) {
      return;
    }
    const [left, top] = [across.toScroll(at.x, room.width), down.toScroll(at.y, room.height)];
    if (Math.abs(element.scrollLeft - left) > 1 || Math.abs(element.scrollTop - top) > 1) {
      element.scrollLeft = left;
      element.scrollTop = top;
      own.current = { left: element.scrollLeft, top: element.scrollTop };
    }
  });
  useEffect(() => {
    const element = scroller.current;
    if (element === null) {
      return;
    }
    const onScroll = () => {
      const now = latest.current;
      const { scrollLeft: left, scrollTop: top } = element;
      if (Math.abs(left - own.current.left) < 1 && Math.abs(top - own.current.top) < 1) {
        return;
      }
      own.current = { left, top };
      setOffset({
        x: now.across.fromScroll(left, now.room.width),
        y: now.down.fromScroll(top, now.room.height)
      });
    };
    // Where a pixel of the scroll bar is many rows, the wheel still moves a few.
    const onWheel = (event: WheelEvent) => {
      const now = latest.current;
      if (now.down.total === now.down.scrolled && now.across.total === now.across.scrolled) {
        return;
      }
      event.preventDefault();
      const unit = event.deltaMode === 1 ? ROW_HEIGHT : 1;
      const [dx, dy] = event.shiftKey ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
      setOffset({
        x: now.across.clamp(now.at.x + unit * dx, now.room.width),
        y: now.down.clamp(now.at.y + unit * dy, now.room.height)
      });
    };
    element.addEventListener('scroll', onScroll, { passive: true });
    element.addEventListener('wheel', onWheel, { passive: false });
    return () => {
      element.removeEventListener('scroll', onScroll);
      element.removeEventListener('wheel', onWheel);
    };
  }, [scroller, setOffset]);
}

function describeRows(total: number, all: number, order: RowOrder, known: boolean, props: PlotProps): string {
  const { t, shape, selection } = props;
  if (shape.length === 0) {
    return t('one item');
  }
  if (order.filter !== undefined) {
    return known
      ? filled(t('%1 of %2 rows'), formatCount(total), formatCount(all))
      : filled(t('some of %1 rows'), formatCount(all));
  }
  if (selection.y === undefined) {
    return filled(t('%1 rows'), formatCount(all));
  }
  return filled(t('all of %1'), formatShape([shape[selection.y] ?? 0, shape[selection.x] ?? 0]));
}

function sortedBy(order: RowOrder, name: string): 'none' | 'ascending' | 'descending' {
  if (order.sortby === `-${name}`) {
    return 'descending';
  }
  return order.sortby === name ? 'ascending' : 'none';
}

function holds(request: CellRequest, row: number, column: number): boolean {
  const { rows, columns } = request;
  return row >= rows.start && row < rows.stop && column >= columns.start && column < columns.stop;
}

function span(seen: { first: number; end: number }): number[] {
  return Array.from({ length: seen.end - seen.first }, (_, index) => seen.first + index);
}
