/** Rows of the tree made from what events tell. */
import type { CaterEvent, TreeEntry, TreeKind } from '../api/types';

type EventEntry = Extract<CaterEvent, { type: 'dataset-changed' }>['entry'];
type Told = Pick<TreeEntry, 'etag' | 'mtime' | 'size' | 'shape' | 'dtype' | 'error' | 'lazy'> & { kind?: TreeKind };

/** What an event tells of a row; the kind of plain files stays, for it follows from the name. */
export function entryOf(entry: EventEntry): Told {
  const { info } = entry;
  const told: Told = {
    etag: entry.etag,
    mtime: new Date(entry.mtime_ns / 1e6).toISOString(),
    size: entry.size,
    shape: null,
    dtype: null,
    error: null,
    lazy: false
  };
  switch (info.kind) {
    case 'array':
      return { ...told, shape: info.shape, dtype: info.dtype, kind: isStructured(info.dtype) ? 'table' : 'array' };
    case 'lazy':
      return { ...told, shape: info.lazy.shape, dtype: info.lazy.dtype, lazy: true, kind: 'lazy' };
    case 'broken':
      return { ...told, error: info.reason, kind: 'broken' };
    case 'frame':
      return { ...told, kind: 'frame' };
    default:
      return told;
  }
}

/** Whether a dtype, as text, has fields. */
export function isStructured(dtype: string): boolean {
  return /^[[{(]/.test(dtype);
}
