"""Handler of the endpoint for browsing."""

from __future__ import annotations

import hashlib

from caterva2.model import wire
from caterva2.model.paths import DatasetPath
from caterva2.model.trees import TreeQuery
from caterva2.roles.subscriber.service import Subscriber
from caterva2.transport.handler import BaseHandler


class TreeHandler(BaseHandler[Subscriber]):
    """GET /api/tree/{path}."""

    async def get(self, path: str) -> None:
        """Send a page of a directory; of all roots if no path is given."""
        where = DatasetPath.from_url(path) if path.strip("/") else None
        page = await self.service.tree.page(self.principal, where, self.query(TreeQuery))
        if where is not None:
            self.set_header("Caterva2-Freshness", str(self.service.library.freshness(where)))
        body = wire.to_json(page)
        self.send_bytes(body, wire.JSON, etag=hashlib.blake2b(body, digest_size=12).hexdigest())
