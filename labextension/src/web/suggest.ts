/** Datasets whose path has a text in it, for completion. */
import type { TreeOptions } from '../api/client';
import type { TreeEntry, TreePage } from '../api/types';

/** What it needs of the API. */
export interface SuggestApi {
  tree(path: string, options?: TreeOptions, signal?: AbortSignal): Promise<TreePage>;
}

const MOST = 20;

/** Look through what is subscribed; the last part of the text is in the name, what is before it in the path. */
export async function suggest(api: SuggestApi, text: string, signal: AbortSignal): Promise<string[]> {
  const slash = text.lastIndexOf('/');
  const filter = text.slice(slash + 1);
  const root = slash < 0 ? null : text.slice(0, text.indexOf('/'));
  const tops = (await api.tree('', {}, signal)).entries
    .filter(entry => entry.subscribed !== false && (root === null || entry.name === root))
    .map(entry => entry.path);
  const pages = await Promise.all(
    tops.map(top => api.tree(top, { filter: filter || '*', recursive: true, limit: 200 }, signal).catch(() => null))
  );
  return pages
    .flatMap(page => page?.entries ?? [])
    .filter(isDataset)
    .map(entry => entry.path)
    .filter(path => path.toLowerCase().startsWith(text.slice(0, slash + 1).toLowerCase()))
    .slice(0, MOST);
}

function isDataset(entry: TreeEntry): boolean {
  return entry.shape !== null && entry.shape !== undefined;
}
