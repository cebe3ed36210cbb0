/** What every way of drawing an array is given. */

import type { ArraySource } from './arraySource';
import type { Translate } from './caption';
import type { Part } from './dtype';
import type { Selection } from './selection';
import type { ViewerState } from './state';

/** How far the content of a viewer is. */
export type Status =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'error'; readonly reason: unknown };

export type StatePatch = { readonly [K in keyof ViewerState]?: ViewerState[K] | undefined };

export interface PlotProps {
  readonly source: ArraySource;
  readonly shape: readonly number[];
  readonly selection: Selection;
  /** The column of records that is drawn. */
  readonly field: string | undefined;
  readonly part: Part;
  readonly state: ViewerState;
  /** The last move of a slider, while it is likely to go on. */
  readonly moved: { readonly axis: number; readonly direction: number } | undefined;
  /** What is drawn, for those who do not see it. */
  readonly label: string;
  /** Type and shape of the array. */
  readonly about: string;
  readonly onState: (patch: StatePatch) => void;
  /** Move the first slider; none if there is no slider. */
  readonly onStep: ((by: number) => void) | undefined;
  readonly onStatus: (status: Status) => void;
  readonly t: Translate;
}
