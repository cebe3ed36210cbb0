"""Handlers of the endpoints that tell what there is."""

from __future__ import annotations

from caterva2.errors import RootNotFound
from caterva2.model import wire
from caterva2.model.openapi import document
from caterva2.model.paths import DatasetPath, check_root_name, decode_url_path
from caterva2.model.requests import ListQuery
from caterva2.roles.subscriber.service import Subscriber
from caterva2.transport.handler import BaseHandler

FRESHNESS = "Caterva2-Freshness"


class RootsHandler(BaseHandler[Subscriber]):
    """GET /api/roots."""

    async def get(self) -> None:
        """List the roots and areas."""
        if self.service.network.error is not None:
            self.set_header("Caterva2-Broker", "unreachable")
        self.send_json(self.service.library.roots(self.principal))


class SubscribeHandler(BaseHandler[Subscriber]):
    """POST /api/subscribe/{root}."""

    async def post(self, root: str) -> None:
        """Subscribe to a root."""
        name = decode_url_path(root)
        await self.service.library.subscribe(
            self.principal, name if name.startswith("@") else check_root_name(name)
        )
        self.send_json("Ok")


class ListHandler(BaseHandler[Subscriber]):
    """GET /api/list/{path}."""

    async def get(self, path: str) -> None:
        """List the files below a path."""
        query = self.query(ListQuery)
        if not path.strip("/"):
            raise RootNotFound("no root is named", hint="see the list of roots")
        where = DatasetPath.from_url(path)
        names = await self.service.library.names(self.principal, where, after=query.after, limit=query.limit)
        self.set_header(FRESHNESS, str(self.service.library.freshness(where)))
        self.send_json(names)


class InfoHandler(BaseHandler[Subscriber]):
    """GET /api/info/{path}."""

    async def get(self, path: str) -> None:
        """Describe a file or directory."""
        where = DatasetPath.from_url(path)
        info, etag = await self.service.library.info(self.principal, where)
        self.set_header(FRESHNESS, str(self.service.library.freshness(where)))
        if etag is not None:
            self.set_header(wire.GENERATION, etag)
            if self.not_modified(f"{etag}-info"):
                return
        self.send_json(info)


class OpenApiHandler(BaseHandler[Subscriber]):
    """GET /api/openapi.json."""

    async def get(self) -> None:
        """Send the description of this API."""
        self.send_json(document(has_users=self.endpoint.context.authenticator is not None))
