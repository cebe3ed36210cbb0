"""A dictionary as a root: for tests, examples in docstrings, and demonstrations."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caterva2.errors import BadPath, BrokenDataset, DatasetNotFound
from caterva2.model.datasets import BrokenInfo, Entry, FileInfo, Info
from caterva2.model.paths import split_path
from caterva2.storage.describe import describe_frame, describe_schunk, read_stored
from caterva2.storage.names import StoredKind, is_hidden, shown_path, stored_candidates, stored_kind
from caterva2.storage.pinned import BytesFrame
from caterva2.storage.plainframe import write_plain_frame
from caterva2.storage.source import Listed
from caterva2.storage.unpacked import UnpackedFile

if TYPE_CHECKING:
    from caterva2.storage.source import StoredFrame


@dataclass(frozen=True, slots=True)
class _Stored:
    data: bytes
    etag: str
    mtime_ns: int


class MemorySource:
    """Files in a dictionary; implements `caterva2.storage.source.RootSource`.

    Parameters
    ----------
    files
        Content by stored path, as it would lie in a directory: frames for ``.b2nd``,
        ``.b2frame`` and ``.b2``, any bytes for the rest.

    Examples
    --------
    >>> source = MemorySource({"notes.md": b"Hello!", ".hidden": b""})
    >>> [listed.path for listed in source.scan()]
    ['notes.md']
    >>> source.describe("notes.md").info.size
    6
    """

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self._files: dict[str, _Stored] = {}
        self._frames: dict[str, BytesFrame] = {}
        self._generation = 0
        self._lock = threading.Lock()
        for path, data in (files or {}).items():
            self.put(path, data)

    def put(self, path: str, data: bytes) -> None:
        """Store a file, or replace it with a new generation."""
        with self._lock:
            self._generation += 1
            mtime_ns = time.time_ns()
            self._files[path] = _Stored(bytes(data), f"{self._generation:x}-{len(data):x}", mtime_ns)

    def remove(self, path: str) -> None:
        """Remove a stored file."""
        with self._lock:
            del self._files[path]

    def scan(self, below: str = "") -> Iterator[Listed]:
        """Yield every visible file, or those at and below a path."""
        for path in sorted({shown_path(path) for path in tuple(self._files)}):
            if below and path != below and not path.startswith(below.removesuffix("/") + "/"):
                continue
            try:
                yield Listed(path=path, etag=self._find(path)[1].etag)
            except (BadPath, DatasetNotFound):
                continue

    def etag(self, path: str) -> str:
        """Return the generation of a file; see `RootSource`."""
        return self._find(path)[1].etag

    def describe(self, path: str) -> Entry:
        """Describe a file; see `RootSource`."""
        return self._describe(path, make=False)

    def materialise(self, path: str) -> Entry:
        """Describe a file completely; see `RootSource`."""
        return self._describe(path, make=True)

    def open(self, path: str) -> StoredFrame:
        """Open the stored frame of a file; see `RootSource`."""
        kind, stored = self._find(path)
        if kind is StoredKind.PLAIN:
            return self._packed(path, stored)
        return BytesFrame(stored.data, path, etag=stored.etag)

    def open_plain(self, path: str) -> StoredFrame:
        """Open the bytes of a plain file; see `RootSource`."""
        kind, stored = self._find(path)
        frame = BytesFrame(stored.data, path, etag=stored.etag)
        return UnpackedFile(frame, read_stored(frame), path) if kind is StoredKind.PACKED else frame

    def forget(self, path: str) -> None:
        """Drop the frame that was made of a plain file."""
        self._frames.pop(path, None)

    def _find(self, path: str) -> tuple[StoredKind, _Stored]:
        parts = split_path(path)
        if not any(is_hidden(part, directory=True) for part in parts) and not is_hidden(parts[-1]):
            for candidate in stored_candidates("/".join(parts)):
                stored = self._files.get(candidate)
                if stored is not None:
                    return stored_kind(candidate), stored
        raise DatasetNotFound(f"there is no dataset {path!r}")

    def _packed(self, path: str, stored: _Stored) -> BytesFrame:
        frame = self._frames.get(path)
        if frame is None or frame.etag != stored.etag:
            out = io.BytesIO()
            write_plain_frame(BytesFrame(stored.data, path, etag="").read, len(stored.data), out)
            frame = self._frames[path] = BytesFrame(out.getvalue(), path, etag=stored.etag)
        return frame

    def _describe(self, path: str, *, make: bool) -> Entry:
        kind, stored = self._find(path)
        frame = self._frames.get(path) if kind is StoredKind.PLAIN else None
        if kind is not StoredKind.PLAIN:
            frame = BytesFrame(stored.data, path, etag=stored.etag)
        elif make:
            frame = self._packed(path, stored)
        elif frame is not None and frame.etag != stored.etag:
            frame = None
        info: Info
        size = len(stored.data)
        if frame is None:
            info = FileInfo(size=size)
        else:
            size = frame.size
            info = self._info(kind, frame, len(stored.data))
        return Entry(path=path, etag=stored.etag, mtime_ns=stored.mtime_ns, size=size, info=info)

    @staticmethod
    def _info(kind: StoredKind, frame: BytesFrame, plain_size: int) -> Info:
        try:
            skeleton = read_stored(frame)
        except BrokenDataset as exc:
            return BrokenInfo(reason=exc.message)
        if kind is StoredKind.PLAIN:
            return FileInfo(size=plain_size, schunk=describe_schunk(skeleton))
        if kind is StoredKind.PACKED:
            return FileInfo(size=skeleton.nbytes, schunk=describe_schunk(skeleton))
        return describe_frame(skeleton)
