"""One upstream event stream of another service, kept open for as long as the follower runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from caterva2.client.peer import SECRET_HEADER
from caterva2.client.urlbase import Urlbase
from caterva2.errors import Caterva2Error, ProtocolMismatch
from caterva2.model import wire
from caterva2.model.events import Envelope

if TYPE_CHECKING:
    from tornado.websocket import WebSocketClientConnection

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
PING_S = 5.0
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 2.0
MAX_MESSAGE = 16 << 20


class Relay:
    """Follow the events of a service; connect again whenever the connection is lost.

    Parameters
    ----------
    http
        Address of the service, as it announced itself.
    opened
        Called when the connection stands, before the first event.
    received
        Called with every event, one after the other.
    lost
        Called when a connection that stood is gone, and when none could be made.
    """

    def __init__(
        self,
        http: str,
        *,
        secret: str | None,
        opened: Callable[[], Awaitable[None]],
        received: Callable[[Envelope], Awaitable[None]],
        lost: Callable[[str], None],
    ) -> None:
        text = f"unix:{http}" if "/" in http and "://" not in http and not http.startswith("unix:") else http
        self._urlbase = Urlbase.parse(text)
        self._secret = secret
        self._opened = opened
        self._received = received
        self._lost = lost
        self._again = asyncio.Event()
        self._position: tuple[str, int] | None = None

    def poke(self) -> None:
        """Try to connect now, if waiting."""
        self._again.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        delay = FIRST_DELAY_S
        while True:
            started = asyncio.get_running_loop().time()
            reason = await self._follow_once()
            if asyncio.get_running_loop().time() - started > LONGEST_DELAY_S:
                delay = FIRST_DELAY_S
            self._lost(reason)
            self._again.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), delay * random.uniform(0.8, 1.2))  # noqa: S311
                delay = FIRST_DELAY_S
            delay = min(delay * 2, LONGEST_DELAY_S)

    async def _follow_once(self) -> str:
        """Connect and read until the connection ends; return why it ended."""
        try:
            connection = await asyncio.wait_for(self._connect(), CONNECT_TIMEOUT_S)
        except Exception as exc:
            return str(exc) or type(exc).__name__
        try:
            await self._opened()
            await self._read(connection)
        except Caterva2Error as exc:
            return exc.message
        except Exception:
            logger.exception("following %s failed", self._urlbase)
            return "an event could not be applied"
        finally:
            connection.close()
        return "the connection was closed"

    async def _read(self, connection: WebSocketClientConnection) -> None:
        while True:
            message = await connection.read_message()
            if message is None:
                return
            try:
                envelope = wire.answer_from_json(
                    message.encode() if isinstance(message, str) else message, Envelope
                )
            except ProtocolMismatch as exc:
                logger.warning("ignored an event of %s: %s", self._urlbase, exc)
                continue
            self._position = (envelope.epoch, envelope.seq)
            await self._received(envelope)

    async def _connect(self) -> WebSocketClientConnection:
        import socket

        from tornado.httpclient import HTTPRequest
        from tornado.netutil import Resolver
        from tornado.websocket import websocket_connect

        path = self._urlbase.unix_path

        class UnixResolver(Resolver):
            async def resolve(self, host: str, port: int, family: int = 0) -> list[tuple[int, str]]:
                return [(socket.AF_UNIX, path)]

        query = {}
        if self._position is not None:
            query = {"epoch": self._position[0], "since": str(self._position[1])}
        url = "ws" + self._urlbase.url.removeprefix("http") + "/api/events"
        request = HTTPRequest(
            f"{url}?{urlencode(query)}" if query else url,
            headers={SECRET_HEADER: self._secret} if self._secret else {},
            connect_timeout=CONNECT_TIMEOUT_S,
            request_timeout=CONNECT_TIMEOUT_S,
        )
        return await websocket_connect(
            request,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            max_message_size=MAX_MESSAGE,
            resolver=UnixResolver() if path else None,
        )
