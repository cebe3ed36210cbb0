"""Opening files of a subscriber: what changes meanwhile is never kept."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from caterva2.errors import DatasetChanged
from caterva2.model.paths import DatasetPath
from caterva2.model.users import ANONYMOUS, Principal
from caterva2.roles.subscriber.access import Access
from caterva2.roles.subscriber.library import OPEN_ATTEMPTS, Library
from caterva2.roles.subscriber.network import Network
from caterva2.roles.subscriber.traffic import Traffic
from caterva2.runtime.hub import Hub
from caterva2.runtime.workers import Workers
from caterva2.storage.blockcache import BlockCache
from caterva2.storage.memory import MemorySource
from caterva2.storage.source import StoredFrame
from caterva2.storage.state import Catalog
from tests.support.frames import array_frame

if TYPE_CHECKING:
    from caterva2.roles.subscriber.areas import Areas
    from caterva2.roles.subscriber.evaluation import Evaluator

pytestmark = pytest.mark.asyncio

PATH = DatasetPath("@public", ("x.b2nd",))


class HaltedSource(MemorySource):
    """Waits, with a file in hand, until it may give it away."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Semaphore(0)
        self.opened = 0
        self.reached = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def open(self, path: str) -> StoredFrame:
        frame = super().open(path)
        self.opened += 1
        self._loop.call_soon_threadsafe(self.reached.set)
        assert self.go_on.acquire(timeout=10)
        return frame


class OneArea:
    """Stands for `Areas`: one source, open to all."""

    def __init__(self, source: MemorySource) -> None:
        self._source = source

    def source(self, principal: Principal, root: str) -> MemorySource | None:
        del principal
        return self._source if root == "@public" else None

    def key(self, principal: Principal, root: str) -> str:
        del principal
        return root


@contextlib.asynccontextmanager
async def library(source: MemorySource, home: Path) -> AsyncIterator[Library]:
    workers = Workers(disk=2, cpu=1, auth=1, net=1)
    workers.start()
    with Catalog(home / "catalog.sqlite") as catalog:
        network = Network(
            broker=None,
            secret=None,
            catalog=catalog,
            hub=Hub(),
            workers=workers,
            changed=lambda *_: None,
            traffic=Traffic(),
        )
        library = Library(
            network=network,
            areas=cast("Areas", OneArea(source)),
            access=Access(),
            catalog=catalog,
            cache=BlockCache(home / "cache", 1 << 20),
            workers=workers,
            evaluator=cast("Evaluator", None),  # nothing is computed here
        )
        try:
            yield library
        finally:
            await library.stop()
            await workers.stop()


async def test_file_that_changes_while_it_is_opened_is_opened_again(tmp_path: Path) -> None:
    source = HaltedSource()
    source.put("x.b2nd", array_frame(np.zeros(3)))
    async with library(source, tmp_path) as lib:
        opening = asyncio.create_task(lib.open(ANONYMOUS, PATH))
        await source.reached.wait()
        source.put("x.b2nd", array_frame(np.zeros(4)))
        lib.forget("@public", "x.b2nd")
        source.go_on.release(2)

        file = await opening

        assert file.skeleton.array.shape == (4,)
        assert (await lib.open(ANONYMOUS, PATH)) is file
        assert source.opened == 2


async def test_file_that_never_stands_still_is_not_opened(tmp_path: Path) -> None:
    source = HaltedSource()
    source.put("x.b2nd", array_frame(np.zeros(3)))
    async with library(source, tmp_path) as lib:
        opening = asyncio.create_task(lib.open(ANONYMOUS, PATH))
        for _ in range(OPEN_ATTEMPTS):
            await source.reached.wait()
            source.reached.clear()
            lib.forget("@public", None)
            source.go_on.release()

        with pytest.raises(DatasetChanged):
            await opening

        assert lib.opened(ANONYMOUS, PATH) is None


async def test_change_of_another_file_does_not_matter(tmp_path: Path) -> None:
    source = HaltedSource()
    source.put("x.b2nd", array_frame(np.zeros(3)))
    async with library(source, tmp_path) as lib:
        opening = asyncio.create_task(lib.open(ANONYMOUS, PATH))
        await source.reached.wait()
        lib.forget("@public", "y.b2nd")
        lib.forget("foo", None)
        source.go_on.release()

        assert (await opening) is lib.opened(ANONYMOUS, PATH)
        assert source.opened == 1


async def test_many_who_ask_at_once_share_one_open_file(tmp_path: Path) -> None:
    source = HaltedSource()
    source.put("x.b2nd", array_frame(np.zeros(3)))
    async with library(source, tmp_path) as lib:
        opening = [asyncio.create_task(lib.open(ANONYMOUS, PATH)) for _ in range(5)]
        await source.reached.wait()
        source.go_on.release()

        assert len({id(file) for file in await asyncio.gather(*opening)}) == 1
        assert source.opened == 1
