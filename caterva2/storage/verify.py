"""Judging what people upload: Blosc2 frames and archives. Run in a process that may be lost."""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import blosc2

from caterva2.compute.extents import read_layout
from caterva2.compute.frames import Skeleton, decompress
from caterva2.errors import BadPath, BadRequest, BrokenDataset, NotADataset, QuotaExceeded
from caterva2.model.paths import split_path
from caterva2.storage.areas import check_target
from caterva2.storage.describe import read_stored
from caterva2.storage.names import StoredKind, stored_kind
from caterva2.storage.pinned import FileFrame

MAX_MEMBERS = 10_000
MAX_RATIO = 200
"""An archive that unpacks to more than so many times its size is refused, beyond `FREE_BYTES`."""
FREE_BYTES = 16 << 20
STEP = 1 << 20
MAX_CHUNK = 1 << 30
"""Largest chunk, uncompressed, that is decoded to be verified."""


def verify_frame(location: str, kind: StoredKind) -> Skeleton:
    """Parse a frame, then decode every chunk of it. CPU-bound and blocking.

    Raises
    ------
    BrokenDataset
        It is not what its name claims, contradicts itself, or can not be decoded.
    """
    with _opened(location) as frame:
        skeleton = read_stored(frame)
        if kind is StoredKind.ARRAY and skeleton.meta is None:
            raise BrokenDataset("the frame holds no array")
        if kind is StoredKind.PACKED and (
            skeleton.meta is not None or (skeleton.variable and skeleton.nbytes)
        ):
            raise BrokenDataset("the frame is not that of a plain file")
        total = 0
        for nchunk in sorted(map(int, skeleton.file_order)):
            _, layout = read_layout(frame.read, skeleton, nchunk)
            if layout.nbytes > MAX_CHUNK:
                raise BrokenDataset(
                    f"chunk {nchunk} has {layout.nbytes} bytes; at most {MAX_CHUNK} are taken"
                )
            chunk = frame.read(int(skeleton.offsets[nchunk]), layout.cbytes)
            total += len(decompress(chunk, layout.nbytes))
        return skeleton


