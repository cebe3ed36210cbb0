/** Numbers and a histogram of what is shown. */

import { useMemo } from 'react';

import type { Translate } from './caption';
import { colorAt } from './colorMaps';
import type { Reals } from './dtype';
import { formatCount, formatNumber, formatShort } from './numbersText';
import type { Limits } from './plane';
import type { Scale } from './state';
import { histogram, summarize } from './statistics';

const [WIDTH, HEIGHT] = [208, 92];

export function SummaryPanel(props: {
  /** The items seen, in pieces. */
  readonly parts: readonly Reals[];
  readonly limits: Limits | undefined;
  readonly scale: Scale;
  readonly colorMap: string | undefined;
  readonly reversed: boolean;
  readonly t: Translate;
}) {
  const { parts, t, limits, scale } = props;
  const values = useMemo(() => joined(parts), [parts]);
  const summary = useMemo(() => summarize(values), [values]);
  const [low, high] = limits === undefined ? [summary.min, summary.max] : [limits.low, limits.high];
  const bins = useMemo(() => histogram(values, { low, high }, scale), [values, low, high, scale]);
  const most = Math.max(1, ...bins.counts);
  const bar = WIDTH / bins.counts.length;
  const rows: readonly (readonly [string, string])[] = [
    [t('Minimum'), formatNumber(summary.min)],
    [t('Maximum'), formatNumber(summary.max)],
    [t('Mean'), formatNumber(summary.mean)],
    [t('Median'), formatNumber(summary.median)],
    [t('Deviation'), formatNumber(summary.std)],
    [t('Items'), formatCount(summary.count + summary.odd)],
    ...(summary.odd === 0 ? [] : [[t('Not finite'), formatCount(summary.odd)] as const])
  ];
  return (
    <aside className="jp-Caterva2-View-summary" aria-label={t('Summary of what is shown')}>
      <h3>{t('What is shown')}</h3>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${t('Histogram')} ${formatNumber(low)} – ${formatNumber(high)}`}
      >
        {bins.counts.map((count, index) => (
          <rect
            key={index}
            x={index * bar + 0.25}
            width={Math.max(0.5, bar - 0.5)}
            y={HEIGHT - (HEIGHT * Math.sqrt(count)) / Math.sqrt(most)}
            height={(HEIGHT * Math.sqrt(count)) / Math.sqrt(most)}
            style={
              props.colorMap === undefined
                ? undefined
                : {
                    fill: `rgb(${colorAt(props.colorMap, (index + 0.5) / bins.counts.length, props.reversed).join(' ')})`
                  }
            }
          />
        ))}
      </svg>
      <div className="jp-Caterva2-View-ends">
        <span>{formatShort(low)}</span>
        <span title={t('Heights are square roots of counts, so that rare values are seen')}>√ n</span>
        <span>{formatShort(high)}</span>
      </div>
      <dl>
        {rows.map(([name, text]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </aside>
  );
}

function joined(parts: readonly Reals[]): Reals {
  const only = parts[0];
  if (parts.length === 1 && only !== undefined) {
    return only;
  }
  const all = new Float64Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
