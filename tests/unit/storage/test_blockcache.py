"""The cache of stored blocks: what it gives is what was put, whatever happened to it, and it stays small."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from caterva2.compute.extents import (
    Record,
    Units,
    chunk_units,
    encode_record,
    read_layout,
    read_records,
    skeleton_units,
)
from caterva2.compute.frames import read_skeleton
from caterva2.errors import CorruptChunk
from caterva2.storage.blockcache import BlockCache, Mirror, MirrorId
from tests.support.frames import array_frame, bytes_frame

NOISE = np.random.default_rng(0).integers(0, 255, (120, 100), dtype=np.uint8)


class Frame:
    """A stored frame, and records of its chunks as a publisher sends them."""

    def __init__(self, name: str, data: bytes, etag: str = "1") -> None:
        self.data = data
        self.skeleton = read_skeleton(self.read, len(data))
        self.id = MirrorId("foo", name, etag)
        units = skeleton_units(self.skeleton)
        self.before, self.behind = (
            data[o : o + n] for o, n in zip(units.offsets, units.lengths, strict=True)
        )

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def record(self, nchunk: int, blocks: list[int] | None) -> Record:
        _, layout = read_layout(self.read, self.skeleton, nchunk)
        if blocks is not None:
            blocks = [b for b in blocks if b < layout.nblocks]
        units = chunk_units(self.skeleton, nchunk, layout, blocks)
        parts = [self.read(int(units.offsets[first]), n) for first, _, n in units.runs()]
        return decoded(b"".join(bytes(b) for b in encode_record(units, parts)))

    def blocks(self, nchunk: int) -> dict[int, bytes]:
        """Return every block of a chunk, by number; none if it can not be cut."""
        _, layout = read_layout(self.read, self.skeleton, nchunk)
        base = int(self.skeleton.offsets[nchunk])
        spans = zip(layout.starts.tolist(), layout.stops.tolist(), strict=True)
        return {b: self.data[base + start : base + stop] for b, (start, stop) in enumerate(spans)}

    def mirror(self, cache: BlockCache) -> Mirror | None:
        return cache.open(self.id) or cache.create(self.id, self.skeleton, self.before, self.behind)


def decoded(body: bytes) -> Record:
    at = 0

    def readinto(buffer: memoryview) -> None:
        nonlocal at
        buffer[:] = body[at : at + len(buffer)]
        at += len(buffer)

    (record,) = read_records(readinto, total=len(body))
    return record


FRAMES = [
    Frame("noise.b2nd", array_frame(NOISE, chunks=(40, 50), blocks=(10, 20))),
    Frame("noise.b2nd", array_frame(NOISE + 1, chunks=(40, 50), blocks=(10, 20)), "2"),
    Frame(
        "smooth.b2nd", array_frame(np.arange(12_000).reshape(120, 100) // 7, chunks=(50, 50), blocks=(9, 50))
    ),
    Frame("bytes.b2frame", bytes_frame(NOISE.tobytes(), chunksize=3000)),
    Frame("odd/name \u00fc.b2nd", array_frame(NOISE[:50], chunks=(50, 100), blocks=(50, 100))),
]
LIMIT = 160_000


class Killed(BaseException):
    """The process ended here, as far as the cache is concerned."""


class CacheMachine(RuleBasedStateMachine):
    """Drives a cache, its disk and its process; compares with the frames themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="blockcache"))
        self.cache = self.started()
        self.spoiled = False

    def started(self) -> BlockCache:
        cache = BlockCache(self.home / "cache", LIMIT)
        cache.load()
        return cache

    def teardown(self) -> None:
        self.cache.close()
        shutil.rmtree(self.home)

    @initialize()
    def begin(self) -> None:
        """Begin with something, so that there is something to spoil."""
        self.put(FRAMES[0], 0, None)
        self.put(FRAMES[3], 1, None)

    frames = st.sampled_from(FRAMES)
    numbers = st.integers(0, 5)
    wanted = st.none() | st.lists(st.integers(0, 7), unique=True, max_size=4).map(sorted)

    @rule(frame=frames, n=numbers, blocks=wanted)
    def put(self, frame: Frame, n: int, blocks: list[int] | None) -> None:
        nchunk = n % frame.skeleton.nchunks
        mirror = frame.mirror(self.cache)
        assert mirror is not None

        kept = mirror.put(frame.record(nchunk, blocks))

        if kept and not self.spoiled:
            held = sorted(frame.blocks(nchunk)) if blocks is None else blocks
            wanted = [b for b in held if b in frame.blocks(nchunk)]
            assert mirror.missing(nchunk, wanted) == []
            assert mirror.piece(nchunk, wanted) is not None
            assert mirror.head(nchunk) is not None

    @rule(frame=frames, n=numbers, blocks=wanted)
    def read(self, frame: Frame, n: int, blocks: list[int] | None) -> None:
        mirror = self.cache.open(frame.id)
        if mirror is None:
            return
        nchunk = n % frame.skeleton.nchunks
        expected = frame.blocks(nchunk)
        wanted = None if blocks is None else [b for b in blocks if b in expected]

        piece = mirror.piece(nchunk, wanted)

        if piece is not None:
            base, stop = int(frame.skeleton.offsets[nchunk]), int(frame.skeleton.stops[nchunk])
            assert frame.data[base:stop].startswith(bytes(piece.head))
            for b in expected if wanted is None else wanted:
                assert bytes(piece.blocks[b]) == expected[b]
            if piece.whole is not None:
                assert frame.data[base:stop].startswith(bytes(piece.whole))
        elif wanted != []:
            assert mirror.missing(nchunk, wanted) != []

    @rule(frame=frames, n=numbers, block=st.integers(0, 7))
    def read_now(self, frame: Frame, n: int, block: int) -> None:
        mirror = self.cache.open(frame.id)
        nchunk = n % frame.skeleton.nchunks
        expected = frame.blocks(nchunk).get(block)
        if mirror is not None and expected is not None:
            piece = mirror.block_now(nchunk, block)
            assert piece is None or bytes(piece.blocks[block]) == expected

    @rule(frame=frames, n=numbers, low=st.floats(0, 1), high=st.floats(0, 1))
    def read_span(self, frame: Frame, n: int, low: float, high: float) -> None:
        mirror = self.cache.open(frame.id)
        if mirror is None:
            return
        nchunk = n % frame.skeleton.nchunks
        base, stop = int(frame.skeleton.offsets[nchunk]), int(frame.skeleton.stops[nchunk])
        start = base + int(min(low, high) * (stop - base - 1))
        end = max(start + 1, base + int(max(low, high) * (stop - base)))

        mirror.has_bytes(start, end, nchunk)
        data = mirror.chunk_bytes(nchunk, start, end)

        assert data is None or bytes(data) == frame.data[start:end]

    @rule(frame=frames, low=st.floats(0, 1), high=st.floats(0, 1), behind=st.booleans())
    def read_skeleton(self, frame: Frame, low: float, high: float, behind: bool) -> None:
        mirror = self.cache.open(frame.id)
        if mirror is None:
            return
        first, end = (frame.skeleton.stop, len(frame.data)) if behind else (0, frame.skeleton.start)
        start = first + int(min(low, high) * (end - first))
        stop = first + int(max(low, high) * (end - first))

        data = mirror.skeleton_bytes(start, stop)

        assert data is None or bytes(data) == frame.data[start:stop]

    @rule(frame=frames)
    def release(self, frame: Frame) -> None:
        mirror = self.cache.open(frame.id)
        if mirror is not None:
            self.cache.release(mirror)

    @rule(frame=frames)
    def remove(self, frame: Frame) -> None:
        self.cache.remove(frame.id)
        assert self.cache.open(frame.id) is None

    @rule()
    def restart(self) -> None:
        self.cache.close()
        self.cache = self.started()

    @rule(frame=frames, n=numbers, after=st.integers(0, 3), part=st.floats(0, 1))
    def be_killed_while_writing(self, frame: Frame, n: int, after: int, part: float) -> None:
        with writes(killing(after, part)):
            try:
                self.put(frame, n, None)
            except Killed:
                self.cache = self.started()

    @rule(
        frame=frames, n=numbers, after=st.integers(0, 3), code=st.sampled_from([errno.ENOSPC, errno.EDQUOT])
    )
    def run_out_of_room(self, frame: Frame, n: int, after: int, code: int) -> None:
        nchunk = n % frame.skeleton.nchunks
        with writes(failing(after, code)):
            mirror = frame.mirror(self.cache)
            if mirror is not None:
                mirror.put(frame.record(nchunk, None))

    @rule(
        suffix=st.sampled_from([".frame", ".units"]),
        which=st.integers(0, 9),
        where=st.floats(0, 1),
        how=st.sampled_from(["flip", "zero", "cut", "remove"]),
    )
    @precondition(lambda self: any((self.home / "cache").glob("*/*")))
    def spoil_the_disk(self, suffix: str, which: int, where: float, how: str) -> None:
        files = sorted((self.home / "cache").glob(f"*/*{suffix}"))
        if not files:
            return
        path = files[which % len(files)]
        size = path.stat().st_size
        if not size:
            return
        self.spoiled = True
        at = min(int(where * size), size - 1)
        with path.open("r+b") as file:
            file.seek(at)
            if how == "flip":
                byte = file.read(1)
                file.seek(at)
                file.write(bytes([byte[0] ^ 0x10]))
            elif how == "zero":
                file.write(bytes(min(500, size - at)))
            elif how == "cut":
                file.truncate(at)
        if how == "remove":
            path.unlink()
            self.restart()  # an open file does not notice

    @invariant()
    def stays_within_its_room(self) -> None:
        assert 0 <= self.cache.used_bytes <= LIMIT


