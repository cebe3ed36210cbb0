/** How the service is: what it is connected to, what it keeps, what failed. */
import { useEffect, useMemo, type ReactElement, type ReactNode } from 'react';

import { asSentence } from '../api/errors';
import { Notice } from '../ui/Notice';
import { formatBytes, formatCount, formatTime } from '../ui/format';
import { useSignal } from '../ui/useSignal';
import type { Management, PublisherReport, ServiceReport } from './management';
import { Poll } from './poll';
import { RoomBar } from './RoomBar';
import { formatRoom } from './sizes';
import { formatShare, formatSince, formatSpan } from './times';

const REFRESH_MS = 3_000;

export function ServicePanel({ management }: { readonly management: Management }): ReactElement {
  const poll = useMemo(() => new Poll(() => management.service(), REFRESH_MS), [management]);
  useEffect(() => {
    void poll.refresh();
    return () => poll.dispose();
  }, [poll]);
  useSignal(poll.changed);
  const { value, problem } = poll;
  return (
    <section aria-label="Service">
      {problem !== null && (
        <Notice
          kind="error"
          text={value === null ? problem : `${problem} What is shown was so at ${formatTime(value.at)}.`}
          action="Try again"
          onAction={() => void poll.refresh()}
        />
      )}
      {value === null && problem === null && <p className="c2-hint">Asking the service…</p>}
      {value !== null && <Report report={value} />}
    </section>
  );
}

function Report({ report }: { readonly report: ServiceReport }): ReactElement {
  return (
    <>
      <Tiles report={report} />
      <Publishers report={report} />
      <div className="c2-two">
        <Cache report={report} />
        <Areas report={report} />
      </div>
      <Uploads report={report} />
      <Failures report={report} />
      <p className="c2-hint">{`Caterva2 ${report.version}`}</p>
    </>
  );
}

function Tiles({ report }: { readonly report: ServiceReport }): ReactElement {
  const { broker, requests, events, at } = report;
  return (
    <dl className="c2-tiles">
      <Tile title="Broker" more={brokerText(report)}>
        {broker.address === null ? (
          <Badge state="unknown" text="none" />
        ) : (
          <Badge state={broker.connected ? 'online' : 'offline'} text={broker.connected ? 'connected' : 'away'} />
        )}
      </Tile>
      <Tile title="Runs for" more={`since ${formatTime(report.started)}`}>
        {formatSince(report.started, at)}
      </Tile>
      <Tile
        title="Requests"
        more={requests.failed === 0 ? 'none has failed' : `${formatCount(requests.failed)} failed here`}
      >
        {formatCount(requests.answered)}
      </Tile>
      <Tile title="Event streams" more={eventText(events)}>
        {formatCount(events.readers)}
      </Tile>
    </dl>
  );
}

function brokerText({ broker, at }: ServiceReport): string {
  if (broker.address === null) {
    return 'this subscriber stands alone';
  }
  const since = broker.since ? `, for ${formatSince(broker.since, at)}` : '';
  return `${broker.address}${since}${broker.error ? `: ${broker.error}` : ''}`;
}

function eventText({ told, lag_s }: ServiceReport['events']): string {
  const what = told === 1 ? '1 event told' : `${formatCount(told)} events told`;
  return lag_s > 0 ? `${what}, the last took ${lag_s < 1 ? `${Math.ceil(lag_s * 1000)} ms` : formatSpan(lag_s)}` : what;
}

interface TileProps {
  readonly title: string;
  readonly more: string;
  readonly children: ReactNode;
}

function Tile({ title, more, children }: TileProps): ReactElement {
  return (
    <div className="c2-tile">
      <dt>{title}</dt>
      <dd className="c2-tile-value">{children}</dd>
      <dd className="c2-hint">{more}</dd>
    </div>
  );
}

function Badge({ state, text }: { readonly state: PublisherReport['state']; readonly text: string }): ReactElement {
  return (
    <span className="c2-badge" data-state={state}>
      {text}
    </span>
  );
}

