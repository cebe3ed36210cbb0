"""What a person turns to see something else; each turn is a change of the view."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import ipywidgets as w

from caterva2_jupyter.widgets.model import Mode, Range, Subject, View
from caterva2_jupyter.widgets.render import COLORMAPS

Change: TypeAlias = Callable[[View], View]


class Controls:
    """The controls of a viewer.

    Parameters
    ----------
    subject
        What is shown: it decides which there are.
    turned
        Called with a change of the view when a person turns one.
    refresh
        Called when everything is to be read again.

    Attributes
    ----------
    head
        What the data are shown as, and the axes.
    more
        What is needed less often; closed at first.
    """

    def __init__(
        self, subject: Subject, turned: Callable[[Change], None], refresh: Callable[[], None]
    ) -> None:
        self._turned = turned
        self._setting = False
        names = [str(mode) for mode in subject.modes]
        self.modes = w.ToggleButtons(
            options=names, style={"button_width": "auto"}, layout=w.Layout(display=shown(len(names) > 1))
        )
        self.fields = w.Dropdown(
            options=subject.number_fields, description="field", layout=w.Layout(width="180px")
        )
        self.rows, self.columns = _axis_picker("↓", subject), _axis_picker("→", subject)
        self.refresh = w.Button(icon="refresh", tooltip="read it again", layout=w.Layout(width="40px"))
        self.sliders = [
            w.IntSlider(
                min=0, max=max(0, n - 1), description=f"axis {i}", continuous_update=True,
                layout=w.Layout(width="480px"),
            )
            for i, n in enumerate(subject.shape)
        ]  # fmt: skip
        self.spans = [
            w.IntRangeSlider(
                min=0, max=max(1, n), value=(0, max(1, n)), description=f"axis {i}", continuous_update=False,
                layout=w.Layout(width="480px"),
            )
            for i, n in enumerate(subject.shape)
        ]  # fmt: skip
        self.colormaps = w.Dropdown(options=list(COLORMAPS), description="colours")
        self.ranges = w.Dropdown(options=[str(how) for how in Range], description="range")
        self.low = w.FloatText(description="low", layout=w.Layout(width="180px"))
        self.high = w.FloatText(description="high", layout=w.Layout(width="180px"))
        self.cursor = w.Checkbox(description="cursor", indent=False)
        self.head = w.VBox(
            [w.HBox([self.modes, self.fields, self.rows, self.columns, self.refresh]), *self.sliders]
        )
        colours = [w.HBox([self.colormaps, self.cursor]), w.HBox([self.ranges, self.low, self.high])]
        self.more = w.Accordion(
            [w.VBox([*self.spans, *colours])], selected_index=None, layout=w.Layout(width="500px")
        )
        self.more.set_title(0, "Window and colours")
        self._connect(refresh)

    def show(self, view: View) -> None:
        """Let the controls stand as a view says."""
        with self._quiet():
            self.modes.value = str(view.mode)
            self._show_axes(view)
            self._show_sliders(view)
            self.colormaps.value = view.colormap
            self.ranges.value = str(view.range)
            self.low.value, self.high.value = view.limits
            self.low.layout.display = self.high.layout.display = shown(view.range is Range.FIXED)
            self.cursor.value = view.cursor

    def _show_axes(self, view: View) -> None:
        subject = view.subject
        if view.field is not None:
            self.fields.value = view.field
        draws = view.mode is not Mode.TABLE
        self.fields.layout.display = shown(draws and len(subject.number_fields) > 1)
        for control, axis in ((self.rows, view.rows), (self.columns, view.columns)):
            if axis is not None:
                control.value = axis
            control.layout.display = shown(subject.ndim > 1 and axis is not None and axis in view.seen)

    def _show_sliders(self, view: View) -> None:
        shape = view.subject.shape
        for axis, (slider, span) in enumerate(zip(self.sliders, self.spans, strict=True)):
            is_seen = axis in view.seen
            turns = axis != view.channel_axis and shape[axis] > 1
            slider.value = view.position[axis]
            slider.description = f"{_arrow(view, axis)} axis {axis}" if is_seen else f"axis {axis}"
            slider.layout.display = shown(turns)
            if shape[axis]:
                span.value = view.spans[axis]
            span.layout.display = shown(turns and is_seen)

    def _connect(self, refresh: Callable[[], None]) -> None:
        self._follow(self.modes, lambda mode: lambda view: view.with_mode(mode))
        self._follow(self.fields, lambda field: lambda view: view.with_field(field))
        self._follow(self.rows, lambda axis: lambda view: view.with_axes(axis, view.columns))
        self._follow(self.columns, lambda axis: lambda view: view.with_axes(view.rows, axis))
        for axis, (slider, span) in enumerate(zip(self.sliders, self.spans, strict=True)):
            self._follow(slider, functools.partial(_moving, axis))
            self._follow(span, functools.partial(_cropping, axis))
        self._follow(self.colormaps, lambda name: _replacing(colormap=name))
        self._follow(self.ranges, lambda how: _replacing(range=Range(how)))
        self._follow(self.low, lambda low: lambda view: view.with_limits(low, view.limits[1]))
        self._follow(self.high, lambda high: lambda view: view.with_limits(view.limits[0], high))
        self._follow(self.cursor, lambda is_on: _replacing(cursor=is_on))
        self.refresh.on_click(lambda _: refresh())

    def _follow(self, control: Any, change: Callable[[Any], Change]) -> None:  # noqa: ANN401
        def observer(event: dict[str, Any]) -> None:
            if not self._setting:
                self._turned(change(event["new"]))

        control.observe(observer, "value")

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        """Set controls from the view, not the view from them."""
        before, self._setting = self._setting, True
        try:
            yield
        finally:
            self._setting = before


def shown(is_shown: bool) -> str | None:
    """Return what a layout calls it, whether something is shown."""
    return None if is_shown else "none"


def _replacing(**values: Any) -> Change:  # noqa: ANN401
    return lambda view: dataclasses.replace(view, **values)


def _moving(axis: int, index: int) -> Change:
    return lambda view: view.at(axis, index)


def _cropping(axis: int, ends: tuple[int, int]) -> Change:
    return lambda view: view.with_span(axis, *ends)


def _axis_picker(arrow: str, subject: Subject) -> w.Dropdown:
    axes = [(f"axis {i} ({n})", i) for i, n in enumerate(subject.shape)]
    return w.Dropdown(
        options=axes, description=arrow, layout=w.Layout(width="180px"), style={"description_width": "20px"}
    )


def _arrow(view: View, axis: int) -> str:
    return "↓" if axis == view.rows and view.mode is not Mode.LINE else "→"
