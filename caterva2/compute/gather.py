"""Lists of indices, with NumPy's rules of advanced indexing: parsing them, and where their items lie."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from caterva2.compute.frames import ArrayMeta
from caterva2.errors import BadSlice, ResponseTooLarge, ValidationFailed
from caterva2.model import wire
from caterva2.model.slicing import Axis, NDSlice, Window

Array = npt.NDArray[Any]
Ints: TypeAlias = npt.NDArray[np.int64]
Indices: TypeAlias = tuple[Axis | Ints, ...]

MAX_TEXT = 4 << 20
MAX_BYTES = 64 << 20
MAX_BOX = 16 << 20
"""Windows around several points have at most so many bytes."""


class Box(NamedTuple):
    """Points that lie close to one another, and a window around them.

    Attributes
    ----------
    points
        (npoints,) Their numbers.
    at
        (naxes, npoints) Where they lie in the window, along the axes with lists.
    """

    points: Ints
    at: Ints
    window: Window


class Gathering:
    """Items selected by indices, gathered box by box.

    Parameters
    ----------
    indices
        Selection along each axis; see `parse_indices`.

    Raises
    ------
    ResponseTooLarge
        They have more than `MAX_BYTES` bytes.
    """

    def __init__(self, array: ArrayMeta, indices: Indices) -> None:
        self._indices = indices
        self._chunks = array.chunks
        self._advanced = [i for i, index in enumerate(indices) if isinstance(index, np.ndarray)]
        self._axes = [index for index in indices if isinstance(index, Axis)]
        lists = [index for index in indices if isinstance(index, np.ndarray)]
        points = np.broadcast_arrays(*lists) if lists else []
        self._shape = points[0].shape if lists else ()
        npoints = math.prod(self._shape)
        rest = tuple(len(axis) for axis in self._axes)
        check_size(npoints * math.prod(rest) * array.dtype.itemsize)
        self._rest_nbytes = math.prod(rest) * array.dtype.itemsize
        self._points = np.array([p.reshape(-1) for p in points], np.int64).reshape(len(lists), npoints)
        self._out = np.empty((npoints, *rest), array.dtype)

    def boxes(self) -> Iterator[Box]:
        """Yield what is to be read."""
        if not self._advanced:
            yield Box(np.zeros(1, np.int64), np.empty((0, 1), np.int64), Window(tuple(self._axes)))
            return
        waiting = boxes(self._points, [self._chunks[i] for i in self._advanced])[::-1]
        while waiting:
            points = waiting.pop()
            at = self._points[:, points]
            low, high = at.min(axis=1), at.max(axis=1) + 1
            widest = int(np.argmax(high - low))
            if high[widest] - low[widest] > 1 and self._nbytes(high - low) > MAX_BOX:
                left = at[widest] < (low[widest] + high[widest]) // 2
                waiting += [points[~left], points[left]]
                continue
            around = iter(Axis(int(a), int(b)) for a, b in zip(low, high, strict=True))
            others = iter(self._axes)
            axes = (next(around) if i in self._advanced else next(others) for i in range(len(self._indices)))
            yield Box(points, at - low[:, None], Window(tuple(axes)))

    def _nbytes(self, lengths: Ints) -> int:
        """Return the bytes of a window of these lengths along the axes with lists."""
        return int(lengths.prod()) * self._rest_nbytes

    def put(self, box: Box, items: Array) -> None:
        """Take the items of a box, of its window's ``full_shape``."""
        basic = [i for i in range(len(self._indices)) if i not in self._advanced]
        moved = items.transpose([*self._advanced, *basic])
        self._out[box.points] = moved[tuple(box.at)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return self._arranged().shape

    def result(self) -> Array:
        """Return the gathered items, in C order."""
        result = self._arranged()
        return np.ascontiguousarray(result).reshape(result.shape)

    def _arranged(self) -> Array:
        """Return a view of the items with the axes where they belong."""
        rest = self._out.shape[1:]
        result = self._out.reshape((*self._shape, *rest))
        advanced = self._advanced
        if not advanced:
            return result.reshape(tuple(len(axis) for axis in self._axes if not axis.drop))
        if advanced == list(range(advanced[0], advanced[-1] + 1)):
            before, n = advanced[0], len(self._shape)
            order = [*range(n, n + before), *range(n), *range(n + before, result.ndim)]
            result = result.transpose(order)
        return result


def check_size(nbytes: int) -> None:
    """Refuse a selection of more than `MAX_BYTES` bytes.

    Raises
    ------
    ResponseTooLarge
        It has more.
    """
    if nbytes > MAX_BYTES:
        raise ResponseTooLarge(
            f"the selected items have {nbytes} bytes; at most {MAX_BYTES} are gathered at once",
            hint="ask in parts",
        )


def boxes(points: npt.NDArray[np.int64], chunks: Sequence[int]) -> list[npt.NDArray[np.int64]]:
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
        entries = wire.from_json(text, list[Any], where="indices")
    except (ValidationFailed, RecursionError) as exc:
        raise BadSlice("indices is not a list in JSON") from exc
    if len(entries) > len(shape):
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
        if isinstance(part.items[0], int):
            return _parse_entry(part.items[0], n, axis, lists)
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
