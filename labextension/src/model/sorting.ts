/** The order of a list of entries. */
import type { TreeEntry } from '../api/types';

export type SortKey = 'name' | 'kind' | 'size' | 'mtime';

export interface Sorting {
  readonly by: SortKey;
  readonly isDescending: boolean;
}

/** As the server lists: directories first, numbers in names by their values. */
export const BY_NAME: Sorting = { by: 'name', isDescending: false };

/** Longer lists stay in the order of the server, which has them page by page. */
export const MOST_SORTED = 20_000;

/** The order after somebody has chosen a column: the other way round if it was that already. */
export function nextSorting(now: Sorting, by: SortKey): Sorting {
  // The largest and the newest are what one looks for.
  const first = by === 'size' || by === 'mtime';
  return { by, isDescending: now.by === by ? !now.isDescending : first };
}

/** @param entries - In the order of the server, which stays among equals. */
export function sorted(entries: readonly TreeEntry[], { by, isDescending }: Sorting): readonly TreeEntry[] {
  if (by === 'name' && !isDescending) {
    return entries;
  }
  const places = new Map(entries.map((entry, place) => [entry, place]));
  const compare = (one: TreeEntry, other: TreeEntry): number => {
    const order = by === 'name' ? (places.get(one) ?? 0) - (places.get(other) ?? 0) : compareBy(by, one, other);
    return isDescending ? -order : order;
  };
  return [...entries].sort((one, other) => directoriesFirst(one, other) || unknownLast(by, one, other) || compare(one, other));
}

function directoriesFirst(one: TreeEntry, other: TreeEntry): number {
  return Number(other.kind === 'directory') - Number(one.kind === 'directory');
}

function unknownLast(by: SortKey, one: TreeEntry, other: TreeEntry): number {
  return by === 'size' || by === 'mtime' ? Number(one[by] === null) - Number(other[by] === null) : 0;
}

function compareBy(by: 'kind' | 'size' | 'mtime', one: TreeEntry, other: TreeEntry): number {
  const [a, b] = [one[by] ?? 0, other[by] ?? 0];
  return a < b ? -1 : a > b ? 1 : 0; // times are ISO 8601 in UTC
}
