/** A link that lets others read a part without an account. */
import { useState, type ReactElement } from 'react';

import type { TreeEntry } from '../api/types';
import type { Account } from './account';
import { copyText } from './clipboard';
import { Field, Modal } from './Modal';
import { isContainer } from './session';

export interface ShareDialogProps {
  readonly entry: TreeEntry;
  readonly account: Account;
  onClose(): void;
}

export function ShareDialog({ entry, account, onClose }: ShareDialogProps): ReactElement {
  const [name, setName] = useState('');
  const [days, setDays] = useState('30');
  const [url, setUrl] = useState<string | null>(null);
  const [copied, setCopied] = useState(false);
  if (url !== null) {
    return (
      <Modal key="made" title={`Link to ${entry.name}`} onClose={onClose}>
        <p>Who has this link can read it without an account, until it ends or you revoke it in your account.</p>
        <code className="c2-secret" data-testid="share">
          {url}
        </code>
        <button
          type="button"
          className="c2-button"
          onClick={() => {
            void copyText(url).then(setCopied);
          }}
        >
          {copied ? 'Copied' : 'Copy the link'}
        </button>
      </Modal>
    );
  }
  return (
    <Modal
      key="new"
      title={`Share ${entry.path}`}
      action="Make a link"
      onClose={onClose}
      onAction={async () => {
        const made = await account.createShare(entry.path, name, Number(days));
        setUrl(made.url ?? null);
      }}
    >
      <p className="c2-hint">
        {isContainer(entry)
          ? 'The link opens the directory with everything in it, to read, and nothing else.'
          : 'The link opens this file, to read, and nothing else.'}
      </p>
      <Field label="For whom or what (you may leave it out)" value={name} isRequired={false} isFirst onChange={setName} />
      <Field label="Days until it ends" type="number" value={days} onChange={setDays} />
    </Modal>
  );
}
