/** The windows of one array: questions to the server, answers as planes and cells. */

import { ApiError } from '../api/errors';
import { decode, parseDType, toReals, type DType, type Numbers, type Part, type Reals } from './dtype';
import { GridStore, type Sized } from './gridStore';
import type { Plane } from './plane';
import type { WindowRequest } from './planner';
import type { Selection, Span } from './selection';

/** What this module needs of the network; fails with an error whose message is the server's sentence. */
export interface IWindowApi {
  window(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response>;
}

/** Whether an answer is what the origin has now. */
export interface Freshness {
  readonly fresh: boolean;
  readonly ageSeconds: number;
}

/** A window of numbers. */
export interface Block extends Sized {
  readonly request: WindowRequest;
  readonly shape: readonly number[];
  readonly step: readonly number[];
  readonly dtype: DType;
  readonly numbers: Numbers;
  readonly freshness: Freshness;
}

export type Cell = string | number | boolean | null | readonly Cell[];

/** A question for cells: rows and columns of a table. */
export interface CellRequest {
  readonly slice: string;
  readonly field: string | undefined;
  readonly filter: string | undefined;
  readonly sortby: string | undefined;
  readonly rows: Span;
  readonly columns: Span;
}

/** A window of cells. */
export interface CellBlock extends Sized {
  readonly request: CellRequest;
  readonly shape: readonly number[];
  readonly cells: Cell;
  /** Rows there are in all, where a condition chooses them and the server tells. */
  readonly total: number | undefined;
  readonly freshness: Freshness;
}

const CAPACITY = { capacity: 128 << 20, parallel: 4 };
const CELL_CAPACITY = { capacity: 32 << 20, parallel: 4 };
/** What a cell takes in memory, roughly. */
const CELL_BYTES = 48;

/** All that was fetched of one array. */
export class ArraySource {
  constructor(
    readonly path: string,
    api: IWindowApi
  ) {
    this.blocks = new GridStore(
      async (request, signal) => readBlock(request, await api.window(path, blockQuery(request), signal)),
      request => [request.slice, request.points, request.field ?? '', request.blocks ?? ''].join('|'),
      CAPACITY
    );
    this.cells = new GridStore(
      async (request, signal) => readCells(request, await api.window(path, cellQuery(request), signal)),
      request => [request.slice, request.field, request.filter, request.sortby].join('|'),
      CELL_CAPACITY
    );
  }

  readonly blocks: GridStore<WindowRequest, Block>;
  readonly cells: GridStore<CellRequest, CellBlock>;

  /** Return the numbers of a block to draw; made once per block and part. */
  reals(block: Block, part: Part): Reals {
    const known = this._reals.get(block);
    if (known !== undefined && (known.part === part || block.dtype.kind !== 'complex')) {
      return known.reals;
    }
    const reals = toReals(block.numbers, block.dtype, part);
    this._reals.set(block, { part, reals });
    return reals;
  }

  /** Return a block as a plane. */
  plane(block: Block, selection: Selection, part: Part): Plane {
    return planeOf(block, selection, this.reals(block, part));
  }

  /** Forget everything: the data set has changed. */
  invalidate(): void {
    this.blocks.invalidate();
    this.cells.invalidate();
  }

  /** Ask again for what failed for a reason that may have passed. */
  retryPassing(): void {
    const isPassing = (reason: unknown): boolean => !(reason instanceof ApiError) || reason.isPassing;
    this.blocks.retry(isPassing);
    this.cells.retry(isPassing);
  }

  dispose(): void {
    this.blocks.dispose();
    this.cells.dispose();
  }

  private readonly _reals = new WeakMap<Block, { part: Part; reals: Reals }>();
}

/** Lay the items of a block out along the drawn axes. */
export function planeOf(block: Block, selection: Selection, values: Reals): Plane {
  const drawn = [selection.x, selection.y, selection.channel]
    .filter(axis => axis !== undefined)
    .sort((one, other) => one - other);
  const along = (axis: number | undefined) => {
    const at = axis === undefined ? -1 : drawn.indexOf(axis);
    return {
      length: block.shape[at] ?? 1,
      step: block.step[at] ?? 1,
      stride: block.shape.slice(at + 1).reduce((all, one) => all * one, 1)
    };
  };
  const [x, y] = [along(selection.x), along(selection.y)];
  const flat = selection.y === undefined;
  return {
    values,
    width: x.length,
    height: flat ? 1 : y.length,
    strideX: x.stride,
    strideY: flat ? 0 : y.stride,
    x: block.request.x.start,
    y: block.request.y.start,
    stepX: x.step,
    stepY: flat ? 1 : y.step
  };
}

/** Read the header that tells how fresh an answer is: `fresh`, or `stale; age=40`. */
export function readFreshness(text: string | null): Freshness {
  const stale = /^stale(?:;\s*age=(\d+))?/.exec(text ?? '');
  return stale === null
    ? { fresh: true, ageSeconds: 0 }
    : { fresh: false, ageSeconds: Number(stale[1] ?? 0) };
}

function blockQuery(request: WindowRequest): Record<string, string> {
  return {
    ...(request.slice === '' ? {} : { slice_: request.slice }),
    points: String(request.points),
    ...(request.blocks === undefined ? {} : { blocks: String(request.blocks) }),
    ...(request.field === undefined ? {} : { field: request.field }),
    encoding: 'raw'
  };
}

function cellQuery(request: CellRequest): Record<string, string> {
  const { slice, field, filter, sortby } = request;
  return {
    ...(slice === '' ? {} : { slice_: slice }),
    ...(field === undefined ? {} : { field }),
    ...(filter === undefined ? {} : { filter }),
    ...(sortby === undefined ? {} : { sortby }),
    encoding: 'json'
  };
}

async function readBlock(request: WindowRequest, answer: Response): Promise<Block> {
  const bytes = await answer.arrayBuffer();
  const dtype = parseDType(answer.headers.get('Caterva2-Dtype') ?? '');
  const shape = counts(answer.headers.get('Caterva2-Shape'));
  const step = counts(answer.headers.get('Caterva2-Step'));
  const numbers = decode(bytes, dtype);
  const wanted = shape.reduce((all, one) => all * one, dtype.kind === 'complex' ? 2 : 1);
  if (numbers.length < wanted) {
    throw new Error(`the answer has ${numbers.length} numbers of ${wanted}`);
  }
  const freshness = readFreshness(answer.headers.get('Caterva2-Freshness'));
  // Beside the numbers there is a bitmap of them.
  const nbytes = bytes.byteLength + 4 * numbers.length;
  return { request, shape, step, dtype, numbers, freshness, nbytes };
}

async function readCells(request: CellRequest, answer: Response): Promise<CellBlock> {
  const body: unknown = await answer.json();
  const given = new Map(typeof body === 'object' && body !== null ? Object.entries(body) : []);
  const shape = given.get('shape');
  const total = answer.headers.get('Caterva2-Rows');
  const cells: Cell = readCell(given.get('data'));
  const sizes = Array.isArray(shape) ? shape.map(Number) : [];
  return {
    request,
    shape: sizes,
    cells,
    total: total === null ? undefined : Number(total),
    freshness: readFreshness(answer.headers.get('Caterva2-Freshness')),
    nbytes:
      CELL_BYTES *
      Math.max(
        1,
        sizes.reduce((all, one) => all * one, 1)
      )
  };
}

function readCell(value: unknown): Cell {
  if (Array.isArray(value)) {
    return value.map(readCell);
  }
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
}

function counts(text: string | null): number[] {
  return (text ?? '')
    .split(',')
    .filter(part => part.trim() !== '')
    .map(Number);
}
