"""Handlers of the endpoints about lazy datasets."""

from __future__ import annotations

from caterva2.model.paths import DatasetPath
from caterva2.model.requests import FetchQuery, JoinBody, LazyArrayBody, LazyExprBody
from caterva2.roles.subscriber.service import Subscriber
from caterva2.transport.handler import BaseHandler


class LazyExprHandler(BaseHandler[Subscriber]):
    """POST /api/lazyexpr/."""

    async def post(self) -> None:
        """Store an expression."""
        body = self.json_body(LazyExprBody)
        self.send_json(str(await self.service.exprs.define(self.principal, body)))


class UploadLazyArrayHandler(BaseHandler[Subscriber]):
    """POST /api/upload_lazyarr/{path}."""

    async def post(self, path: str) -> None:
        """Store an expression where the path says."""
        body = self.json_body(LazyArrayBody)
        where = DatasetPath.from_url(path)
        self.send_json(str(await self.service.exprs.define_at(self.principal, where, body)))


class ConcatHandler(BaseHandler[Subscriber]):
    """POST /api/concat/."""

    async def post(self) -> None:
        """Store a concatenation."""
        body = self.json_body(JoinBody)
        self.send_json(str(await self.service.exprs.join(self.principal, "concat", body)))


class StackHandler(BaseHandler[Subscriber]):
    """POST /api/stack/."""

    async def post(self) -> None:
        """Store a stack."""
        body = self.json_body(JoinBody)
        self.send_json(str(await self.service.exprs.join(self.principal, "stack", body)))


class ExplainHandler(BaseHandler[Subscriber]):
    """GET /api/explain/{path}."""

    async def get(self, path: str) -> None:
        """Tell what a fetch would cost."""
        query = self.query(FetchQuery)
        self.send_json(await self.service.explain.fetch(self.principal, DatasetPath.from_url(path), query))
