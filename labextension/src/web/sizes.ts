/** Sizes as people write them for limits: as in the configuration, K, M, G and T count in 1024. */
import { formatBytes } from '../ui/format';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
const LETTERS = ['', 'K', 'M', 'G', 'T'];
/** A page can not tell larger numbers from their neighbours. */
const MOST = Number.MAX_SAFE_INTEGER;

/** No limit, as the API has it; null is the limit of all. */
export const NO_LIMIT = 0;

/** A limit that was understood, or why it was not. */
export type ReadLimit = { readonly quota: number | null } | { readonly problem: string };

/** Understand a limit: a size, `none`, or `default`. */
export function readLimit(text: string): ReadLimit {
  const word = text.trim().toLowerCase();
  if (word === 'default') {
    return { quota: null };
  }
  if (word === 'none' || word === 'no limit') {
    return { quota: NO_LIMIT };
  }
  const match = /^(\d+(?:[.,]\d*)?|[.,]\d+)\s*([kmgt]?)(i?b)?$/.exec(word);
  const [, digits = '', letter = '', rest = ''] = match ?? [];
  const advice = 'Write a size such as 10 GiB, or “none”, or “default”.';
  if (match === null || (rest === 'ib' && letter === '')) {
    const what = word === '' ? 'There is nothing' : `“${text.trim()}” is not a size`;
    return { problem: `${what}. ${advice}` };
  }
  const value = Math.floor(Number(digits.replace(',', '.')) * 1024 ** LETTERS.indexOf(letter.toUpperCase()));
  if (value > MOST) {
    return { problem: `“${text.trim()}” is larger than any disk. ${advice}` };
  }
  if (value < 1) {
    return { problem: 'A limit of nothing would let nobody store anything. For no limit write “none”.' };
  }
  return { quota: value };
}

/** Write a limit so that reading it gives the same number. */
export function writeLimit(quota: number | null): string {
  if (quota === null) {
    return 'none';
  }
  const unit = binaryUnit(quota);
  return unit === null ? `${quota}` : `${quota / 1024 ** unit} ${UNITS[unit]}`;
}

/** Bytes that are taken, and may be: both in the unit system of the limit, so that they can be compared. */
export function formatRoom(used: number, limit: number | null): { used: string; limit: string | null } {
  if (limit === null) {
    return { used: formatBytes(used), limit: null };
  }
  return binaryUnit(limit) === null
    ? { used: formatBytes(used), limit: formatBytes(limit) }
    : { used: formatBinary(used), limit: writeLimit(limit) };
}

/** `1.2 MiB`. */
export function formatBinary(nbytes: number): string {
  let value = nbytes;
  let unit = 0;
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2;
  return `${Number(value.toFixed(digits))} ${UNITS[unit]}`;
}

/** The largest unit in which a number has at most two decimals; null if there is none above the byte. */
function binaryUnit(nbytes: number): number | null {
  for (let unit = UNITS.length - 1; unit > 0; unit -= 1) {
    const hundredths = (nbytes * 100) / 1024 ** unit;
    if (hundredths >= 100 && Number.isInteger(hundredths)) {
      return unit;
    }
  }
  return null;
}
