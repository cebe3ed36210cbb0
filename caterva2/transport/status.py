"""The endpoints that every service has: health and counters."""

from __future__ import annotations

from typing import Any

from caterva2.model.requests import Health
from caterva2.transport.handler import BaseHandler
from caterva2.transport.metrics import CONTENT_TYPE


class HealthHandler(BaseHandler[Any]):
    """GET /healthz."""

    async def get(self) -> None:
        """Tell that the service runs."""
        context = self.endpoint.context
        self.send_json(Health(status="ok", service=context.service, version=context.version))


class MetricsHandler(BaseHandler[Any]):
    """GET /metrics."""

    async def get(self) -> None:
        """Send the counters."""
        self.send_bytes(self.endpoint.context.metrics.render(), CONTENT_TYPE)
