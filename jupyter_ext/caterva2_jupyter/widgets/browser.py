"""A directory in a notebook: pages of what is in it, a filter that the server applies, and what is chosen."""

from __future__ import annotations

import html
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from caterva2.client.display import dataset_html, nbytes_text
from caterva2.client.tree import Dataset, File
from caterva2.errors import Caterva2Error
from caterva2.model.trees import TreeEntry, TreeKind
from caterva2_jupyter.widgets.latest import Latest
from caterva2_jupyter.widgets.sources import DatasetSource
from caterva2_jupyter.widgets.still import Still, hider
from caterva2_jupyter.widgets.viewer import THUMBNAIL_WAIT_S, Viewer

if TYPE_CHECKING:
    from caterva2.client.tree import Directory

logger = logging.getLogger(__name__)

PAGE = 200
STATIC_ROWS = 20
"""Rows that a notebook keeps which is read without its kernel."""

_FOLDERS = {TreeKind.ROOT, TreeKind.AREA, TreeKind.DIRECTORY}


@dataclass(frozen=True)
class Wanted:
    """What a person asked for.

    Attributes
    ----------
    below
        The directory, relative to the one that the browser began with; empty for that one.
    after
        The page behind this one; None for the first.
    chosen
        A file to show; the list stays.
    """

    below: str = ""
    filter: str = ""
    after: str | None = None
    chosen: str | None = None


