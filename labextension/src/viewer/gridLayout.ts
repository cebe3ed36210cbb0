/** Where the rows and columns of a table lie, though there may be more than a page can be high. */

/** A page higher than this is not drawn right by browsers. */
const MOST_PIXELS = 8_000_000;

/** One direction of a table: items of one size, or of a size each. */
export class Track {
  /**
   * @param count - Items.
   * @param size - CSS pixels of each, or of all.
   */
  constructor(
    readonly count: number,
    private readonly size: number | readonly number[]
  ) {
    if (typeof size !== 'number') {
      let end = 0;
      this.ends = size.map(one => (end += one));
    } else {
      this.ends = [];
    }
    this.total = this.startOf(count);
    this.scrolled = Math.min(this.total, MOST_PIXELS);
  }

  /** Pixels of all items together. */
  readonly total: number;
  /** Pixels that the scroll bar is told. */
  readonly scrolled: number;

  startOf(index: number): number {
    return typeof this.size === 'number'
      ? index * this.size
      : index === 0
        ? 0
        : (this.ends[Math.min(index, this.ends.length) - 1] ?? 0);
  }

  sizeOf(index: number): number {
    return typeof this.size === 'number' ? this.size : (this.size[index] ?? 0);
  }

  /** Return the item at a pixel. */
  at(pixel: number): number {
    if (typeof this.size === 'number') {
      return Math.max(0, Math.min(this.count - 1, Math.floor(pixel / this.size)));
    }
    const found = this.ends.findIndex(end => end > pixel);
    return found < 0 ? Math.max(0, this.count - 1) : found;
  }

  /** Return the items that are seen, from the first to before the end. */
  seen(offset: number, room: number): { first: number; end: number } {
    if (this.count === 0) {
      return { first: 0, end: 0 };
    }
    return { first: this.at(offset), end: Math.min(this.count, this.at(offset + room) + 1) };
  }

  /** Return the true offset for a place of the scroll bar. */
  fromScroll(scroll: number, room: number): number {
    const most = this.scrolled - room;
    return this.total === this.scrolled || most <= 0 ? scroll : (scroll / most) * (this.total - room);
  }

  /** Return the place of the scroll bar for a true offset. */
  toScroll(offset: number, room: number): number {
    const most = this.total - room;
    return this.total === this.scrolled || most <= 0 ? offset : (offset / most) * (this.scrolled - room);
  }

  /** Return the offset nearest to `offset` at which an item is wholly seen. */
  reveal(index: number, offset: number, room: number): number {
    const start = this.startOf(index);
    const end = start + this.sizeOf(index);
    if (start < offset) {
      return start;
    }
    return end > offset + room ? end - room : offset;
  }

  clamp(offset: number, room: number): number {
    return Math.max(0, Math.min(offset, this.total - room));
  }

  private readonly ends: readonly number[];
}
