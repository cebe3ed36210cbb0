/** A new dataset that is computed from others: what it is, why not, what it costs; then it opens. */
import { useEffect, useState, type ReactElement } from 'react';

import type { Explanation, TreeEntry } from '../api/types';
import { formatBytes, formatDtype, formatShape } from '../ui/format';
import { parentOf } from '../model/paths';
import { arrive } from './Dialogs';
import { Field, Modal } from './Modal';
import type { Router } from './router';
import type { Session } from './session';
import { suggest } from './suggest';
import { TEXTS } from './texts';

export interface ExpressionDialogProps {
  /** What it may begin with. */
  readonly entry: TreeEntry | null;
  readonly session: Session;
  readonly router: Router;
  onClose(): void;
}

const PAUSE_MS = 200;

export function ExpressionDialog({ entry, session, router, onClose }: ExpressionDialogProps): ReactElement {
  const first = entry?.shape ? entry.path : '';
  const [name, setName] = useState('');
  const [expression, setExpression] = useState(first ? 'a + 1' : '');
  const [operands, setOperands] = useState<readonly (readonly [string, string])[]>([['a', first]]);
  const [made, setMade] = useState<{ path: string; cost: Explanation } | null>(null);
  const { api, catalog } = session;
  const change = (index: number, operand: readonly [string, string]): void =>
    setOperands(operands.map((each, i) => (i === index ? operand : each)));
  if (made) {
    return (
      <Modal
        key="made"
        title={`${made.path} is ready`}
        action="Open"
        close="Keep it for later"
        onClose={onClose}
        onAction={() => {
          arrive(session, router, made.path);
          onClose();
        }}
      >
        <Cost cost={made.cost} />
        <button
          type="button"
          className="c2-button c2-danger"
          onClick={() => {
            void session.attempt('It could not be deleted.', () => api.remove(made.path).then(() => undefined));
            catalog.refresh(parentOf(made.path));
            onClose();
          }}
        >
          Delete it again
        </button>
      </Modal>
    );
  }
  return (
    <Modal
      key="new"
      title="New expression"
      action="Create"
      isWide
      onClose={onClose}
      onAction={async () => {
        const path = await api.lazyexpr({
          name: name.trim(),
          expression,
          operands: Object.fromEntries(operands.filter(([variable, path]) => variable && path))
        });
        catalog.refresh(parentOf(path));
        setMade({ path, cost: await api.explain(path) });
      }}
    >
      <p className="c2-hint">It is kept in @personal, and computed when it is read. Creating it computes nothing.</p>
      <Field label="Name" value={name} isFirst onChange={setName} />
      <Field label="Expression" value={expression} onChange={setExpression} hint="For example (a - b) / b, sin(a), sum(a, axis=0)" />
      <fieldset className="c2-operands">
        <legend>Where</legend>
        {operands.map(([variable, path], index) => (
          <Operand
            key={index}
            index={index}
            variable={variable}
            path={path}
            session={session}
            onChange={(nextVariable, nextPath) => change(index, [nextVariable, nextPath])}
          />
        ))}
        <button
          type="button"
          className="c2-button"
          onClick={() => setOperands([...operands, [String.fromCharCode(97 + operands.length), '']])}
        >
          Add a dataset
        </button>
      </fieldset>
    </Modal>
  );
}

interface OperandProps {
  readonly index: number;
  readonly variable: string;
  readonly path: string;
  readonly session: Session;
  onChange(variable: string, path: string): void;
}

function Operand({ index, variable, path, session, onChange }: OperandProps): ReactElement {
  const [options, setOptions] = useState<readonly string[]>([]);
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      suggest(session.api, path, abort.signal).then(
        found => setOptions(found),
        () => undefined // without completion one can still type
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [session, path]);
  const list = `c2-operands-${index}`;
  return (
    <div className="c2-operand">
      <input
        value={variable}
        aria-label={`Name ${index + 1} in the expression`}
        spellCheck={false}
        onChange={event => onChange(event.currentTarget.value, path)}
      />
      <span aria-hidden>=</span>
      <input
        value={path}
        aria-label={`Path of dataset ${index + 1}`}
        placeholder="path of a dataset"
        list={list}
        autoComplete="off"
        spellCheck={false}
        onChange={event => onChange(variable, event.currentTarget.value)}
      />
      <datalist id={list}>
        {options.map(option => (
          <option key={option} value={option} />
        ))}
      </datalist>
    </div>
  );
}

/** What reading all of it would cost. */
function Cost({ cost }: { readonly cost: Explanation }): ReactElement {
  return (
    <dl className="c2-facts" data-testid="cost">
      <dt>Result</dt>
      <dd>{`${formatShape(cost.shape as readonly number[], 'scalar')} of ${formatDtype(cost.dtype)}, ${formatBytes(cost.bytes)}`}</dd>
      <dt>To compute all of it</dt>
      <dd>{TEXTS._n('%1 chunk', '%1 chunks', cost.computed_chunks ?? 0)}</dd>
      <dt>To read for that</dt>
      <dd>{`${formatBytes(cost.stored_bytes)}, of which ${formatBytes(cost.missing_bytes)} are not here yet`}</dd>
    </dl>
  );
}
