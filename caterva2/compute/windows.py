"""Windows of computed arrays: cutting work into pieces, and putting pieces together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from caterva2.compute.codec import dtype_to_text
from caterva2.compute.evaluator import Done, Place, Task, aligned, view
from caterva2.compute.frames import ArrayMeta, Skeleton
from caterva2.compute.kernels import Array, evaluate, finish, merge, moved_places
from caterva2.compute.lowering import Source, Stage, source_shape, window_nbytes
from caterva2.compute.nodes import INDEXING
from caterva2.errors import BadExpression
from caterva2.model.slicing import Axis, Window

ZSTD, SHUFFLE = 5, 1


def whole_window(shape: Sequence[int]) -> Window:
    """Return the window of everything."""
    return Window(tuple(Axis(0, n) for n in shape))


def put(out: Array, target: tuple[slice, ...], items: Array, local: Sequence[Axis] | None = None) -> None:
    """Copy items (those that `local` selects, if given) to their place in a larger array."""
    if local is not None:
        items = items[tuple(slice(axis.start, axis.stop, axis.step) for axis in local)]
    out[target] = items


def cut_out(items: Array, local: Sequence[Axis]) -> Array:
    """Return what `local` selects, as an array of its own."""
    return np.ascontiguousarray(items[tuple(slice(a.start, a.stop, a.step) for a in local)])


def halves(window: Window) -> tuple[list[Window], int]:
    """Cut a window in two along its first axis with more than one item; return that axis too."""
    for i, axis in enumerate(window.axes):
        if len(axis) > 1:
            middle = axis.start + len(axis) // 2 * axis.step
            first = Axis(axis.start, middle - axis.step + 1, axis.step)
            second = Axis(middle, axis.stop, axis.step)
            return [Window((*window.axes[:i], part, *window.axes[i + 1 :])) for part in (first, second)], i
    raise BadExpression("the items are too large to compute with")


def joined(parts: Sequence[Array], axis: int) -> Array:
    """Put the parts of a window together again."""
    return np.concatenate(parts, axis)


def source_items(items: Array, source: Source, window: Window) -> Array:
    """Bring what was read of a source into the shape and type in which it enters the kernel."""
    for field in source.fields:
        items = items[field]
    return items.reshape(source_shape(source, window))


# reductions


def inner_window(stage: Stage, window: Window) -> Window:
    """Return the window of the kernel that a window of a reduction's result needs."""
    reduction = stage.reduction
    assert reduction is not None
    kept = iter(window.axes)
    axes = []
    for i, n in enumerate(stage.inner):
        if i in reduction.axes:
            axes.append(Axis(0, n))
            if reduction.keepdims:
                next(kept)
        else:
            axes.append(next(kept))
    return Window(tuple(axes))