class writes:
    """Let something else happen when the cache writes."""

    def __init__(self, instead: Callable[..., int]) -> None:
        self._instead = instead
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        self._patch.setattr(os, "pwrite", self._instead)

    def __exit__(self, *exc: object) -> None:
        self._patch.undo()


def killing(after: int, part: float) -> Callable[..., int]:
    """Write so many times; then a part, and no more."""
    real, left = os.pwrite, [after]

    def pwrite(fd: int, data: Any, offset: int) -> int:
        if left[0] == 0:
            real(fd, data[: int(part * len(data))], offset)
            raise Killed
        left[0] -= 1
        return real(fd, data, offset)

    return pwrite


def failing(after: int, code: int) -> Callable[..., int]:
    """Write so many times; then fail."""
    real, left = os.pwrite, [after]

    def pwrite(fd: int, data: Any, offset: int) -> int:
        if left[0] == 0:
            raise OSError(code, os.strerror(code))
        left[0] -= 1
        return real(fd, data, offset)

    return pwrite


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


# single cases


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[BlockCache]:
    cache = BlockCache(tmp_path / "cache", 10 << 20)
    cache.load()
    yield cache
    cache.close()


def filled(cache: BlockCache, frame: Frame) -> Mirror:
    mirror = frame.mirror(cache)
    assert mirror is not None
    for nchunk in range(frame.skeleton.nchunks):
        assert mirror.put(frame.record(nchunk, None))
    return mirror


