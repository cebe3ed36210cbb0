"""Putting a new file below a directory: written beside its place, synced, renamed; no links."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Sequence
from typing import BinaryIO

from caterva2.errors import BadPath, ServiceError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Placing:
    """A file on its way to its place. Blocking; not for two threads at once.

    Parameters
    ----------
    root
        The directory.
    parts
        Where below it; directories are made.

    Raises
    ------
    BadPath
        The path leads through a link or a file, or ends at a directory.
    ServiceError
        It can not be written.
    """

    def __init__(self, root: str | os.PathLike[str], parts: Sequence[str]) -> None:
        self._name = parts[-1]
        self._path = "/".join(parts)
        self._temporary = f".{secrets.token_hex(8)}.tmp"
        self._directory = self._descend(root, parts[:-1])
        try:
            with contextlib.suppress(FileNotFoundError):
                found = os.lstat(self._name, dir_fd=self._directory)
                if stat.S_ISDIR(found.st_mode):
                    raise BadPath(f"{self._path} is a directory")
            fd = os.open(
                self._temporary,
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                0o644,
                dir_fd=self._directory,
            )
        except OSError as exc:
            os.close(self._directory)
            raise ServiceError(f"{self._path} can not be written: {exc.strerror}") from exc
        except BaseException:
            os.close(self._directory)
            raise
        self._file: BinaryIO = os.fdopen(fd, "wb")

    def _descend(self, root: str | os.PathLike[str], parts: Sequence[str]) -> int:
        directory = os.open(root, _DIRECTORY)
        try:
            for part in parts:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=directory)
                inner = os.open(part, _DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = inner
        except OSError as exc:
            os.close(directory)
            raise BadPath(f"{self._path} leads through something that is no directory") from exc
        return directory

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes.

        Raises
        ------
        ServiceError
            There is no room.
        """
        try:
            self._file.write(data)
        except OSError as exc:
            raise ServiceError(f"{self._path} can not be written: {exc.strerror}") from exc

    def commit(self) -> None:
        """Make it the file at its place, durably."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            os.fsync(self._directory)
        except OSError as exc:
            raise ServiceError(f"{self._path} can not be written: {exc.strerror}") from exc
        finally:
            self.close()

    def close(self) -> None:
        """Give up what was not committed; safe to call twice."""
        if self._directory < 0:
            return
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._temporary, dir_fd=self._directory)
        os.close(self._directory)
        self._directory = -1


def place_bytes(root: str | os.PathLike[str], parts: Sequence[str], data: bytes) -> None:
    """Put a small file below a directory; raises as `Placing`."""
    placing = Placing(root, parts)
    try:
        placing.write(data)
        placing.commit()
    finally:
        placing.close()
