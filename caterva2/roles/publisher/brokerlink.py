"""The publisher's side of its broker: registration, heartbeat, and the events that it hands over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from caterva2.client.calls import call
from caterva2.errors import (
    BrokerUnavailable,
    Caterva2Error,
    RequestError,
    RootNotFound,
    RootTaken,
    ServiceError,
    TransportError,
)
from caterva2.model.events import DatasetChanged, DatasetRemoved, EventBatch, Resync
from caterva2.model.roots import Heartbeat, Lease, Registration
from caterva2.model.routes import Role, Route, route
from caterva2.runtime.retry import Backoff

if TYPE_CHECKING:
    from caterva2.client.connection import AsyncConnection
    from caterva2.model.events import Event
    from caterva2.runtime.clock import Clock
    from caterva2.runtime.hub import Subscription

logger = logging.getLogger(__name__)

BATCH = 100
CALL_S = 10.0
LEAVE_S = 2.0

PublisherEvent: TypeAlias = DatasetChanged | DatasetRemoved | Resync


class BrokerLink:
    """Keeps one root registered with its broker, and tells it what changes.

    Parameters
    ----------
    connection
        To the broker; closed by the owner.
    broker
        Address of the broker, for messages.
    name, http
        The root, and the address under which others reach this publisher.
    events
        What to hand over. It drops what it can not hold and says `Resync` instead.
    drained
        Called with the number of the last event when the broker has all that happened so far.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        *,
        broker: str,
        name: str,
        http: str,
        events: Subscription,
        drained: Callable[[int], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._connection = connection
        self._broker = broker
        self._name = name
        self._http = http
        self._events = events
        self._drained = drained
        self._clock = clock
        self._lease: Lease | None = None
        self._registering = asyncio.Lock()
        self._is_away = False

    @property
    def is_connected(self) -> bool:
        """Whether the broker has answered the last time it was asked."""
        return self._lease is not None and not self._is_away

    async def register(self) -> None:
        """Register the root, once.

        Raises
        ------
        RootTaken
            Another publisher serves a root of this name.
        BrokerUnavailable
            The broker can not be reached.
        """
        try:
            self._lease = await self._register_once()
        except TransportError as exc:
            raise unreachable(self._broker, exc.message.rpartition(": ")[2]) from exc

    async def beat(self) -> None:
        """Keep the root registered, for as long as this runs."""
        backoff = Backoff(0.2, 5.0)
        while True:
            lease = self._lease
            try:
                if lease is None:
                    await self._register_again(None)
                else:
                    await self._clock.sleep(lease.lease_s / 3)
                    await self._with_token(self._heartbeat)
            except (TransportError, ServiceError, RequestError) as exc:
                self._missed(exc)
                await self._clock.sleep(backoff.next_s())
            else:
                backoff.reset()
                self._answered()

    async def forward(self) -> None:
        """Hand events to the broker until they end; each batch until the broker has it."""
        async for envelope in self._events:
            batch = [envelope]
            while len(batch) < BATCH and self._events.nqueued:
                batch.append(await anext(self._events))
            await self._deliver(_of_root(self._name, [each.event for each in batch]))
            if not self._events.nqueued:
                await self._drained(batch[-1].seq)

    async def leave(self) -> None:
        """Give the root up, if the broker hears it; never raises."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        beat = Heartbeat(name=self._name, token=lease.token, leaving=True)
        with contextlib.suppress(Caterva2Error, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._send("heartbeat", beat)

    async def _deliver(self, events: list[PublisherEvent]) -> None:
        key = secrets.token_hex(16)
        backoff = Backoff(0.1, 5.0)
        while True:
            try:
                await self._with_token(partial(self._announce, key, events))
                self._answered()
                return
            except (TransportError, ServiceError, RootNotFound, RootTaken) as exc:
                self._missed(exc)
            except RequestError as exc:
                # Sent again it would be refused again; listing again tells the same.
                logger.warning("the broker refuses events of %s: %s", self._name, exc)
                if events == [Resync(root=self._name)]:
                    return
                key, events = secrets.token_hex(16), [Resync(root=self._name)]
            await self._clock.sleep(backoff.next_s())

    async def _announce(self, key: str, events: list[PublisherEvent], token: str) -> None:
        await self._send("announce", EventBatch(key=key, root=self._name, token=token, events=events))

    async def _heartbeat(self, token: str) -> None:
        await self._send("heartbeat", Heartbeat(name=self._name, token=token))

    async def _with_token(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Call `send` with the token; register and call it again if the broker does not know it."""
        lease = self._lease or await self._register_again(None)
        try:
            await send(lease.token)
        except (RootNotFound, RootTaken):
            lease = await self._register_again(lease)
            await send(lease.token)

    async def _register_again(self, old: Lease | None) -> Lease:
        async with self._registering:
            lease = self._lease
            if lease is None or lease is old:
                self._lease = lease = await self._register_once()
                logger.info("root %s is registered again with the broker at %s", self._name, self._broker)
            return lease

    async def _register_once(self) -> Lease:
        registration = Registration(name=self._name, http=self._http)
        lease: Lease = await self._send("register", registration)
        return lease

    async def _send(self, name: str, body: object) -> Any:  # noqa: ANN401 - by the row of the table
        row: Route = route(Role.BROKER, name)
        try:
            async with asyncio.timeout(CALL_S):
                return await self._connection.send(call(row, body=body))
        except TimeoutError as exc:
            raise BrokerUnavailable(f"the broker at {self._broker} does not answer") from exc

    def _missed(self, exc: Caterva2Error) -> None:
        if not self._is_away:
            self._is_away = True
            logger.warning("root %s: the broker at %s: %s; trying again", self._name, self._broker, exc)

    def _answered(self) -> None:
        if self._is_away:
            self._is_away = False
            logger.warning("root %s: the broker at %s is back", self._name, self._broker)


def unreachable(broker: str, reason: str) -> BrokerUnavailable:
    """Return the error for a broker that does not answer at start."""
    return BrokerUnavailable(
        f"cannot reach the broker at {broker}: {reason}", hint="start cat2bro first, or check --broker"
    )


def _of_root(name: str, events: list[Event]) -> list[PublisherEvent]:
    """Return the events as the broker takes them; a `Resync` makes all before it needless."""
    kept: list[PublisherEvent] = []
    for event in events:
        if isinstance(event, Resync):
            kept = [Resync(root=name)]
        elif isinstance(event, DatasetChanged | DatasetRemoved):
            kept.append(event)
    return kept
