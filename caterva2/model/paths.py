"""Names of roots and paths of datasets: parse, normalise, refuse what could escape."""

from __future__ import annotations

import functools
import re
from typing import Self
from urllib.parse import quote, unquote_to_bytes

import msgspec

from caterva2.errors import BadPath

AREAS = ("@personal", "@shared", "@public")
"""Writable trees kept by a subscriber; every other first part is a published root."""

_FORBIDDEN = re.compile("[\x00-\x1f\x7f/\\\\\ud800-\udfff]")

MAX_PATH_BYTES = 4096
MAX_PART_BYTES = 255


def check_root_name(name: str) -> str:
    """Return `name` if it can name a published root.

    Raises
    ------
    BadPath
        It is empty, starts with ``@`` or ``.``, or holds a slash, a backslash,
        blanks at its ends or control characters.
    """
    if not name or name != name.strip():
        raise BadPath(f"root name {name!r} is empty or has blanks at its ends")
    if name.startswith(("@", ".")):
        raise BadPath(f"root name {name!r} may not start with {name[0]!r}")
    _check_part(name, name)
    return name


class DatasetPath(msgspec.Struct, frozen=True, order=True):
    """Root or area name, then parts: ``lab/run7/cube.b2nd``. Never a filesystem path.

    Attributes
    ----------
    root
        Name of a published root or of an area (``@public``).
    parts
        Parts below the root; empty for the root itself.
    """

    root: str
    parts: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse decoded text; one trailing slash (a directory) is accepted.

        Raises
        ------
        BadPath
            An empty, absolute or too long path; an empty part, ``.``, ``..``, NUL or backslash in it.
        """
        root, *rest = split_path(text)
        return cls(root, tuple(rest))

    @classmethod
    def from_url(cls, text: str) -> Self:
        """Parse the percent-encoded path of a URL; the only place that decodes one."""
        root, parts = _from_url(text)
        return cls(root, parts)

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1] if self.parts else self.root

    @property
    def relative(self) -> str:
        """The path below its root, ``/``-separated; empty for the root itself."""
        return "/".join(self.parts)

    @property
    def is_area(self) -> bool:
        """Whether this lies in a writable area."""
        return self.root in AREAS

    def to_url(self) -> str:
        """Percent-encode for use in a URL; ``/`` and ``@`` stay bare."""
        return quote(str(self), safe="/@")

    def __truediv__(self, relative: str) -> DatasetPath:
        return DatasetPath(self.root, (*self.parts, *split_path(relative)))

    def __str__(self) -> str:
        return "/".join((self.root, *self.parts))


def decode_url_path(text: str) -> str:
    """Decode the percent-encoding of a URL path, once.

    Raises
    ------
    BadPath
        It is not UTF-8.
    """
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadPath(f"path {text!r} is not UTF-8") from exc


def split_path(text: str) -> tuple[str, ...]:
    """Split a relative path into checked parts.

    Raises
    ------
    BadPath
        See `DatasetPath.parse`.
    """
    if not text or text == "/":
        raise BadPath("the path is empty")
    if text.startswith("/"):
        raise BadPath(f"path {text!r} is absolute")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        raise BadPath(f"the path has more than {MAX_PATH_BYTES} bytes")
    parts = tuple(text.removesuffix("/").split("/"))
    for part in parts:
        _check_part(part, text)
    return parts


@functools.lru_cache(maxsize=4096)
def _from_url(text: str) -> tuple[str, tuple[str, ...]]:
    root, *parts = split_path(decode_url_path(text))
    return root, tuple(parts)


def _check_part(part: str, text: str) -> None:
    if part in {"", ".", ".."}:
        raise BadPath(f"path {text!r} holds the part {part!r}")
    if _FORBIDDEN.search(part):
        raise BadPath(f"path {text!r} holds a character that is not allowed in a name")
    if len(part.encode("utf-8")) > MAX_PART_BYTES:
        raise BadPath(f"path {text!r} holds a name of more than {MAX_PART_BYTES} bytes")
