/** Whether there is room for one column only; the style sheet has the same width. */
import { useEffect, useState } from 'react';

const NARROW = '(max-width: 720px)';

export function isNarrow(): boolean {
  return window.matchMedia(NARROW).matches;
}

/** The same, told when it changes. */
export function useNarrow(): boolean {
  const [matches, setMatches] = useState(isNarrow);
  useEffect(() => {
    const list = window.matchMedia(NARROW);
    const look = (): void => setMatches(list.matches);
    list.addEventListener('change', look);
    return () => list.removeEventListener('change', look);
  }, []);
  return matches;
}
