"""The slice as a value: parse, format, normalise; which chunks and blocks it touches.

Text form (also of the query parameter ``slice_``): segments joined by ``,``;
a segment is an integer or ``start:stop[:step]`` whose parts may be empty. The
meaning is NumPy's basic indexing, with positive steps only.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import SupportsIndex, TypeAlias

import msgspec

from caterva2.errors import BadSlice

_INT = r"\s*([+-]?[0-9]{1,19})\s*"
_PART = rf"(?:{_INT}|\s*)"
_SEGMENT = re.compile(rf"{_INT}|{_PART}:{_PART}(?::{_PART})?")
MAX_AXES = 32

Item: TypeAlias = int | slice | EllipsisType
Key: TypeAlias = SupportsIndex | slice | EllipsisType | tuple[SupportsIndex | slice | EllipsisType, ...]


class Axis(msgspec.Struct, frozen=True):
    """Selection along one axis, normalised: ``0 <= start <= stop <= n``, ``step >= 1``.

    Attributes
    ----------
    start, stop, step
        As in `range`, in items.
    drop
        The axis was indexed by an integer and vanishes from the result.
    """

    start: int
    stop: int
    step: int = 1
    drop: bool = False

    def __len__(self) -> int:
        return len(range(self.start, self.stop, self.step))

    @property
    def last(self) -> int:
        """The last selected index; meaningless if nothing is selected."""
        return self.start + (len(self) - 1) * self.step


class Window(msgspec.Struct, frozen=True):
    """A slice made concrete for one shape: one `Axis` per dimension."""

    axes: tuple[Axis, ...]

    @property
    def full_shape(self) -> tuple[int, ...]:
        """Shape (ndim,) of the selection with integer axes kept as length 1."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result; integer axes are gone."""
        return tuple(len(axis) for axis in self.axes if not axis.drop)

    @property
    def size(self) -> int:
        """Number of selected items."""
        return math.prod(self.full_shape)

    def covers(self, shape: Sequence[int]) -> bool:
        """Whether this selects all of an array of `shape`, unchanged."""
        return all(
            axis.start == 0 and axis.stop == n and axis.step == 1 and not axis.drop
            for axis, n in zip(self.axes, shape, strict=True)
        )

    def grid(self, unit: Sequence[int]) -> tuple[range | list[int], ...]:
        """Coordinates, per axis, of the boxes of shape `unit` (ndim,) that hold selected items."""
        return tuple(_boxes(axis, n) for axis, n in zip(self.axes, unit, strict=True))

    def chunks_touched(
        self, shape: Sequence[int], chunks: Sequence[int]
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield flat index and coordinates of every chunk that holds selected items, in C order."""
        if self.size == 0:
            return
        strides = _strides([-(-n // c) if c else 0 for n, c in zip(shape, chunks, strict=True)])
        for coords in itertools.product(*self.grid(chunks)):
            yield sum(i * s for i, s in zip(coords, strides, strict=True)), coords

    def within(
        self, origin: Sequence[int], extent: Sequence[int]
    ) -> tuple[tuple[Axis, ...], tuple[slice, ...]]:
        """Restrict to a box.

        Parameters
        ----------
        origin, extent
            First corner and shape (ndim,) of the box, in items.

        Returns
        -------
        local
            Selection inside the box, relative to `origin`.
        target
            Where these items go in an array of `full_shape`.
        """
        local, target = [], []
        for axis, low, n in zip(self.axes, origin, extent, strict=True):
            first = max(0, -((axis.start - low) // axis.step))
            end = min(len(axis), -((axis.start - low - n) // axis.step))
            end = max(end, first)
            start = axis.start + first * axis.step - low
            stop = start if end == first else axis.start + (end - 1) * axis.step - low + 1
            local.append(Axis(start, stop, axis.step))
            target.append(slice(first, end))
        return tuple(local), tuple(target)


class NDSlice(msgspec.Struct, frozen=True):
    """A slice as asked for, not yet bound to a shape.

    Attributes
    ----------
    items
        Integers, slices, and at most one ``...``; missing trailing axes are whole.
    """

    items: tuple[Item, ...] = ()

    @classmethod
    def parse(cls, text: str | None, *, allow_ellipsis: bool = False) -> NDSlice:
        """Parse the text form; empty or missing text is the whole array.

        Parameters
        ----------
        text
            What a person or a client wrote.
        allow_ellipsis
            Accept ``...``; the wire form has none.

        Raises
        ------
        BadSlice
            The text is malformed, or has a zero or negative step.
        """
        if text is None:
            return cls()
        stripped = text.strip()
        if not stripped:
            return cls()
        segments = stripped.removesuffix(",").split(",")
        if len(segments) > MAX_AXES:
            raise BadSlice(f"slice {_short(text)} has more than {MAX_AXES} axes")
        items = tuple(_parse_segment(segment, text) for segment in segments)
        if not allow_ellipsis and Ellipsis in items:
            raise BadSlice(f"slice {_short(text)} holds '...'", hint="write ':' for each whole axis")
        return cls._checked(items, text)

    @classmethod
    def from_key(cls, key: object) -> NDSlice:
        """Build from what Python passes to ``__getitem__``.

        Raises
        ------
        BadSlice
            The key is not made of integers, slices and ``...``, or has a zero or negative step.
        """
        parts = key if isinstance(key, tuple) else (key,)
        return cls._checked(tuple(_from_part(part) for part in parts), str(key))

    @classmethod
    def _checked(cls, items: tuple[Item, ...], text: str) -> NDSlice:
        if sum(item is Ellipsis for item in items) > 1:
            raise BadSlice(f"slice {_short(text)} has more than one '...'")
        for item in items:
            if isinstance(item, slice) and item.step is not None and item.step <= 0:
                raise BadSlice(
                    f"slice {_short(text)} has the step {item.step}; steps must be positive",
                    hint="read the data forwards and reverse the result",
                )
        return cls(items)

    @property
    def is_whole(self) -> bool:
        """Whether this selects everything, whatever the shape."""
        return all(item is Ellipsis or item == slice(None) for item in self.items)

    def bind(self, shape: Sequence[int]) -> Window:
        """Make the slice concrete for an array of `shape` (ndim,), with NumPy's rules.

        Raises
        ------
        BadSlice
            There are more items than axes, or an integer is out of bounds.
        """
        items = self.items
        nitems = sum(item is not Ellipsis for item in items)
        if nitems > len(shape):
            raise BadSlice(f'slice "{self}" has {nitems} axes; the array has {len(shape)}')
        fill = (slice(None),) * (len(shape) - nitems)
        at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
        full = (*items[:at], *fill, *items[at + 1 :])
        return Window(
            tuple(self._axis(item, n, i) for i, (item, n) in enumerate(zip(full, shape, strict=True)))
        )

    def _axis(self, item: Item, n: int, axis: int) -> Axis:
        if isinstance(item, slice):
            start, stop, step = item.indices(n)
            return Axis(start, max(start, stop), step)
        assert isinstance(item, int)
        if not -n <= item < n:
            raise BadSlice(f"index {item} is out of bounds for axis {axis} of length {n}")
        index = item % n
        return Axis(index, index + 1, 1, drop=True)

    def __str__(self) -> str:
        return ",".join(_format_item(item) for item in self.items)


def split_slice(argument: str) -> tuple[str, str]:
    """Split ``path[slice]`` as people write it; the slice is empty if there is none."""
    path, bracket, rest = argument.rpartition("[")
    if not bracket or not rest.endswith("]"):
        return argument, ""
    return path, rest[:-1]


def _parse_segment(segment: str, text: str) -> Item:
    match = _SEGMENT.fullmatch(segment)
    if match is None:
        if segment.strip() == "...":
            return Ellipsis
        raise BadSlice(
            f"slice {_short(text)} is malformed at {_short(segment)}",
            hint="write integers or start:stop:step, separated by commas, such as 0:10,5",
        )
    index, start, stop, step = match.groups()
    if index is not None:
        return int(index)
    return slice(int(start) if start else None, int(stop) if stop else None, int(step) if step else None)


def _from_part(part: object) -> Item:
    if part is Ellipsis:
        return Ellipsis
    if isinstance(part, bool):
        raise BadSlice(f"a boolean ({part}) is not an index")
    if isinstance(part, slice):
        return slice(*(None if x is None else _as_int(x) for x in (part.start, part.stop, part.step)))
    return _as_int(part)


def _as_int(value: object) -> int:
    if type(value) is int:  # asking for a protocol is slow
        return value
    if not isinstance(value, SupportsIndex):
        raise BadSlice(f"{_short(repr(value))} is not an integer, a slice or '...'")
    try:
        return value.__index__()
    except TypeError as exc:
        raise BadSlice(f"{_short(repr(value))} is not an integer, a slice or '...'") from exc


def _format_item(item: Item) -> str:
    if item is Ellipsis:
        return "..."
    if isinstance(item, slice):
        start, stop, step = ("" if x is None else str(x) for x in (item.start, item.stop, item.step))
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
    return str(item)


def _boxes(axis: Axis, n: int) -> range | list[int]:
    if len(axis) == 0 or n == 0:
        return range(0)
    if axis.step <= n:
        return range(axis.start // n, axis.last // n + 1)
    return sorted({i // n for i in range(axis.start, axis.stop, axis.step)})


def _strides(counts: Sequence[int]) -> tuple[int, ...]:
    strides = [1] * len(counts)
    for i in range(len(counts) - 2, -1, -1):
        strides[i] = strides[i + 1] * counts[i + 1]
    return tuple(strides)


def _short(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