def reduction_pieces(stage: Stage, window: Window, chunks: Sequence[int], limit: int) -> Iterator[Window]:
    """Cut the kernel's window of a reduction along the reduced axes, into pieces of about `limit` bytes.

    Parameters
    ----------
    chunks
        (n,) Cutting at multiples of these reads each chunk once.
    """
    assert stage.reduction is not None
    lengths = [len(axis) for axis in window.axes]
    single = Window(tuple(Axis(0, 1) if i in stage.reduction.axes else a for i, a in enumerate(window.axes)))
    room = max(1, limit // max(1, window_nbytes(stage, single)))
    for i in stage.reduction.axes:
        others = math.prod(lengths[j] for j in stage.reduction.axes if j != i)
        if others * lengths[i] <= room:
            break
        step = max(1, room // others)
        if chunks[i] and step > chunks[i]:
            step -= step % chunks[i]
        lengths[i] = min(lengths[i], step)
    yield from _boxes(window, lengths)


def _boxes(window: Window, lengths: Sequence[int]) -> Iterator[Window]:
    if not lengths:
        yield window
        return
    parts: list[list[Axis]] = []
    for axis, n in zip(window.axes, lengths, strict=True):
        parts.append(
            [
                Axis(axis.start + at * axis.step, _stop(axis, at + n), axis.step)
                for at in range(0, len(axis), n)
            ]
            if n
            else [axis]
        )
    counts = [len(part) for part in parts]
    for flat in range(math.prod(counts)):
        axes = []
        for part in reversed(parts):
            flat, i = divmod(flat, len(part))
            axes.append(part[i])
        yield Window(tuple(reversed(axes)))


def _stop(axis: Axis, index: int) -> int:
    return min(axis.stop, axis.start + index * axis.step)


def near_chunks(stage: Stage, arrays: Mapping[str | int, ArrayMeta]) -> tuple[int, ...]:
    """Return the chunks (n,) of an input that has the kernel's shape; the shape itself if there is none."""
    for source in stage.sources:
        array = arrays[source.origin]
        if array.shape == stage.inner and source.window.covers(array.shape):
            return array.chunks
    return stage.inner


def merged(stage: Stage, first: list[Array] | None, second: list[Array], piece: Window) -> list[Array]:
    """Join partial reductions; `piece` is what the second one was made of."""
    assert stage.reduction is not None
    if stage.reduction.function in INDEXING:
        along = [piece.axes[i] for i in stage.reduction.axes]
        totals = [stage.inner[i] for i in stage.reduction.axes]
        places = moved_places(second[1], [len(a) for a in along], [a.start for a in along], totals)
        second = [second[0], places]
    return second if first is None else merge(stage.reduction.function, first, second)


def finished(stage: Stage, parts: list[Array], window: Window) -> Array:
    """Return a window of a reduction's result."""
    assert stage.reduction is not None
    result = finish(stage.reduction.function, parts, stage.array.dtype, stage.reduction.ddof)
    return np.ascontiguousarray(result).reshape(window.full_shape)


def reduced_nothing(stage: Stage, window: Window) -> Array:
    """Return a window of a reduction over no items, with NumPy's values."""
    reduction = stage.reduction
    assert reduction is not None
    value = {"sum": 0, "prod": 1, "any": False, "all": True}.get(reduction.function, np.nan)
    return np.full(window.full_shape, value, stage.array.dtype)


# work for an evaluating process


def load(memory: memoryview, arena: int, stage: Stage, window: Window, inputs: Sequence[Array]) -> bytes:
    """Copy the inputs of a window to shared memory; return the request. For a thread.

    Raises
    ------
    BadExpression
        They do not fit.
    """
    at, places = 0, []
    for items in inputs:
        place = Place(at, items.shape, dtype_to_text(items.dtype))
        at = aligned(at + items.nbytes)
        if at > arena:
            raise BadExpression("the inputs of the expression are too large")
        if items.size:
            view(memory, place)[...] = items
        places.append(place)
    out = Place(at, window.full_shape, dtype_to_text(stage.inner_dtype))
    if at + window.size * stage.inner_dtype.itemsize > arena:
        raise BadExpression("the result of the expression is too large")
    reduction = stage.reduction
    task = Task(
        kernel=stage.kernel,
        leaves=tuple(places),
        out=out,
        function=None if reduction is None else reduction.function,
        axes=() if reduction is None else reduction.axes,
    )
    return msgspec.msgpack.encode(task)


def unload(memory: memoryview, answer: bytes) -> list[Array]:
    """Copy results out of shared memory. For a thread.

    Raises
    ------
    BadExpression
        The process says that something is wrong with the expression.
    """
    done = msgspec.msgpack.decode(answer, type=Done)
    if done.error is not None:
        raise BadExpression(done.error)
    return [view(memory, place).copy() for place in done.places]


def plain_copy(stage: Stage, items: Array) -> Array:
    """Evaluate a kernel that is nothing but its one input."""
    return np.ascontiguousarray(evaluate(stage.kernel, [items])).reshape(items.shape)


def virtual_skeleton(array: ArrayMeta) -> Skeleton:
    """Return the skeleton of a frame that is nowhere: it says what the array is, and has no bytes."""
    typesize = array.dtype.itemsize
    nchunks = math.prod(array.grid)
    nothing = np.broadcast_to(np.int64(0), (nchunks,))
    chunk_nbytes = math.prod(array.chunks) * typesize
    return Skeleton(
        size=0, start=0, stop=0, typesize=typesize, blocksize=array.block_nbytes, chunksize=chunk_nbytes,
        nbytes=nchunks * chunk_nbytes, cbytes=0, codec=ZSTD, codec_meta=0, clevel=1,
        filters=(0, 0, 0, 0, 0, SHUFFLE), filters_meta=(0, 0, 0, 0, 0, 0), splitmode=1, use_dict=False,
        nthreads=1, variable=False, offsets=nothing, stops=nothing, block_nbytes=array.block_nbytes,
        blocks_per_chunk=math.prod(array.block_grid), meta=array, metalayers=(), vlmeta={},
    )  # fmt: skip


def cast_items(items: Array, dtype: np.dtype[Any]) -> Array:
    """Return items as another dtype; themselves if they have it."""
    return items if items.dtype == dtype else items.astype(dtype)
