/** Rows of a long directory that are known beyond its beginning. */

/** So many are kept at most; those that were read first go first. */
const MOST = 5_000;

/** By their place, from 1. A place may be known to be empty: what was there is gone. */
export class FarRows<T extends { readonly path: string }> {
  get size(): number {
    return this._rows.size;
  }

  find(path: string): T | null {
    const place = this._places.get(path);
    return (place === undefined ? null : this._rows.get(place)) ?? null;
  }

  has(place: number): boolean {
    return this._rows.has(place);
  }

  /** Know `count` places from `first` on, of which the last ones may be empty. */
  put(first: number, count: number, rows: readonly T[]): void {
    for (let i = 0; i < count; i += 1) {
      this.forget(first + i);
      const row = rows[i] ?? null;
      this._rows.set(first + i, row);
      if (row) {
        this._places.set(row.path, first + i);
      }
    }
    for (const place of this._rows.keys()) {
      if (this._rows.size <= MOST) {
        break;
      }
      this.forget(place);
    }
  }

  /** Forget all up to a place. */
  dropTo(last: number): void {
    for (const place of [...this._rows.keys()].filter(each => each <= last)) {
      this.forget(place);
    }
  }

  /** A row is gone; those behind it move up. */
  close(gone: number): void {
    const rows = [...this._rows].filter(([place]) => place !== gone);
    this.clear();
    for (const [place, row] of rows) {
      const now = place > gone ? place - 1 : place;
      this._rows.set(now, row);
      if (row) {
        this._places.set(row.path, now);
      }
    }
  }

  placeOf(path: string): number | null {
    return this._places.get(path) ?? null;
  }

  clear(): void {
    this._rows.clear();
    this._places.clear();
  }

  /** All rows, in any order. */
  rows(): T[] {
    return [...this._rows.values()].filter(row => row !== null);
  }

  /** Places and rows from the first on. */
  inOrder(): (readonly [number, T])[] {
    const found: [number, T][] = [];
    for (const [place, row] of this._rows) {
      if (row) {
        found.push([place, row]);
      }
    }
    return found.sort(([a], [b]) => a - b);
  }

  private forget(place: number): void {
    const row = this._rows.get(place);
    if (row && this._places.get(row.path) === place) {
      this._places.delete(row.path);
    }
    this._rows.delete(place);
  }

  private readonly _rows = new Map<number, T | null>();
  private readonly _places = new Map<string, number>();
}
