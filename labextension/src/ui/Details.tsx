/** What is known of the selected file. */
import type { ReactElement, ReactNode } from 'react';

import type { ApiError } from '../api/errors';
import type { CParams, Described, SChunk, TreeEntry } from '../api/types';
import { fieldNames, formatBytes, formatDtype, formatRatio, formatShape, formatTime } from './format';
import { kindName } from './kinds';
import { Notice } from './Notice';
import type { Texts } from './text';

/** Names of the codecs and filters of Blosc2, by their numbers. */
const CODECS: Readonly<Record<number, string>> = {
  0: 'BloscLZ',
  1: 'LZ4',
  2: 'LZ4HC',
  4: 'ZLIB',
  5: 'ZSTD',
  32: 'NDLZ',
  33: 'ZFP (accuracy)',
  34: 'ZFP (precision)',
  35: 'ZFP (rate)',
  36: 'OpenHTJ2K',
  37: 'Grok'
};
const FILTERS: Readonly<Record<number, string>> = {
  1: 'shuffle',
  2: 'bit shuffle',
  3: 'delta',
  4: 'truncate precision',
  32: 'ND cell',
  33: 'ND mean',
  35: 'byte delta',
  36: 'integer truncate'
};

export interface DetailsProps {
  /** The row that is selected. */
  readonly entry: TreeEntry | null;
  /** What the server said of it; null as long as it has not. */
  readonly described: Described | null;
  readonly error: ApiError | null;
  readonly texts: Texts;
  onRetry(): void;
  /** Actions, as buttons. */
  readonly actions?: ReactNode;
}

type Fact = readonly [label: string, value: ReactNode] | null;

export function Details({ entry, described, error, texts, onRetry, actions }: DetailsProps): ReactElement {
  if (!entry) {
    return <div className="jp-Caterva2-details-empty">{texts.__('Select a dataset to see what it is.')}</div>;
  }
  const facts = [...entryFacts(entry, texts), ...describedFacts(entry, described, texts)];
  const vlmeta = Object.entries(containerOf(described)?.vlmeta ?? {});
  return (
    <div className="jp-Caterva2-details" data-path={entry.path}>
      <div className="jp-Caterva2-details-path">{entry.path}</div>
      {actions}
      {error && <Notice text={error.sentence} action={texts.__('Retry')} onAction={onRetry} kind="error" />}
      {entry.error && <Notice text={entry.error} kind="warning" />}
      <dl className="jp-Caterva2-facts">
        {facts.map(fact => fact && <FactLine key={fact[0]} label={fact[0]} value={fact[1]} />)}
      </dl>
      {vlmeta.length > 0 && (
        <>
          <div className="jp-Caterva2-details-title">{texts.__('Attributes')}</div>
          <dl className="jp-Caterva2-facts">
            {vlmeta.map(([name, value]) => (
              <FactLine key={name} label={name} value={<Attribute value={value} />} />
            ))}
          </dl>
        </>
      )}
    </div>
  );
}

function FactLine({ label, value }: { readonly label: string; readonly value: ReactNode }): ReactElement {
  return (
    <>
      <dt title={label}>{label}</dt>
      <dd>{value}</dd>
    </>
  );
}

function Attribute({ value }: { readonly value: unknown }): ReactElement {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 1);
  return text.length > 300 ? (
    <details>
      <summary>{`${text.slice(0, 60)}…`}</summary>
      <pre>{text}</pre>
    </details>
  ) : (
    <span className="jp-Caterva2-attribute">{text}</span>
  );
}

function entryFacts(entry: TreeEntry, texts: Texts): Fact[] {
  const isTop = entry.kind === 'root' || entry.kind === 'area';
  return [
    [texts.__('Kind'), kindName(entry, texts)],
    entry.shape && [texts.__('Shape'), formatShape(entry.shape, texts.__('scalar'))],
    entry.dtype === null ? null : [texts.__('Type'), <TypeText key="type" dtype={entry.dtype} texts={texts} />],
    isTop && entry.state ? [texts.__('Freshness'), freshnessOfRoot(entry, texts)] : null,
    isTop ? [texts.__('Access'), entry.writable ? texts.__('read and write') : texts.__('read')] : null
  ];
}

