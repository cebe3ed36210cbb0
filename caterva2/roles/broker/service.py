"""Who publishes what: the roots of a network, their leases, and the relay of events."""

from __future__ import annotations

import asyncio
import collections
import hashlib
import hmac
import ipaddress
import logging
import math
import secrets
from typing import TYPE_CHECKING

from caterva2.config.units import Address
from caterva2.errors import Caterva2Error, ConfigError, Overloaded, RootNotFound, RootTaken, ValidationFailed
from caterva2.model.events import DatasetChanged, DatasetRemoved, EventBatch, Resync, RootChanged
from caterva2.model.paths import check_root_name, split_path
from caterva2.model.roots import BrokerRoot, Heartbeat, Lease, Registration, RootStatus
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.state import BrokerState, StoredRoot

if TYPE_CHECKING:
    from caterva2.model.events import Event
    from caterva2.model.users import Principal
    from caterva2.runtime.clock import Clock
    from caterva2.runtime.hub import Hub

logger = logging.getLogger(__name__)

_KEYS_KEPT = 1000
_MAX_KEY = 200
_CHECKS_PER_LEASE = 6


class _Held:
    """A root, and who holds it until when."""

    __slots__ = ("deadline", "keys", "online", "stored")

    def __init__(self, stored: StoredRoot, deadline: float) -> None:
        self.stored = stored
        self.deadline = deadline
        self.online = not stored.left
        # Idempotency keys of the batches that have been relayed, oldest first.
        self.keys: collections.OrderedDict[str, None] = collections.OrderedDict()

    @property
    def status(self) -> RootStatus:
        return RootStatus.ONLINE if self.online else RootStatus.OFFLINE


class Broker:
    """The roots of one network. All methods run on the event loop.

    Parameters
    ----------
    lease_s
        A root is held by its publisher for so many seconds after it was last heard from.
    max_roots
        Refuse to know more roots than this.
    state
        What is remembered between runs; closed by the owner.
    workers
        Started and stopped by the owner.
    hub
        Where events go.
    """

    def __init__(
        self,
        *,
        lease_s: float,
        max_roots: int,
        state: BrokerState,
        workers: Workers,
        hub: Hub,
        clock: Clock,
    ) -> None:
        self.hub = hub
        self._lease_s = lease_s
        self._max_roots = max_roots
        self._state = state
        self._workers = workers
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._storing = asyncio.Lock()
        self._unstored: dict[str, StoredRoot] = {}
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up the known roots; their publishers get one lease to be heard again."""
        if self._watch is not None:
            return
        known = await self._workers.run(Lane.DISK, self._state.load)
        deadline = self._clock.monotonic() + self._lease_s
        for stored in known:
            self._held[stored.name] = _Held(stored, -math.inf if stored.left else deadline)
        self._watch = asyncio.create_task(self._watch_leases(), name="broker leases")

    async def stop(self) -> None:
        """End the watch over leases and all event streams; safe to call twice."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])
        self.hub.close()

    @property
    def nroots(self) -> int:
        """How many roots are remembered."""
        return len(self._held)

    @property
    def nonline(self) -> int:
        """How many roots are online."""
        return sum(held.online for held in self._held.values())

    def roots(self) -> dict[str, BrokerRoot]:
        """Return all known roots, by name."""
        return {
            name: BrokerRoot(name=name, http=held.stored.http, status=held.status)
            for name, held in sorted(self._held.items())
        }

    async def register(self, registration: Registration, peer: str) -> Lease:
        """Give a root to its publisher.

        The publisher that holds a root may register it again, and gets a new token.

        Parameters
        ----------
        peer
            IP address the request came from. It stands in for the host of a publisher
            that only says which port it listens on (``*:8001``).

        Raises
        ------
        RootTaken
            Another publisher holds the root, and was heard from within its lease.
        BadPath
            The name can not be that of a root.
        ValidationFailed
            ``http`` is no address.
        """
        name = check_root_name(registration.name)
        http = _reachable(registration.http, peer)
        now = self._clock.monotonic()
        held = self._held.get(name)
        if held is None and len(self._held) >= self._max_roots:
            raise Overloaded(f"the broker knows {self._max_roots} roots already, the most it accepts")
        if held is not None and held.stored.http != http and now < held.deadline:
            raise _taken(name, held, self._lease_s)
        token = secrets.token_urlsafe(32)
        stored = StoredRoot(name=name, http=http, token_hash=_hash(token))
        self._held[name] = _Held(stored, now + self._lease_s)
        self.hub.publish(RootChanged(root=name, http=http, status=RootStatus.ONLINE))
        logger.info("root %s is served by %s", name, http)
        await self._store(stored)
        return Lease(name=name, http=http, token=token, lease_s=self._lease_s)

    async def heartbeat(self, beat: Heartbeat) -> None:
        """Prolong a lease, or end it.

        Raises
        ------
        RootNotFound
            Nobody registered this root here.
        RootTaken
            The token is not that of the last registration.
        """
        held = self._check_token(beat.name, beat.token)
        if beat.leaving:
            held.deadline = -math.inf
            self._set_online(held, online=False)
        else:
            self._renew(held)
        if held.stored.left != beat.leaving:
            held.stored = _with_left(held.stored, left=beat.leaving)
            await self._store(held.stored)

    def announce(self, batch: EventBatch) -> None:
        """Relay events of a root, once for each key; prolongs the lease as a heartbeat does.

        Raises
        ------
        RootNotFound, RootTaken
            As `heartbeat`.
        BadPath, ValidationFailed
            An event is about another root, or about what can not be a file.
        """
        held = self._check_token(batch.root, batch.token)
        _check_batch(batch)
        self._renew(held)
        if batch.key in held.keys:
            return
        for event in batch.events:
            self.hub.publish(Resync(root=batch.root) if isinstance(event, Resync) else event)
        held.keys[batch.key] = None
        if len(held.keys) > _KEYS_KEPT:
            held.keys.popitem(last=False)

    def allow(self, principal: Principal, event: Event) -> bool:
        """Return True: who may follow events here may see all of them."""
        return True

    def expire(self) -> None:
        """Mark roots offline whose lease has run out."""
        now = self._clock.monotonic()
        for held in self._held.values():
            if held.online and now >= held.deadline:
                self._set_online(held, online=False)

    def _check_token(self, name: str, token: str) -> _Held:
        held = self._held.get(name)
        if held is None:
            raise RootNotFound(f"root {name!r} is not registered here", hint="register it again")
        if not hmac.compare_digest(held.stored.token_hash, _hash(token)):
            raise RootTaken(
                f"root {name!r} was registered since, by the publisher at {held.stored.http}",
                hint="register it again",
            )
        return held

    def _renew(self, held: _Held) -> None:
        held.deadline = self._clock.monotonic() + self._lease_s
        self._set_online(held, online=True)

    def _set_online(self, held: _Held, *, online: bool) -> None:
        if held.online == online:
            return
        held.online = online
        logger.info("root %s (%s) is %s", held.stored.name, held.stored.http, held.status)
        self.hub.publish(RootChanged(root=held.stored.name, http=held.stored.http, status=held.status))

    async def _store(self, stored: StoredRoot) -> None:
        """Remember a root on disk; without that the network still runs, so a failure is only logged."""
        self._unstored[stored.name] = stored
        async with self._storing:
            latest = self._unstored.pop(stored.name, None)
            if latest is None:  # whoever had the lock before wrote it
                return
            try:
                await self._workers.run(Lane.DISK, self._state.put, latest)
            except Caterva2Error as exc:
                logger.warning("root %s can not be remembered: %s", latest.name, exc)

    async def _watch_leases(self) -> None:
        while True:
            await self._clock.sleep(self._lease_s / _CHECKS_PER_LEASE)
            self.expire()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _with_left(stored: StoredRoot, *, left: bool) -> StoredRoot:
    return StoredRoot(name=stored.name, http=stored.http, token_hash=stored.token_hash, left=left)


