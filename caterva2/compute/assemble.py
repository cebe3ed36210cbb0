"""Stored chunks to array items: which blocks a window needs, decoding them, and putting them in place."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import blosc2
import numpy as np
import numpy.typing as npt

from caterva2.compute.extents import ChunkPiece
from caterva2.compute.frames import SPECIAL_NAN, SPECIAL_VALUE, ArrayMeta, subchunk
from caterva2.errors import CorruptChunk
from caterva2.model.slicing import Axis, Window

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

MAX_SCRATCH = 4 << 20
MOST_SCRATCHES = 4
SMALL_BLOCK = 8192
"""Blocks below so many bytes are placed all at once; larger ones one by one, in the processor's cache."""


def empty(window: Window, array: ArrayMeta) -> Array:
    """Return an array of ``window.full_shape`` to be filled."""
    return np.empty(window.full_shape, array.dtype)


def blocks_needed(array: ArrayMeta, window: Window, coords: Sequence[int]) -> list[int] | None:
    """Return the blocks of the chunk at `coords` (ndim,) that a window touches, ascending; None for all."""
    grid = array.block_grid
    local, _ = window.within([i * c for i, c in zip(coords, array.chunks, strict=True)], array.chunks)
    ranges = Window(local).grid(array.blocks)
    if all(len(r) == n for r, n in zip(ranges, grid, strict=True)):
        return None
    return _flat(ranges, grid)


def _flat(ranges: Sequence[Sequence[int]], grid: Sequence[int]) -> list[int]:
    flat = [0]
    for along, n in zip(ranges, grid, strict=True):
        flat = [base * n + i for base in flat for i in along]
    return flat


