/** The windows in which superusers do something with a user. */
import { useCallback, useState, type ReactElement } from 'react';

import { formatTime } from '../ui/format';
import { Notice } from '../ui/Notice';
import type { Me } from './account';
import type { ManagedUser, Management, ResetLink } from './management';
import { Field, Modal } from './Modal';
import { useKept } from './useKept';

export type UserWish =
  | { readonly kind: 'add' }
  | { readonly kind: 'promote' | 'demote' | 'tokens' | 'groups' | 'reset' | 'remove'; readonly user: ManagedUser };

interface DialogProps {
  readonly management: Management;
  onClose(): void;
}

interface OfUserProps extends DialogProps {
  readonly user: ManagedUser;
}

export function UserDialog(props: DialogProps & { readonly wish: UserWish; readonly me: Me }): ReactElement {
  const { wish, me, management, onClose } = props;
  if (wish.kind === 'add') {
    return <AddUser management={management} onClose={onClose} />;
  }
  const { user } = wish;
  switch (wish.kind) {
    case 'tokens':
      return <Tokens user={user} management={management} onClose={onClose} />;
    case 'groups':
      return <Groups user={user} management={management} onClose={onClose} />;
    case 'reset':
      return <Reset user={user} management={management} onClose={onClose} />;
    case 'promote':
      return (
        <Modal
          title="Make a superuser"
          action="Make a superuser"
          onClose={onClose}
          onAction={async () => {
            await management.change(user.email, { is_superuser: true });
            onClose();
          }}
        >
          <p>{`${user.email} will see every root, manage all users, and see how the service is.`}</p>
        </Modal>
      );
    case 'demote':
      return (
        <Modal
          title="Make an ordinary user"
          action="Make an ordinary user"
          isDangerous
          onClose={onClose}
          onAction={async () => {
            await management.change(user.email, { is_superuser: false });
            onClose();
          }}
        >
          <p>
            {user.id === me.id
              ? 'This is you. You will not be able to come back to this page, unless another superuser lets you.'
              : `${user.email} will not manage users any more, and see only what his access allows.`}
          </p>
        </Modal>
      );
    case 'remove':
      return (
        <Modal
          title="Remove user"
          action="Remove"
          isDangerous
          onClose={onClose}
          onAction={async () => {
            await management.remove(user.email);
            onClose();
          }}
        >
          <p>
            {user.id === me.id ? 'This is you. ' : ''}
            {`Remove ${user.email} with all files in @personal, all tokens and share links? It can not be undone.`}
          </p>
        </Modal>
      );
  }
}

function AddUser({ management, onClose }: DialogProps): ReactElement {
  const [name, setName] = useState('');
  const [isSuperuser, setSuperuser] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const password = made?.split(', password: ')[1];
  if (made !== null) {
    return (
      <Modal title="User added" onClose={onClose}>
        <p>{`${name} can log in with this password. It is shown only once.`}</p>
        <Secret text={password ?? made} what="password" />
      </Modal>
    );
  }
  return (
    <Modal
      title="Add user"
      action="Add"
      onClose={onClose}
      onAction={async () => setMade(await management.add(name, isSuperuser))}
    >
      <Field label="E-mail" type="email" value={name} isFirst onChange={setName} />
      <label className="c2-check">
        <input
          type="checkbox"
          checked={isSuperuser}
          onChange={event => setSuperuser(event.currentTarget.checked)}
        />
        superuser: manages users, and sees every root
      </label>
    </Modal>
  );
}

function Groups({ user, management, onClose }: OfUserProps): ReactElement {
  const [text, setText] = useState(user.groups.join(', '));
  return (
    <Modal
      title={`Groups of ${user.email}`}
      action="Save"
      onClose={onClose}
      onAction={async () => {
        const groups = text.split(',').flatMap(name => name.trim() || []);
        await management.change(user.email, { groups });
        onClose();
      }}
    >
      <Field
        label="Groups"
        value={text}
        isFirst
        isRequired={false}
        hint="Names with commas between them; nothing leaves all groups. The operator says which roots a group may see."
        onChange={setText}
      />
    </Modal>
  );
}

function Reset({ user, management, onClose }: OfUserProps): ReactElement {
  const [made, setMade] = useState<ResetLink | null>(null);
  if (made !== null) {
    return (
      <Modal title={`Reset link for ${user.email}`} onClose={onClose}>
        <p>{`Hand it over; it works once, until ${formatTime(made.expires)}, and is shown only now.`}</p>
        <Secret text={made.link} what="link" />
      </Modal>
    );
  }
  return (
    <Modal
      title={`Reset link for ${user.email}`}
      action="Make a link"
      onClose={onClose}
      onAction={async () => setMade(await management.resetLink(user.email))}
    >
      <p>
        Whoever has the link can set a new password. That ends all sessions, tokens and share links of the user.
        Earlier links stop working.
      </p>
    </Modal>
  );
}

function Tokens({ user, management, onClose }: OfUserProps): ReactElement {
  const read = useCallback(() => management.tokens(user.email), [management, user.email]);
  const { items: tokens, problem, attempt } = useKept(read);
  return (
    <Modal title={`Tokens of ${user.email}`} isWide onClose={onClose}>
      {problem !== null && <Notice kind="error" text={problem} action="Try again" onAction={() => void attempt()} />}
      {tokens === null && problem === null && <p className="c2-hint">Reading the tokens…</p>}
      {tokens?.length === 0 && <p className="c2-empty">There are no tokens.</p>}
      {tokens !== null && tokens.length > 0 && (
        <ul className="c2-list">
          {tokens.map(token => (
            <li key={token.id}>
              <span className="c2-list-text">
                <strong>{token.name}</strong>
                <span className="c2-hint">
                  {`${GOOD_FOR[token.scope] ?? token.scope} · ends ${token.expires ? formatTime(token.expires) : 'never'} · `}
                  {token.last_used ? `last used ${formatTime(token.last_used)}` : 'never used'}
                </span>
              </span>
              <button
                type="button"
                className="c2-button c2-danger"
                aria-label={`Revoke the token ${token.name}`}
                onClick={() => void attempt(() => management.revokeToken(token.id))}
              >
                Revoke
              </button>
            </li>
          ))}
        </ul>
      )}
    </Modal>
  );
}

const GOOD_FOR: Readonly<Record<string, string>> = {
  read: 'for reading',
  write: 'for reading and writing',
  admin: 'for managing users'
};

/** Something that is shown only once, to be copied. */
function Secret({ text, what }: { readonly text: string; readonly what: string }): ReactElement {
  const [isCopied, setCopied] = useState(false);
  return (
    <div className="c2-made">
      <code className="c2-secret">{text}</code>
      <button
        type="button"
        className="c2-button"
        onClick={() => {
          void navigator.clipboard?.writeText(text).then(() => setCopied(true));
        }}
      >
        {`Copy ${what}`}
      </button>
      <span className="c2-hint c2-copied" role="status">
        {isCopied ? 'Copied' : ''}
      </span>
    </div>
  );
}
