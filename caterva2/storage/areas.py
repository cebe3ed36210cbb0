"""Writing to the directory behind an area: a file is there whole, or not at all, after any crash.

What is written is staged in a hidden directory of the area, synchronised with
the disk, and renamed. One directory for all, since then an upload does not care
what becomes of its target's directory meanwhile. Where somebody has mounted
another file system below an area, the file is copied beside its target first,
under a hidden name. Every path is walked part by part below the real root, and
no link is followed on the way, so that nothing outside can be reached whatever
happens to the tree meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from caterva2.errors import (
    AlreadyExists,
    BadPath,
    BadRequest,
    DatasetChanged,
    DatasetNotFound,
    NotPermitted,
    Overloaded,
    QuotaExceeded,
    ServiceError,
)
from caterva2.storage.ledger import Ledger, Promise
from caterva2.storage.names import (
    MAX_RELATIVE_BYTES,
    StoredKind,
    is_addressable,
    is_hidden,
    shown_path,
    stored_candidates,
    stored_kind,
)
from caterva2.storage.pinned import etag_of

STAGING = ".incoming"
"""Directory of an area in which files are written before they get their names.

Names that begin with it and a dot are of files on their way in directories on other file systems.
"""
FOREIGN_STAGING = ".caterva2-incoming"
"""The same in a directory that is somebody's own, where another name could be taken."""
KEPT = ".upload"
"""How names of files end there that stay over a restart, for they can be resumed."""
RESERVE = 64 << 20
"""Bytes of the disk that are never filled."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STEP = 1 << 20
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Stored(NamedTuple):
    """A file that has got its name.

    Attributes
    ----------
    path
        As clients see it, below the area.
    etag
        Its generation.
    """

    path: str
    etag: str


class Found(NamedTuple):
    """A file or directory of an area: its parts on disk, whether it is a directory, and its status."""

    parts: tuple[str, ...]
    is_directory: bool
    status: os.stat_result


class Staged:
    """A file that is being written; it has no name yet.

    Attributes
    ----------
    file
        The open file. Closed by `close`.
    location
        Where it lies, for those who verify it.
    promise
        Room that is set aside for it.
    """

    def __init__(self, fd: int, location: str, promise: Promise) -> None:
        self.file = os.fdopen(fd, "r+b", buffering=0)
        self.location = location
        self.promise = promise
        self.size = os.fstat(fd).st_size
        self.done = False

    def write(self, data: bytes | bytearray | memoryview, *, free: bool = True) -> None:
        """Append bytes, counted before they are written. Blocking.

        Parameters
        ----------
        free
            Count them; False if room was set aside for all of them at once.

        Raises
        ------
        QuotaExceeded
            There is no room for them, in the quota or on the disk.
        """
        if free:
            self.promise.add(len(data))
        with no_room_is_quota():
            view = memoryview(data)
            while view:
                view = view[self.file.write(view) :]
        self.size += len(data)

    def sync(self) -> None:
        """Have the disk keep what was written. Blocking."""
        with no_room_is_quota():
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Drop the file unless it got its name or is kept; safe to call twice."""
        self.file.close()
        if not self.done:
            self.done = True
            with contextlib.suppress(OSError):
                os.unlink(self.location)
            self.promise.release()