class Scratch:
    """Memory for decoded blocks that is used again: fresh pages cost half as much as decoding.

    For one thread at a time.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def take(self, nbytes: int) -> Bytes:
        """Return `nbytes` undefined bytes, valid until the next call."""
        if nbytes > MAX_SCRATCH:
            return np.empty(nbytes, np.uint8)
        if nbytes > len(self._memory):
            self._memory = np.empty(nbytes, np.uint8)
        return self._memory[:nbytes]


class ScratchPool:
    """Scratches for several threads; there are as many as are in use at a time."""

    def __init__(self) -> None:
        self._free: list[Scratch] = []

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Scratch]:
        """Give one to the block."""
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = Scratch()
        try:
            yield scratch
        finally:
            if len(self._free) < MOST_SCRATCHES:
                self._free.append(scratch)


def decode_blocks(
    piece: ChunkPiece,
    blocks: Sequence[int] | None,
    block_nbytes: int,
    *,
    nthreads: int = 1,
    scratch: Scratch | None = None,
) -> Bytes:
    """Decompress some blocks of a chunk, one after the other; CPU-bound.

    Parameters
    ----------
    piece
        Must hold the blocks; not of a special value.
    blocks
        Ascending block numbers, or None for all.
    block_nbytes
        Bytes of a whole block.
    scratch
        Where the result may lie; None for memory of its own.

    Returns
    -------
    ndarray
        (nblocks * block_nbytes,) bytes; what a short last block leaves is undefined.

    Raises
    ------
    CorruptChunk
        The bytes do not decompress to what the chunk claims.
    """
    layout = piece.layout
    if layout is None:
        raise CorruptChunk(f"chunk {piece.nchunk} has no data")
    take = scratch.take if scratch is not None else Scratch().take
    total = -(-layout.nbytes // block_nbytes)
    if layout.nblocks == 0 or (piece.whole is not None and (blocks is None or len(blocks) == total)):
        out = take(total * block_nbytes)
        _decompress(piece.whole if piece.whole is not None else piece.head, out, layout.nbytes, nthreads)
        if blocks is None or len(blocks) == total:
            return out
        chosen: Bytes = out.reshape(total, block_nbytes)[np.asarray(blocks)].reshape(-1)
        return chosen
    wanted = range(layout.nblocks) if blocks is None else blocks
    try:
        parts = [piece.blocks[b] for b in wanted]
    except KeyError as exc:
        raise CorruptChunk(f"chunk {piece.nchunk} lacks block {exc.args[0]}") from exc
    out = take(len(parts) * block_nbytes)
    if layout.raw:
        at = 0
        for part in parts:
            out[at : at + len(part)] = np.frombuffer(part, np.uint8)
            at += len(part)
        return out
    nbytes = sum(layout.block_nbytes(b) for b in wanted)
    _decompress(subchunk(piece.head, layout, wanted, parts), out, nbytes, nthreads)
    return out


def _decompress(chunk: bytes | bytearray | memoryview, out: Bytes, nbytes: int, nthreads: int) -> None:
    if len(out) == 0:
        return
    try:
        blosc2.decompress2(chunk, out[:nbytes], nthreads=nthreads)
    except (RuntimeError, ValueError, TypeError, SystemError, MemoryError) as exc:
        raise CorruptChunk("a chunk can not be decompressed") from exc


def special_value(piece: ChunkPiece, dtype: np.dtype[Any]) -> Array | None:
    """Return the one value (shape ()) that fills a chunk, or None if it has data."""
    special = piece.special or (piece.layout.special if piece.layout else 0)
    if not special:
        return None
    if special == SPECIAL_VALUE:
        raw = bytes(piece.head[32 : 32 + dtype.itemsize])
        if len(raw) == dtype.itemsize:
            return np.frombuffer(raw, dtype)[0:1].reshape(())
        if not raw or dtype.itemsize % len(raw):
            raise CorruptChunk(f"chunk {piece.nchunk} repeats {len(raw)} bytes in items of {dtype.itemsize}")
        return np.frombuffer(raw * (dtype.itemsize // len(raw)), dtype).reshape(())
    if special == SPECIAL_NAN:
        return _nan(dtype)
    return np.zeros((), dtype)


def _nan(dtype: np.dtype[Any]) -> Array:
    if dtype.kind in "fc":
        return np.full((), np.nan, dtype)
    if dtype.itemsize in {4, 8}:
        return np.full((), np.nan, f"<f{dtype.itemsize}").view(dtype)
    return np.zeros((), dtype)


def fill(
    out: Array,
    piece: ChunkPiece,
    array: ArrayMeta,
    window: Window,
    coords: Sequence[int],
    scratch: Scratch | None = None,
) -> None:
    """Put what a chunk holds of a window in its place; CPU-bound.

    Parameters
    ----------
    out
        Array of ``window.full_shape`` and the array's dtype; changed in place.
    piece
        Must hold `blocks_needed`.
    coords
        (ndim,) Coordinates of the chunk in the grid of chunks.
    scratch
        Memory for what is decoded on the way.

    Raises
    ------
    CorruptChunk
        The bytes do not decompress to what the chunk claims.

    Notes
    -----
    A decompressed n-d chunk is in block order and padded: Blosc2 NDim format.
    """
    local, target = window.within([i * c for i, c in zip(coords, array.chunks, strict=True)], array.chunks)
    value = special_value(piece, array.dtype)
    if value is not None:
        out[target] = value
        return
    ranges = Window(local).grid(array.blocks)
    grid = array.block_grid
    everything = all(len(r) == n for r, n in zip(ranges, grid, strict=True))
    block_nbytes = math.prod(array.blocks) * array.dtype.itemsize
    data = decode_blocks(piece, None if everything else _flat(ranges, grid), block_nbytes, scratch=scratch)
    items = data.view(array.dtype).reshape(-1, *array.blocks)
    if not array.shape:
        out[...] = items[0]
        return
    dense = all(isinstance(r, range) for r in ranges)
    if dense and all(
        a.step == 1 and a.start % b == 0 and len(a) == len(r) * b
        for a, b, r in zip(local, array.blocks, ranges, strict=True)
    ):
        _place_whole_blocks(out[target], items, ranges, array.blocks)
    elif dense and (block_nbytes < SMALL_BLOCK or len(items) == 1):
        _place_at_once(out[target], items, ranges, array.blocks, local)
    else:
        _place_by_block(out, items, ranges, array.blocks, local, target)


def _place_whole_blocks(
    out: Array, items: Array, ranges: Sequence[Sequence[int]], blocks: Sequence[int]
) -> None:
    """Place blocks that are wanted whole: each axis of `out` is seen as two, blocks and items in them."""
    counts = tuple(len(r) for r in ranges)
    strides = (*(s * b for s, b in zip(out.strides, blocks, strict=True)), *out.strides)
    by_block = np.lib.stride_tricks.as_strided(out, (*counts, *blocks), strides)
    by_block[...] = items.reshape((*counts, *blocks))


def _place_at_once(
    out: Array, items: Array, ranges: Sequence[Sequence[int]], blocks: Sequence[int], local: Sequence[Axis]
) -> None:
    ndim = len(blocks)
    counts = [len(r) for r in ranges]
    region = items.reshape((*counts, *blocks))
    order = [axis for pair in zip(range(ndim), range(ndim, 2 * ndim), strict=True) for axis in pair]
    region = region.transpose(order).reshape([n * b for n, b in zip(counts, blocks, strict=True)])
    crop = tuple(
        slice(axis.start - r[0] * b, axis.stop - r[0] * b, axis.step)
        for axis, r, b in zip(local, ranges, blocks, strict=True)
    )
    out[...] = region[crop]


def _place_by_block(
    out: Array,
    items: Array,
    ranges: Sequence[Sequence[int]],
    blocks: Sequence[int],
    local: Sequence[Axis],
    target: Sequence[slice],
) -> None:
    tables = [
        [_along(axis, box * b, b, goal.start) for box in r]
        for axis, r, b, goal in zip(local, ranges, blocks, target, strict=True)
    ]
    for item, places in zip(items, itertools.product(*tables), strict=True):
        out[tuple(to for _, to in places)] = item[tuple(of for of, _ in places)]


def _along(axis: Axis, low: int, n: int, goal: int) -> tuple[slice, slice]:
    """Return where a selection lies in the block ``[low, low + n)``, and where it goes."""
    first = max(0, -((axis.start - low) // axis.step))
    end = max(first, min(len(axis), -((axis.start - low - n) // axis.step)))
    start = axis.start + first * axis.step - low
    stop = start + (end - first - 1) * axis.step + 1 if end > first else start
    return slice(start, stop, axis.step), slice(goal + first, goal + end)
