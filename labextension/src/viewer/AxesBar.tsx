/** Which axes are drawn, and sliders for the others. */

import { useEffect, useId, useRef, useState } from 'react';

import type { Translate } from './caption';
import { IconButton, NumberField, Select, type Choice } from './controls';
import { useTicking } from './hooks';
import { sliders, withAxis, type Selection } from './selection';

/** Pictures per second of a running stack, at most. */
const PLAY_EVERY_MS = 100;

export interface AxesBarProps {
  readonly shape: readonly number[];
  readonly selection: Selection;
  /** Names of the roles: a table has columns and rows, a picture x and y. */
  readonly roles: { readonly x: string; readonly y: string };
  /** The plane that is wanted is shown; a running stack waits for it. */
  readonly settled: boolean;
  readonly onAxes: (axes: Pick<Selection, 'x' | 'y'>) => void;
  readonly onIndex: (axis: number, index: number) => void;
  readonly t: Translate;
}

/** Draws nothing for an array whose axes are all seen and can not be swapped. */
export function AxesBar(props: AxesBarProps) {
  const { shape, selection, roles, t } = props;
  const drawable = [...shape.keys()].filter(axis => axis !== selection.channel);
  const others = sliders(shape, selection);
  if (drawable.length < 2) {
    return null;
  }
  const choices: Choice<string>[] = drawable.map(axis => ({
    value: String(axis),
    label: `${axis} (${shape[axis] ?? 0})`
  }));
  return (
    <div className="jp-Caterva2-View-axes" role="group" aria-label={t('Axes')}>
      <div className="jp-Caterva2-View-pickers">
        {selection.y === undefined ? null : (
          <Select
            label={roles.y}
            choices={choices}
            value={String(selection.y)}
            onChange={axis => props.onAxes(withAxis(selection, 'y', Number(axis)))}
          />
        )}
        {selection.y === undefined ? null : (
          <IconButton
            icon="swap"
            label={t('Swap the axes')}
            onClick={() => props.onAxes({ x: selection.y ?? selection.x, y: selection.x })}
          />
        )}
        <Select
          label={roles.x}
          choices={choices}
          value={String(selection.x)}
          onChange={axis => props.onAxes(withAxis(selection, 'x', Number(axis)))}
        />
      </div>
      {others.map(({ axis, length, index }) => (
        <AxisSlider
          key={axis}
          axis={axis}
          length={length}
          index={index}
          settled={props.settled}
          onIndex={place => props.onIndex(axis, place)}
          t={t}
        />
      ))}
    </div>
  );
}

function AxisSlider(props: {
  readonly axis: number;
  readonly length: number;
  readonly index: number;
  readonly settled: boolean;
  readonly onIndex: (index: number) => void;
  readonly t: Translate;
}) {
  const { axis, length, index, t } = props;
  const id = useId();
  const [plays, setPlays] = useState(false);
  const step = useRef({ index, length });
  step.current = { index, length };
  useTicking(plays, PLAY_EVERY_MS, () => {
    if (props.settled) {
      props.onIndex((step.current.index + 1) % Math.max(1, step.current.length));
    }
  });
  useEffect(() => setPlays(false), [axis, length]);
  const last = Math.max(0, length - 1);
  return (
    <div className="jp-Caterva2-View-slider" role="group" aria-label={`${t('Axis')} ${axis}`}>
      <label htmlFor={id}>{`${t('Axis')} ${axis}`}</label>
      <IconButton
        icon={plays ? 'pause' : 'play'}
        label={plays ? t('Pause') : t('Play')}
        disabled={length < 2}
        onClick={() => setPlays(!plays)}
      />
      <IconButton
        icon="back"
        label={t('Previous')}
        disabled={index <= 0}
        onClick={() => props.onIndex(index - 1)}
      />
      <input
        id={id}
        type="range"
        min={0}
        max={last}
        step={1}
        value={index}
        disabled={length < 2}
        aria-valuetext={`${index} / ${last}`}
        style={{ ['--jp-caterva2-filled' as string]: `${last === 0 ? 0 : (100 * index) / last}%` }}
        onChange={event => props.onIndex(Number(event.target.value))}
      />
      <IconButton
        icon="forth"
        label={t('Next')}
        disabled={index >= last}
        onClick={() => props.onIndex(index + 1)}
      />
      <NumberField
        label={`${t('Index on axis')} ${axis}`}
        hideLabel
        value={index}
        whole={{ low: 0, high: last }}
        onChange={props.onIndex}
      />
      <span className="jp-Caterva2-View-quiet">/ {last}</span>
    </div>
  );
}
