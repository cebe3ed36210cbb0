"""The publisher's endpoints: each decodes, asks the service, and sends."""

from __future__ import annotations

from caterva2.errors import BadRequest, ValidationFailed
from caterva2.model import wire
from caterva2.model.datasets import public_info
from caterva2.model.paths import decode_url_path, split_path
from caterva2.model.requests import BlocksRequest, CatalogQuery, DownloadQuery
from caterva2.roles.publisher.service import Publisher
from caterva2.transport.handler import BaseHandler


class PublisherHandler(BaseHandler[Publisher]):
    """What these endpoints share."""

    safe = True

    def file_path(self, path: str) -> str:
        """Decode the path of a file below the root."""
        return "/".join(split_path(decode_url_path(path)))

    def header_etag(self, name: str) -> str | None:
        """Return the etag in a header, which may be written with quotes or without; None for any."""
        value = self.request.headers.get(name, "").strip().removeprefix("W/")
        if value in {"", "*"}:
            return None
        return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


class ListHandler(PublisherHandler):
    """GET /api/list."""

    async def get(self) -> None:
        """List the paths of all files."""
        self.send_json(await self.service.names())


class InfoHandler(PublisherHandler):
    """GET /api/info/{path}."""

    async def get(self, path: str) -> None:
        """Describe a file; publishers of 2025 send the etag without quotes, and so do we here."""
        entry = await self.service.entry(self.file_path(path))
        self.set_header("Etag", entry.etag)
        if self.header_etag("If-None-Match") == entry.etag:
            self.set_status(304)
            self.finish()
            return
        entry = await self.service.complete(entry)
        self.set_header("Etag", entry.etag)
        self.send_json(public_info(entry, f"{self.service.name}/{entry.path}"))


class ChunkHandler(PublisherHandler):
    """GET /api/download/{path}?nchunk=N."""

    async def get(self, path: str) -> None:
        """Send one stored chunk."""
        try:
            query = self.query(DownloadQuery)
        except ValidationFailed as exc:
            raise BadRequest(f"nchunk: expected a number from 0 on; {exc.message}") from exc
        async with self.service.chunk(self.file_path(path), query.nchunk) as body:
            self.set_header("Etag", f'"{body.etag}"')
            await self.send_stream(body.pieces, body.nbytes)


class CatalogHandler(PublisherHandler):
    """GET /api/catalog."""

    async def get(self) -> None:
        """Send a page of the descriptions of all files."""
        self.send_msgpack(await self.service.catalog(self.query(CatalogQuery)))


class DescribeHandler(PublisherHandler):
    """GET /api/describe/{path}."""

    async def get(self, path: str) -> None:
        """Describe a file, complete with its frame."""
        entry = await self.service.complete(await self.service.entry(self.file_path(path)))
        self.send_msgpack(entry)


class BlocksHandler(PublisherHandler):
    """POST /api/blocks/{path}."""

    async def post(self, path: str) -> None:
        """Send parts of a stored frame."""
        request = self.msgpack_or_json_body(BlocksRequest)
        etag = self.header_etag("If-Match")
        async with self.service.blocks(self.file_path(path), request, etag) as body:
            self.set_header("Etag", f'"{body.etag}"')
            await self.send_stream(body.pieces, body.nbytes, wire.EXTENTS)