class Browser(w.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Shows a directory of a subscriber; a dataset that is chosen is shown below it.

    Parameters
    ----------
    directory
        Where it begins; it does not go above.
    """

    # ipywidgets 7 has one, which shows the widget and nothing that is left of it.
    _ipython_display_ = None

    def __init__(self, directory: Directory) -> None:
        self._top = directory
        self._entries: list[TreeEntry] = []
        self._next: str | None = None
        self._total = 0
        self._still = Still(self, self.static_html, lambda: bool(self._entries))
        self._setting = False
        self.wanted = Wanted()
        self.error: str | None = None
        """Why nothing is shown; None if something is."""
        self.shown: Viewer | File | None = None
        """What was chosen: a viewer of a dataset, or another file."""
        self._up = w.Button(icon="arrow-up", tooltip="the directory above", layout=w.Layout(width="40px"))
        self._again = w.Button(icon="refresh", tooltip="read it again", layout=w.Layout(width="40px"))
        self._where = w.HTML()
        self._filter = w.Text(placeholder="filter", continuous_update=True, layout=w.Layout(width="200px"))
        self._list = w.Select(options=[("", None)], rows=12, layout=w.Layout(width="600px"))
        self._more = w.Button(description="more", layout=w.Layout(display="none"))
        self._status = w.HTML()
        self._stage = w.VBox()
        self._latest: Latest[Wanted] = Latest(self._work, name="caterva2-browser")
        super().__init__()
        head = w.HBox([self._up, self._again, self._filter, self._where])
        self.children = [head, self._list, self._more, self._status, self._stage, hider(self)]
        self._up.on_click(lambda _: self.go(self.wanted.below.rpartition("/")[0]))
        self._again.on_click(lambda _: self.go(self.wanted.below))
        self._more.on_click(lambda _: self._ask(Wanted(self.wanted.below, self.wanted.filter, self._next)))
        self._filter.observe(lambda change: self._ask(Wanted(self.wanted.below, change["new"])), "value")
        self._list.observe(self._choose, "value")
        self._ask(self.wanted)

    @property
    def names(self) -> list[str]:
        """Names of the rows that are listed."""
        return [entry.name for entry in self._entries]

    def go(self, below: str) -> None:
        """Show a directory below the one it began with; empty for that one."""
        self._setting = True
        self._filter.value = ""
        self._setting = False
        self._ask(Wanted(below.strip("/")))

    def choose(self, name: str) -> None:
        """Do what a click on a row does."""
        entry = next((entry for entry in self._entries if entry.name == name), None)
        if entry is None:
            raise ValueError(f"{self._path} lists no {name!r}")
        self._list.value = entry.name

    def wait(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything is shown that was asked for; False if that takes longer."""
        if not self._latest.settle(timeout_s):
            return False
        return self.shown.wait(timeout_s) if isinstance(self.shown, Viewer) else True

    def close(self) -> None:
        """End it."""
        self._latest.close()
        if isinstance(self.shown, Viewer):
            self.shown.close()
        super().close()

    def __repr__(self) -> str:
        return f"<Browser: {self._path}>"

    def _repr_mimebundle_(self, **how: object) -> dict[str, Any]:
        self._latest.settle(THUMBNAIL_WAIT_S)
        return self._still.bundle()

    def static_html(self) -> str:
        """Return what a notebook shows that is read without its kernel: the first rows."""
        rows = "".join(
            f'<tr><td style="text-align:left">{html.escape(_label(entry))}</td></tr>'
            for entry in self._entries[:STATIC_ROWS]
        )
        left = self._total - STATIC_ROWS
        more = f"<p>… and {left} more</p>" if left > 0 else ""
        return f"<b>{html.escape(self._path)}</b><table><tbody>{rows}</tbody></table>{more}"

    @property
    def _path(self) -> str:
        top = str(self._top)
        return f"{top}/{self.wanted.below}" if self.wanted.below else top

    def _ask(self, wanted: Wanted) -> None:
        if self._setting:
            return
        self.wanted = wanted
        self._latest.ask(wanted)

    def _choose(self, change: dict[str, Any]) -> None:
        name = change["new"]
        entry = next((entry for entry in self._entries if entry.name == name), None)
        if self._setting or entry is None:
            return
        below = f"{self.wanted.below}/{entry.name}" if self.wanted.below else entry.name
        if _is_folder(entry):
            self.go(below)
        else:
            self._ask(Wanted(self.wanted.below, self.wanted.filter, chosen=below))

    # in the thread

    def _work(self, wanted: Wanted) -> None:
        try:
            if wanted.chosen is not None:
                self._show_file(wanted, wanted.chosen)
            else:
                self._show_page(wanted)
        except (Caterva2Error, OSError) as exc:
            if not self._latest.is_stale(wanted):
                self._fail(str(exc))
        except Exception as exc:
            logger.exception("a browser of %s failed", self._top)
            self._fail(f"unexpected {type(exc).__name__}: {exc}")

    def _show_page(self, wanted: Wanted) -> None:
        page = self._top.page(wanted.below, after=wanted.after, limit=PAGE, filter=wanted.filter)
        if self._latest.is_stale(wanted):
            return
        before = self._entries if wanted.after is not None else []
        self._entries = [*before, *page.entries]
        self._next, self._total = page.next, page.total
        self.error = None
        self._setting = True
        try:
            self._list.options = [(_title(self._path, self._total), None)] + [
                (_label(entry), entry.name) for entry in self._entries
            ]
        finally:
            self._setting = False
        self._where.value = f"<code>{html.escape(self._path)}</code>"
        self._up.disabled = not wanted.below
        self._more.layout.display = None if self._next is not None else "none"
        notes = [f"{len(self._entries)} of {self._total} shown"] if self._next is not None else []
        if page.state != "fresh":
            notes.append(f"its publisher is away; as it was {page.age_s:.0f} s ago")
        self._status.value = f"<small>{html.escape(' · '.join(notes))}</small>"
        self._still.complete()

    def _show_file(self, wanted: Wanted, below: str) -> None:
        found = self._top[below]
        if self._latest.is_stale(wanted):
            return
        old = self.shown
        if isinstance(found, Dataset) and found.reason is None:
            self.shown = Viewer(DatasetSource(found))
            self._stage.children = [self.shown]
        else:
            assert isinstance(found, File)
            self.shown = found
            facts = dataset_html(type(found).__name__, found.description.path, found.description)
            self._stage.children = [w.HTML(facts)]
        self.error = None
        if isinstance(old, Viewer):
            old.close()

    def _fail(self, text: str) -> None:
        self.error = text
        self._status.value = f'<span role="alert">⚠ {html.escape(text)}</span>'


def _is_folder(entry: TreeEntry) -> bool:
    return entry.kind in _FOLDERS


def _title(path: str, total: int) -> str:
    return f"{path}: {total} {'entry' if total == 1 else 'entries'}"


def _label(entry: TreeEntry) -> str:
    if _is_folder(entry):
        return f"▸ {entry.name}/"
    facts = _facts(entry)
    return f"  {entry.name}  {facts}" if facts else f"  {entry.name}"


def _facts(entry: TreeEntry) -> str:
    if entry.error is not None:
        return f"broken: {entry.error}"
    if entry.shape is not None:
        return f"{entry.shape} {entry.dtype}"
    return "" if entry.size is None else nbytes_text(entry.size)
