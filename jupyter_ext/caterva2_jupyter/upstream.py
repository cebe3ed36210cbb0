"""A subscriber as Jupyter reaches it: its connection, its credentials, and what is known of its state.

Credentials are added here and nowhere else: a page never sees them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import platform
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from caterva2.client import calls
from caterva2.client.connection import AsyncConnection
from caterva2.client.session import auth_headers
from caterva2.client.tokenfile import KeptToken, keep_token, kept_token
from caterva2.errors import (
    BadRequest,
    Caterva2Error,
    ConfigError,
    ConnectFailed,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    RequestError,
    TransportError,
)
from caterva2.model.jupyter import SubscriberStatus
from caterva2.model.routes import Role, route
from caterva2.model.users import MadeToken, Me, Scope
from caterva2_jupyter.eventproxy import EventRelay

if TYPE_CHECKING:
    from caterva2.client.calls import Call
    from caterva2.client.connection import AsyncAnswer
    from caterva2.client.urlbase import Urlbase

T = TypeVar("T")
logger = logging.getLogger(__name__)

PROBE_S = 3.0
"""A subscriber that says nothing for so long counts as away when its state is asked for."""
STARTING_S = PROBE_S - 0.5
"""So long a call waits for a subscriber of our own to start."""
PROBED_S = 1.0
"""So long what was found is believed."""
TOKEN_DAYS = 90.0
MAX_REQUESTS = 64
"""Requests to one subscriber at a time: downloads to slow pages must not keep all others waiting."""


class Upstream:
    """One subscriber.

    Parameters
    ----------
    name
        Part of its addresses in Jupyter.
    urlbase
        The subscriber.
    embedded
        It runs in this process, and needs no credentials.
    token_file
        Where tokens are kept; None for where ``cat2cli login`` keeps them.
    timeout_s
        How long it may be silent.
    read_only
        Nothing may be written to it.
    started
        Waits until it has started, if it is ours; None if it need not be waited for.
    """

    def __init__(
        self,
        name: str,
        urlbase: Urlbase,
        *,
        embedded: bool = False,
        token_file: Path | None = None,
        timeout_s: float = 30.0,
        read_only: bool = False,
        started: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.urlbase = urlbase
        self.embedded = embedded
        self.read_only = read_only
        self.timeout_s = timeout_s
        self.failure: str | None = None
        """Why an embedded subscriber did not start."""
        self._started = started
        self._token_file = token_file
        self._kept: KeptToken | None = None
        self._refused: str | None = None
        self._unreadable: str | None = None
        self._doubting: asyncio.Task[SubscriberStatus] | None = None
        self._connection: AsyncConnection | None = None
        self._closed = False
        self._probing = asyncio.Lock()
        self._found: tuple[float, SubscriberStatus] | None = None
        self.events = EventRelay(urlbase, self.headers, self.shown)

    @property
    def shown(self) -> str:
        """What it is called in messages."""
        return "the subscriber that Jupyter runs" if self.embedded else str(self.urlbase)

    @property
    def token(self) -> str | None:
        """The token in use; None if there is none, or it is no longer good."""
        return None if self._kept is None or self._kept.token == self._refused else self._kept.token

    def headers(self) -> dict[str, str]:
        """Return what tells the subscriber who asks."""
        return auth_headers(None, self.token)

    async def close(self) -> None:
        """End all connections, and make no more; safe to call twice."""
        self._closed = True
        await self.events.close()
        if self._doubting is not None:
            self._doubting.cancel()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    # calls

    async def send(self, call: Call[T]) -> T:
        """Send a call with our credentials, and return its result.

        Raises
        ------
        Caterva2Error
            What it answered, or that it did not.
        """
        with self._named():
            return await (await self._connected()).send(self._signed(call))

    @contextlib.asynccontextmanager
    async def stream(
        self,
        call: Call[Any],
        *,
        body: AsyncIterable[bytes] | None = None,
        timeout_s: float | None = None,
        ask: bool = False,
    ) -> AsyncGenerator[AsyncAnswer, None]:
        """Send a call with our credentials, and give its answer, the body unread and an error not raised.

        Raises
        ------
        TransportError
            It does not answer.
        """
        with self._named():
            connection = await self._connected()
            async with connection.stream(
                self._signed(call), body=body, timeout_s=timeout_s, ask=ask
            ) as answer:
                yield answer

    async def _connected(self) -> AsyncConnection:
        if self._closed:
            raise ConnectFailed(f"cannot reach {self.shown}: Jupyter stops")
        if self._started is not None:
            try:
                async with asyncio.timeout(STARTING_S):
                    await self._started()
            except TimeoutError as exc:
                raise ConnectFailed(f"{self.shown} is still starting", hint="try again in a moment") from exc
        if self.failure is not None:
            raise ConnectFailed(f"{self.shown} did not start: {self.failure}")
        if self._connection is None:
            self._connection = AsyncConnection(
                self.urlbase, timeout_s=self.timeout_s, max_connections=MAX_REQUESTS
            )
        return self._connection

    def _signed(self, call: Call[T]) -> Call[T]:
        return dataclasses.replace(call, headers={**call.headers, **self.headers()})

    @contextlib.contextmanager
    def _named(self) -> Any:  # noqa: ANN401 - a context manager
        """Name the subscriber in messages as people know it."""
        try:
            yield
        except TransportError as exc:
            raise type(exc)(exc.message.replace(str(self.urlbase), self.shown), hint=exc.hint) from exc

    # who asks

    async def load_token(self) -> bool:
        """Read the token that is kept for it, if it needs one; tell whether it is another than before."""
        if self.embedded:
            return False
        try:
            kept = await asyncio.to_thread(kept_token, str(self.urlbase), self._token_file)
            self._unreadable = None
        except ConfigError as exc:
            self._unreadable = str(exc)
            kept = None
        if kept == self._kept:
            return False
        self._use(kept)
        return True

    def _use(self, kept: KeptToken | None) -> None:
        self._kept = kept
        self._refused = None
        self._found = None
        self.events.restart()

    async def log_in(self, user: str, password: str) -> None:
        """Log in, make a token, and keep it; the password is forgotten.

        Raises
        ------
        NotAuthenticated, RequestError
            It does not know the user, or has none.
        TransportError
            It does not answer.
        """
        if self.embedded:
            raise BadRequest(f"{self.shown} needs no login")
        if not user or not password:
            raise BadRequest("expected the name of a user and a password")
        scope = Scope.READ if self.read_only else Scope.WRITE
        wanted = calls.create_token(
            f"Jupyter on {platform.node() or 'this machine'}"[:100], scope, TOKEN_DAYS
        )
        with self._named():
            async with AsyncConnection(self.urlbase, timeout_s=self.timeout_s) as connection:
                try:
                    cookie = await connection.send(calls.login(user, password))
                except RequestError as exc:
                    raise calls.login_error(exc, self.urlbase) from exc
                session = auth_headers(cookie, None)
                try:
                    made = await connection.send(
                        dataclasses.replace(wanted, headers={**wanted.headers, **session})
                    )
                finally:
                    end = dataclasses.replace(
                        calls.call(_row("logout")), headers=session, decode=lambda _: None
                    )
                    with contextlib.suppress(Caterva2Error):
                        await connection.send(end)
        kept = KeptToken(made.token, user, made.info.id)
        await asyncio.to_thread(keep_token, str(self.urlbase), kept, self._token_file)
        self._use(kept)

    async def log_out(self) -> None:
        """End the token that is in use, and forget it."""
        await self.load_token()
        if self._kept is None:
            return
        with contextlib.suppress(Caterva2Error):
            await self.send(calls.revoke_token(self._kept.id))
        await asyncio.to_thread(keep_token, str(self.urlbase), None, self._token_file)
        self._use(None)

    async def make_token(self, name: str, days: float) -> MadeToken:
        """Make a token for somebody else, good for no more than ours; raises as `send`."""
        if self.read_only:
            return await self.send(calls.create_token(name, Scope.READ, days))
        try:
            return await self.send(calls.create_token(name, Scope.WRITE, days))
        except NotPermitted:
            return await self.send(calls.create_token(name, Scope.READ, days))

    # how it is

    def doubt(self) -> None:
        """Look anew, in the background, whether our token is still good: somebody was refused with it."""
        self._found = None
        if self.token is not None and (self._doubting is None or self._doubting.done()):
            self._doubting = asyncio.create_task(self.status(), name=f"token for {self.shown}")

    async def status(self) -> SubscriberStatus:
        """Return what is known of it; takes at most some seconds, and raises nothing."""
        async with self._probing:
            await self.load_token()
            now = time.monotonic()
            if self._found is None or now - self._found[0] > PROBED_S:
                self._found = now, await self._probe()
            return self._found[1]

    async def _probe(self) -> SubscriberStatus:
        try:
            async with asyncio.timeout(min(PROBE_S, self.timeout_s)):
                return await self._ask()
        except TimeoutError:
            return self._away(f"{self.shown} did not answer in {min(PROBE_S, self.timeout_s):g} s")
        except Caterva2Error as exc:
            return self._away(str(exc))

    async def _ask(self) -> SubscriberStatus:
        try:
            return self._known(await self.send(calls.me()))
        except NotAuthenticated as exc:
            if self.token is None:
                return self._anonymous(has_users=True)
            # What is open to all stays readable; the page says why the rest is not.
            self._refused = self.token
            self.events.restart()
            logger.info("the token for %s is no longer good: %s", self.shown, exc)
            return self._anonymous(has_users=True)
        except NotFound:
            await self.send(calls.roots())
            return self._anonymous(has_users=False)

    def _known(self, me: Me) -> SubscriberStatus:
        writes = Scope.WRITE in me.scopes
        features = ["events"]
        if not self.embedded:
            features.append("login")
        if writes and not self.read_only:
            features.append("write")
        return SubscriberStatus(
            name=self.name, url=str(self.urlbase), embedded=self.embedded, connected=True, user=me.email,
            read_only=self.read_only or not writes, features=features,
        )  # fmt: skip

    def _anonymous(self, *, has_users: bool) -> SubscriberStatus:
        reason = self._unreadable
        if self._refused is not None:
            reason = f"the token for {self.shown} is unknown, has ended, or was revoked; log in again"
        return SubscriberStatus(
            name=self.name, url=str(self.urlbase), connected=True, reason=reason, read_only=self.read_only,
            features=["events", "login"] if has_users else ["events"],
        )  # fmt: skip

    def _away(self, reason: str) -> SubscriberStatus:
        return SubscriberStatus(
            name=self.name, url=str(self.urlbase), embedded=self.embedded, reason=reason,
            read_only=self.read_only,
        )  # fmt: skip


def _row(name: str) -> Any:  # noqa: ANN401
    return route(Role.SUBSCRIBER, name)
