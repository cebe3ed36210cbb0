/** What a path is, as far as a viewer must know: read from the answer of `/api/info`. */

import { parseDType, type DType } from './dtype';

export type FileKind = 'text' | 'markdown' | 'image' | 'pdf' | 'notebook' | 'binary';

export interface ArrayDescription {
  readonly kind: 'array';
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** The expression of a lazy array. */
  readonly expression: string | undefined;
}

export interface FileDescription {
  readonly kind: FileKind;
  readonly size: number;
}

export interface BrokenDescription {
  readonly kind: 'broken';
  readonly reason: string;
}

export type Description = ArrayDescription | FileDescription | BrokenDescription;

const ENDINGS: Readonly<Record<string, FileKind>> = {
  md: 'markdown',
  markdown: 'markdown',
  ipynb: 'notebook',
  pdf: 'pdf',
  avif: 'image',
  bmp: 'image',
  gif: 'image',
  ico: 'image',
  jpeg: 'image',
  jpg: 'image',
  png: 'image',
  svg: 'image',
  webp: 'image'
};

const TEXTS =
  'txt log csv tsv json jsonl geojson yaml yml toml ini cfg conf xml html htm css js mjs ts tsx jsx py pyi ipy r jl c h cc cpp hpp rs go java sh bash zsh ps1 bat sql rst tex bib cff license dat asc'.split(
    ' '
  );

/** Types of pictures by the ending of a file's name. */
const IMAGE_TYPES: Readonly<Record<string, string>> = {
  avif: 'image/avif',
  bmp: 'image/bmp',
  gif: 'image/gif',
  ico: 'image/x-icon',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  png: 'image/png',
  svg: 'image/svg+xml',
  webp: 'image/webp'
};

/** Read the answer of `/api/info`; what it lacks is taken from the ending of the name. */
export function describe(path: string, info: unknown): Description {
  const given = new Map(typeof info === 'object' && info !== null ? Object.entries(info) : []);
  const shape = given.get('shape');
  const dtype = given.get('dtype');
  if (Array.isArray(shape) && typeof dtype === 'string') {
    const expression = given.get('expression');
    return {
      kind: 'array',
      shape: shape.map(Number),
      dtype: parseDType(dtype),
      expression: typeof expression === 'string' ? expression : undefined
    };
  }
  if (given.get('kind') === 'broken') {
    return { kind: 'broken', reason: String(given.get('error') ?? 'the file can not be read') };
  }
  const size = given.get('size') ?? given.get('nbytes');
  return {
    kind: given.get('kind') === 'frame' ? 'binary' : fileKind(path),
    size: typeof size === 'number' ? size : 0
  };
}

/** Guess what a file is by its name. */
export function fileKind(path: string): FileKind {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  const ending = name.includes('.') ? name.slice(name.lastIndexOf('.') + 1) : name;
  const kind = ENDINGS[ending];
  if (kind !== undefined) {
    return kind;
  }
  return TEXTS.includes(ending) || ['readme', 'license', 'makefile', 'changelog'].includes(name)
    ? 'text'
    : 'binary';
}

/** Return the media type of a picture; never one that a page would run. */
export function imageType(path: string): string {
  return IMAGE_TYPES[path.slice(path.lastIndexOf('.') + 1).toLowerCase()] ?? 'application/octet-stream';
}
