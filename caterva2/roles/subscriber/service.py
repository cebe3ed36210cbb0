"""The subscriber: owns its parts, starts and stops them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from pathlib import Path

from caterva2.errors import Caterva2Error
from caterva2.model.events import DatasetChanged, DatasetRemoved, Event, Resync
from caterva2.model.users import Principal
from caterva2.roles.localroot import LocalRoot
from caterva2.roles.subscriber.blocks import BlockReader
from caterva2.roles.subscriber.gather import Gatherer
from caterva2.roles.subscriber.library import Library
from caterva2.roles.subscriber.network import Network
from caterva2.roles.subscriber.reads import Reads
from caterva2.roles.subscriber.slices import SliceReader
from caterva2.roles.subscriber.traffic import Traffic
from caterva2.roles.watcher import Watcher
from caterva2.runtime.hub import Hub
from caterva2.runtime.tasks import Supervisor
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.blockcache import BlockCache
from caterva2.storage.directory import DirectorySource
from caterva2.storage.state import Catalog

logger = logging.getLogger(__name__)

PUBLIC = "@public"


class Subscriber:
    """One place to read every root.

    Parameters
    ----------
    broker
        Address of the broker; None stands alone.
    cache
        Room for published roots.
    areas
        Directories of the subscriber's own, by root name.
    """

    def __init__(
        self,
        *,
        broker: str | None,
        secret: str | None,
        catalog: Catalog,
        cache: BlockCache,
        areas: Mapping[str, DirectorySource],
        spool: Path,
        hub: Hub,
        workers: Workers,
    ) -> None:
        self.hub = hub
        self.cache = cache
        self.traffic = Traffic()
        self._workers = workers
        self._tasks = Supervisor("subscriber")
        self.network = Network(
            broker=broker,
            secret=secret,
            catalog=catalog,
            hub=hub,
            workers=workers,
            changed=self._changed,
            traffic=self.traffic,
        )
        self._areas = {name: LocalRoot(source, catalog, hub, workers, name) for name, source in areas.items()}
        self._watchers = {name: Watcher(source, workers) for name, source in areas.items()}
        self.library = Library(
            network=self.network, local=dict(areas), catalog=catalog, cache=cache, workers=workers
        )
        self._reader = BlockReader(workers, self.traffic)
        slices = SliceReader(self._reader, workers, spool)
        self.reads = Reads(self.library, self._reader, slices, Gatherer(slices, workers), workers)

    def allow(self, principal: Principal, event: Event) -> bool:
        """Whether somebody may see an event: all roots are open to all."""
        del principal, event
        return True

    async def start(self) -> None:
        """Take up the cache, the own directories and the network."""
        await self._workers.run(Lane.DISK, self.cache.load)
        self._tasks.spawn("void changed files", self._void_changed)
        for name, area in self._areas.items():
            try:
                await area.start()
            except Caterva2Error as exc:
                logger.warning("changes of %s can not be told now: %s", name, exc.message)
            self._tasks.spawn(f"watch {name}", functools.partial(self._watch, area, name))
        await self.network.start()

    async def stop(self) -> None:
        """Stop in reverse order; safe to call twice."""
        await self.network.stop()
        await self._tasks.stop()
        await self._reader.stop()
        await self.library.stop()
        for area in self._areas.values():
            await area.stop()
        self.hub.close()
        await self._workers.run(Lane.DISK, self.cache.close)

    async def _watch(self, area: LocalRoot, name: str) -> None:
        async for paths in self._watchers[name].changes():
            try:
                await area.refresh(paths)
            except Caterva2Error as exc:
                logger.warning("changes of %s can not be taken up now: %s", name, exc.message)

    async def _void_changed(self) -> None:
        """Let go of files in own directories that have changed."""
        with self.hub.subscribe() as subscription:
            async for envelope in subscription:
                event = envelope.event
                if isinstance(event, DatasetChanged) and event.root in self._areas:
                    self.library.forget(event.root, event.entry.path)
                elif isinstance(event, DatasetRemoved) and event.root in self._areas:
                    self.library.forget(event.root, event.path)
                elif isinstance(event, Resync) and event.root in {None, *self._areas}:
                    for name in self._areas:
                        self.library.forget(name, None)

    def _changed(self, root: str, relative: str | None) -> None:
        self.library.forget(root, relative)
