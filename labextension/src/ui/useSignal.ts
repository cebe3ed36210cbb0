/** React to what a model announces. */
import type { ISignal } from '@lumino/signaling';
import { useEffect, useReducer } from 'react';

/**
 * Render again when one of the signals is emitted.
 *
 * React gathers what is announced in a row into one rendering, and renders before the next key is
 * handled what a key has changed; waiting for a frame here would have a fast typist act on an old row.
 */
export function useSignal(...signals: readonly ISignal<unknown, unknown>[]): void {
  const [, bump] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const onSignal = (): void => bump();
    signals.forEach(signal => signal.connect(onSignal));
    onSignal();
    return () => signals.forEach(signal => void signal.disconnect(onSignal));
  }, signals);
}
