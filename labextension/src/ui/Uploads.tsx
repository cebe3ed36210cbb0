/** The queue of uploads: how far each is, and what it asks. */
import { checkIcon, closeIcon } from '@jupyterlab/ui-components';
import type { ReactElement } from 'react';

import type { Upload } from '../model/uploads';
import { formatBytes } from './format';
import type { Texts } from './text';

export interface UploadsProps {
  readonly uploads: readonly Upload[];
  readonly texts: Texts;
  onReplace(upload: Upload): void;
  onReplaceAll(): void;
  onRetry(upload: Upload): void;
  onDismiss(upload: Upload): void;
  onClear(): void;
}

export function Uploads({ uploads, texts, onClear, onReplaceAll, ...rest }: UploadsProps): ReactElement | null {
  if (uploads.length === 0) {
    return null;
  }
  const nasking = uploads.filter(upload => upload.state === 'asking').length;
  const isDone = uploads.every(upload => upload.state === 'done' || upload.state === 'failed');
  return (
    <section className="jp-Caterva2-uploads" aria-label={texts.__('Uploads')}>
      <div className="jp-Caterva2-uploads-title">
        <span>{texts._n('%1 upload', '%1 uploads', uploads.length)}</span>
        {nasking > 1 && (
          <button className="jp-Caterva2-link" onClick={onReplaceAll}>
            {texts.__('Replace all %1', nasking)}
          </button>
        )}
        {isDone && (
          <button className="jp-Caterva2-link" onClick={onClear}>
            {texts.__('Clear')}
          </button>
        )}
      </div>
      <div className="jp-Caterva2-uploads-list">
        {uploads.map(upload => (
          <UploadLine key={upload.id} upload={upload} texts={texts} {...rest} />
        ))}
      </div>
    </section>
  );
}

type UploadLineProps = Omit<UploadsProps, 'uploads' | 'onClear' | 'onReplaceAll'> & { readonly upload: Upload };

function UploadLine({ upload, texts, onReplace, onRetry, onDismiss }: UploadLineProps): ReactElement {
  const { state, sent, size, file, directory } = upload;
  const percent = size > 0 ? Math.round((100 * sent) / size) : 100;
  return (
    <div className={`jp-Caterva2-upload jp-mod-${state}`} data-state={state} title={`${directory}/${file.name}`}>
      <div className="jp-Caterva2-upload-line">
        <span className="jp-Caterva2-row-name">{file.name}</span>
        <span className="jp-Caterva2-row-facts">{progressText(upload, percent, texts)}</span>
        {state === 'done' ? (
          <checkIcon.react tag="span" className="jp-Caterva2-kind" width="14px" height="14px" />
        ) : (
          <button
            className="jp-Caterva2-filter-clear"
            title={state === 'failed' || state === 'asking' ? texts.__('Do not upload it') : texts.__('Cancel')}
            onClick={() => onDismiss(upload)}
          >
            <closeIcon.react tag="span" width="14px" height="14px" />
          </button>
        )}
      </div>
      {(state === 'sending' || state === 'storing') && (
        <div
          className={`jp-Caterva2-bar ${state === 'storing' ? 'jp-mod-busy' : ''}`}
          role="progressbar"
          aria-valuenow={percent}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-label={file.name}
        >
          <div style={{ width: `${percent}%` }} />
        </div>
      )}
      {state === 'asking' && (
        <div className="jp-Caterva2-upload-question" role="alert">
          <span>{texts.__('There is a file of this name in %1.', directory)}</span>
          <button className="jp-Caterva2-link" onClick={() => onReplace(upload)}>
            {texts.__('Replace it')}
          </button>
          <button className="jp-Caterva2-link" onClick={() => onDismiss(upload)}>
            {texts.__('Keep it')}
          </button>
        </div>
      )}
      {state === 'failed' && upload.error && (
        <div className="jp-Caterva2-upload-question" role="alert">
          <span>{upload.error.sentence}</span>
          <button className="jp-Caterva2-link" onClick={() => onRetry(upload)}>
            {texts.__('Retry')}
          </button>
        </div>
      )}
    </div>
  );
}

function progressText({ state, sent, size }: Upload, percent: number, texts: Texts): string {
  switch (state) {
    case 'waiting':
      return texts.__('waiting');
    case 'sending':
      return `${formatBytes(sent)} / ${formatBytes(size)} · ${percent} %`;
    case 'storing':
      return texts.__('being checked');
    case 'asking':
    case 'failed':
      return '';
    case 'done':
      return formatBytes(size);
  }
}
