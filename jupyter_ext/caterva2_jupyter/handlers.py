"""What the pages ask Jupyter itself: how the subscribers are, which is chosen, who is logged in there."""

from __future__ import annotations

import asyncio
import http.client
import logging
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

from caterva2.errors import (
    Caterva2Error,
    InternalError,
    MethodNotAllowed,
    NotPermitted,
    RangeNotSatisfiable,
    error_class,
)
from caterva2.model import wire
from caterva2.model.jupyter import Choice, Login
from caterva2.model.problems import error_body

if TYPE_CHECKING:
    from types import TracebackType

    from caterva2_jupyter.subscribers import Subscribers

T = TypeVar("T")
logger = logging.getLogger(__name__)

SUBSCRIBERS = "caterva2_subscribers"
"""Key of the `Subscribers` in the settings of the web application."""
RESOURCE = "caterva2"
"""What Jupyter's authorizer is asked about."""


class ErrorAnswers(JupyterHandler):
    """Turns any failure into the JSON that a subscriber answers with; after `caterva2.transport.handler`."""

    auth_resource = RESOURCE

    @property
    def subscribers(self) -> Subscribers:
        """The subscribers of this Jupyter server."""
        found: Subscribers = self.settings[SUBSCRIBERS]
        return found

    async def check_authorized(self, action: str) -> None:
        """Let go on whoever Jupyter lets do this.

        Raises
        ------
        NotPermitted
            Nobody is logged in to Jupyter, or its authorizer refuses.
        """
        user = self.current_user
        if not user:
            raise NotPermitted("this is for who is logged in to Jupyter", hint="log in to Jupyter again")
        if not await ensure_async(self.authorizer.is_authorized(self, user, action, RESOURCE)):
            raise NotPermitted(f"Jupyter does not let you {action} {RESOURCE}")

    def write_error(self, status_code: int, **kwargs: Any) -> None:  # noqa: ANN401 - as Tornado's
        """Answer with the JSON of an error; called by Tornado for whatever left the handler."""
        error = _as_error(kwargs["exc_info"][1] if "exc_info" in kwargs else None, status_code)
        self.set_status(error.status)
        if isinstance(error, MethodNotAllowed) and "allowed" in error.fields:
            self.set_header("Allow", str(error.fields["allowed"]))
        if isinstance(error, RangeNotSatisfiable):
            self.set_header("Content-Range", f"bytes */{error.fields.get('size', '*')}")
        if "retry_after_s" in error.fields:
            self.set_header("Retry-After", str(error.fields["retry_after_s"]))
        self.set_header("Content-Type", wire.JSON)
        self.finish(wire.to_json(error_body(error, self.request.headers.get("X-Request-Id"))))

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Log what left the handler: a traceback only if it is a defect; called by Tornado."""
        if isinstance(value, StreamClosedError | asyncio.CancelledError):
            logger.debug("the page or the service left during %s", self.request.path)
        elif isinstance(value, Caterva2Error):
            logger.debug("%s: %s: %s", self.request.path, value.code, value)
        else:
            super().log_exception(typ, value, tb)


class JsonHandler(ErrorAnswers, APIHandler):
    """An endpoint of the extension's own."""

    action: ClassVar[str] = "write"

    async def prepare(self) -> None:  # type: ignore[override] # as Jupyter's own APIHandler
        """Refuse whom Jupyter does not let in; called by Tornado."""
        await super().prepare()
        await self.check_authorized("read" if self.request.method in {"GET", "HEAD"} else "write")

    def body(self, type_: type[T]) -> T:
        """Decode the body; raises `ValidationFailed`."""
        return wire.from_json(self.request.body, type_)

    async def tell(self) -> None:
        """Answer with the state of all subscribers."""
        self.set_header("Cache-Control", "no-store")
        self.finish(wire.to_json(await self.subscribers.status()))


class StatusHandler(JsonHandler):
    """GET caterva2/api/status: pages ask this again and again, so it does not count as activity."""

    _track_activity = False

    @authenticated
    async def get(self) -> None:
        """Tell how the subscribers are."""
        await self.tell()


class CurrentHandler(JsonHandler):
    """POST caterva2/api/current."""

    @authenticated
    async def post(self) -> None:
        """Choose a subscriber."""
        self.subscribers.choose(self.body(Choice).name)
        await self.tell()


class LoginHandler(JsonHandler):
    """POST caterva2/api/login: to a subscriber, not to Jupyter."""

    @authenticated
    async def post(self) -> None:
        """Log in, and keep a token."""
        body = self.body(Login)
        await self.subscribers.log_in(body.name, body.user, body.password)
        await self.tell()


class LogoutHandler(JsonHandler):
    """POST caterva2/api/logout."""

    @authenticated
    async def post(self) -> None:
        """End the token, and forget it."""
        await self.subscribers.log_out(self.body(Choice).name)
        await self.tell()


def _as_error(exc: BaseException | None, status: int) -> Caterva2Error:
    if isinstance(exc, Caterva2Error):
        return exc
    if isinstance(exc, HTTPError):
        status = exc.status_code
        message = http.client.responses.get(status, "Unknown")
        if status < 500 and exc.log_message:
            message = exc.get_message() or message
        cls = error_class(None, status)
        return cls(message) if cls.status == status else _of_status(message, status)
    return InternalError("internal error", hint="the log of Jupyter has the details")


def _of_status(message: str, status: int) -> Caterva2Error:
    error = error_class(None, status)(message)
    error.status = status  # type: ignore[misc] # of this one
    return error
