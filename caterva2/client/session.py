"""One server and who asks: what clients, roots and datasets share to make their calls."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from caterva2.client import calls
from caterva2.client.datachannel import TIMEOUT_S
from caterva2.client.handover import Handed, Handover
from caterva2.client.links import is_link, parse_link
from caterva2.client.reading import Reader
from caterva2.client.urlbase import Urlbase
from caterva2.errors import BadRequest, NotAuthenticated, RequestError

if TYPE_CHECKING:
    from caterva2.client.calls import Call
    from caterva2.client.connection import Connection
    from caterva2.client.datachannel import Answer, Channel

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOG_IN = "cat2cli login makes a new one"


class BasicAuth(NamedTuple):
    """Name and password of a user."""

    username: str
    password: str


UserAuth: TypeAlias = BasicAuth | tuple[str, str] | Mapping[str, str]
"""Name and password: a pair, or a mapping with the keys ``username`` and ``password``."""


def read_auth(auth: UserAuth | None) -> BasicAuth | None:
    """Return name and password, or None if there are none.

    Raises
    ------
    BadRequest
        One of the two is missing.
    """
    if not auth:
        return None
    pair = (auth.get("username"), auth.get("password")) if isinstance(auth, Mapping) else tuple(auth)
    if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        raise BadRequest("expected a username and a password, both text")
    username, password = pair
    return BasicAuth(str(username), str(password)) if username else None


def share_of(urlbase: str | None, share: str, other: object) -> tuple[str | None, str]:
    """Return server and token of a share link, or of the token of one.

    Raises
    ------
    BadRequest
        It is none, or something else is to tell who asks, too.
    """
    if other:
        raise BadRequest("a share link goes with no other way to tell who asks")
    if is_link(share):
        link = parse_link(share)
        return link.urlbase, link.token
    return urlbase, share


def stored_token(urlbase: Urlbase) -> str | None:
    """Return the token that is kept for a server, or None."""
    from caterva2.client.tokenfile import kept_token

    kept = kept_token(str(urlbase))
    return None if kept is None else kept.token


def auth_headers(auth_cookie: str | None, token: str | None) -> dict[str, str]:
    """Return the headers that tell who asks."""
    headers = {}
    if auth_cookie:
        headers["Cookie"] = auth_cookie
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return headers


class Session:
    """Blocking access to one server; may be used by many threads. Connections are made when needed.

    Parameters
    ----------
    urlbase
        The server; None for the one that Jupyter hands over, or else the default address.
    auth
        Name and password; logs in at once.
    auth_cookie
        ``name=value``, as `caterva2.get_auth_cookie` returns it.
    token
        Sent as bearer token. Without any of these the one that Jupyter hands over, or else the one that
        ``cat2cli login`` keeps for the server is sent; an empty text sends none.
    kept
        `token` is the one that is kept. If the server refuses such a token, what everybody may
        read is read without it, with a warning.
    timeout_s
        Longest silence of the server, in seconds.
    """

    def __init__(
        self,
        urlbase: Urlbase | str | None = None,
        *,
        auth: UserAuth | None = None,
        auth_cookie: str | None = None,
        token: str | None = None,
        kept: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._handover = None if isinstance(urlbase, Urlbase) else Handover.from_environment()
        self._handed: Handed | None = None
        if self._handover is not None and not isinstance(urlbase, Urlbase):
            self._handed = self._handover.find(urlbase)
            if urlbase is None and self._handed is not None:
                urlbase = self._handed.urlbase
        self.urlbase = urlbase if isinstance(urlbase, Urlbase) else Urlbase.parse(urlbase)
        self.timeout_s = timeout_s
        self._connection: Connection | None = None
        self._patient: Connection | None = None
        self._channel: Channel | None = None
        self._headers: dict[str, str] = {}
        credentials = read_auth(auth)
        if credentials is not None and not auth_cookie:
            auth_cookie = self._log_in(credentials)
        if token is not None or auth_cookie:
            self._handed = None
        elif self._handed is not None and self._handed.token:
            token = self._handed.token
        else:
            token = stored_token(self.urlbase)
            kept = token is not None
        self.auth_cookie = auth_cookie or None
        self._headers = auth_headers(auth_cookie, token)
        self._kept = kept

    def send(self, call: Call[T]) -> T:
        """Send a call and return its result; see `Connection.send`."""
        self._renew()
        return self._or_without_token(call, lambda: self._ready().send(call))

    def patient(self, call: Call[T]) -> T:
        """Send a call that changes something, and wait longer for its end than for other answers."""
        self._renew()
        return self._or_without_token(call, lambda: self._ready_to_wait().send(call))

    def _ready(self) -> Connection:
        connection = self._connection
        if connection is None:
            from caterva2.client.connection import Connection

            connection = Connection(self.urlbase, headers=self._headers, timeout_s=self.timeout_s)
            self._connection = connection
        return connection

    def _ready_to_wait(self) -> Connection:
        connection = self._patient
        if connection is None:
            from caterva2.client.connection import Connection
            from caterva2.client.uploads import PATIENCE_S

            connection = self._patient = Connection(self.urlbase, headers=self._headers, timeout_s=PATIENCE_S)
        return connection

    def _or_without_token(self, call: Call[T], send: Callable[[], T]) -> T:
        """Send a call; once more as nobody if it reads, and the token that is kept is no longer good."""
        try:
            return send()
        except NotAuthenticated as exc:
            if not self._kept:
                raise
            refusal = refused_token(exc)
            if not call.idempotent:
                raise refusal from exc
        from caterva2.client.connection import Connection

        with Connection(self.urlbase, timeout_s=self.timeout_s) as nobody:
            try:
                result = nobody.send(call)
            except RequestError as exc:
                raise refusal from exc
        self.drop_token()
        return result

    def drop_token(self) -> None:
        """Send the token that is kept no longer: the server refuses it."""
        if self._kept:
            logger.warning(
                "the token kept for %s is no longer good; reading without it (%s)", self.urlbase, LOG_IN
            )
            self._kept = False
            self._headers = auth_headers(self.auth_cookie, None)
            self._connection = self._patient = self._channel = None  # closed when nobody uses them

    @property
    def channel(self) -> Channel:
        """For answers with large bodies."""
        self._renew()
        return _ReadingChannel(self) if self._kept else self.sending_channel()

    def sending_channel(self) -> Channel:
        """Return the channel that sends what tells who asks, whatever is thought of it."""
        channel = self._channel
        if channel is None:
            channel = self._channel = self.open_channel(self._headers)
        return channel

    def open_channel(self, headers: Mapping[str, str]) -> Channel:
        """Make a channel."""
        # httpx takes longer to import than a call takes; without a proxy it is not needed here.
        if self.urlbase.uses_proxy:
            from caterva2.client.connection import open_channel
        else:
            from caterva2.client.datachannel import DataChannel as open_channel
        return open_channel(self.urlbase, headers=headers, timeout_s=self.timeout_s)

    @property
    def keeps_token(self) -> bool:
        """Whether the token that is kept is sent."""
        return self._kept

    @property
    def reader(self) -> Reader:
        """Reads slices."""
        return Reader(self.channel)

    @property
    def headers(self) -> Mapping[str, str]:
        """What tells who asks."""
        self._renew()
        return self._headers

    def __reduce__(self) -> tuple[Any, ...]:
        # Credentials stay here; whoever loads it finds his own, as for any new session.
        return _again, (str(self.urlbase), self.timeout_s)

    def close(self) -> None:
        """Close all connections."""
        if self._connection is not None:
            self._connection.close()
        if self._patient is not None:
            self._patient.close()
        if self._channel is not None:
            self._channel.close()

    def _renew(self) -> None:
        """Take over what Jupyter has renewed: its tokens live for minutes, sessions for days."""
        if self._handed is None or self._handover is None or not self._handover.refresh():
            return
        found = self._handover.subscribers.get(self._handed.name)
        if found is None or found == self._handed:
            return
        self._handed = found
        self.urlbase = Urlbase.parse(found.urlbase)
        self._headers = auth_headers(None, found.token or stored_token(self.urlbase))
        # Whoever still reads from the old ones holds them; they close when nobody does.
        self._connection = self._patient = self._channel = None

    def _log_in(self, credentials: BasicAuth) -> str:
        from caterva2.client.connection import Connection

        with Connection(self.urlbase, timeout_s=self.timeout_s) as connection:
            try:
                return connection.send(calls.login(*credentials))
            except RequestError as exc:
                raise calls.login_error(exc, self.urlbase) from exc


def _again(urlbase: str, timeout_s: float) -> Session:
    return Session(urlbase, timeout_s=timeout_s)


def refused_token(exc: NotAuthenticated) -> NotAuthenticated:
    """Return the refusal of a token that is kept, in words for people."""
    return NotAuthenticated(exc.message, hint=LOG_IN)


class _ReadingChannel:
    """A channel that reads once more as nobody if the token that is kept is no longer good."""

    def __init__(self, session: Session) -> None:
        self._session = session

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
        """Send a request and give its answer, the body unread."""
        session, refused = self._session, None
        channel = session.sending_channel()
        with channel.request(method, path, headers=headers, body=body, idempotent=idempotent) as answer:
            if answer.status == 401 and session.keeps_token:
                refused = calls.error_of(calls.Reply(answer.status, answer.headers, answer.read()))
            else:
                yield answer
        if refused is None:
            return
        nobody = session.open_channel({})
        try:
            with nobody.request(method, path, headers=headers, body=body, idempotent=idempotent) as answer:
                if answer.status >= 400:
                    raise refused_token(NotAuthenticated(refused.message)) from refused
                session.drop_token()
                yield answer
        finally:
            nobody.close()

    def close(self) -> None:
        """Do nothing: the session closes what it has opened."""
