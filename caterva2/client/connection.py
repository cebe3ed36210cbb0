"""Sending calls over httpx, blocking and asynchronous: pool, credentials, timeouts, retries, errors.

The only place that knows httpx; its exceptions become ours here.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import ssl
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterator, Mapping
from typing import Any, TypeVar

import httpx

from caterva2.client.calls import Call, Reply
from caterva2.client.datachannel import (
    CONNECT_TIMEOUT_S,
    MAX_CONNECTIONS,
    RETRIES,
    TIMEOUT_S,
    USER_AGENT,
    Answer,
    Channel,
    DataChannel,
    backoff_s,
    tls_context,
)
from caterva2.client.urlbase import Urlbase
from caterva2.errors import Caterva2Error, ConnectFailed, ProtocolMismatch, TimedOut

T = TypeVar("T")


class Connection:
    """A blocking connection to one server; may be used by many threads.

    Parameters
    ----------
    urlbase
        The server.
    headers
        Sent with every request: credentials.
    timeout_s
        Longest silence of the server, in seconds.
    retries
        How often an idempotent call is sent again when no connection comes about.
    """

    def __init__(
        self,
        urlbase: Urlbase | str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
    ) -> None:
        self.urlbase = urlbase if isinstance(urlbase, Urlbase) else Urlbase.parse(urlbase)
        self._retries = retries
        options = _options(self.urlbase, headers, timeout_s)
        socket = self.urlbase.unix_path
        transport = httpx.HTTPTransport(uds=socket, limits=options["limits"]) if socket else None
        self._client = httpx.Client(**options, transport=transport)
        _keep_no_cookies(self._client)
        weakref.finalize(self, self._client.close)

    def send(self, call: Call[T]) -> T:
        """Send a call and return its result.

        Raises
        ------
        Caterva2Error
            What the server answered, or a `TransportError`.
        """
        attempt = 0
        while True:
            try:
                answer = self._client.request(
                    call.method, self.urlbase.url + call.target, headers=dict(call.headers), content=call.body
                )
            except (httpx.HTTPError, httpx.InvalidURL) as exc:
                error = _translate(exc, self.urlbase)
                if not _may_repeat(error, call, attempt, self._retries):
                    raise error from exc
            else:
                return call.result(_reply(answer, answer.content))
            time.sleep(backoff_s(attempt))
            attempt += 1

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
        """Send a request and give its answer, the body unread: a `Channel` that knows proxies."""
        del idempotent  # Never sent twice.
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        try:
            with self._client.stream(method, self.urlbase.url + path, headers=sent, content=body) as answer:
                yield _StreamedAnswer(answer, self.urlbase)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise _translate(exc, self.urlbase) from exc

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AsyncConnection:
    """An asynchronous connection to one server; see `Connection`.

    Parameters
    ----------
    max_connections
        Most requests at a time; others wait.
    """

    def __init__(
        self,
        urlbase: Urlbase | str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.urlbase = urlbase if isinstance(urlbase, Urlbase) else Urlbase.parse(urlbase)
        self._retries = retries
        self._client_options = _options(self.urlbase, headers, timeout_s, max_connections)
        self._client = self._make_client()

    def _make_client(self) -> httpx.AsyncClient:
        options, socket = self._client_options, self.urlbase.unix_path
        # A transport of one's own has its own pool.
        transport = httpx.AsyncHTTPTransport(uds=socket, limits=options["limits"]) if socket else None
        client = httpx.AsyncClient(**options, transport=transport)
        _keep_no_cookies(client)
        return client

    async def send(self, call: Call[T]) -> T:
        """Send a call and return its result; see `Connection.send`."""
        import asyncio

        attempt = 0
        while True:
            try:
                answer = await self._client.request(
                    call.method, self.urlbase.url + call.target, headers=dict(call.headers), content=call.body
                )
            except (httpx.HTTPError, httpx.InvalidURL) as exc:
                error = _translate(exc, self.urlbase)
                if not _may_repeat(error, call, attempt, self._retries):
                    raise error from exc
            else:
                return call.result(_reply(answer, answer.content))
            await asyncio.sleep(backoff_s(attempt))
            attempt += 1

    @contextlib.asynccontextmanager
    async def stream(
        self,
        call: Call[Any],
        *,
        body: AsyncIterable[bytes] | None = None,
        timeout_s: float | None = None,
        ask: bool = False,
    ) -> AsyncGenerator[AsyncAnswer, None]:
        """Send a call and give its answer, the body unread and an error not raised.

        Parameters
        ----------
        body
            Sent piece by piece instead of the call's own.
        timeout_s
            Longest silence of the server for this call, in seconds; None for that of the connection.
        ask
            The body may be large: ask whether it is wanted, and stop when the server answers before its
            end. On a connection of its own.
        """
        sent = {"Accept-Encoding": "identity", **call.headers}
        asking = contextlib.AsyncExitStack()
        client, extensions = self._client, {}
        if ask and body is not None and self.urlbase.scheme == "http" and not self.urlbase.uses_proxy:
            from caterva2.client.asking import HEADER, VALUE, Asking

            client = await asking.enter_async_context(self._make_client())
            questions = Asking()
            asking.callback(questions.close)
            body, extensions = questions.pieces(body), {"trace": questions.trace}
            sent[HEADER] = VALUE
        request = client.build_request(
            call.method,
            self.urlbase.url + call.target,
            headers=sent,
            content=call.body if body is None else body,
            timeout=httpx.USE_CLIENT_DEFAULT if timeout_s is None else _timeout(timeout_s),
            extensions=extensions,
        )
        async with asking:
            try:
                answer = await client.send(request, stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as exc:
                raise _translate(exc, self.urlbase) from exc
            try:
                yield AsyncAnswer(answer, self.urlbase)
            except (httpx.HTTPError, httpx.InvalidURL) as exc:
                raise _translate(exc, self.urlbase) from exc
            finally:
                await answer.aclose()

    def forget_token(self) -> None:
        """Send the token no longer."""
        self._client.headers.pop("Authorization", None)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def __aenter__(self) -> AsyncConnection:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class AsyncAnswer:
    """An answer whose body has not been read yet. Valid inside its ``async with`` block only."""

    def __init__(self, answer: httpx.Response, urlbase: Urlbase) -> None:
        self._answer = answer
        self._urlbase = urlbase
        self.status = answer.status_code
        self.headers: Mapping[str, str] = answer.headers
        self.length = _length(answer)

    async def read(self) -> bytes:
        """Return the whole body."""
        return await self._answer.aread()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        async for piece in self._answer.aiter_raw():
            yield piece


def open_channel(
    urlbase: Urlbase,
    *,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
    retries: int = RETRIES,
) -> Channel:
    """Return the fastest channel that reaches a server: one that knows proxies if there is one."""
    if urlbase.uses_proxy:
        return Connection(urlbase, headers=headers, timeout_s=timeout_s, retries=retries)
    return DataChannel(urlbase, headers=headers, timeout_s=timeout_s, retries=retries)


class _StreamedAnswer:
    """An `Answer` received by httpx."""

    def __init__(self, answer: httpx.Response, urlbase: Urlbase) -> None:
        self._answer = answer
        self._urlbase = urlbase
        self._raw = answer.iter_raw()
        self._rest = memoryview(b"")
        self.status = answer.status_code
        self.headers: Mapping[str, str] = answer.headers
        self.length = _length(answer)

    def readinto(self, buffer: memoryview | bytearray) -> None:
        with memoryview(buffer) as whole, whole.cast("B") as view:
            done = 0
            while done < len(view):
                if not self._rest and not self._next():
                    raise ConnectFailed(f"{self._urlbase} ended its answer after {done} of {len(view)} bytes")
                n = min(len(self._rest), len(view) - done)
                view[done : done + n] = self._rest[:n]
                self._rest = self._rest[n:]
                done += n

    def read(self) -> bytes:
        return b"".join(map(bytes, self.pieces()))

    def pieces(self) -> Iterator[memoryview]:
        while self._rest or self._next():
            piece, self._rest = self._rest, memoryview(b"")
            yield piece

    def _next(self) -> bool:
        try:
            self._rest = memoryview(next(self._raw))
        except StopIteration:
            return False
        except httpx.HTTPError as exc:
            raise _translate(exc, self._urlbase) from exc
        return True


def _options(
    urlbase: Urlbase,
    headers: Mapping[str, str] | None,
    timeout_s: float,
    max_connections: int = MAX_CONNECTIONS,
) -> dict[str, Any]:
    proxied = urlbase.uses_proxy
    # Loading the trusted certificates takes longer than a call; plain http needs none.
    needs_tls = urlbase.scheme == "https" or proxied
    return {
        "headers": {"User-Agent": USER_AGENT, **(headers or {})},
        "timeout": _timeout(timeout_s),
        "limits": httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
        "follow_redirects": False,
        "trust_env": proxied,
        "verify": tls_context() if needs_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    }


def _timeout(timeout_s: float) -> httpx.Timeout:
    return httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)


def _keep_no_cookies(client: httpx.Client | httpx.AsyncClient) -> None:
    """Send the cookie that was given, and none that a server sets on the way."""
    client.cookies.jar.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))


def _reply(answer: httpx.Response, body: bytes) -> Reply:
    return Reply(answer.status_code, answer.headers, body)


def _length(answer: httpx.Response) -> int | None:
    text = answer.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _may_repeat(error: Caterva2Error, call: Call[Any], attempt: int, retries: int) -> bool:
    return isinstance(error, ConnectFailed) and call.idempotent and attempt < retries


def _translate(exc: httpx.HTTPError | httpx.InvalidURL, urlbase: Urlbase) -> Caterva2Error:
    if isinstance(exc, httpx.TimeoutException):
        return TimedOut(f"{urlbase} did not answer in time")
    if isinstance(exc, httpx.NetworkError | httpx.ProxyError):
        return ConnectFailed(f"cannot reach {urlbase}: {_reason(exc)}")
    if isinstance(exc, httpx.RemoteProtocolError) and _disconnected(exc):
        return ConnectFailed(f"{urlbase} ended its answer too early")
    return ProtocolMismatch(f"{urlbase} does not answer as a Caterva2 server does: {exc}")


def _disconnected(exc: httpx.RemoteProtocolError) -> bool:
    # httpx has no class of its own for a peer that goes away, only these sentences of h11 and httpcore.
    text = str(exc)
    return text.startswith(("Server disconnected", "peer closed connection"))


def _reason(exc: Exception) -> str:
    """Find the words of the system in a chain of exceptions."""
    cause: BaseException | None = exc
    while cause is not None:
        verify = getattr(cause, "verify_message", None)
        if verify:
            return f"its certificate is not trusted: {verify}"
        if isinstance(cause, OSError) and cause.strerror:
            # asyncio puts words of its own, with the address, in place of the system's.
            own = cause.strerror.startswith("Connect call failed") and cause.errno
            return os.strerror(own) if own else cause.strerror
        # One failure for each address of a name.
        inner = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else None
        cause = inner or cause.__cause__ or cause.__context__
    return str(exc) or type(exc).__name__
