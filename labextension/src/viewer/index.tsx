/** A viewer of whatever lies at a path: an array, or a file. The host decides where it lives. */

import { useCallback, useEffect, useMemo, useState } from 'react';

import type { Api } from '../api/client';
import { toApiError } from '../api/errors';
import type { EventFeed } from '../api/events';
import { ArraySource } from './arraySource';
import { ArrayView } from './ArrayView';
import type { Translate } from './caption';
import { Failure, Notice } from './controls';
import { describe, type Description } from './description';
import { sentenceOf } from './failures';
import { FileView } from './FileView';
import { useSettled } from './hooks';
import type { Status } from './plotProps';
import { readState, type ViewerState } from './state';

export type { ViewerState } from './state';

export interface ViewerProps {
  readonly api: Api;
  readonly events: EventFeed;
  /** Root and path below it. */
  readonly path: string;
  /** What the host remembers; read once. */
  readonly state: ViewerState | undefined;
  /** Tells what to remember, a moment after the last change. */
  readonly onState: (state: ViewerState) => void;
  readonly translate: (text: string) => string;
}

const REMEMBER_MS = 300;

export default function Viewer(props: ViewerProps) {
  const { api, events, path, translate } = props;
  const [state, setState] = useState<ViewerState>(() => readState(props.state));
  const remember = useSettled(props.onState, REMEMBER_MS);
  const onState = useCallback(
    (next: ViewerState) => {
      setState(next);
      remember(next);
    },
    [remember]
  );
  const { generation, resynced } = useGenerations(events, path);
  const found = useDescription(api, path, generation + resynced);
  const reopened = useReopened(events);
  const [status, setStatus] = useState<Status>({ kind: 'loading' });
  const described = found.description;
  const { source, reason } = useSource(api, path, described, found.mark);
  const failed = found.failure !== undefined;
  useEffect(() => {
    if (reopened > 0) {
      source?.retryPassing();
      if (failed) {
        found.retry();
      }
    }
    // Only that the way is open again is news.
  }, [reopened]);

  const shown: Status['kind'] =
    described === undefined
      ? found.failure === undefined
        ? 'loading'
        : 'error'
      : described.kind === 'broken'
        ? 'error'
        : status.kind;
  const name = path.slice(path.lastIndexOf('/') + 1);
  return (
    <div
      className="jp-Caterva2-View"
      data-state={shown}
      data-kind={described?.kind}
      aria-busy={shown === 'loading'}
    >
      {described !== undefined && found.failure !== undefined ? (
        <Failure
          compact
          title={translate('What is shown may be old')}
          text={sentenceOf(found.failure)}
          retry={{ label: translate('Try again'), onClick: found.retry }}
        />
      ) : null}
      {described === undefined ? (
        found.failure === undefined ? (
          <Waiting t={translate} />
        ) : (
          <Failure
            title={`${name} ${translate('can not be shown')}`}
            text={sentenceOf(found.failure)}
            retry={{ label: translate('Try again'), onClick: found.retry }}
          />
        )
      ) : described.kind === 'broken' ? (
        <Failure
          title={`${name} ${translate('can not be read')}`}
          text={described.reason}
          retry={{ label: translate('Try again'), onClick: found.retry }}
        />
      ) : described.kind === 'array' ? (
        source === undefined ? null : (
          <ArrayView
            key={`${path} ${reason}`}
            source={source}
            description={described}
            name={name}
            state={state}
            onState={onState}
            onStatus={setStatus}
            t={translate}
          />
        )
      ) : (
        <FileView
          key={path}
          api={api}
          path={path}
          description={described}
          generation={found.mark}
          reopened={reopened}
          onStatus={setStatus}
          t={translate}
        />
      )}
    </div>
  );
}

/** Nothing for a moment, then a word: what comes at once does not flicker. */
function Waiting({ t }: { readonly t: Translate }) {
  return (
    <Notice>
      <span className="jp-Caterva2-View-late">{t('Loading…')}</span>
    </Notice>
  );
}

