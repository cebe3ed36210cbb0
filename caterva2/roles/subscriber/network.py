"""The published roots: which there are, by the broker; which are subscribed to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from caterva2.client.peer import Peer
from caterva2.client.relay import Relay
from caterva2.errors import BrokerUnavailable, Caterva2Error, RootNotFound
from caterva2.model.events import DatasetChanged, DatasetRemoved, Envelope, Resync, RootChanged
from caterva2.model.roots import BrokerRoot, RootStatus
from caterva2.roles.subscriber.remote import RemoteRoot
from caterva2.roles.subscriber.traffic import Traffic
from caterva2.runtime.hub import Hub
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.state import Catalog

logger = logging.getLogger(__name__)

FIRST_LIST_S = 2.0
"""How long the start waits for the broker; then it goes on with what is known."""


class Network:
    """All published roots that this subscriber knows.

    Parameters
    ----------
    broker
        Address of the broker; None for a subscriber that stands alone.
    changed
        Called with root and path (None: any) when a generation is void.
    """

    def __init__(
        self,
        *,
        broker: str | None,
        secret: str | None,
        catalog: Catalog,
        hub: Hub,
        workers: Workers,
        changed: Callable[[str, str | None], None],
        traffic: Traffic,
    ) -> None:
        self._broker = broker
        self._secret = secret
        self._catalog = catalog
        self._hub = hub
        self._workers = workers
        self._changed = changed
        self._traffic = traffic
        self._roots: dict[str, RemoteRoot] = {}
        self._peer = Peer(broker, secret=secret, timeout_s=3.0) if broker else None
        self._task: asyncio.Task[None] | None = None
        self.connected = False
        self.since: float | None = None
        self.error: str | None = None

    async def start(self) -> None:
        """Take up what was subscribed to before, and follow the broker."""
        for name in await self._workers.run(Lane.DISK, self._catalog.roots):
            state = await self._workers.run(Lane.DISK, self._catalog.root_state, name)
            if "http" not in state:
                continue
            root = self._made(name, state["http"])
            synced_at = state.get("synced_at")
            root.start(synced_at=None if synced_at is None else float(synced_at))
        if self._broker is not None:
            # Who asks in the first instant sees all roots; the relay goes on trying if this fails.
            with contextlib.suppress(Caterva2Error, TimeoutError):
                await asyncio.wait_for(self._list_roots(), FIRST_LIST_S)
            relay = Relay(
                self._broker, secret=self._secret,
                opened=self._list_roots, received=self._received, lost=self._lost,
            )  # fmt: skip
            self._task = asyncio.create_task(relay.run(), name="follow the broker")

    async def stop(self) -> None:
        """Stop following; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*(root.stop() for root in self._roots.values()))
        if self._peer is not None:
            self._peer.close()

    @property
    def broker(self) -> str | None:
        """Address of the broker."""
        return self._broker

    def roots(self) -> list[RemoteRoot]:
        """Return all known roots, by name."""
        return [self._roots[name] for name in sorted(self._roots)]

    def root(self, name: str) -> RemoteRoot | None:
        """Return a root if it is known."""
        return self._roots.get(name)

    async def known(self, name: str) -> RemoteRoot:
        """Return a root; the broker is asked again if it is not known yet.

        Raises
        ------
        RootNotFound
            The broker does not know it.
        BrokerUnavailable
            The broker does not answer, so nobody can tell.
        """
        root = self._roots.get(name)
        if root is not None:
            return root
        if self._peer is not None:
            try:
                await self._list_roots()
            except Caterva2Error as exc:
                raise BrokerUnavailable(
                    f"{name} is not known here, and the broker at {self._broker} "
                    f"does not answer: {exc.message}",
                    hint="try again when it is back",
                ) from exc
        root = self._roots.get(name)
        if root is None:
            raise RootNotFound(f"{name} not known by the broker", hint="see the list of roots", root=name)
        return root

    async def subscribe(self, name: str) -> RemoteRoot:
        """Subscribe to a root, if that was not done, and wait until its files are known.

        Raises
        ------
        RootNotFound, BrokerUnavailable
            As `known`.
        PublisherUnavailable
            Nothing is known of its files, and the publisher does not answer.
        Overloaded
            Its files are still being listed.
        """
        root = await self.known(name)
        if not root.subscribed:
            await root.files.keep(http=root.http)
            if not root.subscribed:
                root.start(synced_at=None)
        await root.wait_ready()
        return root

    def _made(self, name: str, http: str) -> RemoteRoot:
        root = self._roots.get(name)
        if root is None:
            root = self._roots[name] = RemoteRoot(
                name, http, secret=self._secret, catalog=self._catalog, hub=self._hub,
                workers=self._workers, changed=self._changed,
                traffic=self._traffic,
            )  # fmt: skip
        return root

    async def _list_roots(self) -> None:
        if self._peer is None:
            return
        found = await self._workers.run(Lane.NET, self._peer.broker_roots)
        if not self.connected:
            self.since = time.time()
        self.connected = True
        self.error = None
        for name, info in found.items():
            try:
                await self._update(info)
            except Caterva2Error as exc:  # one that can not be must not hide the others
                logger.warning("left out the root %r: %s", name, exc.message)
        for name, root in list(self._roots.items()):
            if name not in found and not root.subscribed:
                del self._roots[name]

    async def _update(self, info: BrokerRoot) -> None:
        new = info.name not in self._roots
        root = self._made(info.name, info.http)
        before = (root.http, root.seen_status)
        root.status = info.status
        if root.http != info.http:
            await root.move(info.http)
            if root.subscribed:
                await root.files.keep(http=info.http)
        if info.status is RootStatus.ONLINE:
            root.poke()
        if before[1] != root.seen_status:
            root.since = time.time()
        if new or before != (root.http, root.seen_status):
            status = root.seen_status or RootStatus.ONLINE
            self._hub.publish(RootChanged(root=info.name, http=info.http, status=status))

    async def _received(self, envelope: Envelope) -> None:
        event = envelope.event
        self._traffic.heard(envelope.at)
        if isinstance(event, Resync):
            await self._list_roots()
        elif isinstance(event, RootChanged):
            await self._update(BrokerRoot(name=event.root, http=event.http, status=event.status))
        elif isinstance(event, DatasetChanged | DatasetRemoved):
            root = self._roots.get(event.root)
            if root is not None and root.subscribed:
                await root.apply(event)

    def _lost(self, reason: str) -> None:
        if self.connected:
            self.since = time.time()
            logger.warning("lost the broker at %s: %s; serving what is known", self._broker, reason)
        elif self.error is None:
            logger.warning("cannot reach the broker at %s: %s; trying again", self._broker, reason)
        self.connected = False
        self.error = reason
