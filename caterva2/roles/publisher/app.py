"""From a `PublisherConfig` to a publisher that serves."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from caterva2._version import __version__
from caterva2.client.connection import AsyncConnection
from caterva2.config.units import Address
from caterva2.errors import Caterva2Error, ConfigError
from caterva2.model.paths import check_root_name
from caterva2.model.routes import Role
from caterva2.roles.localroot import LocalRoot
from caterva2.roles.publisher.brokerlink import BrokerLink, unreachable
from caterva2.roles.publisher.handlers import (
    BlocksHandler,
    CatalogHandler,
    ChunkHandler,
    DescribeHandler,
    InfoHandler,
    ListHandler,
)
from caterva2.roles.publisher.service import Publisher
from caterva2.roles.watcher import Watcher
from caterva2.runtime.clock import Clock, SystemClock
from caterva2.runtime.hub import Hub
from caterva2.runtime.tasks import Supervisor
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.directory import DirectorySource
from caterva2.storage.registry import open_source
from caterva2.storage.state import Catalog
from caterva2.transport.app import Application, make_application
from caterva2.transport.context import Context
from caterva2.transport.eventsocket import EventSocket
from caterva2.transport.handler import SECRET_HEADER
from caterva2.transport.metrics import add_worker_gauges
from caterva2.transport.serve import Server, bind
from caterva2.transport.status import HealthHandler, MetricsHandler

if TYPE_CHECKING:
    from caterva2.config.schema import PublisherConfig

logger = logging.getLogger(__name__)

PROBE_S = 5.0
READY_S = 60.0
RING, QUEUE = 2_000, 1_000

HANDLERS = {
    "health": HealthHandler,
    "metrics": MetricsHandler,
    "events": EventSocket,
    "publisher-list": ListHandler,
    "publisher-info": InfoHandler,
    "publisher-chunk": ChunkHandler,
    "catalog": CatalogHandler,
    "describe": DescribeHandler,
    "blocks": BlocksHandler,
}


@dataclass(frozen=True)
class RunningPublisher:
    """A publisher that serves: the service, its root, the server in front, and the link to the broker."""

    publisher: Publisher
    root: LocalRoot
    server: Server
    link: BrokerLink
    watcher: Watcher | None


def make_app(publisher: Publisher, config: PublisherConfig, link: BrokerLink | None = None) -> Application:
    """Return the application of a publisher."""
    context = Context(service="publisher", version=__version__, secret=config.secret)
    metrics, hub = context.metrics, publisher.hub
    metrics.gauge("events", "Changes told since the start.", read=lambda: hub.position.seq)
    metrics.gauge("event_readers", "Open event streams.", read=lambda: hub.nsubscribers)
    if link is not None:
        metrics.gauge(
            "broker_connected", "Whether the broker answers.", read=lambda: float(link.is_connected)
        )
    add_worker_gauges(metrics, publisher.workers)
    return make_application(Role.PUBLISHER, HANDLERS, publisher, context=context)


@contextlib.asynccontextmanager
async def running(
    config: PublisherConfig, *, clock: Clock | None = None, settle_s: float = 0.5
) -> AsyncIterator[RunningPublisher]:
    """Serve inside the block; stop in reverse order after it.

    Parameters
    ----------
    settle_s
        A file is announced when it has stayed the same for so many seconds.

    Raises
    ------
    ConfigError
        The root can not be served, or the address not be listened on.
    BrokerUnavailable
        The broker can not be reached.
    RootTaken
        Another publisher serves a root of this name.
    ServiceError
        The root, or the state directory, can not be used.
    """
    clock = clock or SystemClock()
    check_root_name(config.name)
    async with contextlib.AsyncExitStack() as stack:
        listening = bind(config.http)
        stack.callback(listening.close)
        workers = Workers()
        workers.start()
        stack.push_async_callback(workers.stop)
        source = await workers.run(
            Lane.DISK, partial(open_source, exclude=[config.statedir]), config.root, config.statedir / "cache"
        )
        # Now: who has no broker should know at once, not after a long look at a large root.
        reached_from = await workers.run(Lane.DISK, _reach, config.broker)
        catalog = await workers.run(Lane.DISK, Catalog, config.statedir / "publisher.sqlite")
        stack.callback(catalog.close)
        hub = Hub(ring=RING, queue=QUEUE, clock=clock)
        stack.callback(hub.close)
        outbox = hub.subscribe()
        root = LocalRoot(source, catalog, hub, workers, config.name)
        stack.push_async_callback(root.stop)
        supervisor = Supervisor(f"publisher {config.name}", clock=clock)
        stack.push_async_callback(supervisor.stop)
        watcher = None
        if isinstance(source, DirectorySource):
            watcher = Watcher(source, workers, settle_s=settle_s, clock=clock)
            supervisor.spawn("watch", partial(follow, watcher, root))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READY_S):
                    await watcher.ready.wait()
        await root.start()
        headers = {} if config.secret is None else {SECRET_HEADER: config.secret}
        connection = AsyncConnection(_client_url(config.broker), headers=headers)
        stack.push_async_callback(connection.close)
        advertised = config.advertise or _advertised(listening.address, reached_from)
        link = BrokerLink(
            connection,
            broker=str(config.broker),
            name=config.name,
            http=str(advertised),
            events=outbox,
            drained=root.announced,
            clock=clock,
        )
        publisher = Publisher(root, workers)
        server = Server(make_app(publisher, config, link), listening)
        stack.push_async_callback(server.stop)
        server.start()
        await link.register()
        stack.push_async_callback(link.leave)
        stack.push_async_callback(supervisor.stop)  # a heartbeat after leaving would register again
        supervisor.spawn("heartbeat", link.beat)
        supervisor.spawn("announce", link.forward)
        yield RunningPublisher(publisher, root, server, link, watcher)


async def follow(watcher: Watcher, root: LocalRoot) -> None:
    """Let a root know what its watcher sees, for as long as this runs.

    `LocalRoot.start` looks at everything once `watcher` is ready; so does this when it begins again.
    """
    began_before = watcher.ready.is_set()
    async with contextlib.aclosing(watcher.changes(look_first=began_before)) as changes:
        async for paths in changes:
            try:
                await root.refresh(paths)
            except Caterva2Error as exc:
                logger.warning("changes of root %s can not be taken up now: %s", root.name, exc)


async def run(config: PublisherConfig, *, announce: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve until `stop` is set; raises as `running`.

    Parameters
    ----------
    announce
        Called with the actual address once the publisher serves.
    """
    if config.secret is None and not config.http.is_loopback:
        logger.warning(
            "listening on %s without a secret: everybody who reaches it can read the root;"
            " set [broker] secret for all services",
            config.http,
        )
    async with running(config) as service:
        announce(str(service.server.address))
        await stop.wait()


