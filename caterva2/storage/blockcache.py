"""Cached roots on disk: stored frames of which only some blocks are here.

One file of a root, in one generation, is a *mirror*: a sparse file with the
frame's bytes at the frame's own offsets, and beside it a table with one
checksum per unit (`caterva2.compute.frames`); a checksum of 0 marks a unit
that is absent. The bytes are written before their checksum, so a process may
be killed at any moment: what has a checksum that fits is there, all else is
fetched again. Blosc2 itself has no checksums, so a unit whose bytes do not fit
theirs is treated as absent, never served.

A mirror of one generation is never changed into another: its name holds the
etag. Room is bounded: least recently used mirrors go first, then the least
recently used chunks of the ones that are left.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import itertools
import logging
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from caterva2.compute.extents import (
    ChunkPiece,
    Record,
    Units,
    chunk_units,
    digest,
    read_piece,
    units_in_range,
)
from caterva2.compute.frames import ChunkLayout, Skeleton, head_length, parse_chunk, skeleton_from_parts
from caterva2.compute.heads import Heads
from caterva2.errors import BrokenDataset, CorruptChunk
from caterva2.storage.pagecache import read_now

logger = logging.getLogger(__name__)

Digests = npt.NDArray[np.uint64]

MAGIC = b"C2UNITS2"
TABLE_START = 8192
_PREFIX = struct.Struct("<8sIIQ")
_BLOCK = 4096
_OUT_OF_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SPARE_LEAST, _SPARE_MOST, _SPARE_SHARE = 1 << 20, 64 << 20, 16
"""What is left free on the disk for others, such as the catalog: a share of it, within bounds."""


class MirrorId(msgspec.Struct, frozen=True, array_like=True):
    """Which file, in which generation, a mirror holds."""

    root: str
    path: str
    etag: str

    @property
    def key(self) -> str:
        """Name of the mirror's files."""
        text = f"{self.path}\0{self.etag}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).hexdigest()[:40]


class _Header(msgspec.Struct, frozen=True, array_like=True):
    id: MirrorId
    size: int
    start: int
    stop: int
    width: int
    digests: tuple[int, int]


