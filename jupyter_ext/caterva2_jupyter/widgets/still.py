"""What is left of a widget in a notebook that is opened without its kernel.

Of an output with a widget in it JupyterLab shows only the widget, and without
a kernel a line that there is none. So what is to be left is an output of its
own, which the widget hides for as long as it lives.
"""

from __future__ import annotations

import sys
from typing import Any

import ipywidgets as w

from caterva2_jupyter.bars import has_widgets


def hider(widget: Any) -> w.HTML:  # noqa: ANN401
    """Return what a widget has to hold to hide what is left of it."""
    name = _name(widget)
    style = f".{name}, .jp-OutputArea-child:has(.{name}) {{ display: none; }}"
    return w.HTML(f"<style>{style}</style>", layout=w.Layout(display="none"))


def widget_bundle(widget: Any, still: str) -> dict[str, Any]:  # noqa: ANN401
    """Return a widget as media types; what is to be left of it is shown before.

    The widget's own method does not exist in ipywidgets 7, which Colab has.

    Parameters
    ----------
    still
        HTML.
    """
    bundle: dict[str, Any] = {
        "text/plain": repr(widget),
        "application/vnd.jupyter.widget-view+json": {
            "version_major": 2,
            "version_minor": 0,
            "model_id": widget.model_id,
        },
    }
    # On Colab outputs are pages of their own: none can hide another.
    if not has_widgets() or "google.colab" in sys.modules:
        return {**bundle, "text/html": still}
    from IPython.display import publish_display_data

    left = {"text/plain": "", "text/html": f'<div class="{_name(widget)}">{still}</div>'}
    publish_display_data(left)  # type: ignore[no-untyped-call]
    return bundle


def _name(widget: Any) -> str:  # noqa: ANN401
    return f"caterva2-still-{widget.model_id}"
