"""Rows of structured arrays: conditions over their columns, selecting and sorting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from caterva2.compute.expressions import parse
from caterva2.compute.frames import ArrayMeta
from caterva2.compute.kernels import Array
from caterva2.compute.lowering import Plan, lower
from caterva2.compute.nodes import Apply, Cast, Constant, Field, Leaf, Name, Node, Part, Reduce, names
from caterva2.errors import BadExpression, BadRequest
from caterva2.model.slicing import Window

Rows: TypeAlias = npt.NDArray[np.int64]
"""Numbers of rows."""

TABLE = "table"
"""The one operand of a condition: the structured array itself."""


def check_table(array: ArrayMeta, what: str) -> None:
    """Refuse what has no rows with columns.

    Raises
    ------
    BadRequest
        It is not a structured array of one dimension.
    """
    if len(array.shape) != 1 or not array.dtype.names:
        raise BadRequest(
            f"{what} is for structured arrays of one dimension", hint="see the dtype of the dataset"
        )


def plan_condition(text: str, array: ArrayMeta) -> Plan:
    """Plan a condition whose names are columns.

    Raises
    ------
    BadExpression
        It is not in the grammar, names no columns, or is not true or false for each row.
    """
    node = parse(text)
    columns = array.dtype.names or ()
    unknown = [name for name in names(node) if name not in columns]
    if unknown:
        raise BadExpression(
            f"filter {text[:60]!r} names {', '.join(unknown)}", hint=f"the columns: {', '.join(columns)}"
        )
    plan = lower(_over_table(node), {TABLE: array})
    if plan.array.dtype != np.bool_ or plan.array.shape != array.shape:
        raise BadExpression(f"filter {text[:60]!r} is not true or false for each row")
    return plan


def _over_table(node: Node) -> Node:
    """Return a condition with its columns as fields of the table."""
    if isinstance(node, Name):
        return Field(Name(TABLE), node.name)
    if isinstance(node, Apply):
        return Apply(node.function, tuple(_over_table(arg) for arg in node.args))
    if isinstance(node, Cast):
        return Cast(_over_table(node.arg), node.dtype)
    if isinstance(node, Reduce):
        return Reduce(node.function, _over_table(node.arg), node.axis, node.keepdims, node.ddof)
    if isinstance(node, Part):
        return Part(_over_table(node.arg), node.text)
    if isinstance(node, Field):
        return Field(_over_table(node.arg), node.name)
    assert isinstance(node, Constant | Leaf)
    return node


def wanted_range(mask: Array) -> tuple[int, int] | None:
    """Return first and end of the rows that a mask selects; None if it selects none."""
    rows = np.flatnonzero(mask)
    return None if not len(rows) else (int(rows[0]), int(rows[-1]) + 1)


def chosen_rows(items: Array, mask: Array) -> Array:
    """Return the selected rows."""
    return items[np.asarray(mask, np.bool_)]


def collected(parts: Sequence[Array], array: ArrayMeta, sortby: str | None) -> Array:
    """Put rows together, sorted by a column if one is given; equal ones stay in their order."""
    rows = np.concatenate(parts) if parts else np.empty(0, array.dtype)
    return rows if sortby is None else rows[np.argsort(rows[sortby], kind="stable")]


class Ordering:
    """The numbers of rows, selected and sorted, gathered piece by piece.

    Equal rows stay in their order; NaN and NaT come last.

    Parameters
    ----------
    sortby
        The column to sort by, with a ``-`` before it from large to small; None: no sorting.

    Raises
    ------
    BadRequest
        As `check_column`.
    """

    def __init__(self, array: ArrayMeta, sortby: str | None) -> None:
        self._column: str | None = None
        self._descending = False
        if sortby is not None:
            self._column, self._descending = sort_column(array, sortby)
        self._keys: list[Array] = []
        self._rows: list[Rows] = []
        self.nbytes = 0

    def add(self, start: int, stop: int, mask: Array | None, items: Array | None) -> None:
        """Take the rows ``[start, stop)``: those that `mask` selects; sorted ones need `items`."""
        rows = np.arange(start, stop) if mask is None else start + np.flatnonzero(mask)
        self._rows.append(rows)
        self.nbytes += rows.nbytes
        if self._column is not None and items is not None:
            key = items[self._column]
            self._keys.append(np.ascontiguousarray(key if mask is None else key[rows - start]))
            self.nbytes += self._keys[-1].nbytes

    def rows(self) -> Rows:
        """Return the numbers, in order."""
        rows = np.concatenate(self._rows) if self._rows else np.empty(0, np.int64)
        if not self._keys:
            return rows
        keys = np.concatenate(self._keys)
        if not self._descending:
            return rows[np.argsort(keys, kind="stable")]
        order = len(keys) - 1 - np.argsort(keys[::-1], kind="stable")[::-1]
        if keys.dtype.kind in "fcmM":  # what is no number, or no time, comes last in any case
            missing = (keys != keys)[order]
            order = np.concatenate([order[~missing], order[missing]])
        return rows[order]


def sort_column(array: ArrayMeta, sortby: str) -> tuple[str, bool]:
    """Return the column to sort by, and whether from large to small: a ``-`` before its name says so.

    Raises
    ------
    BadRequest
        As `check_column`.
    """
    descending = sortby.startswith("-") and sortby not in (array.dtype.names or ())
    column = sortby[1:] if descending else sortby
    check_column(array, column)
    return column, descending


def check_column(array: ArrayMeta, name: str) -> None:
    """Refuse what can not be sorted by.

    Raises
    ------
    BadRequest
        There is no such column, or its items have no order.
    """
    if name not in (array.dtype.names or ()):
        raise BadRequest(
            f"there is no column {name!r}", hint=f"the columns: {', '.join(array.dtype.names or ())}"
        )
    column = array.dtype[name]
    if column.shape or column.names:
        raise BadRequest(f"rows can not be sorted by {name!r}: its items have no order")


def window_of(items: Array, window: Window) -> Array:
    """Return the items of a window, of its ``full_shape``."""
    return np.ascontiguousarray(items[tuple(slice(a.start, a.stop, a.step) for a in window.axes)])