class Mirror:
    """The cached part of one file in one generation.

    Thread-safe and blocking. Made by `BlockCache`.
    """

    def __init__(
        self, cache: BlockCache, header: _Header, skeleton: Skeleton, *, data: int, table: int, used: int
    ) -> None:
        self.id = header.id
        self.skeleton = skeleton
        self._header = header
        self._cache = cache
        self._data = data
        self._table = table
        self._lock = threading.Lock()
        self._heads = Heads()
        self._recent = np.zeros(skeleton.nchunks, np.uint32)
        self.is_dropped = False
        """Whether its files have been removed: nothing is kept any more."""
        self.used = self.counted = used
        """Bytes on disk, and those that the cache has counted."""
        self.touched = cache.tick()
        """When something of it was used last; of `BlockCache.tick`."""

    def close(self) -> None:
        """Release the files; the mirror stays on disk."""
        with self._lock:
            for fd in (self._data, self._table):
                if fd >= 0:
                    os.close(fd)
            self._data = self._table = -1

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()

    def head(self, nchunk: int) -> tuple[bytes, ChunkLayout] | None:
        """Return head and layout of a chunk, or None if absent."""
        known = self._heads.get(nchunk)
        if known is not None:
            return known
        row = self._row(nchunk)
        if not row[0]:
            return None
        skeleton = self.skeleton
        head, layout = b"", None
        with contextlib.suppress(BrokenDataset, EOFError):
            head = self._read(int(skeleton.offsets[nchunk]), head_length(skeleton, nchunk))
            layout = parse_chunk(head, skeleton, nchunk)
            if layout.nblocks == 0:
                head = self._read(int(skeleton.offsets[nchunk]), layout.cbytes)
        if layout is None or digest(head[: layout.head_size]) != int(row[0]):
            self._forget(nchunk, [0])
            return None
        if layout.nblocks:
            head = head[: layout.head_size]
            self._heads.keep(nchunk, (head, layout))
        return head, layout

    def missing(self, nchunk: int, blocks: list[int] | None) -> list[int] | None:
        """Return which of some blocks (None: all) are absent; None if all of the chunk is to be fetched."""
        if self.skeleton.special(nchunk):
            return []
        head = self.head(nchunk)
        if head is None:
            return blocks
        layout = head[1]
        if layout.nblocks == 0:
            return []
        row = self._row(nchunk)
        wanted = range(layout.nblocks) if blocks is None else blocks
        absent = [b for b in wanted if not row[b + 1]]
        return None if len(absent) == layout.nblocks else absent

    def piece(self, nchunk: int, blocks: list[int] | None) -> ChunkPiece | None:
        """Read some blocks of a chunk (None: all), verified; None if any is absent or damaged."""
        skeleton = self.skeleton
        if skeleton.special(nchunk):
            return ChunkPiece(nchunk, None, b"", special=skeleton.special(nchunk))
        head = self.head(nchunk)
        if head is None:
            return None
        layout = head[1]
        self._touch(nchunk)
        if layout.nblocks == 0:
            return ChunkPiece(nchunk, layout, head[0], whole=head[0])
        if blocks is not None and len(blocks) == 1:
            return self._one_block(nchunk, blocks[0], head)
        row = self._row(nchunk)
        wanted = range(layout.nblocks) if blocks is None else blocks
        if not row[np.fromiter(wanted, np.int64, len(wanted)) + 1].all():
            return None
        try:
            piece = read_piece(self._read, skeleton, nchunk, blocks, head)
        except (EOFError, BrokenDataset):
            self._forget(nchunk, range(len(row)))
            return None
        damaged = [b for b in wanted if digest(piece.blocks[b]) != int(row[b + 1])]
        if damaged:
            logger.warning(
                "%d cached blocks of %s/%s are damaged; fetching again",
                len(damaged),
                self.id.root,
                self.id.path,
            )
            self._forget(nchunk, [b + 1 for b in damaged])
            return None
        return piece

    def block_now(self, nchunk: int, block: int) -> ChunkPiece | None:
        """Return a chunk with one verified block, if that takes no waiting for the disk; else None."""
        skeleton = self.skeleton
        head = self._heads.get(nchunk)
        if head is None or not head[1].nblocks:
            return None
        layout = head[1]
        stored = read_now(self._table, self._row_offset(nchunk) + 8 * (block + 1), 8)
        if stored is None:
            return None
        expected = int.from_bytes(stored, "little")
        start, stop = int(layout.starts[block]), int(layout.stops[block])
        data = read_now(self._data, int(skeleton.offsets[nchunk]) + start, stop - start) if expected else None
        if data is None or digest(data) != expected:
            return None
        self._touch(nchunk)
        return ChunkPiece(nchunk, layout, head[0], {block: data})

    def _one_block(self, nchunk: int, block: int, head: tuple[bytes, ChunkLayout]) -> ChunkPiece | None:
        try:
            stored = os.pread(self._table, 8, self._row_offset(nchunk) + 8 * (block + 1))
            expected = int.from_bytes(stored, "little")
            if not expected:
                return None
            piece = read_piece(self._read, self.skeleton, nchunk, [block], head)
        except (EOFError, OSError):
            self._forget(nchunk, [block + 1])
            return None
        if digest(piece.blocks[block]) != expected:
            self._forget(nchunk, [block + 1])
            return None
        return piece

    def has_bytes(self, start: int, stop: int, nchunk: int) -> bool:
        """Whether the units of a chunk that touch ``[start, stop)`` of the frame are here (unverified)."""
        head = self.head(nchunk)
        if head is None:
            return False
        units = units_in_range(self.skeleton, nchunk, head[1], start, stop)
        return bool(self._row(nchunk)[units.numbers].all())

    def chunk_bytes(self, nchunk: int, start: int, stop: int) -> memoryview | None:
        """Read bytes ``[start, stop)`` of the frame, in one chunk, verified; None if any unit is absent."""
        head = self.head(nchunk)
        if head is None:
            return None
        self._touch(nchunk)
        units = units_in_range(self.skeleton, nchunk, head[1], start, stop)
        row = self._row(nchunk)[units.numbers]
        if not row.all():
            return None
        # the head is always among the units, even if it lies before the range
        first = 1 if len(units.numbers) > 1 and int(units.offsets[0] + units.lengths[0]) <= start else 0
        low = int(units.offsets[first])
        high = int(units.offsets[-1] + units.lengths[-1])
        try:
            data = memoryview(self._read(low, high - low))
        except EOFError:
            return None
        offsets, lengths, numbers = (
            a[first:].tolist() for a in (units.offsets, units.lengths, units.numbers)
        )
        expected = row[first:].tolist()
        damaged = [
            number
            for number, offset, length, value in zip(numbers, offsets, lengths, expected, strict=True)
            if digest(data[offset - low : offset - low + length]) != value
        ]
        if damaged:
            self._forget(nchunk, damaged)
            return None
        return data[start - low : stop - low]

    def skeleton_bytes(self, start: int, stop: int) -> memoryview | None:
        """Read bytes of the frame before or behind its chunks, verified; None if they are damaged."""
        header = self._header
        first, end, part = (0, header.start, 0) if stop <= header.start else (header.stop, header.size, 1)
        with contextlib.suppress(EOFError):
            data = memoryview(self._read(first, end - first))
            if digest(data) == header.digests[part]:
                return data[start - first : stop - first]
        return None

    def put(self, record: Record) -> bool:
        """Keep verified units of this very frame; False if there is no room. Never raises for a full disk.

        Raises
        ------
        CorruptChunk
            They do not lie in the chunk that they are said to be of.
        """
        units = record.units
        if units.nchunk < 0 or record.special or not len(units.numbers):
            return False
        self._check(units)
        with self._cache.room(units.nbytes + _BLOCK, self) as is_room:
            if not is_room:
                return False
            try:
                if not self._write(record):
                    return False
            except OSError as exc:
                if exc.errno not in _OUT_OF_ROOM:
                    raise
                self._cache.full(exc)
                return False
            finally:
                self.measure()
        self._touch(units.nchunk)
        return True

    def _check(self, units: Units) -> None:
        skeleton, nchunk = self.skeleton, units.nchunk
        if nchunk < skeleton.nchunks and not skeleton.special(nchunk):
            low, high = int(skeleton.offsets[nchunk]), int(skeleton.stops[nchunk])
            inside = units.offsets.min() >= low and (units.offsets + units.lengths).max() <= high
            if inside and units.numbers.max() < skeleton.width:
                return
        raise CorruptChunk(f"the publisher of {self.id.root}/{self.id.path} sent data of another chunk")

    def _write(self, record: Record) -> bool:
        """Write the bytes, then their checksums; False if the files are gone or closed."""
        units = record.units
        with self._lock:  # also for the bytes: nobody closes the files, or gives a chunk up, meanwhile
            if self.is_dropped or self._table < 0:
                return False
            at = 0
            for first, _, nbytes in units.runs():
                _pwrite(self._data, record.payload[at : at + nbytes], int(units.offsets[first]))
                at += nbytes
            row = self._row(units.nchunk)
            row[units.numbers] = record.digests
            _pwrite(self._table, row.tobytes(), self._row_offset(units.nchunk))
        return True

    def measure(self) -> int:
        """Find out what the files take on disk; return how much less that is than before."""
        with self._lock:
            if self.is_dropped or self._table < 0:
                return 0
            before = self.used
            self.used = _allocated(self._data) + _allocated(self._table)
        self._cache.measured(self)
        return before - self.used

    def drop_cold_chunks(self, nbytes: int) -> int:
        """Give up the least recently used chunks until `nbytes` are free; return how many became."""
        freed = 0
        for nchunk in np.argsort(self._recent, kind="stable").tolist():
            if freed >= nbytes:
                break
            if self._drop_chunk(nchunk):
                freed += self.measure()
        return freed

    def _drop_chunk(self, nchunk: int) -> bool:
        skeleton = self.skeleton
        if skeleton.special(nchunk):
            return False
        with self._lock:
            if self._table < 0 or not self._row(nchunk).any():
                return False
            self._heads.drop(nchunk)
            _pwrite(self._table, bytes(8 * skeleton.width), self._row_offset(nchunk))
            start = int(skeleton.offsets[nchunk])
            _punch(self._data, start, int(skeleton.stops[nchunk]) - start)
        return True

    def mark_dropped(self) -> None:
        """Stop keeping anything: the files are being removed."""
        with self._lock:
            self.is_dropped = True

    def _touch(self, nchunk: int) -> None:
        self.touched = self._recent[nchunk] = self._cache.tick()

    def _row_offset(self, nchunk: int) -> int:
        return TABLE_START + nchunk * self.skeleton.width * 8

    def _row(self, nchunk: int) -> Digests:
        width = self.skeleton.width * 8
        data = b""
        with contextlib.suppress(OSError):
            data = os.pread(self._table, width, self._row_offset(nchunk))
        return np.frombuffer(bytearray(data.ljust(width, b"\0")), "<u8")

    def _forget(self, nchunk: int, numbers: Iterable[int]) -> None:
        with self._lock:
            self._heads.drop(nchunk)
            row = self._row(nchunk)
            row[list(numbers)] = 0
            with contextlib.suppress(OSError):
                _pwrite(self._table, row.tobytes(), self._row_offset(nchunk))

    def _read(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self._data, length, offset)
            while len(data) < length:
                more = os.pread(self._data, length - len(data), offset + len(data))
                if not more:
                    raise EOFError("the mirror is shorter than its frame")
                data += more
        except OSError as exc:
            raise EOFError(f"the mirror can not be read: {exc.strerror}") from exc
        return data


