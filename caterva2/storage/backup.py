"""Copies of a subscriber's state directory, made while it runs, and how they are put back. Everything blocks.

A copy is a directory: the databases, the areas, and a manifest that names every
file with its checksum. The manifest is written last, so that what has one is whole.
Files of areas get their names when they are complete, so each is copied as one
generation; the areas are gone through until nothing has changed meanwhile, for a
file that moves from where nobody has looked yet to where somebody has would be missed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from caterva2.errors import BadRequest, BrokenDataset, NotFound
from caterva2.storage.areas import FOREIGN_STAGING, STAGING
from caterva2.storage.state import copy_database

FORMAT = 1
MANIFEST = "manifest.json"
AREAS = ("public", "shared", "personal")
DATABASES = ("users.sqlite", "subscriber.sqlite")
"""Copied after the areas: whose files are in the copy has an account in it."""
LOCK = "lock"
MOST_ROUNDS = 10

_PARTIAL = ".restoring"
_STEP = 1 << 20


class SavedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a copy; `path` is below the state directory, `sha256` in hexadecimal."""

    path: str
    size: int
    mtime_ns: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a copy.

    Attributes
    ----------
    made
        When, in seconds since 1970.
    version
        Of the program that made it.
    directories
        Of the areas, outer ones first; they may be empty.
    """

    format: int
    version: str
    made: float
    directories: list[str]
    files: list[SavedFile]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class _Generation(NamedTuple):
    """Tells a file from what was or will be under its name."""

    mtime_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Generation:
        return cls(status.st_mtime_ns, status.st_size, status.st_ino)


class Saved(NamedTuple):
    """What `back_up` has made.

    Attributes
    ----------
    left_out
        What is no regular file, or has a name that can not be shown.
    settled
        The areas were the same before and after; else the copy is not of one moment.
    """

    manifest: Manifest
    left_out: list[str]
    settled: bool


def back_up(state: Path, target: Path, *, version: str) -> Saved:
    """Copy what can not be had again from a state directory to a new one.

    Raises
    ------
    BadRequest
        There is something at `target`, it lies in an area, or `state` is none of a subscriber.
    """
    if not any((state / name).exists() for name in (*AREAS, *DATABASES)):
        raise BadRequest(f"there is nothing of a subscriber in {state}", hint="name it with --statedir")
    if any((state / area).resolve() in (target.resolve(), *target.resolve().parents) for area in AREAS):
        raise BadRequest(
            f"{target} lies in an area", hint="choose a directory outside of the state directory"
        )
    _make_empty(target)
    files, tree, settled = _copy_areas(state, target)
    databases = []
    for name in DATABASES:
        if (state / name).exists():
            copy_database(state / name, target / name)
            databases.append(_described(target, name))
    manifest = Manifest(
        format=FORMAT, version=version, made=time.time(), directories=tree.directories,
        files=[*databases, *files],
    )  # fmt: skip
    beside = target / f".{MANIFEST}"
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    _sync(beside)
    beside.replace(target / MANIFEST)
    _sync(target)
    return Saved(manifest, tree.left_out, settled)


def check(source: Path) -> Manifest:
    """Read all of a copy and return its manifest.

    Raises
    ------
    NotFound
        It has no manifest: it is no copy, or was not finished.
    BrokenDataset
        A file is missing, or is not what was copied.
    """
    manifest = read_manifest(source)
    for file in manifest.files:
        _verify(file, source / file.path)
    return manifest


def restore(source: Path, state: Path) -> Manifest:
    """Make a state directory from a copy; all of it, or nothing.

    Parameters
    ----------
    state
        May not exist, or be empty but for the lock of who calls.

    Raises
    ------
    BadRequest
        There is something in `state`.
    NotFound, BrokenDataset
        As `check`.
    """
    manifest = read_manifest(source)
    state.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(state / _PARTIAL, ignore_errors=True)
    found = sorted(entry.name for entry in state.iterdir() if entry.name != LOCK)
    if found:
        raise BadRequest(
            f"{state} is not empty: there is {found[0]}",
            hint="move it away, or name a new directory with --statedir",
        )
    partial = state / _PARTIAL
    try:
        for path in manifest.directories:
            (partial / path).mkdir(parents=True, exist_ok=True)
        for file in manifest.files:
            made = partial / file.path
            made.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(source / file.path, made, follow_symlinks=False)
            _verify(file, made)
            os.chmod(made, 0o600 if file.path in DATABASES else 0o644)
            os.utime(made, ns=(file.mtime_ns, file.mtime_ns))
            _sync(made)
        for entry in sorted(partial.iterdir()):
            entry.replace(state / entry.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _sync(state)
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Return the manifest of a copy; raises as `check`."""
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"{source} is no finished backup: it has no {MANIFEST}",
            hint="make it again with: cat2admin backup",
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise BrokenDataset(f"{source / MANIFEST} is broken: {exc}") from exc
    if manifest.format != FORMAT:
        raise BrokenDataset(
            f"{source} has format {manifest.format}; this program reads format {FORMAT}",
            hint=f"use Caterva2 {manifest.version}",
        )
    for path in (*manifest.directories, *(file.path for file in manifest.files)):
        parts = path.split("/")
        if path not in DATABASES and (parts[0] not in AREAS or {"", ".", ".."} & set(parts) or "\0" in path):
            raise BrokenDataset(f"{source / MANIFEST} names {path!r}, which is in no area")
    return manifest


