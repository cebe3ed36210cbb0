/** What the items of a window are, and how their raw little-endian bytes become numbers. */

import { readLiteral } from '../model/literal';

export type ItemKind =
  'bool' | 'int' | 'uint' | 'float' | 'complex' | 'bytes' | 'text' | 'date' | 'delta' | 'record' | 'other';

export interface Field {
  readonly name: string;
  readonly dtype: DType;
  readonly offset: number;
}

export interface DType {
  readonly kind: ItemKind;
  /** Bytes of one item. */
  readonly size: number;
  /** As people know it: `float32`, `datetime64[ns]`. */
  readonly label: string;
  /** Of records; empty else. */
  readonly fields: readonly Field[];
}

/** Real numbers, one per item; of complex items two. */
export type Numbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** Numbers that arithmetic takes as they are. */
export type Reals = Exclude<Numbers, BigInt64Array | BigUint64Array>;

export const PARTS = ['abs', 'phase', 'real', 'imag'] as const;
/** What of a complex number is drawn. */
export type Part = (typeof PARTS)[number];

const CODES: Readonly<Record<string, ItemKind>> = {
  b: 'bool',
  i: 'int',
  u: 'uint',
  f: 'float',
  c: 'complex',
  S: 'bytes',
  a: 'bytes',
  U: 'text',
  M: 'date',
  m: 'delta'
};

/**
 * Parse a dtype as the server writes it: `<f4`, `|b1`, `<M8[ns]`, or the JSON list of a record's
 * fields, and also NumPy's own names such as `float32`.
 */
export function parseDType(text: string): DType {
  const trimmed = text.trim();
  if (/^[[{]/.test(trimmed)) {
    return parseRecord(trimmed);
  }
  if (trimmed === '?') {
    return scalar('b', 1, '');
  }
  const coded = /^[<>|=]?([biufcSaUMm])(\d+)(\[[^\]]*\])?$/.exec(trimmed);
  if (coded !== null) {
    return scalar(coded[1] ?? '', Number(coded[2]), coded[3] ?? '');
  }
  const named = /^(bool|u?int|float|complex)(\d*)_?$/.exec(trimmed);
  if (named !== null) {
    const code = { bool: 'b', int: 'i', uint: 'u', float: 'f', complex: 'c' }[named[1] ?? ''] ?? '';
    return scalar(code, code === 'b' ? 1 : Number(named[2]) / 8, '');
  }
  const time = /^(datetime64|timedelta64)(\[[^\]]*\])?$/.exec(trimmed);
  if (time !== null) {
    return scalar(time[1] === 'datetime64' ? 'M' : 'm', 8, time[2] ?? '');
  }
  return { kind: 'other', size: 0, label: trimmed, fields: [] };
}

/** Tell whether items have a place on an axis of numbers. */
export function isNumeric(dtype: DType): boolean {
  // There are floats of more bytes than a double; browsers have no arrays of them.
  return dtype.kind === 'complex'
    ? dtype.size === 8 || dtype.size === 16
    : ['bool', 'int', 'uint', 'float'].includes(dtype.kind) && dtype.size <= 8;
}

/** Tell whether pixels can be made of three or four neighbouring items. */
export function isByte(dtype: DType): boolean {
  return dtype.kind === 'uint' && dtype.size === 1;
}

/**
 * Read raw little-endian bytes as numbers.
 *
 * Not copied if the bytes lie as the processor wants them.
 */
export function decode(bytes: ArrayBuffer, dtype: DType): Numbers {
  const count = dtype.size === 0 ? 0 : Math.floor(bytes.byteLength / dtype.size);
  switch (`${dtype.kind}${dtype.size}`) {
    case 'bool1':
    case 'uint1':
      return new Uint8Array(bytes, 0, count);
    case 'int1':
      return new Int8Array(bytes, 0, count);
    case 'uint2':
      return new Uint16Array(bytes, 0, count);
    case 'int2':
      return new Int16Array(bytes, 0, count);
    case 'uint4':
      return new Uint32Array(bytes, 0, count);
    case 'int4':
      return new Int32Array(bytes, 0, count);
    case 'uint8':
      return new BigUint64Array(bytes, 0, count);
    case 'int8':
      return new BigInt64Array(bytes, 0, count);
    case 'float2':
      return halves(new Uint16Array(bytes, 0, count));
    case 'float4':
      return new Float32Array(bytes, 0, count);
    case 'float8':
      return new Float64Array(bytes, 0, count);
    case 'complex8':
      return new Float32Array(bytes, 0, 2 * count);
    case 'complex16':
      return new Float64Array(bytes, 0, 2 * count);
    default:
      throw new Error(`items of ${dtype.label} are no numbers`);
  }
}

/** Read one numeric column out of the raw bytes of records. */
export function decodeColumn(bytes: ArrayBuffer, dtype: DType, name: string): Numbers {
  const field = dtype.fields.find(one => one.name === name);
  if (field === undefined) {
    throw new Error(`the records have no column ${JSON.stringify(name)}`);
  }
  const size = field.dtype.size;
  const count = dtype.size === 0 ? 0 : Math.floor(bytes.byteLength / dtype.size);
  const source = new Uint8Array(bytes);
  const packed = new Uint8Array(count * size);
  for (let i = 0, from = field.offset; i < count; i++, from += dtype.size) {
    packed.set(source.subarray(from, from + size), i * size);
  }
  return decode(packed.buffer, field.dtype);
}