@contextlib.contextmanager
def no_room_is_quota() -> Iterator[None]:
    """Tell a full disk, and a full process, as an error of ours without paths."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _NO_ROOM:
            raise QuotaExceeded("the disk of the subscriber is full", hint="tell its operator") from exc
        if exc.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
            raise Overloaded(os.strerror(exc.errno), retry_after_s=1) from exc
        reason = os.strerror(exc.errno) if exc.errno else type(exc).__name__
        raise ServiceError(f"the area can not be written to: {reason}") from exc


def check_target(parts: Sequence[str]) -> None:
    """Refuse names that would not be shown, or that no client could ask for.

    Raises
    ------
    BadPath
        One of the parts is such a name.
    """
    path = "/".join(parts)
    if len(path.encode()) > MAX_RELATIVE_BYTES:
        raise BadPath(f"the path has more than {MAX_RELATIVE_BYTES} bytes below its area")
    for part in parts:
        if not is_addressable(part) or is_hidden(part) or is_hidden(shown_path(part) or part):
            raise BadPath(
                f"{part!r} in {path!r} can not be stored: such names are of hidden or temporary files",
                hint="choose another name",
            )


class AreaFiles:
    """Writes to one directory.

    Parameters
    ----------
    directory
        The area; made if missing.
    ledgers
        Quotas that count what lies in it.
    foreign
        The directory was there before, and holds more than what is shown: it is never emptied.
    """

    def __init__(self, directory: Path, *ledgers: Ledger, foreign: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._root = os.path.realpath(directory)
        self._staging = f"{self._root}/{FOREIGN_STAGING if foreign else STAGING}"
        self._foreign = foreign
        self.ledgers = ledgers
        self.lock = threading.RLock()
        """Held while names change; who compares a generation and replaces it holds it over both."""

    # staging

    def clean(self) -> None:
        """Remove what a run before has left half written, but not what can be resumed. Blocking."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._staging) as entries:
            for entry in list(entries):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                elif KEPT not in entry.name:
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)
        for directory, names, files in os.walk(self._root, followlinks=False):
            for name in [*names, *files]:
                if name.startswith(f"{STAGING}."):
                    _wipe(f"{directory}/{name}")

        if self._foreign:
            with contextlib.suppress(OSError):
                os.rmdir(self._staging)

    @property
    def has_staging(self) -> bool:
        """Whether there is a staging directory."""
        return os.path.isdir(self._staging)

    @property
    def staging(self) -> str:
        """Directory for files that have no name yet; made if missing."""
        with no_room_is_quota():
            os.makedirs(self._staging, mode=0o700, exist_ok=True)
        return self._staging

    def stage(self, *, credit: int = 0, name: str | None = None) -> Staged:
        """Begin a file. Blocking.

        Parameters
        ----------
        credit
            Bytes of the file that it will replace.
        name
            In the staging directory; None for a new one.
        """
        location = f"{self.staging}/{name or secrets.token_hex(8)}"
        with no_room_is_quota():
            fd = os.open(location, _NEW, 0o644)
        return Staged(fd, location, Promise(*self.ledgers, credit=credit))

    def resume(self, name: str) -> Staged:
        """Open a file of the staging directory again; no room is set aside for it yet. Blocking.

        Raises
        ------
        DatasetNotFound
            There is none.
        """
        location = f"{self._staging}/{name}"
        try:
            fd = os.open(location, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_APPEND)
        except OSError as exc:
            raise DatasetNotFound("there is no such upload") from exc
        return Staged(fd, location, Promise(*self.ledgers))

    def check_disk(self, nbytes: int) -> None:
        """Look whether the disk has room for so many bytes more. Blocking.

        Raises
        ------
        QuotaExceeded
            It has not.
        """
        free = shutil.disk_usage(self._root).free
        if nbytes + min(RESERVE, free // 10) > free:
            raise QuotaExceeded(
                f"the disk of the subscriber has no room for {nbytes} bytes", hint="tell its operator"
            )

    # what there is

    def find(self, path: str) -> Found | None:
        """Return what is at a path as clients see it; None if nothing. Links count as nothing. Blocking."""
        if not path:
            return Found((), True, os.stat(self._root))
        for candidate in stored_candidates(path):
            parts = tuple(candidate.split("/"))
            try:
                with self._parent(parts) as directory:
                    status = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
            except (OSError, BadPath, DatasetNotFound):
                continue
            if stat.S_ISREG(status.st_mode):
                return Found(parts, False, status)
            if stat.S_ISDIR(status.st_mode) and candidate == path:
                return Found(parts, True, status)
        return None

    def get(self, path: str) -> Found:
        """Return what is at a path.

        Raises
        ------
        DatasetNotFound
            There is nothing.
        """
        found = self.find(path)
        if found is None or any(is_hidden(part, directory=True) for part in found.parts):
            raise DatasetNotFound(f"there is no file or directory {path!r}", path=path)
        return found

    def open(self, found: Found) -> int:
        """Open a file for reading and return its descriptor. Blocking."""
        with self._parent(found.parts) as directory:
            return os.open(
                found.parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
            )

    def files(self, found: Found) -> Iterator[tuple[str, ...]]:
        """Yield the parts, relative to a directory, of all regular files below it, sorted. Blocking."""
        top = "/".join((self._root, *found.parts))
        for directory, names, files in os.walk(top, followlinks=False):
            names[:] = sorted(name for name in names if not is_hidden(name, directory=True))
            below = tuple(part for part in directory[len(top) :].split("/") if part)
            for name in sorted(files):
                if not is_hidden(name) and not os.path.islink(f"{directory}/{name}"):
                    yield (*below, name)

    def directories(self, found: Found) -> Iterator[tuple[str, ...]]:
        """Yield the parts, relative to a directory, of all directories below it, outer first. Blocking."""
        top = "/".join((self._root, *found.parts))
        for directory, names, _ in os.walk(top, followlinks=False):
            names[:] = sorted(name for name in names if not is_hidden(name, directory=True))
            below = tuple(part for part in directory[len(top) :].split("/") if part)
            for name in names:
                if not os.path.islink(f"{directory}/{name}"):
                    yield (*below, name)

    def size(self) -> int:
        """Return the bytes of all files, those under way left out. Blocking."""
        return tree_size(Path(self._root))

    # changing names

    def commit(
        self, staged: Staged, path: str, *, packed: bool = False, expected: str | None = None
    ) -> Stored:
        """Give a staged file its name, replacing what is there. Blocking; fsync is done here.

        Parameters
        ----------
        path
            As clients see it, below the area.
        packed
            It is the frame of a plain file, stored as ``NAME.b2``.
        expected
            Generation that must be there; ``""`` for none at all, None for any.

        Raises
        ------
        DatasetChanged
            Another generation is there.
        BadPath
            It is a directory, or lies below a file.
        """
        parts = tuple((path + ".b2" if packed else path).split("/"))
        check_target(parts)
        staged.sync()
        with self.lock, no_room_is_quota():
            old = self.find(path)
            check_expected(old, path, expected)
            if old is not None and old.is_directory:
                raise BadPath(f"{path!r} is a directory", hint="name a file in it")
            with self._parent(parts, make=True) as directory:
                try:
                    _name(staged, parts[-1], directory)
                except IsADirectoryError as exc:
                    raise BadPath(f"{path!r} is a directory", hint="name a file in it") from exc
                staged.done = True
                if old is not None and old.parts != parts:  # the same name, stored the other way
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(old.parts[-1], dir_fd=directory)
                os.fsync(directory)
                status = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
            staged.promise.settle(status.st_size - (old.status.st_size if old is not None else 0))
        staged.close()
        return Stored(path, etag_of(status))

    def make_directory(self, path: str, *, exist_ok: bool = False) -> None:
        """Make a directory and those above it. Blocking.

        Parameters
        ----------
        exist_ok
            Do nothing if there is a directory already.

        Raises
        ------
        AlreadyExists
            There is something.
        """
        parts = tuple(path.split("/"))
        check_target(parts)
        with self.lock, no_room_is_quota():
            found = self.find(path)
            if found is not None and found.is_directory and exist_ok:
                return
            if found is not None:
                raise AlreadyExists(f"there is a file or directory {path!r} already")
            with self._parent((*parts, "x"), make=True):
                pass

    def remove(self, path: str, *, expected: str | None = None) -> int:
        """Remove a file, or a directory with all that is in it; of an area itself only what is in it.

        Parameters
        ----------
        expected
            As `commit`.

        Returns
        -------
        int
            Bytes that came free.

        Raises
        ------
        DatasetNotFound
            There is nothing.
        NotPermitted
            It is the area itself, and its directory is somebody's own.
        DatasetChanged
            Another generation is there.
        """
        with self.lock, no_room_is_quota():
            if not path and self._foreign:
                raise NotPermitted(
                    "this area is a directory of yours, with hidden files in it, and can not be emptied",
                    hint="remove what is in it by name",
                )
            if not path:
                freed = 0
                for entry in list(os.scandir(self._root)):
                    if entry.name != STAGING:
                        freed += self._drop((entry.name,))
                return freed
            found = self.get(path)
            check_expected(found, path, expected)
            return self._drop(found.parts)

    def _drop(self, parts: tuple[str, ...]) -> int:
        """Take the name away at once, then remove what had it."""
        doomed = f"{self.staging}/{secrets.token_hex(8)}.gone"
        with self._parent(parts) as directory:
            try:
                os.rename(parts[-1], doomed, src_dir_fd=directory)
            except OSError as exc:
                if exc.errno != errno.EXDEV:
                    raise
                beside = f"{STAGING}.{secrets.token_hex(8)}.gone"
                os.rename(parts[-1], beside, src_dir_fd=directory, dst_dir_fd=directory)
                doomed = "/".join((self._root, *parts[:-1], beside))
            os.fsync(directory)
        is_tree = os.path.isdir(doomed) and not os.path.islink(doomed)
        freed = tree_size(Path(doomed)) if is_tree else os.lstat(doomed).st_size
        _wipe(doomed)
        for ledger in self.ledgers:
            ledger.changed(-freed)
        return freed

    def rename(
        self, found: Found, other: AreaFiles, path: str, *, expected: str | None = None, new: bool = False
    ) -> None:
        """Move a file or directory here to a path of another store, which may be this one. Blocking.

        Parameters
        ----------
        expected
            Generation of what moves; as `commit`.
        new
            Nothing may be at the target.

        Raises
        ------
        DatasetChanged
            Another generation is here, or something there.
        BadPath
            The target is a directory where a file is to go, or the other way round.
        OSError
            With ``EXDEV``: they lie on different disks.
        """
        kind = stored_kind(found.parts[-1])
        packed = not found.is_directory and kind is StoredKind.PACKED
        parts = tuple((path + ".b2" if packed else path).split("/"))
        check_target(parts)
        if found.is_directory and self is other and parts[: len(found.parts)] == found.parts:
            raise BadRequest(f"a directory can not move into itself: {path!r}")
        with self.lock, other.lock:
            target = other.find(path)
            if expected is not None:
                here = Claim.of("/".join(found.parts)).path
                check_expected(self.find(here), here, expected)
            if new and target is not None:
                raise DatasetChanged(f"there is {path} already", path=path)
            if target is not None and target.is_directory:
                raise BadPath(f"{path!r} is a directory")
            if target is not None and found.is_directory:
                raise BadPath(f"{path!r} is a file")
            if self is other and parts == found.parts:
                return
            size = (
                tree_size(Path("/".join((self._root, *found.parts))))
                if found.is_directory
                else found.status.st_size
            )
            replaced = target.status.st_size if target is not None else 0
            promise = Promise(
                *(ledger for ledger in other.ledgers if ledger not in self.ledgers), credit=replaced
            )
            promise.add(size)
            try:
                with (
                    self._parent(found.parts) as source,
                    other._parent(parts, make=True) as goal,
                    _name_errors(path),
                ):
                    os.rename(found.parts[-1], parts[-1], src_dir_fd=source, dst_dir_fd=goal)
                    if target is not None and target.parts != parts:
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(target.parts[-1], dir_fd=goal)
                    os.fsync(goal)
                    os.fsync(source)
            except BaseException:
                promise.release()
                raise
            promise.settle(size - replaced)
            for ledger in self.ledgers:
                if ledger not in other.ledgers:
                    ledger.changed(-size)
                else:
                    ledger.changed(-replaced)

    def remove_empty(self, found: Found) -> None:
        """Remove a directory and those in it, as far as they are empty. Blocking."""
        top = "/".join((self._root, *found.parts))
        for directory, _, _ in os.walk(top, topdown=False, followlinks=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)

    @contextlib.contextmanager
    def _parent(self, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """Open the directory of a path without following links; make what is missing if asked to."""
        fd = os.open(self._root, _DIRECTORY)
        try:
            for depth, part in enumerate(parts[:-1]):
                try:
                    inner = os.open(part, _DIRECTORY, dir_fd=fd)
                except FileNotFoundError:
                    if not make:
                        raise DatasetNotFound(f"there is no directory {'/'.join(parts[:-1])!r}") from None
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=fd)
                    os.fsync(fd)
                    inner = os.open(part, _DIRECTORY, dir_fd=fd)
                except OSError as exc:
                    if exc.errno in {errno.ENOTDIR, errno.ELOOP}:
                        above = "/".join(parts[: depth + 1])
                        raise BadPath(f"{above!r} is not a directory") from exc
                    raise
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)


