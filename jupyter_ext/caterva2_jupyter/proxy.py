"""Forwards what the endpoint table allows to a subscriber of the configuration, streaming both ways.

Not a proxy for anything else: a page names a configured subscriber and a row
of the table, never a host; headers are made anew from two lists; Jupyter's
cookies and tokens stay here, and ours are added in `caterva2_jupyter.upstream`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, quote, urlencode

from jupyter_server.base.handlers import APIHandler
from tornado.iostream import StreamClosedError
from tornado.web import authenticated, stream_request_body

from caterva2.client import calls
from caterva2.client.uploads import PATIENCE_S
from caterva2.errors import (
    BadRequest,
    Caterva2Error,
    MethodNotAllowed,
    NotPermitted,
    RequestTooLarge,
    RouteNotFound,
    ValidationFailed,
)
from caterva2.model import wire
from caterva2.model.paths import DatasetPath
from caterva2.model.requests import NewUpload
from caterva2.model.routes import Media, Role, Route, routes_of
from caterva2.model.users import Scope
from caterva2_jupyter.handlers import ErrorAnswers

if TYPE_CHECKING:
    from caterva2.client.calls import Call
    from caterva2.client.connection import AsyncAnswer
    from caterva2_jupyter.upstream import Upstream

PREFIX = "caterva2/s/"
"""Where the subscribers lie below Jupyter's base URL."""

SENT = (
    "Accept",
    "Content-Type",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "Range",
    "Upload-Length",
    "Upload-Offset",
    "X-Request-Id",
)
"""Headers of a request that are sent on; nothing else is."""
RECEIVED = (
    "Accept-Ranges",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Last-Modified",
    "Retry-After",
    "Server-Timing",
    "Upload-Length",
    "Upload-Offset",
    "Vary",
    "X-Request-Id",
)
"""Headers of an answer that are sent back, beside our own ``Caterva2-...``."""
OWN = "caterva2-"
NOT_SENT = frozenset({"token", "_xsrf", "no_track_activity"})
"""Parameters that are Jupyter's."""

QUEUED = 4
"""Pieces of a body that wait to be sent on."""
LARGE = 1 << 20
"""A body of more bytes is not sent before the subscriber wants it."""
MAX_BODY = 1 << 50
MAX_ANNOUNCEMENT = 1 << 16
"""Bytes of an announcement of an upload that are looked at."""
STALLED_S = 120.0
"""A body of which nothing arrives for so long is given up; one that nobody reads too."""

POLICY = "default-src 'none'; sandbox"
"""What a file is shown with: a page or picture of somebody must not act as Jupyter's user."""


@dataclass(frozen=True)
class Match:
    """A row of the table, and what stands in its path."""

    route: Route
    path: DatasetPath | None = None
    root: str | None = None
    part: str | None = None

    def call(self, method: str, query: str, headers: Mapping[str, str]) -> Call[Any]:
        """Return the call that is sent on."""
        built = calls.call(
            self.route, path=self.path, root=self.root, part=self.part, method=method, headers=headers
        )
        target = built.target
        if self.path is None and "{path}" in self.route.path:
            target = target.replace("{path}", "")
        return calls.Call(method, target + query, built.decode, headers)


class Table:
    """The rows that may be forwarded, to be found by method and address."""

    def __init__(self) -> None:
        rows = [row for row in routes_of(Role.SUBSCRIBER) if row.proxied and Media.WEBSOCKET not in row.media]
        self._rows = [(_pattern(row.path), row) for row in rows]

    def find(self, method: str, address: str) -> Match:
        """Return the row of an address; still percent-encoded, from ``/api`` on.

        Raises
        ------
        RouteNotFound, MethodNotAllowed
            There is none, or not with this method.
        BadPath
            The path in it can not name anything.
        """
        wanted = "GET" if method == "HEAD" else method
        found = [(match, row) for pattern, row in self._rows if (match := pattern.fullmatch(address))]
        if not found:
            raise RouteNotFound(f"Jupyter forwards nothing at {address[:200]!r}")
        for match, row in found:
            if wanted in row.methods:
                return _match(row, match)
        allowed = sorted({name for _, row in found for name in row.methods})
        raise MethodNotAllowed(f"{method} is not possible here", allowed=", ".join(allowed))


