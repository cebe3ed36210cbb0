"""Fetching blocks that are not here: once for all who ask, whoever of them leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from caterva2.compute.extents import ChunkPiece, Record, read_records
from caterva2.errors import PublisherUnavailable
from caterva2.model.datasets import BrokenInfo, Entry
from caterva2.model.paths import DatasetPath
from caterva2.model.requests import BlocksRequest
from caterva2.roles.subscriber.blocks import STREAMED, BlockReader, Want
from caterva2.roles.subscriber.opened import RemoteFile
from caterva2.roles.subscriber.remote import RemoteRoot
from caterva2.roles.subscriber.traffic import Traffic
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.blockcache import BlockCache, MirrorId
from caterva2.storage.describe import read_stored
from caterva2.storage.extentreader import ExtentReader
from caterva2.storage.pinned import BytesFrame
from tests.support.frames import array_frame

pytestmark = pytest.mark.asyncio

ARRAY = np.arange(4000, dtype="<i4") * 7919 % 10007
FRAME = array_frame(ARRAY, chunks=(1000,), blocks=(100,))


class Root:
    """Stands in for a publisher: answers a request when a test lets it."""

    def __init__(self, frame: bytes) -> None:
        self.frame = BytesFrame(frame, "x.b2nd", etag="1")
        self.skeleton = read_stored(self.frame)
        self.requests: list[tuple[BlocksRequest, asyncio.Event]] = []
        self.arrived = asyncio.Event()
        self.error: Exception | None = None
        self.at_once = False

    async def blocks(
        self, _: Entry, request: BlocksRequest, keep: Callable[[Record], object], *, most: int
    ) -> int:
        event = asyncio.Event()
        self.requests.append((request, event))
        self.arrived.set()
        if not self.at_once:
            await event.wait()
        if self.error is not None:
            raise self.error
        reader = ExtentReader(self.frame, self.skeleton, request)
        body = memoryview(b"".join(reader.batches()))
        at = 0

        def readinto(buffer: memoryview) -> None:
            nonlocal at
            buffer[:] = body[at : at + len(buffer)]
            at += len(buffer)

        assert len(body) <= most
        for record in read_records(readinto, total=len(body)):
            keep(record)
        return len(body)

    def answer(self, number: int) -> None:
        self.requests[number][1].set()

    def asked(self, number: int) -> list[tuple[int, list[int] | None]]:
        return self.requests[number][0].chunks

    async def until(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        async with asyncio.timeout(10):
            while len(self.requests) < count:
                self.arrived.clear()
                await self.arrived.wait()


class Reading:
    def __init__(self, home: Path, workers: Workers, frame: bytes, streamed: int) -> None:
        self.root = Root(frame)
        self.traffic = Traffic()
        self.cache = BlockCache(home, 8 << 20)
        self.workers = workers
        self.reader = BlockReader(workers, self.traffic, streamed=streamed)
        skeleton = self.root.skeleton
        before, behind = frame[: skeleton.start], frame[skeleton.stop :]
        mirror = self.cache.create(MirrorId("foo", "x.b2nd", "1"), skeleton, before, behind)
        assert mirror is not None
        self.mirror = mirror
        entry = Entry(path="x.b2nd", etag="1", mtime_ns=0, size=len(frame), info=BrokenInfo(reason=""))
        path = DatasetPath("foo", ("x.b2nd",))
        self.file = RemoteFile(path, entry, skeleton, cast("RemoteRoot", self.root), mirror)

    def ask(self, nchunk: int, blocks: list[int] | None) -> asyncio.Task[list[ChunkPiece]]:
        return asyncio.create_task(self._read([Want(nchunk, blocks)]))

    async def _read(self, wants: list[Want]) -> list[ChunkPiece]:
        return [piece async for pieces in self.reader.pieces(self.file, wants) for piece in pieces]

    async def settle(self) -> None:
        """Let all that is asked for get as far as it can."""
        for _ in range(3):
            await self.workers.run(Lane.DISK, lambda: None)
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def reading(home: Path, frame: bytes = FRAME, *, streamed: int = STREAMED) -> AsyncIterator[Reading]:
    workers = Workers(disk=1, cpu=1, auth=1, net=1)
    workers.start()
    r = Reading(home, workers, frame, streamed)
    try:
        yield r
    finally:
        await r.reader.stop()
        await workers.stop()
        r.cache.close()


async def test_blocks_that_many_want_are_fetched_once(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        asking = [r.ask(0, [1, 2]) for _ in range(4)]
        await r.root.until(1)
        await r.settle()
        r.root.answer(0)

        pieces = await asyncio.gather(*asking)

        assert len(r.root.requests) == 1
        assert [sorted(p[0].blocks) for p in pieces] == [[1, 2]] * 4


async def test_only_what_nobody_fetches_is_asked_for(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        first = r.ask(0, [1, 2])
        await r.root.until(1)
        second = r.ask(0, [2, 3])
        await r.root.until(2)
        r.root.answer(0)
        r.root.answer(1)

        assert {2, 3} <= (await second)[0].blocks.keys()
        await first
        assert r.root.asked(1) == [(0, [3])]


async def test_who_leaves_does_not_take_the_answer_from_those_who_stay(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        first = r.ask(0, [1])
        await r.root.until(1)
        second = r.ask(0, [2])
        await r.root.until(2)
        third = r.ask(0, [1, 2])
        await r.settle()

        second.cancel()  # the third asker may still be waiting for the first flight
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        r.root.answer(0)
        r.root.answer(1)

        assert sorted((await third)[0].blocks) == [1, 2]
        assert len(r.root.requests) == 2


async def test_flight_that_nobody_waits_for_is_called_off(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        first = r.ask(0, [1])
        await r.root.until(1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

        second = r.ask(0, [1])
        await r.root.until(2)
        r.root.answer(1)

        assert sorted((await second)[0].blocks) == [1]


async def test_who_comes_while_a_flight_is_called_off_starts_another(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        first = r.ask(0, [1])
        await r.root.until(1)
        await r.settle()
        second = asyncio.create_task(r.reader._fetch(r.file, [Want(0, [1])]))
        first.cancel()
        await r.root.until(1)
        await r.settle()
        for number in range(len(r.root.requests)):
            r.root.answer(number)

        assert 0 in await second


async def test_failed_flight_fails_all_who_wait_and_nobody_later(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        asking = [r.ask(0, [1]) for _ in range(2)]
        await r.root.until(1)
        await r.settle()
        r.root.error = PublisherUnavailable("gone")
        r.root.answer(0)

        results = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(result) for result in results] == [PublisherUnavailable] * 2

        r.root.error = None
        again = r.ask(0, [1])
        await r.root.until(2)
        r.root.answer(1)
        assert sorted((await again)[0].blocks) == [1]


async def test_what_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        for blocks in ([1, 2], [1], [2], [1, 2]):
            asking = r.ask(0, blocks)
            await asyncio.wait([asking, asyncio.create_task(r.root.until(1))], return_when="FIRST_COMPLETED")
            r.root.answer(0)

            assert sorted((await asking)[0].blocks) == blocks

        assert len(r.root.requests) == 1
        assert r.traffic.fetches == 1
        assert r.traffic.cached_bytes > 0


async def test_whole_chunk_of_which_some_is_here_asks_for_the_rest(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        first = r.ask(0, [3])
        await r.root.until(1)
        r.root.answer(0)
        await first
        second = r.ask(0, None)
        await r.root.until(2)
        r.root.answer(1)

        assert sorted((await second)[0].blocks) == list(range(10))
        assert r.root.asked(1) == [(0, [0, 1, 2, 4, 5, 6, 7, 8, 9])]


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (0, None), (-30, None), (200, 300), (3000, 9000)])
async def test_spans_are_bytes_of_the_frame(tmp_path: Path, start: int, stop: int | None) -> None:
    first, end, _ = slice(start, stop).indices(len(FRAME))
    async with reading(tmp_path) as r:

        async def read() -> bytes:
            return b"".join([bytes(part) async for part in r.reader.spans(r.file, first, end)])

        asking = asyncio.create_task(read())
        while not asking.done():
            arrived = asyncio.create_task(r.root.until(len(r.root.requests) + 1))
            await asyncio.wait([asking, arrived], return_when="FIRST_COMPLETED")
            arrived.cancel()
            for number in range(len(r.root.requests)):
                r.root.answer(number)

        assert await asking == FRAME[first:end]
        assert await read() == FRAME[first:end]


async def test_stream_of_a_huge_chunk_goes_in_pieces(tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(0, 256, 3 << 20, dtype="u1")
    frame = array_frame(noise, chunks=(1 << 20,), blocks=(64 << 10,))
    async with reading(tmp_path, frame, streamed=128 << 10) as r:
        r.root.at_once = True

        for known in ("nothing", "everything"):
            parts = [bytes(part) async for part in r.reader.spans(r.file, 0, len(frame))]

            assert b"".join(parts) == frame, f"with {known} in the cache"
            assert max(map(len, parts)) <= 256 << 10
        assert len(r.root.requests) >= 3 << 3
