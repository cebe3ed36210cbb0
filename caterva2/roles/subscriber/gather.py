"""Single items by lists of indices, with NumPy's rules of advanced indexing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from caterva2.compute.frames import Buffer
from caterva2.errors import BadSlice, ResponseTooLarge
from caterva2.model.slicing import Axis, NDSlice, Window
from caterva2.roles.subscriber.opened import OpenedFile
from caterva2.roles.subscriber.slices import Selection, SliceReader, whole_frame
from caterva2.runtime.workers import Lane, Workers

Array = npt.NDArray[Any]
Indices: TypeAlias = "tuple[Axis | npt.NDArray[np.int64], ...]"

MAX_TEXT = 4 << 20
MAX_BYTES = 64 << 20


class Gatherer:
    """Reads items by lists of indices.

    Parameters
    ----------
    slices
        Reads the windows that hold them.
    """

    def __init__(self, slices: SliceReader, workers: Workers) -> None:
        self._slices = slices
        self._workers = workers

    async def frame(
        self, file: OpenedFile, indices: Indices, field: str | None, *, local: bool
    ) -> Sequence[Buffer]:
        """Return the selected items as a frame.

        Raises
        ------
        ResponseTooLarge
            They have more than `MAX_BYTES` bytes.
        """
        out = await self.array(file, indices)
        window = Window(tuple(Axis(0, n) for n in out.shape))
        return await self._workers.run(Lane.CPU, whole_frame, out, Selection(window, field, local), file)

    async def array(self, file: OpenedFile, indices: Indices) -> Array:
        """Return the selected items; raises as `frame`."""
        array = file.skeleton.array
        advanced = [i for i, index in enumerate(indices) if isinstance(index, np.ndarray)]
        if not advanced:
            window = Window(tuple(index for index in indices if isinstance(index, Axis)))
            _check_size(window.size * array.dtype.itemsize)
            return (await self._slices.array(file, window)).reshape(window.shape)
        points = np.broadcast_arrays(*(index for index in indices if isinstance(index, np.ndarray)))
        basic = [i for i in range(len(indices)) if i not in advanced]
        axes = [index for index in indices if isinstance(index, Axis)]
        rest = tuple(len(axis) for axis in axes)
        _check_size(points[0].size * math.prod(rest) * array.dtype.itemsize)
        out = np.empty((points[0].size, *rest), array.dtype)
        flat = (
            np.stack([p.reshape(-1) for p in points])
            if points[0].size
            else np.empty((len(advanced), 0), np.int64)
        )
        for box in _boxes(flat, [array.chunks[i] for i in advanced]):
            low, high = flat[:, box].min(axis=1), flat[:, box].max(axis=1) + 1
            around = iter(Axis(int(a), int(b)) for a, b in zip(low, high, strict=True))
            others = iter(axes)
            window = Window(
                tuple(next(around) if i in advanced else next(others) for i in range(len(indices)))
            )
            held = await self._slices.array(file, window)
            moved = held.transpose([*advanced, *basic])
            out[box] = moved[tuple(flat[k, box] - low[k] for k in range(len(advanced)))]
        result = out.reshape(*points[0].shape, *rest)
        if advanced == list(range(advanced[0], advanced[-1] + 1)):
            before = advanced[0]
            n = points[0].ndim
            order = [*range(n, n + before), *range(n), *range(n + before, result.ndim)]
            result = result.transpose(order)
        return np.ascontiguousarray(result).reshape(result.shape)


def _check_size(nbytes: int) -> None:
    if nbytes > MAX_BYTES:
        raise ResponseTooLarge(
            f"the selected items have {nbytes} bytes; at most {MAX_BYTES} are gathered at once",
            hint="ask in parts",
        )


def _boxes(points: npt.NDArray[np.int64], chunks: Sequence[int]) -> list[npt.NDArray[np.int64]]:
    """Group points (naxes, n) by the box of shape `chunks` that they lie in."""
    if not points.shape[1]:
        return []
    keys = points // np.asarray(chunks)[:, None]
    order = np.lexsort(keys[::-1])
    inorder = keys[:, order]
    breaks = np.flatnonzero((inorder[:, 1:] != inorder[:, :-1]).any(axis=0)) + 1
    bounds = [0, *breaks.tolist(), points.shape[1]]
    return [order[a:b] for a, b in itertools.pairwise(bounds)]


def parse_indices(text: str, shape: Sequence[int]) -> Indices:
    """Parse the query parameter ``indices``: a JSON list with one entry for each dimension.

    An entry is null, an integer, ``"start:stop"``, or a list of integers, possibly nested.

    Raises
    ------
    BadSlice
        It is something else, or does not fit `shape` (ndim,).
    """
    if len(text) > MAX_TEXT:
        raise BadSlice(f"the list of indices has {len(text)} characters; at most {MAX_TEXT} are read")
    try:
        entries = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise BadSlice("indices is not JSON") from exc
    if not isinstance(entries, list) or len(entries) > len(shape):
        raise BadSlice(f"indices must be a list with one entry for each of the {len(shape)} dimensions")
    entries += [None] * (len(shape) - len(entries))
    lists = any(isinstance(entry, list) for entry in entries)
    parsed = tuple(_parse_entry(e, n, i, lists) for i, (e, n) in enumerate(zip(entries, shape, strict=True)))
    try:
        np.broadcast_shapes(*(index.shape for index in parsed if isinstance(index, np.ndarray)))
    except ValueError as exc:
        raise BadSlice("the lists of indices differ in length") from exc
    return parsed


def _parse_entry(entry: object, n: int, axis: int, lists: bool) -> Axis | npt.NDArray[np.int64]:
    if entry is None:
        return Axis(0, n)
    if isinstance(entry, str):
        part = NDSlice.parse(entry)
        if len(part.items) != 1:
            raise BadSlice(f"indices: {entry!r} is not one slice")
        return part.bind((n,)).axes[0]
    if isinstance(entry, int) and not isinstance(entry, bool) and not lists:
        return NDSlice((entry,)).bind((n,)).axes[0]
    try:
        values = np.array(entry)
    except ValueError as exc:
        raise BadSlice(f"indices: the list for axis {axis} is ragged") from exc
    if values.size == 0:
        values = values.astype(np.int64)
    if values.dtype.kind not in "iu" or isinstance(entry, bool | dict):
        raise BadSlice(
            f"indices: the entry for axis {axis} is not null, an integer, a slice or a list of integers"
        )
    if values.size and (int(values.min()) < -n or int(values.max()) >= n):
        raise BadSlice(f"indices: an index is out of bounds for axis {axis} of length {n}")
    values = values.astype(np.int64)
    return np.where(values < 0, values + n, values)
