/** The users of a subscriber: who they are, how much room they take and may take, what they may do. */
import { useEffect, useMemo, useRef, useState, type FormEvent, type ReactElement } from 'react';

import { toApiError } from '../api/errors';
import { Notice } from '../ui/Notice';
import { formatCount } from '../ui/format';
import { useSignal } from '../ui/useSignal';
import type { Me } from './account';
import type { ManagedUser, Management } from './management';
import { Menu } from './Menu';
import { RoomBar } from './RoomBar';
import { formatRoom, readLimit, writeLimit } from './sizes';
import { formatPercent } from './times';
import { UserDialog, type UserWish } from './UserDialogs';
import { UserList } from './userList';

export interface UsersPanelProps {
  readonly management: Management;
  readonly me: Me;
  /** What is known of oneself may be out of date. */
  onMyself(): void;
}

export function UsersPanel({ management, me, onMyself }: UsersPanelProps): ReactElement {
  const list = useMemo(() => new UserList(management), [management]);
  useEffect(() => {
    void list.refresh();
    return () => list.dispose();
  }, [list]);
  useSignal(list.changed);
  const [text, setText] = useState('');
  const [wish, setWish] = useState<UserWish | null>(null);
  const [edited, setEdited] = useState<string | null>(null);
  const { users, problem } = list;
  return (
    <section aria-label="Users">
      <div className="c2-bar-line">
        <input
          type="search"
          className="c2-search"
          aria-label="Find users by e-mail"
          placeholder="Find users by e-mail"
          autoComplete="off"
          spellCheck={false}
          value={text}
          onChange={event => {
            setText(event.currentTarget.value);
            list.find(event.currentTarget.value);
          }}
        />
        <span className="c2-hint" role="status">
          {users === null ? '' : list.total === 1 ? '1 user' : `${formatCount(list.total)} users`}
        </span>
        <span className="c2-spring" />
        <button className="c2-button c2-primary" onClick={() => setWish({ kind: 'add' })}>
          Add user
        </button>
      </div>
      {problem !== null && (
        <Notice
          kind="error"
          text={users === null ? problem : `${problem} What is shown is what was known before.`}
          action="Try again"
          onAction={() => void list.refresh()}
        />
      )}
      {users === null && problem === null && <p className="c2-hint">Reading the users…</p>}
      {users !== null && users.length === 0 && (
        <p className="c2-empty">{list.filter.trim() === '' ? 'There are no users.' : 'No user has this in his e-mail.'}</p>
      )}
      {users !== null && users.length > 0 && (
        <table className="c2-table c2-users" role="table" aria-label="Users">
          <thead role="rowgroup">
            <tr role="row">
              <th role="columnheader" scope="col">
                User
              </th>
              <th role="columnheader" scope="col">
                Room in @personal
              </th>
              <th role="columnheader" scope="col">
                Superuser
              </th>
              <th role="columnheader" scope="col">
                Tokens
              </th>
              <th role="columnheader" scope="col">
                <span className="c2-hidden">More</span>
              </th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            {users.map(user => (
              <UserRow
                key={user.id}
                user={user}
                isMe={user.id === me.id}
                common={list.quota}
                isEdited={edited === user.id}
                onWish={setWish}
                onEdit={isEdited => setEdited(isEdited ? user.id : null)}
                onLimit={async quota => {
                  await management.change(user.email, { quota });
                  await list.refresh();
                }}
              />
            ))}
          </tbody>
        </table>
      )}
      {users !== null && (list.hasPrevious || list.hasNext) && (
        <nav className="c2-pages" aria-label="Pages of users">
          <button className="c2-button" disabled={!list.hasPrevious} onClick={() => void list.previous()}>
            Previous
          </button>
          <span className="c2-hint">
            {`${formatCount(list.first)} to ${formatCount(list.first + users.length - 1)} of ${formatCount(list.total)}`}
          </span>
          <button className="c2-button" disabled={!list.hasNext} onClick={() => void list.next()}>
            Next
          </button>
        </nav>
      )}
      {wish !== null && (
        <UserDialog
          wish={wish}
          me={me}
          management={management}
          onClose={() => {
            setWish(null);
            if (wish.kind !== 'add' && wish.user.id === me.id) {
              onMyself();
            }
            void list.refresh();
          }}
        />
      )}
    </section>
  );
}

interface UserRowProps {
  readonly user: ManagedUser;
  readonly isMe: boolean;
  /** The limit of all. */
  readonly common: number | null;
  readonly isEdited: boolean;
  onWish(wish: UserWish): void;
  onEdit(isEdited: boolean): void;
  onLimit(quota: number | null): Promise<void>;
}

