/** The bytes of a file, a piece at a time. */

import type { Api } from '../api/client';
import { readFreshness, type Freshness } from './arraySource';

export interface Piece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes of the whole file. */
  readonly total: number;
  readonly freshness: Freshness;
}

/** Read bytes of a file from `start` to before `stop`; fewer at its end. */
export async function readPiece(
  api: Api,
  path: string,
  start: number,
  stop: number,
  signal: AbortSignal
): Promise<Piece> {
  const answer = await api.get(
    'download/',
    path,
    {},
    { signal, headers: { Range: `bytes=${start}-${stop - 1}` } }
  );
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const freshness = readFreshness(answer.headers.get('Caterva2-Freshness'));
  const total = /\/(\d+)$/.exec(answer.headers.get('Content-Range') ?? '')?.[1];
  if (answer.status !== 206) {
    // The server gave everything.
    return { bytes: bytes.slice(start, stop), total: bytes.length, freshness };
  }
  return { bytes, total: total === undefined ? start + bytes.length : Number(total), freshness };
}

/** Tell whether bytes are no text: they have a zero among the first few thousand. */
export function isBinary(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 8192).includes(0);
}

/** Write bytes as rows of sixteen: place, hexadecimal digits, characters. */
export function hexRows(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let start = 0; start < bytes.length; start += 16) {
    const row = bytes.subarray(start, start + 16);
    const digits = Array.from(row, byte => byte.toString(16).padStart(2, '0'));
    const characters = Array.from(row, byte => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·'));
    rows.push(
      `${start.toString(16).padStart(8, '0')}  ${digits.slice(0, 8).join(' ').padEnd(23)}  ${digits.slice(8).join(' ').padEnd(23)}  ${characters.join('')}`
    );
  }
  return rows.join('\n');
}
