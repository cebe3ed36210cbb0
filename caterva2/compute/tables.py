"""Rows of structured arrays: conditions over their columns, selecting and sorting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

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
    if len(array.shape) != 1 or not array.dtype.names or not array.dtype.itemsize:
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
    return _opaque(items)[np.asarray(mask, np.bool_)].view(items.dtype)


class SortKey(NamedTuple):
    """A column by which rows are sorted; downwards if `descending`."""

    column: str
    descending: bool = False


def sort_keys(array: ArrayMeta, text: str) -> tuple[SortKey, ...]:
    """Read what rows are sorted by: columns, the first one first; ``-`` in front is downwards.

    A column whose name is the whole text is meant as it is.

    Raises
    ------
    BadRequest
        There is no such column, or its items have no order.
    """
    columns = array.dtype.names or ()
    keys = [SortKey(text)] if text in columns else [_sort_key(part, columns) for part in text.split(",")]
    for key in keys:
        _check_column(array, key.column)
    if len({key.column for key in keys}) < len(keys):
        raise BadRequest(f"sortby {text[:60]!r} names a column twice")
    return tuple(keys)


def _sort_key(text: str, columns: Sequence[str]) -> SortKey:
    text = text.strip()
    if text in columns or not text.startswith("-"):
        return SortKey(text)
    return SortKey(text[1:].strip(), descending=True)


def _check_column(array: ArrayMeta, name: str) -> None:
    if name not in (array.dtype.names or ()):
        raise BadRequest(
            f"there is no column {name[:60]!r}", hint=f"the columns: {', '.join(array.dtype.names or ())}"
        )
    column = array.dtype[name]
    if column.shape or column.names or column.kind == "V":
        raise BadRequest(f"rows can not be sorted by {name!r}: its items have no order")


def collected(parts: list[Array], array: ArrayMeta, keys: Sequence[SortKey]) -> Array:
    """Put rows together, sorted if there are keys; equal ones stay in their order. Empties `parts`."""
    if not parts:
        return np.empty(0, array.dtype)
    rows = parts[0] if len(parts) == 1 else np.concatenate([_opaque(part) for part in parts])
    rows = rows.view(array.dtype)
    parts.clear()
    if not keys:
        return rows
    order = _order([(rows[key.column], key.descending) for key in keys])
    return _opaque(rows)[order].view(array.dtype)


class Ordering:
    """The numbers of rows, selected and sorted, gathered piece by piece; as `collected` puts rows together.

    Parameters
    ----------
    keys
        What to sort by; none: no sorting.
    """

    def __init__(self, array: ArrayMeta, keys: Sequence[SortKey]) -> None:
        self._keys = keys
        self._dtype = np.dtype([(f"k{i}", array.dtype[key.column]) for i, key in enumerate(keys)])
        self._items: list[Array] = []
        self._rows: list[Rows] = []
        self.nbytes = 0

    def add(self, start: int, stop: int, mask: Array | None, items: Array | None) -> None:
        """Take the rows ``[start, stop)``: those that `mask` selects; sorted ones need `items`."""
        rows = np.arange(start, stop) if mask is None else start + np.flatnonzero(mask)
        self._rows.append(rows)
        self.nbytes += rows.nbytes
        if self._keys and items is not None:
            part = np.empty(len(rows), self._dtype)
            for i, key in enumerate(self._keys):
                column = items[key.column]
                part[f"k{i}"] = column if mask is None else column[rows - start]
            self._items.append(part)
            self.nbytes += part.nbytes

    def rows(self) -> Rows:
        """Return the numbers, in order."""
        rows = np.concatenate(self._rows) if self._rows else np.empty(0, np.int64)
        if not self._items:
            return rows
        items = np.concatenate(self._items)
        return rows[_order([(items[f"k{i}"], key.descending) for i, key in enumerate(self._keys)])]


def _order(columns: Sequence[tuple[Array, bool]]) -> Rows:
    """Return the numbers of rows in the order of columns, the first one first; descending ones are marked."""
    order = np.arange(len(columns[0][0]))
    for column, descending in reversed(columns):  # stable: the last one to sort by is the first that counts
        items = column[order]
        if descending:  # backwards and back again: what is equal stays in its order
            order = order[::-1][np.argsort(items[::-1], kind="stable")][::-1]
        else:
            order = order[np.argsort(items, kind="stable")]
    return order


def _opaque(rows: Array) -> Array:
    """Return rows as bytes: NumPy moves them five times as fast as field by field."""
    return np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize)))


def window_of(items: Array, window: Window) -> Array:
    """Return the items of a window, of its ``full_shape``."""
    return np.ascontiguousarray(items[tuple(slice(a.start, a.stop, a.step) for a in window.axes)])
