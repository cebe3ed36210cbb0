"""The answer to a request whose body is larger than allowed."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, cast

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, ResponseStartLine

from caterva2.errors import RequestTooLarge
from caterva2.model import wire
from caterva2.model.problems import error_body
from caterva2.transport.security import Policy

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1Connection
    from tornado.httputil import HTTPServerRequest

    from caterva2.transport.app import Application

DISCARDED = 64 * 1024**2
"""A body up to so many bytes is read and dropped, so that its sender sees the answer."""


class TooLarge(HTTPMessageDelegate):
    """Answers 413 as soon as the header has arrived.

    Tornado alone answers a bare 400 and closes with the body unread, which
    resets the connection before most clients have seen why.
    """

    def __init__(self, application: Application, request: HTTPServerRequest) -> None:
        self._application = application
        self._request = request
        self._connection = cast("HTTP1Connection", request.connection)

    def headers_received(self, start_line: object, headers: HTTPHeaders) -> None:
        """Answer."""
        limit = self._application.context.max_body_size
        found = int(headers["Content-Length"])
        error = RequestTooLarge(f"the body has {found} bytes; at most {limit} are taken")
        request_id = self._application.new_id()
        body = wire.to_json(error_body(error, request_id))
        own = {"Content-Type": wire.JSON, "Content-Length": str(len(body)), "X-Request-Id": request_id}
        answer = HTTPHeaders({**self._application.fixed_headers[Policy.DATA]().headers, **own})
        line = ResponseStartLine("", error.status, http.client.responses[error.status])
        self._connection.write_headers(line, answer, body)
        self._application.context.metrics.requests.add("unknown", error.status, 0.0, len(body))
        self._connection.set_max_body_size(found)  # else Tornado adds its own answer
        if "Expect" in headers or found > DISCARDED:
            self._connection.finish()  # closes once the answer has left: the body has not been read

    def data_received(self, chunk: bytes) -> None:
        """Drop a piece of the body."""

    def finish(self) -> None:
        """End the answer, now that the body has been read."""
        self._connection.finish()

    def on_connection_close(self) -> None:
        """Do nothing: there is nothing to undo."""
