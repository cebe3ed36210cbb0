/** Times as people say them. */

const STEPS: readonly (readonly [seconds: number, unit: string])[] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's']
];

/** `3 min`: in the largest unit of which there are at least two, so that little is lost by rounding. */
export function formatSpan(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [size, unit] = STEPS.find(([step]) => whole >= 2 * step) ?? [1, 's'];
  return `${Math.floor(whole / size)} ${unit}`;
}

/** How long ago something was, by the clock of the server that tells both times. */
export function formatSince(iso: string, now: string): string {
  const seconds = (Date.parse(now) - Date.parse(iso)) / 1000;
  return Number.isNaN(seconds) ? iso : formatSpan(seconds);
}

/** `42 %`, as far as a bar can tell. */
export function formatPercent(part: number, whole: number): string {
  const percent = (100 * part) / whole;
  return `${percent > 0 && percent < 1 ? '<1' : Math.round(percent)} %`;
}

/** `42.1 %`; a dash if there is nothing to compare with. */
export function formatShare(part: number, whole: number): string {
  if (whole <= 0) {
    return '–';
  }
  const percent = (100 * part) / whole;
  return `${percent >= 99.95 || percent === 0 ? percent.toFixed(0) : percent.toFixed(1)} %`;
}
