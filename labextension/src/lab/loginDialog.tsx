/** Asks who one is at a subscriber. */
import { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { ReactElement } from 'react';

import { Notice } from '../ui/Notice';
import type { Texts } from '../ui/text';

export interface LoginDraft {
  /** Address of the subscriber. */
  readonly where: string;
  readonly user: string;
  readonly password: string;
  /** Why it was refused. */
  readonly problem?: string;
}

/** Ask; null if the user would rather not. */
export async function askLogin(draft: LoginDraft, trans: TranslationBundle): Promise<LoginDraft | null> {
  const dialog = new Dialog<LoginDraft>({
    title: trans.__('Log in to the subscriber'),
    body: new LoginForm(draft, trans),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Log in') })],
    focusNodeSelector: draft.user ? 'input[type=password]' : 'input'
  });
  const answer = await dialog.launch();
  return answer.button.accept ? answer.value : null;
}

class LoginForm extends ReactWidget implements Dialog.IBodyWidget<LoginDraft> {
  constructor(
    private readonly draft: LoginDraft,
    private readonly texts: Texts
  ) {
    super();
    this.addClass('jp-Caterva2-form');
  }

  getValue(): LoginDraft {
    const value = (name: string): string =>
      this.node.querySelector<HTMLInputElement>(`input[name=${name}]`)?.value ?? '';
    return { where: this.draft.where, user: value('user').trim(), password: value('password') };
  }

  protected override render(): ReactElement {
    const { where, user, problem } = this.draft;
    const { texts } = this;
    return (
      <>
        <div className="jp-Caterva2-form-title">{where}</div>
        {problem && <Notice kind="error" text={problem} />}
        <label>
          {texts.__('User')}
          <input
            className="jp-mod-styled"
            name="user"
            defaultValue={user}
            placeholder="name@example.org"
            autoComplete="username"
            spellCheck={false}
          />
        </label>
        <label>
          {texts.__('Password')}
          <input className="jp-mod-styled" name="password" type="password" autoComplete="current-password" />
        </label>
      </>
    );
  }
}