/** Count the changes of a file that the server tells of, and the times when some may have been missed. */
function useGenerations(events: EventFeed, path: string): { generation: number; resynced: number } {
  const [counts, setCounts] = useState({ generation: 0, resynced: 0 });
  useEffect(() => {
    const onEvent: Parameters<EventFeed['happened']['connect']>[0] = (_, event) => {
      if (event.type === 'resync') {
        if (event.root === null || path.startsWith(`${event.root}/`)) {
          setCounts(before => ({ ...before, resynced: before.resynced + 1 }));
        }
        return;
      }
      const changedPath =
        event.type === 'dataset-changed'
          ? event.entry.path
          : event.type === 'dataset-removed'
            ? event.path
            : undefined;
      const concerns =
        changedPath === undefined
          ? path.startsWith(`${event.root}/`)
          : `${event.root}/${changedPath}` === path;
      if (concerns) {
        setCounts(before => ({ ...before, generation: before.generation + 1 }));
      }
    };
    events.happened.connect(onEvent);
    return () => {
      events.happened.disconnect(onEvent);
    };
  }, [events, path]);
  return counts;
}

/** Count the times that the stream of events opens: what failed before may succeed now. */
function useReopened(events: EventFeed): number {
  const [count, setCount] = useState(0);
  useEffect(() => {
    const onState: Parameters<EventFeed['stateChanged']['connect']>[0] = (_, state) => {
      if (state === 'open') {
        setCount(before => before + 1);
      }
    };
    events.stateChanged.connect(onState);
    return () => {
      events.stateChanged.disconnect(onState);
    };
  }, [events]);
  return count;
}

interface Found {
  readonly description: Description | undefined;
  readonly failure: unknown;
  /** Says which generation of the file is described. */
  readonly mark: string;
  readonly retry: () => void;
}

/** Read what a path is; again at each new count. What was known stays until it is known anew. */
function useDescription(api: Api, path: string, count: number): Found {
  const [found, setFound] = useState<Omit<Found, 'retry'>>({
    description: undefined,
    failure: undefined,
    mark: ''
  });
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    api.info(path, controller.signal).then(
      ({ info, etag, freshness }) => {
        const mark = `${etag ?? ''} ${info.mtime ?? ''} ${freshness?.startsWith('stale') === true ? 'stale' : 'fresh'}`;
        setFound(before =>
          before.mark === mark && before.failure === undefined && before.description !== undefined
            ? before
            : { description: describe(path, info), failure: undefined, mark }
        );
      },
      (failure: unknown) => {
        if (!controller.signal.aborted) {
          // A picture stays while the server is away for a moment.
          setFound(before =>
            toApiError(failure).isPassing && before.description !== undefined
              ? { ...before, failure }
              : { description: undefined, failure, mark: '' }
          );
        }
      }
    );
    return () => controller.abort();
  }, [api, path, count, tries]);
  const retry = useCallback(() => {
    setFound(before =>
      before.description === undefined || before.description.kind === 'broken'
        ? { description: undefined, failure: undefined, mark: '' }
        : before
    );
    setTries(before => before + 1);
  }, []);
  return { ...found, retry };
}

/** Keep the windows of an array; forget them when it has changed, and begin anew when it is another one. */
function useSource(api: Api, path: string, description: Description | undefined, mark: string) {
  const reason =
    description?.kind === 'array' ? `${description.dtype.label} ${description.shape.join(',')}` : '';
  const source = useMemo(
    () =>
      reason === ''
        ? undefined
        : new ArraySource(path, {
            window: (where, query, signal) => api.get('window/', where, query, { signal })
          }),
    [api, path, reason]
  );
  const [seen, setSeen] = useState({ source, mark });
  useEffect(() => {
    if (seen.source === source && seen.mark !== mark) {
      source?.invalidate();
    }
    setSeen({ source, mark });
    // Only a new mark is news.
  }, [source, mark]);
  useEffect(() => () => source?.dispose(), [source]);
  return { source, reason };
}
