"""Watching real directories: a test waits for what it wants to see, for at most some seconds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from caterva2.roles.watcher import Watcher
from caterva2.runtime.workers import Workers
from caterva2.storage.directory import DirectorySource

pytestmark = pytest.mark.asyncio

SETTLE_S = 0.1


class Watching:
    """A watcher that runs, and what it said."""

    def __init__(self, root: Path, watcher: Watcher) -> None:
        self.root = root
        self.watcher = watcher
        self.told: list[set[str]] = []
        self._more = asyncio.Condition()

    async def run(self) -> None:
        async with contextlib.aclosing(self.watcher.changes()) as changes:
            async for paths in changes:
                async with self._more:
                    self.told.append(set(paths))
                    self._more.notify_all()

    @property
    def paths(self) -> set[str]:
        return set().union(*self.told)

    async def until(self, *wanted: str, timeout_s: float = 30.0) -> None:
        async with asyncio.timeout(timeout_s), self._more:
            await self._more.wait_for(lambda: set(wanted) <= self.paths)

    async def until_looks(self, n: int) -> None:
        """Wait until it was told `n` times to look at everything."""
        async with asyncio.timeout(10), self._more:
            await self._more.wait_for(lambda: self.told.count(set()) >= n)


@contextlib.asynccontextmanager
async def watching(tmp_path: Path, **kwargs: object) -> AsyncIterator[Watching]:
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    workers = Workers(disk=2, cpu=1, auth=1)
    workers.start()
    source = DirectorySource(root, tmp_path / "cache")
    options = {"settle_s": SETTLE_S, **kwargs}
    watching = Watching(root, Watcher(source, workers, **options))  # type: ignore[arg-type]
    task = asyncio.create_task(watching.run())
    try:
        await watching.until_looks(1)
        yield watching
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await workers.stop()


async def test_a_new_file_is_told_within_a_second_and_a_half(tmp_path):
    async with watching(tmp_path, settle_s=0.5) as w:
        (w.root / "a.txt").write_text("a")

        await w.until("a.txt", timeout_s=1.5)


async def test_changed_and_removed_files_are_told(tmp_path):
    (tmp_path / "root" / "d").mkdir(parents=True)
    (tmp_path / "root" / "d" / "a.txt").write_text("a")
    (tmp_path / "root" / "b.txt").write_text("b")
    async with watching(tmp_path) as w:
        (w.root / "d" / "a.txt").write_text("changed")
        (w.root / "b.txt").unlink()

        await w.until("d/a.txt", "b.txt")


async def test_a_file_that_is_being_written_is_told_once_and_complete(tmp_path):
    async with watching(tmp_path, settle_s=0.3) as w:
        sizes = []
        for _ in range(8):
            _append(w.root / "a.bin", b"x" * 1000)
            with contextlib.suppress(TimeoutError):
                await w.until("a.bin", timeout_s=0.1)
            sizes.append("a.bin" in w.paths)
        await w.until("a.bin")

        assert not any(sizes)
        assert sum("a.bin" in paths for paths in w.told) == 1


async def test_hidden_and_temporary_files_are_not_told(tmp_path):
    async with watching(tmp_path) as w:
        (w.root / ".hidden").write_text("x")
        (w.root / "a.tmp").write_text("x")
        (w.root / "a.txt~").write_text("x")
        (w.root / "z.txt").write_text("x")

        await w.until("z.txt")
        assert w.paths == {"z.txt"}


async def test_a_file_moved_into_place_is_told_under_its_name(tmp_path):
    async with watching(tmp_path) as w:
        (w.root / ".part").write_text("x")
        (w.root / ".part").replace(w.root / "a.txt")

        await w.until("a.txt")


async def test_files_in_new_directories_are_told(tmp_path):
    async with watching(tmp_path) as w:
        deep = w.root / "a" / "b" / "c"
        deep.mkdir(parents=True)
        (deep / "early.txt").write_text("x")
        await w.until("a/b/c/early.txt")

        (deep / "late.txt").write_text("x")
        await w.until("a/b/c/late.txt")


async def test_a_renamed_directory_is_told_under_both_names(tmp_path):
    (tmp_path / "root" / "old").mkdir(parents=True)
    (tmp_path / "root" / "old" / "a.txt").write_text("a")
    async with watching(tmp_path) as w:
        (w.root / "old").rename(w.root / "new")
        await w.until("old", "new")

        (w.root / "new" / "b.txt").write_text("b")
        await w.until("new/b.txt")


async def test_a_removed_directory_is_told(tmp_path):
    (tmp_path / "root" / "d" / "e").mkdir(parents=True)
    (tmp_path / "root" / "d" / "e" / "a.txt").write_text("a")
    async with watching(tmp_path) as w:
        shutil.rmtree(w.root / "d")

        await w.until("d")


async def test_a_changed_chunk_of_a_sparse_frame_is_told_as_the_dataset(tmp_path):
    (tmp_path / "root" / "x.b2nd").mkdir(parents=True)
    (tmp_path / "root" / "x.b2nd" / "chunks.b2frame").write_bytes(b"x")
    async with watching(tmp_path) as w:
        (w.root / "x.b2nd" / "00000000.chunk").write_bytes(b"x")

        await w.until("x.b2nd")
        assert w.paths == {"x.b2nd"}


async def test_a_change_behind_a_link_is_told_under_the_link(tmp_path):
    (tmp_path / "root" / ".store").mkdir(parents=True)
    (tmp_path / "root" / "data").symlink_to(".store")
    async with watching(tmp_path) as w:
        (w.root / ".store" / "a.txt").write_text("a")

        await w.until("data/a.txt")


async def test_links_out_of_the_root_are_not_watched(tmp_path):
    (tmp_path / "outside" / "deep").mkdir(parents=True)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to("../outside")
    async with watching(tmp_path) as w:
        assert set(w.watcher._watched) == {str(w.root.resolve())}


async def test_a_root_that_comes_back_is_watched_again(tmp_path):
    async with watching(tmp_path, poll_s=0.2) as w:
        shutil.rmtree(w.root)
        await w.until_looks(2)
        w.root.mkdir()
        (w.root / "a.txt").write_text("a")
        await w.until_looks(len(w.told) + 1)
        async with asyncio.timeout(10):
            while w.watcher._is_blind:
                await w.until_looks(w.told.count(set()) + 1)

        (w.root / "b.txt").write_text("b")
        await w.until("b.txt")


async def test_without_notices_everything_is_looked_at_regularly(tmp_path, monkeypatch, caplog):
    async def no_watches(*args: object, **kwargs: object) -> AsyncIterator[set[tuple[int, str]]]:
        if args:
            raise OSError("OS file watch limit reached.")
        yield set()

    monkeypatch.setattr("caterva2.roles.watcher.watchfiles.awatch", no_watches)
    async with watching(tmp_path, poll_s=0.05) as w:
        await w.until_looks(4)

    assert len([r for r in caplog.records if "watch limit" in r.getMessage()]) == 1


async def test_everything_is_looked_at_now_and_then_in_any_case(tmp_path):
    async with watching(tmp_path, rescan_s=0.2) as w:
        await w.until_looks(3)


async def test_comparing_files_instead_of_notices_finds_changes(tmp_path):
    async with watching(tmp_path, force_polling=True) as w:
        (w.root / "d").mkdir()
        (w.root / "a.txt").write_text("a")
        await w.until("a.txt", "d")

        (w.root / "d" / "b.txt").write_text("b")
        await w.until("d/b.txt")


async def test_a_directory_that_was_made_anew_is_watched_again(tmp_path):
    (tmp_path / "root" / "d").mkdir(parents=True)
    async with watching(tmp_path) as w:
        for i in range(3):
            shutil.rmtree(w.root / "d")
            (w.root / "d").mkdir()
            (w.root / "d" / f"{i}a.txt").write_text("x")
            await w.until(f"d/{i}a.txt")

            (w.root / "d" / f"{i}b.txt").write_text("x")
            await w.until(f"d/{i}b.txt")


async def test_a_name_that_is_not_utf8_does_not_end_the_watch(tmp_path):
    async with watching(tmp_path, poll_s=0.1) as w:
        (tmp_path / "root" / os.fsdecode(b"caf\xe9.txt")).write_text("x")
        await w.until_looks(2)

        (w.root / "a.txt").write_text("x")
        await w.until("a.txt")


async def test_new_directories_one_after_the_other_need_few_watchers(tmp_path):
    async with watching(tmp_path) as w:
        for i in range(10):
            (w.root / f"d{i}").mkdir()
            await w.until(f"d{i}")

        assert len(w.watcher._watched) == 11
        assert len(w.watcher._feeders) <= 3


async def test_no_notice_is_lost_while_directories_are_made(tmp_path):
    names = [f"{i}.txt" for i in range(60)]
    async with watching(tmp_path) as w:
        for i, name in enumerate(names):
            (w.root / name).write_text("x")
            (w.root / f"d{i}").mkdir()
            await asyncio.sleep(0.02)  # the rhythm at which notices and new watchers cross

        await w.until(*names)


async def test_many_new_directories_are_all_found(tmp_path):
    names = [f"d{i}/e{i}/f.txt" for i in range(60)]
    async with watching(tmp_path) as w:
        for name in names:
            os.makedirs((w.root / name).parent)
            (w.root / name).write_text("x")
            await asyncio.sleep(0)

        await w.until(*names)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
