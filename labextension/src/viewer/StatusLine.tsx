/** The line below a plot or a table: what is shown, whether it is current, what went wrong. */

import { useState } from 'react';

import type { Freshness } from './arraySource';
import { filled, type Translate } from './caption';
import { sentenceOf } from './failures';
import { Icon } from './controls';
import { useTicking } from './hooks';
import { formatAge } from './numbersText';

export function StatusLine(props: {
  readonly place: string;
  readonly text: string;
  readonly about?: string;
  readonly busy: boolean;
  readonly freshness: Freshness | undefined;
  readonly failure: unknown;
  readonly onRetry: () => void;
  readonly t: Translate;
}) {
  const { t, freshness } = props;
  return (
    <div className="jp-Caterva2-View-status">
      {props.place === '' ? null : <Place text={props.place} t={t} />}
      <span className="jp-Caterva2-View-caption" aria-live="polite">
        {props.text}
      </span>
      {props.busy ? <span className="jp-Caterva2-View-busy">{t('loading…')}</span> : null}
      {props.failure === undefined ? null : (
        <span className="jp-Caterva2-View-problem" role="alert">
          <Icon name="warning" />
          <span title={sentenceOf(props.failure)}>{sentenceOf(props.failure)}</span>
          <button type="button" className="jp-Caterva2-View-link" onClick={props.onRetry}>
            {t('Try again')}
          </button>
        </span>
      )}
      {freshness === undefined || freshness.fresh ? null : (
        <span
          className="jp-Caterva2-View-stale"
          title={t('The publisher can not be reached; this is what the subscriber had of it.')}
        >
          {freshness.ageSeconds > 0
            ? filled(t('offline, as of %1 ago'), formatAge(freshness.ageSeconds, t))
            : t('offline')}
        </span>
      )}
      {props.about === undefined ? null : <span className="jp-Caterva2-View-about">{props.about}</span>}
    </div>
  );
}

/** The slice that is shown; a click copies it as code, with the name that inserted code gives a dataset. */
function Place({ text, t }: { readonly text: string; readonly t: Translate }) {
  const [copied, setCopied] = useState('');
  useTicking(copied !== '', 1500, () => setCopied(''));
  const code = `ds${text}`;
  return (
    <span className="jp-Caterva2-View-where">
      <span className="jp-Caterva2-View-place">{text}</span>
      <button
        type="button"
        className="jp-Caterva2-View-copy"
        title={filled(t('Copy %1'), code)}
        aria-label={filled(t('Copy %1'), code)}
        onClick={() => {
          navigator.clipboard.writeText(code).then(
            () => setCopied(code),
            () => setCopied('')
          );
        }}
      >
        <Icon name={copied === code ? 'done' : 'copy'} />
      </button>
    </span>
  );
}
