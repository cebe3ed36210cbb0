"""A view and what was read for it, to what is shown: picture, curve or table, and words. No I/O."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from caterva2_jupyter.widgets import render
from caterva2_jupyter.widgets.model import Mode, Plane, Range, View

HINTS = 32
"""Rows and columns of places in a picture that tell their item."""


class Drawing(NamedTuple):
    """What is shown.

    Attributes
    ----------
    picture
        A PNG; None if there is a page.
    page
        HTML; None if there is a picture.
    limits
        The values of the first and the last colour; None where numbers have no colours.
    """

    picture: bytes | None = None
    page: str | None = None
    limits: render.Limits | None = None


def draw(view: View, plane: Plane) -> Drawing:
    """Draw what was read for a view."""
    if view.mode is Mode.TABLE:
        return Drawing(page=_table(view, plane))
    if view.mode is Mode.LINE:
        return Drawing(page=_curve(view, plane))
    values, cursor = _oriented(view, plane)
    cursor = cursor if view.cursor else None
    if view.mode is Mode.COLOURS:
        return Drawing(render.colour_picture(values, cursor=cursor))
    numbers = _numbers(values)
    limits = limits_of(view, numbers)
    return Drawing(render.picture(numbers, view.colormap, limits, cursor=cursor), limits=limits)


def thumbnail(view: View, plane: Plane) -> bytes | None:
    """Draw a picture small; None if a view shows none."""
    if view.mode not in {Mode.PICTURE, Mode.COLOURS}:
        return None
    values, _ = _oriented(view, plane)
    return render.thumbnail(values if view.mode is Mode.COLOURS else _numbers(values), view.colormap)


def hints(view: View, plane: Plane) -> str:
    """Return an SVG to lay over a picture: where the mouse rests, it tells an item and its index.

    Of large pictures only some items are told, always with their own index.
    """
    if view.mode not in {Mode.PICTURE, Mode.COLOURS} or view.rows is None or view.columns is None:
        return ""
    values, _ = _oriented(view, plane)
    nrows, ncolumns = values.shape[:2]
    width, height = _picture_size(view, values)
    down, right = view.seen.index(view.rows), view.seen.index(view.columns)
    cells = []
    for top, bottom in _strips(nrows):
        row = (top + bottom) // 2
        for left, end in _strips(ncolumns):
            column = (left + end) // 2
            at = view.at(view.rows, view.shown_span(view.rows)[0] + row * plane.steps[down])
            at = at.at(view.columns, view.shown_span(view.columns)[0] + column * plane.steps[right])
            text = html.escape(f"{where(at)} = {value_text(values[row, column])}")
            cells.append(
                f'<rect x="{left}" y="{top}" width="{end - left}" height="{bottom - top}">'
                f"<title>{text}</title></rect>"
            )
    return (
        f'<svg viewBox="0 0 {ncolumns} {nrows}" preserveAspectRatio="none" fill="transparent"'
        f' style="display:block;width:100%;aspect-ratio:{width}/{height}">{"".join(cells)}</svg>'
    )


def limits_of(view: View, values: render.Array) -> render.Limits:
    """Return the values of the first and the last colour."""
    if view.range is Range.FIXED:
        return render.Limits(*view.limits)
    return render.central_limits(values) if view.range is Range.CENTRAL else render.full_limits(values)


def holds_cursor(view: View, plane: Plane) -> bool:
    """Tell whether the item under the cursor is seen."""
    return all(axis == view.channel_axis or plane.index_of(view, axis) is not None for axis in view.seen)


def item_in(view: View, plane: Plane) -> tuple[Any, ...] | None:
    """Return the index in ``plane.data`` of the item under the cursor; None if it was stepped over."""
    found: list[Any] = []
    for axis, step in zip(view.seen, plane.steps, strict=True):
        if axis == view.channel_axis:
            found.append(slice(None))
            continue
        if (view.position[axis] - view.shown_span(axis)[0]) % step:
            return None
        found.append(plane.index_of(view, axis))
    return tuple(found)


def where(view: View) -> str:
    """Return the index of the item under the cursor, as one would type it."""
    parts = [":" if axis == view.channel_axis else str(at) for axis, at in enumerate(view.position)]
    field = f'["{view.field}"]' if view.read_field else ""
    return f"[{', '.join(parts)}]{field}"


def value_text(value: Any) -> str:  # noqa: ANN401
    """Return an item in full."""
    if isinstance(value, np.floating | np.complexfloating):
        return str(value)
    return str(value.tolist()) if isinstance(value, np.ndarray) else render.cell_text(value)


def remarks(view: View, plane: Plane) -> list[str]:
    """Tell what of the data is shown, and what they are like."""
    notes = [
        f"1 of {step} items of axis {axis}"
        for axis, step in zip(view.seen, plane.steps, strict=True)
        if step > 1
    ]
    if view.mode in {Mode.PICTURE, Mode.LINE}:
        notes.append(_statistics(plane.data))
    return notes


def _strips(n: int) -> list[tuple[int, int]]:
    """Cut `n` items into as many strips as are told of."""
    edges = np.linspace(0, n, min(n, HINTS) + 1).astype(int).tolist()
    return list(itertools.pairwise(edges))


def _picture_size(view: View, values: render.Array) -> tuple[int, int]:
    rows, columns = render.magnification((values.shape[0], values.shape[1]))
    return values.shape[1] * columns, values.shape[0] * rows


def _curve(view: View, plane: Plane) -> str:
    values = _numbers(plane.data)
    (axis,) = view.seen
    return render.curve(
        values,
        start=view.shown_span(axis)[0],
        step=plane.steps[0],
        cursor=plane.index_of(view, axis) if view.cursor else None,
        limits=None if view.range is Range.FULL else limits_of(view, values),
    )


def _table(view: View, plane: Plane) -> str:
    data, subject = plane.data, view.subject
    if subject.fields:
        rows = [data] if data.ndim == 0 else list(data.reshape(-1))
        cells = [[row[name] for name in subject.fields] for row in rows]
        return render.table(cells, _names(view, 0), subject.fields)
    if data.ndim == 0:
        return render.table([[data[()]]], [""], [""])
    if data.ndim == 1:
        at = plane.index_of(view, view.seen[0])
        cells = [[value] for value in data]
        return render.table(cells, _names(view, 0), ["value"], marked=None if at is None else (at, 0))
    oriented, cursor = _oriented(view, plane)
    down = 0 if view.rows == view.seen[0] else 1
    return render.table(list(oriented), _names(view, down), _names(view, 1 - down), marked=cursor)


def _names(view: View, at: int) -> Sequence[object]:
    return range(*view.shown_span(view.seen[at])) if view.seen else [""]


def _oriented(view: View, plane: Plane) -> tuple[render.Array, tuple[int, int] | None]:
    """Return data with the rows first, and row and column of the cursor in it."""
    assert view.rows is not None
    assert view.columns is not None
    data = plane.data if view.rows < view.columns else np.swapaxes(plane.data, 0, 1)
    row, column = plane.index_of(view, view.rows), plane.index_of(view, view.columns)
    return data, None if row is None or column is None else (row, column)


def _numbers(values: render.Array) -> render.Array:
    found = render.numbers(values)
    if found is None:
        raise TypeError(f"{values.dtype} can not be drawn")
    return found


def _statistics(data: render.Array) -> str:
    values = render.numbers(data)
    if values is None or not values.size or data.dtype.kind in "mM":
        return ""
    missing = 0
    if values.dtype.kind == "f":
        good = np.isfinite(values)
        missing = values.size - int(good.sum())
        values = values[good]
        if not values.size:
            return f"{missing} values, none is finite"
    text = f"least {values.min():.6g}, greatest {values.max():.6g}, mean {values.mean(dtype=float):.6g}"
    return f"{text}, {missing} not finite" if missing else text
