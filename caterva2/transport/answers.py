"""How an answer leaves: whole, as a stream, or in byte ranges; conditional requests and timings."""

from __future__ import annotations

import secrets
from asyncio import Future
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TYPE_CHECKING, ClassVar, Protocol, cast
from urllib.parse import quote

from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from caterva2.errors import DatasetChanged
from caterva2.model import wire
from caterva2.transport.heads import can_write, write_head
from caterva2.transport.ranges import (
    ByteRange,
    Multipart,
    etag_matches,
    http_date,
    if_range_holds,
    not_modified_since,
    parse_range,
)
from caterva2.transport.security import Policy

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1Connection

    from caterva2.transport.app import Application

COPIED = 64 * 1024
"""Bodies up to so many bytes leave together with their header; larger ones are not copied for that."""


class Read(Protocol):
    """Reads the bytes from `start` up to `stop`, piece by piece."""

    def __call__(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Return the pieces; an async generator is closed when they are no longer wanted."""
        ...


def attachment(filename: str) -> str:
    """Return the value of ``Content-Disposition`` for a download (RFC 6266)."""
    # Some browsers take a "%2F" in the plain name for a slash.
    plain = "".join(c if 32 <= ord(c) < 127 and c not in '"\\%' else "_" for c in filename)
    extended = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


class AnsweringHandler(RequestHandler):
    """The sending half of `caterva2.transport.handler.BaseHandler`.

    Each request is answered by one call of a ``send_*`` method.

    Attributes
    ----------
    policy
        What browsers are told about the answers.
    """

    policy: ClassVar[Policy] = Policy.DATA
    application: Application
    nbytes_sent: int
    _timings: list[str] | None
    _gone: bool

    @property
    def request_id(self) -> str:
        """Id of the request."""
        raise NotImplementedError

    def timing(self, name: str, seconds: float) -> None:
        """Tell in ``Server-Timing`` how long a stage took."""
        if self._timings is None:
            self._timings = []
        self._timings.append(f"{name};dur={seconds * 1000:.3f}")

    def send_json(self, value: object, *, status: int = 200, etag: str | None = None) -> None:
        """Answer with JSON."""
        self.send_bytes(wire.to_json(value), wire.JSON, status=status, etag=etag)

    def send_msgpack(self, value: object, *, status: int = 200, etag: str | None = None) -> None:
        """Answer with MessagePack."""
        self.send_bytes(wire.to_msgpack(value), wire.MSGPACK, status=status, etag=etag)

    def send_bytes(
        self,
        data: bytes | memoryview,
        media: str = wire.BINARY,
        *,
        status: int = 200,
        etag: str | None = None,
    ) -> None:
        """Answer with bytes that are there already; does not wait for the client to take them.

        Parameters
        ----------
        data
            The body. A large one is not copied: do not change it afterwards.
        etag
            Opaque token of the content, without quotes; answers 304 if the client has it.
        """
        if etag is not None and self.not_modified(etag):
            return
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        self._set_head(status, media, size)
        if self.request.method != "HEAD" and size:
            self.nbytes_sent = size
            if size <= COPIED:
                self._write_buffer.append(bytes(data))
            else:
                self.flush()
                self._connection.write(_as_bytes(data))
        self.finish()

    async def send_stream(
        self, chunks: AsyncIterator[bytes], length: int | None, media: str = wire.BINARY, *, status: int = 200
    ) -> None:
        """Answer with a body that is made while it is sent.

        A failure before the first piece gives the usual JSON of an error; a
        later one, or a wrong `length`, ends the connection, so that a cut
        body is never taken for a whole one. When the client leaves, this
        returns without an error.

        Parameters
        ----------
        chunks
            Pieces of the body. Closed in every case. A piece is asked for
            while the one before leaves, so at most two are in memory.
        length
            Total bytes; None if unknown.
        """
        try:
            self._set_head(status, media, length)
            if self.request.method != "HEAD":
                await self._send_chunks(chunks, length)
            if not self._finished:
                self.finish()
        finally:
            await _close(chunks)

    async def send_ranges(
        self,
        read: Read,
        size: int,
        *,
        etag: str | None = None,
        mtime_ns: int | None = None,
        media: str = wire.BINARY,
        disposition: str | None = None,
    ) -> None:
        """Answer with a body that the client may ask for in parts: 200, 206, 304 or 416.

        Parameters
        ----------
        read
            Reads a part of the body; called for what is sent only.
        size
            Bytes of the whole body.
        etag
            Opaque token of the content, without quotes.
        mtime_ns
            Time of the last change, for ``Last-Modified``.
        disposition
            Value of ``Content-Disposition`` when the whole is sent, see `attachment`.

        Raises
        ------
        RangeNotSatisfiable
            No range lies in the body.
        """
        self.set_header("Accept-Ranges", "bytes")
        last_modified = None if mtime_ns is None else http_date(mtime_ns)
        if last_modified is not None:
            self.set_header("Last-Modified", last_modified)
        if etag is not None and self.not_modified(etag):
            return
        if mtime_ns is not None and self._is_old_news(mtime_ns):
            return
        if disposition is not None:
            self.set_header("Content-Disposition", disposition)
        headers = self.request.headers
        ranges: list[ByteRange] = []
        holds = if_range_holds(headers.get("If-Range"), etag=etag, last_modified=last_modified)
        if self.request.method == "GET" and holds:
            ranges = parse_range(headers.get("Range"), size)
        if not ranges:
            await self.send_stream(read(0, size), size, media)
        elif len(ranges) == 1:
            self.set_header("Content-Range", ranges[0].content_range(size))
            await self.send_stream(read(*ranges[0]), ranges[0].nbytes, media, status=206)
        else:
            parts = Multipart(ranges, size, media, secrets.token_hex(16))
            await self.send_stream(_framed(parts, read), parts.length, parts.content_type, status=206)

    def not_modified(self, etag: str) -> bool:
        """Set ``ETag``; answer 304 and return True if the client has this content already.

        Parameters
        ----------
        etag
            Opaque token of the content, without quotes.
        """
        self.set_header("ETag", f'"{etag}"')
        wanted = self.request.headers.get("If-None-Match")
        if wanted is None or not self._is_read or not etag_matches(wanted, etag):
            return False
        self._send_304()
        return True

    def require_match(self, etag: str) -> None:
        """Refuse a request that names another generation in ``If-Match``.

        Raises
        ------
        DatasetChanged
            It does.
        """
        wanted = self.request.headers.get("If-Match")
        if wanted is not None and not etag_matches(wanted, etag):
            raise DatasetChanged(f"generation {wanted} was asked for; the file is now {etag!r}", etag=etag)

    def clear(self) -> None:
        """Begin the answer anew; called by Tornado too, before anything else.

        As Tornado's, but the headers that all answers of `policy` have are
        added when they are sent, unless one of that name is set; and there is
        no type of content before there is one.
        """
        self._headers = HTTPHeaders()
        self._fixed = self.application.fixed_headers[self.policy]()
        self._write_buffer = []
        self._status_code = 200
        self._reason = "OK"

    def flush(self, include_footers: bool = False) -> Future[None]:
        """Send what is there; called by Tornado too."""
        if not self._headers_written:
            status, headers, fixed = self._status_code, self._headers, self._fixed
            if not self._transforms and can_write(self.request, status, headers, fixed):
                self._headers_written = True
                chunk, self._write_buffer = b"".join(self._write_buffer), []
                return write_head(self.request, status, self._reason, headers, fixed, chunk)
            for name, value in fixed.headers.items():
                if name not in headers:
                    headers[name] = value
        return super().flush(include_footers)

    def compute_etag(self) -> str | None:
        """Return None: bodies are not hashed, `not_modified` is told their etag."""
        return None

    def check_etag_header(self) -> bool:
        """Return False: `not_modified` has looked already."""
        return False

    @property
    def _is_read(self) -> bool:
        return self.request.method in {"GET", "HEAD"}

    @property
    def _connection(self) -> HTTP1Connection:
        return cast("HTTP1Connection", self.request.connection)

    def _set_head(self, status: int, media: str, length: int | None) -> None:
        self.set_status(status)
        headers = self._headers
        headers["Content-Type"] = media
        if length is not None:
            headers["Content-Length"] = str(length)
        self._set_common_headers()

    def _set_common_headers(self) -> None:
        headers = self._headers
        headers["X-Request-Id"] = self.request_id
        if self._timings is not None:
            headers["Server-Timing"] = ", ".join(self._timings)
        if self.application.draining:
            headers["Connection"] = "close"

    def _is_old_news(self, mtime_ns: int) -> bool:
        """Answer 304 and return True for ``If-Modified-Since``; ``If-None-Match`` goes before it."""
        headers = self.request.headers
        since = headers.get("If-Modified-Since")
        if since is None or "If-None-Match" in headers or not self._is_read:
            return False
        if not not_modified_since(since, mtime_ns):
            return False
        self._send_304()
        return True

    def _send_304(self) -> None:
        self.set_status(304)
        self._set_common_headers()
        self.finish()

    async def _send_chunks(self, chunks: AsyncIterator[bytes], length: int | None) -> None:
        leaving: Awaitable[None] | None = None
        sent = 0
        try:
            async for chunk in chunks:
                if not chunk:
                    continue
                sent += len(chunk)
                if length is not None and sent > length:
                    raise RuntimeError(f"the body has more than the {length} bytes announced")
                if leaving is not None:
                    await leaving
                    leaving = self._connection.write(chunk)
                elif len(chunk) <= COPIED:
                    self._write_buffer.append(chunk)
                    leaving = self.flush()
                else:
                    await self.flush()
                    leaving = self._connection.write(chunk)
                self.nbytes_sent = sent
            if length is not None and sent < length:
                raise RuntimeError(f"the body has {sent} of the {length} bytes announced")
            if leaving is not None:
                await leaving
        except StreamClosedError:
            self._gone = True
            self.finish()
        finally:
            chunk, leaving = b"", None  # else the frames in a traceback would keep what could not be sent


async def _framed(parts: Multipart, read: Read) -> AsyncIterator[bytes]:
    """Yield the parts with their heads; small pieces are joined."""
    pending = bytearray()
    for head, (start, stop) in zip(parts.heads, parts.ranges, strict=True):
        pending += head
        pieces = read(start, stop)
        try:
            async for piece in pieces:
                if len(pending) + len(piece) > COPIED:
                    yield bytes(pending)
                    pending.clear()
                if len(piece) > COPIED:
                    yield piece
                else:
                    pending += piece
        finally:
            await _close(pieces)
    yield bytes(pending + parts.closing)


async def _close(pieces: AsyncIterator[bytes]) -> None:
    if isinstance(pieces, AsyncGenerator):
        await pieces.aclose()


def _as_bytes(data: bytes | memoryview) -> bytes:
    """Return what Tornado takes as bytes: a view of single bytes is as good to it."""
    return cast("bytes", data.cast("B") if isinstance(data, memoryview) else data)
