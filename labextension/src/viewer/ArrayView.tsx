/** An array: which view of it, its bars of controls, and the view itself. */

import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import type { ArraySource } from './arraySource';
import { AxesBar } from './AxesBar';
import { filled, type Translate } from './caption';
import { ColorControls } from './ColorControls';
import { IconButton, Notice, Segments, Select, type Choice } from './controls';
import { DataTable } from './DataTable';
import type { ArrayDescription } from './description';
import { isNumeric, PARTS, type DType, type Part } from './dtype';
import { HeatMap } from './HeatMap';
import { LinePlot } from './LinePlot';
import { formatShape } from './numbersText';
import type { PlotProps, StatePatch, Status } from './plotProps';
import { select, sliders, viewsOf, withIndex, type Selection } from './selection';
import { changed, type ViewerState, type ViewKind } from './state';

/** How long after its last move a slider is taken to be held. */
const HELD_MS = 1500;

export interface ArrayViewProps {
  readonly source: ArraySource;
  readonly description: ArrayDescription;
  readonly name: string;
  readonly state: ViewerState;
  readonly onState: (state: ViewerState) => void;
  readonly onStatus: (status: Status) => void;
  readonly t: Translate;
}

export function ArrayView(props: ArrayViewProps) {
  const { source, description, state, onState, t } = props;
  const { shape, dtype } = description;
  const kinds = useMemo(() => viewsOf(shape, dtype), [shape, dtype]);
  const view = kinds.find(kind => kind === state.view) ?? kinds[0] ?? 'table';
  const selection = select(shape, view, state);
  const field = fieldOf(dtype, view, shape, state);
  const drawn = dtype.fields.find(one => one.name === field)?.dtype ?? dtype;
  const part = state.part ?? 'abs';
  const [status, setStatus] = useState<Status>({ kind: 'loading' });
  const { onStatus } = props;
  const report = useCallback(
    (next: Status) => {
      setStatus(next);
      onStatus(next);
    },
    [onStatus]
  );

  // Handlers of the wheel and of timers come several between two renderings: they build on the latest state.
  const latest = useRef(state);
  latest.current = state;
  const patch = useCallback(
    (change: StatePatch) => {
      latest.current = changed(latest.current, change);
      onState(latest.current);
    },
    [onState]
  );
  const [moved, setMoved] = useState<PlotProps['moved']>(undefined);
  useEffect(() => {
    if (moved !== undefined) {
      const timer = window.setTimeout(() => setMoved(undefined), HELD_MS);
      return () => window.clearTimeout(timer);
    }
    return undefined;
  }, [moved, selection.indices.join(' ')]);
  const onIndex = (axis: number, index: number) => {
    const before = select(shape, view, latest.current);
    const direction = index < (before.indices[axis] ?? 0) ? -1 : 1;
    if (moved?.axis !== axis || moved.direction !== direction) {
      setMoved({ axis, direction });
    }
    patch({ indices: withIndex(before, axis, index).indices });
  };
  const first = sliders(shape, selection)[0];
  const onStep = (by: number) => {
    if (first !== undefined) {
      const index = select(shape, view, latest.current).indices[first.axis] ?? 0;
      onIndex(first.axis, Math.max(0, Math.min(first.length - 1, index + by)));
    }
  };

  if (shape.some(length => length === 0)) {
    return <Empty shape={shape} report={report} t={t} />;
  }
  const plot: PlotProps = {
    source,
    shape,
    selection,
    field,
    part,
    state,
    moved,
    label: `${props.name}, ${t(VIEW_LABELS[view])}`,
    about: `${labelOf(drawn, t)} · ${formatShape(shape, t('scalar'))}`,
    onState: patch,
    onStep: first === undefined ? undefined : onStep,
    onStatus: report,
    t
  };
  return (
    <>
      <div className="jp-Caterva2-View-bar" role="toolbar" aria-label={t('View')}>
        {kinds.length < 2 ? null : (
          <Segments
            label={t('View')}
            choices={kinds.map(kind => ({ value: kind, label: t(VIEW_LABELS[kind]), icon: kind }))}
            value={view}
            onChange={kind => patch({ view: kind, zoom: undefined, range: undefined })}
          />
        )}
        {fieldChoices(dtype, view, shape, t).length < 2 ? null : (
          <Select
            label={t('Field')}
            choices={fieldChoices(dtype, view, shape, t)}
            value={field ?? ''}
            onChange={name => patch({ field: name === '' ? undefined : name, range: undefined })}
          />
        )}
        {drawn.kind !== 'complex' || view === 'table' ? null : (
          <Select
            label={t('Part')}
            choices={PARTS.map(one => ({ value: one, label: t(PART_LABELS[one]) }))}
            value={part}
            onChange={one => patch({ part: one, range: undefined })}
          />
        )}
        {view === 'heatmap' || view === 'line' ? (
          <ColorControls
            source={source}
            selection={selection}
            field={field}
            view={view}
            shape={shape}
            part={part}
            state={state}
            onState={patch}
            t={t}
          />
        ) : null}
        <span className="jp-Caterva2-View-spring" />
        {view === 'table' ? null : (
          <span className="jp-Caterva2-View-group">
            <IconButton
              icon="whole"
              label={t('Show everything')}
              disabled={state.zoom === undefined}
              onClick={() => patch({ zoom: undefined })}
            />
            <IconButton
              icon="summary"
              label={t('Histogram and summary')}
              pressed={state.summary === true}
              onClick={() => patch({ summary: state.summary === true ? undefined : true })}
            />
          </span>
        )}
      </div>
      <AxesBar
        shape={shape}
        selection={selection}
        roles={view === 'table' ? { x: t('Columns'), y: t('Rows') } : { x: 'x', y: 'y' }}
        settled={status.kind !== 'loading'}
        onAxes={axes =>
          patch({ x: axes.x, y: axes.y ?? latest.current.y, zoom: undefined, indices: selection.indices })
        }
        onIndex={onIndex}
        t={t}
      />
      <Plot key={view} view={view} plot={plot} dtype={dtype} />
    </>
  );
}

