"""What the magics return: values that are used as such, and that look well at the end of a cell."""

from __future__ import annotations

import html
import pprint
from collections.abc import Iterable, Mapping
from typing import Any

from caterva2.client.display import draw_tree, event_text, grow_tree
from caterva2.model.events import Envelope

MAX_LINES = 200
"""Lines that are shown; the value holds all."""


class Roots(dict[str, dict[str, Any]]):
    """Roots and areas by name, as `caterva2.Client.get_roots` returns them."""

    def __repr__(self) -> str:
        return "\n".join(name + _state(root) for name, root in sorted(self.items())) or "no roots"

    def _repr_html_(self) -> str:
        rows = [(name, ", ".join(_words(root)), str(root.get("http") or "")) for name, root in self.items()]
        return _table(("root", "state", "publisher"), sorted(rows))


class Listing(list[str]):
    """Paths of files, relative to `path`."""

    def __init__(self, path: str, names: Iterable[str]) -> None:
        super().__init__(names)
        self.path = path

    def __repr__(self) -> str:
        return _lines(self) or f"there are no files below {self.path}"


class Tree:
    """Files of one or several directories, drawn as a tree.

    Attributes
    ----------
    names
        Paths of the files by directory, relative to it.
    """

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        self.names = {path: list(below) for path, below in names.items()}

    def __repr__(self) -> str:
        return _lines(
            line for path, below in self.names.items() for line in (path, *draw_tree(grow_tree(below)))
        )


class Info(dict[str, Any]):
    """What a server says of a file or directory."""

    def __init__(self, path: str, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.path = path

    def __repr__(self) -> str:
        return f"{self.path}\n{pprint.pformat(dict(self), sort_dicts=False, width=100)}"

    def _repr_html_(self) -> str:
        return _table((self.path, ""), [(name, _short(value)) for name, value in _flat(self)])


class Events(list[Envelope]):
    """Events that arrived."""

    def __repr__(self) -> str:
        return _lines(event_text(envelope) for envelope in self) or "no events"


class Text(str):
    """Text that is shown as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _lines(lines: Iterable[str]) -> str:
    every = list(lines)
    left = len(every) - MAX_LINES
    return "\n".join([*every[:MAX_LINES], f"… and {left} more"] if left > 0 else every)


def _state(root: Mapping[str, Any]) -> str:
    words = _words(root)
    return f" ({', '.join(words)})" if words else ""


def _words(root: Mapping[str, Any]) -> list[str]:
    words = ["subscribed"] if root.get("subscribed") else []
    if root.get("status") == "offline":
        words.append("offline")
    return words


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _short(value: object, limit: int = 200) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str], tag: str) -> str:
        shown = "".join(f'<{tag} style="text-align:left">{html.escape(cell)}</{tag}>' for cell in cells)
        return f"<tr>{shown}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"
