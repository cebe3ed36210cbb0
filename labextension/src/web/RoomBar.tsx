/** How full something is. */
import type { ReactElement } from 'react';

const TIGHT = 0.75;
const FULL = 0.95;

export interface RoomBarProps {
  readonly used: number;
  /** Without one there is no bar, for nothing can be full. */
  readonly limit: number | null;
  /** What it is that is full, for those who do not see it. */
  readonly label: string;
  /** The same in words. */
  readonly text: string;
  /** It is meant to become full, so there is nothing to warn of. */
  readonly isMeant?: boolean;
}

export function RoomBar({ used, limit, label, text, isMeant = false }: RoomBarProps): ReactElement {
  if (limit === null || limit <= 0) {
    return <span className="c2-room-text">{text}</span>;
  }
  const share = Math.min(1, used / limit);
  const level = isMeant ? 'good' : share >= FULL ? 'full' : share >= TIGHT ? 'tight' : 'good';
  return (
    <>
      <div
        className="c2-bar"
        data-level={level}
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(100 * share)}
        aria-valuetext={text}
      >
        {share > 0 && <div style={{ width: `${100 * share}%` }} />}
      </div>
      <span className="c2-room-text">{text}</span>
    </>
  );
}
