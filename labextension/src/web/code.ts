/** Lines of code that read what is shown, for those who have more than a browser. */
import type { TreeEntry } from '../api/types';
import { pythonLines } from '../model/code';
import { encodePath } from '../api/client';
import { baseName } from '../model/paths';

export interface Snippet {
  readonly name: string;
  readonly code: string;
}

const DATASETS: ReadonlySet<string> = new Set(['array', 'table', 'lazy']);

/** What can be copied for something in the tree; `base` is the address of the subscriber, with a slash. */
export function snippetsOf(entry: TreeEntry, base: string): Snippet[] {
  const url = base.replace(/\/$/, '');
  const { path } = entry;
  const isContainer = ['root', 'area', 'directory'].includes(entry.kind);
  const found: Snippet[] = [
    { name: 'Python', code: pythonLines(entry, url) + (DATASETS.has(entry.kind) ? '\nds[...]' : '') },
    {
      name: 'cat2cli',
      code: `cat2cli --subscriber ${shell(url)} ${isContainer ? 'list' : DATASETS.has(entry.kind) ? 'show' : 'download'} ${shell(path)}`
    }
  ];
  if (path.endsWith('.b2nd') && entry.kind !== 'lazy') {
    found.push({
      name: 'blosc2',
      code: `import blosc2\n\nds = blosc2.open(blosc2.URLPath(${quoted(path)}, ${quoted(`${url}/`)}))\nds[...]`
    });
  }
  if (DATASETS.has(entry.kind)) {
    found.push({
      name: 'xarray',
      code: `import xarray\n\nds = xarray.open_dataset(${quoted(path)}, engine="caterva2", urlbase=${quoted(url)})`
    });
  }
  if (!isContainer) {
    found.push({
      name: 'curl',
      code: `curl -o ${shell(baseName(path))} ${shell(`${url}/api/download/${encodePath(path)}`)}`
    });
  }
  return found;
}

/** A word for a shell. */
export function shell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
