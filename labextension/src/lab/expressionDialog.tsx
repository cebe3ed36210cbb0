/** Asks for a new dataset that is computed from others. */
import { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { useState, type ReactElement } from 'react';

import { Notice } from '../ui/Notice';
import type { Texts } from '../ui/text';

/** What was typed so far. */
export interface ExpressionDraft {
  readonly name: string;
  readonly expression: string;
  /** Names in the expression, and the paths they stand for. */
  readonly operands: readonly (readonly [name: string, path: string])[];
  /** Why it was refused. */
  readonly problem?: string;
}

/** Ask; null if the user would rather not. */
export async function askExpression(
  draft: ExpressionDraft,
  trans: TranslationBundle
): Promise<ExpressionDraft | null> {
  const dialog = new Dialog<ExpressionDraft>({
    title: trans.__('New expression'),
    body: new ExpressionForm(draft, trans),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Create') })],
    focusNodeSelector: draft.name ? '.jp-Caterva2-form-expression' : '.jp-Caterva2-form-name'
  });
  const answer = await dialog.launch();
  return answer.button.accept ? answer.value : null;
}

class ExpressionForm extends ReactWidget implements Dialog.IBodyWidget<ExpressionDraft> {
  constructor(
    private draft: ExpressionDraft,
    private readonly texts: Texts
  ) {
    super();
    this.addClass('jp-Caterva2-form');
  }

  getValue(): ExpressionDraft {
    const { name, expression, operands } = this.draft;
    return { name: name.trim(), expression, operands };
  }

  protected override render(): ReactElement {
    return (
      <Form
        draft={this.draft}
        texts={this.texts}
        onChange={draft => {
          this.draft = draft;
        }}
      />
    );
  }
}

interface FormProps {
  readonly draft: ExpressionDraft;
  readonly texts: Texts;
  onChange(draft: ExpressionDraft): void;
}

function Form({ draft: first, texts, onChange }: FormProps): ReactElement {
  const [draft, setDraft] = useState(first);
  const change = (part: Partial<ExpressionDraft>): void => {
    const next = { ...draft, ...part };
    setDraft(next);
    onChange(next);
  };
  const changeOperand = (index: number, name: string, path: string): void =>
    change({ operands: draft.operands.map((pair, i) => (i === index ? [name, path] : pair)) });
  const nextName = String.fromCharCode('a'.charCodeAt(0) + draft.operands.length);
  return (
    <>
      {draft.problem && <Notice kind="error" text={draft.problem} />}
      <label>
        {texts.__('Name')}
        <input
          className="jp-mod-styled jp-Caterva2-form-name"
          value={draft.name}
          placeholder={texts.__('difference')}
          onChange={event => change({ name: event.currentTarget.value })}
        />
      </label>
      <label>
        {texts.__('Expression')}
        <input
          className="jp-mod-styled jp-Caterva2-form-expression"
          value={draft.expression}
          placeholder="(a - b) / b"
          spellCheck={false}
          onChange={event => change({ expression: event.currentTarget.value })}
        />
      </label>
      <div className="jp-Caterva2-form-title">{texts.__('Where')}</div>
      {draft.operands.map(([name, path], index) => (
        <div className="jp-Caterva2-form-operand" key={index}>
          <input
            className="jp-mod-styled"
            value={name}
            aria-label={texts.__('Name in the expression')}
            spellCheck={false}
            onChange={event => changeOperand(index, event.currentTarget.value, path)}
          />
          <span>=</span>
          <input
            className="jp-mod-styled"
            value={path}
            aria-label={texts.__('Path of the dataset')}
            placeholder={texts.__('path of a dataset')}
            spellCheck={false}
            onChange={event => changeOperand(index, name, event.currentTarget.value)}
          />
        </div>
      ))}
      <button
        type="button"
        className="jp-Caterva2-link"
        onClick={() => change({ operands: [...draft.operands, [nextName, '']] })}
      >
        {texts.__('Add a dataset')}
      </button>
    </>
  );
}
