"""What a window costs before anything is read: chunks, blocks and bytes that it touches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from caterva2.compute.assemble import blocks_needed
from caterva2.model.slicing import Axis, Window

if TYPE_CHECKING:
    from caterva2.compute.frames import ArrayMeta


class Touched(NamedTuple):
    """A chunk that a window touches.

    Attributes
    ----------
    coords
        (ndim,) Coordinates in the grid of chunks.
    blocks
        Ascending block numbers; None for all.
    """

    nchunk: int
    coords: tuple[int, ...]
    blocks: list[int] | None


def chunk_count(array: ArrayMeta, window: Window) -> int:
    """Return how many chunks a window touches."""
    return math.prod(map(len, window.grid(array.chunks))) if window.size else 0


def touched_chunks(array: ArrayMeta, window: Window, batch: int) -> Iterator[list[Touched]]:
    """Yield the chunks that a window touches, in C order, in lists of at most `batch`."""
    chunks = window.chunks_touched(array.shape, array.chunks)
    while part := list(itertools.islice(chunks, batch)):
        yield [Touched(nchunk, coords, blocks_needed(array, window, coords)) for nchunk, coords in part]


def chunk_window(array: ArrayMeta, nchunk: int) -> Window:
    """Return the items of one chunk, without its padding."""
    axes: list[Axis] = []
    for n, c, count in zip(reversed(array.shape), reversed(array.chunks), reversed(array.grid), strict=True):
        nchunk, i = divmod(nchunk, count)
        axes.append(Axis(i * c, min(n, (i + 1) * c)))
    return Window(tuple(reversed(axes)))


def decoded_nbytes(array: ArrayMeta, window: Window) -> int:
    """Return the uncompressed bytes of all blocks that a window touches."""
    if not window.size:
        return 0
    counts = 1
    for axis, c, b in zip(window.axes, array.chunks, array.blocks, strict=True):
        counts *= _boxes_touched(axis, c, b)
    return counts * math.prod(array.blocks) * array.dtype.itemsize


def _boxes_touched(axis: Axis, chunk: int, block: int) -> int:
    """Count the blocks along one axis; every chunk starts a new one."""
    per_chunk = -(-chunk // block)
    first, last = axis.start, axis.last
    low = first // chunk * per_chunk + first % chunk // block
    high = last // chunk * per_chunk + last % chunk // block
    return min(high - low + 1, len(axis))
