"""A subscriber inside another program, for the one user who runs it: no TCP, no login, no daemon.

It listens on a Unix socket to which this user alone can connect, and takes
whoever does for him. `caterva2.roles.subscriber.app` has the same for a
service of its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

from caterva2._version import __version__
from caterva2.compute.codec import release_gil
from caterva2.config.units import Address
from caterva2.errors import ConfigError
from caterva2.model.routes import Role
from caterva2.model.users import SCOPES, Principal, Scope
from caterva2.roles.subscriber.access import Access
from caterva2.roles.subscriber.app import HANDLERS, RunningSubscriber
from caterva2.roles.subscriber.areas import Areas
from caterva2.roles.subscriber.service import Subscriber
from caterva2.runtime.hub import Hub
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.blockcache import BlockCache
from caterva2.storage.state import Catalog
from caterva2.transport.app import make_application
from caterva2.transport.context import Context
from caterva2.transport.serve import Server, ServerOptions, bind

logger = logging.getLogger(__name__)

LOCAL_ID = "local"
"""Id of the one user."""
MAX_STATES = 100
DRAIN_S = 1.0
CACHE = 10 << 30


def claim_state(statedir: Path, stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> Path:
    """Return a state directory that no other process uses, until `stack` ends: `statedir`, or one beside it.

    Raises
    ------
    ConfigError
        All are in use, or none can be made.
    """
    for n in range(1, MAX_STATES + 1):
        candidate = statedir if n == 1 else statedir.with_name(f"{statedir.name}-{n}")
        try:
            candidate.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(candidate / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            reason = (exc.strerror or str(exc)).lower()
            raise ConfigError(f"the state directory {str(candidate)!r} can not be used: {reason}") from exc
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                os.close(fd)
                continue
            logger.warning("%s: two servers at once would not be noticed: %s", candidate, exc.strerror)
        stack.callback(os.close, fd)
        return candidate
    raise ConfigError(f"{statedir} and {MAX_STATES - 1} directories beside it are all in use")


@contextlib.asynccontextmanager
async def running_embedded(
    *,
    socket: Path,
    statedir: Path,
    public: Path,
    user: str,
    broker: str | None = None,
    secret: str | None = None,
    cache: int = CACHE,
) -> AsyncIterator[RunningSubscriber]:
    """Serve inside the block, in the running event loop.

    Parameters
    ----------
    socket
        Where to listen: a Unix socket of mode 600.
    statedir
        What it remembers; a directory beside it if another process uses this one.
    public
        The directory behind ``@public``. Of what is in it, what is hidden stays so.
    user
        Name of the one user.
    broker, secret
        Address of a broker to join, and the shared secret of its network; None stands alone.
    cache
        Most bytes that cached roots may take on disk.

    Raises
    ------
    ConfigError
        The socket can not be listened on, or a directory can not be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        state = claim_state(statedir, stack)
        _check_directory(public)
        listening = bind(Address(unix_path=str(socket)), private=True)
        stack.callback(listening.close)
        workers = Workers(net=32, hooks=[release_gil])
        workers.start()
        stack.push_async_callback(workers.stop)
        spool = state / "spool"
        spool.mkdir(exist_ok=True)
        catalog = await workers.run(Lane.DISK, Catalog, state / "subscriber.sqlite")
        stack.callback(catalog.close)
        hub, access = Hub(), Access()
        subscriber = Subscriber(
            access=access,
            broker=broker,
            secret=secret,
            catalog=catalog,
            cache=BlockCache(state / "cache", cache),
            areas=Areas(
                state, has_users=True, access=access, catalog=catalog, hub=hub, workers=workers, public=public
            ),
            spool=spool,
            hub=hub,
            workers=workers,
        )
        stack.push_async_callback(subscriber.stop)
        await subscriber.start(embedded=True)
        principal = Principal(id=LOCAL_ID, name=user, scopes=SCOPES[Scope.WRITE])
        context = Context(service="subscriber", version=__version__, nobody=principal)
        application = make_application(Role.SUBSCRIBER, HANDLERS, subscriber, context=context)
        server = Server(application, listening, options=ServerOptions(drain_s=DRAIN_S))
        stack.push_async_callback(server.stop)
        server.start()
        yield RunningSubscriber(subscriber, server)


def _check_directory(public: Path) -> None:
    if not public.is_dir():
        raise ConfigError(f"the directory for @public, {str(public)!r}, does not exist")
