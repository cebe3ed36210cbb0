/** Markup that strangers wrote, made harmless before it comes near the page. */

import DOMPurify, { type Config } from 'dompurify';
import { marked } from 'marked';

/** Return the address of an image that stands beside the document; undefined if it may not be loaded. */
export type ImageAddress = (source: string) => string | undefined;

const CONFIG: Config = {
  USE_PROFILES: { html: true },
  FORBID_TAGS: [
    'style',
    'form',
    'input',
    'button',
    'textarea',
    'select',
    'option',
    'dialog',
    'video',
    'audio',
    'source',
    'track',
    'map',
    'area',
    'template',
    'slot'
  ],
  FORBID_ATTR: [
    'style',
    'class',
    'id',
    'name',
    'srcset',
    'background',
    'ping',
    'action',
    'formaction',
    'tabindex',
    'autofocus',
    'popover',
    'slot',
    'part'
  ],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP:
    /^(?:https?:|mailto:|#|data:image\/(?:png|jpeg|gif|webp);base64,|(?![a-z][a-z0-9+.-]*:|\/\/|\\))/i,
  RETURN_DOM_FRAGMENT: true
};

let purifier: ReturnType<typeof DOMPurify> | undefined;

/** Make HTML harmless: no scripts, no styles, no forms, nothing that is fetched from another host. */
export function sanitizeHtml(html: string, imageAddress: ImageAddress): DocumentFragment {
  // It makes a Trusted Types policy, which a page may have once.
  purifier ??= DOMPurify(window);
  const fragment = purifier.sanitize(html, CONFIG) as unknown as DocumentFragment;
  for (const link of fragment.querySelectorAll('a')) {
    const target = link.getAttribute('href') ?? '';
    if (/^(https?:|mailto:)/i.test(target)) {
      link.setAttribute('target', '_blank');
      link.setAttribute('rel', 'noopener noreferrer');
    } else {
      link.removeAttribute('href');
    }
  }
  for (const image of fragment.querySelectorAll('img')) {
    const source = image.getAttribute('src') ?? '';
    const address = /^data:image\//i.test(source) ? source : imageAddress(source);
    image.removeAttribute('src');
    if (address === undefined) {
      image.replaceWith(image.getAttribute('alt') ?? source);
    } else {
      image.addEventListener('error', () => image.replaceWith(image.alt || source), { once: true });
      image.setAttribute('src', address);
      image.setAttribute('loading', 'lazy');
      image.setAttribute('referrerpolicy', 'no-referrer');
    }
  }
  return fragment;
}

/** Render Markdown to harmless HTML. */
export function renderMarkdown(text: string, imageAddress: ImageAddress): DocumentFragment {
  return sanitizeHtml(marked.parse(text, { async: false, gfm: true }), imageAddress);
}

/** Return the path of a file beside another one, within the same root; undefined if it is elsewhere. */
export function besidePath(path: string, source: string): string | undefined {
  if (source === '' || /^[a-z][a-z0-9+.-]*:/i.test(source) || /^[/\\#?]/.test(source)) {
    return undefined;
  }
  const parts = path.split('/').slice(0, -1);
  for (const part of (source.split(/[?#]/)[0] ?? '').split('/')) {
    if (part === '..') {
      parts.pop();
    } else if (part !== '.' && part !== '') {
      parts.push(decoded(part));
    }
  }
  const root = path.split('/')[0];
  const isOdd = (part: string) => /^\.\.?$|[/\ud800-\udfff]/u.test(part);
  return parts[0] === root && parts.length > 1 && !parts.some(isOdd)
    ? parts.join('/')
    : undefined;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
