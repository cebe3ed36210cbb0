/** What happens to uploads when the page is left, or the network comes back. */
import type { Uploads } from '../model/uploads';

/** Ask before a page with uploads under way is left, and remember them if it is. Answers what ends it. */
export function watchLeaving(current: () => readonly Uploads[]): () => void {
  const ends = new AbortController();
  const { signal } = ends;
  window.addEventListener(
    'beforeunload',
    event => {
      if (current().some(uploads => uploads.isBusy)) {
        event.preventDefault();
      }
    },
    { signal }
  );
  window.addEventListener('pagehide', () => current().forEach(uploads => uploads.leave()), { signal });
  window.addEventListener('online', () => current().forEach(uploads => uploads.wake()), { signal });
  return () => ends.abort();
}