/**
 * Return numbers to draw: of complex items a part, of 64-bit integers the nearest double.
 *
 * Not copied if nothing is to be done.
 */
export function toReals(numbers: Numbers, dtype: DType, part: Part): Reals {
  if (numbers instanceof BigInt64Array || numbers instanceof BigUint64Array) {
    const doubles = new Float64Array(numbers.length);
    for (let i = 0; i < numbers.length; i++) {
      doubles[i] = Number(numbers[i]);
    }
    return doubles;
  }
  return dtype.kind === 'complex' ? partOf(numbers, part) : numbers;
}

function partOf(pairs: Reals, part: Part): Reals {
  const count = pairs.length / 2;
  const out = pairs instanceof Float32Array ? new Float32Array(count) : new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const real = pairs[2 * i] ?? 0;
    const imag = pairs[2 * i + 1] ?? 0;
    if (part === 'real') {
      out[i] = real;
    } else if (part === 'imag') {
      out[i] = imag;
    } else {
      out[i] = part === 'abs' ? Math.hypot(real, imag) : Math.atan2(imag, real);
    }
  }
  return out;
}

function halves(bits: Uint16Array): Float32Array {
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i] ?? 0;
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) {
      out[i] = sign * fraction * 2 ** -24;
    } else if (exponent === 31) {
      out[i] = fraction === 0 ? sign * Infinity : NaN;
    } else {
      out[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
    }
  }
  return out;
}

function scalar(code: string, size: number, unit: string): DType {
  const kind = CODES[code] ?? 'other';
  // NumPy counts the characters of text, of four bytes each.
  const bytes = kind === 'text' ? 4 * size : size;
  return { kind, size: bytes, label: scalarLabel(kind, size, unit), fields: [] };
}

function scalarLabel(kind: ItemKind, size: number, unit: string): string {
  switch (kind) {
    case 'bool':
      return 'bool';
    case 'bytes':
      return `bytes(${size})`;
    case 'text':
      return `text(${size})`;
    case 'date':
      return `datetime64${unit}`;
    case 'delta':
      return `timedelta64${unit}`;
    default:
      return `${kind}${8 * size}`;
  }
}

function parseRecord(text: string): DType {
  let described: unknown;
  try {
    described = JSON.parse(text);
  } catch {
    described = readLiteral(text);
  }
  return recordOf(described);
}

function recordOf(described: unknown): DType {
  const { rows, size, offsets } = rowsOf(described);
  const fields: Field[] = [];
  let offset = 0;
  rows.forEach((row, index) => {
    const field = parseField(row, offsets[index] ?? offset);
    if (field !== undefined) {
      fields.push(field.field);
      offset = field.field.offset + field.bytes;
    }
  });
  return {
    kind: 'record',
    size: size ?? offset,
    label: fields.length === 1 ? '1 field' : `${fields.length} fields`,
    fields
  };
}

interface Rows {
  readonly rows: readonly unknown[];
  readonly offsets: readonly number[];
  readonly size: number | undefined;
}

/** Read a list of fields, or what NumPy writes if there are gaps between them: lists of names, types and places. */
function rowsOf(described: unknown): Rows {
  if (Array.isArray(described)) {
    return { rows: described, offsets: [], size: undefined };
  }
  const given = new Map(
    typeof described === 'object' && described !== null ? Object.entries(described) : []
  );
  const list = (name: string): unknown[] => {
    const value: unknown = given.get(name);
    return Array.isArray(value) ? value : [];
  };
  const formats = list('formats');
  const size: unknown = given.get('itemsize');
  return {
    // A format of a type and a shape is what a row has behind its name.
    rows: list('names').map((name, index) => {
      const format = formats[index];
      return isShaped(format) ? [name, ...format] : [name, format];
    }),
    offsets: list('offsets').map(Number),
    size: typeof size === 'number' ? size : undefined
  };
}

function isShaped(format: unknown): format is unknown[] {
  return Array.isArray(format) && format.length === 2 && Array.isArray(format[1]) && typeof format[0] === 'string';
}

function parseField(row: unknown, offset: number): { field: Field; bytes: number } | undefined {
  if (!Array.isArray(row)) {
    return undefined;
  }
  const [named, type, shape] = row as readonly unknown[];
  // A field may have a title before its name.
  const name: unknown = Array.isArray(named) ? named[1] : named;
  if (typeof name !== 'string') {
    return undefined;
  }
  const inner = typeof type === 'string' ? parseDType(type) : recordOf(type);
  const counts = Array.isArray(shape) ? shape.map(Number) : [];
  const many = counts.reduce((all, one) => all * one, 1);
  const dtype: DType =
    counts.length === 0
      ? inner
      : { kind: 'other', size: many * inner.size, label: `${inner.label}[${counts.join(', ')}]`, fields: [] };
  return { field: { name, dtype, offset }, bytes: many * inner.size };
}
