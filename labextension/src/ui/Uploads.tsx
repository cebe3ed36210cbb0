/** The queue of uploads: how far each is, and what it asks. */
import { checkIcon, closeIcon } from '@jupyterlab/ui-components';
import { useRef, useState, type ReactElement, type ReactNode } from 'react';

import type { Batch, Tally, Upload, UploadState } from '../model/uploads';
import { formatBytes } from './format';
import type { Texts } from './text';

export interface UploadsProps {
  readonly uploads: readonly Upload[];
  readonly tally: Tally;
  readonly texts: Texts;
  onAnswer(upload: Upload, overwrite: boolean, forAll: boolean): void;
  onHold(upload: Upload): void;
  onResume(upload: Upload): void;
  onChoose(upload: Upload, file: File): void;
  onDismiss(upload: Upload): void;
  onClear(): void;
}

/** Lines that are drawn; a folder may have thousands of files. */
const MOST_LINES = 40;

export function Uploads({ uploads, tally, texts, onClear, ...rest }: UploadsProps): ReactElement | null {
  if (uploads.length === 0) {
    return null;
  }
  const isDone = uploads.every(({ state }) => state === 'done' || state === 'failed');
  // What needs somebody, or moves, is above what waits and what has arrived.
  const lines = [0, 1, 2].flatMap(rank => uploads.filter(({ state }) => rankOf(state) === rank)).slice(0, MOST_LINES);
  const nhidden = uploads.length - lines.length;
  const questions = firstQuestions(uploads);
  return (
    <section className="jp-Caterva2-uploads" aria-label={texts.__('Uploads')}>
      <div className="jp-Caterva2-uploads-title">
        <span>{titleOf(uploads, tally, texts)}</span>
        {isDone && (
          <button className="jp-Caterva2-link" onClick={onClear}>
            {texts.__('Clear')}
          </button>
        )}
      </div>
      {!isDone && tally.nfiles > 1 && <Bar name={texts.__('All uploads')} percent={percentOf(tally.sent, tally.size)} />}
      <div className="jp-Caterva2-uploads-list">
        {lines.map(upload => (
          <UploadLine
            key={upload.id}
            upload={upload}
            isAsked={questions.has(upload)}
            texts={texts}
            {...rest}
          />
        ))}
        {nhidden > 0 && (
          <div className="jp-Caterva2-upload-rest">{texts._n('and %1 more', 'and %1 more', nhidden)}</div>
        )}
      </div>
    </section>
  );
}

function rankOf(state: UploadState): number {
  return state === 'done' ? 2 : state === 'waiting' ? 1 : 0;
}

/** Of files that were chosen together one question is asked at a time: its answer may hold for all. */
function firstQuestions(uploads: readonly Upload[]): ReadonlySet<Upload> {
  const first = new Map<Batch, Upload>();
  for (const upload of uploads) {
    if (upload.state === 'asking' && !first.has(upload.batch)) {
      first.set(upload.batch, upload);
    }
  }
  return new Set(first.values());
}

function titleOf(uploads: readonly Upload[], tally: Tally, texts: Texts): string {
  if (tally.narrived === tally.nfiles || uploads.length === 1) {
    return texts._n('%1 upload', '%1 uploads', tally.nfiles);
  }
  const files = texts.__('%1 of %2 uploads', String(tally.narrived), String(tally.nfiles));
  return `${files} · ${formatBytes(tally.sent)} / ${formatBytes(tally.size)}`;
}

type UploadLineProps = Omit<UploadsProps, 'uploads' | 'tally' | 'onClear'> & {
  readonly upload: Upload;
  /** Its question is the one that is shown. */
  readonly isAsked: boolean;
};

