/** A sentence about something that needs attention, and what can be done about it. */
import type { ReactElement } from 'react';

export interface NoticeProps {
  readonly text: string;
  readonly kind: 'error' | 'warning' | 'info';
  readonly action?: string;
  onAction?(): void;
}

export function Notice({ text, kind, action, onAction }: NoticeProps): ReactElement {
  // Not `jp-mod-error`: dialogs take that for a field that must be corrected first.
  return (
    <div className={`jp-Caterva2-notice jp-Caterva2-notice-${kind}`} role={kind === 'error' ? 'alert' : 'status'}>
      <span>{text}</span>
      {action && onAction && (
        <button className="jp-Caterva2-link" onClick={onAction}>
          {action}
        </button>
      )}
    </div>
  );
}
