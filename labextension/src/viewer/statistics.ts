/** Numbers that describe many numbers: of what is shown, which may be a sample. */

import type { Reals } from './dtype';
import type { Limits } from './plane';
import type { RangeChoice, Scale } from './state';

export interface Summary {
  readonly count: number;
  /** How many are no numbers or infinite; all else is about the others. */
  readonly odd: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly std: number;
  readonly median: number;
  /** The smallest above zero, for logarithmic scales; NaN if there is none. */
  readonly positive: number;
}

export interface Histogram {
  readonly counts: readonly number[];
  readonly low: number;
  readonly high: number;
}

/** Values that percentiles are found among; more are thinned evenly. */
const SAMPLE = 1 << 15;

/** Describe numbers. */
export function summarize(values: Reals): Summary {
  let [count, sum, min, max, positive] = [0, 0, Infinity, -Infinity, Infinity];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value - value !== 0) {
      continue;
    }
    count++;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
    if (value > 0 && value < positive) positive = value;
  }
  if (count === 0) {
    return {
      count: 0,
      odd: values.length,
      min: NaN,
      max: NaN,
      mean: NaN,
      std: NaN,
      median: NaN,
      positive: NaN
    };
  }
  const mean = sum / count;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    const distance = (values[i] as number) - mean;
    if (distance - distance === 0) {
      squares += distance * distance;
    }
  }
  return {
    count,
    odd: values.length - count,
    min,
    max,
    mean,
    std: Math.sqrt(squares / count),
    median: quantile(sample(values), 0.5),
    positive: positive === Infinity ? NaN : positive
  };
}

/** Find the two ends of a colour scale, for numbers of which some may be odd. */
export function limitsOf(values: Reals, choice: RangeChoice, scale: Scale): Limits {
  const found =
    choice.kind === 'manual'
      ? choice
      : choice.kind === 'auto'
        ? extremes(values, scale)
        : middle(values, choice, scale);
  let { low, high } = found;
  if (!Number.isFinite(low) || !Number.isFinite(high)) {
    [low, high] = [scale === 'log' ? 1 : 0, 1];
  } else if (low > high) {
    [low, high] = [high, low];
  }
  if (scale === 'log') {
    high = high > 0 ? high : 1;
    low = low > 0 ? low : Math.min(high, extremes(values, 'log').low);
  }
  return { low, high };
}

/** Count numbers in bins of one width (on a logarithmic scale of one ratio). */
export function histogram(values: Reals, limits: Limits, scale: Scale, bins = 64): Histogram {
  const counts = new Array<number>(bins).fill(0);
  const log = scale === 'log';
  const low = log ? Math.log(limits.low) : limits.low;
  const high = log ? Math.log(limits.high) : limits.high;
  const factor = high > low ? bins / (high - low) : 0;
  for (let i = 0; i < values.length; i++) {
    const raw = values[i] as number;
    const value = log ? Math.log(raw) : raw;
    if (!(value >= low && value <= high)) {
      continue;
    }
    const bin = factor === 0 ? bins / 2 : Math.min(bins - 1, Math.floor((value - low) * factor));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { counts, low: limits.low, high: limits.high };
}

/** Return sorted numbers, thinned evenly, without the odd ones. */
export function sample(values: Reals): Float64Array {
  const stride = Math.max(1, Math.floor(values.length / SAMPLE));
  const chosen = new Float64Array(Math.ceil(values.length / stride));
  let count = 0;
  for (let i = 0; i < values.length; i += stride) {
    const value = values[i] as number;
    if (value - value === 0) {
      chosen[count++] = value;
    }
  }
  return chosen.subarray(0, count).sort();
}

/** Return the number that a share of sorted numbers lies below, between two if need be. */
export function quantile(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) {
    return NaN;
  }
  const at = Math.max(0, Math.min(1, share)) * (sorted.length - 1);
  const low = Math.floor(at);
  const one = sorted[low] ?? NaN;
  const other = sorted[Math.min(low + 1, sorted.length - 1)] ?? NaN;
  return one + (other - one) * (at - low);
}

function extremes(values: Reals, scale: Scale): Limits {
  const least = scale === 'log' ? Number.MIN_VALUE : -Infinity;
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value - value !== 0 || value < least) {
      continue;
    }
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

function middle(
  values: Reals,
  choice: { readonly low: number; readonly high: number },
  scale: Scale
): Limits {
  const sorted = sample(values);
  const first = scale === 'log' ? sorted.findIndex(value => value > 0) : 0;
  const usable = first < 0 ? sorted.subarray(0, 0) : sorted.subarray(first);
  return { low: quantile(usable, choice.low / 100), high: quantile(usable, choice.high / 100) };
}
