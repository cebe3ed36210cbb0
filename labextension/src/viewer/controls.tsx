/** Small controls of the viewer's bars. */

import { useEffect, useId, useState, type ReactNode } from 'react';

const PATHS = {
  heatmap: 'M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2zM9 9h5v5H9z',
  image: 'M2 3h12v10H2zM4 11l3-4 2 2.5L10.5 8 12 11zM10.5 5a1 1 0 1 0 0 2 1 1 0 0 0 0-2z',
  line: 'M2 11.5 5.5 7l3 3L14 3.5',
  table: 'M2 3h12v10H2zM2 6.5h12M2 9.75h12M6 3v10M10 3v10',
  minus: 'M3.5 8h9',
  plus: 'M3.5 8h9M8 3.5v9',
  whole: 'M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10',
  summary: 'M3 13.5V9M6.3 13.5V4.5M9.6 13.5V7M12.9 13.5v-3',
  play: 'M5 3.2v9.6L12.6 8z',
  pause: 'M5 3.5v9M11 3.5v9',
  back: 'M10 3.5 5.5 8l4.5 4.5',
  forth: 'M6 3.5 10.5 8 6 12.5',
  swap: 'M3 5.5h9.5M10 3l2.5 2.5L10 8M13 10.5H3.5M6 8l-2.5 2.5L6 13',
  warning: 'M8 2 14.5 13.5h-13zM8 6.5v3.5M8 11.6v.4',
  copy: 'M5.5 5.5V2.5h8v8h-3M2.5 5.5h8v8h-8z',
  done: 'M3 8.5 6.5 12 13 4.5',
  up: 'M4 10l4-4 4 4',
  down: 'M4 6l4 4 4-4'
} as const;

export type IconName = keyof typeof PATHS;

const FILLED: readonly IconName[] = ['heatmap', 'play'];

/** A drawn sign of 16 by 16; says nothing to screen readers. */
export function Icon({ name }: { readonly name: IconName }) {
  const filled = FILLED.includes(name);
  return (
    <svg className="jp-Caterva2-View-icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path
        d={PATHS[name]}
        fill={filled ? 'currentColor' : 'none'}
        fillRule="evenodd"
        stroke={filled ? 'none' : 'currentColor'}
        strokeWidth="1.4"
        strokeLinejoin="round"
        strokeLinecap="round"
      />
    </svg>
  );
}

export function IconButton(props: {
  readonly icon: IconName;
  readonly label: string;
  readonly pressed?: boolean;
  readonly disabled?: boolean;
  readonly onClick: () => void;
}) {
  return (
    <button
      type="button"
      className="jp-Caterva2-View-iconButton"
      title={props.label}
      aria-label={props.label}
      aria-pressed={props.pressed}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
    </button>
  );
}

export interface Choice<Value extends string> {
  readonly value: Value;
  readonly label: string;
  readonly icon?: IconName;
}

/** One of few, all seen. */
export function Segments<Value extends string>(props: {
  readonly label: string;
  readonly choices: readonly Choice<Value>[];
  readonly value: Value;
  readonly onChange: (value: Value) => void;
}) {
  const name = useId();
  return (
    <div className="jp-Caterva2-View-segments" role="radiogroup" aria-label={props.label}>
      {props.choices.map(choice => (
        <label key={choice.value} className="jp-Caterva2-View-segment" data-value={choice.value}>
          <input
            type="radio"
            name={name}
            value={choice.value}
            checked={choice.value === props.value}
            onChange={() => props.onChange(choice.value)}
          />
          <span>
            {choice.icon === undefined ? null : <Icon name={choice.icon} />}
            {choice.label}
          </span>
        </label>
      ))}
    </div>
  );
}

/** One of many. */
export function Select<Value extends string>(props: {
  readonly label: string;
  readonly choices: readonly Choice<Value>[];
  readonly value: Value;
  readonly onChange: (value: Value) => void;
  readonly hideLabel?: boolean;
}) {
  return (
    <label className="jp-Caterva2-View-field">
      <span className={props.hideLabel === true ? 'jp-Caterva2-View-hidden' : undefined}>{props.label}</span>
      <select
        value={props.value}
        onChange={event => {
          const chosen = props.choices.find(choice => choice.value === event.target.value);
          if (chosen !== undefined) {
            props.onChange(chosen.value);
          }
        }}
      >
        {props.choices.map(choice => (
          <option key={choice.value} value={choice.value}>
            {choice.label}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A number that is taken when it is complete: at Enter, or when the field is left. */
export function NumberField(props: {
  readonly label: string;
  readonly value: number;
  readonly onChange: (value: number) => void;
  readonly hideLabel?: boolean;
  readonly whole?: { readonly low: number; readonly high: number };
}) {
  const text = String(props.value);
  const [draft, setDraft] = useState(text);
  useEffect(() => setDraft(text), [text]);
  const commit = () => {
    const value = Number(draft);
    const sound = draft.trim() !== '' && Number.isFinite(value);
    if (!sound) {
      setDraft(text);
      return;
    }
    const { whole } = props;
    const taken = whole === undefined ? value : Math.max(whole.low, Math.min(whole.high, Math.round(value)));
    setDraft(String(taken));
    if (taken !== props.value) {
      props.onChange(taken);
    }
  };
  return (
    <label className="jp-Caterva2-View-field">
      <span className={props.hideLabel === true ? 'jp-Caterva2-View-hidden' : undefined}>{props.label}</span>
      <input
        type="text"
        inputMode={props.whole === undefined ? 'decimal' : 'numeric'}
        className="jp-Caterva2-View-number"
        style={
          props.whole === undefined
            ? undefined
            : { width: `calc(${Math.max(2, String(props.whole.high).length)}ch + 18px)` }
        }
        value={draft}
        onChange={event => setDraft(event.target.value)}
        onBlur={commit}
        onKeyDown={event => {
          if (event.key === 'Enter') {
            commit();
          } else if (event.key === 'Escape') {
            setDraft(text);
          }
        }}
      />
    </label>
  );
}

export function Toggle(props: {
  readonly label: string;
  readonly title?: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}) {
  return (
    <label className="jp-Caterva2-View-toggle" title={props.title}>
      <input
        type="checkbox"
        checked={props.checked}
        onChange={event => props.onChange(event.target.checked)}
      />
      <span>{props.label}</span>
    </label>
  );
}

/** Something went wrong: the server's sentence, and a way to try again. */
export function Failure(props: {
  readonly title: string;
  readonly text: string;
  readonly retry?: { readonly label: string; readonly onClick: () => void };
  readonly compact?: boolean;
}) {
  return (
    <div
      className={`jp-Caterva2-View-failure${props.compact === true ? ' jp-mod-compact' : ''}`}
      role="alert"
    >
      <Icon name="warning" />
      <div>
        <strong>{props.title}</strong>
        <p>{props.text}</p>
      </div>
      {props.retry === undefined ? null : (
        <button type="button" className="jp-Caterva2-View-button" onClick={props.retry.onClick}>
          {props.retry.label}
        </button>
      )}
    </div>
  );
}

/** A line of a message in the middle of an empty place. */
export function Notice({ children }: { readonly children: ReactNode }) {
  return <div className="jp-Caterva2-View-notice">{children}</div>;
}
