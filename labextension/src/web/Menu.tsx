/** A button that opens a few more things to do: the browser's own popover, so Escape and a click elsewhere close it. */
import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactElement } from 'react';

export interface MenuItem {
  readonly label: string;
  readonly isDangerous?: boolean;
  run(): void;
}

export interface MenuProps {
  /** What the button is about, for those who do not see where it stands. */
  readonly label: string;
  readonly items: readonly MenuItem[];
}

export function Menu({ label, items }: MenuProps): ReactElement {
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const [isOpen, setOpen] = useState(false);
  const id = useId();
  useEffect(() => {
    const element = list.current;
    if (!element) {
      return;
    }
    element.popover = 'auto';
    const onToggle = (event: Event): void => setOpen((event as ToggleEvent).newState === 'open');
    element.addEventListener('toggle', onToggle);
    return () => element.removeEventListener('toggle', onToggle);
  }, []);
  const open = (): void => {
    const [element, anchor] = [list.current, button.current?.getBoundingClientRect()];
    if (!element || !anchor) {
      return;
    }
    element.showPopover();
    const { width, height } = element.getBoundingClientRect();
    const below = anchor.bottom + 4;
    element.style.left = `${Math.max(8, anchor.right - width)}px`;
    element.style.top = `${below + height > innerHeight ? Math.max(8, anchor.top - height - 4) : below}px`;
    element.querySelector('button')?.focus();
  };
  const move = (event: KeyboardEvent): void => {
    const buttons = [...(list.current?.querySelectorAll('button') ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const goals: Readonly<Record<string, number>> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    const goal = goals[event.key];
    if (goal !== undefined) {
      event.preventDefault();
      buttons.at(goal % buttons.length)?.focus();
    } else if (event.key === 'Tab') {
      list.current?.hidePopover();
    }
  };
  return (
    <>
      <button
        ref={button}
        type="button"
        className="c2-button c2-quiet c2-more-button"
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={id}
        onClick={open}
      >
        <span aria-hidden>⋯</span>
      </button>
      <div ref={list} id={id} role="menu" aria-label={label} className="c2-menu" onKeyDown={move}>
        {items.map(item => (
          <button
            key={item.label}
            type="button"
            role="menuitem"
            tabIndex={-1}
            className={item.isDangerous ? 'c2-danger' : undefined}
            onClick={() => {
              list.current?.hidePopover();
              item.run();
            }}
          >
            {item.label}
          </button>
        ))}
      </div>
    </>
  );
}
