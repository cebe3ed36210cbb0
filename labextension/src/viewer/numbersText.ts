/** Numbers and counts as people read them, and where an axis has its marks. */

/** Write a number shortly, with about `digits` significant digits. */
export function formatNumber(value: number, digits = 6): string {
  if (Number.isNaN(value)) {
    return 'NaN';
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? '∞' : '−∞';
  }
  if (Number.isInteger(value) && Math.abs(value) < 1e15) {
    return minus(value.toString());
  }
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-4) {
    const [mantissa = '', exponent = ''] = value.toExponential(digits - 1).split('e');
    return minus(`${trimZeros(mantissa)}e${exponent.replace('+', '')}`);
  }
  return minus(trimZeros(value.toPrecision(Math.max(digits, Math.floor(Math.log10(size)) + 1))));
}

/** Write a number where there is little room. */
export function formatShort(value: number, digits = 4): string {
  if (Number.isFinite(value) && Math.abs(value) >= 1e6) {
    const [mantissa = '', exponent = ''] = value.toExponential(digits - 1).split('e+');
    return minus(`${trimZeros(mantissa)}e${exponent}`);
  }
  return formatNumber(value, digits);
}

/** Return the digits that tell marks of an axis apart, as far as there is room: `1020.5` and `1021`. */
export function digitsOf(marks: readonly number[], least: number): number {
  const largest = Math.max(...marks.map(Math.abs));
  const step = Math.min(...marks.slice(1).map((mark, index) => Math.abs(mark - (marks[index] ?? 0))));
  const needs = Math.ceil(Math.log10(largest / step)) + 1;
  return Number.isFinite(needs) ? Math.max(least, Math.min(11, needs)) : least;
}

/** Write a count; from five digits on with thin spaces between thousands. */
export function formatCount(value: number): string {
  if (value < 10000) {
    return value.toString();
  }
  return value.toString().replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

/** Write a shape: `8192 × 8192`. */
export function formatShape(shape: readonly number[], scalar = 'scalar'): string {
  return shape.length === 0 ? scalar : shape.map(formatCount).join(' × ');
}

/** Write a number of bytes. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit] ?? ''}`;
}

/** Write a seconds' number as a time span: `40 s`, `3 min`, `2 h`, `5 d`. */
export function formatAge(seconds: number, t: (text: string) => string = asItIs): string {
  const say = (text: string, value: number): string => text.replace('%1', String(Math.round(value)));
  if (seconds < 90) {
    return say(t('%1 s'), seconds);
  }
  if (seconds < 5400) {
    return say(t('%1 min'), seconds / 60);
  }
  return seconds < 172800 ? say(t('%1 h'), seconds / 3600) : say(t('%1 d'), seconds / 86400);
}

/** Write an ordinal: `8th`, `2nd`. */
export function formatOrdinal(value: number, t: (text: string) => string = asItIs): string {
  const tens = value % 100;
  const last = tens > 10 && tens < 14 ? 0 : value % 10;
  const forms = [t('%1th'), t('%1st'), t('%1nd'), t('%1rd')];
  return (forms[last] ?? t('%1th')).replace('%1', String(value));
}

function asItIs(text: string): string {
  return text;
}

/** Return round numbers between two, at most about `count` of them. */
export function ticks(from: number, to: number, count: number, whole = false): number[] {
  const span = to - from;
  if (!(span > 0) || !Number.isFinite(span) || count < 1) {
    return [];
  }
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = [1, 2, 5, 10].find(one => one * power >= rough) ?? 10;
  const step = whole ? Math.max(1, Math.round(unit * power)) : unit * power;
  // Far from zero a count of steps has no digits left: the marks are counted, not the steps.
  const first = Math.ceil(from / step - 1e-9);
  const far = Math.max(Math.abs(from), Math.abs(to)) / step;
  const digits = Math.min(17, Math.max(12, Math.ceil(Math.log10(far)) + 2));
  const marks = new Set<number>();
  for (let index = 0; index <= span / step + 1; index++) {
    const mark = Number(((first + index) * step).toPrecision(digits));
    if (mark >= from - step * 1e-9 && mark <= to + step * 1e-9) {
      marks.add(mark);
    }
  }
  return [...marks];
}

/** Return marks of a logarithmic axis: powers of ten, and if these are few their multiples. */
export function logTicks(from: number, to: number, count: number): number[] {
  if (!(from > 0) || !(to > from)) {
    return [];
  }
  const [first, last] = [Math.floor(Math.log10(from)), Math.ceil(Math.log10(to))];
  const every = Math.max(1, Math.ceil((last - first) / Math.max(1, count)));
  const multiples = last - first <= 2 ? [1, 2, 5] : [1];
  const marks: number[] = [];
  for (let power = first; power <= last; power += every) {
    marks.push(...multiples.map(one => Number((one * 10 ** power).toPrecision(12))));
  }
  return marks.filter(mark => mark >= from * (1 - 1e-9) && mark <= to * (1 + 1e-9));
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

function minus(text: string): string {
  return text.replace(/-/g, '−');
}