function UploadLine(props: UploadLineProps): ReactElement {
  const { upload, texts, isAsked, onHold, onResume, onDismiss } = props;
  const { state, sent, size, name, directory, error } = upload;
  const percent = percentOf(sent, size);
  const isUnderWay = ['sending', 'storing', 'away', 'held', 'left'].includes(state);
  return (
    <div className={`jp-Caterva2-upload jp-mod-${state}`} data-state={state} title={`${directory}/${name}`}>
      <div className="jp-Caterva2-upload-line">
        <span className="jp-Caterva2-row-name">{name}</span>
        <span className="jp-Caterva2-row-facts">{progressText(upload, percent, texts)}</span>
        {upload.isInParts && (state === 'sending' || state === 'away') && (
          <LineButton label={texts.__('Pause')} name={name} onClick={() => onHold(upload)} />
        )}
        {state === 'held' && (
          <LineButton label={texts.__('Resume')} name={name} onClick={() => onResume(upload)} />
        )}
        {state === 'done' ? (
          <checkIcon.react tag="span" className="jp-Caterva2-kind" width="14px" height="14px" />
        ) : (
          <button
            className="jp-Caterva2-filter-clear"
            title={state === 'failed' || state === 'asking' ? texts.__('Do not upload it') : texts.__('Cancel')}
            aria-label={texts.__('Cancel %1', name)}
            onClick={() => onDismiss(upload)}
          >
            <closeIcon.react tag="span" width="14px" height="14px" />
          </button>
        )}
      </div>
      {isUnderWay && <Bar name={name} percent={percent} isQuiet={state !== 'sending'} />}
      {state === 'asking' && isAsked && <Question {...props} />}
      {state === 'away' && (
        <Remark role="status" text={texts.__('Paused: the server is away. It goes on by itself.')}>
          <LineButton label={texts.__('Try now')} name={name} onClick={() => onResume(upload)} />
        </Remark>
      )}
      {state === 'left' && <Left {...props} />}
      {state === 'failed' && error && (
        <Remark role="alert" text={error.sentence}>
          <LineButton label={texts.__('Retry')} name={name} onClick={() => onResume(upload)} />
        </Remark>
      )}
    </div>
  );
}

function Question({ upload, texts, onAnswer }: UploadLineProps): ReactElement {
  const [forAll, setForAll] = useState(false);
  return (
    <Remark role="alert" text={texts.__('There is a file of this name in %1.', upload.directory)}>
      <button className="jp-Caterva2-link" onClick={() => onAnswer(upload, true, forAll)}>
        {forAll ? texts.__('Replace all') : texts.__('Replace it')}
      </button>
      <button className="jp-Caterva2-link" onClick={() => onAnswer(upload, false, forAll)}>
        {forAll ? texts.__('Keep all') : texts.__('Keep it')}
      </button>
      {upload.batch.together > 1 && (
        <label className="jp-Caterva2-upload-all">
          <input type="checkbox" checked={forAll} onChange={event => setForAll(event.currentTarget.checked)} />
          {texts.__('for all of these %1 files', String(upload.batch.together))}
        </label>
      )}
    </Remark>
  );
}

/** An upload that another visit of the page has begun. */
function Left({ upload, texts, onChoose }: UploadLineProps): ReactElement {
  const input = useRef<HTMLInputElement>(null);
  return (
    <Remark
      role="status"
      text={upload.error?.sentence ?? texts.__('The page was left. Choose or drop the same file, and it goes on.')}
    >
      <input
        ref={input}
        type="file"
        hidden
        aria-label={texts.__('Choose %1 once more', upload.name)}
        onChange={event => {
          const [file] = event.currentTarget.files ?? [];
          if (file) {
            onChoose(upload, file);
          }
          event.currentTarget.value = '';
        }}
      />
      <LineButton label={texts.__('Choose file')} name={upload.name} onClick={() => input.current?.click()} />
    </Remark>
  );
}

interface RemarkProps {
  readonly role: 'alert' | 'status';
  readonly text: string;
  readonly children: ReactNode;
}

function Remark({ role, text, children }: RemarkProps): ReactElement {
  return (
    <div className="jp-Caterva2-upload-question" role={role}>
      <span>{text}</span> {children}
    </div>
  );
}

interface LineButtonProps {
  readonly label: string;
  readonly name: string;
  onClick(): void;
}

function LineButton({ label, name, onClick }: LineButtonProps): ReactElement {
  return (
    <button className="jp-Caterva2-link" aria-label={`${label}: ${name}`} onClick={onClick}>
      {label}
    </button>
  );
}

interface BarProps {
  readonly name: string;
  readonly percent: number;
  /** Nothing moves at present. */
  readonly isQuiet?: boolean;
}

function Bar({ name, percent, isQuiet = false }: BarProps): ReactElement {
  return (
    <div
      className={`jp-Caterva2-bar ${isQuiet ? 'jp-mod-busy' : ''}`}
      role="progressbar"
      aria-valuenow={percent}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-label={name}
    >
      <div style={{ width: `${percent}%` }} />
    </div>
  );
}

function percentOf(sent: number, size: number): number {
  return size > 0 ? Math.floor((100 * sent) / size) : 100;
}

function progressText({ state, size }: Upload, percent: number, texts: Texts): string {
  switch (state) {
    case 'waiting':
      return texts.__('waiting');
    case 'sending':
    case 'away':
    case 'left':
      return texts.__('%1 % of %2', String(percent), formatBytes(size));
    case 'held':
      return `${texts.__('paused')} · ${percent} %`;
    case 'storing':
      return texts.__('being checked');
    case 'asking':
      return texts.__('is there already');
    case 'failed':
      return '';
    case 'done':
      return formatBytes(size);
  }
}
