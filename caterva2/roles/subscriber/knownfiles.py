"""What is known of the files of one root: in the catalog, and in memory what can not be written to it now."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from caterva2.errors import InternalError
from caterva2.model.datasets import Entry
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.state import Catalog

logger = logging.getLogger(__name__)

MOST_UNSAVED = 10_000
TRY_AGAIN_S = 2.0
WARN_AGAIN_S = 60.0


class KnownFiles:
    """The files of one root.

    A full disk must not turn reads into failures: what the catalog does not take
    is kept here, and written when there is room again.

    Parameters
    ----------
    root
        Name of the root.
    catalog
        Where its files are remembered; closed by the owner.
    """

    def __init__(self, root: str, catalog: Catalog, workers: Workers) -> None:
        self._root = root
        self._catalog = catalog
        self._workers = workers
        self._unsaved: dict[str, Entry | None] = {}
        self._saving: asyncio.Task[None] | None = None
        self._warned_at = -WARN_AGAIN_S

    async def stop(self) -> None:
        """Give up writing what could not be written; safe to call twice."""
        task, self._saving = self._saving, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def get(self, path: str) -> Entry | None:
        """Return what is known of a file; None if nothing."""
        if path in self._unsaved:
            return self._unsaved[path]
        return await self._workers.run(Lane.DISK, self._catalog.get, self._root, path)

    async def get_many(self, paths: Sequence[str]) -> dict[str, Entry]:
        """Return what is known of some files, by path."""
        found = await self._workers.run(Lane.DISK, self._catalog.get_many, self._root, paths)
        if self._unsaved:
            found.update({path: entry for path in paths if (entry := self._unsaved.get(path)) is not None})
        return found

    async def put(self, entry: Entry) -> None:
        """Take up a file, or a new generation of it."""
        await self._change(entry.path, entry)

    async def remove(self, path: str) -> None:
        """Forget a file."""
        await self._change(path, None)

    async def keep(self, **values: str) -> None:
        """Remember values for the root, if that is possible."""
        try:
            await self._workers.run(Lane.DISK, lambda: self._catalog.set_root_state(self._root, **values))
        except InternalError as exc:
            self.cannot_write(exc)

    def cannot_write(self, exc: InternalError) -> None:
        """Say, at most once a minute, that the catalog can not be written."""
        now = time.monotonic()
        if now - self._warned_at >= WARN_AGAIN_S:
            self._warned_at = now
            logger.warning("what is new in %s can not be remembered: %s", self._root, exc.message)

    def replaced(self) -> None:
        """Take note that the catalog has been written anew as a whole."""
        self._unsaved.clear()

    async def _change(self, path: str, entry: Entry | None) -> None:
        if not self._unsaved:
            try:
                await self._workers.run(Lane.DISK, self._write, {path: entry})
                return
            except InternalError as exc:
                self.cannot_write(exc)
        if len(self._unsaved) >= MOST_UNSAVED and path not in self._unsaved:
            raise InternalError(f"what is new in {self._root} can not be remembered")
        self._unsaved[path] = entry
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save(), name=f"save what is known of {self._root}")

    async def _save(self) -> None:
        while self._unsaved:
            await asyncio.sleep(TRY_AGAIN_S)
            batch = dict(self._unsaved)
            try:
                await self._workers.run(Lane.DISK, self._write, batch)
            except InternalError as exc:
                self.cannot_write(exc)
                continue
            for path, entry in batch.items():
                if self._unsaved.get(path) is entry:
                    self._unsaved.pop(path, None)

    def _write(self, changes: dict[str, Entry | None]) -> None:
        entries = [entry for entry in changes.values() if entry is not None]
        gone = [path for path, entry in changes.items() if entry is None]
        if entries:
            self._catalog.upsert(self._root, entries)
        if gone:
            self._catalog.remove(self._root, gone)