function Publishers({ report }: { readonly report: ServiceReport }): ReactElement {
  const { publishers, at } = report;
  return (
    <>
      <h2>Publishers</h2>
      {publishers.length === 0 ? (
        <p className="c2-empty">
          {report.broker.address === null
            ? 'Without a broker there are none.'
            : 'The broker knows none. Start one with cat2pub.'}
        </p>
      ) : (
        <table className="c2-table c2-cards c2-publishers" role="table" aria-label="Publishers">
          <thead role="rowgroup">
            <tr role="row">
              {['Root', 'State', 'Changed', 'Publisher'].map(name => (
                <th key={name} role="columnheader" scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {publishers.map(publisher => (
              <tr key={publisher.name} role="row">
                <td role="cell" className="c2-strong">
                  {publisher.name}
                </td>
                <td role="cell">
                  <Badge state={publisher.state} text={publisher.state} />
                </td>
                <td role="cell" className="c2-number-cell c2-since" title={formatTime(publisher.since)}>
                  {`${formatSince(publisher.since, at)} ago`}
                </td>
                <td role="cell">
                  {publisher.http}
                  <span className="c2-hint c2-block">{publisherText(publisher)}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function publisherText({ subscribed, age_s, error }: PublisherReport): string {
  const parts = [
    subscribed ? '' : 'not subscribed to',
    typeof age_s === 'number' ? `what is kept was current ${formatSpan(age_s)} ago` : '',
    error ?? ''
  ];
  return parts.filter(part => part !== '').join('; ');
}

function Cache({ report }: { readonly report: ServiceReport }): ReactElement {
  const { cache } = report;
  const room = formatRoom(cache.used, cache.limit);
  return (
    <div>
      <h2>Cache</h2>
      <RoomBar
        used={cache.used}
        limit={cache.limit}
        label="Cache"
        isMeant
        text={room.limit === null || cache.limit === 0 ? 'nothing is kept' : `${room.used} of ${room.limit}`}
      />
      <dl className="c2-facts">
        <dt>Hits</dt>
        <dd>
          {cache.hits === 0
            ? 'none'
            : `${formatCount(cache.hits)} (${formatShare(cache.hits, cache.hits + cache.misses)}), ${formatBytes(cache.hit_bytes)}`}
        </dd>
        <dt>Misses</dt>
        <dd>
          {cache.misses === 0 && cache.fetches === 0
            ? 'none'
            : `${formatCount(cache.misses)}, ${formatBytes(cache.fetched_bytes)} in ${formatCount(cache.fetches)} ${cache.fetches === 1 ? 'request' : 'requests'}`}
        </dd>
        <dt>Given up</dt>
        <dd>{cache.evicted_bytes === 0 ? 'nothing' : `${formatBytes(cache.evicted_bytes)}, for want of room`}</dd>
      </dl>
    </div>
  );
}

function Areas({ report }: { readonly report: ServiceReport }): ReactElement {
  const { room } = report;
  const limit = room.limit ?? null;
  const text = formatRoom(room.used, limit);
  return (
    <div>
      <h2>Areas</h2>
      <RoomBar
        used={room.used}
        limit={limit}
        label="All areas together"
        text={text.limit === null ? `${text.used}, no limit for all together` : `${text.used} of ${text.limit}`}
      />
    </div>
  );
}

function Uploads({ report }: { readonly report: ServiceReport }): ReactElement {
  const { uploads, nuploads, at } = report;
  return (
    <>
      <h2>Uploads under way</h2>
      {uploads.length === 0 ? (
        <p className="c2-empty">
          {report.room.promised === 0
            ? 'None.'
            : `None that can be resumed; ${formatBytes(report.room.promised)} of others are on the way.`}
        </p>
      ) : (
        <table className="c2-table c2-cards" role="table" aria-label="Uploads under way">
          <thead role="rowgroup">
            <tr role="row">
              {['Path', 'User', 'Arrived', 'Last part'].map(name => (
                <th key={name} role="columnheader" scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {uploads.map((upload, n) => (
              <tr key={`${n} ${upload.path}`} role="row">
                <td role="cell" className="c2-strong">
                  {upload.path}
                </td>
                <td role="cell">{upload.owner ?? 'is gone'}</td>
                <td role="cell">
                  <RoomBar
                    used={upload.offset}
                    limit={upload.size}
                    label={`Upload of ${upload.path}`}
                    isMeant
                    text={`${formatBytes(upload.offset)} of ${formatBytes(upload.size)}`}
                  />
                </td>
                <td role="cell" className="c2-number-cell c2-last-part">{`${formatSince(upload.touched, at)} ago`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {nuploads > uploads.length && <p className="c2-hint">{`and ${formatCount(nuploads - uploads.length)} more`}</p>}
    </>
  );
}

function Failures({ report }: { readonly report: ServiceReport }): ReactElement {
  const { failures, at } = report;
  return (
    <>
      <h2>Last errors</h2>
      {failures.length === 0 ? (
        <p className="c2-empty">No request has failed since the service started.</p>
      ) : (
        <>
          <p className="c2-hint">
            Requests that failed here, not because of who asked. The log has more under the id of the request.
          </p>
          <ul className="c2-list c2-failures" aria-label="Last errors">
            {failures.map(failure => (
              <li key={`${failure.at} ${failure.request_id}`}>
                <span className="c2-status">{failure.status}</span>
                <span className="c2-list-text">
                  <span>{asSentence(failure.sentence)}</span>
                  <span className="c2-hint">
                    {`${failure.method} ${failure.route} · `}
                    <time dateTime={failure.at} title={formatTime(failure.at)}>
                      {`${formatSince(failure.at, at)} ago`}
                    </time>
                    {' · '}
                    <code>{failure.request_id}</code>
                  </span>
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
