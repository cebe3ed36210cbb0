/** What components share: sizes, what a store has, time that passes. */

import { useCallback, useEffect, useRef, useState, useSyncExternalStore, type RefObject } from 'react';

import type { GridStore, Sized } from './gridStore';
import type { Size } from './viewport';

/** Follow the size of an element, in CSS pixels. */
export function useSize(element: RefObject<HTMLElement>): Size {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useEffect(() => {
    const target = element.current;
    if (target === null) {
      return;
    }
    const measure = () => {
      const [width, height] = [target.clientWidth, target.clientHeight];
      setSize(before => (before.width === width && before.height === height ? before : { width, height }));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(target);
    measure();
    return () => observer.disconnect();
  }, [element]);
  return size;
}

/** Render again whenever something comes into a store, or fails. */
export function useStore<Request, Part extends Sized>(store: GridStore<Request, Part>): number {
  const subscribe = useCallback(
    (notify: () => void) => {
      store.contentChanged.connect(notify);
      return () => {
        store.contentChanged.disconnect(notify);
      };
    },
    [store]
  );
  return useSyncExternalStore(subscribe, () => store.version);
}

/**
 * Return what is to be shown: the part that is wanted if it is here, else the latest of those that were
 * wanted a moment ago, so that a picture stays until the next one comes.
 */
export function useShown<Request, Part extends Sized>(
  store: GridStore<Request, Part>,
  request: Request,
  same: (one: Request, other: Request) => boolean
): { part: Part | undefined; request: Request; current: boolean } {
  const history = useRef<Request[]>([]);
  const kept = useRef<{ part: Part; request: Request } | undefined>(undefined);
  const last = history.current[history.current.length - 1];
  if (last === undefined || !same(last, request)) {
    history.current = [...history.current.slice(-7), request];
  }
  for (const wanted of [...history.current].reverse()) {
    const part = store.peek(wanted);
    if (part !== undefined) {
      kept.current = { part, request: wanted };
      break;
    }
  }
  const shown = kept.current;
  return shown === undefined
    ? { part: undefined, request, current: false }
    : { ...shown, current: same(shown.request, request) && store.peek(request) !== undefined };
}

/** Return a function that calls another one only after it was left alone for a while, and at the end. */
export function useSettled<Value>(act: (value: Value) => void, pauseMs: number): (value: Value) => void {
  const latest = useRef(act);
  latest.current = act;
  const waiting = useRef<{ timer: number; value: Value } | undefined>(undefined);
  const flush = useCallback(() => {
    const pending = waiting.current;
    if (pending !== undefined) {
      window.clearTimeout(pending.timer);
      waiting.current = undefined;
      latest.current(pending.value);
    }
  }, []);
  useEffect(() => flush, [flush]);
  return useCallback(
    (value: Value) => {
      window.clearTimeout(waiting.current?.timer);
      waiting.current = { timer: window.setTimeout(flush, pauseMs), value };
    },
    [flush, pauseMs]
  );
}

/** Call a function at every tick while something runs; a tick that comes before its time is over is left out. */
export function useTicking(runs: boolean, everyMs: number, tick: () => void): void {
  const latest = useRef(tick);
  latest.current = tick;
  useEffect(() => {
    if (!runs) {
      return;
    }
    const timer = window.setInterval(() => latest.current(), everyMs);
    return () => window.clearInterval(timer);
  }, [runs, everyMs]);
}

/** Listen to the wheel and keep the page from scrolling, which React's own listener can not. */
export function useWheel(element: RefObject<HTMLElement>, turned: (event: WheelEvent) => void): void {
  const latest = useRef(turned);
  latest.current = turned;
  useEffect(() => {
    const target = element.current;
    if (target === null) {
      return;
    }
    const listener = (event: WheelEvent) => {
      event.preventDefault();
      latest.current(event);
    };
    target.addEventListener('wheel', listener, { passive: false });
    return () => target.removeEventListener('wheel', listener);
  }, [element]);
}
