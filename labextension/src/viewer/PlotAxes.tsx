/** Marks, numbers and titles around a plot, and the bar that explains its colours. */

import { gradient } from './colorMaps';
import { digitsOf, formatCount, formatNumber, formatShort, logTicks, ticks } from './numbersText';
import type { Limits } from './plane';
import type { Scale } from './state';
import type { Size } from './viewport';

export interface AxisRange {
  readonly from: number;
  readonly to: number;
  readonly title: string;
  /** Marks are at the middles of items. */
  readonly cells?: boolean;
  /** Numbers grow downwards. */
  readonly down?: boolean;
  readonly scale?: Scale;
  /** Marks are at whole numbers. */
  readonly whole?: boolean;
}

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Draw two axes. Purely for the eye: what they say is in the label of the plot. */
export function PlotAxes(props: {
  readonly size: Size;
  readonly box: Box;
  readonly x: AxisRange;
  readonly y: AxisRange;
  readonly grid?: boolean;
  /** An item whose place is marked on both axes. */
  readonly mark: { readonly x: number; readonly y: number } | undefined;
}) {
  const { size, box, x, y, mark } = props;
  if (box.width < 8 || box.height < 8) {
    return null;
  }
  const right = box.left + box.width;
  const bottom = box.top + box.height;
  const atX = (value: number) => box.left + fraction(x, value) * box.width;
  const atY = (value: number) =>
    y.down === true ? box.top + fraction(y, value) * box.height : bottom - fraction(y, value) * box.height;
  const xs = marksOf(x, box.width / 80);
  const ys = marksOf(y, box.height / 44);
  const [digitsX, digitsY] = [digitsOf(xs, 6), digitsOf(ys, 6)];
  const widest = Math.max(1, ...ys.map(value => markText(y, value, digitsY).length));
  const titleX = Math.max(11, box.left - 22 - 6.4 * widest);
  return (
    <svg className="jp-Caterva2-View-plotAxes" width={size.width} height={size.height} aria-hidden="true">
      {props.grid === true ? (
        <g className="jp-Caterva2-View-grid">
          {xs.map(value => (
            <line key={`x${value}`} x1={round(atX(value))} x2={round(atX(value))} y1={box.top} y2={bottom} />
          ))}
          {ys.map(value => (
            <line key={`y${value}`} x1={box.left} x2={right} y1={round(atY(value))} y2={round(atY(value))} />
          ))}
        </g>
      ) : null}
      <rect
        className="jp-Caterva2-View-border"
        x={box.left - 0.5}
        y={box.top - 0.5}
        width={box.width + 1}
        height={box.height + 1}
      />
      {xs.map(value => (
        <g key={value} transform={`translate(${round(atX(value))} ${bottom})`}>
          <line y1={1} y2={5} />
          <text y={17} textAnchor="middle">
            {markText(x, value, digitsX)}
          </text>
        </g>
      ))}
      {ys.map(value => (
        <g key={value} transform={`translate(${box.left} ${round(atY(value))})`}>
          <line x1={-5} x2={-1} />
          <text x={-9} dy="0.32em" textAnchor="end">
            {markText(y, value, digitsY)}
          </text>
        </g>
      ))}
      <text
        className="jp-Caterva2-View-axisTitle"
        x={box.left + box.width / 2}
        y={bottom + 35}
        textAnchor="middle"
      >
        {x.title}
      </text>
      <text
        className="jp-Caterva2-View-axisTitle"
        transform={`translate(${titleX} ${box.top + box.height / 2}) rotate(-90)`}
        textAnchor="middle"
      >
        {y.title}
      </text>
      {mark === undefined ? null : (
        <g className="jp-Caterva2-View-mark">
          <path d={`M${atX(mark.x)} ${bottom + 1}l-4 6h8z`} />
          <path d={`M${box.left - 1} ${atY(mark.y)}l-6 -4v8z`} />
        </g>
      )}
    </svg>
  );
}

/** Draw a colour scale with its numbers. */
export function ColorBar(props: {
  readonly left: number;
  readonly top: number;
  readonly height: number;
  readonly colorMap: string;
  readonly reversed: boolean;
  readonly limits: Limits;
  readonly scale: Scale;
  /** There is nothing between whole numbers. */
  readonly whole: boolean;
}) {
  const { left, top, height, limits, scale, whole } = props;
  const axis: AxisRange = { from: limits.low, to: limits.high, title: '', scale, whole };
  const flat = limits.low === limits.high;
  const few = flat ? [limits.low] : marksOf(axis, height / 40);
  // A short one of an unlucky range would have a single number, which tells no scale.
  const marks = flat || few.length > 2 ? few : marksOf(axis, height / 20);
  const digits = digitsOf(marks, 4);
  return (
    <div className="jp-Caterva2-View-colorBar" style={{ left, top, height }} aria-hidden="true">
      <div style={{ background: gradient(props.colorMap, props.reversed, 'to top') }} />
      {marks.map(value => (
        <span key={value} style={{ bottom: `${flat ? 50 : 100 * fraction(axis, value)}%` }}>
          {formatShort(value, digits)}
        </span>
      ))}
    </div>
  );
}

function markText(axis: AxisRange, value: number, digits: number): string {
  return axis.cells === true ? formatCount(value) : formatNumber(value, digits);
}

function marksOf(axis: AxisRange, count: number): number[] {
  if (axis.scale === 'log') {
    return logTicks(axis.from, axis.to, count);
  }
  const shift = axis.cells === true ? 0.5 : 0;
  return ticks(axis.from - shift, axis.to - shift, Math.max(1, count), axis.cells ?? axis.whole);
}

/** Return the place of a value between the ends of an axis, 0 to 1. */
function fraction(axis: AxisRange, value: number): number {
  if (axis.scale === 'log') {
    return Math.log(value / axis.from) / Math.log(axis.to / axis.from);
  }
  return (value + (axis.cells === true ? 0.5 : 0) - axis.from) / (axis.to - axis.from);
}

function round(value: number): number {
  return Math.round(value) + 0.5;
}
