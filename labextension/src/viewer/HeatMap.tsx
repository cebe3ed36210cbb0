/** A plane of an array as a picture: coloured numbers, or pixels of red, green and blue. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';

import { planeOf, type ArraySource, type Block } from './arraySource';
import { caption, formatPlace } from './caption';
import { DEFAULT_COLOR_MAP, lookupTable } from './colorMaps';
import { ColorBar, PlotAxes } from './PlotAxes';
import { useShown, useSize, useStore, useWheel } from './hooks';
import { itemText } from './items';
import { drawLayers, Pictures, type Layer } from './pictures';
import { itemAt, itemsIn, paint, paintColors, type Plane } from './plane';
import { ahead, planFiner, planPlane, planTiles, type WindowRequest } from './planner';
import { fullIndex, withIndex, type Selection } from './selection';
import { limitsOf } from './statistics';
import type { Rect, ViewerState } from './state';
import { Failure } from './controls';
import { sentenceOf } from './failures';
import { StatusLine } from './StatusLine';
import { SummaryPanel } from './SummaryPanel';
import { fit, heightOf, isWhole, naturalAspect, panned, wholeOf, widthOf, zoomedAt } from './viewport';
import type { PlotProps } from './plotProps';

/** Room around the picture for marks and titles, in CSS pixels. */
const MARGIN = { left: 62, right: 92, top: 14, bottom: 44 };
/** Planes that are fetched ahead of a slider that moves. */
const AHEAD = 3;
const ZOOM_STEP = 1.5;

const sameRequest = (one: WindowRequest, other: WindowRequest) =>
  one.slice === other.slice && one.points === other.points && one.field === other.field;