def whole(mirror: Mirror, frame: Frame) -> bytes:
    skeleton = frame.skeleton
    parts = [mirror.skeleton_bytes(0, skeleton.start)]
    for nchunk in skeleton.file_order.tolist():
        parts.append(mirror.chunk_bytes(nchunk, int(skeleton.offsets[nchunk]), int(skeleton.stops[nchunk])))
    parts.append(mirror.skeleton_bytes(skeleton.stop, skeleton.size))
    return b"".join(part if part is not None else b"(absent)" for part in parts)


@pytest.mark.parametrize("frame", FRAMES, ids=lambda f: f"{f.id.path}-{f.id.etag}")
def test_full_mirror_is_the_frame_also_after_a_restart(tmp_path: Path, frame: Frame) -> None:
    first = BlockCache(tmp_path, 10 << 20)
    assert whole(filled(first, frame), frame) == frame.data
    first.close()
    second = BlockCache(tmp_path, 10 << 20)

    assert second.load() == [frame.id]
    mirror = second.open(frame.id)

    assert mirror is not None
    assert whole(mirror, frame) == frame.data
    second.close()


@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_damaged_skeleton_is_not_served(cache: BlockCache, tmp_path: Path, where: str) -> None:
    frame = FRAMES[0]
    mirror = filled(cache, frame)
    (path,) = (tmp_path / "cache").glob("*/*.frame")
    at = {"start": 5, "middle": frame.skeleton.start - 3, "end": len(frame.data) - 2}[where]
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xee")

    first = mirror.skeleton_bytes(0, frame.skeleton.start)
    last = mirror.skeleton_bytes(frame.skeleton.stop, len(frame.data))

    assert (first is None) == (where != "end")
    assert (last is None) == (where == "end")


