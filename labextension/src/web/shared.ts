/** The tree as the holder of a share link sees it: the way down to what is shared, and what is below. */
import type { TreeOptions } from '../api/client';
import type { TreeEntry, TreeKind, TreePage } from '../api/types';
import type { TreeApi } from '../model/catalog';
import { baseName, isWithin, parentOf } from '../model/paths';

/** Lists what a link opens. The directories above it exist as names only, and nothing is asked about them. */
export function sharedTree(api: TreeApi, shared: string): TreeApi {
  return {
    async tree(path: string, options: TreeOptions = {}, signal?: AbortSignal): Promise<TreePage> {
      if (path !== '' && isWithin(path, shared)) {
        return api.tree(path, options, signal);
      }
      if (path !== '' && options.filter) {
        return api.tree(shared, options, signal);
      }
      const depth = path === '' ? 0 : path.split('/').length;
      const next = shared.split('/').slice(0, depth + 1).join('/');
      const entry = next === shared ? await ownEntry(api, shared, signal) : namedEntry(next, 'directory');
      return { path, entries: [entry], next: null, total: 1, offset: 0, state: 'fresh' } as TreePage;
    }
  };
}

/** The row of what is shared: of a file its own page has it, a directory has children. */
async function ownEntry(api: TreeApi, shared: string, signal?: AbortSignal): Promise<TreeEntry> {
  const page = await api.tree(shared, { limit: 1 }, signal);
  const [entry] = page.entries;
  return entry?.path === shared ? entry : namedEntry(shared, 'directory');
}

/** A row of which only the name is known; what has no directory around it is a root or an area. */
export function namedEntry(path: string, kind: TreeKind): TreeEntry {
  const isTop = parentOf(path) === '';
  return {
    name: baseName(path),
    path,
    kind: isTop ? (path.startsWith('@') ? 'area' : 'root') : kind,
    shape: null,
    dtype: null,
    size: null,
    mtime: null,
    etag: null,
    error: null,
    lazy: false,
    state: isTop ? 'fresh' : null,
    subscribed: isTop ? true : null,
    writable: false
  } as TreeEntry;
}
