"""Following a server's events over a websocket: connect again when it breaks, and go on where it broke."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from caterva2.client import calls
from caterva2.client.eventsocket import open_events, read_events
from caterva2.client.handover import Handover
from caterva2.client.session import auth_headers
from caterva2.client.urlbase import Urlbase
from caterva2.errors import Caterva2Error, ConnectFailed, NotFound, RequestError, TimedOut
from caterva2.model.events import Envelope, Resync

if TYPE_CHECKING:
    from tornado.httpclient import HTTPClientError
    from tornado.websocket import WebSocketClientConnection

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
PING_S = 20.0
GOODBYE_S = 1.0
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 15.0


class EventStream:
    """The events of a server, for as long as somebody iterates over this.

    Each connection goes on behind the last event that was received. If the
    server no longer has what lies between, it sends a `Resync`: list again.
    Events arrive at least once, in order.

    Parameters
    ----------
    urlbase
        Address of the server; None for the one that Jupyter hands over, or else
        ``http://localhost:8002``.
    auth_cookie
        Who asks.
    headers
        More headers for the handshake.
    epoch, since
        Begin behind this position; None for the events from now on.
    patient
        Also wait for a server that does not answer at first. If False that is an error;
        a connection that breaks later is made again in any case.
    on_change
        Called with True when a connection stands, with False when it is lost.

    Examples
    --------
    ``async for envelope in EventStream(): ...``, or without an event loop
    ``for envelope in EventStream().follow(timeout_s=60): ...``
    """

    def __init__(
        self,
        urlbase: Urlbase | str | None = None,
        *,
        auth_cookie: str | None = None,
        headers: Mapping[str, str] | None = None,
        epoch: str | None = None,
        since: int | None = None,
        patient: bool = True,
        on_change: Callable[[bool], object] | None = None,
    ) -> None:
        token = None
        if urlbase is None:
            handover = Handover.from_environment()
            handed = None if handover is None else handover.current
            if handed is not None:
                urlbase = handed.urlbase
                token = handed.token if auth_cookie is None and headers is None else None
        self.urlbase = urlbase if isinstance(urlbase, Urlbase) else Urlbase.parse(urlbase)
        self.epoch = epoch
        self.since = since
        self._headers = {**auth_headers(auth_cookie, token), **(headers or {})}
        self._patient = patient
        self._on_change = on_change

    async def __aiter__(self) -> AsyncIterator[Envelope]:
        """Yield events until the iteration is left.

        Raises
        ------
        RequestError
            The server has no events for the one who asks.
        ConnectFailed
            Not patient, and the server can not be reached.
        """
        attempt = 0
        stood = False
        while True:
            try:
                connection = await self._connect()
            except (ConnectFailed, TimedOut) as exc:
                if not self._patient and not stood:
                    raise
                logger.debug("no events from %s: %s", self.urlbase, exc)
            else:
                attempt = 0
                gone = False
                self._tell(True)
                try:
                    if stood and self.since is None:
                        # Nothing tells where it broke: what happened meanwhile is lost.
                        yield Envelope(epoch="", seq=0, at=time.time(), event=Resync())
                    stood = True
                    async with contextlib.aclosing(self._read(connection)) as envelopes:
                        async for envelope in envelopes:
                            yield envelope
                    gone = True
                finally:
                    await _hang_up(connection, wait=not gone)
                self._tell(False)
            await asyncio.sleep(delay_s(attempt))
            attempt += 1

    def follow(self, *, timeout_s: float | None = None) -> Iterator[Envelope]:
        """Yield events, blocking; for programs without an event loop.

        Parameters
        ----------
        timeout_s
            End after so many seconds; None to go on for ever.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with asyncio.Runner() as runner:
            events = aiter(self)
            try:
                while True:
                    left = None if end is None else max(0.0, end - time.monotonic())
                    try:
                        envelope = runner.run(_next(events, left))
                    except (TimeoutError, StopAsyncIteration):
                        return
                    yield envelope
            finally:
                runner.run(_close(events))

    async def _read(self, connection: WebSocketClientConnection) -> AsyncGenerator[Envelope, None]:
        async with contextlib.aclosing(read_events(connection, self.urlbase)) as envelopes:
            async for envelope in envelopes:
                if not self._is_known(envelope):
                    self.epoch, self.since = envelope.epoch, envelope.seq
                    yield envelope

    async def _connect(self) -> WebSocketClientConnection:
        from tornado.httpclient import HTTPClientError
        from tornado.iostream import StreamClosedError

        try:
            return await open_events(
                self.urlbase, headers=self._headers, epoch=self.epoch, since=self.since, ping_s=PING_S,
                timeout_s=CONNECT_TIMEOUT_S,
            )  # fmt: skip
        except HTTPClientError as exc:
            raise self._refusal(exc) from exc
        except TimeoutError as exc:
            raise TimedOut(f"{self.urlbase} did not answer in time") from exc
        except (OSError, StreamClosedError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            raise ConnectFailed(f"cannot reach {self.urlbase}: {reason}") from exc

    def _refusal(self, exc: HTTPClientError) -> Caterva2Error:
        if exc.code == 599:
            return TimedOut(f"{self.urlbase} did not answer in time")
        body = exc.response.body if exc.response is not None else b""
        headers = dict(exc.response.headers) if exc.response is not None else {}
        reply = calls.Reply(exc.code, {name.lower(): value for name, value in headers.items()}, body or b"")
        error = calls.error_of(reply)
        if isinstance(error, NotFound):
            return type(error)(f"{self.urlbase} tells no events", hint="is this the address of a subscriber?")
        if isinstance(error, RequestError):
            return error
        # It starts, stops, or is overloaded: worth another attempt.
        return ConnectFailed(f"cannot reach {self.urlbase}: {error.message}")

    def _is_known(self, envelope: Envelope) -> bool:
        if self.since is None or envelope.epoch != self.epoch or isinstance(envelope.event, Resync):
            return False
        return envelope.seq <= self.since

    def _tell(self, stands: bool) -> None:
        if self._on_change is not None:
            self._on_change(stands)


def delay_s(attempt: int) -> float:
    """Return how long to wait before the next connection, in seconds; a little by chance."""
    longest = min(FIRST_DELAY_S * 2.0**attempt, LONGEST_DELAY_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311


async def _hang_up(connection: WebSocketClientConnection, *, wait: bool) -> None:
    """Say goodbye, wait a moment for the answer, and close."""
    stream = connection.protocol.stream if connection.protocol is not None else None
    try:
        connection.close()
        if wait:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    while await connection.read_message() is not None:
                        pass
    finally:
        if stream is not None:
            stream.close()


async def _next(events: AsyncIterator[Envelope], timeout_s: float | None) -> Envelope:
    async with asyncio.timeout(timeout_s):
        return await anext(events)


async def _close(events: AsyncIterator[Envelope]) -> None:
    if isinstance(events, AsyncGenerator):
        await events.aclose()
