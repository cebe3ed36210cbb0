/** Numbers and types as people read them in a narrow column. */
import { isStructured } from '../model/entries';
import { readLiteral } from '../model/literal';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** `1.2 MB`; decimal units, as file managers have them. */
export function formatBytes(nbytes: number): string {
  let value = nbytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const text = unit === 0 || value >= 99.5 ? value.toFixed(0) : value >= 9.95 ? value.toFixed(1) : value.toFixed(2);
  return `${text.includes('.') ? text.replace(/\.?0+$/, '') : text} ${UNITS[unit] ?? ''}`;
}

/** `1024 × 64`; a number without axes is a scalar. */
export function formatShape(shape: readonly number[], scalar = 'scalar'): string {
  return shape.length === 0 ? scalar : shape.map(formatCount).join(' × ');
}

/** `1024×64`, where there is little room. */
export function compactShape(shape: readonly number[], scalar = 'scalar'): string {
  return shape.length === 0 ? scalar : shape.join('×');
}

/** `12\u202f000`: a comma would look like one between axes. */
export function formatCount(count: number): string {
  return Math.abs(count) < 10_000 ? String(count) : String(count).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** Number of fields in the text of a structured dtype. */
export function countFields(dtype: string): number {
  return fieldNames(dtype).length;
}

/** The names of the fields in the text of a structured dtype. */
export function fieldNames(dtype: string): string[] {
  if (!isStructured(dtype)) {
    return [];
  }
  const described = readLiteral(dtype);
  if (Array.isArray(described)) {
    // A field may have a title before its name.
    return described.map((row: unknown) => nameOf(Array.isArray(row) ? row[0] : row));
  }
  const names = typeof described === 'object' && described !== null && 'names' in described ? described.names : [];
  return Array.isArray(names) ? names.map(String) : [];
}

function nameOf(named: unknown): string {
  return String(Array.isArray(named) ? named[1] : named);
}

/** A dtype without what goes without saying: `<f8` is `float64` already on the server. */
export function formatDtype(dtype: string): string {
  return dtype.replace(/^[<|=]/, '');
}

/** `2026-11-24 13:05`, in the time of the reader. */
export function formatTime(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) {
    return iso;
  }
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${day} ${two(time.getHours())}:${two(time.getMinutes())}`;
}

/** `4.2`: how many times smaller it is stored. */
export function formatRatio(ratio: number): string {
  const digits = ratio >= 100 ? 0 : ratio >= 10 ? 1 : 2;
  return ratio.toFixed(digits);
}
