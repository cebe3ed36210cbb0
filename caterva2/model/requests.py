"""Queries and bodies of the endpoints, and the answers that only services exchange."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from caterva2.model.datasets import Entry


class NoQuery(msgspec.Struct, frozen=True):
    """No query parameters."""


class FetchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query, or JSON body, of ``/api/fetch``: which part of a dataset.

    Attributes
    ----------
    slice_
        Text form of `caterva2.model.slicing.NDSlice`; empty is the whole.
    indices
        JSON list, one entry per dimension: null, integer, ``"start:stop"`` or a list of integers.
    field
        One column of a structured array.
    filter
        Row condition over the columns of a structured array.
    sortby
        Columns by which the rows of a structured array are sorted, with commas between; ``-`` in
        front of one is downwards.
    """

    slice_: str | None = None
    indices: str | None = None
    field: str | None = None
    filter: str | None = None
    sortby: str | None = None


class Encoding(enum.StrEnum):
    """How ``/api/window`` sends items."""

    RAW = "raw"
    JSON = "json"


class WindowQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of ``/api/window``: which part of a dataset, how many of its items, and in which form.

    Attributes
    ----------
    slice_
        As in ``/api/fetch``; of the rows that `filter` selects, in the order of `sortby`.
    field, filter
        As in ``/api/fetch``.
    sortby
        As in ``/api/fetch``; with a ``-`` before the name from large to small.
    points
        At most so many items along each axis: every k-th, from the first on. All of them without this.
    blocks
        At most so many blocks are read for that (1 to 65536); without `points` it means nothing.
    encoding
        ``raw``: bytes of the items in C order, little-endian; ``json``: a `WindowCells`.
    """

    slice_: str | None = None
    field: str | None = None
    filter: str | None = None
    sortby: str | None = None
    points: int | None = None
    blocks: int | None = None
    encoding: Encoding = Encoding.RAW


class WindowCells(msgspec.Struct, frozen=True, kw_only=True):
    """A window as JSON, for a table.

    Attributes
    ----------
    dtype
        ``<f4`` and the like; of structured items a list of name, type and perhaps shape.
    shape
        Of `data`, without what is inside of an item.
    step
        How far apart the items are along each axis, in items of the dataset.
    names
        Fields of structured items.
    data
        Nested lists. Integers beyond 2**53, NaN, infinities, complex numbers, bytes and dates are
        texts; a structured item is the list of its fields.
    """

    dtype: Any
    shape: tuple[int, ...]
    step: tuple[int, ...]
    names: tuple[str, ...] | None = None
    data: Any


class MoveBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``/api/move/`` and ``/api/copy/``.

    Attributes
    ----------
    src
        Path of a file or directory.
    dst
        An existing directory, or a name without suffix: `src` goes below it. Else the new path.
    exact
        `dst` is the new path in any case, and nothing may be there.
    """

    src: str
    dst: str
    exact: bool = False


class UploadQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of ``/api/upload``.

    Attributes
    ----------
    unpack
        The file is an archive (``.zip``, ``.tar.gz``); its members are stored below the path.
    """

    unpack: bool = False


class NewUpload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/uploads``: an upload that can be resumed.

    Attributes
    ----------
    path
        Where the file will be, as in ``/api/upload``.
    size
        All of its bytes; room is set aside for them.
    filename
        Its name, if `path` is a directory.
    unpack
        As in ``/api/upload``.
    """

    path: str
    size: int
    filename: str | None = None
    unpack: bool = False


