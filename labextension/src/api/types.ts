/** Names for the types of `schema.gen.ts` that the rest of the code speaks of. */
import type { components } from './schema.gen';

type Schemas = components['schemas'];

export type TreeEntry = Schemas['TreeEntry'];
export type TreeKind = Schemas['TreeKind'];
export type TreeState = Schemas['TreeState'];
export type TreePage = Schemas['TreePage'];
export type Envelope = Schemas['Envelope'];
export type CaterEvent = Envelope['event'];
export type Explanation = Schemas['Explanation'];
export type Resync = Schemas['Resync'];
export type UploadState = Schemas['UploadState'];

/** User attributes: whatever JSON can say. */
export type VlMeta = Readonly<Record<string, unknown>>;

/** Compression parameters as `/api/info` tells them. */
export interface CParams {
  readonly codec: number;
  readonly codec_meta: number;
  readonly clevel: number;
  readonly filters: readonly number[];
  readonly filters_meta: readonly number[];
  readonly typesize: number;
  readonly blocksize: number;
}

/** A Blosc2 container as `/api/info` tells of it. */
export interface SChunk {
  readonly cbytes: number;
  readonly nbytes: number;
  readonly cratio: number;
  readonly nchunks: number;
  readonly blocksize: number;
  readonly chunksize: number;
  readonly contiguous: boolean;
  readonly cparams: CParams;
  readonly vlmeta: VlMeta;
}

/** Answer of `/api/info` for a file; which fields there are depends on `kind`. */
export interface FileDescription extends Partial<SChunk> {
  readonly kind: 'array' | 'frame' | 'file' | 'lazy' | 'broken';
  readonly mtime?: string | null;
  readonly size?: number;
  readonly error?: string;
  readonly shape?: readonly number[];
  readonly chunks?: readonly number[] | null;
  readonly blocks?: readonly number[] | null;
  readonly dtype?: string;
  readonly schunk?: SChunk | null;
  readonly expression?: string;
  readonly operands?: Readonly<Record<string, string>>;
  readonly operation?: string;
}

/** A description, and how far it can be trusted to be the origin's current state. */
export interface Described {
  readonly info: FileDescription;
  readonly etag: string | null;
  /** `fresh`, or `stale; age=12`. */
  readonly freshness: string | null;
}

/** A subscriber that the server extension knows. */
export interface SubscriberStatus {
  readonly name: string;
  /** Its address without credentials, to be shown. */
  readonly url: string;
  readonly embedded: boolean;
  readonly connected: boolean;
  /** Why it is not connected. */
  readonly reason: string | null;
  readonly user: string | null;
  readonly read_only: boolean;
  /** `events`, `login`: there are users to log in as, `write`: areas are writable. */
  readonly features: readonly string[];
}

/** Answer of `/caterva2/api/status`. */
export interface Status {
  readonly version: string;
  readonly subscribers: readonly SubscriberStatus[];
  readonly current: string | null;
}
