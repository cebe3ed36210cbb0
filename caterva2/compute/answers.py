"""Windows of items to answers: which dtype, how they are cut, and wrapped as frames."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from caterva2.compute.codec import (
    Geometry,
    answer_geometry,
    compressed_chunk,
    dtype_to_text,
    fits_raw,
    frame_ends,
    raw_chunk_head,
    raw_frame,
)
from caterva2.compute.frames import ArrayMeta, Buffer
from caterva2.errors import BadRequest
from caterva2.model.slicing import Axis, Window

Array = npt.NDArray[Any]

RAW_LIMIT = 64 << 10
"""Answers of at most so many bytes are sent uncompressed, however far they go."""


class Selection(NamedTuple):
    """What is asked of a file: a window, and perhaps one field of its items.

    Attributes
    ----------
    local
        The answer stays on this machine, so compressing it is wasted time.
    """

    window: Window
    field: str | None = None
    local: bool = False


def whole_frame(out: Array, selection: Selection, *, plain: bool) -> list[Buffer]:
    """Wrap the items of a window as a frame of one chunk; CPU-bound.

    Parameters
    ----------
    out
        The items, of ``full_shape``.
    plain
        The source is a sequence of bytes, not an array.
    """
    if selection.field is not None:
        out = np.ascontiguousarray(out[selection.field])
    shape = selection.window.shape
    dtype = out.dtype
    raw = out.nbytes <= RAW_LIMIT or selection.local
    if raw and 0 < out.nbytes <= RAW_LIMIT and dtype.itemsize <= 255 and not plain:
        return list(
            raw_frame(out.tobytes(), Geometry(shape, shape, shape), dtype_to_text(dtype), dtype.itemsize)
        )
    typesize = dtype.itemsize
    geometry = Geometry(shape, shape, shape)
    data = out.reshape(-1).view(np.uint8).data if out.nbytes else b""
    text = dtype_to_text(dtype)
    if out.nbytes == 0 or (raw and fits_raw(out.nbytes) and dtype.itemsize <= 255):
        return list(raw_frame(data, None if plain else geometry, text, typesize))
    geometry = answer_geometry(shape, shape, dtype.itemsize) if not plain else geometry
    blocksize = math.prod(geometry.blocks) * dtype.itemsize
    padded = _padded(out.reshape(shape), geometry.chunks)
    chunk = compressed_chunk(padded.reshape(-1).view(np.uint8), blocksize, typesize)
    before, after = frame_ends(
        [len(chunk)],
        padded.nbytes,
        None if plain else geometry,
        text,
        typesize,
        blocksize,
        padded.nbytes,
        clevel=1,
    )
    return [before, chunk, after]


def answer_chunk(
    out: Array, sub: Window, field: str | None, geometry: Geometry, *, plain: bool, raw: bool = False
) -> bytes:
    """Compress the part `sub` of a window as one chunk of an answer (`raw`: do not); CPU-bound."""
    if field is not None:
        out = np.ascontiguousarray(out[field])
    padded = out if plain else _padded(out.reshape(sub.shape), geometry.chunks)
    blocksize = math.prod(geometry.blocks) * out.dtype.itemsize
    if raw:
        return (
            raw_chunk_head(padded.nbytes, min(blocksize, padded.nbytes), out.dtype.itemsize)
            + padded.tobytes()
        )
    return compressed_chunk(
        np.ascontiguousarray(padded).reshape(-1).view(np.uint8), blocksize, out.dtype.itemsize
    )


def array_chunk(items: Array, array: ArrayMeta) -> bytes:
    """Compress the items of a chunk (without padding) as a chunk of `array`, in block order; CPU-bound."""
    ndim = len(array.chunks)
    padded = _padded(items, [n * b for n, b in zip(array.block_grid, array.blocks, strict=True)])
    pairs = [n for pair in zip(array.block_grid, array.blocks, strict=True) for n in pair]
    ordered = padded.reshape(pairs).transpose([*range(0, 2 * ndim, 2), *range(1, 2 * ndim, 2)])
    data = np.ascontiguousarray(ordered).reshape(-1).view(np.uint8)
    return compressed_chunk(data, array.block_nbytes, array.dtype.itemsize)


def _padded(out: Array, chunks: Sequence[int]) -> Array:
    if tuple(out.shape) == tuple(chunks):
        return out
    padded = np.zeros(tuple(chunks), out.dtype)
    padded[tuple(slice(0, n) for n in out.shape)] = out
    return padded


def answer_parts(axes: Sequence[Axis], geometry: Geometry) -> Iterator[tuple[Axis, ...]]:
    """Yield, for each chunk of an answer in C order, the axes of the window that it holds."""
    for coords in itertools.product(*(range(n) for n in geometry.grid)):
        part = []
        for axis, i, c in zip(axes, coords, geometry.chunks, strict=True):
            first, end = i * c, min((i + 1) * c, len(axis))
            start = axis.start + first * axis.step
            part.append(Axis(start, axis.start + (end - 1) * axis.step + 1, axis.step))
        yield tuple(part)


def result_dtype(array: ArrayMeta, field: str | None) -> np.dtype[Any]:
    """Return the dtype of an answer: of all items, or of one of their fields.

    Raises
    ------
    BadRequest
        There is no such field, or it is an array in itself.
    """
    if field is None:
        return array.dtype
    if field not in (array.dtype.names or ()):
        names = ", ".join(array.dtype.names or ()) or "none"
        raise BadRequest(f"the dataset has no field {field!r}", hint=f"its fields: {names}")
    dtype: np.dtype[Any] = array.dtype[field]
    if dtype.shape:
        raise BadRequest(
            f"field {field!r} holds an array of shape {dtype.shape} in each item", hint="read the items"
        )
    return dtype