def _opened(location: str) -> FileFrame:
    return FileFrame(os.open(location, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "the upload")


def append_rows(location: str, rows: str) -> list[int]:
    """Append the items of one array to another along axis 0, in place; return the new shape.

    Parameters
    ----------
    location
        The array that grows; a copy that nobody reads yet.
    rows
        The frame of the array to append, verified before.

    Raises
    ------
    BadRequest
        Their shapes or dtypes do not go together.
    """
    verify_frame(rows, StoredKind.ARRAY)
    new = blosc2.open(rows, mode="r")
    old = blosc2.open(location, mode="a")
    if old.ndim == 0 or old.ndim != new.ndim or tuple(old.shape[1:]) != tuple(new.shape[1:]):
        raise BadRequest(f"an array of shape {tuple(new.shape)} can not follow one of {tuple(old.shape)}")
    if old.dtype != new.dtype:
        raise BadRequest(f"items of dtype {new.dtype} can not follow items of {old.dtype}")
    before, count = int(old.shape[0]), int(new.shape[0])
    shape = [before + count, *map(int, old.shape[1:])]
    if count:
        old.resize(tuple(shape))
        row = max(1, int(old.schunk.chunksize) // max(1, int(old.chunks[0])))
        step = max(1, min(count, (64 << 20) // row))
        for start in range(0, count, step):
            stop = min(start + step, count)
            old[before + start : before + stop] = new[start:stop]
    return shape


@dataclass(frozen=True)
class Member:
    """A regular file in an archive."""

    name: str
    size: int
    source: Any


def unpack(location: str, target: str, *, room: int) -> list[str]:
    """Unpack an archive into a new directory, every member checked; return the paths of its files.

    Parameters
    ----------
    room
        Most bytes of all files together.

    Raises
    ------
    BadPath
        A member would leave the directory, or has a name that can not be stored.
    BadRequest
        It is no archive, or holds links, devices, too many files, or too much.
    """
    size = os.stat(location).st_size
    limit = min(room, max(FREE_BYTES, size * MAX_RATIO))
    done: dict[str, None] = {}
    total = 0
    try:
        with _archive(location) as members:
            for member in members:
                if len(done) >= MAX_MEMBERS:
                    raise BadRequest(f"the archive holds more than {MAX_MEMBERS} files")
                path = "/".join(_member_parts(member.name))
                if path in done:
                    raise BadRequest(f"the archive holds {path!r} twice")
                total += member.size
                _check_total(total, limit, room)
                goal = f"{target}/{path}"
                os.makedirs(os.path.dirname(goal), exist_ok=True)
                written = _copy_member(member.source, goal, limit - (total - member.size), room)
                total += written - member.size
                kind = stored_kind(path)
                if kind is not StoredKind.PLAIN:
                    verify_frame(goal, kind)
                done[path] = None
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as exc:
        raise BadRequest(
            "the archive can not be read: only whole .zip and .tar.gz files are unpacked"
        ) from exc
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        raise BadRequest("the archive holds a file and a directory of one name") from exc
    except (ValueError, OverflowError) as exc:
        if isinstance(exc, BadRequest):
            raise
        raise BadRequest("the archive can not be read") from exc
    _make_durable(target, done)
    return list(done)


def _check_total(total: int, limit: int, room: int) -> None:
    if total > room:
        raise QuotaExceeded(f"the archive unpacks to more than the {room} bytes that are left")
    if total > limit:
        raise BadRequest(f"the archive unpacks to more than {MAX_RATIO} times its size")


def _member_parts(name: str) -> tuple[str, ...]:
    parts = split_path(name.removeprefix("./"))
    check_target(parts)
    return parts


def _copy_member(source: IO[bytes], goal: str, left: int, room: int) -> int:
    written = 0
    with source, open(goal, "xb") as out:
        while data := source.read(STEP):
            written += len(data)
            if written > left:
                _check_total(room + 1 if left >= room else left + 1, left, room)
            out.write(data)
    return written


def _make_durable(target: str, paths: Iterable[str]) -> None:
    """Write files through to the disk; together, when all are there, which is much faster than one by one."""
    for path in paths:
        fd = os.open(f"{target}/{path}", os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class _archive:
    """Open an archive, and yield its regular files; directories are passed over, all else is refused."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._open: Any = None

    def __enter__(self) -> Iterator[Member]:
        if zipfile.is_zipfile(self._location):
            self._open = zipfile.ZipFile(self._location)
            return self._zip_members(self._open)
        self._open = tarfile.open(self._location, "r:*")
        return self._tar_members(self._open)

    def __exit__(self, *exc: object) -> None:
        if self._open is not None:
            self._open.close()

    @staticmethod
    def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
        infos = archive.infolist()
        if sum(not info.is_dir() for info in infos) > MAX_MEMBERS or len(infos) > 2 * MAX_MEMBERS:
            raise BadRequest(f"the archive holds more than {MAX_MEMBERS} files")
        for info in infos:
            mode = info.external_attr >> 16
            if info.is_dir():
                _member_parts(info.filename)
                continue
            if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
                raise BadRequest(f"{info.filename!r} in the archive is a link or a device")
            if info.flag_bits & 1:
                raise BadRequest("the archive is encrypted")
            yield Member(info.filename, info.file_size, archive.open(info))

    @staticmethod
    def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
        count = 0
        for info in archive:
            count += 1
            if count > 2 * MAX_MEMBERS:
                raise BadRequest(f"the archive holds more than {MAX_MEMBERS} files")
            if info.isdir():
                if info.name not in {".", "./"}:
                    _member_parts(info.name)
                continue
            source = archive.extractfile(info) if info.isreg() and not info.issparse() else None
            if source is None:
                raise BadRequest(f"{info.name!r} in the archive is a link or a device")
            yield Member(info.name, info.size, source)


REFUSALS = (BadPath, BadRequest, BrokenDataset, NotADataset, QuotaExceeded)
"""What may be said of an upload."""


def perform(request: dict[str, Any]) -> object:
    """Do one task of a verification process; see `caterva2.storage.verifier`."""
    kind = request["task"]
    if kind == "frame":
        verify_frame(request["location"], StoredKind(request["kind"]))
        return None
    if kind == "append":
        return append_rows(request["location"], request["rows"])
    if kind == "unpack":
        Path(request["target"]).mkdir(parents=True)
        return unpack(request["location"], request["target"], room=request["room"])
    raise BadRequest(f"there is no task {kind!r}")