function UserRow({ user, isMe, common, isEdited, onWish, onEdit, onLimit }: UserRowProps): ReactElement {
  const { email } = user;
  const wasEdited = useRef(false);
  useEffect(() => {
    wasEdited.current = isEdited;
  }, [isEdited]);
  return (
    <tr role="row" data-email={email}>
      <td role="cell" className="c2-who">
        <span className="c2-email">{email}</span>
        {isMe && <span className="c2-chip c2-chip-me">you</span>}
        {user.groups.length > 0 && (
          <span className="c2-chips">
            {user.groups.map(group => (
              <span key={group} className="c2-chip" title={`Is in the group ${group}`}>
                {group}
              </span>
            ))}
          </span>
        )}
      </td>
      <td role="cell" className="c2-room-cell">
        {isEdited ? (
          <LimitForm user={user} common={common} onLimit={onLimit} onClose={() => onEdit(false)} />
        ) : (
          <Room user={user} isFirst={wasEdited.current} onEdit={() => onEdit(true)} />
        )}
      </td>
      <td role="cell" className="c2-switch-cell">
        <button
          type="button"
          role="switch"
          className="c2-switch"
          aria-checked={user.is_superuser}
          aria-label={`${email} is a superuser`}
          onClick={() => onWish({ kind: user.is_superuser ? 'demote' : 'promote', user })}
        />
        <span className="c2-only-narrow" aria-hidden>
          Superuser
        </span>
      </td>
      <td role="cell" className="c2-token-cell">
        <button
          type="button"
          className="c2-button c2-quiet c2-number"
          aria-label={`${user.ntokens} ${user.ntokens === 1 ? 'token' : 'tokens'} of ${email}`}
          onClick={() => onWish({ kind: 'tokens', user })}
        >
          {user.ntokens}
          <span className="c2-only-narrow">{user.ntokens === 1 ? ' token' : ' tokens'}</span>
        </button>
      </td>
      <td role="cell" className="c2-more-cell">
        <Menu
          label={`More about ${email}`}
          items={[
            { label: 'Groups…', run: () => onWish({ kind: 'groups', user }) },
            { label: 'Reset link…', run: () => onWish({ kind: 'reset', user }) },
            { label: 'Remove…', isDangerous: true, run: () => onWish({ kind: 'remove', user }) }
          ]}
        />
      </td>
    </tr>
  );
}

interface RoomProps {
  readonly user: ManagedUser;
  /** It comes back after its limit was edited, and the keyboard with it. */
  readonly isFirst: boolean;
  onEdit(): void;
}

function Room({ user, isFirst, onEdit }: RoomProps): ReactElement {
  const { email, used, quota } = user;
  const room = formatRoom(used, quota);
  const whole = quota === null || quota === undefined ? '' : ` (${formatPercent(used, quota)})`;
  const text = room.limit === null ? `${room.used}, no limit` : `${room.used} of ${room.limit}${whole}`;
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isFirst) {
      button.current?.focus();
    }
  }, []);
  return (
    <div className="c2-room-box">
      <div className="c2-room-bar">
        <RoomBar used={used} limit={quota} label={`Room of ${email}`} text={user.own_quota ? `${text}, his own limit` : text} />
      </div>
      <button
        ref={button}
        type="button"
        className="c2-button c2-quiet c2-edit"
        aria-label={`Change the limit of ${email}`}
        onClick={onEdit}
      >
        Limit
      </button>
    </div>
  );
}

interface LimitFormProps {
  readonly user: ManagedUser;
  readonly common: number | null;
  onLimit(quota: number | null): Promise<void>;
  onClose(): void;
}

function LimitForm({ user, common, onLimit, onClose }: LimitFormProps): ReactElement {
  const [text, setText] = useState(user.own_quota ? writeLimit(user.quota) : 'default');
  const [problem, setProblem] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const id = `c2-limit-${user.id}`;
  useEffect(() => input.current?.select(), []);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const found = readLimit(text);
    if ('problem' in found) {
      setProblem(found.problem);
      input.current?.focus();
      return;
    }
    setBusy(true);
    try {
      await onLimit(found.quota);
      onClose();
    } catch (reason) {
      setProblem(toApiError(reason).sentence);
      setBusy(false);
    }
  };
  return (
    <form
      className="c2-limit"
      onSubmit={event => void submit(event)}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          onClose();
        }
      }}
    >
      <div className="c2-limit-line">
        <input
          ref={input}
          autoFocus
          value={text}
          aria-label={`Limit of ${user.email}`}
          aria-invalid={problem !== null}
          aria-describedby={id}
          autoComplete="off"
          spellCheck={false}
          onChange={event => setText(event.currentTarget.value)}
        />
        <button className="c2-button c2-primary" disabled={isBusy}>
          Save
        </button>
        <button type="button" className="c2-button" onClick={onClose}>
          Cancel
        </button>
      </div>
      <p id={id} className={problem === null ? 'c2-hint' : 'c2-wrong'} role={problem === null ? undefined : 'alert'}>
        {problem ?? `A size such as 10 GiB, “none”, or “default” (${common === null ? 'no limit' : writeLimit(common)}).`}
      </p>
    </form>
  );
}