def test_two_generations_are_two_mirrors(cache: BlockCache) -> None:
    old, new = filled(cache, FRAMES[0]), filled(cache, FRAMES[1])

    assert whole(old, FRAMES[0]) == FRAMES[0].data
    assert whole(new, FRAMES[1]) == FRAMES[1].data


def units_of_others(frame: Frame) -> dict[str, Units]:
    skeleton = frame.skeleton
    start, stop = int(skeleton.offsets[0]), int(skeleton.stops[0])
    one = np.array([1])
    return {
        "chunk beyond the end": Units(skeleton.nchunks, one, np.array([start]), np.array([10])),
        "chunk far beyond": Units(2**40, one, np.array([start]), np.array([10])),
        "unit beyond the end": Units(0, np.array([skeleton.width]), np.array([start]), np.array([10])),
        "before the chunk": Units(0, one, np.array([0]), np.array([10])),
        "across its start": Units(0, one, np.array([start - 5]), np.array([10])),
        "across its end": Units(0, one, np.array([stop - 5]), np.array([10])),
        "far behind": Units(0, one, np.array([2**45]), np.array([10])),
        "negative": Units(0, one, np.array([-100]), np.array([10])),
    }


@pytest.mark.parametrize("case", units_of_others(FRAMES[0]))
def test_what_belongs_elsewhere_is_not_written(cache: BlockCache, case: str) -> None:
    frame = FRAMES[0]
    mirror = filled(cache, frame)
    units = units_of_others(frame)[case]
    record = Record(units, np.array([1], np.uint64), memoryview(b"x" * 10))

    with pytest.raises(CorruptChunk):
        mirror.put(record)

    assert whole(mirror, frame) == frame.data


def test_released_mirror_that_is_still_filled_counts(cache: BlockCache) -> None:
    frame = FRAMES[0]
    mirror = frame.mirror(cache)
    assert mirror is not None
    cache.release(mirror)

    mirror.put(frame.record(0, None))
    again = cache.open(frame.id)
    assert again is not None
    again.put(frame.record(1, None))
    cache.remove(frame.id)

    assert cache.used_bytes == 0


