/** One axis of an array as a line. */

import { useEffect, useMemo, useRef, useState } from 'react';

import { caption, formatPlace } from './caption';
import { curvePath, rangeOf } from './curve';
import { useShown, useSize, useStore, useWheel } from './hooks';
import { itemText } from './items';
import { itemAt, itemsIn } from './plane';
import { ahead, LINE_POINTS, planPlane, planStretch, type WindowRequest } from './planner';
import { PlotAxes } from './PlotAxes';
import type { PlotProps } from './plotProps';
import { fullIndex, withIndex } from './selection';
import { limitsOf } from './statistics';
import { Failure } from './controls';
import { sentenceOf } from './failures';
import { StatusLine } from './StatusLine';
import { SummaryPanel } from './SummaryPanel';
import { isWhole, panned, widthOf, zoomedAt } from './viewport';

const MARGIN = { left: 78, right: 22, top: 16, bottom: 44 };
const AUTO = { kind: 'auto' } as const;
/** Fewer items than so many are drawn with dots. */
const DOTS = 120;

const sameRequest = (one: WindowRequest, other: WindowRequest) =>
  one.slice === other.slice && one.field === other.field;

export function LinePlot(props: PlotProps) {
  const { source, shape, selection, field, part, state, moved, onState, onStatus, t } = props;
  const length = shape[selection.x] ?? 1;
  const whole = { x0: 0, x1: Math.max(1, length), y0: 0, y1: 1 };
  const zoom = state.zoom;
  const view =
    zoom === undefined ? whole : { ...whole, x0: Math.max(0, zoom.x0), x1: Math.min(whole.x1, zoom.x1) };
  const isZoomed = !isWhole(view, whole);
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  useStore(source.blocks);
  const box = {
    left: MARGIN.left,
    top: MARGIN.top,
    width: Math.max(0, size.width - MARGIN.left - MARGIN.right),
    height: Math.max(0, size.height - MARGIN.top - MARGIN.bottom)
  };

  const request = planPlane(shape, selection, field, LINE_POINTS);
  const shown = useShown(source.blocks, request, sameRequest);
  const base = shown.part;
  const coarse = base?.step[0] ?? 1;
  const stretch =
    shown.current && isZoomed ? planStretch(shape, selection, field, view.x0, view.x1, coarse) : undefined;
  const likely =
    moved === undefined
      ? []
      : ahead(selection.indices[moved.axis] ?? 0, moved.direction, shape[moved.axis] ?? 0, 3).map(place =>
          planPlane(shape, withIndex(selection, moved.axis, place), field, LINE_POINTS)
        );
  const urgent = stretch === undefined ? [request] : [request, stretch];
  const wish = [...urgent, ...likely].map(one => one.slice).join(' ');
  useEffect(() => {
    source.blocks.want(urgent, likely);
  }, [source, wish, field]);
  const fine = stretch === undefined ? undefined : source.blocks.peek(stretch);
  const block = fine ?? base;
  const failure = urgent.map(one => source.blocks.failure(one)).find(Boolean);
  const ready = base !== undefined && shown.current && size.width > 0;
  useEffect(() => {
    onStatus(
      failure !== undefined ? { kind: 'error', reason: failure } : { kind: ready ? 'ready' : 'loading' }
    );
  }, [onStatus, failure, ready]);

  const plane = block === undefined ? undefined : source.plane(block, selection, part);
  const scale = state.scale ?? 'linear';
  const range = state.range ?? AUTO;
  const seen = useMemo(
    () => (plane === undefined ? undefined : itemsIn(plane, { ...view, y0: 0, y1: 1 })),
    [plane?.values, view.x0, view.x1]
  );
  const limits = useMemo(() => {
    const found = seen === undefined ? { low: 0, high: 1 } : limitsOf(seen, range, scale);
    if (scale === 'log') {
      return found.low < found.high ? found : { low: found.low / 2, high: found.high * 2 };
    }
    const room =
      range.kind === 'manual' && found.low < found.high
        ? 0
        : (found.high - found.low) * 0.04 || Math.abs(found.high) * 0.1 || 1;
    return { low: found.low - room, high: found.high + room };
  }, [seen, range, scale]);
  const rise =
    scale === 'log'
      ? (value: number) => Math.log(value / limits.low) / Math.log(limits.high / limits.low)
      : (value: number) => (value - limits.low) / (limits.high - limits.low);
  const drawn = { from: view.x0, to: view.x1, width: box.width, height: box.height, rise };
  const path = plane === undefined || box.width === 0 ? '' : curvePath(plane, drawn);

  const zoomTo = (wanted: typeof whole) =>
    onState({ zoom: isWhole(wanted, whole) ? undefined : { ...wanted, y0: 0, y1: 1 } });
  const toIndex = (px: number) => view.x0 + (px / Math.max(1, box.width)) * widthOf(view);
  // Only the horizontal axis is zoomed; the other one is as small as the smallest zoom.
  const zoomAround = (x: number, factor: number) => {
    const tall = { ...view, y0: 0, y1: 1e9 };
    const wanted = zoomedAt(tall, { ...whole, y1: 1e9 }, { x, y: 0 }, factor);
    zoomTo({ ...wanted, y0: 0, y1: 1 });
  };
  const plot = useRef<SVGSVGElement>(null);
  useWheel(frame, event => {
    const bounds = plot.current?.getBoundingClientRect();
    if (bounds !== undefined) {
      const lines = event.deltaMode === 1 ? 20 * event.deltaY : event.deltaY;
      zoomAround(
        toIndex(Math.max(0, Math.min(box.width, event.clientX - bounds.left))),
        Math.exp(Math.max(-240, Math.min(240, lines)) / 300)
      );
    }
  });
  const [pointer, setPointer] = useState<number | undefined>(undefined);
  const drag = useRef<{ px: number; view: typeof whole } | undefined>(undefined);
  const onPointerMove = (event: React.PointerEvent<SVGSVGElement>) => {
    const px = event.clientX - event.currentTarget.getBoundingClientRect().left;
    const start = drag.current;
    if (start === undefined) {
      setPointer(px);
    } else if (isZoomed) {
      setPointer(undefined);
      zoomTo(panned(start.view, whole, ((start.px - px) / box.width) * widthOf(view), 0));
    }
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const step = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (move !== undefined) {
      zoomTo(panned(view, whole, (move * widthOf(view)) / 8, 0));
    } else if (step !== undefined) {
      props.onStep?.(step);
    } else if (event.key === '+' || event.key === '=') {
      zoomAround((view.x0 + view.x1) / 2, 2 / 3);
    } else if (event.key === '-') {
      zoomAround((view.x0 + view.x1) / 2, 3 / 2);
    } else if (event.key === '0' || event.key === 'Escape') {
      onState({ zoom: undefined });
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  const item = pointer === undefined || plane === undefined ? undefined : itemAt(plane, toIndex(pointer), 0);
  const itemX = item === undefined ? 0 : ((item.x + 0.5 - view.x0) / widthOf(view)) * box.width;
  const itemY = item === undefined ? NaN : box.height * (1 - rise(item.value));
  const said =
    plane === undefined
      ? ''
      : caption({ shape, selection, stepX: plane.stepX, stepY: 1, view: isZoomed ? view : undefined }, t);
  const where = formatPlace(shape, selection, isZoomed ? view : undefined);
  const few = plane !== undefined && countOf(rangeOf(plane, view.x0, view.x1)) <= DOTS;
  return (
    <>
      <div className="jp-Caterva2-View-body">
        <div className="jp-Caterva2-View-frame" ref={frame}>
          <PlotAxes
            size={size}
            box={box}
            grid
            x={{ from: view.x0, to: view.x1, title: `${t('axis')} ${selection.x}`, cells: true }}
            y={{
              from: limits.low,
              to: limits.high,
              title: field ?? (block?.dtype.kind === 'complex' ? t(part) : t('value')),
              scale
            }}
            mark={undefined}
          />
          <svg
            ref={plot}
            className="jp-Caterva2-View-curve"
            data-zoomed={isZoomed}
            tabIndex={0}
            role="img"
            aria-label={`${props.label} ${where}: ${said}`}
            style={{ left: box.left, top: box.top, width: box.width, height: box.height }}
            viewBox={`0 0 ${Math.max(1, box.width)} ${Math.max(1, box.height)}`}
            onPointerDown={event => {
              event.currentTarget.setPointerCapture(event.pointerId);
              drag.current = { px: event.clientX - event.currentTarget.getBoundingClientRect().left, view };
            }}
            onPointerMove={onPointerMove}
            onPointerUp={() => (drag.current = undefined)}
            onPointerCancel={() => (drag.current = undefined)}
            onPointerLeave={() => setPointer(undefined)}
            onDoubleClick={() => onState({ zoom: undefined })}
            onKeyDown={onKeyDown}
          >
            <path className="jp-Caterva2-View-path" data-dots={few} d={path} />
            {few ? <path className="jp-Caterva2-View-dots" d={dotsOf(path)} /> : null}
            {item === undefined ? null : (
              <g className="jp-Caterva2-View-cross">
                <line x1={itemX} x2={itemX} y1={0} y2={box.height} />
                {itemY - itemY === 0 ? <circle cx={itemX} cy={itemY} r={4} /> : null}
              </g>
            )}
          </svg>
          {item === undefined || block === undefined ? null : (
            <div
              className="jp-Caterva2-View-tip"
              style={{
                left: box.left + itemX + (itemX > box.width - 160 ? -12 : 14),
                top: box.top + 10,
                transform: itemX > box.width - 160 ? 'translate(-100%, 0)' : undefined
              }}
            >
              <b>{itemText(block, item.at)}</b>
              <span>[{fullIndex(selection, item.x, undefined).join(', ')}]</span>
            </div>
          )}
        </div>
        {base === undefined && failure !== undefined ? (
          <div className="jp-Caterva2-View-over">
            <Failure
              title={t('The data can not be shown')}
              text={sentenceOf(failure)}
              retry={{ label: t('Try again'), onClick: () => source.blocks.retry() }}
            />
          </div>
        ) : null}
        {state.summary === true && seen !== undefined ? (
          <SummaryPanel
            parts={[seen]}
            limits={undefined}
            scale="linear"
            colorMap={undefined}
            reversed={false}
            t={t}
          />
        ) : null}
      </div>
      <StatusLine
        place={where}
        text={said}
        about={props.about}
        busy={!shown.current && failure === undefined}
        freshness={base?.freshness}
        failure={base === undefined ? undefined : failure}
        onRetry={() => source.blocks.retry()}
        t={t}
      />
    </>
  );
}

function countOf(range: { first: number; end: number }): number {
  return range.end - range.first;
}

/** Turn every point of a path into a dot: a line of no length with round ends. */
function dotsOf(path: string): string {
  return path.replace(/[ML]([^ML]+)/g, 'M$1h0');
}