def _taken(name: str, held: _Held, lease_s: float) -> RootTaken:
    return RootTaken(
        f"root {name!r} is served by the publisher at {held.stored.http} already",
        hint=f"choose another name, or stop that publisher; the name is free {lease_s:g} s after it is gone",
        root=name,
        http=held.stored.http,
    )


def _reachable(http: str, peer: str) -> str:
    """Check the address of a publisher and return it in its own spelling, made reachable from elsewhere."""
    try:
        address = Address.parse(http)
    except ConfigError as exc:
        raise _bad_address(http, exc.message) from exc
    if address.is_unix:
        return http
    if address.port == 0:
        raise _bad_address(http, "expected the port that the publisher listens on, found 0")
    if not address.is_wildcard:
        return http
    try:
        host = ipaddress.ip_address(peer)
    except ValueError:  # the request came over a Unix socket
        return str(address.with_host("localhost"))
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    if host.is_loopback or host.is_unspecified or host.is_link_local:
        return str(address.with_host("localhost"))
    return str(address.with_host(str(host)))


def _bad_address(http: str, message: str) -> ValidationFailed:
    return ValidationFailed(f"body: http: {message}", problems=((("body", "http"), message, http[:200]),))


def _check_batch(batch: EventBatch) -> None:
    if not 0 < len(batch.key) <= _MAX_KEY:
        raise ValidationFailed(f"body: key: expected 1 to {_MAX_KEY} characters, found {len(batch.key)}")
    for event in batch.events:
        if event.root != batch.root and not (isinstance(event, Resync) and event.root is None):
            raise ValidationFailed(f"body: events: expected root {batch.root!r}, found {event.root!r}")
        if isinstance(event, DatasetChanged):
            split_path(event.entry.path)
        elif isinstance(event, DatasetRemoved):
            split_path(event.path)
