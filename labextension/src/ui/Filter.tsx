/** The line in which one types what to look for. */
import { closeIcon, searchIcon } from '@jupyterlab/ui-components';
import { useEffect, useRef, useState, type ReactElement } from 'react';

import type { Texts } from './text';

export interface FilterProps {
  readonly value: string;
  /** What was found, in words; empty if nothing is looked for. */
  readonly result: string;
  readonly texts: Texts;
  onFilter(text: string): void;
  /** The reader goes on to what was found. */
  onLeave(): void;
}

export function Filter({ value, result, texts, onFilter, onLeave }: FilterProps): ReactElement {
  const [text, setText] = useState(value);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    setText(known => (known.trim() === value ? known : value));
  }, [value]);
  const change = (next: string): void => {
    setText(next);
    onFilter(next);
  };
  return (
    <div className="jp-Caterva2-filter" role="search" aria-label={texts.__('Datasets')}>
      <div className="jp-Caterva2-filter-box">
        <searchIcon.react tag="span" className="jp-Caterva2-filter-icon" width="14px" height="14px" />
        <input
          ref={input}
          type="text"
          value={text}
          placeholder={texts.__('Find by name, or *.b2nd')}
          aria-label={texts.__('Find datasets and files by name')}
          spellCheck={false}
          onChange={event => change(event.currentTarget.value)}
          onKeyDown={event => {
            if (event.key === 'Escape') {
              change('');
            } else if (event.key === 'ArrowDown' || event.key === 'Enter') {
              event.preventDefault();
              onLeave();
            }
          }}
        />
        {text !== '' && (
          <button
            className="jp-Caterva2-filter-clear"
            title={texts.__('Show everything')}
            onClick={() => {
              change('');
              input.current?.focus();
            }}
          >
            <closeIcon.react tag="span" width="14px" height="14px" />
          </button>
        )}
      </div>
      {result && (
        <div className="jp-Caterva2-filter-result" role="status">
          {result}
        </div>
      )}
    </div>
  );
}
