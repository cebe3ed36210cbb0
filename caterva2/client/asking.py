"""Asking before a large body is sent, and noticing an answer that comes before its end.

A server that refuses an upload answers at once, and may close the connection.
Who goes on sending then is told that the connection broke, and not why. So
the header ``Expect: 100-continue`` asks first, and between the pieces of the
body a look at the socket tells whether there is an answer already. What lies in
the socket is only looked at; httpcore reads it. Not for TLS, where what lies
there can not be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import httpcore

HEADER, VALUE = "Expect", "100-continue"
ANSWER_S = 1.0
"""So long a server that does not know the header is waited for, as RFC 9110 advises."""
LOOK_S = 0.002
_CONNECTED = frozenset({"connection.connect_tcp.complete", "connection.connect_unix_socket.complete"})
_SEEN = 512


class Asking:
    """One request on a connection of its own; closes nothing but what it opened.

    Attributes
    ----------
    trace
        For the extension ``trace`` of the request: tells the connection that is made.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    async def trace(self, name: str, info: dict[str, Any]) -> None:
        """Take note of the connection; called by httpcore."""
        if name in _CONNECTED:
            raw = info["return_value"].get_extra_info("socket")
            if raw is not None:
                self._socket = raw.dup()
                self._socket.setblocking(False)

    async def pieces(self, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Yield a body as long as the server wants it.

        Raises
        ------
        httpcore.WriteError
            There is an answer; for httpcore that means: read it.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while not self._peek():  # noqa: ASYNC110 - nothing announces what lies in a socket
                    await asyncio.sleep(LOOK_S)
        self._stop_if_answered()
        async for piece in body:
            self._stop_if_answered()
            yield piece

    def close(self) -> None:
        """Let go of the connection; safe to call twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _stop_if_answered(self) -> None:
        seen = self._peek()
        while seen.startswith((b"HTTP/1.1 100", b"HTTP/1.1 102")):
            _, end, seen = seen.partition(b"\r\n\r\n")
            if not end:
                return
        if seen:
            raise httpcore.WriteError("there is an answer already")

    def _peek(self) -> bytes:
        """Return what the server has sent and nobody has read yet."""
        if self._socket is None:
            return b""
        with contextlib.suppress(OSError):
            return self._socket.recv(_SEEN, socket.MSG_PEEK)
        return b""
