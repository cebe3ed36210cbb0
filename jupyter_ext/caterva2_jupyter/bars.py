"""How far a transfer is: a bar in a notebook."""

from __future__ import annotations

import contextlib
import html
import time
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

Report: TypeAlias = Callable[[int, "int | None"], None]

INTERVAL_S = 0.1
"""A bar moves at most so often."""


@contextlib.contextmanager
def progress(label: str = "") -> Generator[Report | None, None, None]:
    """Show a progress bar while the block runs.

    Parameters
    ----------
    label
        What is transferred.

    Yields
    ------
    callable or None
        For the argument ``progress`` of downloads and uploads; None where no widgets can be shown.

    Examples
    --------
    ``with progress("cube") as bar: dataset.download("cube.b2nd", progress=bar)``
    """
    if not has_widgets():
        yield None
        return
    bar = Bar(label)
    bar.show()
    try:
        yield bar
    except BaseException:
        bar.finish(failed=True)
        raise
    bar.finish()


class Bar:
    """A progress bar; call it with the bytes that are there, and all bytes or None."""

    def __init__(self, label: str) -> None:
        import ipywidgets as w

        self._bar = w.FloatProgress(min=0.0, max=1.0, layout=w.Layout(width="320px"))
        self._text = w.HTML()
        self.widget: Any = w.HBox([w.HTML(html.escape(label)), self._bar, self._text])
        self._label = label
        self._handle: Any = None
        self._began = time.monotonic()
        self._shown = 0.0
        self._done = 0
        self._total: int | None = None

    def __call__(self, done: int, total: int | None) -> None:
        """Take note of how far it is."""
        self._done, self._total = done, total
        now = time.monotonic()
        if now - self._shown >= INTERVAL_S:
            self._shown = now
            self._update()

    def show(self) -> None:
        """Put it below the cell."""
        from IPython.display import display

        self._handle = display(self.widget, display_id=True)  # type: ignore[no-untyped-call]

    def finish(self, *, failed: bool = False) -> None:
        """Tell that it ended; what is left is no widget, so that a saved notebook shows it too."""
        from IPython.display import HTML

        if not failed:
            self._total = self._total or self._done or None
            self._done = self._total or self._done
        self._update()
        if not failed:
            self._bar.value = 1.0
        self._bar.bar_style = "danger" if failed else "success"
        if self._handle is not None:
            self._handle.update(HTML(self.still_html(failed=failed)))  # type: ignore[no-untyped-call]
        for each in (*self.widget.children, self.widget):
            each.close()

    def still_html(self, *, failed: bool) -> str:
        """Return what is left of it."""
        style = f"width:320px; vertical-align:middle; accent-color:{'#d32f2f' if failed else '#388e3c'}"
        bar = f'<progress max="1" value="{self._bar.value:g}" style="{style}"></progress>'
        end = ", failed" if failed else ""
        return f"{html.escape(self._label)} {bar} {self._text.value}{end}"

    def _update(self) -> None:
        from caterva2.client.display import nbytes_text

        seconds = max(1e-3, time.monotonic() - self._began)
        if self._total:
            self._bar.value = min(1.0, self._done / self._total)
        of = f" of {nbytes_text(self._total)}" if self._total else ""
        self._text.value = f"{nbytes_text(self._done)}{of}, {nbytes_text(int(self._done / seconds))}/s"


def has_widgets() -> bool:
    """Tell whether this is a kernel whose front end may show widgets."""
    import sys

    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    if getattr(get_ipython(), "kernel", None) is None:
        return False
    import importlib.util

    return importlib.util.find_spec("ipywidgets") is not None
