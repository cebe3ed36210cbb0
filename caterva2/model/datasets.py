"""What a file at a path is: array, frame, plain file, or broken; and the JSON that clients see."""

from __future__ import annotations

import datetime
import re
from typing import Any, TypeAlias

import msgspec

from caterva2.errors import BadPath
from caterva2.model.lazy import Lazy
from caterva2.model.paths import split_path

VlMeta: TypeAlias = dict[str, Any]
"""User attributes; values are what JSON can say."""


class CParams(msgspec.Struct, frozen=True, kw_only=True):
    """Compression parameters; exactly the fields of ``blosc2.CParams`` (clients rebuild one from them)."""

    codec: int
    codec_meta: int
    clevel: int
    filters: tuple[int, ...]
    filters_meta: tuple[int, ...]
    typesize: int
    blocksize: int
    nthreads: int
    splitmode: int
    tuner: int
    use_dict: bool


class SChunkInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A Blosc2 container: sizes in bytes, counts of chunks, user attributes.

    Attributes
    ----------
    cbytes, nbytes
        Compressed and uncompressed size of the data, in bytes.
    chunkshape
        Items in a chunk.
    chunksize
        Uncompressed size of a chunk, in bytes; 0 if chunks differ in size.
    blocksize
        Uncompressed size of a block, in bytes; 0 if each chunk has its own.
    """

    cbytes: int
    chunkshape: int
    chunksize: int
    contiguous: bool
    cparams: CParams
    cratio: float
    nbytes: int
    nchunks: int
    blocksize: int
    vlmeta: VlMeta


class ArrayInfo(msgspec.Struct, frozen=True, kw_only=True, tag="array", tag_field="kind"):
    """An n-dimensional array (``.b2nd``).

    Attributes
    ----------
    shape, chunks, blocks
        Lengths (ndim,) in items.
    dtype
        ``str(numpy.dtype)``; for structured types the text of a list of fields.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    blocks: tuple[int, ...]
    dtype: str
    schunk: SChunkInfo


class FrameInfo(msgspec.Struct, frozen=True, kw_only=True, tag="frame", tag_field="kind"):
    """A sequence of bytes kept by its owner as a Blosc2 frame (``.b2frame``)."""

    schunk: SChunkInfo


class FileInfo(msgspec.Struct, frozen=True, kw_only=True, tag="file", tag_field="kind"):
    """A plain file, served as a Blosc2 frame of its bytes.

    Attributes
    ----------
    size
        Size of the file itself, in bytes.
    schunk
        The frame; None as long as it has not been made.
    """

    size: int
    schunk: SChunkInfo | None = None


class BrokenInfo(msgspec.Struct, frozen=True, kw_only=True, tag="broken", tag_field="kind"):
    """A file that claims to be a Blosc2 container and can not be served as one."""

    reason: str


class LazyInfo(msgspec.Struct, frozen=True, kw_only=True, tag="lazy", tag_field="kind"):
    """A dataset that is computed from others when it is read.

    Attributes
    ----------
    lazy
        How; its shape and dtype are those of the time when it was defined.
    schunk
        The container that a copy of it would be, if that is known.
    """

    lazy: Lazy
    schunk: SChunkInfo | None = None


Info: TypeAlias = ArrayInfo | FrameInfo | FileInfo | BrokenInfo | LazyInfo


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a root, in one generation.

    Attributes
    ----------
    path
        Below the root, ``/``-separated, as clients see it (no hidden ``.b2``).
    etag
        Opaque token of this generation.
    mtime_ns
        Time of the last change, nanoseconds since 1970, UTC.
    size
        Size of the stored frame in bytes; of the file itself for a plain file without a frame.
    """

    path: str
    etag: str
    mtime_ns: int
    size: int
    info: Info


_SANE_ETAG = re.compile(r"[!#-~]{1,200}")
_MOST = 2**62


def entry_problem(entry: Entry) -> str | None:
    """Say what is impossible about an entry that came over the network; None if nothing is."""
    try:
        parts = split_path(entry.path)
    except BadPath as exc:
        return exc.message
    if "/".join(parts) != entry.path:
        return f"path {entry.path!r} ends in a slash"
    if _SANE_ETAG.fullmatch(entry.etag) is None:
        return f"the etag of {entry.path!r} is no token: {entry.etag[:50]!r}"
    if not (0 <= entry.size < _MOST and -_MOST < entry.mtime_ns < _MOST):
        return f"{entry.path!r} can not have the size {entry.size} and the time {entry.mtime_ns}"
    return None


def format_mtime(mtime_ns: int) -> str:
    """Format a time as clients expect it: ISO 8601, UTC, microseconds, ``Z``."""
    seconds, rest = divmod(mtime_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC).replace(microsecond=rest // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def public_info(entry: Entry, path: str) -> dict[str, Any]:
    """Return the JSON of ``/api/info`` for an entry.

    Parameters
    ----------
    entry
        What is known of the file.
    path
        The path in the spelling of clients; becomes ``urlpath``.
    """
    mtime = format_mtime(entry.mtime_ns)
    info = entry.info
    if isinstance(info, BrokenInfo):
        return {"kind": "broken", "error": info.reason, "mtime": mtime, "size": entry.size}
    if isinstance(info, LazyInfo):
        return _public_lazy(info, path, mtime)
    if isinstance(info, ArrayInfo):
        return {
            "shape": info.shape,
            "chunks": info.chunks,
            "blocks": info.blocks,
            "dtype": info.dtype,
            "schunk": _public_schunk(info.schunk, path, None),
            "mtime": mtime,
            "kind": "array",
            "accept_ranges": "bytes",
        }
    if info.schunk is None:
        raise ValueError(f"{path}: the frame of a plain file has not been made yet")
    answer = _public_schunk(info.schunk, path, mtime)
    if isinstance(info, FileInfo):
        return {**answer, "kind": "file", "size": info.size, "accept_ranges": "bytes"}
    return {**answer, "kind": "frame", "accept_ranges": "bytes"}


def _public_lazy(info: LazyInfo, path: str, mtime: str) -> dict[str, Any]:
    lazy = info.lazy
    return {
        "shape": lazy.shape,
        "chunks": lazy.chunks,
        "blocks": lazy.blocks,
        "dtype": lazy.dtype,
        "expression": lazy.expression,
        "operands": lazy.operands,
        "schunk": None if info.schunk is None else _public_schunk(info.schunk, path, None),
        "mtime": mtime,
        "kind": "lazy",
        "operation": lazy.operation,
        "accept_ranges": "none",
    }


def _public_schunk(schunk: SChunkInfo, path: str, mtime: str | None) -> dict[str, Any]:
    cparams = msgspec.structs.asdict(schunk.cparams)
    return {
        "cbytes": schunk.cbytes,
        "chunkshape": schunk.chunkshape,
        "chunksize": schunk.chunksize,
        "contiguous": schunk.contiguous,
        "cparams": cparams,
        "cratio": schunk.cratio,
        "nbytes": schunk.nbytes,
        "urlpath": path,
        "vlmeta": schunk.vlmeta,
        "nchunks": schunk.nchunks,
        "blocksize": schunk.blocksize,
        "mtime": mtime,
    }
