"""Frames made from other files, on disk: one generation for each path, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import xxhash

from caterva2.storage.pinned import FileFrame, translate_os_errors

_SUFFIX = ".b2frame"
_TEMPORARY = ".tmp"


class FrameCache:
    """A directory of frames, named by the path they were made for and its etag. Blocking; thread-safe.

    Parameters
    ----------
    directory
        Owned by one cache at a time. Made when first needed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._locks = tuple(threading.Lock() for _ in range(64))
        self._prepared = False
        self._preparing = threading.Lock()

    def find(self, path: str, etag: str) -> FileFrame | None:
        """Open the frame of a generation; None if it has not been made."""
        return self._open(self._file(path, etag), path, etag)

    def make(self, path: str, etag: str, write: Callable[[BinaryIO], None]) -> FileFrame:
        """Open the frame of a generation, made by `write` if need be; older generations are deleted.

        Askers for one path wait for each other.

        Raises
        ------
        ServiceError
            The disk is full.
        Exception
            What `write` raises; then nothing is kept.
        """
        with self._lock(path):
            frame = self.find(path, etag)
            if frame is not None:
                return frame
            with translate_os_errors(path):
                self._prepare()
                file = self._file(path, etag)
                self._write(file, write)
            self._drop(path, keep=file.name)
            frame = self._open(file, path, etag)
            if frame is None:
                raise FileNotFoundError(f"the frame of {path} vanished")
            return frame

    def drop(self, path: str) -> None:
        """Delete what was made for a path."""
        with self._lock(path):
            self._drop(path, keep=None)

    def _write(self, file: Path, write: Callable[[BinaryIO], None]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(suffix=_TEMPORARY, dir=file.parent)
        try:
            with os.fdopen(fd, "wb") as out:
                write(out)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _prepare(self) -> None:
        """Delete what a killed process left half-written."""
        with self._preparing:
            if not self._prepared:
                for leftover in self._directory.glob(f"*/*{_TEMPORARY}"):
                    leftover.unlink(missing_ok=True)
                self._prepared = True

    def _drop(self, path: str, keep: str | None) -> None:
        key = _key(path)
        with contextlib.suppress(OSError):
            for name in os.listdir(self._directory / key[:2]):
                if name.startswith(key) and name != keep:
                    os.unlink(self._directory / key[:2] / name)

    def _file(self, path: str, etag: str) -> Path:
        key = _key(path)
        return self._directory / key[:2] / f"{key}-{etag}{_SUFFIX}"

    def _lock(self, path: str) -> threading.Lock:
        return self._locks[xxhash.xxh3_64_intdigest(path.encode()) % len(self._locks)]

    @staticmethod
    def _open(file: Path, path: str, etag: str) -> FileFrame | None:
        try:
            fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileFrame(fd, path, etag=etag)


def _key(path: str) -> str:
    return xxhash.xxh3_128_hexdigest(path.encode())
