"""A real server for a test's own event loop, and a client that sees every byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from caterva2.config.units import Address
from caterva2.model.routes import Role, routes_of
from caterva2.transport.app import Application, make_application
from caterva2.transport.context import Context
from caterva2.transport.handler import BaseHandler
from caterva2.transport.serve import Server, ServerOptions, bind

LOOPBACK = Address("127.0.0.1", 0)


class Silent(BaseHandler):
    """Stands in for the handlers that a test does not look at."""

    async def get(self, path: str = "") -> None:
        self.send_json(f"{self.endpoint.label} {path}")

    async def post(self, path: str = "") -> None:
        self.send_json(f"{self.endpoint.label} {path}")

    async def delete(self, path: str = "") -> None:
        self.send_json(f"{self.endpoint.label} {path}")

    async def patch(self, path: str = "") -> None:
        self.send_json(f"{self.endpoint.label} {path}")

    async def options(self, path: str = "") -> None:
        self.send_json(f"{self.endpoint.label} {path}")


def application(
    role: Role = Role.SUBSCRIBER,
    handlers: Mapping[str, type[BaseHandler]] | None = None,
    service: object = None,
    **context: object,
) -> Application:
    """Make the application of a role, with `handlers` for some of its routes."""
    every = {route.name: Silent for route in routes_of(role)} | dict(handlers or {})
    return make_application(role, every, service, context=Context(**context))


@contextlib.asynccontextmanager
async def serving(app: Application, options: ServerOptions | None = None) -> AsyncIterator[Server]:
    """Serve on a free port of loopback until the block ends."""
    server = Server(app, bind(LOOPBACK), options=options)
    server.start()
    try:
        yield server
    finally:
        await server.stop(1.0)


class RawClient:
    """One connection; sends bytes as given and reads answers by their framing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Read one answer: status, headers (lower case), body."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = text.strip().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body = b"" if head else await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(line.split()[1]), headers, body

    async def rest(self) -> bytes:
        """Read until the server closes; what came before a reset is lost and counts as nothing."""
        with contextlib.suppress(ConnectionResetError):
            return await self.reader.read()
        return b""


@contextlib.asynccontextmanager
async def connected(server: Server) -> AsyncIterator[RawClient]:
    """Connect to a server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def request(
    target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