@stream_request_body
class ProxyHandler(ErrorAnswers, APIHandler):
    """Anything at caterva2/s/NAME/api/...."""

    def initialize(self, table: Table) -> None:
        """Take what the extension gives; called by Tornado."""
        self._table = table
        self._body: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED)
        self._answered = asyncio.Event()
        self._complete = asyncio.Event()
        self._refusal: Caterva2Error | None = None
        self._forwarding: asyncio.Task[None] | None = None
        self._limit: int | None = None
        self._announces = False
        self._gathered = bytearray()
        self._nreceived = 0
        self._gone = False
        self._stall: asyncio.TimerHandle | None = None

    @property
    def content_security_policy(self) -> str:
        """Keep files of others from acting as Jupyter's user."""
        return f"frame-ancestors 'self'; {POLICY}"

    async def prepare(self) -> None:  # type: ignore[override] # as Jupyter's own APIHandler
        """See that this may be forwarded, and begin; called by Tornado when the header has arrived."""
        connection = cast("Any", self.request.connection)
        connection.set_max_body_size(MAX_BODY)
        connection.set_body_timeout(None)
        await super().prepare()
        # From here on somebody whom Jupyter knows asks.
        try:
            await self._begin()
        except Caterva2Error as exc:
            if not self._has_body or "Expect" in self.request.headers:
                raise
            self._refusal = exc
            self._answered.set()
            self._watch()

    async def _begin(self) -> None:
        method = str(self.request.method)
        # Tornado has decoded what it matched; a path is decoded once, in `DatasetPath.from_url`.
        name, _, address = self.request.path[len(self.base_url + PREFIX) :].partition("/")
        upstream = self.subscribers.find(name)
        match = self._table.find(method, f"/{address}")
        writes = match.route.scope is not Scope.READ
        await self.check_authorized("write" if writes else "read")
        if writes and upstream.read_only and method not in {"GET", "HEAD"}:
            raise NotPermitted(
                f"nothing may be written to {upstream.name!r} from this Jupyter server",
                hint="it is configured with read_only",
            )
        self._limit = self.subscribers.config.max_upload
        self._check_size(self._announced)
        self._announces = match.route.name == "new-upload"
        headers = {name: self.request.headers[name] for name in SENT if name in self.request.headers}
        length = self.request.headers.get("Content-Length")
        if self._has_body and length is not None:
            headers["Content-Length"] = length
        call = match.call(method, _query(self.request.query), headers)
        self._forwarding = asyncio.create_task(
            self._forward(upstream, call, PATIENCE_S if writes else None), name="forward"
        )
        self._forwarding.add_done_callback(lambda task: task.cancelled() or task.exception())
        if not self._has_body:
            self._complete.set()
        else:
            self._watch()

    @property
    def _has_body(self) -> bool:
        headers = self.request.headers
        return "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"

    @property
    def _is_large(self) -> bool:
        """Whether the subscriber is asked before the body is sent; one without a length may be."""
        return self._announced > LARGE or "Content-Length" not in self.request.headers

    @property
    def _announced(self) -> int:
        text = self.request.headers.get("Content-Length", "0")
        return int(text) if text.isdecimal() and len(text) < 19 else 0

    # the body of the request

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a piece of the body; called by Tornado, which waits for it before it reads on."""
        self._nreceived += len(chunk)
        if self._answered.is_set():
            # The answer is there before the body: drop the rest, however much, for a browser that is cut
            # off while it sends shows no answer.
            self._watch()
            return None
        try:
            self._check_size(self._nreceived)
        except RequestTooLarge as exc:
            self._refuse(exc)
            return None
        if self._announces and len(self._gathered) < MAX_ANNOUNCEMENT:
            self._gathered += chunk
        self._watch()
        return self._put(chunk)

    async def _put(self, piece: bytes | None) -> None:
        """Hand a piece on, unless the subscriber answers first."""
        if not self._body.full():
            self._body.put_nowait(piece)
            return
        putting = asyncio.ensure_future(self._body.put(piece))
        answered = asyncio.ensure_future(self._answered.wait())
        try:
            await asyncio.wait({putting, answered}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            putting.cancel()
            answered.cancel()

    async def _pieces(self) -> AsyncIterator[bytes]:
        while (piece := await self._body.get()) is not None:
            yield piece

    def _watch(self) -> None:
        self._unwatch()
        self._stall = asyncio.get_running_loop().call_later(STALLED_S, self._abort)

    def _unwatch(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _check_size(self, nbytes: int) -> None:
        """Do nothing if a body may have so many bytes, behind those of an upload that arrived before."""
        offset = self.request.headers.get("Upload-Offset", "0")
        before = int(offset) if offset.isdecimal() and len(offset) < 19 else 0
        if self._limit is not None and before + nbytes > self._limit:
            raise RequestTooLarge(
                f"an upload through this Jupyter server may have {self._limit} bytes",
                hint="it is configured with max_upload",
            )

    def _check_announcement(self) -> None:
        """Do nothing if an upload may be as large as announced; a malformed one the subscriber refuses."""
        with contextlib.suppress(ValidationFailed):
            self._check_size(wire.from_json(bytes(self._gathered), NewUpload).size)

    def _refuse(self, error: Caterva2Error) -> None:
        self._refusal = error
        self._cancel_forwarding()
        self._answered.set()

    # forwarding

    async def _forward(self, upstream: Upstream, call: Call[Any], timeout_s: float | None) -> None:
        body = self._pieces() if self._has_body else None
        try:
            async with upstream.stream(call, body=body, timeout_s=timeout_s, ask=self._is_large) as answer:
                self._answered.set()
                if answer.status == HTTPStatus.UNAUTHORIZED:
                    upstream.doubt()
                await self._complete.wait()
                await self._send_back(answer)
        finally:
            self._answered.set()

    async def _send_back(self, answer: AsyncAnswer) -> None:
        self.set_status(answer.status)
        self.clear_header("Content-Type")
        # Who is logged in over there is not told by the address: a browser has to ask each time.
        self.set_header("Cache-Control", "private, no-cache")
        for name, value in answer.headers.items():
            if name.lower() in _RECEIVED or name.lower().startswith(OWN):
                self.set_header(name, value)
        self.set_header("X-Content-Type-Options", "nosniff")
        if self.request.method != "HEAD" and answer.status not in {204, 304}:
            async for piece in answer.pieces():
                self.write(piece)
                self._watch()
                await self.flush()
                self._unwatch()

    async def _proxy(self) -> None:
        """Wait until all is done; what went wrong is the answer."""
        self._unwatch()
        if self._announces and self._refusal is None:
            try:
                self._check_announcement()
            except RequestTooLarge as exc:
                self._refuse(exc)
        if self._refusal is not None:
            raise self._refusal
        assert self._forwarding is not None
        if self._has_body and not self._answered.is_set():
            await self._put(None)
        self._complete.set()
        try:
            await self._forwarding
            self.finish()
        except Caterva2Error:
            if not self._headers_written:
                raise
            self._abort()  # a cut body must not be taken for a whole one
        except (StreamClosedError, asyncio.CancelledError):
            if not self._gone and not self._forwarding.done():
                raise

    @authenticated
    async def get(self, name: str, address: str) -> None:
        """Forward."""
        await self._proxy()

    @authenticated
    async def head(self, name: str, address: str) -> None:
        """Forward."""
        await self._proxy()

    @authenticated
    async def post(self, name: str, address: str) -> None:
        """Forward."""
        await self._proxy()

    @authenticated
    async def patch(self, name: str, address: str) -> None:
        """Forward."""
        await self._proxy()

    @authenticated
    async def delete(self, name: str, address: str) -> None:
        """Forward."""
        await self._proxy()

    # ends

    def finish(self, *args: Any, **kwargs: Any) -> asyncio.Future[None]:  # noqa: ANN401 - as Tornado's
        """End the answer with the type that it has, not with Jupyter's JSON."""
        self.update_api_activity()
        finished: asyncio.Future[None] = super(APIHandler, self).finish(*args)
        return finished

    def on_connection_close(self) -> None:
        """Give up what nobody waits for any more; called by Tornado."""
        super().on_connection_close()
        self._gone = True
        self._unwatch()
        self._cancel_forwarding()

    def on_finish(self) -> None:
        """Leave nothing behind; called by Tornado."""
        super().on_finish()
        self._unwatch()
        self._cancel_forwarding()

    def _cancel_forwarding(self) -> None:
        if self._forwarding is not None and not self._forwarding.done():
            self._forwarding.cancel()

    def _abort(self) -> None:
        self._unwatch()
        self._cancel_forwarding()
        cast("Any", self.request.connection).stream.close()


