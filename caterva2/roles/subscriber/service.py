"""The subscriber: owns its parts, starts and stops them."""

from __future__ import annotations

import asyncio
import functools
import logging
from pathlib import Path

from caterva2.errors import Caterva2Error
from caterva2.model.events import DatasetChanged, DatasetRemoved, Event, Resync, RootChanged
from caterva2.model.paths import DatasetPath
from caterva2.model.users import Principal
from caterva2.roles.subscriber.access import Access
from caterva2.roles.subscriber.accounts import Accounts
from caterva2.roles.subscriber.areas import Area, Areas
from caterva2.roles.subscriber.areastore import AreaStore
from caterva2.roles.subscriber.blocks import BlockReader
from caterva2.roles.subscriber.evaluation import Evaluator
from caterva2.roles.subscriber.explain import Explainer
from caterva2.roles.subscriber.exprs import Expressions
from caterva2.roles.subscriber.files import Files
from caterva2.roles.subscriber.gather import Gatherer
from caterva2.roles.subscriber.library import Library
from caterva2.roles.subscriber.management import Management
from caterva2.roles.subscriber.network import Network
from caterva2.roles.subscriber.reads import Reads
from caterva2.roles.subscriber.report import Reporter
from caterva2.roles.subscriber.slices import SliceReader
from caterva2.roles.subscriber.tables import Tables
from caterva2.roles.subscriber.traffic import Traffic
from caterva2.roles.subscriber.tree import Tree
from caterva2.roles.subscriber.uploads import Uploads
from caterva2.roles.subscriber.verification import Verifier
from caterva2.roles.subscriber.windows import Windows
from caterva2.roles.subscriber.zarrview import ZarrView
from caterva2.roles.watcher import Watcher
from caterva2.runtime.clock import SystemClock
from caterva2.runtime.hub import Hub
from caterva2.runtime.memory import give_back_memory
from caterva2.runtime.processes import ProcessLane
from caterva2.runtime.tasks import Supervisor
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.blockcache import BlockCache
from caterva2.storage.state import Catalog

logger = logging.getLogger(__name__)

ENOUGH_MEMORY, LOOK_S = 112 << 20, 0.2
"""Above so many bytes, freed memory goes back to the system; how often to look, in seconds."""
EVALUATOR = "caterva2.compute.evaluator"
"""The program of the processes that evaluate expressions."""