const VIEW_LABELS: Readonly<Record<ViewKind, string>> = {
  heatmap: 'Heat map',
  image: 'Image',
  line: 'Line',
  table: 'Table'
};

const PART_LABELS: Readonly<Record<Part, string>> = {
  abs: 'Magnitude',
  phase: 'Phase',
  real: 'Real',
  imag: 'Imaginary'
};

function Plot({
  view,
  plot,
  dtype
}: {
  readonly view: ViewKind;
  readonly plot: PlotProps;
  readonly dtype: DType;
}) {
  switch (view) {
    case 'heatmap':
      return <HeatMap {...plot} colors={false} />;
    case 'image':
      return <HeatMap {...plot} colors />;
    case 'line':
      return <LinePlot {...plot} />;
    case 'table':
      return <DataTable {...plot} dtype={dtype} />;
  }
}

function Empty(props: {
  readonly shape: readonly number[];
  readonly report: (status: Status) => void;
  readonly t: Translate;
}) {
  const { report } = props;
  useEffect(() => report({ kind: 'ready' }), [report]);
  return (
    <Notice>
      {props.t('There are no items: the shape is')} ({props.shape.join(', ')})
    </Notice>
  );
}

/** Return the column of records that a view draws; none if it draws all of them, or there are none. */
function fieldOf(
  dtype: DType,
  view: ViewKind,
  shape: readonly number[],
  state: ViewerState
): string | undefined {
  if (dtype.kind !== 'record') {
    return undefined;
  }
  const usable = usableFields(dtype, view, shape);
  const wanted = usable.find(name => name === state.field);
  return view === 'table' ? (shape.length < 2 ? undefined : wanted) : (wanted ?? usable[0]);
}

function usableFields(dtype: DType, view: ViewKind, shape: readonly number[]): string[] {
  if (view === 'table') {
    return shape.length < 2 ? [] : dtype.fields.map(field => field.name);
  }
  return dtype.fields.filter(field => isNumeric(field.dtype)).map(field => field.name);
}

function fieldChoices(
  dtype: DType,
  view: ViewKind,
  shape: readonly number[],
  t: Translate
): Choice<string>[] {
  const choices = usableFields(dtype, view, shape).map(name => ({ value: name, label: name }));
  return view === 'table' && choices.length > 0 ? [{ value: '', label: t('all') }, ...choices] : choices;
}

export type { Selection };

function labelOf(dtype: DType, t: Translate): string {
  if (dtype.kind !== 'record') {
    return dtype.label;
  }
  return dtype.fields.length === 1 ? t('1 field') : filled(t('%1 fields'), dtype.fields.length);
}