export function HeatMap(props: PlotProps & { readonly colors: boolean }) {
  const { source, shape, selection, field, part, state, colors, onState, t } = props;
  const y = selection.y ?? 0;
  const whole = wholeOf(shape[selection.x] ?? 1, shape[y] ?? 1);
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(frame);
  const version = useStore(source.blocks);
  const ratio = window.devicePixelRatio || 1;
  const right = colors ? 16 : MARGIN.right;
  const area = { width: size.width - MARGIN.left - right, height: size.height - MARGIN.top - MARGIN.bottom };
  const aspect = state.aspect ?? naturalAspect(widthOf(whole), heightOf(whole));
  const { view, plot } = fit(state.zoom ?? whole, whole, area, aspect);
  const isZoomed = !isWhole(view, whole);

  const request = planPlane(shape, selection, field);
  const shown = useShown(source.blocks, request, sameRequest);
  const quick = shown.part;
  const finer =
    quick === undefined || !shown.current ? undefined : planFiner(request, stepsOf(quick, selection));
  const base = (finer === undefined ? undefined : source.blocks.peek(finer)) ?? quick;
  // A picture of a moment ago belongs to where the sliders stood then, and to the axes of then.
  const stood = useStood(selection, request, shown.request);
  const plane = base === undefined || stood === undefined ? undefined : source.plane(base, stood, part);
  const pixels = { width: plot.width * ratio, height: plot.height * ratio };
  const coarse = shown.current && plane !== undefined ? { x: plane.stepX, y: plane.stepY } : undefined;
  const tiles =
    coarse === undefined || (finer !== undefined && !isZoomed)
      ? []
      : planTiles(shape, selection, field, view, pixels, coarse);
  const failure =
    source.blocks.failure(request) ?? tiles.map(tile => source.blocks.failure(tile)).find(Boolean);

  const likely = useLikely(props);
  // Not while a slider moves: the next quick picture is worth more.
  const patient = finer === undefined || props.moved !== undefined ? likely : [...likely, finer];
  const wish = [request, ...tiles, ...patient].map(one => `${one.slice} ${one.blocks ?? ''}`).join(' ');
  useEffect(() => {
    source.blocks.want([request, ...tiles], patient);
    // The wish says all that matters of what is wanted.
  }, [source, wish, field]);

  // The server may not go as far as it is asked to: what is no finer would only hide what is there.
  const fine = tiles
    .map(tile => source.blocks.peek(tile))
    .filter(block => block !== undefined)
    .filter(block => coarse !== undefined && isFiner(stepsOf(block, selection), coarse));
  const values = plane?.values;
  const scale = state.scale ?? 'linear';
  const range = state.range ?? AUTO;
  const limits = useMemo(
    () => (values === undefined || colors ? undefined : limitsOf(values, range, scale)),
    [values, range, scale, colors]
  );
  const mapName = state.colorMap ?? (part === 'phase' ? 'twilight' : DEFAULT_COLOR_MAP);
  const reversed = state.reversed === true;
  const table = useMemo(() => lookupTable(mapName, reversed), [mapName, reversed]);
  const [pictures] = useState(() => new Pictures());

  useLayoutEffect(() => {
    if (
      canvas.current === null ||
      base === undefined ||
      plane === undefined ||
      stood === undefined ||
      area.width <= 0
    ) {
      return;
    }
    const layerOf = (block: Block, flat: Plane): Layer => {
      const style = colors
        ? `rgb ${stood.x} ${stood.y}`
        : [mapName, reversed, scale, limits?.low, limits?.high, part, stood.x, stood.y].join(' ');
      const bitmap = pictures.bitmap(block, style, flat, () =>
        colors && block.numbers instanceof Uint8Array
          ? paintColors(flat, block.numbers, block.shape[block.shape.length - 1] ?? 3)
          : paint(flat, limits ?? { low: 0, high: 1 }, scale, table)
      );
      return { plane: flat, bitmap };
    };
    const layers = [
      layerOf(base, plane),
      ...fine.map(block => layerOf(block, source.plane(block, selection, part)))
    ];
    drawLayers(canvas.current, plot, ratio, view, layers);
    // A number of a store's version stands for all blocks in it.
  }, [
    version,
    base,
    wish,
    limits,
    table,
    scale,
    part,
    colors,
    ratio,
    plot.width,
    plot.height,
    view.x0,
    view.x1,
    view.y0,
    view.y1
  ]);

  const ready = base !== undefined && shown.current && area.width > 0;
  const { onStatus } = props;
  useEffect(() => {
    onStatus(
      failure !== undefined ? { kind: 'error', reason: failure } : { kind: ready ? 'ready' : 'loading' }
    );
  }, [onStatus, failure, ready]);

  const zoomTo = (wanted: Rect) => onState({ zoom: isWhole(wanted, whole) ? undefined : wanted });
  const [pointer, setPointer] = useState<{ x: number; y: number } | undefined>(undefined);
  const toIndex = (px: number, py: number) => ({
    x: view.x0 + (px / plot.width) * widthOf(view),
    y: view.y0 + (py / plot.height) * heightOf(view)
  });
  useWheel(frame, event => {
    const box = canvas.current?.getBoundingClientRect();
    if (box === undefined) {
      return;
    }
    const at = toIndex(
      Math.max(0, Math.min(plot.width, event.clientX - box.left)),
      Math.max(0, Math.min(plot.height, event.clientY - box.top))
    );
    const lines = event.deltaMode === 1 ? 20 * event.deltaY : event.deltaY;
    zoomTo(zoomedAt(view, whole, at, Math.exp(Math.max(-240, Math.min(240, lines)) / 300)));
  });

  const drag = useRef<{ id: number; px: number; py: number; view: Rect; box: boolean } | undefined>(
    undefined
  );
  const [box, setBox] = useState<Rect | undefined>(undefined);
  const place = (event: React.PointerEvent<HTMLCanvasElement>) => {
    const bounds = event.currentTarget.getBoundingClientRect();
    return { px: event.clientX - bounds.left, py: event.clientY - bounds.top };
  };
  const onPointerDown = (event: React.PointerEvent<HTMLCanvasElement>) => {
    if (event.button === 0) {
      event.currentTarget.setPointerCapture(event.pointerId);
      drag.current = { id: event.pointerId, ...place(event), view, box: event.shiftKey };
    }
  };
  const onPointerMove = (event: React.PointerEvent<HTMLCanvasElement>) => {
    const { px, py } = place(event);
    const start = drag.current;
    if (start === undefined) {
      setPointer({ x: px, y: py });
    } else if (start.box) {
      setPointer(undefined);
      setBox({
        x0: Math.min(px, start.px),
        y0: Math.min(py, start.py),
        x1: Math.max(px, start.px),
        y1: Math.max(py, start.py)
      });
    } else if (isZoomed) {
      const dx = ((start.px - px) / plot.width) * widthOf(view);
      const dy = ((start.py - py) / plot.height) * heightOf(view);
      setPointer(undefined);
      zoomTo(panned(start.view, whole, dx, dy));
    }
  };
  const onPointerUp = () => {
    const chosen = box;
    drag.current = undefined;
    setBox(undefined);
    if (chosen !== undefined && widthOf(chosen) > 4 && heightOf(chosen) > 4) {
      const [low, high] = [toIndex(chosen.x0, chosen.y0), toIndex(chosen.x1, chosen.y1)];
      zoomTo({ x0: low.x, y0: low.y, x1: high.x, y1: high.y });
    }
  };

  const zoomMiddle = (factor: number) =>
    zoomTo(zoomedAt(view, whole, { x: (view.x0 + view.x1) / 2, y: (view.y0 + view.y1) / 2 }, factor));
  const onKeyDown = (event: React.KeyboardEvent) => {
    const moves: Record<string, readonly [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1]
    };
    const move = moves[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (move !== undefined && (event.shiftKey || !props.onStep)) {
      zoomTo(panned(view, whole, (move[0] * widthOf(view)) / 8, (move[1] * heightOf(view)) / 8));
    } else if (move !== undefined) {
      props.onStep?.(move[0] - move[1]);
    } else if (event.key === 'PageUp' || event.key === 'PageDown') {
      props.onStep?.(event.key === 'PageUp' ? 10 : -10);
    } else if (event.key === '+' || event.key === '=') {
      zoomMiddle(1 / ZOOM_STEP);
    } else if (event.key === '-') {
      zoomMiddle(ZOOM_STEP);
    } else if (event.key === '0' || event.key === 'Escape') {
      onState({ zoom: undefined });
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  const over = pointer === undefined ? undefined : toIndex(pointer.x, pointer.y);
  const found =
    over === undefined || stood === undefined
      ? undefined
      : readOut(source, [...fine].reverse(), base, stood, part, over);
  const finest = fine[0] === undefined ? plane : source.plane(fine[0], selection, part);
  const said =
    finest === undefined || stood === undefined
      ? ''
      : caption(
          {
            shape,
            selection: stood,
            stepX: finest.stepX,
            stepY: finest.stepY,
            view: isZoomed ? view : undefined
          },
          t
        );
  const where = stood === undefined ? '' : formatPlace(shape, stood, isZoomed ? view : undefined);
  const left = MARGIN.left + Math.max(0, (area.width - plot.width) / 2);
  const top = MARGIN.top + Math.max(0, (area.height - plot.height) / 2);
  const depth = selection.channel === undefined ? 1 : (shape[selection.channel] ?? 1);
  const covered = fine.length > 0 && fine.length === tiles.length;
  const seen = useMemo(() => {
    if (plane === undefined || state.summary !== true) {
      return undefined;
    }
    if (!covered) {
      return [itemsIn(plane, view, depth)];
    }
    return fine.map(block => itemsIn(source.plane(block, selection, part), view, depth));
  }, [plane?.values, covered, state.summary, part, view.x0, view.x1, view.y0, view.y1, fine.length]);

  return (
    <>
      <div className="jp-Caterva2-View-body">
        <div className="jp-Caterva2-View-frame" ref={frame}>
          <PlotAxes
            size={size}
            box={{ left, top, width: plot.width, height: plot.height }}
            x={{ from: view.x0, to: view.x1, title: `${t('axis')} ${selection.x}`, cells: true }}
            y={{ from: view.y0, to: view.y1, title: `${t('axis')} ${y}`, cells: true, down: true }}
            mark={found === undefined ? undefined : { x: found.x, y: found.y }}
          />
          <canvas
            ref={canvas}
            className="jp-Caterva2-View-canvas"
            data-zoomed={isZoomed}
            tabIndex={0}
            role="img"
            aria-label={`${props.label} ${where}: ${said}`}
            style={{ left, top, width: plot.width, height: plot.height }}
            onPointerDown={onPointerDown}
            onPointerMove={onPointerMove}
            onPointerUp={onPointerUp}
            onPointerCancel={onPointerUp}
            onPointerLeave={() => setPointer(undefined)}
            onDoubleClick={() => onState({ zoom: undefined })}
            onKeyDown={onKeyDown}
          />
          {limits === undefined ? null : (
            <ColorBar
              left={left + plot.width + 14}
              top={top}
              height={plot.height}
              colorMap={mapName}
              reversed={reversed}
              limits={limits}
              scale={scale}
              whole={base !== undefined && ['bool', 'int', 'uint'].includes(base.dtype.kind)}
            />
          )}
          {box === undefined ? null : (
            <div
              className="jp-Caterva2-View-box"
              style={{ left: left + box.x0, top: top + box.y0, width: widthOf(box), height: heightOf(box) }}
            />
          )}
          {found === undefined || pointer === undefined ? null : (
            <div
              className="jp-Caterva2-View-tip"
              style={{
                left: left + pointer.x + (pointer.x > plot.width - 150 ? -12 : 14),
                top: top + pointer.y + (pointer.y > plot.height - 50 ? -12 : 14),
                transform: `translate(${pointer.x > plot.width - 150 ? '-100%' : '0'}, ${pointer.y > plot.height - 50 ? '-100%' : '0'})`
              }}
            >
              {colors ? <i style={{ background: found.color }} /> : null}
              <b>{found.text}</b>
              <span>[{found.index.join(', ')}]</span>
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
            parts={seen}
            limits={limits}
            scale={scale}
            colorMap={colors ? undefined : mapName}
            reversed={reversed}
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

function stepsOf(block: Block, selection: Selection): { x: number; y: number } {
  const plane = planeOf(block, selection, EMPTY);
  return { x: plane.stepX, y: plane.stepY };
}

function isFiner(one: { x: number; y: number }, other: { x: number; y: number }): boolean {
  return one.x * one.y < other.x * other.y;
}

const EMPTY = new Float32Array();
const AUTO = { kind: 'auto' } as const;

/** Return the selection that a request was made for, of the last few. */
function useStood(selection: Selection, request: WindowRequest, shown: WindowRequest): Selection | undefined {
  const known = useRef(new Map<string, Selection>());
  known.current.delete(request.slice);
  known.current.set(request.slice, selection);
  for (const old of known.current.keys()) {
    if (known.current.size <= 16) {
      break;
    }
    known.current.delete(old);
  }
  return known.current.get(shown.slice);
}

/** Return the planes that a slider comes to next, in the direction of its last move. */
function useLikely(props: PlotProps): WindowRequest[] {
  const { shape, selection, field, moved } = props;
  if (moved === undefined) {
    return [];
  }
  const index = selection.indices[moved.axis] ?? 0;
  return ahead(index, moved.direction, shape[moved.axis] ?? 0, AHEAD).map(place =>
    planPlane(shape, withIndex(selection, moved.axis, place), field)
  );
}

interface Found {
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly color: string;
  readonly index: readonly (number | string)[];
}

/** Return the item under the pointer: of the finest block that has it. */
function readOut(
  source: ArraySource,
  fine: readonly Block[],
  base: Block | undefined,
  selection: Selection,
  part: ViewerState['part'],
  over: { x: number; y: number }
): Found | undefined {
  for (const block of base === undefined ? fine : [...fine, base]) {
    const item = itemAt(source.plane(block, selection, part ?? 'abs'), over.x, over.y);
    if (item === undefined) {
      continue;
    }
    const channels = selection.channel === undefined ? 1 : (block.shape[block.shape.length - 1] ?? 1);
    const text = itemText(block, item.at, channels);
    return {
      x: item.x,
      y: item.y,
      text,
      color: channels > 1 ? `rgb(${text.split(', ').slice(0, 3).join(' ')})` : '',
      index: fullIndex(selection, item.x, item.y)
    };
  }
  return undefined;
}
