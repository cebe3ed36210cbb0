"""The broker's endpoints: each decodes, asks the service, and sends."""

from __future__ import annotations

from caterva2.model.events import EventBatch
from caterva2.model.roots import Heartbeat, Registration
from caterva2.roles.broker.service import Broker
from caterva2.transport.handler import BaseHandler


class RootsHandler(BaseHandler[Broker]):
    """GET /api/roots."""

    async def get(self) -> None:
        """List the known roots."""
        self.send_json(self.service.roots())


class RegisterHandler(BaseHandler[Broker]):
    """POST /api/roots."""

    async def post(self) -> None:
        """Give a root to the publisher that asks."""
        registration = self.json_body(Registration)
        self.send_json(await self.service.register(registration, self.request.remote_ip or ""))


class HeartbeatHandler(BaseHandler[Broker]):
    """POST /api/heartbeat."""

    async def post(self) -> None:
        """Prolong or end a lease."""
        await self.service.heartbeat(self.json_body(Heartbeat))
        self.send_json("Ok")


class AnnounceHandler(BaseHandler[Broker]):
    """POST /api/events."""

    async def post(self) -> None:
        """Relay events of a root."""
        self.service.announce(self.json_body(EventBatch))
        self.send_json("Ok")
