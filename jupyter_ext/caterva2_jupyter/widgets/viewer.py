"""A dataset in a notebook, in plain ipywidgets: no extension of ours is needed where it is shown.

Only what is seen is read, at most some hundred items along each axis, and by
a thread: the kernel stays free. Of the positions that a slider runs through,
those are left out that nobody waits for any more.
"""

from __future__ import annotations

import dataclasses
import html
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as w
import traitlets

from caterva2.errors import Caterva2Error
from caterva2_jupyter.widgets import drawing, render
from caterva2_jupyter.widgets.controls import Change, Controls, shown
from caterva2_jupyter.widgets.latest import Latest
from caterva2_jupyter.widgets.model import Plane, Range, Subject, View
from caterva2_jupyter.widgets.still import Still, hider

if TYPE_CHECKING:
    from caterva2_jupyter.widgets.sources import Source

logger = logging.getLogger(__name__)

THUMBNAIL_WAIT_S = 0.4
"""A notebook that is saved gets a thumbnail if the first picture arrives within this time."""
CACHE_BYTES = 16 << 20
"""Planes that were read are kept up to so many bytes."""
LINKED = ("position", "axes", "spans", "colours")
"""What two viewers have in common when they are linked."""


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
    # ipywidgets 7 has one, which shows the widget and nothing that is left of it.
    _ipython_display_ = None

    def __init__(self, source: Source) -> None:
        self._source = source
        self._planes: OrderedDict[tuple[object, ...], Plane] = OrderedDict()
        self._is_outdated = False
        self._thumbnail: bytes | None = None
        self._still = Still(self, self.static_html, lambda: self._thumbnail is not None)
        self.error: str | None = None
        """Why nothing is shown; None if something is."""
        self.value: Any = None
        """The item under the cursor."""
        self._latest: Latest[View] = Latest(
            self._work, name="caterva2-viewer", calm=self._hint, rest=self._forget
        )
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
            fixed = dataclasses.replace(self.view, range=Range.FIXED)
            self.view = fixed.with_limits(*limits)

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
        return self._still.bundle()

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
            alt = html.escape(drawing.where(self.view))
            picture = f'<img alt="{alt}" src="{render.data_url(self._thumbnail)}">'
        return f"<table><tbody>{rows}</tbody></table>{picture}"

    def _build(self, subject: Subject) -> None:
        self._controls = Controls(subject, self._turn, self.refresh)
        self._image = w.Image(
            format="png",
            layout=w.Layout(grid_area="picture", margin="0", max_width="100%"),
        )
        # Both in one cell of a grid: the hints lie over the picture.
        self._hints = w.HTML(layout=w.Layout(grid_area="picture", margin="0"))
        self._picture = w.GridBox(
            [self._image, self._hints],
            layout=w.Layout(grid_template_areas='"picture"', grid_template_columns="minmax(0, max-content)"),
        )
        self._page, self._bar, self._readout, self._status = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.children = [
            self._controls.head,
            self._picture,
            self._page,
            self._bar,
            self._readout,
            self._status,
            self._controls.more,
            hider(self),
        ]

    def _turn(self, change: Change) -> None:
        before, after = self.view, change(self.view)
        if after.range is Range.FIXED and before.range is not Range.FIXED:
            # Begin with what is seen now.
            plane = self._planes.get(before.asked)
            values = None if plane is None else render.numbers(plane.data)
            if values is not None:
                after = after.with_limits(*drawing.limits_of(before, values))
        self.view = after

    def _show_view(self, change: dict[str, Any]) -> None:
        view: View = change["new"]
        self._controls.show(view)
        self._latest.ask(view)

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
        drawn = drawing.draw(view, plane)
        if self._thumbnail is None:
            self._thumbnail = drawing.thumbnail(view, plane)
            self._still.complete()
        self._hints.value = ""
        if drawn.picture is not None:
            self._image.value = drawn.picture
        if drawn.page is not None:
            self._page.value = drawn.page
        self._bar.value = "" if drawn.limits is None else render.colour_bar(view.colormap, drawn.limits)
        self._picture.layout.display = "grid" if drawn.picture is not None else "none"
        self._page.layout.display = shown(drawn.page is not None)
        self.error = None

    def _value(self, view: View, plane: Plane) -> Any:  # noqa: ANN401
        if not drawing.holds_cursor(view, plane):
            return None
        at = drawing.item_in(view, plane)
        return self._source.item(view) if at is None else plane.data[at]

    def _tell(self, view: View, plane: Plane, value: Any) -> None:  # noqa: ANN401
        text = "" if value is None else f"{drawing.where(view)} = {drawing.value_text(value)}"
        self._readout.value = f"<code>{html.escape(text)}</code>"
        self._status.value = f"<small>{html.escape(' · '.join(drawing.remarks(view, plane)))}</small>"

    def _hint(self, view: View) -> None:
        plane = self._planes.get(view.asked)
        if plane is None or self.error is not None:
            return
        try:
            told = drawing.hints(view, plane)
        except Exception:  # the picture stands without them
            logger.exception("no hints for %s", view.subject.path)
            return
        if not self._latest.is_stale(view):
            self._hints.value = told

    def _fail(self, text: str) -> None:
        self.error = text
        self._status.value = f'<span role="alert">⚠ {html.escape(text)}</span>'


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
