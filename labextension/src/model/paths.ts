/** Paths: a root or area, then parts, separated by slashes. */

/** What translates a text with places for values. */
interface Translator {
  __(text: string, ...values: string[]): string;
}

/** The last part. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** All but the last part; empty for a root. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** The root or area. */
export function rootOf(path: string): string {
  const slash = path.indexOf('/');
  return slash < 0 ? path : path.slice(0, slash);
}

/** The path below its root; empty for the root itself. */
export function belowRoot(path: string): string {
  const slash = path.indexOf('/');
  return slash < 0 ? '' : path.slice(slash + 1);
}

/** The roots above a path, from the top, without itself. */
export function ancestorsOf(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'));
}

/** Whether `path` is `directory` or below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/** Say what is wrong with a name that somebody typed; null if nothing is. */
export function nameProblem(name: string, trans: Translator): string | null {
  if (name.trim() === '') {
    return trans.__('A name has at least one character.');
  }
  if (name === '.' || name === '..') {
    return trans.__('"%1" has a meaning of its own and can not be a name.', name);
  }
  const bad = /[/\\\0]/.exec(name);
  return bad ? trans.__('A name can not contain "%1".', bad[0] === '\0' ? 'NUL' : bad[0]) : null;
}
