/** How current what is shown of a published root is, as a small mark. */
import type { ReactElement } from 'react';

import type { TreeEntry } from '../api/types';

export function RootState({ root }: { readonly root: TreeEntry | null }): ReactElement | null {
  if (root?.kind !== 'root') {
    return null;
  }
  const [state, text, title] = stateOf(root);
  return (
    <span className="c2-state" data-state={state} title={title}>
      {text}
    </span>
  );
}

function stateOf(root: TreeEntry): readonly [state: string, text: string, title: string] {
  if (root.subscribed === false) {
    return ['none', 'not subscribed', 'Nothing of it is known here yet; opening it subscribes.'];
  }
  switch (root.state) {
    case 'offline':
      return ['offline', 'offline', 'Its publisher can not be reached; what is known of it is shown.'];
    case 'stale':
      return ['stale', 'updating', 'It is being read again; what is shown may be old.'];
    default:
      return ['fresh', 'up to date', 'Changes at its publisher are shown at once.'];
  }
}
