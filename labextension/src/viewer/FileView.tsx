/** A file that is no array: text, Markdown, a picture, a PDF, a notebook, or bytes. */

import { useEffect, useMemo, useRef, useState, type ReactNode } from 'react';

import type { Api } from '../api/client';
import type { Freshness } from './arraySource';
import { filled, type Translate } from './caption';
import { Failure, Notice, Segments } from './controls';
import { imageType, type FileDescription } from './description';
import { sentenceOf } from './failures';
import { hexRows, isBinary, readPiece } from './fileSource';
import { readNotebook, type Notebook, type NotebookCell, type Output } from './notebook';
import { formatBytes } from './numbersText';
import type { Status } from './plotProps';
import { besidePath, renderMarkdown, sanitizeHtml, type ImageAddress } from './sanitize';
import { StatusLine } from './StatusLine';

const PIECE = 1 << 20;
const HEX = 4096;
/** Pictures, PDF files and notebooks are read whole, up to so many bytes. */
const MOST = { image: 64 << 20, pdf: 256 << 20, notebook: 32 << 20, markdown: 2 << 20 };

export interface FileViewProps {
  readonly api: Api;
  readonly path: string;
  readonly description: FileDescription;
  /** Changes when the file has changed. */
  readonly generation: string;
  /** Counts the times that the way to the server opened again. */
  readonly reopened: number;
  readonly onStatus: (status: Status) => void;
  readonly t: Translate;
}

interface Content {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly total: number;
  readonly freshness: Freshness;
}

export function FileView(props: FileViewProps) {
  const { api, path, description, generation, onStatus, t } = props;
  const { kind } = description;
  const limit = kind === 'text' || kind === 'binary' ? PIECE : MOST[kind];
  const tooLarge = kind !== 'text' && kind !== 'binary' && kind !== 'markdown' && description.size > limit;
  const [content, setContent] = useState<Content | undefined>(undefined);
  const [failure, setFailure] = useState<unknown>(undefined);
  const [tries, setTries] = useState(0);
  const [reads, setReads] = useState(false);
  // A further piece belongs to what was read before it, and fails alone.
  const adding = useRef<AbortController | undefined>(undefined);
  const [addingFailed, setAddingFailed] = useState(false);

  useEffect(() => {
    if (tooLarge) {
      onStatus({ kind: 'ready' });
      return;
    }
    const controller = new AbortController();
    setFailure(undefined);
    setAddingFailed(false);
    setReads(false);
    readPiece(api, path, 0, limit, controller.signal).then(setContent, (reason: unknown) => {
      // An empty file has no first byte.
      if (!controller.signal.aborted) {
        if (description.size === 0) {
          setContent({ bytes: new Uint8Array(), total: 0, freshness: { fresh: true, ageSeconds: 0 } });
        } else {
          setFailure(reason);
          onStatus({ kind: 'error', reason });
        }
      }
    });
    return () => {
      controller.abort();
      adding.current?.abort();
    };
  }, [api, path, generation, tries, limit, tooLarge, onStatus, description.size]);

  useEffect(() => {
    if (props.reopened > 0 && failure !== undefined) {
      setTries(before => before + 1);
    }
    // Only that the way is open again is news.
  }, [props.reopened]);

  const more = () => {
    if (content === undefined || reads) {
      return;
    }
    setReads(true);
    setAddingFailed(false);
    const controller = new AbortController();
    adding.current = controller;
    const { signal } = controller;
    readPiece(api, path, content.bytes.length, content.bytes.length + PIECE, signal).then(
      piece => {
        if (signal.aborted) {
          return;
        }
        const bytes = new Uint8Array(content.bytes.length + piece.bytes.length);
        bytes.set(content.bytes);
        bytes.set(piece.bytes, content.bytes.length);
        setContent({ ...piece, bytes });
        setReads(false);
      },
      (reason: unknown) => {
        if (!signal.aborted) {
          setFailure(reason);
          setAddingFailed(true);
          setReads(false);
        }
      }
    );
  };

  const imageAddress: ImageAddress = source => {
    const beside = besidePath(path, source);
    return beside === undefined ? undefined : api.downloadUrl(beside);
  };
  if (tooLarge) {
    return <TooLarge {...props} />;
  }
  if (content === undefined) {
    return failure === undefined ? (
      <Notice>
        <span className="jp-Caterva2-View-late">{t('Loading…')}</span>
      </Notice>
    ) : (
      <Failure
        title={t('The file can not be read')}
        text={sentenceOf(failure)}
        retry={{ label: t('Try again'), onClick: () => setTries(tries + 1) }}
      />
    );
  }
  const shared = { content, imageAddress, more, reads, ...props };
  return (
    <>
      <FileContent {...shared} />
      <StatusLine
        place=""
        text={
          content.bytes.length < content.total
            ? filled(t('the first %1 of %2'), formatBytes(content.bytes.length), formatBytes(content.total))
            : formatBytes(content.total)
        }
        busy={reads}
        freshness={content.freshness}
        failure={failure}
        onRetry={() => {
          if (addingFailed) {
            setFailure(undefined);
            more();
          } else {
            setTries(tries + 1);
          }
        }}
        t={t}
      />
    </>
  );
}

