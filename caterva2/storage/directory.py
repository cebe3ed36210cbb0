"""A directory of files as a root: what is shown, where it lies, how it is opened.

Every access finds its file anew below the real root, part by part, and opens
it part by part without following links, so that nothing outside can be
reached whatever happens to the tree meanwhile. FIFOs, sockets and devices are
never opened; files that Blosc2 would have to be trusted with are parsed here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from caterva2.errors import BrokenDataset, DatasetChanged, DatasetNotFound, ServiceError
from caterva2.model.datasets import BrokenInfo, Entry, FileInfo, Info, LazyInfo
from caterva2.model.lazy import MARK, Lazy, decode_lazy
from caterva2.model.lazy import MAX_BYTES as MAX_LAZY
from caterva2.model.paths import split_path
from caterva2.storage.describe import describe_frame, describe_schunk, read_stored
from caterva2.storage.framecache import FrameCache
from caterva2.storage.names import (
    MAX_RELATIVE_BYTES,
    SPARSE_INDEX,
    StoredKind,
    is_addressable,
    is_hidden,
    shown_path,
    stored_candidates,
    stored_kind,
)
from caterva2.storage.pinned import FileFrame, etag_of, translate_os_errors
from caterva2.storage.plainframe import write_plain_frame
from caterva2.storage.source import Listed, StoredFrame
from caterva2.storage.sparseframe import SparseIndex, read_sparse_index, write_contiguous
from caterva2.storage.unpacked import UnpackedFile

logger = logging.getLogger(__name__)

QUIET_S = 0.1
SETTLED_NS = 2_000_000_000

MAX_LINK_HOPS = 4
"""Links to directories inside one path: enough for people, not for a maze."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_ATTEMPTS = 3
_MAX_LINKS_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class _Found:
    """A visible file: where it lies below the real root, and its generation."""

    path: str
    real: str
    kind: StoredKind
    etag: str
    mtime_ns: int
    size: int
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class _Level:
    """A directory on a walk: how paths in it begin, the real directories above it, links on the way."""

    prefix: str
    directory: str
    chain: tuple[str, ...]
    hops: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stored path leads: its real place, and the real directories and links on the way."""

    real: str
    status: os.stat_result
    chain: tuple[str, ...]
    hops: int


class DirectoryMark(NamedTuple):
    """A directory, and its state: another one if names came or went."""

    real: str
    inode: int
    mtime_ns: int

    @property
    def is_settled(self) -> bool:
        """Whether a change from now on will show in `mtime_ns`, whatever steps the clock of the disk has."""
        return not 0 <= time.time_ns() - self.mtime_ns < SETTLED_NS


def _sparse_etag(index: os.stat_result, directory: os.stat_result) -> str:
    return f"{max(index.st_mtime_ns, directory.st_mtime_ns):x}-{index.st_size:x}-{index.st_ino:x}"


class DirectorySource:
    """The files below a directory; implements `caterva2.storage.source.RootSource`.

    Parameters
    ----------
    root
        The directory. Read only.
    cache_dir
        Where frames of plain files are made; owned by this source. Made if missing.
    exclude
        Directories that are never shown, such as the state of a service that runs inside the root.
    lazy
        Files may be definitions of lazy datasets.
    quiet_s
        A file is read when it was not written for so many seconds.
    """

    def __init__(
        self,
        root: Path,
        cache_dir: Path,
        *,
        exclude: Sequence[Path] = (),
        lazy: bool = False,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._quiet_s = quiet_s
        self._root = os.path.realpath(root)
        self._below = self._root.rstrip("/") + "/"
        self._cache = FrameCache(cache_dir)
        away = (os.path.realpath(path) for path in (cache_dir, *exclude))
        self._excluded = {path for path in away if path.startswith(self._below)}
        self._links: dict[str, set[str]] = {}
        self._lazy = lazy

    @property
    def directory(self) -> str:
        """The real path of the root; for watching it."""
        return self._root

    # what there is

    def scan(self, below: str = "") -> Iterator[Listed]:
        """Yield every visible file, in no order, without opening it.

        Parameters
        ----------
        below
            Yield only what is at or below this path; nothing if there is nothing.

        Raises
        ------
        ServiceError
            The directory of the root can not be listed.
        """
        if not below:
            try:
                with os.scandir(self._root):
                    pass
            except OSError as exc:
                raise ServiceError(f"the directory of the root can not be listed: {exc.strerror}") from exc
            yield from self._walk(_Level("", self._root, (self._root,), 0))
            return
        try:
            found = self._find(below)
        except DatasetNotFound:
            found = None
        if found is not None:
            if found.real != self._below + found.path:
                self._remember_link(found.path, found.real)
            yield Listed(path=found.path, etag=found.etag)
        place = self._resolve(split_path(below))
        if place is not None and stat.S_ISDIR(place.status.st_mode) and (found is None or not found.sparse):
            yield from self._walk(_Level(below.removesuffix("/") + "/", place.real, place.chain, place.hops))

    def is_directory(self, path: str) -> bool:
        """Whether a path is that of a directory that is shown, be it empty; a sparse frame is none."""
        parts = split_path(path)
        if any(is_hidden(part, directory=True) for part in parts):
            return False
        place = self._resolve(parts)
        return (
            place is not None
            and stat.S_ISDIR(place.status.st_mode)
            and self._sparse_status(parts[-1], place.real) is None
        )

    def directories(self) -> Iterator[str]:
        """Yield the real path of every directory whose changes can show; what a watcher has to watch.

        A watcher that walks by itself would follow links out of the root.
        """
        self._links = {}
        seen = set()
        waiting = [_Level("", self._root, (self._root,), 0)]
        while waiting:
            level = waiting.pop()
            if level.directory not in seen:
                seen.add(level.directory)
                yield level.directory
            waiting.extend(child for entry, child in self._entries(level) if child is not None)

    def directory_mark(self, below: str) -> DirectoryMark | None:
        """Return what tells whether names in a directory came or went; None if it is no directory.

        Parameters
        ----------
        below
            Its path; empty for the root.
        """
        if not below:
            with contextlib.suppress(OSError):
                status = os.stat(self._root)
                return DirectoryMark(self._root, status.st_ino, status.st_mtime_ns)
            return None
        place = self._visible_directory(below)
        if place is None:
            return None
        return DirectoryMark(place.real, place.status.st_ino, place.status.st_mtime_ns)

    def children(self, below: str = "") -> list[str]:
        """Return the names in a directory, in no order; those of directories, empty or not, end in a slash.

        Parameters
        ----------
        below
            Its path; empty for the root.
        """
        if below:
            place = self._visible_directory(below)
            if place is None:
                return []
            prefix = below.removesuffix("/") + "/"
            return list(self._names(_Level(prefix, place.real, place.chain, place.hops)))
        return list(self._names(_Level("", self._root, (self._root,), 0)))

    def _visible_directory(self, below: str) -> _Place | None:
        parts = split_path(below)
        if any(is_hidden(part, directory=True) for part in parts):
            return None
        place = self._resolve(parts)
        if place is None or not stat.S_ISDIR(place.status.st_mode):
            return None
        return None if self._sparse_status(parts[-1], place.real) is not None else place

    def _names(self, level: _Level) -> Iterator[str]:
        names: set[str] | None = None
        for entry, child in self._entries(level):
            if child is not None:
                sparse = self._sparse_status(entry.name, child.directory) is not None
                yield entry.name if sparse else f"{entry.name}/"
                continue
            shown = shown_path(entry.name)
            if shown != entry.name:
                names = set(os.listdir(level.directory)) if names is None else names
                if shown in names or not is_addressable(shown) or is_hidden(shown):
                    continue
            with contextlib.suppress(OSError):  # gone meanwhile
                if entry.is_file() and not is_hidden(entry.name):
                    yield shown

    def _walk(self, start: _Level) -> Iterator[Listed]:
        waiting = [start]
        while waiting:
            level = waiting.pop()
            names: set[str] | None = None
            for entry, child in self._entries(level):
                if child is not None:
                    sparse = self._sparse_status(entry.name, child.directory)
                    if sparse is None:
                        waiting.append(child)
                    else:
                        yield Listed(path=level.prefix + entry.name, etag=_sparse_etag(*sparse))
                    continue
                shown = shown_path(entry.name)
                if shown != entry.name:
                    names = set(os.listdir(level.directory)) if names is None else names
                    if shown in names or not is_addressable(shown) or is_hidden(shown):
                        continue
                with contextlib.suppress(OSError):  # gone meanwhile
                    if entry.is_file() and not is_hidden(entry.name):
                        yield Listed(path=level.prefix + shown, etag=etag_of(entry.stat()))

    def _entries(self, level: _Level) -> Iterator[tuple[os.DirEntry[str], _Level | None]]:
        """Yield what a directory holds and may be shown; for directories with where to go on."""
        try:
            with os.scandir(level.directory) as listing:
                entries = list(listing)
        except OSError as exc:
            logger.warning("the directory %r of the root can not be listed: %s", level.prefix, exc.strerror)
            return
        room = MAX_RELATIVE_BYTES - len(level.prefix.encode())
        for entry in entries:
            name = entry.name
            if not is_addressable(name) or (len(name) > room // 4 and len(name.encode()) > room):
                logger.debug("left out, no client can ask for it: %r", level.prefix + name)
                continue
            if is_hidden(name, directory=True):
                continue
            try:
                real, hops = entry.path, level.hops
                if entry.is_symlink():
                    real, hops = os.path.realpath(real, strict=True), hops + 1
                    if not self._contains(real):
                        continue
                    self._remember_link(level.prefix + name, real)
                if not entry.is_dir():
                    yield entry, None
                elif real not in level.chain and hops <= MAX_LINK_HOPS and real not in self._excluded:
                    yield entry, _Level(f"{level.prefix}{name}/", real, (*level.chain, real), hops)
            except OSError as exc:
                logger.debug("left out: %r: %s", level.prefix + name, exc.strerror)

    @staticmethod
    def _sparse_status(name: str, real: str) -> tuple[os.stat_result, os.stat_result] | None:
        """Return the status of a sparse frame's index and directory; None for other directories."""
        if stored_kind(name) not in {StoredKind.ARRAY, StoredKind.FRAME}:
            return None
        try:
            index, directory = os.lstat(f"{real}/{SPARSE_INDEX}"), os.lstat(real)
        except OSError:
            return None
        return (index, directory) if stat.S_ISREG(index.st_mode) else None

    def _contains(self, real: str) -> bool:
        return real.startswith(self._below) and not any(
            real == excluded or real.startswith(excluded + "/") for excluded in self._excluded
        )

    def _remember_link(self, path: str, real: str) -> None:
        if len(self._links) < _MAX_LINKS_KNOWN:
            self._links.setdefault(real.removeprefix(self._below), set()).add(path)

    def shown_by(self, stored: str) -> set[str]:
        """Return the paths, of files or directories, under which a change at a stored path shows.

        Parameters
        ----------
        stored
            Path below the real root, as a watcher reports it.
        """
        paths = {stored}
        links = dict(self._links)
        for real, names in links.items():
            for name in names:
                if stored == name or stored.startswith(name + "/"):
                    paths.add(real + stored[len(name) :])
        for real, names in links.items():
            for path in tuple(paths):
                if path == real or path.startswith(real + "/"):
                    paths.update(name + path[len(real) :] for name in names)
        return {shown for path in paths if (shown := self._shown(path)) is not None}

    def _shown(self, stored: str) -> str | None:
        parts = stored.split("/")
        for depth, part in enumerate(parts):
            if not part or not is_addressable(part) or is_hidden(part, directory=depth < len(parts) - 1):
                return None
            if depth < len(parts) - 1 and stored_kind(part) in {StoredKind.ARRAY, StoredKind.FRAME}:
                return "/".join(parts[: depth + 1])
        shown = shown_path(stored)
        return shown if is_addressable(shown.rpartition("/")[2]) else None

    # one file

    def etag(self, path: str) -> str:
        """Return the generation of a file, without opening it; raises as `describe`."""
        return self._find(path).etag

    def describe(self, path: str) -> Entry:
        """Describe a file without making the frame of a plain one; a broken file gives `BrokenInfo`.

        Raises
        ------
        DatasetNotFound
            There is no such visible file.
        BadPath
            The path leaves the root.
        """
        return self._describe(path, make=False)

    def materialise(self, path: str) -> Entry:
        """Describe a file completely; the frame of a plain file is made if it is not there yet.

        Raises
        ------
        DatasetNotFound, BadPath
            As `describe`.
        DatasetChanged
            The file was written meanwhile.
        ServiceError
            There is no room for its frame.
        """
        return self._describe(path, make=True)

    def open(self, path: str) -> StoredFrame:
        """Open the stored frame of a file (made if needed); `describe.read_stored` judges what is in it.

        Raises
        ------
        DatasetNotFound, BadPath, DatasetChanged, ServiceError
            As `materialise`.
        BrokenDataset
            The file can not be read.
        """
        return self._open_frame(self._find(path))

    def open_plain(self, path: str) -> StoredFrame:
        """Open the bytes of a plain file, unpacked if it is kept as a frame; other files as `open`."""
        found = self._find(path)
        if found.kind is StoredKind.PLAIN:
            return self._open_file(found)
        frame = self._open_frame(found)
        if found.kind is not StoredKind.PACKED:
            return frame
        try:
            return UnpackedFile(frame, read_stored(frame), path)
        except BaseException:
            frame.close()
            raise

    def forget(self, path: str) -> None:
        """Drop what was made for a file that is gone."""
        self._cache.drop(path)

    def _describe(self, path: str, *, make: bool) -> Entry:
        for _ in range(_ATTEMPTS - 1):
            found = self._find(path)
            try:
                return self._entry(found, make=make)
            except DatasetChanged:
                continue
        found = self._find(path)
        try:
            return self._entry(found, make=make)
        except DatasetChanged:
            if make:
                raise
            return _broken(found, "the file is being written")

    def _entry(self, found: _Found, *, make: bool) -> Entry:
        try:
            if found.kind is StoredKind.PLAIN and not make:
                return self._plain_entry(found)
            if found.sparse and not make:
                return self._sparse_entry(found)
            with self._open_frame(found) as frame:
                lazy = self._read_lazy(found, frame)
                if lazy is not None:
                    return Entry(
                        path=found.path, etag=frame.etag, mtime_ns=found.mtime_ns, size=frame.size,
                        info=LazyInfo(lazy=lazy),
                    )  # fmt: skip
                skeleton = read_stored(frame)
        except BrokenDataset as exc:
            return _broken(found, exc.message)
        info: Info
        if found.kind is StoredKind.PLAIN:
            info = FileInfo(size=found.size, schunk=describe_schunk(skeleton))
        elif found.kind is StoredKind.PACKED:
            info = FileInfo(size=skeleton.nbytes, schunk=describe_schunk(skeleton))
        else:
            info = describe_frame(skeleton)
        return Entry(path=found.path, etag=frame.etag, mtime_ns=found.mtime_ns, size=frame.size, info=info)

    def _read_lazy(self, found: _Found, frame: FileFrame) -> Lazy | None:
        """Return the definition of a lazy dataset, if the file is one and this root may hold one."""
        if not self._lazy or found.kind is not StoredKind.ARRAY or frame.size > MAX_LAZY or found.sparse:
            return None
        if frame.size < len(MARK) or frame.read(0, len(MARK)) != MARK:
            return None
        return decode_lazy(frame.read(0, frame.size))

    def _plain_entry(self, found: _Found) -> Entry:
        size, schunk = found.size, None
        frame = self._cache.find(found.path, found.etag)
        if frame is not None:
            with frame:
                size, schunk = frame.size, describe_schunk(read_stored(frame))
        info = FileInfo(size=found.size, schunk=schunk)
        return Entry(path=found.path, etag=found.etag, mtime_ns=found.mtime_ns, size=size, info=info)

    def _sparse_entry(self, found: _Found) -> Entry:
        index = self._read_index(found)
        try:
            size = sum(os.lstat(f"{found.real}/{name}").st_size for name in index.member_names)
        except OSError as exc:
            raise BrokenDataset("the sparse frame lacks a file of its chunks") from exc
        info = describe_frame(index.skeleton)
        return Entry(
            path=found.path, etag=found.etag, mtime_ns=found.mtime_ns, size=index.frame_size(size), info=info
        )

    # opening

    def _find(self, path: str) -> _Found:
        """Return the visible file behind a path."""
        parts = split_path(path)
        path = "/".join(parts)
        if not any(is_hidden(part, directory=True) for part in parts) and not is_hidden(parts[-1]):
            for candidate in stored_candidates(path):
                place = self._resolve(tuple(candidate.split("/")))
                found = None if place is None else self._found(path, candidate, place)
                if found is not None:
                    return found
        raise DatasetNotFound(f"there is no dataset {path!r}")

    def _found(self, path: str, candidate: str, place: _Place) -> _Found | None:
        kind, status = stored_kind(candidate), place.status
        if stat.S_ISREG(status.st_mode):
            etag = etag_of(status)
            return _Found(path, place.real, kind, etag, status.st_mtime_ns, status.st_size)
        if stat.S_ISDIR(status.st_mode):
            sparse = self._sparse_status(candidate, place.real)
            if sparse is not None:
                mtime_ns = max(sparse[0].st_mtime_ns, sparse[1].st_mtime_ns)
                size = sparse[0].st_size
                return _Found(path, place.real, kind, _sparse_etag(*sparse), mtime_ns, size, sparse=True)
        return None

    def _resolve(self, parts: tuple[str, ...]) -> _Place | None:
        """Follow a stored path to where it really leads; None if that is nowhere, outside, or in a circle."""
        real, chain, hops, name = self._root, [self._root], 0, ""
        status = None
        try:
            for part in parts:
                if status is not None:
                    if (hops and real in chain) or hops > MAX_LINK_HOPS or real in self._excluded:
                        return None
                    if self._sparse_status(name, real) is not None:
                        return None
                    chain.append(real)
                name = part
                real = f"{real.rstrip('/')}/{part}"
                status = os.lstat(real)
                if stat.S_ISLNK(status.st_mode):
                    real = os.path.realpath(real, strict=True)
                    if not self._contains(real):
                        return None
                    status = os.lstat(real)
                    hops += 1
        except OSError:
            return None
        if status is None:
            return None
        if stat.S_ISDIR(status.st_mode):
            if (hops and real in chain) or hops > MAX_LINK_HOPS or real in self._excluded:
                return None
            chain.append(real)
        return _Place(real, status, tuple(chain), hops)

    def _open_frame(self, found: _Found) -> FileFrame:
        if found.sparse:
            return self._cache.make(found.path, found.etag, lambda out: self._copy_sparse(found, out))
        if found.kind is StoredKind.PLAIN:
            return self._cache.make(found.path, found.etag, lambda out: self._pack(found, out))
        return self._open_file(found)

    def _pack(self, found: _Found, out: BinaryIO) -> None:
        with self._open_file(found) as file:
            if file.etag != found.etag:
                raise DatasetChanged(f"{found.path} was changed before it was read")
            write_plain_frame(file.read, file.size, out)
            file.verify()

    def _copy_sparse(self, found: _Found, out: BinaryIO) -> None:
        index = self._read_index(found)
        write_contiguous(index, lambda name: self._open_file(found, name), out)
        if self._find(found.path).etag != found.etag:
            raise DatasetChanged(f"{found.path} was changed while it was read")

    def _read_index(self, found: _Found) -> SparseIndex:
        with self._open_file(found, SPARSE_INDEX) as member:
            return read_sparse_index(member)

    def _open_file(self, found: _Found, *below: str) -> FileFrame:
        """Open a file where it was found, part by part: no link that appeared meanwhile is followed."""
        parts = [*found.real.removeprefix(self._below).split("/"), *below]
        with translate_os_errors(found.path):
            directory = os.open(self._root, _DIRECTORY)
            try:
                for part in parts[:-1]:
                    inner = os.open(part, _DIRECTORY, dir_fd=directory)
                    os.close(directory)
                    directory = inner
                fd = os.open(parts[-1], _FILE, dir_fd=directory)
            finally:
                os.close(directory)
        frame = FileFrame(fd, found.path)
        try:
            _wait_until_quiet(frame, self._quiet_s)
        except BaseException:
            frame.close()
            raise
        return frame


def _wait_until_quiet(frame: FileFrame, quiet_s: float) -> None:
    """Let a file that was written a moment ago come to rest.

    Its time changes when a write begins, not when it ends, and in steps of some milliseconds: what is
    read before may be half of one generation and half of the next, under one etag.

    Raises
    ------
    DatasetChanged
        It is still being written.
    """
    young_s = quiet_s - (time.time_ns() - frame.mtime_ns) / 1e9
    if 0 < young_s < 2 * quiet_s:  # beyond, its time is of another clock
        time.sleep(young_s)
        frame.verify()


def _broken(found: _Found, reason: str) -> Entry:
    return Entry(
        path=found.path,
        etag=found.etag,
        mtime_ns=found.mtime_ns,
        size=found.size,
        info=BrokenInfo(reason=reason),
    )