_RECEIVED = frozenset(name.lower() for name in RECEIVED)


def _pattern(path: str) -> re.Pattern[str]:
    """Return what matches the addresses of a row, with and without trailing slash."""
    literal, _, rest = path.partition("{")
    name, _, tail = rest.partition("}")
    if not rest:
        return re.compile(re.escape(literal.rstrip("/")) + "/?")
    if name == "path":
        return re.compile(f"{re.escape(literal.rstrip('/'))}(?:/(?P<path>.*))?", re.DOTALL)
    return re.compile(f"{re.escape(literal)}(?P<{name}>[^/]+){re.escape(tail)}/?")


def _match(row: Route, match: re.Match[str]) -> Match:
    parts = match.groupdict()
    if "path" in parts:
        text = parts["path"] or ""
        return Match(row, path=DatasetPath.from_url(text) if text else None)
    if "root" in parts:
        return Match(row, root=DatasetPath.from_url(parts["root"]).root)
    values = list(parts.values())
    return Match(row, part=DatasetPath.from_url(values[0]).root if values else None)


def _query(text: str) -> str:
    """Return the query that is sent on: spelled anew, without what is Jupyter's."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100, encoding="utf-8", errors="strict")
    except (ValueError, UnicodeDecodeError) as exc:
        raise BadRequest("the query of the address can not be read") from exc
    kept = [(name, value) for name, value in pairs if name not in NOT_SENT]
    return f"?{urlencode(kept, quote_via=quote)}" if kept else ""
