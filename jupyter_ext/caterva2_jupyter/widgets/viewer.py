"""A dataset in a notebook, in plain ipywidgets: no extension of ours is needed where it is shown.

Only what is seen is read, at most some hundred items along each axis, and by
a thread: the kernel stays free. Of the positions that a slider runs through,
those are left out that nobody waits for any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import html
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as w
import numpy as np
import traitlets

from caterva2.errors import Caterva2Error
from caterva2_jupyter.widgets import render
from caterva2_jupyter.widgets.latest import Latest
from caterva2_jupyter.widgets.model import Mode, Plane, Range, Subject, View

if TYPE_CHECKING:
    from caterva2_jupyter.widgets.sources import Source

logger = logging.getLogger(__name__)

THUMBNAIL_WAIT_S = 0.4
"""A notebook that is saved gets a thumbnail if the first picture arrives within this time."""
CACHE_BYTES = 16 << 20
"""Planes that were read are kept up to so many bytes."""
LINKED = ("position", "axes", "spans", "colours")
"""What two viewers have in common when they are linked."""

_SHOWN, _HIDDEN = None, "none"


class Viewer(w.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Shows a dataset: a plane as a picture, a line, or a table; with sliders for what is not seen.

    `caterva2_jupyter.show` makes one. It can be used from Python as well as by
    the mouse: ``viewer.position = (3, 0, 0)``, ``viewer.mode = "table"``.

    Parameters
    ----------
    source
        Where the data come from.

    Attributes
    ----------
    view
        All that decides what is seen; assigning another one shows that.
    """

    view = traitlets.Instance(View)

    def __init__(self, source: Source) -> None:
        self._source = source
        self._planes: OrderedDict[tuple[object, ...], Plane] = OrderedDict()
        self._setting = False
        self._is_outdated = False
        self._picture: bytes | None = None
        self._thumbnail: bytes | None = None
        self.error: str | None = None
        """Why nothing is shown; None if something is."""
        self.value: Any = None
        """The item under the cursor."""
        self._latest: Latest[View] = Latest(self._work, name="caterva2-viewer", rest=self._forget)
        super().__init__()
        self._build(source.describe())
        self.observe(self._show_view, "view")
        self.view = View.of(source.describe())

    # for people who type

    @property
    def mode(self) -> str:
        """``picture``, ``colours``, ``line`` or ``table``."""
        return str(self.view.mode)

    @mode.setter
    def mode(self, mode: str) -> None:
        self.view = self.view.with_mode(mode)

    @property
    def position(self) -> tuple[int, ...]:
        """An index (ndim,): where the axes that are not seen are cut, and the cursor on the others."""
        return self.view.position

    @position.setter
    def position(self, position: Sequence[int]) -> None:
        self.view = self.view.with_position(position)

    @property
    def axes(self) -> tuple[int | None, int | None]:
        """The axes that run downwards and to the right."""
        return self.view.rows, self.view.columns

    @axes.setter
    def axes(self, axes: tuple[int | None, int | None]) -> None:
        self.view = self.view.with_axes(*axes)

    @property
    def field(self) -> str | None:
        """Of a structured dataset: the field that is drawn."""
        return self.view.field

    @field.setter
    def field(self, field: str) -> None:
        self.view = self.view.with_field(field)

    @property
    def colormap(self) -> str:
        """Name of the colour map."""
        return self.view.colormap

    @colormap.setter
    def colormap(self, name: str) -> None:
        if name not in render.COLORMAPS:
            raise ValueError(f"expected a colour map ({', '.join(render.COLORMAPS)}), found {name!r}")
        self.view = dataclasses.replace(self.view, colormap=name)

    @property
    def limits(self) -> tuple[float, float] | None:
        """The values of the first and the last colour; None if they follow the data."""
        return self.view.limits if self.view.range is Range.FIXED else None

    @limits.setter
    def limits(self, limits: tuple[float, float] | None) -> None:
        if limits is None:
            self.view = dataclasses.replace(self.view, range=Range.FULL)
        else:
            low, high = (float(value) for value in limits)
            self.view = dataclasses.replace(self.view, range=Range.FIXED, limits=(low, high))

    def zoom(self, axis: int, start: int, stop: int) -> None:
        """See only a part of an axis."""
        self.view = self.view.with_span(axis, start, stop)

    def refresh(self) -> None:
        """Ask the server what the dataset is now, and read it again; returns at once."""
        self._is_outdated = True
        self._latest.ask(dataclasses.replace(self.view))

    def wait(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything is shown that was asked for; False if that takes longer."""
        return self._latest.settle(timeout_s)

    def close(self) -> None:
        """End it."""
        self._latest.close()
        super().close()

    def __repr__(self) -> str:
        subject = self.view.subject
        return f"<Viewer: {subject.path} shape={subject.shape} dtype={subject.dtype}>"

    def _repr_mimebundle_(self, **how: object) -> dict[str, Any]:
        self._latest.settle(THUMBNAIL_WAIT_S)
        return widget_bundle(self, self.static_html())

    def static_html(self) -> str:
        """Return what a notebook shows that is read without its kernel: facts and a thumbnail."""
        subject = self.view.subject
        facts = [("path", subject.path), ("shape", str(subject.shape)), ("dtype", str(subject.dtype))]
        rows = "".join(
            f'<tr><th style="text-align:left">{name}</th>'
            f'<td style="text-align:left">{html.escape(value)}</td></tr>'
            for name, value in facts
        )
        picture = ""
        if self._thumbnail is not None:
            picture = f'<img alt="{html.escape(self._where())}" src="{render.data_url(self._thumbnail)}">'
        return f"<table><tbody>{rows}</tbody></table>{picture}"

    # controls

    def _build(self, subject: Subject) -> None:
        names = [str(mode) for mode in subject.modes]
        self._modes = w.ToggleButtons(
            options=names, style={"button_width": "auto"}, layout=_layout(display=_if(len(names) > 1))
        )
        self._fields = w.Dropdown(options=subject.number_fields, description="field", layout=_layout("180px"))
        axes = [(f"axis {i} ({n})", i) for i, n in enumerate(subject.shape)]
        self._rows = w.Dropdown(options=axes, description="↓", layout=_layout("180px"), style=_narrow())
        self._columns = w.Dropdown(options=axes, description="→", layout=_layout("180px"), style=_narrow())
        self._refresh = w.Button(icon="refresh", tooltip="read it again", layout=_layout("40px"))
        self._sliders = [
            w.IntSlider(
                min=0, max=max(0, n - 1), description=f"axis {i}", continuous_update=True,
                layout=_layout("480px"),
            )
            for i, n in enumerate(subject.shape)
        ]  # fmt: skip
        self._spans = [
            w.IntRangeSlider(
                min=0, max=max(1, n), value=(0, max(1, n)), description=f"axis {i}", continuous_update=False,
                layout=_layout("480px"),
            )
            for i, n in enumerate(subject.shape)
        ]  # fmt: skip
        self._colormaps = w.Dropdown(options=list(render.COLORMAPS), description="colours")
        self._ranges = w.Dropdown(options=[str(how) for how in Range], description="range")
        self._low = w.FloatText(description="low", layout=_layout("180px"))
        self._high = w.FloatText(description="high", layout=_layout("180px"))
        self._cursor = w.Checkbox(description="cursor", indent=False)
        self._image = w.Image(
            format="png", layout=_layout(object_fit="contain", align_self="flex-start", max_width="100%")
        )
        self._page = w.HTML()
        self._bar = w.HTML()
        self._readout = w.HTML()
        self._status = w.HTML()
        colours = w.VBox(
            [
                *self._spans,
                w.HBox([self._colormaps, self._cursor]),
                w.HBox([self._ranges, self._low, self._high]),
            ]
        )
        more = w.Accordion([colours], selected_index=None, layout=_layout("500px"))
        more.set_title(0, "Window and colours")
        self._more = more
        self._connect()
        self.children = [
            w.HBox([self._modes, self._fields, self._rows, self._columns, self._refresh]),
            w.VBox(self._sliders),
            self._image,
            self._page,
            self._bar,
            self._readout,
            self._status,
            more,
        ]

    def _connect(self) -> None:
        def follow(control: Any, change: Callable[[Any], View]) -> None:  # noqa: ANN401
            control.observe(lambda event: self._changed_by_hand(lambda: change(event["new"])), "value")

        follow(self._modes, lambda mode: self.view.with_mode(mode))
        follow(self._fields, lambda field: self.view.with_field(field))
        follow(self._rows, lambda axis: self.view.with_axes(axis, self.view.columns))
        follow(self._columns, lambda axis: self.view.with_axes(self.view.rows, axis))
        for i, (slider, span) in enumerate(zip(self._sliders, self._spans, strict=True)):
            follow(slider, functools.partial(self._slid, i))
            follow(span, functools.partial(self._cropped, i))
        follow(self._colormaps, lambda name: dataclasses.replace(self.view, colormap=name))
        follow(self._ranges, self._range_by_hand)
        follow(self._low, lambda low: dataclasses.replace(self.view, limits=(low, self.view.limits[1])))
        follow(self._high, lambda high: dataclasses.replace(self.view, limits=(self.view.limits[0], high)))
        follow(self._cursor, lambda is_on: dataclasses.replace(self.view, cursor=is_on))
        self._refresh.on_click(lambda _: self.refresh())

    def _slid(self, axis: int, at: int) -> View:
        return self.view.at(axis, at)

    def _cropped(self, axis: int, ends: tuple[int, int]) -> View:
        return self.view.with_span(axis, *ends)

    def _range_by_hand(self, text: str) -> View:
        how = Range(text)
        limits = self.view.limits
        if how is Range.FIXED and self.view.range is not Range.FIXED:
            # Begin with what is seen now.
            plane = self._planes.get(self.view.asked)
            values = None if plane is None else render.numbers(plane.data)
            if values is not None:
                low, high = self._limits(self.view, values)
                limits = (low, high)
        return dataclasses.replace(self.view, range=how, limits=limits)

    def _changed_by_hand(self, change: Callable[[], View]) -> None:
        if not self._setting:
            self.view = change()

    def _show_view(self, change: dict[str, Any]) -> None:
        view: View = change["new"]
        with self._quiet():
            self._show_controls(view)
        self._latest.ask(view)

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        """Set controls from the view, not the view from them."""
        before, self._setting = self._setting, True
        try:
            yield
        finally:
            self._setting = before

    def _show_controls(self, view: View) -> None:
        subject = view.subject
        draws = view.mode is not Mode.TABLE
        self._modes.value = str(view.mode)
        if view.field is not None:
            self._fields.value = view.field
        self._fields.layout.display = _if(draws and len(subject.number_fields) > 1)
        many = subject.ndim > 1
        for control, axis in ((self._rows, view.rows), (self._columns, view.columns)):
            if axis is not None:
                control.value = axis
            control.layout.display = _if(many and axis is not None and axis in view.seen)
        for axis, (slider, span) in enumerate(zip(self._sliders, self._spans, strict=True)):
            slider.value = view.position[axis]
            is_seen = axis in view.seen
            slider.description = f"axis {axis}" if not is_seen else f"{_arrow(view, axis)} axis {axis}"
            slider.layout.display = _if(axis != view.channel_axis and subject.shape[axis] > 1)
            if subject.shape[axis]:
                span.value = view.spans[axis]
            span.layout.display = _if(is_seen and axis != view.channel_axis and subject.shape[axis] > 1)
        self._colormaps.value = view.colormap
        self._ranges.value = str(view.range)
        self._low.value, self._high.value = view.limits
        fixed = view.range is Range.FIXED
        self._low.layout.display = self._high.layout.display = _if(fixed)
        self._cursor.value = view.cursor

    # reading and drawing, in the thread

    def _work(self, view: View) -> None:
        try:
            if self._is_outdated and not self._is_as_it_was(view):
                return
            if 0 in view.subject.shape:
                self._fail("there are no items")
                return
            plane = self._plane(view)
            if self._latest.is_stale(view):
                return
            self._draw(view, plane)
            exact = self._value(view, plane)
            if not self._latest.is_stale(view):
                self.value = exact
                self._tell(view, plane, exact)
        except (Caterva2Error, OSError) as exc:
            if not self._latest.is_stale(view):
                self._fail(str(exc))
        except Exception as exc:
            logger.exception("a viewer of %s failed", view.subject.path)
            self._fail(f"unexpected {type(exc).__name__}: {exc}")

    def _is_as_it_was(self, view: View) -> bool:
        """Describe it again; False if it has other axes or types now, and is shown anew."""
        subject = self._source.refresh()
        self._planes.clear()
        self._is_outdated = False
        if subject == view.subject:
            return True
        self._build(subject)
        self.view = View.of(subject).following(view, LINKED)
        return False

    def _plane(self, view: View) -> Plane:
        plane = self._planes.get(view.asked)
        if plane is None:
            plane = self._source.read(view)
            self._planes[view.asked] = plane
        else:
            self._planes.move_to_end(view.asked)
        while len(self._planes) > 1 and sum(kept.data.nbytes for kept in self._planes.values()) > CACHE_BYTES:
            self._planes.popitem(last=False)
        return plane

    def _forget(self) -> None:
        """Keep the plane that is seen only: a notebook may hold many viewers."""
        while len(self._planes) > 1:
            self._planes.popitem(last=False)

    def _draw(self, view: View, plane: Plane) -> None:
        shown: str | None = None
        picture: bytes | None = None
        limits: render.Limits | None = None
        if view.mode is Mode.TABLE:
            shown = _table(view, plane)
        elif view.mode is Mode.LINE:
            values = _drawable(plane.data)
            (axis,) = view.seen
            shown = render.curve(
                values,
                start=view.shown_span(axis)[0],
                step=plane.steps[0],
                cursor=plane.index_of(view, axis) if view.cursor else None,
                limits=None if view.range is Range.FULL else self._limits(view, values),
            )
        else:
            values, cursor = _oriented(view, plane)
            cursor = cursor if view.cursor else None
            if view.mode is Mode.COLOURS:
                picture = render.colour_picture(values, cursor=cursor)
            else:
                values = _drawable(values)
                limits = self._limits(view, values)
                picture = render.picture(values, view.colormap, limits, cursor=cursor)
            if self._thumbnail is None:
                self._thumbnail = render.thumbnail(values, view.colormap)
        self._picture = picture
        if picture is not None:
            self._image.value = picture
        if shown is not None:
            self._page.value = shown
        self._bar.value = "" if limits is None else render.colour_bar(view.colormap, limits)
        self._image.layout.display = _if(picture is not None)
        self._page.layout.display = _if(shown is not None)
        self.error = None

    def _value(self, view: View, plane: Plane) -> Any:  # noqa: ANN401
        at = [plane.index_of(view, axis) for axis in view.seen]
        if view.mode is Mode.COLOURS:
            at[-1] = None
        if view.mode is Mode.TABLE and view.subject.fields and not view.seen:
            return plane.data[()]
        exact = all(
            step == 1 or (view.position[axis] - view.shown_span(axis)[0]) % step == 0
            for axis, step in zip(view.seen, plane.steps, strict=True)
        )
        if view.mode is Mode.COLOURS and exact:
            return None if None in at[:-1] else plane.data[tuple(slice(None) if i is None else i for i in at)]
        if None in at:
            return None
        return plane.data[tuple(at)] if exact else self._source.item(view)

    def _tell(self, view: View, plane: Plane, value: Any) -> None:  # noqa: ANN401
        text = "" if value is None else f"{self._where()} = {_value_text(value)}"
        notes = [
            f"1 of {step} items of axis {axis}"
            for axis, step in zip(view.seen, plane.steps, strict=True)
            if step > 1
        ]
        if view.mode in {Mode.PICTURE, Mode.LINE}:
            notes.append(_statistics(plane.data))
        self._readout.value = f"<code>{html.escape(text)}</code>"
        self._status.value = f"<small>{html.escape(' · '.join(notes))}</small>"

    def _fail(self, text: str) -> None:
        self.error = text
        self._status.value = f'<span role="alert">⚠ {html.escape(text)}</span>'

    def _limits(self, view: View, values: render.Array) -> render.Limits:
        if view.range is Range.FIXED:
            return render.Limits(*view.limits)
        return render.central_limits(values) if view.range is Range.CENTRAL else render.full_limits(values)

    def _where(self) -> str:
        view = self.view
        parts = [":" if axis == view.channel_axis else str(at) for axis, at in enumerate(view.position)]
        field = f'["{view.field}"]' if view.read_field else ""
        return f"[{', '.join(parts)}]{field}"


class Link:
    """Two viewers that follow one another; `unlink` ends it.

    Parameters
    ----------
    what
        Any of ``position`` (with the cursor), ``axes``, ``spans``, ``colours`` and ``mode``.
    """

    def __init__(self, one: Viewer, other: Viewer, what: Sequence[str] = LINKED) -> None:
        self._what = tuple(what)
        self._ends = (one, other)
        one.observe(self._forth, "view")
        other.observe(self._back, "view")
        self._forth()

    def unlink(self) -> None:
        """Let each go its way again."""
        one, other = self._ends
        one.unobserve(self._forth, "view")
        other.unobserve(self._back, "view")

    def _forth(self, _: object = None) -> None:
        one, other = self._ends
        other.view = other.view.following(one.view, self._what)

    def _back(self, _: object = None) -> None:
        one, other = self._ends
        one.view = one.view.following(other.view, self._what)


def widget_bundle(widget: Any, static: str) -> dict[str, Any]:  # noqa: ANN401
    """Return a widget as media types, with HTML for who can not show widgets.

    The widget's own method does not exist in ipywidgets 7, which Colab has.
    """
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {
        "text/plain": repr(widget),
        "text/html": static,
        "application/vnd.jupyter.widget-view+json": view,
    }


def _oriented(view: View, plane: Plane) -> tuple[render.Array, tuple[int, int] | None]:
    """Return data with the rows first, and row and column of the cursor in it."""
    assert view.rows is not None
    assert view.columns is not None
    data = plane.data if view.rows < view.columns else np.swapaxes(plane.data, 0, 1)
    row, column = plane.index_of(view, view.rows), plane.index_of(view, view.columns)
    return data, None if row is None or column is None else (row, column)


def _drawable(values: render.Array) -> render.Array:
    found = render.numbers(values)
    if found is None:
        raise TypeError(f"{values.dtype} can not be drawn")
    return found


def _table(view: View, plane: Plane) -> str:
    data, subject = plane.data, view.subject
    if subject.fields:
        rows = [data] if data.ndim == 0 else list(data.reshape(-1))
        names: Sequence[object] = subject.fields
        cells = [[row[name] for name in subject.fields] for row in rows]
        marked_row = plane.index_of(view, view.seen[0]) if view.seen else 0
        return render.table(cells, _names(view, 0), names, marked=_pair(marked_row, None))
    if data.ndim == 0:
        return render.table([[data[()]]], [""], [""])
    if data.ndim == 1:
        cells = [[value] for value in data]
        return render.table(
            cells, _names(view, 0), ["value"], marked=_pair(plane.index_of(view, view.seen[0]), 0)
        )
    oriented, cursor = _oriented(view, plane)
    down = 0 if view.rows == view.seen[0] else 1
    return render.table(list(oriented), _names(view, down), _names(view, 1 - down), marked=cursor)


def _names(view: View, at: int) -> list[int] | list[str]:
    if not view.seen:
        return [""]
    start, stop = view.shown_span(view.seen[at])
    return list(range(start, stop))


def _pair(row: int | None, column: int | None) -> tuple[int, int] | None:
    return None if row is None or column is None else (row, column)


def _statistics(data: render.Array) -> str:
    values = render.numbers(data)
    if values is None or not values.size or data.dtype.kind in "mM":
        return ""
    if values.dtype.kind == "f":
        good = np.isfinite(values)
        missing = values.size - int(good.sum())
        values = values[good]
        if not values.size:
            return f"{missing} values, none is finite"
    else:
        missing = 0
    text = f"least {values.min():.6g}, greatest {values.max():.6g}, mean {values.mean(dtype=float):.6g}"
    return f"{text}, {missing} not finite" if missing else text


def _value_text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, np.floating | np.complexfloating):
        return str(value)
    return str(value.tolist()) if isinstance(value, np.ndarray) else render.cell_text(value)


def _arrow(view: View, axis: int) -> str:
    return "↓" if axis == view.rows and view.mode is not Mode.LINE else "→"


def _layout(width: str | None = None, **how: str | None) -> w.Layout:
    return w.Layout(width=width, **how)


def _narrow() -> dict[str, str]:
    return {"description_width": "20px"}


def _if(is_shown: bool) -> str | None:
    return _SHOWN if is_shown else _HIDDEN
