"""What is left of a widget in a notebook that is opened without its kernel.

Of an output with a widget in it JupyterLab shows only the widget, and without
a kernel a line that there is none. So what is to be left is an output of its
own, which the widget hides for as long as it lives; and it hides that line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from caterva2_jupyter.bars import has_widgets


def hider(widget: Any) -> w.HTML:  # noqa: ANN401
    """Return what a widget has to hold to hide what is left of it."""
    name = _name(widget)
    style = f".{name}, .jp-OutputArea-child:has(.{name}) {{ display: none; }}"
    return w.HTML(f"<style>{style}</style>", layout=w.Layout(display="none"))


class Still:
    """What is left of a widget; what comes late is put in when it is there.

    Parameters
    ----------
    widget
        Whose it is.
    draw
        Gives HTML.
    is_whole
        Tells whether all is there that belongs into it.
    """

    def __init__(self, widget: Any, draw: Callable[[], str], is_whole: Callable[[], bool]) -> None:  # noqa: ANN401
        self._widget = widget
        self._draw = draw
        self._is_whole = is_whole
        self._waits = False

    def bundle(self) -> dict[str, Any]:
        """Return the widget as media types; what is to be left of it is shown before.

        The widget's own method does not exist in ipywidgets 7, which Colab has.
        """
        bundle: dict[str, Any] = {
            "text/plain": repr(self._widget),
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self._widget.model_id,
            },
        }
        # On Colab outputs are pages of their own: none can hide another.
        if not has_widgets() or "google.colab" in sys.modules:
            return {**bundle, "text/html": self._draw()}
        waits = not self._is_whole()
        self._publish(update=False)
        self._waits = waits
        if waits and self._is_whole():
            self.complete()  # it came meanwhile
        return bundle

    def complete(self) -> None:
        """Show it again if something was missing; called when that may have come, from any thread."""
        if self._waits and self._is_whole():
            self._waits = False
            self._publish(update=True)

    def _publish(self, *, update: bool) -> None:
        from IPython.display import publish_display_data

        name = _name(self._widget)
        # JupyterLab gives this class to an output only when there is no widget for it; pages of nbconvert,
        # which are no Lumino widgets, always do.
        lost = "> .lm-Widget.jp-OutputArea-output.jupyter-widgets"
        line = f".jp-OutputArea-child:has(.{name}) + .jp-OutputArea-child:has({lost})"
        style = f"<style>{line} {{ display: none; }}</style>"
        left = {"text/plain": "", "text/html": f'<div class="{name}">{style}{self._draw()}</div>'}
        publish_display_data(left, transient={"display_id": name}, update=update)  # type: ignore[no-untyped-call]


def _name(widget: Any) -> str:  # noqa: ANN401
    return f"caterva2-still-{widget.model_id}"
