/** Addresses of the page: what is shown, as text that can be sent to somebody else. */
import { encodePath } from '../api/client';
import { readState, type ViewerState } from '../viewer/state';

export type Place =
  | { readonly kind: 'home' }
  | { readonly kind: 'path'; readonly path: string; readonly state: ViewerState }
  | { readonly kind: 'login' }
  | { readonly kind: 'register' }
  | { readonly kind: 'forgot-password' }
  | { readonly kind: 'account' }
  | { readonly kind: 'admin'; readonly part?: 'service' }
  | { readonly kind: 'reset-password'; readonly token: string };

const TEXT = ['view', 'field', 'part', 'colorMap', 'scale', 'aspect', 'filter', 'sortby'] as const;
const NUMBER = ['x', 'y'] as const;
const FLAG = ['reversed', 'summary'] as const;
const PAGES = ['login', 'register', 'forgot-password', 'account', 'admin'] as const;

/** Read an address; `below` is what follows the base, without a slash in front. */
export function readPlace(below: string, query: string): Place {
  const [first = '', ...rest] = below.split('/');
  const page = PAGES.find(name => name === first);
  if (page === 'admin' && rest[0] === 'service') {
    return { kind: page, part: 'service' };
  }
  if (page) {
    return { kind: page };
  }
  if (first === 'reset-password') {
    return { kind: 'reset-password', token: decode(rest.join('/')) };
  }
  const path = rest.filter(part => part !== '').map(decode).join('/');
  return first === 'roots' && path ? { kind: 'path', path, state: readQuery(query) } : { kind: 'home' };
}

/** Write an address, relative to the base. */
export function writePlace(place: Place): string {
  switch (place.kind) {
    case 'home':
      return './';
    case 'path':
      return `roots/${encodePath(place.path)}${writeQuery(place.state)}`;
    case 'reset-password':
      return `reset-password/${encodeURIComponent(place.token)}`;
    case 'admin':
      return place.part ? `admin/${place.part}` : 'admin';
    default:
      return place.kind;
  }
}

/** What a viewer shows, from the query of an address. */
export function readQuery(query: string): ViewerState {
  const given = new URLSearchParams(query);
  const value: Record<string, unknown> = {};
  for (const name of TEXT) {
    const text = given.get(name);
    if (text !== null) {
      value[name] = text;
    }
  }
  for (const name of NUMBER) {
    if (given.has(name)) {
      value[name] = Number(given.get(name));
    }
  }
  for (const name of FLAG) {
    if (given.has(name)) {
      value[name] = given.get(name) !== '0';
    }
  }
  const list = (name: string): number[] | undefined => given.get(name)?.split(',').map(Number);
  value['indices'] = list('at');
  const [x0, x1, y0, y1] = list('zoom') ?? [];
  value['zoom'] = { x0, x1, y0, y1 };
  const [kind, low, high] = given.get('range')?.split(',') ?? [];
  value['range'] = { kind, low: Number(low), high: Number(high) };
  return readState(value);
}

/** The query of an address, with its question mark; empty if there is nothing to say. */
export function writeQuery(state: ViewerState): string {
  const pairs: [string, string][] = [];
  for (const name of [...TEXT, ...NUMBER]) {
    if (state[name] !== undefined) {
      pairs.push([name, String(state[name])]);
    }
  }
  for (const name of FLAG) {
    if (state[name] !== undefined) {
      pairs.push([name, state[name] ? '1' : '0']);
    }
  }
  const { indices, zoom, range } = state;
  if (indices) {
    pairs.push(['at', indices.join(',')]);
  }
  if (zoom) {
    pairs.push(['zoom', [zoom.x0, zoom.x1, zoom.y0, zoom.y1].join(',')]);
  }
  if (range) {
    pairs.push(['range', range.kind === 'auto' ? 'auto' : `${range.kind},${range.low},${range.high}`]);
  }
  const text = new URLSearchParams(pairs).toString().replaceAll('%2C', ',');
  return text ? `?${text}` : '';
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
