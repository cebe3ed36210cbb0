"""Stored frames as sources hand them out: a file or a buffer, pinned to one generation."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from caterva2.errors import (
    BrokenDataset,
    DatasetChanged,
    DatasetNotFound,
    OutOfRoom,
    Overloaded,
    ServiceError,
)
from caterva2.storage.pagecache import read_now


def etag_of(status: os.stat_result) -> str:
    """Return the etag of a file: time of change, size and inode, in hexadecimal."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"


_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.ESTALE})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_TOO_MANY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@contextmanager
def translate_os_errors(path: str) -> Iterator[None]:
    """Raise what the operating system refused for a dataset as an error of ours, without its own paths."""
    try:
        yield
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno else type(exc).__name__
        if exc.errno in _GONE:
            raise DatasetNotFound(f"there is no dataset {path!r}") from exc
        if exc.errno in _TOO_MANY:
            raise Overloaded(f"{path}: {reason}", retry_after_s=1) from exc
        if exc.errno in _NO_ROOM:
            raise OutOfRoom(f"{path}: its frame can not be made: {reason}") from exc
        raise BrokenDataset(f"{path} can not be read: {reason}") from exc


class FileFrame:
    """A regular file, held open; implements `caterva2.storage.source.StoredFrame`.

    A file that is replaced or removed keeps being read as it was; one that is
    written in place is noticed.

    Parameters
    ----------
    fd
        Descriptor of the open file. Owned: closed by `close`, and at once if it is no regular file.
    path
        As clients see it; for messages.
    etag
        The generation, if it is not that of the file itself (a frame made from another file).

    Raises
    ------
    DatasetNotFound
        It is a FIFO, a device or a directory.
    """

    def __init__(self, fd: int, path: str, *, etag: str | None = None) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._readers = 0
        self._closing = False
        self.path = path
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise DatasetNotFound(f"there is no dataset {path!r}")
        except BaseException:
            self.close()
            raise
        self._generation = etag_of(status)
        self.etag = self._generation if etag is None else etag
        self.size = status.st_size
        self.mtime_ns = status.st_mtime_ns

    def read(self, offset: int, length: int) -> bytes:
        """Read exactly `length` bytes at `offset`. Blocking; thread-safe.

        Raises
        ------
        DatasetChanged
            The file was written in place.
        BrokenDataset
            The range is not inside the file, or the disk fails.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise BrokenDataset(f"{self.path}: bytes {offset}:{offset + length} of {self.size} were wanted")
        with self._reading() as fd, translate_os_errors(self.path):
            data = _read_exactly(fd, offset, length)
            self._compare(fd)
        if len(data) < length:
            raise BrokenDataset(f"{self.path}: bytes {offset}:{offset + length} can not be read")
        return data

    def read_now(self, offset: int, length: int) -> bytearray | None:
        """Read as `read` if that takes no waiting for the disk; else, or if changed, return None."""
        with self._lock:
            if self._closing:
                return None
            data = read_now(self._fd, offset, length)
            return data if data is not None and etag_of(os.fstat(self._fd)) == self._generation else None

    def verify(self) -> None:
        """Raise `DatasetChanged` if the file is no longer the generation that was opened."""
        with self._reading() as fd, translate_os_errors(self.path):
            self._compare(fd)

    def _compare(self, fd: int) -> None:
        if etag_of(os.fstat(fd)) != self._generation:
            raise DatasetChanged(f"{self.path} was changed while it was read")

    @contextmanager
    def _reading(self) -> Iterator[int]:
        """Keep the file open meanwhile, whoever closes it."""
        with self._lock:
            if self._closing:
                raise ServiceError(f"{self.path} is closed")
            self._readers += 1
        try:
            yield self._fd
        finally:
            with self._lock:
                self._readers -= 1
                self._close_if_idle()

    def close(self) -> None:
        """Release the file, at the end of reads in other threads; safe to call twice."""
        with self._lock:
            self._closing = True
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._closing and self._readers == 0 and self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        # The result of a read whose asker has left is dropped with the file in it.
        self.close()


def _read_exactly(fd: int, offset: int, length: int) -> bytes:
    data = os.pread(fd, length, offset)
    if len(data) == length or not data:
        return data
    parts = [data]
    done = len(data)
    while done < length and data:
        data = os.pread(fd, length - done, offset + done)
        parts.append(data)
        done += len(data)
    return b"".join(parts)


class BytesFrame:
    """A buffer; implements `caterva2.storage.source.StoredFrame`."""

    def __init__(self, data: bytes, path: str, *, etag: str) -> None:
        self._data = data
        self.path = path
        self.etag = etag
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`; `BrokenDataset` if they are not there."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise BrokenDataset(f"{self.path}: bytes {offset}:{offset + length} of {self.size} were wanted")
        return self._data[offset : offset + length]

    def read_now(self, offset: int, length: int) -> bytes | None:
        """Read as `read`; it never waits."""
        return self.read(offset, length)

    def close(self) -> None:
        """Do nothing; there is nothing to release."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
