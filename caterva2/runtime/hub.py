"""Publish and subscribe events, with a replay ring and bounded queues.

Delivery is at least once as long as a reader keeps up; one that does not, or
that asks for what has left the ring, gets a `Resync` and lists again.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import secrets
from typing import NamedTuple, Self

from caterva2.model.events import Envelope, Event, Resync
from caterva2.runtime.clock import Clock, SystemClock


class Position(NamedTuple):
    """A place in the stream of an emitter: after event `seq` of `epoch`."""

    epoch: str
    seq: int


class Hub:
    """The events of one emitter, for the readers in one event loop.

    Parameters
    ----------
    ring
        Events kept for those who come back.
    queue
        Events kept for one reader that is slow.
    clock
        Source of `Envelope.at`.
    """

    def __init__(self, *, ring: int = 10_000, queue: int = 1_000, clock: Clock | None = None) -> None:
        self._epoch = secrets.token_hex(8)
        self._seq = 0
        self._ring: collections.deque[Envelope] = collections.deque(maxlen=ring)
        self._queue = queue
        self._clock = clock or SystemClock()
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    @property
    def position(self) -> Position:
        """Where the stream is now."""
        return Position(self._epoch, self._seq)

    @property
    def nsubscribers(self) -> int:
        """How many read."""
        return len(self._subscriptions)

    def publish(self, event: Event) -> Envelope:
        """Give an event its number and hand it to every subscription; never waits."""
        self._seq += 1
        envelope = self._envelope(event)
        self._ring.append(envelope)
        for subscription in self._subscriptions:
            subscription._put(envelope)
        return envelope

    def subscribe(self, epoch: str | None = None, since: int | None = None) -> Subscription:
        """Follow the stream, after the position (`epoch`, `since`), or from now without one.

        Begins with a `Resync` if the position is of another epoch or has left the ring.
        """
        first: list[Envelope] = []
        if since is not None:
            oldest = self._seq - len(self._ring)
            if epoch == self._epoch and oldest <= since <= self._seq:
                first.extend(itertools.islice(self._ring, since - oldest, None))
            else:
                first.append(self._envelope(Resync()))
        subscription = Subscription(self, first, self._queue)
        if self._closed:
            subscription.close()
        else:
            self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """End every subscription; readers still get what is queued. Safe to call twice."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.close()

    def _envelope(self, event: Event) -> Envelope:
        return Envelope(epoch=self._epoch, seq=self._seq, at=self._clock.time(), event=event)

    def _remove(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)


class Subscription:
    """One reader's events, as an async iterator; for one task at a time.

    Made by `Hub.subscribe`. Close it, or use it as a context manager.
    """

    def __init__(self, hub: Hub, first: list[Envelope], limit: int) -> None:
        self._hub = hub
        self._limit = limit
        # What is replayed is bounded by the ring and does not count as being slow.
        self._replay = collections.deque(first)
        self._queued: collections.deque[Envelope] = collections.deque()
        self._wakeup: asyncio.Future[None] | None = None
        self._closed = False

    def close(self) -> None:
        """End the iteration after what is queued; safe to call twice."""
        self._closed = True
        self._hub._remove(self)
        self._wake()

    @property
    def nqueued(self) -> int:
        """Events that wait for this reader."""
        return len(self._replay) + len(self._queued)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Envelope:
        while True:
            if self._replay:
                return self._replay.popleft()
            if self._queued:
                return self._queued.popleft()
            if self._closed:
                raise StopAsyncIteration
            self._wakeup = asyncio.get_running_loop().create_future()
            try:
                await self._wakeup
            finally:
                self._wakeup = None

    def _put(self, envelope: Envelope) -> None:
        if len(self._queued) >= self._limit:
            self._replay.clear()
            self._queued.clear()
            envelope = self._hub._envelope(Resync())
        self._queued.append(envelope)
        self._wake()

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)
