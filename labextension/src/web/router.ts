/** Where one is on the page: the address, and the way back and forward. */
import { Signal, type ISignal } from '@lumino/signaling';

import { readPlace, writePlace, type Place } from './address';

export class Router {
  constructor(
    private readonly base: string,
    private readonly window: Window
  ) {
    this._place = this.read();
    window.addEventListener('popstate', () => {
      this._place = this.read();
      this._visits += 1;
      this._changed.emit();
    });
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get place(): Place {
    return this._place;
  }

  /** Counts the times that one came somewhere; what only remembers more of a place does not count. */
  get visits(): number {
    return this._visits;
  }

  /** The absolute address of a place. */
  url(place: Place): string {
    return new URL(writePlace(place), this.base).toString();
  }

  go(place: Place): void {
    if (this.url(place) !== this.window.location.href) {
      this.window.history.pushState(null, '', this.url(place));
    }
    this._place = place;
    this._visits += 1;
    this._changed.emit();
  }

  /** The same place, with more said about it: no step of the way back. */
  replace(place: Place): void {
    this.window.history.replaceState(null, '', this.url(place));
    this._place = place;
    this._changed.emit();
  }

  private read(): Place {
    const { pathname, search } = this.window.location;
    return readPlace(pathname.slice(new URL(this.base).pathname.length), search);
  }

  private _place: Place;
  private _visits = 0;
  private readonly _changed = new Signal<this, void>(this);
}
