/** The controls of a scale: its colours, its ends, its kind. */

import type { ArraySource } from './arraySource';
import type { Translate } from './caption';
import { COLOR_MAPS, DEFAULT_COLOR_MAP, gradient } from './colorMaps';
import { NumberField, Select, Toggle } from './controls';
import type { Part } from './dtype';
import { LINE_POINTS, planPlane } from './planner';
import type { StatePatch } from './plotProps';
import type { Selection } from './selection';
import { limitsOf } from './statistics';
import type { RangeChoice, ViewerState } from './state';
import { naturalAspect } from './viewport';

type Ends = 'auto' | 'percentile' | 'manual';

export function ColorControls(props: {
  readonly source: ArraySource;
  readonly selection: Selection;
  readonly field: string | undefined;
  readonly shape: readonly number[];
  readonly view: 'heatmap' | 'line';
  readonly part: Part;
  readonly state: ViewerState;
  readonly onState: (patch: StatePatch) => void;
  readonly t: Translate;
}) {
  const { state, onState, t, view, shape, selection } = props;
  const range: RangeChoice = state.range ?? { kind: 'auto' };
  const name = state.colorMap ?? (props.part === 'phase' ? 'twilight' : DEFAULT_COLOR_MAP);
  const aspect = state.aspect ?? naturalAspect(shape[selection.x] ?? 1, shape[selection.y ?? 0] ?? 1);
  const choose = (ends: Ends) => {
    if (ends === 'auto') {
      onState({ range: undefined });
    } else if (ends === 'percentile') {
      onState({ range: { kind: 'percentile', low: 1, high: 99 } });
    } else {
      onState({ range: { kind: 'manual', ...rounded(currentLimits(props, range)) } });
    }
  };
  return (
    <>
      {view === 'line' ? null : (
        <span className="jp-Caterva2-View-colorMap">
          <span
            style={{ background: gradient(name, state.reversed === true, 'to right') }}
            aria-hidden="true"
          />
          <Select
            label={t('Colour map')}
            hideLabel
            choices={COLOR_MAPS.map(map => ({ value: map, label: map }))}
            value={COLOR_MAPS.includes(name) ? name : DEFAULT_COLOR_MAP}
            onChange={map => onState({ colorMap: map })}
          />
        </span>
      )}
      {view === 'line' ? null : (
        <Toggle
          label={t('reversed')}
          checked={state.reversed === true}
          onChange={checked => onState({ reversed: checked ? true : undefined })}
        />
      )}
      <Select<Ends>
        label={t('Range')}
        choices={[
          { value: 'auto', label: t('min – max') },
          { value: 'percentile', label: t('percentile') },
          { value: 'manual', label: t('manual') }
        ]}
        value={range.kind}
        onChange={choose}
      />
      {range.kind === 'auto' ? null : (
        <span className="jp-Caterva2-View-range">
          <NumberField
            label={t('Low end')}
            hideLabel
            value={range.low}
            onChange={low => onState({ range: { ...range, low } })}
          />
          <span aria-hidden="true">–</span>
          <NumberField
            label={t('High end')}
            hideLabel
            value={range.high}
            onChange={high => onState({ range: { ...range, high } })}
          />
          {range.kind === 'percentile' ? <span aria-hidden="true">%</span> : null}
        </span>
      )}
      <Toggle
        label={t('log')}
        checked={state.scale === 'log'}
        onChange={checked => onState({ scale: checked ? 'log' : undefined })}
      />
      {view === 'line' ? null : (
        <Toggle
          label="1:1"
          title={t('Items are squares')}
          checked={aspect === 'equal'}
          onChange={checked => onState({ aspect: checked ? 'equal' : 'fill' })}
        />
      )}
    </>
  );
}

/** Return the ends of the scale as it is now, for somebody who goes on by hand. */
function currentLimits(
  props: Parameters<typeof ColorControls>[0],
  range: RangeChoice
): { low: number; high: number } {
  const { source, shape, selection, field, view } = props;
  const request =
    view === 'line' ? planPlane(shape, selection, field, LINE_POINTS) : planPlane(shape, selection, field);
  const block = source.blocks.peek(request);
  return block === undefined
    ? { low: 0, high: 1 }
    : limitsOf(source.reals(block, props.part), range, props.state.scale ?? 'linear');
}

function rounded(limits: { low: number; high: number }): { low: number; high: number } {
  return { low: Number(limits.low.toPrecision(6)), high: Number(limits.high.toPrecision(6)) };
}