type ContentProps = FileViewProps & {
  readonly content: Content;
  readonly imageAddress: ImageAddress;
  readonly more: () => void;
  readonly reads: boolean;
};

function FileContent(props: ContentProps) {
  switch (props.description.kind) {
    case 'markdown':
      return <MarkdownFile {...props} />;
    case 'image':
      return <ImageFile {...props} />;
    case 'pdf':
      return <PdfFile {...props} />;
    case 'notebook':
      return <NotebookFile {...props} />;
    default:
      return <TextFile {...props} />;
  }
}

function TextFile(props: ContentProps) {
  const { content, onStatus, t } = props;
  const binary = isBinary(content.bytes);
  const text = useMemo(
    () => (binary ? hexRows(content.bytes.subarray(0, HEX)) : new TextDecoder().decode(content.bytes)),
    [binary, content.bytes]
  );
  useEffect(() => onStatus({ kind: 'ready' }), [onStatus, content]);
  return (
    <div className="jp-Caterva2-View-document" tabIndex={0} role="region" aria-label={t('Text')}>
      <pre className="jp-Caterva2-View-text" data-hex={binary}>
        {text}
      </pre>
      {binary ? (
        <p className="jp-Caterva2-View-more">
          {filled(t('No text: these are the first bytes of %1.'), formatBytes(content.total))}
        </p>
      ) : content.bytes.length < content.total ? (
        <p className="jp-Caterva2-View-more">
          <button
            type="button"
            className="jp-Caterva2-View-button"
            disabled={props.reads}
            onClick={props.more}
          >
            {t('Show 1 MiB more')}
          </button>
        </p>
      ) : null}
    </div>
  );
}

function MarkdownFile(props: ContentProps) {
  const { content, imageAddress, onStatus, t } = props;
  const [mode, setMode] = useState<'rendered' | 'source'>('rendered');
  const text = useMemo(() => new TextDecoder().decode(content.bytes), [content.bytes]);
  useEffect(() => onStatus({ kind: 'ready' }), [onStatus, content]);
  return (
    <>
      <div className="jp-Caterva2-View-bar" role="toolbar" aria-label={t('View')}>
        <Segments
          label={t('View')}
          choices={[
            { value: 'rendered', label: t('Rendered') },
            { value: 'source', label: t('Source') }
          ]}
          value={mode}
          onChange={setMode}
        />
      </div>
      {mode === 'source' ? (
        <TextFile {...props} />
      ) : (
        <div className="jp-Caterva2-View-document" tabIndex={0} role="region" aria-label={t('Document')}>
          <Markup
            className="jp-Caterva2-View-prose jp-mod-page"
            make={() => renderMarkdown(text, imageAddress)}
            source={text}
          />
        </div>
      )}
    </>
  );
}

/** Put sanitised nodes into the page. */
function Markup(props: {
  readonly className: string;
  readonly source: string;
  readonly make: () => DocumentFragment;
}) {
  const place = useRef<HTMLDivElement>(null);
  const { source, make } = props;
  useEffect(() => {
    place.current?.replaceChildren(make());
    // The source is all that it is made of.
  }, [source]);
  return <div className={props.className} ref={place} />;
}

function useObjectUrl(bytes: Uint8Array<ArrayBuffer>, type: string): string | undefined {
  const [url, setUrl] = useState<string | undefined>(undefined);
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([bytes], { type }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [bytes, type]);
  return url;
}

function ImageFile(props: ContentProps) {
  const { content, path, onStatus, t } = props;
  const url = useObjectUrl(content.bytes, imageType(path));
  const [size, setSize] = useState('');
  const [fits, setFits] = useState<'fit' | 'full'>('fit');
  const [broken, setBroken] = useState(false);
  useEffect(() => setBroken(false), [url]);
  if (broken) {
    return (
      <Failure
        title={t('The picture can not be shown')}
        text={t('Its content is not what the ending of its name says.')}
      />
    );
  }
  return (
    <>
      <div className="jp-Caterva2-View-bar" role="toolbar" aria-label={t('View')}>
        <Segments
          label={t('Size')}
          choices={[
            { value: 'fit', label: t('Fit') },
            { value: 'full', label: t('Full size') }
          ]}
          value={fits}
          onChange={setFits}
        />
        <span className="jp-Caterva2-View-spring" />
        <span className="jp-Caterva2-View-kind">{size}</span>
      </div>
      <div className="jp-Caterva2-View-picture" data-size={fits} tabIndex={0}>
        {url === undefined ? null : (
          <img
            src={url}
            alt={path.slice(path.lastIndexOf('/') + 1)}
            onLoad={event => {
              const { naturalWidth, naturalHeight } = event.currentTarget;
              setSize(`${naturalWidth} × ${naturalHeight}`);
              onStatus({ kind: 'ready' });
            }}
            onError={() => {
              setBroken(true);
              onStatus({ kind: 'error', reason: new Error('the picture can not be shown') });
            }}
          />
        )}
      </div>
    </>
  );
}

