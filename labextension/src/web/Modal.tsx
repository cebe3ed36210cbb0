/** A window in front of the page: the browser's own, so the keyboard stays in it and Escape closes it. */
import { useEffect, useId, useRef, useState, type FormEvent, type ReactElement, type ReactNode } from 'react';

import { toApiError } from '../api/errors';
import { Notice } from '../ui/Notice';

export interface ModalProps {
  readonly title: string;
  readonly children?: ReactNode;
  /** What the button that does it says; without one there is only a button to close. */
  readonly action?: string;
  /** What the button that only closes says. */
  readonly close?: string;
  readonly isDangerous?: boolean;
  readonly isWide?: boolean;
  /** What it does; a failure is shown, and the window stays open. */
  onAction?(): Promise<void> | void;
  onClose(): void;
}

export function Modal(props: ModalProps): ReactElement {
  const { title, children, action, onAction, onClose } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    if (element && !element.open) {
      element.showModal();
      element.querySelector<HTMLElement>('[data-first]')?.focus();
    }
    return () => {
      // It is taken away, not closed, so the browser does not do it.
      if (before instanceof HTMLElement) {
        before.focus();
      }
    };
  }, []);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await onAction?.();
    } catch (reason) {
      setProblem(toApiError(reason).sentence);
    } finally {
      setBusy(false);
    }
  };
  return (
    <dialog
      ref={dialog}
      className={`c2-modal ${props.isWide ? 'c2-wide' : ''}`}
      aria-labelledby={id}
      onCancel={onClose}
      onClose={onClose}
    >
      <form onSubmit={event => void submit(event)}>
        <h2 id={id}>{title}</h2>
        {problem !== null && <Notice kind="error" text={problem} />}
        <div className="c2-modal-body">{children}</div>
        <div className="c2-buttons">
          <button type="button" className="c2-button" onClick={onClose}>
            {props.close ?? (action ? 'Cancel' : 'Close')}
          </button>
          {action && (
            <button className={`c2-button ${props.isDangerous ? 'c2-danger' : 'c2-primary'}`} disabled={isBusy}>
              {action}
            </button>
          )}
        </div>
      </form>
    </dialog>
  );
}

export interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly type?: string;
  readonly autoComplete?: string;
  readonly hint?: string;
  readonly isFirst?: boolean;
  readonly list?: string;
  readonly minLength?: number;
  readonly isRequired?: boolean;
  onChange(value: string): void;
}

/** A line to fill in, with its label. */
export function Field(props: FieldProps): ReactElement {
  const { label, value, type = 'text', autoComplete = 'off', hint, isRequired = true } = props;
  const id = useId();
  return (
    <div className="c2-field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type={type}
        value={value}
        list={props.list}
        minLength={props.minLength}
        autoComplete={autoComplete}
        spellCheck={false}
        required={isRequired}
        data-first={props.isFirst ? '' : undefined}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={event => props.onChange(event.currentTarget.value)}
      />
      {hint && (
        <span className="c2-hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
    </div>
  );
}
