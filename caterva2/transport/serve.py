"""Bind addresses, serve an application, and end in an orderly way. Signals are the programs' matter."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from tornado.httpserver import HTTPServer

from caterva2.errors import ConfigError

if TYPE_CHECKING:
    from tornado.iostream import IOStream

    from caterva2.config.units import Address
    from caterva2.transport.app import Application

logger = logging.getLogger(__name__)

BACKLOG = 1024
STALLED_MS = 60_000
"""A peer that takes no data for so long is given up by the system."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How the HTTP server treats connections.

    Attributes
    ----------
    xheaders
        Believe ``X-Forwarded-For`` and ``X-Forwarded-Proto``: only behind a reverse proxy.
    idle_timeout_s
        A kept-alive connection without a request is closed after so long.
    body_timeout_s
        A request body has to arrive within so long.
    drain_s
        Running requests may take so long when the server stops.
    max_connections
        Connections beyond so many are closed at once; None for half of the
        files that the process may open, so that files can always be opened.
    """

    xheaders: bool = False
    idle_timeout_s: float = 300.0
    body_timeout_s: float = 120.0
    drain_s: float = 10.0
    max_connections: int | None = None


class Listening:
    """Sockets bound to one address. Made by `bind`.

    Attributes
    ----------
    address
        The actual address: with the port that the system chose.
    """

    def __init__(self, address: Address, sockets: list[socket.socket]) -> None:
        self.address = address
        self.sockets = sockets
        self._inode = os.stat(address.unix_path).st_ino if address.is_unix else None

    def close(self) -> None:
        """Close the sockets and remove the file of a Unix socket, if it is still ours."""
        for sock in self.sockets:
            sock.close()
        if self._inode is not None:
            with contextlib.suppress(OSError):
                if os.stat(self.address.unix_path).st_ino == self._inode:
                    os.unlink(self.address.unix_path)
            self._inode = None


def bind(address: Address, *, private: bool = False) -> Listening:
    """Bind an address for listening; a host name is bound for IPv4 and IPv6.

    Parameters
    ----------
    private
        A Unix socket is for the own user alone.

    Raises
    ------
    ConfigError
        The address is in use, is not of this machine, or may not be used.
    """
    try:
        if address.is_unix:
            return Listening(address, [_bind_unix(address.unix_path, 0o600 if private else 0o666)])
        sockets = _bind_tcp(address)
    except socket.gaierror as exc:
        raise ConfigError(f"cannot listen on {address}: unknown host {address.host!r}") from exc
    except OSError as exc:
        hint = "stop the other program, or choose another address" if exc.errno == errno.EADDRINUSE else None
        reason = os.strerror(exc.errno) if exc.errno else str(exc)
        raise ConfigError(f"cannot listen on {address}: {reason.lower()}", hint=hint) from exc
    return Listening(address.with_port(sockets[0].getsockname()[1]), sockets)


class Server:
    """An application on its sockets, in the running event loop.

    Parameters
    ----------
    application
        What is served.
    listening
        Where; closed by `stop`.
    options
        How connections are treated.
    """

    def __init__(
        self, application: Application, listening: Listening, *, options: ServerOptions | None = None
    ) -> None:
        self._application = application
        self._listening = listening
        self._options = options or ServerOptions()
        self._http: _HTTPServer | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address:
        """The actual address."""
        return self._listening.address

    @property
    def url(self) -> str:
        """Base URL for a client on this machine."""
        return self._listening.address.url

    def start(self) -> None:
        """Begin to accept; a second call does nothing."""
        if self._http is not None:
            return
        options = self._options
        self._http = _HTTPServer(
            self._application,
            xheaders=options.xheaders,
            idle_connection_timeout=options.idle_timeout_s,
            body_timeout=options.body_timeout_s,
            max_body_size=self._application.context.max_body_size,
            max_header_size=64 * 1024,
            max_buffer_size=self._application.context.max_body_size + 1024**2,
            decompress_request=False,
        )
        self._http.limit = options.max_connections or resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._http.add_sockets(self._listening.sockets)

    async def stop(self, drain_s: float | None = None) -> None:
        """Accept no more, let running requests finish, close everything; safe to call twice.

        Parameters
        ----------
        drain_s
            Running requests may take so long; None for what the options say.
        """
        if self._stopping is None:
            limit = self._options.drain_s if drain_s is None else drain_s
            self._stopping = asyncio.create_task(self._stop(limit), name="server: stop")
        await asyncio.shield(self._stopping)

    async def _stop(self, drain_s: float) -> None:
        if self._http is None:
            self._listening.close()
            return
        self._http.stop()
        self._listening.close()
        nleft = await self._application.drain(drain_s)
        if nleft:
            logger.warning("%d requests were cut off by the stop", nleft)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._http.close_all_connections(), 2.0)


class _HTTPServer(HTTPServer):
    """Tornado's server with a bound on its connections; without one it spins when no file is left."""

    limit: int
    _nconnections = 0

    def handle_stream(self, stream: IOStream, address: Any) -> None:  # noqa: ANN401 - as Tornado's
        application = cast("Application", self.request_callback)
        if self._nconnections + len(application.sockets) >= self.limit:
            logger.warning("%d connections are open; another one is refused", self.limit)
            stream.close()
            return
        self._nconnections += 1
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        self._nconnections -= 1
        super().on_close(server_conn)


def _bind_tcp(address: Address) -> list[socket.socket]:
    host = None if address.host == "*" else address.host
    found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # IPv4 first: then a port chosen by the system is tried for IPv6, which is used less.
    wanted = sorted({(family, sockaddr) for family, _, _, _, sockaddr in found}, key=lambda each: each[0])
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as undo:
        for family, sockaddr in wanted:
            port = sockets[0].getsockname()[1] if sockets else address.port
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
            except OSError as exc:
                if exc.errno == errno.EAFNOSUPPORT:
                    continue
                raise
            undo.callback(sock.close)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind((str(sockaddr[0]), port, *sockaddr[2:]))
            except OSError as exc:
                # A name may mean ::1 on a machine whose IPv6 is switched off.
                if exc.errno == errno.EADDRNOTAVAIL and sockets:
                    sock.close()
                    continue
                raise
            sock.listen(BACKLOG)
            sock.setblocking(False)
            sockets.append(sock)
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        undo.pop_all()
    return sockets


def _bind_unix(path: str, mode: int) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the mode of the socket, less the umask: it is never more open than at the end.
        os.fchmod(sock.fileno(), mode)
        sock.bind(path)
        # As open as a port on loopback, if not private; its directory is where to restrict it.
        os.chmod(path, mode)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Remove a socket file that nobody listens on."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