def test_removed_mirror_keeps_nothing_more(cache: BlockCache, tmp_path: Path) -> None:
    frame = FRAMES[0]
    mirror = filled(cache, frame)
    cache.release(mirror)
    cache.remove(frame.id)

    mirror.put(frame.record(0, None))
    mirror.drop_cold_chunks(1 << 20)

    assert cache.used_bytes == 0
    assert not list((tmp_path / "cache").glob("*/*"))
    assert cache.open(frame.id) is None


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 500_000)
    noise = np.random.default_rng(0).integers(0, 255, (600, 200), dtype=np.uint8)
    data = array_frame(noise, chunks=(100, 200), blocks=(50, 50))
    frames = [Frame(f"{i}.b2nd", data) for i in range(8)]
    for frame in frames:
        filled(cache, frame)
        mirror = cache.open(frames[0].id)
        assert mirror is not None
        assert mirror.piece(0, None) is not None

    assert cache.used_bytes <= 500_000
    assert cache.evicted_bytes > 0
    last = cache.open(frames[-1].id)
    assert last is not None
    assert whole(last, frames[-1]) == frames[-1].data
    cache.close()


def test_smaller_room_than_before_is_kept_to_from_the_start(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 10 << 20)
    for frame in FRAMES:
        filled(cache, frame)
    cache.close()

    small = BlockCache(tmp_path, 40_000)
    small.load()

    assert small.used_bytes <= 40_000
    assert sum(p.stat().st_blocks * 512 for p in tmp_path.rglob("*") if p.is_file()) <= 40_000
    small.close()


def test_no_room_at_all_keeps_nothing(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 0)

    assert FRAMES[0].mirror(cache) is None
    assert not list(tmp_path.glob("*/*"))


@pytest.mark.parametrize(
    "junk", [b"", b"x", b"C2UNITS2" + bytes(100), bytes(9000), b"C2UNITS2" + b"\xff" * 9000]
)
def test_what_is_not_ours_is_cleared_away(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "foo").mkdir()
    for name in ("a.units", "a.frame", "b.frame", "c.tmp", "d.units"):
        (tmp_path / "foo" / name).write_bytes(junk)
    cache = BlockCache(tmp_path, 10 << 20)

    assert cache.load() == []
    assert not list((tmp_path / "foo").iterdir())


def test_many_threads_put_read_and_give_up(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 60_000)
    frames = [Frame(f"{i}.b2nd", FRAMES[i % 3].data) for i in range(4)]
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for _ in range(150):
                frame = frames[rng.integers(len(frames))]
                nchunk = int(rng.integers(frame.skeleton.nchunks))
                mirror = frame.mirror(cache)
                if mirror is None:
                    continue
                match rng.integers(6):
                    case 0 | 1 | 2:
                        mirror.put(frame.record(nchunk, None if rng.integers(2) else [0, 1]))
                    case 3:
                        piece = mirror.piece(nchunk, None)
                        for b, part in (piece.blocks if piece else {}).items():
                            assert bytes(part) == frame.blocks(nchunk)[b]
                    case 4:
                        cache.release(mirror)
                    case 5:
                        cache.remove(frame.id)
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not errors
    for frame in frames:
        cache.remove(frame.id)
    assert cache.used_bytes == 0
    cache.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three mebibytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.may_skip("mounting takes rights that a test run seldom has")
def test_full_disk_stops_the_cache_from_growing_and_nothing_else(tiny_disk: Path) -> None:
    cache = BlockCache(tiny_disk / "cache", 10 << 20)
    noise = np.random.default_rng(0).integers(0, 255, (2000, 2000), dtype=np.uint8)
    frame = Frame("big.b2nd", array_frame(noise, chunks=(100, 2000), blocks=(50, 100)))
    mirror = frame.mirror(cache)

    kept = [
        mirror is not None and mirror.put(frame.record(nchunk, None))
        for nchunk in range(frame.skeleton.nchunks)
    ]

    assert any(kept)
    assert not all(kept)
    for nchunk in range(frame.skeleton.nchunks):
        piece = None if mirror is None else mirror.piece(nchunk, None)
        assert piece is None or {b: bytes(p) for b, p in piece.blocks.items()} == frame.blocks(nchunk)
    cache.close()
