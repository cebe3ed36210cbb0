"""What a viewer shows: a dataset, the axes that are seen, where the others are cut. Values only, no I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Self, TypeAlias

import numpy as np

Item: TypeAlias = int | slice
Span: TypeAlias = tuple[int, int]

POINTS = 512
"""Items along each axis of a picture; of more every k-th is shown."""
LINE_POINTS = 1024
"""Items of a line; of more every k-th is shown."""
TABLE_ROWS, TABLE_COLUMNS = 20, 10
LONG_ENOUGH = (16, 5, 2)
"""Lengths below which an axis is not drawn if two others are longer: bands, components, single items."""


class Mode(StrEnum):
    """How data are shown."""

    PICTURE = "picture"
    COLOURS = "colours"
    LINE = "line"
    TABLE = "table"


class Range(StrEnum):
    """Which values get the first and the last colour."""

    FULL = "least to greatest"
    CENTRAL = "2 % to 98 %"
    FIXED = "fixed"


@dataclass(frozen=True)
class Subject:
    """What is shown.

    Attributes
    ----------
    path
        Its name for people.
    shape
        Lengths (ndim,) in items.
    dtype
        Type of an item.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields; none if items are no structures."""
        return self.dtype.names or ()

    @cached_property
    def number_fields(self) -> tuple[str, ...]:
        """Fields that can be drawn."""
        return tuple(name for name in self.fields if _is_number(self.dtype[name]))

    @cached_property
    def has_colours(self) -> bool:
        """Whether the last axis may be red, green, blue, and opacity."""
        return self.ndim >= 3 and self.shape[-1] in {3, 4} and self.dtype == np.uint8

    @cached_property
    def modes(self) -> tuple[Mode, ...]:
        """The ways it can be shown, the natural one first."""
        if not self.ndim or 0 in self.shape or not (_is_number(self.dtype) or self.number_fields):
            return (Mode.TABLE,)
        found = [Mode.LINE, Mode.TABLE]
        if self.ndim >= 2:
            found.insert(0, Mode.PICTURE)
        if self.has_colours:
            found.insert(0, Mode.COLOURS)
        if self.fields:
            found.remove(Mode.TABLE)
            found.insert(0, Mode.TABLE)
        return tuple(found)


@dataclass(frozen=True)
class View:
    """A subject as it is seen; every change gives another value.

    Attributes
    ----------
    rows, columns
        Axes that run downwards and to the right; None where there is no such axis.
    position
        An index (ndim,): where the axes that are not seen are cut, and where the cursor is on the others.
    spans
        Start and stop (ndim,) of what is seen of each axis, when it is seen.
    field
        Of a structure: what is drawn.
    colormap, range, limits
        How numbers become colours; `limits` count if `range` is fixed.
    """

    subject: Subject
    mode: Mode
    rows: int | None
    columns: int | None
    position: tuple[int, ...]
    spans: tuple[Span, ...]
    field: str | None = None
    colormap: str = "viridis"
    range: Range = Range.FULL
    limits: tuple[float, float] = (0.0, 1.0)
    cursor: bool = True

    @classmethod
    def of(cls, subject: Subject) -> Self:
        """Return the first view: `first_axes`, the middle of the others."""
        axes = first_axes(subject.shape[:-1] if subject.has_colours else subject.shape)
        columns = axes[-1] if axes else None
        rows = axes[-2] if len(axes) > 1 else None
        if subject.fields:
            # Its table has the fields as columns.
            rows, columns = (columns, None) if subject.ndim == 1 else (rows, columns)
        return cls(
            subject,
            subject.modes[0],
            rows,
            columns,
            tuple(max(0, n // 2) if n else 0 for n in subject.shape),
            tuple((0, n) for n in subject.shape),
            next(iter(subject.number_fields), None),
        )

    # what is seen

    @property
    def line_axis(self) -> int | None:
        """The axis along which a line runs."""
        return self.columns if self.columns is not None else self.rows

    @property
    def channel_axis(self) -> int | None:
        """The axis of red, green and blue, if they are shown as such."""
        return self.subject.ndim - 1 if self.mode is Mode.COLOURS else None

    @property
    def seen(self) -> tuple[int, ...]:
        """Axes that are seen, in the order of the dataset."""
        if self.mode is Mode.LINE:
            found = {self.line_axis}
        elif self.mode is Mode.TABLE and self.subject.fields and self.rows is not None:
            found = {self.rows}
        else:
            found = {self.rows, self.columns, self.channel_axis}
        return tuple(sorted(axis for axis in found if axis is not None))

    @property
    def hidden(self) -> tuple[int, ...]:
        """Axes that are cut at their position."""
        return tuple(i for i in range(self.subject.ndim) if i not in self.seen)

    @property
    def items(self) -> tuple[Item, ...]:
        """What is read: an index or a slice for each axis."""
        return tuple(
            slice(*self.shown_span(axis)) if axis in self.seen else self.position[axis]
            for axis in range(self.subject.ndim)
        )

    @property
    def item(self) -> tuple[Item, ...]:
        """The item under the cursor; of colours all of them."""
        return tuple(
            slice(None) if axis == self.channel_axis else at for axis, at in enumerate(self.position)
        )

    @property
    def points(self) -> int:
        """Most items along each axis of what is read."""
        if self.mode is Mode.TABLE:
            return max(TABLE_ROWS, TABLE_COLUMNS)
        return LINE_POINTS if self.mode is Mode.LINE else POINTS

    @property
    def read_field(self) -> str | None:
        """The field that is read; None for whole items."""
        return None if self.mode is Mode.TABLE else self.field

    @property
    def asked(self) -> tuple[object, ...]:
        """What decides which data are read; all else is drawing."""
        return (
            tuple((item.start, item.stop) if isinstance(item, slice) else item for item in self.items),
            self.points,
            self.read_field,
        )

    def shown_span(self, axis: int) -> Span:
        """Return start and stop of what is seen of an axis: of a table a page."""
        start, stop = self.spans[axis]
        if axis == self.channel_axis:
            return 0, self.subject.shape[axis]
        if self.mode is Mode.TABLE:
            most = TABLE_COLUMNS if axis == self.columns and len(self.seen) > 1 else TABLE_ROWS
            # The page that holds the cursor.
            at = min(max(self.position[axis], start), max(start, stop - 1))
            start += (at - start) // most * most
            stop = min(stop, start + most)
        return start, stop

    # changes

    def with_mode(self, mode: str) -> Self:
        """Show it in another way; one that it has not is no change."""
        found = Mode(mode)
        if found not in self.subject.modes:
            return self
        view = dataclasses.replace(self, mode=found)
        channel = view.channel_axis
        if channel is not None and channel in {view.rows, view.columns}:
            view = dataclasses.replace(view, rows=channel - 2, columns=channel - 1)
        return view._complete()

    def with_axes(self, rows: int | None, columns: int | None) -> Self:
        """See other axes; if one is asked for twice, or is that of the colours, they change places."""
        if rows == columns and rows is not None:
            rows, columns = (rows, self.rows) if rows != self.rows else (self.columns, columns)
        if self.channel_axis is not None and self.channel_axis in {rows, columns}:
            return self
        return dataclasses.replace(self, rows=rows, columns=columns)._complete()

    def with_position(self, position: Sequence[int]) -> Self:
        """Go elsewhere; what is out of bounds is moved to the border."""
        if len(position) != self.subject.ndim:
            return self
        shape = self.subject.shape
        inside = (min(max(int(at), 0), max(0, n - 1)) for at, n in zip(position, shape, strict=True))
        return dataclasses.replace(self, position=tuple(inside))

    def at(self, axis: int, index: int) -> Self:
        """Go elsewhere along one axis."""
        return self.with_position([index if i == axis else at for i, at in enumerate(self.position)])

    def with_span(self, axis: int, start: int, stop: int) -> Self:
        """See another part of an axis: at least one item."""
        n = self.subject.shape[axis]
        start = min(max(0, int(start)), max(0, n - 1))
        stop = min(max(start + 1, int(stop)), n)
        spans = tuple((start, stop) if i == axis else span for i, span in enumerate(self.spans))
        return dataclasses.replace(self, spans=spans)

    def with_limits(self, low: float, high: float) -> Self:
        """Give the first and the last colour other values."""
        return dataclasses.replace(self, limits=(float(low), float(high)))

    def with_field(self, field: str | None) -> Self:
        """Draw another field; one that can not be drawn is no change."""
        return dataclasses.replace(self, field=field) if field in self.subject.number_fields else self

    def following(self, other: View, what: Sequence[str]) -> Self:
        """Take over what fits from another view.

        Parameters
        ----------
        what
            Any of ``position``, ``axes``, ``spans``, ``colours`` and ``mode``.
        """
        view = self
        same = other.subject.ndim == self.subject.ndim
        if "mode" in what:
            view = view.with_mode(other.mode)
        if "axes" in what and same:
            view = view.with_axes(other.rows, other.columns)
        if "spans" in what and other.subject.shape == self.subject.shape:
            view = dataclasses.replace(view, spans=other.spans)
        if "position" in what and same:
            view = view.with_position(other.position)
        if "colours" in what:
            view = dataclasses.replace(view, colormap=other.colormap, range=other.range, limits=other.limits)
        return view

    def _complete(self) -> Self:
        """Give a picture the two axes that it needs."""
        if self.mode not in {Mode.PICTURE, Mode.COLOURS} or None not in {self.rows, self.columns}:
            return self
        free = [i for i in range(self.subject.ndim) if i not in {self.rows, self.columns, self.channel_axis}]
        rows, columns = self.rows, self.columns
        if columns is None:
            columns = free.pop()
        if rows is None:
            rows = free.pop()
        return dataclasses.replace(self, rows=rows, columns=columns)


@dataclass(frozen=True)
class Plane:
    """What was read for a view.

    Attributes
    ----------
    data
        Items; its axes are the view's ``seen``.
    steps
        How many items of the dataset lie from one to the next, along each axis of `data`.
    """

    data: np.ndarray[Any, np.dtype[Any]]
    steps: tuple[int, ...]

    def index_of(self, view: View, axis: int) -> int | None:
        """Return where the cursor is along an axis of `data`; None if it is not in it."""
        at = view.seen.index(axis)
        start, stop = view.shown_span(axis)
        position = view.position[axis]
        if not start <= position < stop:
            return None
        last: int = max(0, self.data.shape[at] - 1)
        return min((position - start) // self.steps[at], last)


def first_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the axes that a plane shows at first: the last two that are long enough.

    So a picture of three channels, or a series of twelve months, is not seen as a strip. The
    viewer of JupyterLab has the same rule: ``firstAxes`` of ``labextension/src/viewer/selection.ts``.

    Parameters
    ----------
    shape
        Lengths (n,) of the axes that may be drawn.

    Returns
    -------
    tuple of int
        Two axes, rows first; fewer if there are no more.
    """
    for least in LONG_ENOUGH:
        found = [axis for axis, n in enumerate(shape) if n >= least]
        if len(found) >= 2:
            return tuple(found[-2:])
    return tuple(range(len(shape)))[-2:]


def _is_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biufcmM" and dtype.shape == ()
