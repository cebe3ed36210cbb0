"""Kept-alive connections for bodies that are large: received straight into a buffer, by many threads.

`http.client` with ``readinto`` takes a body into memory twice as fast as httpx does,
and has half its cost per request. It knows no proxies: see `caterva2.client.connection`.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
import time
import weakref
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from caterva2._version import __version__
from caterva2.client.urlbase import Urlbase
from caterva2.errors import Caterva2Error, ConnectFailed, ProtocolMismatch, TimedOut

if TYPE_CHECKING:
    import ssl

USER_AGENT = f"caterva2/{__version__}"
TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
RETRIES = 2
MAX_CONNECTIONS = 16

_DRAIN_BYTES = 64 * 1024
_PIECE_BYTES = 1 << 20
_IDEMPOTENT = frozenset({"GET", "HEAD"})


class Answer(Protocol):
    """An answer whose body has not been read yet. Valid inside its ``with`` block only."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers by lower-case name; of a repeated one the first."""
        ...

    @property
    def length(self) -> int | None:
        """Bytes of the body; None if the server did not say."""
        ...

    def readinto(self, buffer: memoryview | bytearray) -> None:
        """Fill all of `buffer` from the body, blocking.

        Raises
        ------
        ConnectFailed
            The body ended before.
        """
        ...

    def read(self) -> bytes:
        """Return what is left of the body, blocking."""
        ...

    def pieces(self) -> Iterator[memoryview]:
        """Yield what is left of the body in pieces; each is valid until the next."""
        ...


