"""Windows of a few blocks, as most requests are: the same as `caterva2.compute.assemble`, with less ado."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from caterva2.compute.assemble import decode_blocks, special_value

if TYPE_CHECKING:
    from caterva2.compute.extents import ChunkPiece
    from caterva2.compute.frames import ArrayMeta
    from caterva2.model.slicing import Axis, Window

Array = npt.NDArray[Any]


class BlockCut(NamedTuple):
    """What a window takes from one block, and where it puts it.

    Attributes
    ----------
    of, to
        Slices (ndim,) of the block, and of an array of the window's ``full_shape``.
    """

    nchunk: int
    block: int
    of: tuple[slice, ...]
    to: tuple[slice, ...]


def cut_window(array: ArrayMeta, window: Window, limit: int) -> list[BlockCut] | None:
    """Cut a window along its blocks; None if it has a step, or touches more than `limit` blocks."""
    cuts: list[tuple[int, int, tuple[slice, ...], tuple[slice, ...]]] = [(0, 0, (), ())]
    for axis, c, b, nchunks, nblocks in zip(
        window.axes, array.chunks, array.blocks, array.grid, array.block_grid, strict=True
    ):
        along = _cut_axis(axis, c, b, limit)
        if along is None or len(along) * len(cuts) > limit:
            return None
        cuts = [
            (nchunk * nchunks + ic, block * nblocks + ib, (*of, o), (*to, t))
            for nchunk, block, of, to in cuts
            for ic, ib, o, t in along
        ]
    return [BlockCut(*cut) for cut in cuts]


def _cut_axis(axis: Axis, chunk: int, block: int, limit: int) -> list[tuple[int, int, slice, slice]] | None:
    start, stop = axis.start, axis.stop
    if axis.step != 1:
        return None
    cuts = []
    at = start
    while at < stop:
        ic, inside = divmod(at, chunk)
        ib, offset = divmod(inside, block)
        end = at + min(stop - at, block - offset, chunk - inside)
        cuts.append((ic, ib, slice(offset, offset + end - at), slice(at - start, end - start)))
        if len(cuts) > limit:
            return None
        at = end
    return cuts


def decode_block(piece: ChunkPiece, block: int, array: ArrayMeta) -> Array:
    """Return the items of one block, of shape ``array.blocks``, or the one value () that fills the chunk.

    Raises
    ------
    CorruptChunk
        The bytes do not decompress to what the chunk claims.
    """
    value = special_value(piece, array.dtype)
    if value is not None:
        return value
    return decode_blocks(piece, (block,), array.block_nbytes).view(array.dtype).reshape(array.blocks)


def fill_small(
    read: Callable[[int, int], Array | None], array: ArrayMeta, shape: Sequence[int], cuts: Sequence[BlockCut]
) -> Array | None:
    """Put a window that was cut together from decoded blocks; None if `read` has not got one.

    Parameters
    ----------
    read
        Gives what `decode_block` gives, by chunk and block.
    shape
        The window's ``full_shape``.

    Returns
    -------
    ndarray
        In C order. Never a view of a block.
    """
    if len(cuts) == 1:
        items = read(cuts[0].nchunk, cuts[0].block)
        if items is not None and items.ndim:
            return items[cuts[0].of].copy()
    out = np.empty(shape, array.dtype)
    for nchunk, block, of, to in cuts:
        items = read(nchunk, block)
        if items is None:
            return None
        out[to] = items[of] if items.ndim else items
    return out