def _name(staged: Staged, name: str, directory: int) -> None:
    """Rename a staged file into a directory; one on another file system gets a copy first."""
    try:
        os.rename(staged.location, name, dst_dir_fd=directory)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
    else:
        return
    beside = f"{STAGING}.{secrets.token_hex(8)}"
    try:
        fd = os.open(beside, _NEW, 0o644, dir_fd=directory)
        with os.fdopen(fd, "wb", buffering=0) as copy, open(staged.location, "rb", buffering=0) as file:
            shutil.copyfileobj(file, copy, _STEP)
            os.fsync(fd)
        os.rename(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside, dir_fd=directory)
        raise
    with contextlib.suppress(OSError):
        os.unlink(staged.location)


def _wipe(location: str) -> None:
    """Remove a file, or a directory with all that is in it; what can not be removed is left."""
    if os.path.isdir(location) and not os.path.islink(location):
        shutil.rmtree(location, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(location)


@contextlib.contextmanager
def _name_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno == errno.EXDEV:
            raise
        if exc.errno in {errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST, errno.EINVAL}:
            raise BadPath(f"{path!r} can not take this: {os.strerror(exc.errno)}") from exc
        with no_room_is_quota():
            raise


def check_expected(found: Found | None, path: str, expected: str | None) -> None:
    """Compare the generation that is there with the one that a writer knows.

    Raises
    ------
    DatasetChanged
        They differ.
    """
    if expected is None:
        return
    there = "" if found is None or found.is_directory else etag_of(found.status)
    if expected == "*" and found is not None:
        return
    if expected != there:
        raise DatasetChanged(f"{path} is not the generation that was expected", path=path)


def tree_size(top: Path) -> int:
    """Return the bytes of all regular files below a directory, without those under way. Blocking."""
    total = 0
    for directory, names, files in os.walk(top, followlinks=False):
        names[:] = [name for name in names if name != STAGING and not name.startswith(f"{STAGING}.")]
        for name in files:
            if name.startswith(f"{STAGING}."):
                continue
            with contextlib.suppress(OSError):
                status = os.lstat(f"{directory}/{name}")
                if stat.S_ISREG(status.st_mode):
                    total += status.st_size
    return total


@dataclass(frozen=True)
class Claim:
    """What a file claims to be by the name it shall get.

    Attributes
    ----------
    path
        As clients see it.
    kind
        Decides how it is verified.
    """

    path: str
    kind: StoredKind

    @classmethod
    def of(cls, path: str) -> Claim:
        """Return what a name claims."""
        kind = stored_kind(path.rpartition("/")[2])
        return cls(shown_path(path) if kind is StoredKind.PACKED else path, kind)
