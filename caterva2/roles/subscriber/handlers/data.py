"""Handlers of the endpoints that send data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import cast

from caterva2.compute.frames import Buffer
from caterva2.errors import DatasetChanged, RangeNotSatisfiable
from caterva2.model import wire
from caterva2.model.paths import DatasetPath
from caterva2.model.requests import ChunkQuery, FetchQuery, WindowQuery
from caterva2.roles.subscriber.reads import Caller, Reply
from caterva2.roles.subscriber.service import Subscriber
from caterva2.transport.answers import Read, attachment
from caterva2.transport.handler import BaseHandler
from caterva2.transport.ranges import etag_matches, parse_range

JOINED = 64 << 10
"""Answers of at most so many bytes are joined before they are sent."""
_PROXIED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


class DataHandler(BaseHandler[Subscriber]):
    """What the data endpoints share."""

    def caller(self) -> Caller:
        """Return what matters of who asks."""
        headers = self.request.headers
        ip = self.request.remote_ip or ""
        near = ip.startswith("127.") or ip in {"::1", "0.0.0.0"}  # noqa: S104 (how Tornado shows a Unix socket)
        return Caller(
            local=near and not any(name in headers for name in _PROXIED),
            stored=wire.EXTENTS in headers.get("Accept", ""),
            frames=headers.get("Accept-Encoding") == "blosc2",
            has=self._has,
        )

    def _has(self, etag: str) -> bool:
        """Whether the client names this very answer: not ``*``, for that says nothing of the query."""
        wanted = self.request.headers.get("If-None-Match", "*")
        return self.request.method in {"GET", "HEAD"} and wanted.strip() != "*" and etag_matches(wanted, etag)

    async def send_reply(self, path: DatasetPath, ask: Callable[[], Awaitable[Reply]]) -> None:
        """Send an answer in the form it has; once more from the next generation if the file has changed."""
        try:
            await self._send(await ask())
        except DatasetChanged:
            if self._headers_written:
                raise
            await self.service.reads.renew(self.principal, path)
        else:
            return
        await self._send(await ask())

    async def _send(self, reply: Reply) -> None:
        headers = self._headers
        headers["Caterva2-Freshness"] = str(reply.freshness)
        for name, value in reply.headers.items():
            headers[name] = value
        if reply.read is not None and reply.length is not None:
            await self._prepare(reply, reply.length)
            await self.send_ranges(
                cast("Read", reply.read),
                reply.length,
                etag=reply.etag,
                mtime_ns=reply.mtime_ns or None,
                media=reply.media,
                disposition=None if reply.filename is None else attachment(reply.filename),
            )
            return
        headers["Accept-Ranges"] = "none"
        if reply.filename is not None:
            headers["Content-Disposition"] = attachment(reply.filename)
        try:
            if "Range" in self.request.headers:
                raise RangeNotSatisfiable("a computed answer has no byte ranges", hint="ask without Range")
            if self.not_modified(reply.etag):
                return
            if reply.make is not None:
                reply.buffers = await reply.make()
                for name, value in reply.headers.items():
                    headers[name] = value
            if reply.buffers is not None:
                await self._send_buffers(reply.buffers, reply.media)
            elif reply.stream is not None:
                await self.send_stream(cast("AsyncIterator[bytes]", reply.stream), reply.length, reply.media)
        finally:
            if reply.stream is not None:
                await reply.stream.aclose()

    async def _prepare(self, reply: Reply, size: int) -> None:
        """Have many byte ranges fetched together."""
        wanted = self.request.headers.get("Range", "")
        if "," in wanted and reply.prepare is not None:
            await reply.prepare(parse_range(wanted, size))

    async def _send_buffers(self, buffers: Sequence[Buffer], media: str) -> None:
        length = sum(map(len, buffers))
        if length <= JOINED:
            self.send_bytes(b"".join(buffers), media)
            return
        await self.send_stream(cast("AsyncIterator[bytes]", _each(buffers)), length, media)


async def _each(buffers: Sequence[Buffer]) -> AsyncIterator[Buffer]:
    for buffer in buffers:
        yield buffer


class FetchHandler(DataHandler):
    """GET, POST /api/fetch/{path}."""

    safe = True

    async def get(self, path: str) -> None:
        """Read a slice of a dataset, or the whole stored file."""
        await self._answer(path, self.query(FetchQuery))

    async def post(self, path: str) -> None:
        """Read as `get`; the query is in the body, for it may be long."""
        await self._answer(path, self.json_body(FetchQuery))

    async def _answer(self, path: str, query: FetchQuery) -> None:
        where, caller = DatasetPath.from_url(path), self.caller()
        await self.send_reply(where, lambda: self.service.reads.fetch(self.principal, where, query, caller))


class WindowHandler(DataHandler):
    """GET /api/window/{path}."""

    async def get(self, path: str) -> None:
        """Look at a part of a dataset."""
        where, query = DatasetPath.from_url(path), self.query(WindowQuery)
        await self.send_reply(where, lambda: self.service.windows.look(self.principal, where, query))


class DownloadHandler(DataHandler):
    """GET /api/download/{path}."""

    async def get(self, path: str) -> None:
        """Download a whole file as it was published."""
        where, caller = DatasetPath.from_url(path), self.caller()
        await self.send_reply(where, lambda: self.service.reads.download(self.principal, where, caller))


class ChunkHandler(DataHandler):
    """GET /api/chunk/{path}."""

    async def get(self, path: str) -> None:
        """Read one stored chunk."""
        query = self.query(ChunkQuery)
        where, caller = DatasetPath.from_url(path), self.caller()
        await self.send_reply(
            where, lambda: self.service.reads.chunk(self.principal, where, query.nchunk, caller)
        )
