"""A root at hand: what it tells of changes, and how it keeps files open."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from caterva2.errors import BrokenDataset, DatasetChanged, DatasetNotFound
from caterva2.model.datasets import FileInfo
from caterva2.model.events import DatasetChanged as Changed
from caterva2.model.events import DatasetRemoved as Removed
from caterva2.model.events import Event, Resync
from caterva2.roles import localroot
from caterva2.roles.localroot import LocalRoot
from caterva2.runtime.hub import Hub
from caterva2.runtime.workers import Workers
from caterva2.storage.directory import DirectorySource
from caterva2.storage.memory import MemorySource
from caterva2.storage.source import RootSource
from caterva2.storage.state import Catalog
from tests.support.frames import array_frame, read_back

pytestmark = pytest.mark.asyncio


@contextlib.asynccontextmanager
async def started(source: RootSource, home: Path, **kwargs: int) -> AsyncIterator[tuple[LocalRoot, Hub]]:
    workers, hub = Workers(disk=2, cpu=1, auth=1), Hub()
    workers.start()
    with Catalog(home / "catalog.sqlite") as catalog:
        root = LocalRoot(source, catalog, hub, workers, "foo", **kwargs)
        try:
            await root.start()
            yield root, hub
        finally:
            await root.stop()
            await workers.stop()


def told(hub: Hub) -> list[Event]:
    """Return every event since the beginning."""
    return [envelope.event for envelope in hub._ring]


def names(events: list[Event]) -> list[str]:
    return [
        f"+{e.entry.path}" if isinstance(e, Changed) else f"-{e.path}" if isinstance(e, Removed) else "resync"
        for e in events
    ]


async def test_the_first_start_fills_the_catalog_and_says_list_again(tmp_path):
    source = MemorySource({"b.txt": b"b", "a.b2nd": array_frame(np.arange(3))})
    async with started(source, tmp_path) as (root, hub):
        assert await root.names() == ["a.b2nd", "b.txt"]
        page = await root.page(after=None, limit=10)
        assert [entry.path for entry in page.entries] == ["a.b2nd", "b.txt"]
        assert page.next is None
        assert told(hub) == [Resync(root="foo")]


async def test_what_changed_while_it_was_down_is_told_at_start(tmp_path):
    source = MemorySource({"same.txt": b"1", "gone.txt": b"2", "changed.txt": b"3"})
    async with started(source, tmp_path) as (root, _):
        await root.announced(root.hub.position.seq)
    source.remove("gone.txt")
    source.put("changed.txt", b"new")
    source.put("new.txt", b"4")

    async with started(source, tmp_path) as (root, hub):
        assert names(told(hub)) == ["-gone.txt", "+changed.txt", "+new.txt"]
        assert await root.names() == ["changed.txt", "new.txt", "same.txt"]


async def test_what_was_not_announced_before_a_crash_is_told_again(tmp_path):
    source = MemorySource({"a.txt": b"1"})
    async with started(source, tmp_path) as (root, _):
        await root.announced(root.hub.position.seq)
        source.put("b.txt", b"2")
        await root.refresh(["b.txt"])

    async with started(source, tmp_path) as (_, hub):
        assert told(hub) == [Resync(root="foo")]


async def test_only_the_last_event_counts_as_everything_announced(tmp_path):
    source = MemorySource({"a.txt": b"1"})
    async with started(source, tmp_path) as (root, hub):
        seq = hub.position.seq
        source.put("b.txt", b"2")
        await root.refresh(["b.txt"])
        await root.announced(seq)

    async with started(source, tmp_path) as (_, hub):
        assert told(hub) == [Resync(root="foo")]


async def test_nothing_new_tells_nothing(tmp_path):
    source = MemorySource({"a.txt": b"1"})
    async with started(source, tmp_path) as (root, _):
        await root.announced(root.hub.position.seq)
    async with started(source, tmp_path) as (root, hub):
        await root.refresh(["a.txt", "nothing.txt", "../x"])
        await root.refresh([])

        assert told(hub) == []


async def test_refresh_tells_new_changed_and_removed_files(tmp_path):
    source = MemorySource({"a.txt": b"1", "b.txt": b"2"})
    async with started(source, tmp_path) as (root, hub):
        source.put("a.txt", b"new")
        source.remove("b.txt")
        source.put("c.txt", b"3")

        await root.refresh(["a.txt", "b.txt", "c.txt"])

        assert names(told(hub)) == ["resync", "-b.txt", "+a.txt", "+c.txt"]
        changed = told(hub)[2]
        assert changed.entry == await root.entry("a.txt")


async def test_refresh_of_a_directory_looks_at_all_below(tmp_path):
    source = MemorySource({"d/a.txt": b"1", "d/e/b.txt": b"2", "other.txt": b"3"})
    async with started(source, tmp_path) as (root, hub):
        source.remove("d/a.txt")
        source.put("d/e/b.txt", b"new")
        source.put("other.txt", b"not looked at")

        await root.refresh(["d"])

        assert names(told(hub)) == ["resync", "-d/a.txt", "+d/e/b.txt"]


async def test_a_file_named_twice_is_told_once(tmp_path):
    source = MemorySource({"d/gone.txt": b"1"})
    async with started(source, tmp_path) as (root, hub):
        source.put("d/a.txt", b"1")
        source.remove("d/gone.txt")

        await root.refresh(["d", "d/a.txt", "d/gone.txt"])

        assert names(told(hub)) == ["resync", "-d/gone.txt", "+d/a.txt"]


async def test_who_is_told_of_a_change_can_read_it(tmp_path):
    source = MemorySource({})
    async with started(source, tmp_path) as (root, hub):
        seen = []
        publish = hub.publish
        hub.publish = lambda event: seen.append(root._catalog.get("foo", "a.txt")) or publish(event)
        source.put("a.txt", b"1")

        await root.refresh(["a.txt"])

        assert [entry.path for entry in seen] == ["a.txt"]


async def test_too_many_changes_are_one_resync(tmp_path, monkeypatch):
    monkeypatch.setattr(localroot, "MAX_EVENTS", 10)
    source = MemorySource({"a.txt": b"1"})
    async with started(source, tmp_path) as (root, hub):
        for i in range(11):
            source.put(f"f{i}.txt", b"x")

        await root.refresh([])

        assert told(hub) == [Resync(root="foo"), Resync(root="foo")]
        assert len(await root.names()) == 12


async def test_broken_files_are_told_as_such(tmp_path):
    source = MemorySource({"a.b2nd": b"junk"})
    async with started(source, tmp_path) as (root, _):
        assert (await root.page(after=None, limit=1)).entries[0].info.reason == "not a Blosc2 frame"


async def test_a_plain_file_is_materialised_once_for_all_who_ask(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.bin").write_bytes(os.urandom(2_000_000))
    source = DirectorySource(tmp_path / "root", tmp_path / "cache")
    made = []
    materialise = source.materialise
    source.materialise = lambda path: made.append(path) or materialise(path)
    async with started(source, tmp_path) as (root, hub):
        entries = await asyncio.gather(*(root.materialise("a.bin") for _ in range(5)))

        assert made == ["a.bin"]
        assert all(entry == entries[0] for entry in entries)
        assert isinstance(entries[0].info, FileInfo)
        assert (await root.page(after=None, limit=1)).entries[0] == entries[0]
        assert told(hub) == [Resync(root="foo")]


async def test_pages_end_early_when_entries_are_large(tmp_path, monkeypatch):
    monkeypatch.setattr(localroot, "PAGE_BYTES", 1)
    monkeypatch.setattr(localroot, "PAGE_STEP", 2)
    source = MemorySource({f"{i}.txt": b"" for i in range(5)})
    async with started(source, tmp_path) as (root, _):
        first = await root.page(after=None, limit=5)
        second = await root.page(after=first.next, limit=1)

        assert [entry.path for entry in first.entries] == ["0.txt", "1.txt"]
        assert [entry.path for entry in second.entries] == ["2.txt"]
        assert second.next == "2.txt"


# opening

FRAME = array_frame(np.arange(100))


async def test_an_open_file_can_be_read(tmp_path):
    source = MemorySource({"a.b2nd": FRAME})
    async with started(source, tmp_path) as (root, _), root.open("a.b2nd") as file:
        assert file.frame.read(0, file.frame.size) == FRAME
        assert file.skeleton.meta.shape == (100,)
        assert file.etag == (await root.entry("a.b2nd")).etag


async def test_a_plain_file_is_opened_as_its_frame(tmp_path):
    source = MemorySource({"a.txt": b"text"})
    async with started(source, tmp_path) as (root, _), root.open("a.txt") as file:
        assert read_back(file.frame.read(0, file.frame.size)) == b"text"


async def test_a_file_stays_open_for_the_next_who_asks(tmp_path):
    async with started(MemorySource({"a.b2nd": FRAME}), tmp_path) as (root, _):
        async with root.open("a.b2nd") as first:
            pass
        async with root.open("a.b2nd") as second, root.open("a.b2nd", etag=first.etag) as third:
            assert first is second is third


async def test_another_generation_than_wanted_is_refused(tmp_path):
    source = MemorySource({"a.b2nd": FRAME})
    async with started(source, tmp_path) as (root, _):
        with pytest.raises(DatasetChanged):
            async with root.open("a.b2nd", etag="other"):
                pass


async def test_a_replaced_file_is_opened_anew(tmp_path):
    source = MemorySource({"a.b2nd": FRAME})
    async with started(source, tmp_path) as (root, _):
        async with root.open("a.b2nd") as old:
            pass
        source.put("a.b2nd", array_frame(np.arange(7)))

        async with root.open("a.b2nd") as new:
            assert new.etag != old.etag
            assert new.skeleton.meta.shape == (7,)


@pytest.mark.parametrize(
    ("path", "error"), [("junk.b2nd", BrokenDataset), ("nothing", DatasetNotFound)], ids=["broken", "missing"]
)
async def test_what_can_not_be_opened_says_why(tmp_path, path, error):
    async with started(MemorySource({"junk.b2nd": b"junk"}), tmp_path) as (root, _):
        with pytest.raises(error):
            async with root.open(path):
                pass


async def test_only_so_many_files_stay_open_and_none_in_use_is_closed(tmp_path):
    (tmp_path / "root").mkdir()
    for i in range(5):
        (tmp_path / "root" / f"{i}.b2nd").write_bytes(FRAME)
    source = DirectorySource(tmp_path / "root", tmp_path / "cache")
    async with started(source, tmp_path, open_files=2) as (root, _):
        async with root.open("0.b2nd") as used:
            for i in range(1, 5):
                async with root.open(f"{i}.b2nd"):
                    pass
            assert used.frame.read(0, used.frame.size) == FRAME
            assert len(root._opened._held) == 2
        assert used.frame._fd == -1
    assert len(root._opened._held) == 0


async def test_files_with_large_indexes_do_not_stay_open_together(tmp_path):
    frame = array_frame(np.arange(100), chunks=(10,), blocks=(10,))
    source = MemorySource({f"{i}.b2nd": frame for i in range(5)})
    async with started(source, tmp_path, open_chunks=25) as (root, _):
        for i in range(5):
            async with root.open(f"{i}.b2nd"):
                pass

        assert len(root._opened._held) == 2


async def test_a_changed_file_does_not_stay_open(tmp_path):
    source = MemorySource({"a.b2nd": FRAME})
    async with started(source, tmp_path) as (root, _), root.open("a.b2nd"):
        source.put("a.b2nd", array_frame(np.arange(7)))
        await root.refresh(["a.b2nd"])

        assert len(root._opened._held) == 0