class BlockCache:
    """All mirrors of a subscriber, in one directory of bounded size.

    Thread-safe and blocking.

    Parameters
    ----------
    directory
        Made if needed; one sub-directory per root.
    limit_bytes
        Room for the mirrors; 0 keeps nothing.
    """

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory
        self.limit_bytes = limit_bytes
        self._lock = threading.RLock()
        self._open: dict[MirrorId, Mirror] = {}
        self._closed: OrderedDict[MirrorId, int] = OrderedDict()
        self._by_path: dict[tuple[str, str], set[MirrorId]] = {}
        self._used = 0
        self._reserved = 0
        self._ticks = itertools.count(1)
        self._warned_at = -1e9
        self.evicted_bytes = 0
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def used_bytes(self) -> int:
        """Bytes that the mirrors take on disk."""
        return self._used

    def load(self) -> list[MirrorId]:
        """Look at what is on disk from earlier runs; remove what is not readable. Call once, at start."""
        found: list[tuple[float, MirrorId, int]] = []
        for table in self._directory.glob("*/*.units"):
            data = table.with_suffix(".frame")
            try:
                header = _read_header(table)
                stat = data.stat()
            except (OSError, ValueError):
                _remove(table, data)
                continue
            status = table.stat()
            found.append((status.st_mtime, header.id, (stat.st_blocks + status.st_blocks) * 512))
        for orphan in [*self._directory.glob("*/*.frame"), *self._directory.glob("*/*.tmp")]:
            if orphan.suffix == ".tmp" or not orphan.with_suffix(".units").exists():
                _remove(orphan)
        found.sort(key=lambda item: item[0])
        with self._lock:
            for _, id_, used in found:
                self._closed[id_] = used
                self._by_path.setdefault((id_.root, id_.path), set()).add(id_)
                self._used += used
        self._make_room(0, None)
        return [id_ for _, id_, _ in found if id_ in self._closed]

    def open(self, id_: MirrorId) -> Mirror | None:
        """Return the mirror of a file, or None if there is none."""
        with self._lock:
            mirror = self._open.get(id_)
            if mirror is not None:
                mirror.touched = self.tick()
                return mirror
            used = self._closed.get(id_)
            if used is None:
                return None
            table, data = self._files(id_)
            try:
                mirror = _open_mirror(self, id_, table, data, used)
            except (OSError, ValueError, BrokenDataset, EOFError):
                logger.warning("the cached part of %s/%s is not readable; fetching again", id_.root, id_.path)
                self._closed.pop(id_)
                self._unlist(id_)
                self._used -= used
                _remove(table, data)
                return None
            self._closed.pop(id_)
            self._open[id_] = mirror
            return mirror

    def create(self, id_: MirrorId, skeleton: Skeleton, before: bytes, behind: bytes) -> Mirror | None:
        """Begin a mirror with the two parts of its skeleton; None if there is no room."""
        with self.room(len(before) + len(behind) + TABLE_START + 3 * _BLOCK, None) as is_room, self._lock:
            existing = self.open(id_)
            if existing is not None:
                return existing
            if not is_room:
                return None
            table, data = self._files(id_)
            header = _Header(
                id_,
                skeleton.size,
                len(before),
                skeleton.stop,
                skeleton.width,
                (digest(before), digest(behind)),
            )
            try:
                table.parent.mkdir(parents=True, exist_ok=True)
                _write_mirror(table, data, header, before, behind)
                mirror = _open_mirror(self, id_, table, data, 0)
            except OSError as exc:
                _remove(table, data)
                if exc.errno not in _OUT_OF_ROOM:
                    raise
                self.full(exc)
                return None
            except (ValueError, BrokenDataset, EOFError):
                _remove(table, data)
                return None
            self._open[id_] = mirror
            self._by_path.setdefault((id_.root, id_.path), set()).add(id_)
            mirror.measure()
            return mirror

    def release(self, mirror: Mirror) -> None:
        """Close a mirror's files; what it holds stays."""
        with self._lock:
            if self._open.get(mirror.id) is mirror:
                del self._open[mirror.id]
                self._closed[mirror.id] = mirror.counted
        # The files are closed with the last reference: a thread may still be reading.

    def remove(self, id_: MirrorId) -> None:
        """Remove a mirror."""
        with self._lock:
            mirror = self._open.pop(id_, None)
            used = self._closed.pop(id_, 0)
            if mirror is not None:
                mirror.mark_dropped()
                used = mirror.counted
            self._unlist(id_)
            self._used -= used
            _remove(*self._files(id_))

    def remove_file(self, root: str, path: str | None) -> None:
        """Remove all mirrors of a file, or of all files of a root."""
        with self._lock:
            if path is not None:
                found = list(self._by_path.get((root, path), ()))
            else:
                found = [id_ for id_ in (*self._open, *self._closed) if id_.root == root]
        for id_ in found:
            self.remove(id_)

    @contextlib.contextmanager
    def room(self, nbytes: int, for_: Mirror | None) -> Iterator[bool]:
        """Hold room for `nbytes` in the block, giving up what was not used for longest; False: there is none.

        Parameters
        ----------
        for_
            The mirror that grows: given up last, and chunk by chunk.
        """
        is_room = self._make_room(nbytes, for_) and self._is_space_for(nbytes)
        held = nbytes if is_room else 0
        with self._lock:
            self._reserved += held
        try:
            yield is_room
        finally:
            with self._lock:
                self._reserved -= held
            if self._used > self.limit_bytes:
                self._make_room(0, for_)

    def _make_room(self, nbytes: int, for_: Mirror | None) -> bool:
        if nbytes > self.limit_bytes:
            return False
        if self._used + self._reserved + nbytes <= self.limit_bytes:
            return True
        with self._lock:
            before = self._used
            goal = int(self.limit_bytes * 0.95) - self._reserved - nbytes
            self._drop_until(max(0, goal), for_)
            self.evicted_bytes += before - self._used
            return self._used + self._reserved + nbytes <= self.limit_bytes

    def _drop_until(self, goal: int, keep: Mirror | None) -> None:
        """Give up closed mirrors, then chunks of open ones, then these, until `goal` bytes are left."""
        for id_ in list(self._closed):
            if self._used <= goal:
                return
            self.remove(id_)
        others = sorted((m for m in self._open.values() if m is not keep), key=lambda mirror: mirror.touched)
        for mirror in (*others, keep):
            if self._used <= goal:
                return
            if mirror is not None:
                mirror.drop_cold_chunks(self._used - goal)
        for mirror in others:
            if self._used <= goal:
                return
            self.remove(mirror.id)

    def _is_space_for(self, nbytes: int) -> bool:
        """Whether the disk has room, with some left for others."""
        try:
            status = os.statvfs(self._directory)
        except OSError:
            return True
        spare = min(_SPARE_MOST, max(_SPARE_LEAST, status.f_blocks * status.f_frsize // _SPARE_SHARE))
        if status.f_bavail * status.f_frsize >= nbytes + spare:
            return True
        self.full(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        return False

    def _unlist(self, id_: MirrorId) -> None:
        ids = self._by_path.get((id_.root, id_.path))
        if ids is not None:
            ids.discard(id_)
            if not ids:
                del self._by_path[id_.root, id_.path]

    def measured(self, mirror: Mirror) -> None:
        """Count what a mirror takes now."""
        with self._lock:
            if self._open.get(mirror.id) is mirror:
                self._used += mirror.used - mirror.counted
                mirror.counted = mirror.used
            elif mirror.id in self._closed:  # a request had not finished when it was closed
                self._used += mirror.used - self._closed[mirror.id]
                self._closed[mirror.id] = mirror.counted = mirror.used

    def tick(self) -> int:
        """Return the next value of the clock of uses."""
        return next(self._ticks) & 0xFFFFFFFF

    def full(self, exc: OSError) -> None:
        """Say, at most once a minute, that the disk is full."""
        now = time.monotonic()
        if now - self._warned_at > 60:
            self._warned_at = now
            logger.warning("the cache does not grow: %s", exc.strerror)

    def close(self) -> None:
        """Close all mirrors."""
        with self._lock:
            for mirror in list(self._open.values()):
                self._closed[mirror.id] = mirror.counted
                mirror.close()
            self._open.clear()

    def _files(self, id_: MirrorId) -> tuple[Path, Path]:
        folder = self._directory / hashlib.sha256(id_.root.encode()).hexdigest()[:16]
        if id_.root.isascii() and id_.root.replace("-", "").replace("_", "").isalnum():
            folder = self._directory / id_.root
        return folder / f"{id_.key}.units", folder / f"{id_.key}.frame"


def mirror_units(mirror: Mirror, nchunk: int) -> Units | None:
    """Return all units of a chunk whose head is cached."""
    head = mirror.head(nchunk)
    return None if head is None else chunk_units(mirror.skeleton, nchunk, head[1], None)


def _write_mirror(table: Path, data: Path, header: _Header, before: bytes, behind: bytes) -> None:
    """Make both files; the table is renamed into place last, so a mirror exists whole or not at all."""
    packed = msgspec.msgpack.encode(header)
    if _PREFIX.size + len(packed) > TABLE_START:
        raise OSError(errno.EFBIG, "the name of the file is too long for a mirror")
    with contextlib.suppress(FileNotFoundError):
        data.unlink()
    fd = os.open(data, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, header.size)
        _pwrite(fd, before, 0)
        _pwrite(fd, behind, header.stop)
    finally:
        os.close(fd)
    temporary = table.with_suffix(".tmp")
    prefix = _PREFIX.pack(MAGIC, len(packed), 0, digest(packed))
    try:
        temporary.write_bytes((prefix + packed).ljust(TABLE_START, b"\0"))
        os.replace(temporary, table)
    except OSError:
        _remove(temporary)
        raise


def _read_header(table: Path) -> _Header:
    with table.open("rb") as file:
        first = file.read(TABLE_START)
    if len(first) < TABLE_START:
        raise ValueError("the table is truncated")
    magic, length, _, expected = _PREFIX.unpack_from(first)
    packed = first[_PREFIX.size : _PREFIX.size + length]
    if magic != MAGIC or digest(packed) != expected:
        raise ValueError("not a table of units")
    try:
        return msgspec.msgpack.decode(packed, type=_Header)
    except msgspec.DecodeError as exc:
        raise ValueError("not a table of units") from exc


def _open_mirror(cache: BlockCache, id_: MirrorId, table: Path, data: Path, used: int) -> Mirror:
    header = _read_header(table)
    if header.id != id_:
        raise ValueError("the table belongs to another file")
    data_fd = os.open(data, os.O_RDWR | os.O_CLOEXEC)
    table_fd = os.open(table, os.O_RDWR | os.O_CLOEXEC)
    try:
        before = os.pread(data_fd, header.start, 0)
        behind = os.pread(data_fd, header.size - header.stop, header.stop)
        if (digest(before), digest(behind)) != header.digests:
            raise ValueError("the skeleton is damaged")
        skeleton = skeleton_from_parts(before, behind, header.size)
        os.utime(table)
        return Mirror(cache, header, skeleton, data=data_fd, table=table_fd, used=used)
    except BaseException:
        os.close(data_fd)
        os.close(table_fd)
        raise


def _pwrite(fd: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while len(view):
        n = os.pwrite(fd, view, offset)
        view = view[n:]
        offset += n


def _allocated(fd: int) -> int:
    return os.fstat(fd).st_blocks * 512


def _remove(*paths: Path) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


_KEEP_SIZE, _PUNCH_HOLE = 1, 2


def _punch(fd: int, offset: int, length: int) -> None:
    """Give the room of a range back to the file system, where it can (Linux); elsewhere the bytes stay."""
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (AttributeError, OSError):
        return
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, length)