function PdfFile(props: ContentProps) {
  const { api, content, path, onStatus, t } = props;
  // The type is ours: whatever the bytes are, they are taken for a PDF and never for a page.
  const url = useObjectUrl(content.bytes, 'application/pdf');
  useEffect(() => {
    if (url !== undefined) {
      onStatus({ kind: 'ready' });
    }
  }, [url, onStatus]);
  return (
    <div className="jp-Caterva2-View-pdf">
      {url === undefined ? null : navigator.pdfViewerEnabled ? (
        <iframe src={url} title={path.slice(path.lastIndexOf('/') + 1)} />
      ) : (
        <Notice>
          <p>{t('This browser does not show PDF files.')}</p>
          <a className="jp-Caterva2-View-button" href={api.downloadUrl(path)} download>
            {t('Download it')}
          </a>
        </Notice>
      )}
    </div>
  );
}

function NotebookFile(props: ContentProps) {
  const { content, onStatus, imageAddress, t } = props;
  const read = useMemo((): { notebook?: Notebook; failure?: unknown } => {
    try {
      return { notebook: readNotebook(new TextDecoder().decode(content.bytes), t) };
    } catch (failure) {
      return { failure };
    }
  }, [content.bytes, t]);
  useEffect(() => {
    onStatus(read.notebook === undefined ? { kind: 'error', reason: read.failure } : { kind: 'ready' });
  }, [onStatus, read]);
  if (read.notebook === undefined) {
    return <Failure title={t('The notebook can not be shown')} text={sentenceOf(read.failure)} />;
  }
  return (
    <div className="jp-Caterva2-View-document" tabIndex={0} role="region" aria-label={t('Notebook')}>
      <div className="jp-Caterva2-View-notebook">
        {read.notebook.cells.map((cell, index) => (
          <NotebookCellView key={index} cell={cell} imageAddress={imageAddress} />
        ))}
        {read.notebook.cells.length === 0 ? <Notice>{t('The notebook is empty.')}</Notice> : null}
      </div>
    </div>
  );
}

function NotebookCellView({
  cell,
  imageAddress
}: {
  readonly cell: NotebookCell;
  readonly imageAddress: ImageAddress;
}) {
  if (cell.kind === 'markdown') {
    return (
      <CellRow>
        <Markup
          className="jp-Caterva2-View-prose"
          source={cell.source}
          make={() => renderMarkdown(cell.source, imageAddress)}
        />
      </CellRow>
    );
  }
  return (
    <>
      <CellRow prompt={cell.kind === 'code' ? `[${cell.count ?? ' '}]` : undefined}>
        <pre className="jp-Caterva2-View-code">{cell.source}</pre>
      </CellRow>
      {cell.outputs.map((output, index) => (
        <CellRow key={index}>
          <OutputView output={output} imageAddress={imageAddress} />
        </CellRow>
      ))}
    </>
  );
}

function CellRow({
  prompt,
  children
}: {
  readonly prompt?: string | undefined;
  readonly children: ReactNode;
}) {
  return (
    <div className="jp-Caterva2-View-notebookRow">
      <span className="jp-Caterva2-View-prompt">{prompt}</span>
      <div>{children}</div>
    </div>
  );
}

function OutputView({
  output,
  imageAddress
}: {
  readonly output: Output;
  readonly imageAddress: ImageAddress;
}) {
  switch (output.kind) {
    case 'image':
      return <img className="jp-Caterva2-View-outputImage" src={output.address} alt="" />;
    case 'html':
      return (
        <Markup
          className="jp-Caterva2-View-prose"
          source={output.text}
          make={() => sanitizeHtml(output.text, imageAddress)}
        />
      );
    case 'markdown':
      return (
        <Markup
          className="jp-Caterva2-View-prose"
          source={output.text}
          make={() => renderMarkdown(output.text, imageAddress)}
        />
      );
    case 'text':
      return (
        <pre className="jp-Caterva2-View-output" data-error={output.error}>
          {output.text}
        </pre>
      );
  }
}

function TooLarge({ api, path, description, t }: FileViewProps) {
  return (
    <Notice>
      <p>{filled(t('The file has %1, too many to show it here.'), formatBytes(description.size))}</p>
      <a className="jp-Caterva2-View-button" href={api.downloadUrl(path)} download>
        {t('Download it')}
      </a>
    </Notice>
  );
}