function describedFacts(entry: TreeEntry, described: Described | null, texts: Texts): Fact[] {
  const info = described?.info;
  const container = containerOf(described);
  const size = entry.size ?? info?.size ?? null;
  const modified = info?.mtime ?? entry.mtime;
  const operands = Object.entries(info?.operands ?? {});
  return [
    info?.expression ? [texts.__('Expression'), <code key="code">{info.expression}</code>] : null,
    operands.length > 0
      ? [
          texts.__('Operands'),
          operands.map(([name, path]) => (
            <div key={name}>
              <code>{name}</code> = {path}
            </div>
          ))
        ]
      : null,
    info?.chunks?.length ? [texts.__('Chunks'), formatShape(info.chunks)] : null,
    info?.blocks?.length ? [texts.__('Blocks'), formatShape(info.blocks)] : null,
    container?.cparams ? [texts.__('Codec'), codecText(container.cparams, texts)] : null,
    container?.cparams && filtersText(container.cparams) ? [texts.__('Filters'), filtersText(container.cparams)] : null,
    container?.nbytes === undefined ? null : [texts.__('Size'), formatBytes(container.nbytes)],
    container?.cbytes === undefined
      ? size === null
        ? null
        : [texts.__('Stored'), formatBytes(size)]
      : [texts.__('Stored'), storedText(container, texts)],
    modified ? [texts.__('Modified'), formatTime(modified)] : null,
    described?.freshness ? [texts.__('Freshness'), freshnessText(described.freshness, texts)] : null
  ];
}

/** The container of an array is a part of its description; that of a frame or file is the description. */
function containerOf(described: Described | null): Partial<SChunk> | null {
  const info = described?.info;
  if (!info) {
    return null;
  }
  return info.schunk ?? (info.cparams ? info : null);
}

function TypeText({ dtype, texts }: { readonly dtype: string; readonly texts: Texts }): ReactElement {
  const names = fieldNames(dtype);
  if (names.length === 0) {
    return <>{formatDtype(dtype)}</>;
  }
  return (
    <details>
      <summary>{texts._n('%1 column', '%1 columns', names.length)}</summary>
      {names.map(name => (
        <div key={name}>{name}</div>
      ))}
    </details>
  );
}

function codecText(cparams: CParams, texts: Texts): string {
  if (cparams.clevel === 0) {
    return texts.__('not compressed');
  }
  return texts.__('%1, level %2', CODECS[cparams.codec] ?? `#${cparams.codec}`, cparams.clevel);
}

function filtersText(cparams: CParams): string {
  return cparams.filters
    .filter(filter => filter !== 0)
    .map(filter => FILTERS[filter] ?? `#${filter}`)
    .join(', ');
}

function storedText(container: Partial<SChunk>, texts: Texts): string {
  const { cbytes = 0, cratio } = container;
  return cratio === undefined || cratio <= 0
    ? formatBytes(cbytes)
    : texts.__('%1 (ratio %2)', formatBytes(cbytes), formatRatio(cratio));
}

function freshnessText(freshness: string, texts: Texts): string {
  const age = /age=(\d+)/.exec(freshness);
  if (freshness === 'fresh') {
    return texts.__('up to date');
  }
  if (age && Number(age[1]) < 5) {
    return texts.__('not known to be current');
  }
  return age?.[1] ? texts.__('last known to be current %1 ago', formatAge(Number(age[1]), texts)) : freshness;
}

function freshnessOfRoot(entry: TreeEntry, texts: Texts): string {
  switch (entry.state) {
    case 'offline':
      return texts.__('its publisher can not be reached');
    case 'stale':
      return texts.__('being read again');
    default:
      return entry.subscribed === false ? texts.__('not subscribed') : texts.__('up to date');
  }
}

function formatAge(seconds: number, texts: Texts): string {
  if (seconds < 90) {
    return texts._n('%1 second', '%1 seconds', seconds);
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 90
    ? texts._n('%1 minute', '%1 minutes', minutes)
    : texts._n('%1 hour', '%1 hours', Math.round(minutes / 60));
}
