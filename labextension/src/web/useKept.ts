/** What a server keeps for a person, and changing it. */
import { useCallback, useEffect, useState } from 'react';

import { toApiError } from '../api/errors';

export interface Kept<T> {
  /** What there is; null as long as it is not known. */
  readonly items: readonly T[] | null;
  /** Why the last thing failed. */
  readonly problem: string | null;
  /** Do something, and read again what there is. */
  attempt(run?: () => Promise<void>): Promise<void>;
}

export function useKept<T>(read: () => Promise<readonly T[]>): Kept<T> {
  const [items, setItems] = useState<readonly T[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const attempt = useCallback(
    async (run?: () => Promise<void>): Promise<void> => {
      try {
        await run?.();
        setItems(await read());
        setProblem(null);
      } catch (reason) {
        setProblem(toApiError(reason).sentence);
      }
    },
    [read]
  );
  useEffect(() => void attempt(), [attempt]);
  return { items, problem, attempt };
}
