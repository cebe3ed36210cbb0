"""The websocket on which a server tells its events: how it is opened, and what is read from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from caterva2.errors import ProtocolMismatch
from caterva2.model import wire
from caterva2.model.events import Envelope

if TYPE_CHECKING:
    from tornado.netutil import Resolver
    from tornado.websocket import WebSocketClientConnection

    from caterva2.client.urlbase import Urlbase

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 16 << 20


async def open_events(
    urlbase: Urlbase,
    *,
    headers: Mapping[str, str],
    epoch: str | None = None,
    since: int | None = None,
    ping_s: float,
    timeout_s: float,
) -> WebSocketClientConnection:
    """Open the websocket of a server's events.

    Parameters
    ----------
    headers
        What tells who asks.
    epoch, since
        Behind which event to go on; without `since` those from now on are told.
    ping_s
        A server that does not answer to a ping within so many seconds is taken for gone.
    timeout_s
        How long opening may take.

    Raises
    ------
    TimeoutError
        It took longer.
    """
    from tornado.httpclient import HTTPRequest
    from tornado.websocket import websocket_connect

    query = {} if since is None else {"epoch": epoch or "", "since": str(since)}
    url = f"ws{urlbase.url.removeprefix('http')}/api/events"
    request = HTTPRequest(
        f"{url}?{urlencode(query)}" if query else url,
        headers=dict(headers),
        connect_timeout=timeout_s,
        request_timeout=timeout_s,
    )
    async with asyncio.timeout(timeout_s):
        return await websocket_connect(
            request,
            ping_interval=ping_s,
            ping_timeout=ping_s,
            max_message_size=MAX_MESSAGE_BYTES,
            resolver=_unix_resolver(urlbase.unix_path) if urlbase.unix_path else None,
        )


async def read_events(
    connection: WebSocketClientConnection, urlbase: Urlbase
) -> AsyncGenerator[Envelope, None]:
    """Yield what arrives until the connection ends; what this version does not know is left out."""
    while True:
        message = await connection.read_message()
        if message is None:
            return
        data = message.encode() if isinstance(message, str) else message
        try:
            envelope = wire.answer_from_json(data, Envelope)
        except ProtocolMismatch as exc:
            # A newer server may tell what this version does not know.
            logger.warning("ignored an event of %s: %s", urlbase, exc)
            continue
        yield envelope


def _unix_resolver(path: str) -> Resolver:
    import socket

    from tornado.netutil import Resolver

    class UnixResolver(Resolver):
        async def resolve(
            self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[tuple[int, str]]:
            return [(socket.AF_UNIX, path)]

    resolver: Resolver = UnixResolver()
    return resolver
