/** A link to a place of the page; with a modifier key the browser does what it always does. */
import type { ReactElement, ReactNode } from 'react';

import type { Place } from './address';
import type { Router } from './router';

export interface LinkProps {
  readonly router: Router;
  readonly place: Place;
  readonly className?: string;
  readonly title?: string | undefined;
  readonly tabIndex?: number;
  readonly children: ReactNode;
}

export function Link({ router, place, className = 'c2-link', title, tabIndex, children }: LinkProps): ReactElement {
  return (
    <a
      className={className}
      href={router.url(place)}
      title={title}
      tabIndex={tabIndex}
      aria-current={router.url(place) === router.url(router.place) ? 'page' : undefined}
      onClick={event => {
        if (!event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey && event.button === 0) {
          event.preventDefault();
          router.go(place);
        }
      }}
    >
      {children}
    </a>
  );
}
