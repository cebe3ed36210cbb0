/** Single items of a block as text, exact where a double is not. */

import type { Block } from './arraySource';
import { formatNumber } from './numbersText';

/** Write the item at a place of a block's memory; with channels, as many neighbours. */
export function itemText(block: Block, at: number, channels = 1): string {
  const { numbers, dtype } = block;
  if (dtype.kind === 'complex') {
    const [real, imag] = [Number(numbers[2 * at]), Number(numbers[2 * at + 1])];
    return `${formatNumber(real)} ${imag < 0 ? '−' : '+'} ${formatNumber(Math.abs(imag))}i`;
  }
  if (channels > 1) {
    return Array.from({ length: channels }, (_, channel) => String(numbers[at + channel] ?? '')).join(', ');
  }
  const value = numbers[at];
  if (dtype.kind === 'bool') {
    return value === 0 ? 'false' : 'true';
  }
  if (typeof value === 'bigint') {
    return value.toString().replace('-', '−');
  }
  return value === undefined ? '' : formatNumber(value, dtype.size === 4 ? 7 : 9);
}
