/** The kinds of rows, in words. */
import type { TreeEntry } from '../api/types';
import type { Texts } from './text';

/** What a row is, in words. */
export function kindName(entry: TreeEntry, texts: Texts): string {
  switch (entry.kind) {
    case 'root':
      return texts.__('published root');
    case 'area':
      return areaName(entry.name, texts);
    case 'directory':
      return texts.__('directory');
    case 'array':
      return texts.__('array');
    case 'table':
      return texts.__('table');
    case 'frame':
      return texts.__('Blosc2 frame');
    case 'lazy':
      return texts.__('expression, computed when it is read');
    case 'broken':
      return texts.__('unreadable file');
    case 'image':
      return texts.__('image');
    case 'markdown':
      return texts.__('Markdown text');
    case 'notebook':
      return texts.__('notebook');
    case 'pdf':
      return texts.__('PDF');
    case 'text':
      return texts.__('text');
    case 'file':
      return texts.__('file');
  }
}

/** Whose an area is. */
function areaName(name: string, texts: Texts): string {
  switch (name) {
    case '@personal':
      return texts.__('area of your own');
    case '@shared':
      return texts.__('area of all users');
    case '@public':
      return texts.__('area that everybody may read');
    default:
      return texts.__('area for files');
  }
}
