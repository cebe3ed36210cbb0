"""The endpoint table and a map of handlers become one application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from tornado.web import Application as TornadoApplication
from tornado.web import RequestHandler
from tornado.web import _has_stream_request_body as has_stream_request_body

from caterva2.model.routes import Role, Route, routes_of
from caterva2.transport.context import Context, Endpoint, RequestIds
from caterva2.transport.handler import BaseHandler, NothingHereHandler
from caterva2.transport.heads import FixedHeaders
from caterva2.transport.links import has_link, take_link
from caterva2.transport.security import HEADERS, Policy
from caterva2.transport.toolarge import TooLarge

if TYPE_CHECKING:
    from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest

    from caterva2.transport.eventsocket import EventSocket

access_log = logging.getLogger("caterva2.access")

GOING_AWAY = 1001
GOODBYE_S = 1.0
"""Seconds in which the peer of a websocket has to answer a goodbye."""

_HEAD_TOO = {"GET": ("GET", "HEAD")}


class Application(TornadoApplication):
    """Serves the endpoints of one role. Made by `make_application`.

    Addresses are matched as they arrive, still percent-encoded, and handlers
    get ``{path}`` and ``{root}`` that way.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(None)
        self.context = context
        self.draining = False
        self.sockets: set[EventSocket] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._exact: dict[str, _Address] = {}
        self._prefixes: dict[str, _Address] = {}
        self._split = re.compile("(?!)")
        self.new_id = RequestIds()
        server = f"Caterva2/{context.version}".rstrip("/")
        self.fixed_headers = {
            policy: FixedHeaders({"Server": server, **HEADERS[policy]}) for policy in Policy
        }
        self._takes_links = context.authenticator is not None
        self._shared = {"context": context, "new_id": self.new_id}
        self._unknown = Endpoint(None, service=None, **self._shared)  # type: ignore[arg-type]

    def add(self, route: Route, handler: type[BaseHandler[Any]], service: object) -> None:
        """Serve a row of the table."""
        literal, _, rest = route.path.partition("{")
        if rest:
            address = self._prefixes.setdefault(literal, _Address(one_part=not rest.startswith("path}")))
            longest_first = sorted(self._prefixes, key=len, reverse=True)
            self._split = re.compile("|".join(map(re.escape, longest_first)))
        else:
            address = self._exact.setdefault(literal.rstrip("/"), _Address())
        endpoint = Endpoint(route, service=service, **self._shared)  # type: ignore[arg-type]
        for method in route.methods:
            for name in _HEAD_TOO.get(method, (method,)):
                address.methods[name] = (handler, endpoint)
        allowed = tuple(sorted(address.methods))
        for _, each in address.methods.values():
            each.allowed = allowed
        address.other = Endpoint(None, service=None, allowed=allowed, **self._shared)  # type: ignore[arg-type]

    def find_handler(self, request: HTTPServerRequest, **kwargs: object) -> HTTPMessageDelegate:  # type: ignore[override]
        """Return what serves a request; called by Tornado when the header has arrived."""
        path = _raw_path(request.path)
        if self._takes_links and has_link(path, request.query):
            path = take_link(request, path)
        address = self._exact.get(path[:-1] if path.endswith("/") else path)
        args: list[bytes] = []
        if address is None:
            address, args = self._find_prefixed(path)
        handler: type[RequestHandler] = NothingHereHandler
        if address is None:
            endpoint = self._unknown
        elif request.method in address.methods:
            handler, endpoint = address.methods[request.method]
        else:
            endpoint = address.other
            args = []
        length = request.headers.get("Content-Length")
        if length is not None and not has_stream_request_body(handler) and self._is_too_large(length):
            return TooLarge(self, request)
        return self.get_handler_delegate(request, handler, {"endpoint": endpoint}, args)

    def log_request(self, handler: RequestHandler) -> None:
        """Count a request that is answered and write its line to the access log; called by Tornado."""
        handler = cast("BaseHandler[Any]", handler)
        seconds = handler.request.request_time()
        status, nbytes, label = handler.get_status(), handler.nbytes_sent, handler.endpoint.label
        self.context.metrics.requests.add(label, status, seconds, nbytes)
        if access_log.isEnabledFor(logging.INFO):
            request = handler.request
            access_log.info(
                "%s %s %s %s %d bytes %.2f ms %s",
                request.method,
                label,
                request.uri,
                status,
                nbytes,
                seconds * 1000,
                request.remote_ip,
                extra={"request_id": handler.request_id},
            )

    def entered(self) -> None:
        """Count a request that begins."""
        self.context.metrics.requests.in_flight += 1
        self._idle.clear()

    def left(self) -> None:
        """Count a request whose answer has left."""
        self.context.metrics.requests.in_flight -= 1
        self._look_if_idle()

    def socket_opened(self, socket: EventSocket) -> None:
        """Take note of a websocket, and write its line to the access log."""
        self.sockets.add(socket)
        self._idle.clear()
        request = socket.request
        access_log.info(
            "%s %s %s 101 %s",
            request.method,
            socket.endpoint.label,
            request.uri,
            request.remote_ip,
            extra={"request_id": socket.request_id},
        )

    def socket_closed(self, socket: EventSocket) -> None:
        """Forget a websocket."""
        self.sockets.discard(socket)
        self._look_if_idle()

    async def drain(self, timeout_s: float) -> int:
        """Say goodbye on websockets and wait for running requests; return how many still run.

        From now on answers ask the client to close its connection.
        """
        self.draining = True
        for socket in tuple(self.sockets):
            socket.close(GOING_AWAY, "server stops")
        impatience = asyncio.get_running_loop().call_later(min(GOODBYE_S, timeout_s), self._abort_sockets)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        impatience.cancel()
        self._abort_sockets()
        return self.context.metrics.requests.in_flight

    def _is_too_large(self, length: str) -> bool:
        # What is no number of a sane size is malformed; Tornado refuses it.
        return length.isdecimal() and len(length) < 19 and int(length) > self.context.max_body_size

    def _look_if_idle(self) -> None:
        if self.context.metrics.requests.in_flight == 0 and not self.sockets:
            self._idle.set()

    def _abort_sockets(self) -> None:
        for socket in tuple(self.sockets):
            socket.abort()

    def _find_prefixed(self, path: str) -> tuple[_Address | None, list[bytes]]:
        match = self._split.match(path)
        if match is None:
            # A bare "/api/list" is the spelling without slash of an empty path.
            address = self._prefixes.get(path + "/")
            return (None, []) if address is None or address.one_part else (address, [b""])
        address = self._prefixes[match[0]]
        rest = path[match.end() :]
        if address.one_part:
            rest = rest.removesuffix("/")
            if not rest or "/" in rest:
                return None, []
        return address, [rest.encode("ascii")]


