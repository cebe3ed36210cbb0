/** A notebook's JSON as a list of what is to be seen of it. */

export type Output =
  | { readonly kind: 'text'; readonly text: string; readonly error: boolean }
  | { readonly kind: 'html' | 'markdown'; readonly text: string }
  | { readonly kind: 'image'; readonly address: string };

export interface NotebookCell {
  readonly kind: 'markdown' | 'code' | 'raw';
  readonly source: string;
  readonly count: number | undefined;
  readonly outputs: readonly Output[];
}

export interface Notebook {
  readonly language: string;
  readonly cells: readonly NotebookCell[];
}

type Fields = ReadonlyMap<string, unknown>;

/** Read a notebook of format 4. Fails with a sentence if it is none. */
export function readNotebook(text: string, t: (text: string) => string = text => text): Notebook {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error(t('this is no notebook: its content is not JSON'));
  }
  const notebook = fields(content);
  const cells = notebook.get('cells');
  if (!Array.isArray(cells)) {
    throw new Error(t('this is no notebook of format 4: it has no list of cells'));
  }
  const info = fields(fields(notebook.get('metadata')).get('language_info'));
  return { language: String(info.get('name') ?? 'python'), cells: cells.map(cell => readCell(fields(cell))) };
}

/** Remove the codes by which terminals colour text. */
export function withoutColors(text: string): string {
  return text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, '');
}

function readCell(cell: Fields): NotebookCell {
  const type = cell.get('cell_type');
  const count = cell.get('execution_count');
  const outputs = cell.get('outputs');
  return {
    kind: type === 'markdown' || type === 'code' ? type : 'raw',
    source: lines(cell.get('source')),
    count: typeof count === 'number' ? count : undefined,
    outputs: Array.isArray(outputs) ? outputs.flatMap(output => readOutput(fields(output))) : []
  };
}

function readOutput(output: Fields): Output[] {
  switch (output.get('output_type')) {
    case 'stream':
      return [
        {
          kind: 'text',
          text: withoutColors(lines(output.get('text'))),
          error: output.get('name') === 'stderr'
        }
      ];
    case 'error': {
      const trace = output.get('traceback');
      const text = Array.isArray(trace)
        ? trace.join('\n')
        : `${String(output.get('ename'))}: ${String(output.get('evalue'))}`;
      return [{ kind: 'text', text: withoutColors(text), error: true }];
    }
    case 'display_data':
    case 'execute_result':
      return readBundle(fields(output.get('data')));
    default:
      return [];
  }
}

/** Choose the richest form that can be shown safely. */
function readBundle(data: Fields): Output[] {
  for (const type of ['image/png', 'image/jpeg', 'image/gif', 'image/webp']) {
    const bytes = lines(data.get(type)).replace(/\s/g, '');
    if (bytes !== '' && /^[A-Za-z0-9+/]+={0,2}$/.test(bytes)) {
      return [{ kind: 'image', address: `data:${type};base64,${bytes}` }];
    }
  }
  const drawing = lines(data.get('image/svg+xml'));
  if (drawing !== '') {
    // As an image a drawing can neither run scripts nor load anything.
    return [{ kind: 'image', address: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawing)}` }];
  }
  const html = lines(data.get('text/html'));
  if (html !== '') {
    return [{ kind: 'html', text: html }];
  }
  const markdown = lines(data.get('text/markdown'));
  if (markdown !== '') {
    return [{ kind: 'markdown', text: markdown }];
  }
  const text = lines(data.get('text/plain'));
  return text === '' ? [] : [{ kind: 'text', text, error: false }];
}

function lines(value: unknown): string {
  if (Array.isArray(value)) {
    return value.filter(line => typeof line === 'string').join('');
  }
  return typeof value === 'string' ? value : '';
}

function fields(value: unknown): Fields {
  return new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
}