class UploadState(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that can be resumed.

    Attributes
    ----------
    offset
        Bytes that have arrived; the next ones go here.
    expires
        When it is given up if nothing arrives, ISO 8601.
    """

    id: str
    path: str
    size: int
    offset: int
    expires: str
    filename: str | None = None
    unpack: bool = False


class LazyExprBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``/api/lazyexpr/``: a dataset that is computed when it is read.

    Attributes
    ----------
    name
        Of the new dataset, in ``@personal``, without suffix.
    expression
        See the grammar in the documentation.
    operands
        Paths of datasets by the names that the expression has for them.
    func
        What later versions have here is refused: code is not run.
    dtype, shape
        What the result is expected to be: refused if it is something else.
    compute
        Store the result instead of the expression.
    """

    name: str
    expression: str
    operands: dict[str, str]
    func: str | None = None
    dtype: str | None = None
    shape: list[int] | None = None
    compute: bool = False


class LazyArrayBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``/api/upload_lazyarr``: as `LazyExprBody`, for a path; clients of 2026 send it.

    Attributes
    ----------
    name
        Not used: the path says it.
    """

    expression: str
    operands: dict[str, str]
    name: str | None = None
    func: str | None = None
    dtype: str | None = None
    shape: list[int] | None = None
    compute: bool = False


class JoinBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``/api/concat/`` and ``/api/stack/``.

    Attributes
    ----------
    srcs
        Paths of datasets.
    dst
        Path of the new dataset, in an area.
    axis
        Along which axis; of the result, for ``stack``.
    """

    srcs: list[str]
    dst: str
    axis: int = 0


class OperandCost(msgspec.Struct, frozen=True, kw_only=True):
    """What reading a stored dataset for an answer costs.

    Attributes
    ----------
    chunks, blocks
        How many are touched.
    stored_bytes
        Compressed bytes of what is touched; estimated as long as chunks are not known in detail.
    cached_bytes
        How many of these are here already.
    """

    path: str
    chunks: int
    blocks: int
    stored_bytes: int
    cached_bytes: int


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``/api/explain``: what an answer would be and cost; nothing is fetched for it.

    Of rows by a condition, or sorted, it tells the most that they can be: for these all rows are read.

    Attributes
    ----------
    bytes
        Uncompressed bytes of the answer.
    chunks
        Chunks of the dataset itself that are touched.
    at_most
        The answer may be smaller than `shape` and `bytes` say: which rows a condition selects
        shows only when they are read.
    computed_chunks
        How many of these have to be computed; 0 for stored datasets.
    reads
        The stored datasets that are read; none for what is computed already.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    at_most: bool = False
    chunks: int
    blocks: int
    computed_chunks: int = 0
    stored_bytes: int
    cached_bytes: int
    missing_bytes: int
    reads: list[OperandCost]
    expression: str | None = None


class ChunkQuery(msgspec.Struct, frozen=True):
    """Query of ``/api/chunk``: flat index of a chunk."""

    nchunk: int


class DownloadQuery(msgspec.Struct, frozen=True):
    """Query of a publisher's ``/api/download``: flat index of a chunk."""

    nchunk: int


class ListQuery(msgspec.Struct, frozen=True):
    """Query of ``/api/list``: a page of the names.

    Attributes
    ----------
    limit
        At most so many names; None for all.
    after
        Only names that sort after this one.
    """

    limit: int | None = None
    after: str | None = None


class CatalogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of a publisher's ``/api/catalog``: a page of entries in the order of paths."""

    after: str | None = None
    limit: int = 1000


class CatalogPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a publisher's catalog.

    Attributes
    ----------
    entries
        In the order of `Entry.path`.
    next
        Pass as `after` for the next page; None at the end.
    epoch, seq
        Position of the publisher's events before this page was read.
    """

    entries: list[Entry]
    next: str | None
    epoch: str
    seq: int


class EventsQuery(msgspec.Struct, frozen=True):
    """Query of ``/api/events``: continue after a known position."""

    epoch: str | None = None
    since: int | None = None


class BlocksRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of a publisher's ``/api/blocks``: which parts of a stored frame.

    Attributes
    ----------
    skeleton
        Send header, index and trailer.
    chunks
        Pairs of flat chunk index and blocks, or None for the whole chunk. Heads are always sent.
    ranges
        Byte ranges (start, stop) of the stored frame; every unit that they touch is sent.
    """

    skeleton: bool = False
    chunks: list[tuple[int, list[int] | None]] = []
    ranges: list[tuple[int, int]] = []


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``/healthz``."""

    status: str
    service: str
    version: str
