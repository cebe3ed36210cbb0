"""The websocket on which a service tells its events."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol, cast

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from caterva2.errors import BadRequest, NotAuthenticated, NotPermitted
from caterva2.model import wire
from caterva2.model.events import public_envelope
from caterva2.model.requests import EventsQuery
from caterva2.transport.handler import BaseHandler
from caterva2.transport.security import is_own

if TYPE_CHECKING:
    from tornado.websocket import WebSocketProtocol

    from caterva2.model.events import Event
    from caterva2.model.users import Principal
    from caterva2.runtime.hub import Hub, Subscription

logger = logging.getLogger(__name__)

PING_S = 20.0
"""Seconds between pings; a peer that answers none within as long is dead."""
MAX_INCOMING = 4096
"""Bytes of a message from a client; nothing is expected but control frames."""
GOING_AWAY, POLICY_VIOLATION = 1001, 1008


class EventSource(Protocol):
    """What the service behind an event socket offers."""

    @property
    def hub(self) -> Hub:
        """Where the events come from."""
        ...

    def allow(self, principal: Principal, event: Event) -> bool:
        """Whether `principal` may see `event`; called often, may not block."""
        ...


class EventSocket(BaseHandler[EventSource], WebSocketHandler):
    """GET /api/events: one `Envelope` as JSON in each text frame.

    Numbers that a reader does not see belong to events that it may not see;
    what it missed is told with `Resync`.
    """

    safe = False

    async def get(self, *args: str) -> None:
        """Open the websocket, or refuse with the usual JSON."""
        headers = self.request.headers
        upgrades = {part.strip().lower() for part in headers.get("Connection", "").split(",")}
        if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in upgrades:
            raise BadRequest("events are sent over a websocket; the request is a plain one")
        if headers.get("Sec-WebSocket-Version") not in {"7", "8", "13"}:
            raise BadRequest("the websocket version is not supported", hint="use version 13")
        origin = headers.get("Origin")
        if origin is not None and not self._is_own(origin):
            raise NotPermitted(f"pages of {origin} may not follow events here")
        self._query = self.query(EventsQuery)
        self._subscription: Subscription | None = None
        self._sender: asyncio.Task[None] | None = None
        self._protocol: WebSocketProtocol | None = None
        await WebSocketHandler.get(self, *args)

    def check_origin(self, origin: str) -> bool:
        """Return True: `get` has looked already."""
        return True

    @property
    def ping_interval(self) -> float:
        """Seconds between pings."""
        return PING_S

    @property
    def ping_timeout(self) -> float:
        """Seconds to wait for the answer to a ping."""
        return PING_S

    @property
    def max_message_size(self) -> int:
        """Bytes of a message from the client."""
        return MAX_INCOMING

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin to send; called by Tornado after the handshake."""
        self._leave()
        self.set_nodelay(True)
        application = self._application
        application.socket_opened(self)
        self._protocol = self.ws_connection  # Tornado forgets it when the goodbye is said
        self._subscription = self.service.hub.subscribe(self._query.epoch, self._query.since)
        self._sender = asyncio.create_task(self._send(self._subscription), name="event socket")
        if application.draining:
            self.close(GOING_AWAY, "server stops")

    def on_message(self, message: str | bytes) -> None:
        """Ignore what a client says."""

    def on_close(self) -> None:
        """End the subscription; called by Tornado once."""
        self._application.socket_closed(self)
        if self._subscription is not None:
            self._subscription.close()
        if self._sender is not None:
            self._sender.cancel()

    def abort(self) -> None:
        """Close the connection without waiting for the peer."""
        if self._protocol is not None:
            self._protocol._abort()

    async def _send(self, subscription: Subscription) -> None:
        allow = self.service.allow
        try:
            async for envelope in subscription:
                if allow(await self.look_again(), envelope.event):
                    await self.write_message(wire.to_json(public_envelope(envelope)))
            self.close(GOING_AWAY, "server stops")
        except NotAuthenticated:
            self.close(POLICY_VIOLATION, "the session has ended")
        except (WebSocketClosedError, StreamClosedError):
            logger.debug("event socket is closed")
        except Exception:
            logger.exception("event socket failed")
            self.close(1011, "internal error")

    @property
    def _application(self) -> Any:  # noqa: ANN401 - `Application`, which imports the handlers
        return cast("Any", self.application)

    def _is_own(self, origin: str) -> bool:
        if origin in self.endpoint.context.origins:
            return True
        return is_own(origin, self.request.headers, self.endpoint.context.site)
