/** Counters of the subscriber, as `/metrics` tells them. */

/** Sum up the samples of each name, without the prefix that they share; `name:5xx` are those of failures. */
export function readMetrics(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split('\n')) {
    const match = /^(?:caterva2_)?([a-zA-Z_:]\w*)(\{.*\})?\s+(\S+)/.exec(line);
    if (match?.[1] && !line.startsWith('#')) {
      const value = Number(match[3]);
      const names = match[2]?.includes('status="5xx"') ? [match[1], `${match[1]}:5xx`] : [match[1]];
      for (const name of Number.isFinite(value) ? names : []) {
        found.set(name, (found.get(name) ?? 0) + value);
      }
    }
  }
  return found;
}
