"""One upstream event stream of another service, kept open for as long as the follower runs.

What users follow is `caterva2.client.events.EventStream`. Services need more: to hear that a connection
stands before its first event, to apply one event before the next comes, and to try on after a refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from caterva2.client.eventsocket import open_events, read_events
from caterva2.client.peer import SECRET_HEADER
from caterva2.client.urlbase import Urlbase
from caterva2.errors import Caterva2Error
from caterva2.model.events import Envelope

if TYPE_CHECKING:
    from tornado.websocket import WebSocketClientConnection

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
PING_S = 5.0
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 2.0


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
            connection = await self._connect()
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
        async with contextlib.aclosing(read_events(connection, self._urlbase)) as envelopes:
            async for envelope in envelopes:
                self._position = (envelope.epoch, envelope.seq)
                await self._received(envelope)

    async def _connect(self) -> WebSocketClientConnection:
        epoch, since = self._position or (None, None)
        return await open_events(
            self._urlbase,
            headers={SECRET_HEADER: self._secret} if self._secret else {},
            epoch=epoch,
            since=since,
            ping_s=PING_S,
            timeout_s=CONNECT_TIMEOUT_S,
        )
