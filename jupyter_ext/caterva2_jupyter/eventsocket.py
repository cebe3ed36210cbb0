"""The websocket on which a page hears the events of a subscriber."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.websocket import WebSocketMixin
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from caterva2.errors import BadRequest, ValidationFailed
from caterva2.model import wire
from caterva2.model.requests import EventsQuery
from caterva2_jupyter.handlers import ErrorAnswers
from caterva2_jupyter.proxy import NOT_SENT

if TYPE_CHECKING:
    from caterva2.runtime.hub import Subscription
    from caterva2_jupyter.eventproxy import EventRelay

logger = logging.getLogger(__name__)

GOING_AWAY, TRY_AGAIN_LATER = 1001, 1013
MAX_INCOMING = 4096


class EventsHandler(WebSocketMixin, WebSocketHandler, ErrorAnswers):
    """GET caterva2/s/NAME/api/events: one `Envelope` as JSON in each text frame, as subscribers do."""

    _subscription: Subscription | None = None
    _sender: asyncio.Task[None] | None = None
    _relay: EventRelay | None = None

    @property
    def max_message_size(self) -> int:
        """Bytes of a message from the page; nothing is expected but control frames."""
        return MAX_INCOMING

    @ws_authenticated
    async def get(self, name: str) -> None:
        """Open the websocket, or refuse with the usual JSON."""
        await self.check_authorized("read")
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise BadRequest("events are sent over a websocket; the request is a plain one")
        given = {
            key: self.get_query_argument(key) for key in self.request.query_arguments if key not in NOT_SENT
        }
        self._query = wire.from_query({key: text for key, text in given.items() if text}, EventsQuery)
        if self._query.since is not None and self._query.epoch is None:
            raise ValidationFailed(
                "query: since needs epoch", problems=((("query", "epoch"), "missing", None),)
            )
        relay = self.subscribers.find(name).events
        await relay.connect()
        self._relay = relay
        await super().get(name)

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin to send; called by Tornado after the handshake."""
        super().open(*args, **kwargs)
        assert self._relay is not None
        self.set_nodelay(True)
        self._relay.join(self.leave)
        self._subscription = self._relay.hub.subscribe(self._query.epoch, self._query.since)
        self._sender = asyncio.create_task(self._send(self._subscription), name="events of a page")
        if not self._relay.stands:
            self.leave()

    def leave(self) -> None:
        """Say goodbye, for the subscriber is away: the page comes again."""
        self.close(TRY_AGAIN_LATER, "the subscriber is away")

    def on_message(self, message: str | bytes) -> None:
        """Ignore what a page says."""

    def on_close(self) -> None:
        """End the subscription; called by Tornado once."""
        if self._relay is not None:
            self._relay.part(self.leave)
        if self._subscription is not None:
            self._subscription.close()
        if self._sender is not None:
            self._sender.cancel()
        super().on_close()

    async def _send(self, subscription: Subscription) -> None:
        try:
            async for envelope in subscription:
                await self.write_message(wire.to_json(envelope))
            self.close(GOING_AWAY, "Jupyter stops")
        except (WebSocketClosedError, StreamClosedError):
            logger.debug("the page is gone")