class Subscriber:
    """One place to read every root.

    Parameters
    ----------
    broker
        Address of the broker; None stands alone.
    cache
        Room for published roots.
    areas
        Directories of the subscriber's own.
    accounts
        The users; None if there are none.
    management
        What superusers do with them.
    access
        Who may see which root.
    """

    def __init__(
        self,
        *,
        broker: str | None,
        secret: str | None,
        catalog: Catalog,
        cache: BlockCache,
        areas: Areas,
        spool: Path,
        hub: Hub,
        workers: Workers,
        accounts: Accounts | None = None,
        management: Management | None = None,
        access: Access | None = None,
    ) -> None:
        self.accounts = accounts
        self.management = management
        self.access = access or Access()
        self.hub = hub
        self.cache = cache
        self.traffic = Traffic()
        self.workers = workers
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
        self.areas = areas
        self._reader = BlockReader(workers, self.traffic)
        slices = SliceReader(self._reader, workers, spool)
        self._processes = ProcessLane(workers, EVALUATOR)
        self.evaluator = Evaluator(slices, self._processes, workers)
        self.library = Library(
            network=self.network, areas=areas, access=self.access, catalog=catalog, cache=cache,
            workers=workers, evaluator=self.evaluator,
        )  # fmt: skip
        self.tables = Tables(slices, self.evaluator, workers)
        gatherer = Gatherer(slices, workers)
        self.reads = Reads(self.library, self._reader, slices, gatherer, self.tables, workers)
        self.windows = Windows(self.library, slices, self.tables, workers)
        self.zarr = ZarrView(self.library, slices, workers)
        self.verifier = Verifier()
        self.files = Files(areas, self.library, self.reads, self.verifier, workers)
        self.uploads = Uploads(self.files, areas, workers, SystemClock())
        self.exprs = Expressions(self.library.lazy, AreaStore(self.files, slices))
        self.tree = Tree(
            library=self.library, network=self.network, areas=areas, access=self.access, catalog=catalog,
            workers=workers,
        )  # fmt: skip
        self.reporter = Reporter(
            network=self.network, cache=cache, traffic=self.traffic, hub=hub, areas=areas,
            uploads=self.uploads, clock=SystemClock(),
        )  # fmt: skip
        self.explain = Explainer(self.library, self.evaluator, workers)

    def allow(self, principal: Principal, event: Event) -> bool:
        """Whether somebody may see an event: that of a root which exists for him."""
        root = event.root
        if root is None:
            return True
        name = root.partition(":")[0]
        if not _is_shared(principal, event, name):
            return False
        return self.areas.may_see(principal, root) and self.access.may_enter(principal, name)

    async def start(self, *, embedded: bool = False) -> None:
        """Take up the cache, the own directories and the network.

        Parameters
        ----------
        embedded
            It is a part of another program, whose memory is its own matter, and whose directories may be
            large: what changed in the areas since the last run is looked for in the background.
        """
        await self.workers.run(Lane.DISK, self.cache.load)
        await self.workers.run(Lane.DISK, self.areas.load)
        await self.uploads.start()
        self._tasks.spawn("expire uploads", self.uploads.run)
        self._tasks.spawn("void changed files", self._void_changed)
        if not embedded:
            self._tasks.spawn("give back memory", self._give_back_memory)
        if self.accounts is not None:
            self._tasks.spawn("start evaluators", self._processes.start)
        for area in self.areas.common.values():
            if not embedded:
                await self._look(area)
            self._tasks.spawn(f"watch {area.name}", functools.partial(self._watch, area))
        await self.network.start()

    async def stop(self) -> None:
        """Stop in reverse order; safe to call twice."""
        await self.network.stop()
        await self._tasks.stop()
        await self._reader.stop()
        await self.evaluator.stop()
        await self._processes.stop()
        await self.tree.stop()
        await self.zarr.stop()
        await self.tables.stop()
        await self.library.stop()
        await self.uploads.stop()
        await self.verifier.stop()
        await self.areas.stop()
        self.hub.close()
        await self.workers.run(Lane.DISK, self.cache.close)

    async def _give_back_memory(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self.workers.run(Lane.DISK, give_back_memory, ENOUGH_MEMORY)

    async def _look(self, area: Area) -> None:
        try:
            await self.areas.start(area)
        except Caterva2Error as exc:
            logger.warning("changes of %s can not be told now: %s", area.name, exc.message)

    async def _watch(self, area: Area) -> None:
        await self._look(area)
        async for paths in Watcher(area.source, self.workers).changes():
            try:
                await area.root.refresh(paths)
            except Caterva2Error as exc:
                logger.warning("changes of %s can not be taken up now: %s", area.name, exc.message)

    async def _void_changed(self) -> None:
        """Let go of files in own directories that have changed."""
        with self.hub.subscribe() as subscription:
            async for envelope in subscription:
                event = envelope.event
                if event.root is not None and not event.root.startswith("@"):
                    continue
                if isinstance(event, DatasetChanged):
                    self.library.forget(event.root, event.entry.path)
                elif isinstance(event, DatasetRemoved):
                    self.library.forget(event.root, event.path)
                elif isinstance(event, Resync):
                    for root in [event.root] if event.root is not None else list(self.areas.common):
                        self.library.forget(root, None)

    def _changed(self, root: str, relative: str | None) -> None:
        self.library.forget(root, relative)


def _is_shared(principal: Principal, event: Event, root: str) -> bool:
    """Whether an event is about what a share link opens; true for all who came without one."""
    within = principal.within
    if within is None:
        return True
    if root != within.root or isinstance(event, Resync):
        return root == within.root
    if isinstance(event, RootChanged):
        return not within.parts
    path = event.entry.path if isinstance(event, DatasetChanged) else event.path
    return principal.reaches(DatasetPath(root, tuple(path.split("/"))))
