/** React to what a model announces, at most once for each frame of the screen. */
import type { ISignal } from '@lumino/signaling';
import { useEffect, useReducer } from 'react';

/** Render again when one of the signals is emitted. */
export function useSignal(...signals: readonly ISignal<unknown, unknown>[]): void {
  const [, bump] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    let frame = 0;
    const onSignal = (): void => {
      if (frame === 0) {
        frame = requestAnimationFrame(() => {
          frame = 0;
          bump();
        });
      }
    };
    signals.forEach(signal => signal.connect(onSignal));
    onSignal();
    return () => {
      cancelAnimationFrame(frame);
      signals.forEach(signal => signal.disconnect(onSignal));
    };
  }, signals);
}
