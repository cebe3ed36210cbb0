"""From a `BrokerConfig` to a broker that serves."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caterva2._version import __version__
from caterva2.model.routes import Role
from caterva2.roles.broker.handlers import AnnounceHandler, HeartbeatHandler, RegisterHandler, RootsHandler
from caterva2.roles.broker.service import Broker
from caterva2.runtime.clock import Clock, SystemClock
from caterva2.runtime.hub import Hub
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.state import BrokerState
from caterva2.transport.app import Application, make_application
from caterva2.transport.context import Context
from caterva2.transport.eventsocket import EventSocket
from caterva2.transport.serve import Server, bind
from caterva2.transport.status import HealthHandler, MetricsHandler

if TYPE_CHECKING:
    import asyncio

    from caterva2.config.schema import BrokerConfig

logger = logging.getLogger(__name__)

HANDLERS = {
    "health": HealthHandler,
    "metrics": MetricsHandler,
    "events": EventSocket,
    "broker-roots": RootsHandler,
    "register": RegisterHandler,
    "heartbeat": HeartbeatHandler,
    "announce": AnnounceHandler,
}


@dataclass(frozen=True)
class RunningBroker:
    """A broker that serves: the service, and the server in front of it."""

    broker: Broker
    server: Server


def make_app(broker: Broker, config: BrokerConfig) -> Application:
    """Return the application of a broker."""
    context = Context(service="broker", version=__version__, secret=config.secret)
    metrics = context.metrics
    metrics.gauge("roots_online", "Roots whose publishers are alive.", read=lambda: broker.nonline)
    metrics.gauge("events", "Events relayed since the start.", read=lambda: broker.hub.position.seq)
    metrics.gauge("event_readers", "Open event streams.", read=lambda: broker.hub.nsubscribers)
    metrics.gauge("roots_known", "Roots that are remembered.", read=lambda: broker.nroots)
    return make_application(Role.BROKER, HANDLERS, broker, context=context)


@contextlib.asynccontextmanager
async def running(config: BrokerConfig, *, clock: Clock | None = None) -> AsyncIterator[RunningBroker]:
    """Serve inside the block; stop in reverse order after it.

    Raises
    ------
    ConfigError
        The address can not be listened on.
    InternalError
        The state directory can not be used.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        listening = bind(config.http)
        stack.callback(listening.close)
        workers = Workers(disk=1, cpu=1, auth=1)
        workers.start()
        stack.push_async_callback(workers.stop)
        state = await workers.run(Lane.DISK, BrokerState, config.statedir / "broker.sqlite")
        stack.callback(state.close)
        broker = Broker(
            lease_s=config.lease_s,
            max_roots=config.max_roots,
            state=state,
            workers=workers,
            hub=Hub(clock=clock),
            clock=clock,
        )
        stack.push_async_callback(broker.stop)
        await broker.start()
        server = Server(make_app(broker, config), listening)
        stack.push_async_callback(server.stop)
        server.start()
        yield RunningBroker(broker, server)


async def run(config: BrokerConfig, *, announce: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve until `stop` is set; raises as `running`.

    Parameters
    ----------
    announce
        Called with the actual address once the broker serves.
    """
    if config.secret is None and not config.http.is_loopback:
        logger.warning(
            "listening on %s without a secret: everybody who reaches it can register roots;"
            " set [broker] secret for all services",
            config.http,
        )
    async with running(config) as service:
        announce(str(service.server.address))
        await stop.wait()
