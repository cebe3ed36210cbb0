"""A published root, as a subscriber sees it: its publisher, its catalog, and how current both are."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from caterva2.client.peer import Peer
from caterva2.client.relay import Relay
from caterva2.compute.extents import Record
from caterva2.errors import (
    ConnectFailed,
    CorruptChunk,
    DatasetNotFound,
    InternalError,
    Overloaded,
    ProtocolMismatch,
    PublisherUnavailable,
    ServiceError,
    TimedOut,
    TransportError,
)
from caterva2.model.datasets import Entry, FileInfo, entry_problem
from caterva2.model.events import DatasetChanged, DatasetRemoved, Envelope, Event, Resync, RootChanged
from caterva2.model.requests import BlocksRequest
from caterva2.model.roots import Freshness, RootInfo, RootStatus
from caterva2.model.service import PublisherState
from caterva2.roles.subscriber.knownfiles import KnownFiles
from caterva2.roles.subscriber.traffic import Traffic
from caterva2.runtime.hub import Hub
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.state import Catalog

logger = logging.getLogger(__name__)

T = TypeVar("T")
PAGE = 2000
REQUESTS_AT_ONCE = 12
SILENCE_S = 4.0
"""A publisher that says nothing for so long is given up: clients do the same after 5 s."""
SILENT = f"it has been silent for {SILENCE_S:g} s"
SYNC_WAIT_S = 4.0
"""How long a request waits for a first listing; clients give up after 5 s."""
MAX_FILES = 5_000_000
MANY = 1000
"""Changes above this number become one `Resync`."""


class RemoteRoot:
    """One published root.

    Parameters
    ----------
    name, http
        The root, and the address of its publisher.
    catalog
        Where its files are remembered.
    hub
        Where its events are told, after they were applied.
    changed
        Called with the path (None: any path) of a file whose old generation is void.
    """

    def __init__(
        self,
        name: str,
        http: str,
        *,
        secret: str | None,
        catalog: Catalog,
        hub: Hub,
        workers: Workers,
        changed: Callable[[str, str | None], None],
        traffic: Traffic,
    ) -> None:
        self.name = name
        self.http = http
        self.status: RootStatus | None = None
        self.subscribed = False
        self.error: str | None = None
        self.since = time.time()
        self._secret = secret
        self.files = KnownFiles(name, catalog, workers)
        self._catalog = catalog
        self._hub = hub
        self._workers = workers
        self._changed = changed
        self._traffic = traffic
        self._peer = Peer(http, secret=secret, timeout_s=SILENCE_S, max_connections=REQUESTS_AT_ONCE + 2)
        self._slots = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._linked = False
        self._silent_at: float | None = None
        self._synced_at: float | None = None
        self._ready = asyncio.Event()
        self._settled = asyncio.Event()
        self._lock = asyncio.Lock()
        self._relay: Relay | None = None
        self._task: asyncio.Task[None] | None = None

    # life

    def start(self, *, synced_at: float | None) -> None:
        """Begin to follow the publisher.

        Parameters
        ----------
        synced_at
            When the catalog was last known to be current, seconds since 1970; None if never.
        """
        self.subscribed = True
        self._synced_at = synced_at
        if synced_at is not None:
            self._ready.set()
        if self._task is None:
            self._relay = Relay(
                self.http, secret=self._secret, opened=self._opened, received=self._received, lost=self._lost
            )
            self._task = asyncio.create_task(self._relay.run(), name=f"follow {self.name}")

    async def stop(self) -> None:
        """Stop following; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._remember()
        await self.files.stop()
        self._peer.close()

    async def move(self, http: str) -> None:
        """Follow another address: the publisher has moved."""
        if http == self.http:
            return
        following = self._task is not None
        await self.stop()
        self.http = http
        self._linked = False
        self._peer = Peer(
            http, secret=self._secret, timeout_s=SILENCE_S, max_connections=REQUESTS_AT_ONCE + 2
        )
        if following:
            self.start(synced_at=self._synced_at)

    def poke(self) -> None:
        """Try to reach the publisher now, if it was away."""
        if self._relay is not None:
            self._relay.poke()

    # what is known

    @property
    def freshness(self) -> Freshness:
        """How current the catalog and the cached data are."""
        if self._linked and self._ready.is_set():
            return Freshness(fresh=True)
        age = time.time() - self._synced_at if self._synced_at is not None else 0.0
        return Freshness(fresh=False, age_s=max(0.0, age))

    def describe(self) -> RootInfo:
        """Return the root as ``/api/roots`` shows it."""
        return RootInfo(
            name=self.name,
            http=self.http,
            subscribed=True if self.subscribed else None,
            status=self.seen_status,
            freshness=str(self.freshness) if self.subscribed else None,
            error=self.error if self.subscribed and not self._linked else None,
        )

    @property
    def state(self) -> PublisherState:
        """How it is, as superusers are told."""
        status = self.seen_status
        if status is not RootStatus.ONLINE:
            return PublisherState.UNKNOWN if status is None else PublisherState.OFFLINE
        return PublisherState.STALE if self.subscribed and not self.freshness.fresh else PublisherState.ONLINE

    @property
    def seen_status(self) -> RootStatus | None:
        """What is seen of the publisher here; before a subscription, what the broker says."""
        if not self.subscribed or not (self._ready.is_set() or self._settled.is_set()):
            return self.status
        return RootStatus.ONLINE if self._linked else RootStatus.OFFLINE

    async def wait_ready(self, timeout_s: float = SYNC_WAIT_S) -> None:
        """Wait until the files of the root are known.

        Raises
        ------
        PublisherUnavailable
            They never were, and the publisher does not answer.
        Overloaded
            They are still being listed.
        """
        if self._ready.is_set():
            return
        waits = [asyncio.create_task(event.wait()) for event in (self._ready, self._settled)]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._ready.is_set():
            return
        if self.error is not None:
            raise PublisherUnavailable(
                f"the publisher of {self.name} at {self.http} does not answer, "
                f"and nothing of it was kept: {self.error}",
                hint="try again when it is back",
            )
        raise Overloaded(
            f"the files of {self.name} are still being listed", hint="try again soon", retry_after_s=2
        )

    # reading

    async def describe_file(self, path: str) -> Entry:
        """Ask the publisher for the complete description of a file, and remember it."""
        try:
            entry = await self._call(lambda: self._peer.describe(path), patient=True)
        except TimedOut as exc:
            raise Overloaded(
                f"the publisher of {self.name} is still preparing {path}",
                hint="try again soon",
                retry_after_s=5,
            ) from exc
        except DatasetNotFound:
            await self.apply(DatasetRemoved(root=self.name, path=path))
            raise
        problem = entry_problem(entry)
        if problem is None and entry.path != path:
            problem = f"{path!r} was asked for, {entry.path!r} came"
        if problem is not None:
            raise CorruptChunk(f"the publisher of {self.name} described what can not be: {problem}")
        await self.apply(DatasetChanged(root=self.name, entry=entry))
        return entry

    async def blocks(
        self, entry: Entry, request: BlocksRequest, keep: Callable[[Record], object], *, most: int
    ) -> int:
        """Ask the publisher for parts of a stored frame; `keep` is called in another thread.

        Parameters
        ----------
        most
            Bytes that the answer can have at the most.

        Returns
        -------
        int
            Bytes of the answer.

        Raises
        ------
        PublisherUnavailable
            It does not answer.
        DatasetChanged
            The file is no longer of this generation.
        """
        return await self._call(lambda: self._peer.blocks(entry.path, entry.etag, request, keep, most=most))

    async def _call(self, fn: Callable[[], T], *, patient: bool = False) -> T:
        asked_at = time.monotonic()
        if not self._linked and self._silent_at is not None:
            # It hangs. One in a while finds out whether it still does; the others need not wait for that.
            if asked_at - self._silent_at < SILENCE_S:
                raise self._unavailable(SILENT)
            self._silent_at = asked_at
        async with self._slots:
            if self._silent_at is not None and self._silent_at > asked_at:
                raise self._unavailable(SILENT)
            try:
                answer = await self._workers.run(Lane.NET, fn)
            except (CorruptChunk, ProtocolMismatch) as exc:
                raise CorruptChunk(
                    f"the publisher of {self.name} at {self.http} sent what can not be right: {exc.message}"
                ) from exc
            except (TransportError, ServiceError) as exc:
                if patient and isinstance(exc, TimedOut):
                    raise
                if isinstance(exc, TimedOut):
                    self._silent_at = time.monotonic()
                elif isinstance(exc, ConnectFailed):
                    self._silent_at = None
                    self.error = exc.message
                raise self._unavailable(exc.message) from exc
            self._silent_at = None
            return answer

    def _unavailable(self, reason: str) -> PublisherUnavailable:
        return PublisherUnavailable(
            f"what was asked for is not in the cache, and the publisher of {self.name} "
            f"at {self.http} does not answer: {reason}",
            hint="try again when it is back",
            root=self.name,
        )

    # following

    async def _opened(self) -> None:
        await self._sync()
        before = self.seen_status
        if not self._linked:
            logger.info("connected to the publisher of %s at %s", self.name, self.http)
        self._linked = True
        self._silent_at = None
        self.error = None
        self._tell_status(before)
        await self._remember()

    def _tell_status(self, before: RootStatus | None) -> None:
        status = self.seen_status
        if status is not before:
            self.since = time.time()
        if status is not None and status is not before:
            self._hub.publish(RootChanged(root=self.name, http=self.http, status=status))

    def _lost(self, reason: str) -> None:
        before = self.seen_status
        if self._linked:
            logger.warning("lost the publisher of %s at %s: %s", self.name, self.http, reason)
            self._synced_at = time.time()
        self._linked = False
        self.error = reason
        self._settled.set()
        self._tell_status(before)

    async def _received(self, envelope: Envelope) -> None:
        self._traffic.heard(envelope.at)
        if isinstance(envelope.event, Resync):
            await self._sync()
        else:
            await self.apply(envelope.event)

    async def _remember(self) -> None:
        if self._linked:
            self._synced_at = time.time()
        if self._synced_at is not None:
            await self.files.keep(http=self.http, synced_at=repr(self._synced_at))

    async def apply(self, event: Event) -> None:
        """Apply an event of this root, once: what is known already is not told again."""
        async with self._lock:
            await self._apply(event)

    async def _apply(self, event: Event) -> None:
        if isinstance(event, DatasetChanged | DatasetRemoved) and event.root != self.name:
            return
        if isinstance(event, DatasetChanged):
            if not self._is_possible(event.entry):
                return
            known = await self.files.get(event.entry.path)
            if known is not None and known.etag == event.entry.etag:
                if known != event.entry and _is_complete(event.entry):
                    await self.files.put(event.entry)
                return
            self._changed(self.name, event.entry.path)
            await self.files.put(event.entry)
        elif isinstance(event, DatasetRemoved):
            known = await self.files.get(event.path)
            if known is None:
                return
            self._changed(self.name, event.path)
            await self.files.remove(event.path)
        else:
            return
        self._hub.publish(event)

    def _is_possible(self, entry: Entry) -> bool:
        """Tell whether an entry makes sense; one that does not must not hide the others."""
        problem = entry_problem(entry)
        if problem is not None:
            logger.warning("left out a file of %s: %s", self.name, problem)
        return problem is None

    async def _sync(self) -> None:
        """Make the catalog equal to the publisher's, page by page."""
        async with self._lock:
            known = await self._workers.run(Lane.DISK, lambda: dict(self._catalog.etags(self.name)))
            try:
                generation = await self._workers.run(Lane.DISK, self._catalog.begin_replace, self.name)
            except InternalError as exc:
                self.files.cannot_write(exc)
                raise
            events: list[Event] = []
            nchanges = nfiles = 0
            after: str | None = None
            while True:
                at = after
                page = await self._workers.run(Lane.NET, self._peer.catalog_page, at, PAGE)
                entries = [entry for entry in page.entries if self._is_possible(entry)]
                changed = []
                for entry in entries:
                    before = known.pop(entry.path, None)
                    if before == entry.etag:
                        continue
                    changed.append(entry)
                    if before is not None:
                        self._changed(self.name, entry.path)
                await self._workers.run(Lane.DISK, self._catalog.upsert, self.name, entries)
                nchanges += len(changed)
                if nchanges <= MANY:
                    events.extend(DatasetChanged(root=self.name, entry=entry) for entry in changed)
                nfiles += len(entries)
                after = page.next
                if after is None:
                    break
                if (at is not None and after <= at) or nfiles > MAX_FILES:
                    raise ProtocolMismatch(f"the catalog of {self.name} has no end")
            await self._workers.run(Lane.DISK, self._catalog.end_replace, self.name, generation)
            self.files.replaced()
            for path in known:
                self._changed(self.name, path)
            if nchanges + len(known) > MANY or not self._ready.is_set():
                events = [Resync(root=self.name)]
            else:
                events.extend(DatasetRemoved(root=self.name, path=path) for path in known)
            self._ready.set()
        for event in events:
            self._hub.publish(event)


def _is_complete(entry: Entry) -> bool:
    return not isinstance(entry.info, FileInfo) or entry.info.schunk is not None
