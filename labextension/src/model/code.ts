/** The line of code for something in the tree; the same wherever it is copied, inserted or dropped. */
import type { TreeEntry } from '../api/types';
import { belowRoot, rootOf } from './paths';

/** A Python expression for what is at a path. */
export function pythonExpression(path: string, urlbase: string | null): string {
  const address = urlbase === null ? '' : `, urlbase=${quoted(urlbase)}`;
  const below = belowRoot(path);
  return `caterva2.Root(${quoted(rootOf(path))}${address})${below ? `[${quoted(below)}]` : ''}`;
}

/** Lines that give it a name. */
export function pythonLines(entry: TreeEntry, urlbase: string | null): string {
  return `import caterva2\n\n${variableOf(entry)} = ${pythonExpression(entry.path, urlbase)}`;
}

/** A cell that shows it too: datasets in a viewer. */
export function pythonCell(entry: TreeEntry, urlbase: string | null): string {
  const variable = variableOf(entry);
  if (variable !== 'ds') {
    return `${pythonLines(entry, urlbase)}\n${variable}`;
  }
  const expression = pythonExpression(entry.path, urlbase);
  return `import caterva2\nimport caterva2_jupyter\n\nds = ${expression}\ncaterva2_jupyter.show(ds)`;
}

/** A name for it: what the examples of the documentation have. */
export function variableOf(entry: TreeEntry): string {
  switch (entry.kind) {
    case 'root':
    case 'area':
      return 'root';
    case 'directory':
      return 'directory';
    case 'array':
    case 'table':
    case 'lazy':
      return 'ds';
    default:
      return 'file';
  }
}

/** A string literal that JSON and Python read alike. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
