"""Heads of answers: lines that are the same for all are ready before, and not made for each answer.

Tornado spends about a microsecond on each line of a head, half of which is the
same for all answers of a second.
"""

from __future__ import annotations

import time
from asyncio import Future
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tornado.concurrent import future_add_done_callback
from tornado.http1connection import HTTP1Connection
from tornado.httputil import ResponseStartLine

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders, HTTPServerRequest


class Fixed(NamedTuple):
    """Headers that all answers of a kind have.

    Attributes
    ----------
    headers
        Value by name.
    lines
        The same as it is sent.
    """

    headers: Mapping[str, str]
    lines: bytes


class FixedHeaders:
    """Makes them, once a second: the date is one of them.

    Parameters
    ----------
    headers
        The others.
    """

    def __init__(self, headers: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> None:
        self._headers = headers
        self._clock = clock
        self._second = -1
        self._made = Fixed({}, b"")

    def __call__(self) -> Fixed:
        """Return those of now."""
        now = int(self._clock())
        if now != self._second:
            headers = {"Date": formatdate(now, usegmt=True), **self._headers}
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self._second, self._made = now, Fixed(headers, lines.encode("latin-1"))
        return self._made


def can_write(request: HTTPServerRequest, status: int, headers: HTTPHeaders, fixed: Fixed) -> bool:
    """Whether `write_head` can begin this answer; it takes those with a body of known length."""
    connection = request.connection
    return (
        type(connection) is HTTP1Connection
        and request.version == "HTTP/1.1"
        and request.method != "HEAD"
        and status >= 200
        and status not in {204, 304}
        and "Content-Length" in headers
        and not connection._disconnect_on_finish
        and not connection.stream.closed()
        and not any(name in fixed.headers for name in headers)
    )


def write_head(
    request: HTTPServerRequest, status: int, reason: str, headers: HTTPHeaders, fixed: Fixed, chunk: bytes
) -> Future[None]:
    """Send a head and the first part of a body, as `HTTP1Connection.write_headers` does."""
    connection = cast("Any", request.connection)
    connection._response_start_line = ResponseStartLine("", status, reason)
    connection._chunking_output = False
    connection._expected_content_remaining = int(headers["Content-Length"])
    lines = [f"{name}: {value}" for name, value in headers.get_all()]
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("a header of the answer holds a line break")
    first = f"HTTP/1.1 {status} {reason}\r\n"
    data = b"".join(
        [
            first.encode("latin-1"),
            fixed.lines,
            text.encode("latin-1"),
            b"\r\n\r\n",
            connection._format_chunk(chunk),
        ]
    )
    future: Future[None] = Future()
    connection._write_future = future
    connection._pending_write = connection.stream.write(data)
    future_add_done_callback(connection._pending_write, connection._on_write_complete)
    return future
