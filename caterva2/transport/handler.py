"""The base of all handlers: decode a request, and turn any failure into the same JSON.

Handlers work with `BaseHandler.service` and call one of the ``send_*`` methods
of `caterva2.transport.answers` once.
"""

from __future__ import annotations

import asyncio
import hmac
import http.client
import logging
import re
import time
from collections.abc import Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from caterva2.errors import (
    Caterva2Error,
    InternalError,
    MethodNotAllowed,
    NotAuthenticated,
    Overloaded,
    RangeNotSatisfiable,
    RouteNotFound,
    ValidationFailed,
    error_class,
)
from caterva2.model import wire
from caterva2.model.problems import error_body
from caterva2.model.routes import Auth
from caterva2.model.users import ANONYMOUS, Principal
from caterva2.transport.answers import AnsweringHandler
from caterva2.transport.auth import permit, read_credentials, refuse_foreign_page
from caterva2.transport.logs import REQUEST_ID

if TYPE_CHECKING:
    from caterva2.model.routes import Route
    from caterva2.transport.auth import Authenticator, Credentials
    from caterva2.transport.context import Endpoint

S = TypeVar("S")
T = TypeVar("T")
logger = logging.getLogger(__name__)

SECRET_HEADER = "Caterva2-Secret"  # noqa: S105 - the name, not the secret
CLIENT_GONE = 499
"""Status in log and counters for a request whose client left; never sent."""

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class BaseHandler(AnsweringHandler, Generic[S]):
    """One request.

    Attributes
    ----------
    service
        What the application was made with.
    endpoint
        The row of the endpoint table.
    safe
        Whether a client that leaves cancels the work; None for: only GET and HEAD.
    """

    safe: ClassVar[bool | None] = None
    service: S
    endpoint: Endpoint

    def initialize(self, endpoint: Endpoint) -> None:
        """Take what the application gives; called by Tornado."""
        self.endpoint = endpoint
        self.service = endpoint.service
        self.nbytes_sent = 0
        self._request_id: str | None = None
        self._timings: list[str] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._counted = False
        self._gone = False
        self._principal = ANONYMOUS
        self._credentials: Credentials | None = None

    # What a request brings

    @property
    def request_id(self) -> str:
        """Id of the request: the client's own if it is sane, else a new one."""
        if self._request_id is None:
            given = self.request.headers.get("X-Request-Id")
            if given is None or not _SANE_ID.fullmatch(given):
                given = self.endpoint.new_id()
            self._request_id = given
        return self._request_id

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return self._principal

    def prepare(self) -> Awaitable[None] | None:
        """Find out who asks and whether he may; called by Tornado before the method."""
        self._counted = True
        self.application.entered()
        REQUEST_ID.set(self.request_id)
        self._task = asyncio.current_task()
        secret = self.endpoint.secret
        if secret is not None:
            given = self.request.headers.get(SECRET_HEADER)
            if given is None or not hmac.compare_digest(given.encode("latin-1", "replace"), secret):
                raise NotAuthenticated(
                    f"this needs the shared secret of the services in the header {SECRET_HEADER}",
                    hint="give all services the same secret",
                )
        route = self.endpoint.route
        if route is None:
            return None
        authenticator = self.endpoint.context.authenticator
        credentials = None if authenticator is None else read_credentials(self.request.headers)
        if authenticator is None or credentials is None or route.auth is Auth.PUBLIC:
            self._principal = self.endpoint.context.nobody
            permit(route, self._principal, has_users=authenticator is not None)
            refuse_foreign_page(route, self.request, self.endpoint.context.site)
            return None
        known = authenticator.known(credentials)
        if known is None:
            return self._look_up(authenticator, credentials, route)
        self._enter(known, credentials, route)
        return None

    async def _look_up(self, authenticator: Authenticator, credentials: Credentials, route: Route) -> None:
        self._enter(await authenticator.look_up(credentials), credentials, route)

    def _enter(self, principal: Principal, credentials: Credentials, route: Route) -> None:
        permit(route, principal, has_users=True)
        if not credentials.is_token:
            refuse_foreign_page(route, self.request, self.endpoint.context.site)
        self._principal = principal
        self._credentials = credentials
        if principal.within is not None:
            self._headers["Cache-Control"] = "private, no-cache"  # else caches would outlive the link

    async def look_again(self) -> Principal:
        """Return who asks, for a request that goes on for long: his rights may have changed.

        Raises
        ------
        NotAuthenticated
            His session or token has ended.
        """
        authenticator = self.endpoint.context.authenticator
        if authenticator is None or self._credentials is None or self._principal.is_anonymous:
            return self._principal
        found = authenticator.known(self._credentials) or await authenticator.look_up(self._credentials)
        if found.is_anonymous:
            raise NotAuthenticated("the session has ended")
        return found

    def query(self, type_: type[T]) -> T:
        """Decode the query parameters; a known one that is blank counts as not given.

        Raises
        ------
        ValidationFailed
            A parameter is missing, unknown, mistyped or given twice.
        """
        given = self.request.query_arguments
        values: dict[str, str] = {}
        if given:
            known = type_.__struct_fields__  # type: ignore[attr-defined]
            for name, texts in given.items():
                if name not in known:
                    values[name] = ""
                    continue
                if len(texts) > 1:
                    raise ValidationFailed(
                        f"query: {name} is given {len(texts)} times",
                        problems=((("query", name), "given more than once", None),),
                    )
                try:
                    text = texts[0].decode("utf-8")
                except UnicodeDecodeError as exc:
                    raise ValidationFailed(
                        f"query: {name} is not UTF-8", problems=((("query", name), "not UTF-8", None),)
                    ) from exc
                if text:
                    values[name] = text
        return wire.from_query(values, type_)

    def json_body(self, type_: type[T]) -> T:
        """Decode a JSON body.

        Raises
        ------
        ValidationFailed
            It is not JSON, or not of this type.
        """
        return wire.from_json(self.request.body, type_)

    def msgpack_or_json_body(self, type_: type[T]) -> T:
        """Decode a MessagePack body, or a JSON one if its Content-Type says so; raises as `json_body`."""
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == wire.JSON:
            return wire.from_json(self.request.body, type_)
        return wire.from_msgpack(self.request.body, type_)

    # Failures

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:  # noqa: ANN401 - as Tornado's
        """Answer with the JSON of an error; called by Tornado for whatever left the handler."""
        if self._finished:
            return
        exc = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        cancelled = exc is None and self._task is not None and self._task.cancelling()
        if self._gone or cancelled:
            self._abort()
            return
        error = _as_error(exc, status_code)
        self._note_failure(error, exc)
        if self._headers_written:
            self._abort()
            return
        if isinstance(error, MethodNotAllowed) and not self.endpoint.allowed:
            error = RouteNotFound("Not Found")
        self.clear()
        if isinstance(error, MethodNotAllowed):
            self.set_header("Allow", ", ".join(self.endpoint.allowed))
        if isinstance(error, RangeNotSatisfiable):
            self.set_header("Content-Range", f"bytes */{error.fields.get('size', '*')}")
        if isinstance(error, NotAuthenticated) and self.endpoint.context.authenticator is not None:
            self.set_header("WWW-Authenticate", "Bearer")
        if "retry_after_s" in error.fields:
            self.set_header("Retry-After", str(error.fields["retry_after_s"]))
        body = wire.to_json(error_body(error, self.request_id))
        self.send_bytes(body, wire.JSON, status=error.status)

    def _note_failure(self, error: Caterva2Error, exc: BaseException | None) -> None:
        is_defect = isinstance(exc, Exception) and not isinstance(exc, Caterva2Error | HTTPError)
        if isinstance(exc, StreamClosedError):
            return  # who asked is gone
        self.endpoint.context.failures.add(
            error, at=time.time(), request_id=self.request_id, method=self.request.method or "",
            route=self.endpoint.label, defect=type(exc).__name__ if is_defect else None,
        )  # fmt: skip

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Log what left the handler: a traceback only if it is a defect; called by Tornado."""
        if isinstance(value, StreamClosedError | asyncio.CancelledError):
            logger.debug("client or service left during %s", self.endpoint.label)
        elif isinstance(value, Caterva2Error):
            level = logging.WARNING if value.status >= 500 else logging.DEBUG
            logger.log(level, "%s: %s: %s", self.endpoint.label, value.code, value)
        elif isinstance(value, HTTPError):
            logger.debug("%s: %s", self.endpoint.label, value)
        elif typ is not None and value is not None:
            logger.error("%s failed", self.endpoint.label, exc_info=(typ, value, tb))

    def on_connection_close(self) -> None:
        """Cancel what nobody waits for any more; called by Tornado."""
        super().on_connection_close()
        self._gone = True
        safe = self.safe if self.safe is not None else self.request.method in {"GET", "HEAD"}
        if safe and self._task is not None:
            self._task.cancel()

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> asyncio.Future[None]:
        """End the answer; the request counts as running until the last byte has left."""
        leaving = super().finish(chunk)
        if leaving.done():
            self._leave()
        else:
            leaving.add_done_callback(self._leave)
        return leaving

    def _leave(self, _: object = None) -> None:
        if self._counted:
            self._counted = False
            self.application.left()

    def _abort(self) -> None:
        """End the connection at once, so that a cut body can not be taken for a whole one."""
        if self._gone:
            self.set_status(CLIENT_GONE)
        self._connection.stream.close()
        if not self._finished:
            self.finish()

    def head(self, *args: str) -> Awaitable[None] | None:
        """Answer as GET, without the body."""
        return self.get(*args)


class NothingHereHandler(BaseHandler[None]):
    """Answers for an unknown address, or for a method that a known one does not have."""

    def prepare(self) -> Awaitable[None] | None:
        """Refuse."""
        super().prepare()
        if self.endpoint.allowed:
            raise MethodNotAllowed("Method Not Allowed")
        raise RouteNotFound("Not Found")


def _as_error(exc: BaseException | None, status: int) -> Caterva2Error:
    if isinstance(exc, Caterva2Error):
        return exc
    if isinstance(exc, HTTPError):
        status = exc.status_code
        cls = error_class(None, status)
        message = http.client.responses.get(status, "Unknown")
        if status == 400 and exc.log_message:
            message = exc.get_message() or message
        return cls(message)
    if isinstance(exc, asyncio.CancelledError):
        return Overloaded("the work was given up because the service stops", retry_after_s=1)
    return InternalError("internal error", hint="the server's log has the details under this request id")