def _copy_areas(state: Path, target: Path) -> tuple[list[SavedFile], _Tree, bool]:
    """Copy all files of the areas; tell whether the areas were the same before and after."""
    copied: dict[str, tuple[SavedFile, _Generation]] = {}
    seen = before = _Tree(state)
    settled = False
    for _ in range(MOST_ROUNDS):
        for path in sorted(copied.keys() - seen.files.keys()):
            del copied[path]
            (target / path).unlink()
        for path, generation in sorted(seen.files.items()):
            if path not in copied or copied[path][1] != generation:
                with _gone_is_no_matter():
                    copied[path] = _copy(state, path, target)
        before, seen = seen, _Tree(state)
        settled = seen == before and seen.files == {path: found for path, (_, found) in copied.items()}
        if settled:
            break
    return [copied[path][0] for path in sorted(copied)], before, settled


@contextlib.contextmanager
def _gone_is_no_matter() -> Iterator[None]:
    """Let a file go that has just gone: whoever looks again sees that."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            raise


class _Tree:
    """The files and directories of the areas at a moment, without what is under way."""

    def __init__(self, state: Path) -> None:
        self.files: dict[str, _Generation] = {}
        self.directories: list[str] = []
        self.left_out: list[str] = []
        for area in AREAS:
            if (state / area).is_dir():
                self.directories.append(area)
                self._add(state, area)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tree) and (self.directories, self.files) == (other.directories, other.files)

    __hash__ = None  # type: ignore[assignment]

    def _add(self, state: Path, directory: str) -> None:
        for name, path, status in _entries(state, directory):
            if name in {STAGING, FOREIGN_STAGING} or name.startswith(f"{STAGING}."):
                continue
            if not _is_text(name):
                self.left_out.append(path.encode(errors="replace").decode())
            elif stat.S_ISDIR(status.st_mode):
                self.directories.append(path)
                self._add(state, path)
            elif stat.S_ISREG(status.st_mode):
                self.files[path] = _Generation.of(status)
            else:
                self.left_out.append(path)


def _entries(state: Path, directory: str) -> Iterator[tuple[str, str, os.stat_result]]:
    try:
        names = sorted(os.listdir(state / directory))
    except FileNotFoundError:  # gone meanwhile
        return
    for name in names:
        path = f"{directory}/{name}"
        with contextlib.suppress(FileNotFoundError):
            yield name, path, os.lstat(state / path)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _copy(state: Path, path: str, target: Path) -> tuple[SavedFile, _Generation]:
    """Copy a file; if somebody writes to it meanwhile, the next round sees another generation."""
    made = target / path
    if made.is_dir():  # what was a directory
        shutil.rmtree(made)
    made.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    fd = os.open(state / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb", buffering=0) as file, made.open("wb") as copy:
        generation = _Generation.of(os.fstat(file.fileno()))
        while data := file.read(_STEP):
            digest.update(data)
            copy.write(data)
            size += len(data)
        copy.flush()
        os.fsync(copy.fileno())
    saved = SavedFile(path=path, size=size, mtime_ns=generation.mtime_ns, sha256=digest.hexdigest())
    return saved, generation


def _described(top: Path, path: str) -> SavedFile:
    status = (top / path).stat()
    return SavedFile(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns, sha256=_digest(top / path))


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _verify(file: SavedFile, found: Path) -> None:
    if not found.is_file() or found.is_symlink():
        raise BrokenDataset(f"the backup lacks {file.path}", hint="use another backup")
    if found.stat().st_size != file.size or _digest(found) != file.sha256:
        raise BrokenDataset(
            f"{file.path} of the backup is not what was copied: its checksum differs",
            hint="use another backup",
        )


def _make_empty(target: Path) -> None:
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise BadRequest(f"{target} is not empty", hint="name a new directory for the backup")


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