class Channel(Protocol):
    """What sends requests and leaves the body of the answer to the caller."""

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        idempotent: bool | None = None,
    ) -> contextlib.AbstractContextManager[Answer]:
        """Send a request; see `DataChannel.request`."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


def tls_context() -> ssl.SSLContext:
    """Return a context that trusts what the system trusts, or else what certifi lists."""
    import ssl

    context = ssl.create_default_context()
    known = ssl.get_default_verify_paths()
    if not (known.cafile or known.capath):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def backoff_s(attempt: int) -> float:
    """Return how long to wait before a request is sent again, in seconds."""
    return min(0.05 * 4.0**attempt, 2.0)


class DataChannel:
    """A bounded pool of kept-alive connections to one server; may be used by many threads.

    Parameters
    ----------
    urlbase
        The server.
    headers
        Sent with every request.
    timeout_s
        Longest silence of the server, in seconds.
    retries
        How often an idempotent request is sent again when no connection comes about.
        A kept-alive connection that the server has closed meanwhile is replaced once in any case.
    """

    def __init__(
        self,
        urlbase: Urlbase | str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        max_connections: int = MAX_CONNECTIONS,
        retries: int = RETRIES,
    ) -> None:
        self.urlbase = urlbase if isinstance(urlbase, Urlbase) else Urlbase.parse(urlbase)
        self._headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **(headers or {})}
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._retries = retries
        self._slots = threading.BoundedSemaphore(max_connections)
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._tls: ssl.SSLContext | None = None
        self._closed = False
        weakref.finalize(self, _close_all, self._idle)

    @contextlib.contextmanager
    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        idempotent: bool | None = None,
    ) -> Generator[Answer, None, None]:
        """Send a request and give its answer, the body unread. Blocking.

        Parameters
        ----------
        path
            Percent-encoded path and query, from ``/api`` on.
        idempotent
            Whether it may be sent twice; None: whether `method` says so.

        Raises
        ------
        ConnectFailed
            The server can not be reached, or went away.
        TimedOut
            It was silent for too long, or all connections stayed busy.
        ProtocolMismatch
            It does not speak HTTP.
        """
        if not self._slots.acquire(timeout=self._timeout_s):
            raise TimedOut(f"all connections to {self.urlbase} are busy")
        try:
            may_repeat = method in _IDEMPOTENT if idempotent is None else idempotent
            connection, response = self._send(
                method, path, {**self._headers, **(headers or {})}, body, may_repeat
            )
            try:
                yield HttpAnswer(response, self.urlbase)
                clean = _is_drained(response)
            except BaseException:
                response.close()
                connection.close()
                raise
            self._give_back(connection, response, clean)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close all connections; those in use when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle[:] = self._idle[:], []
        _close_all(idle)

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, may_repeat: bool
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        attempt = 0
        fresh = False
        while True:
            connection = None if fresh else self._take()
            reused = connection is not None
            try:
                if connection is None:
                    connection = self._connect()
                connection.request(method, self.urlbase.prefix + path, body=body, headers=dict(headers))
                return connection, connection.getresponse()
            except (OSError, http.client.HTTPException, UnicodeError) as exc:  # a host that can not be a name
                if connection is not None:
                    connection.close()
                if reused and may_repeat and isinstance(exc, ConnectionError):
                    # The server restarted or closed it a moment ago; others of its age are no better.
                    self._drop_idle()
                    fresh = True
                    continue
                error = translate(exc, self.urlbase)
                if not may_repeat or attempt >= self._retries or not isinstance(error, ConnectFailed):
                    raise error from exc
            except BaseException:
                if connection is not None:
                    connection.close()
                raise
            time.sleep(backoff_s(attempt))
            attempt += 1

    def _take(self) -> http.client.HTTPConnection | None:
        """Take an idle connection that the server has not closed."""
        while True:
            with self._lock:
                if self._closed:
                    raise ConnectFailed(f"the connection to {self.urlbase} was closed by this program")
                connection = self._idle.pop() if self._idle else None
            if connection is None or not _is_readable(connection):
                return connection
            connection.close()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle[:] = self._idle[:], []
        _close_all(idle)

    def _connect(self) -> http.client.HTTPConnection:
        where = self.urlbase
        connection: http.client.HTTPConnection
        if where.unix_path:
            connection = _UnixConnection(where.unix_path, self._connect_timeout_s)
        elif where.scheme == "https":
            connection = http.client.HTTPSConnection(
                where.host, where.port, timeout=self._connect_timeout_s, context=self._tls_context()
            )
        else:
            connection = http.client.HTTPConnection(where.host, where.port, timeout=self._connect_timeout_s)
        connection.connect()
        connection.sock.settimeout(self._timeout_s)
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                self._tls = tls_context()
            return self._tls

    def _give_back(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, clean: bool
    ) -> None:
        keep = clean and not response.will_close
        with self._lock:
            if keep and not self._closed:
                self._idle.append(connection)
                return
        response.close()
        connection.close()


class HttpAnswer:
    """An `Answer` received by `http.client`."""

    def __init__(self, response: http.client.HTTPResponse, urlbase: Urlbase) -> None:
        self._response = response
        self._urlbase = urlbase
        self.status = response.status
        self.length: int | None = response.length
        headers: dict[str, str] = {}
        for name, value in response.headers.items():
            headers.setdefault(name.lower(), value)
        self.headers: Mapping[str, str] = headers

    def readinto(self, buffer: memoryview | bytearray) -> None:
        """Fill all of `buffer` from the body, blocking."""
        with memoryview(buffer) as whole, whole.cast("B") as view:
            done = 0
            while done < len(view):
                got = self._readsome(view[done:])
                if not got:
                    raise ConnectFailed(f"{self._urlbase} ended its answer after {done} of {len(view)} bytes")
                done += got

    def read(self) -> bytes:
        """Return what is left of the body, blocking."""
        try:
            return self._response.read()
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise translate(exc, self._urlbase) from exc

    def pieces(self) -> Iterator[memoryview]:
        """Yield what is left of the body in pieces; each is valid until the next."""
        left = self._response.length
        buffer = memoryview(bytearray(_PIECE_BYTES if left is None else min(left, _PIECE_BYTES)))
        while left is None or left > 0:
            got = self._readsome(buffer)
            if not got and left is not None:
                raise ConnectFailed(f"{self._urlbase} ended its answer {left} bytes before its end")
            if not got:
                return
            if left is not None:
                left -= got
            yield buffer[:got]

    def _readsome(self, view: memoryview) -> int:
        try:
            return self._response.readinto(view)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise translate(exc, self._urlbase) from exc


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except BaseException:
            self.sock.close()
            raise


def translate(exc: Exception, urlbase: Urlbase) -> Caterva2Error:
    """Return our error for one of `http.client` or of a socket."""
    if isinstance(exc, TimeoutError):
        return TimedOut(f"{urlbase} did not answer in time")
    if isinstance(exc, http.client.IncompleteRead):
        return ConnectFailed(f"{urlbase} ended its answer too early")
    if isinstance(exc, OSError):
        return ConnectFailed(f"cannot reach {urlbase}: {_reason(exc)}")
    return ProtocolMismatch(f"{urlbase} does not answer as a Caterva2 server does: {exc}")


def _reason(exc: OSError) -> str:
    if isinstance(exc, socket.gaierror):
        return "the host name is not known"
    verify = getattr(exc, "verify_message", None)
    if verify:
        return f"its certificate is not trusted: {verify}"
    return exc.strerror or str(exc) or type(exc).__name__


def _is_readable(connection: http.client.HTTPConnection) -> bool:
    """Tell whether an idle connection has something to read: its end, or nonsense."""
    sock = connection.sock
    if sock is None:
        return True
    try:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return True


def _is_drained(response: http.client.HTTPResponse) -> bool:
    """Read the end of a body that the caller left, if it is short."""
    if response.isclosed():
        return True
    if response.length is None or response.length > _DRAIN_BYTES:
        return False
    try:
        response.read()
    except (OSError, http.client.HTTPException):
        return False
    return True


def _close_all(connections: list[http.client.HTTPConnection]) -> None:
    while connections:
        connections.pop().close()
