"""What a person browses: pages of a directory, one row for each thing in it."""

from __future__ import annotations

import enum

import msgspec

from caterva2.model.datasets import (
    ArrayInfo,
    BrokenInfo,
    Entry,
    FrameInfo,
    Info,
    LazyInfo,
    format_mtime,
)

DEFAULT_LIMIT = 200
MAX_LIMIT = 1000


class TreeKind(enum.StrEnum):
    """What a row is; of plain files what their names say."""

    ROOT = "root"
    AREA = "area"
    DIRECTORY = "directory"
    ARRAY = "array"
    TABLE = "table"
    FRAME = "frame"
    LAZY = "lazy"
    BROKEN = "broken"
    TEXT = "text"
    MARKDOWN = "markdown"
    IMAGE = "image"
    PDF = "pdf"
    NOTEBOOK = "notebook"
    FILE = "file"


class TreeState(enum.StrEnum):
    """How current what is shown of a root is.

    ``FRESH``: its publisher is connected, and has told all changes. ``STALE``: it is connected, and is
    being listed anew. ``OFFLINE``: it is not; what was known before is shown.
    """

    FRESH = "fresh"
    STALE = "stale"
    OFFLINE = "offline"


class TreeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of ``/api/tree``.

    Attributes
    ----------
    after
        `TreePage.next` of the page before; or the path below the directory of any row, that of a
        directory with a slash at its end. It may be gone.
    offset
        Rows to leave out, to begin anywhere in a long directory; not together with `after`.
    limit
        At most so many rows: 1 to 1000.
    filter
        Only what has this text in its name, or matches it if it holds ``*``, ``?`` or ``[``; capitals
        do not matter. With a slash in it the path below the directory is looked at.
    recursive
        Everything at any depth.
    """

    after: str | None = None
    offset: int | None = None
    limit: int = DEFAULT_LIMIT
    filter: str | None = None
    recursive: bool = False


class TreeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A row: a root, an area, a directory or a file. What does not apply is null.

    Attributes
    ----------
    path
        Begins with the root.
    shape, dtype
        Of arrays, tables and lazy datasets; `dtype` is ``str(numpy.dtype)``.
    size
        Bytes of the stored file.
    mtime
        Time of the last change, ISO 8601, UTC.
    etag
        Token of the generation: another one means other contents.
    lazy
        It is computed when it is read.
    error
        What is wrong with a broken file, or why the publisher of a root can not be reached.
    subscribed, state
        Of roots and areas.
    writable
        Who asks may change what is in it; of areas and what is in them.
    """

    name: str
    path: str
    kind: TreeKind
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    size: int | None = None
    mtime: str | None = None
    etag: str | None = None
    lazy: bool = False
    error: str | None = None
    subscribed: bool | None = None
    state: TreeState | None = None
    writable: bool = False


class TreePage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a directory: directories first, numbers in names in the order of their values.

    Attributes
    ----------
    path
        The directory; empty for the list of all roots and areas.
    next
        Pass as `after` for the next page; null at the end.
    offset
        Rows before this page.
    total
        Rows of all pages together.
    age_s
        Seconds since `state` last was ``fresh``.
    """

    path: str
    entries: list[TreeEntry]
    next: str | None
    total: int
    offset: int = 0
    state: TreeState = TreeState.FRESH
    age_s: float = 0.0
    writable: bool = False


_SUFFIXES = {
    TreeKind.MARKDOWN: "md markdown",
    TreeKind.NOTEBOOK: "ipynb",
    TreeKind.PDF: "pdf",
    TreeKind.IMAGE: "png jpg jpeg gif webp bmp svg ico avif",
    TreeKind.TEXT: (
        "txt text log csv tsv json jsonl geojson yaml yml toml ini cfg conf rst tex bib py pyi r jl m c h cc "
        "cpp hpp f90 f js ts tsx jsx css html htm xml sh bash sql diff patch dat"
    ),
}
_BY_SUFFIX = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_WITHOUT_SUFFIX = frozenset({"readme", "license", "licence", "makefile", "dockerfile", "changelog"})


def file_kind(name: str) -> TreeKind:
    """Return what a plain file is, by its name."""
    stem, dot, suffix = name.lower().rpartition(".")
    if not dot or not stem:
        return TreeKind.TEXT if name.lower() in _WITHOUT_SUFFIX else TreeKind.FILE
    return _BY_SUFFIX.get(suffix, TreeKind.FILE)


def info_kind(info: Info, name: str) -> TreeKind:
    """Return what a file is."""
    if isinstance(info, ArrayInfo):
        return TreeKind.TABLE if info.dtype.startswith(("[", "{", "(")) else TreeKind.ARRAY
    if isinstance(info, LazyInfo):
        return TreeKind.LAZY
    if isinstance(info, FrameInfo):
        return TreeKind.FRAME
    if isinstance(info, BrokenInfo):
        return TreeKind.BROKEN
    return file_kind(name)


def file_row(root: str, entry: Entry, *, writable: bool = False) -> TreeEntry:
    """Return the row of a file."""
    info, name = entry.info, entry.path.rpartition("/")[2]
    shaped = info if isinstance(info, ArrayInfo) else info.lazy if isinstance(info, LazyInfo) else None
    return TreeEntry(
        name=name,
        path=f"{root}/{entry.path}",
        kind=info_kind(info, name),
        shape=None if shaped is None else shaped.shape,
        dtype=None if shaped is None else shaped.dtype,
        size=entry.size,
        mtime=format_mtime(entry.mtime_ns),
        etag=entry.etag,
        lazy=isinstance(info, LazyInfo),
        error=info.reason if isinstance(info, BrokenInfo) else None,
        writable=writable,
    )