def make_application(
    role: Role,
    handlers: Mapping[str, type[BaseHandler[Any]]],
    services: object,
    *,
    context: Context | None = None,
) -> Application:
    """Make the application of a role.

    Parameters
    ----------
    role
        Whose rows of the endpoint table are served.
    handlers
        Handler class by the name of its route.
    services
        What handlers get as `BaseHandler.service`.
    context
        Settings and counters.

    Raises
    ------
    RuntimeError
        A route has no handler, a handler has no route, or a handler lacks a method of its route.
    """
    routes = routes_of(role)
    names = {route.name for route in routes}
    problems = [f"route {name!r} has no handler" for name in sorted(names - set(handlers))]
    problems += [f"handler {name!r} has no route" for name in sorted(set(handlers) - names)]
    problems += [
        f"{handlers[route.name].__name__} of route {route.name!r} has no {method}"
        for route in routes
        if route.name in handlers
        for method in route.methods
        if not _has_method(handlers[route.name], method)
    ]
    if problems:
        raise RuntimeError(f"{role}: " + "; ".join(problems))
    context = context or Context(service=str(role))
    context.metrics.tell_version(context.service, context.version)
    application = Application(context)
    for route in routes:
        # A user who needs no login has no account to manage, but may ask who he is.
        is_known = route.name == "me" and not context.nobody.is_anonymous
        if route.login_only and context.authenticator is None and not is_known:
            continue
        application.add(route, handlers[route.name], services)
    return application


class _Address:
    """A path of the table: who serves which method."""

    __slots__ = ("methods", "one_part", "other")

    other: Endpoint

    def __init__(self, *, one_part: bool = False) -> None:
        self.one_part = one_part
        self.methods: dict[str, tuple[type[BaseHandler[Any]], Endpoint]] = {}


def _has_method(handler: type[RequestHandler], method: str) -> bool:
    own = getattr(handler, method.lower(), None)
    return own is not None and own is not getattr(RequestHandler, method.lower())


def _raw_path(path: str) -> str:
    """Return the path of a request line, percent-encoded and absolute."""
    if not path.startswith("/") and "://" in path:  # a request line with a full URI
        _, _, rest = path.partition("://")
        path = "/" + rest.partition("/")[2]
    if not path.isascii():  # bytes that should have been encoded; Tornado shows them as Latin-1
        path = quote(path.encode("latin-1"), safe="/%!$&'()*+,;=:@~")
    return path
