"""From a `SubscriberConfig` to a subscriber that serves."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caterva2._version import __version__
from caterva2.compute.codec import release_gil
from caterva2.errors import ConfigError
from caterva2.model.routes import Role
from caterva2.roles.subscriber.access import Access
from caterva2.roles.subscriber.accounts import Accounts
from caterva2.roles.subscriber.areas import Areas
from caterva2.roles.subscriber.gauges import add_gauges
from caterva2.roles.subscriber.handlers.catalog import (
    InfoHandler,
    ListHandler,
    OpenApiHandler,
    RootsHandler,
    SubscribeHandler,
)
from caterva2.roles.subscriber.handlers.data import ChunkHandler, DownloadHandler, FetchHandler, WindowHandler
from caterva2.roles.subscriber.handlers.exprs import (
    ConcatHandler,
    ExplainHandler,
    LazyExprHandler,
    StackHandler,
    UploadLazyArrayHandler,
)
from caterva2.roles.subscriber.handlers.files import (
    AddNotebookHandler,
    AppendHandler,
    CopyHandler,
    MkdirHandler,
    MoveHandler,
    NewUploadHandler,
    RemoveHandler,
    ResumableHandler,
    UploadHandler,
)
from caterva2.roles.subscriber.handlers.management import ResetLinkHandler, ServiceHandler, UsersHandler
from caterva2.roles.subscriber.handlers.page import Page, PageSettings, add_page
from caterva2.roles.subscriber.handlers.tree import TreeHandler
from caterva2.roles.subscriber.handlers.users import (
    AddUserHandler,
    ChangePasswordHandler,
    DelUserHandler,
    ForgotPasswordHandler,
    ListUsersHandler,
    LoginHandler,
    LogoutEverywhereHandler,
    LogoutHandler,
    MeHandler,
    RegisterUserHandler,
    ResetPasswordHandler,
    SharedHandler,
    SharesHandler,
    TokensHandler,
)
from caterva2.roles.subscriber.handlers.zarrview import ZarrHandler
from caterva2.roles.subscriber.mail import Mailer
from caterva2.roles.subscriber.management import Management
from caterva2.roles.subscriber.service import Subscriber
from caterva2.runtime.clock import SystemClock
from caterva2.runtime.hub import Hub
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.blockcache import BlockCache
from caterva2.storage.state import Catalog
from caterva2.storage.userdb import UserDb
from caterva2.transport.app import Application, make_application
from caterva2.transport.context import Context
from caterva2.transport.eventsocket import EventSocket
from caterva2.transport.security import Proxies
from caterva2.transport.serve import Server, bind
from caterva2.transport.status import HealthHandler, MetricsHandler
from caterva2.transport.webassets import WebAssets

if TYPE_CHECKING:
    import asyncio

    from caterva2.config.schema import SubscriberConfig

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parents[2] / "static"
"""Where the build puts the web page."""

HANDLERS = {
    "health": HealthHandler,
    "metrics": MetricsHandler,
    "openapi": OpenApiHandler,
    "events": EventSocket,
    "roots": RootsHandler,
    "subscribe": SubscribeHandler,
    "list": ListHandler,
    "info": InfoHandler,
    "tree": TreeHandler,
    "fetch": FetchHandler,
    "window": WindowHandler,
    "download": DownloadHandler,
    "chunk": ChunkHandler,
    "zarr": ZarrHandler,
    "lazyexpr": LazyExprHandler,
    "upload-lazyarr": UploadLazyArrayHandler,
    "concat": ConcatHandler,
    "stack": StackHandler,
    "explain": ExplainHandler,
    "upload": UploadHandler,
    "new-upload": NewUploadHandler,
    "continue-upload": ResumableHandler,
    "upload-state": ResumableHandler,
    "finish-upload": ResumableHandler,
    "abandon-upload": ResumableHandler,
    "remove": RemoveHandler,
    "move": MoveHandler,
    "copy": CopyHandler,
    "mkdir": MkdirHandler,
    "append": AppendHandler,
    "addnotebook": AddNotebookHandler,
    "login": LoginHandler,
    "logout": LogoutHandler,
    "logout-everywhere": LogoutEverywhereHandler,
    "register-user": RegisterUserHandler,
    "forgot-password": ForgotPasswordHandler,
    "reset-password": ResetPasswordHandler,
    "change-password": ChangePasswordHandler,
    "me": MeHandler,
    "adduser": AddUserHandler,
    "deluser": DelUserHandler,
    "listusers": ListUsersHandler,
    "users": UsersHandler,
    "change-user": UsersHandler,
    "create-reset-link": ResetLinkHandler,
    "service": ServiceHandler,
    "list-tokens": TokensHandler,
    "create-token": TokensHandler,
    "revoke-token": TokensHandler,
    "list-shares": SharesHandler,
    "create-share": SharesHandler,
    "revoke-share": SharesHandler,
    "shared": SharedHandler,
}


@dataclass(frozen=True)
class RunningSubscriber:
    """A subscriber that serves: the service, and the server in front of it."""

    subscriber: Subscriber
    server: Server


def make_app(subscriber: Subscriber, config: SubscriberConfig, assets: WebAssets) -> Application:
    """Return the application of a subscriber, with its web page."""
    context = Context(
        service="subscriber", version=__version__, origins=config.origins, urlbase=config.urlbase,
        proxies=Proxies(config.proxies), authenticator=subscriber.accounts,
    )  # fmt: skip
    add_gauges(context.metrics, subscriber, config)
    application = make_application(Role.SUBSCRIBER, HANDLERS, subscriber, context=context)
    may_register = config.login and config.register
    settings = PageSettings(version=__version__, login=config.login, register=may_register)
    add_page(application, Page(assets, settings))
    return application


@contextlib.asynccontextmanager
async def running(config: SubscriberConfig) -> AsyncIterator[RunningSubscriber]:
    """Serve inside the block; stop in reverse order after it.

    Raises
    ------
    ConfigError
        The address can not be listened on, or users are asked for without a secret.
    InternalError
        The state directory can not be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        listening = bind(config.http)
        stack.callback(listening.close)
        workers = Workers(net=32, hooks=[release_gil])
        workers.start()
        stack.push_async_callback(workers.stop)
        state = config.statedir
        spool = state / "spool"
        spool.mkdir(parents=True, exist_ok=True)
        catalog = await workers.run(Lane.DISK, Catalog, state / "subscriber.sqlite")
        stack.callback(catalog.close)
        hub = Hub()
        access = Access(config.access)
        users = await _open_users(config, workers, stack) if config.login else None
        areas = Areas(
            state, has_users=config.login, access=access, catalog=catalog, hub=hub, workers=workers,
            quota=config.quota, user_quota=config.userquota, own_quotas=users.quotas if users else dict,
        )  # fmt: skip
        accounts = None if users is None else _make_accounts(config, users, areas, workers, stack)
        management = None
        if users is not None and accounts is not None:
            management = Management(accounts, users, areas, workers, SystemClock(), urlbase=config.urlbase)
        subscriber = Subscriber(
            accounts=accounts,
            management=management,
            access=access,
            broker=None if config.broker is None else str(config.broker),
            secret=config.secret,
            catalog=catalog,
            cache=BlockCache(state / "cache", config.cache),
            areas=areas,
            spool=spool,
            hub=hub,
            workers=workers,
        )
        stack.push_async_callback(subscriber.stop)
        await subscriber.start()
        assets = await workers.run(Lane.DISK, WebAssets.load, STATIC)
        server = Server(make_app(subscriber, config, assets), listening)
        stack.push_async_callback(server.stop)
        server.start()
        yield RunningSubscriber(subscriber, server)


async def _open_users(config: SubscriberConfig, workers: Workers, stack: contextlib.AsyncExitStack) -> UserDb:
    db = await workers.run(Lane.DISK, UserDb, config.statedir / "users.sqlite")
    stack.callback(db.close)
    return db


def _make_accounts(
    config: SubscriberConfig, db: UserDb, areas: Areas, workers: Workers, stack: contextlib.AsyncExitStack
) -> Accounts:
    if config.auth_secret is None:
        raise ConfigError("login needs a secret in CATERVA2_SECRET", hint="set it, or say login = false")
    accounts = Accounts(
        db,
        workers,
        SystemClock(),
        secret=config.auth_secret,
        register=config.register,
        maxusers=config.maxusers,
        urlbase=config.urlbase,
        mailer=None if config.mail is None else Mailer(config.mail),
        removed=areas.remove_user,
    )
    stack.push_async_callback(accounts.stop)
    return accounts


async def run(config: SubscriberConfig, *, announce: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve until `stop` is set; raises as `running`.

    Parameters
    ----------
    announce
        Called with the actual address once the subscriber serves.
    """
    async with running(config) as service:
        announce(str(service.server.address))
        await stop.wait()