def _reach(broker: Address) -> str:
    """Connect to the broker once; return the local address that was used, empty for a Unix socket. Blocking.

    Raises
    ------
    BrokerUnavailable
        Nobody answers there.
    """
    try:
        if broker.is_unix:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(PROBE_S)
                probe.connect(broker.unix_path)
            return ""
        host = "localhost" if broker.is_wildcard else broker.host
        with socket.create_connection((host, broker.port), timeout=PROBE_S) as probe:
            return str(probe.getsockname()[0])
    except TimeoutError as exc:
        raise unreachable(str(broker), f"no answer in {PROBE_S:g} s") from exc
    except socket.gaierror as exc:
        raise unreachable(str(broker), f"unknown host {broker.host!r}") from exc
    except OSError as exc:
        reason = os.strerror(exc.errno or errno.EIO)
        raise unreachable(str(broker), reason) from exc


def _advertised(listening: Address, reached_from: str) -> Address:
    """Return the address under which others reach us: our own spelling, unless it means all interfaces."""
    if listening.is_unix or not listening.is_wildcard:
        return listening
    try:
        local = Address.parse(f"[{reached_from}]:1" if ":" in reached_from else f"{reached_from}:1")
    except ConfigError:
        return listening.with_host("localhost")
    return listening.with_host("localhost" if local.is_loopback else local.host)


def _client_url(broker: Address) -> str:
    return str(broker) if broker.is_unix else broker.url
