"""Who asks: credentials of a request, signed cookies of sessions, and what a principal is let through to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from caterva2.errors import NotAuthenticated, NotPermitted
from caterva2.model.routes import Auth, Route
from caterva2.model.users import COOKIE, Principal, Scope
from caterva2.transport.security import SAFE_METHODS, is_foreign

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

MAX_CREDENTIAL = 1024
"""Longest cookie or token that is looked at, in characters."""


class Credentials(NamedTuple):
    """What a request brings to tell who asks.

    Attributes
    ----------
    text
        Value of the cookie, or the token.
    is_token
        It came as ``Authorization: Bearer``.
    """

    text: str
    is_token: bool


class Authenticator(Protocol):
    """Knows who is behind credentials."""

    def known(self, credentials: Credentials) -> Principal | None:
        """Return who it is if that has been looked up a moment ago; does not block."""
        ...

    async def look_up(self, credentials: Credentials) -> Principal:
        """Return who it is.

        A cookie that is no longer good is nobody's; a token that is not is refused.

        Raises
        ------
        NotAuthenticated
            The token is unknown, has ended, or was revoked.
        """
        ...


class Session(NamedTuple):
    """What a cookie says.

    Attributes
    ----------
    id
        Names the session.
    user
        Id of the user.
    generation
        Sessions of older generations have ended.
    expires
        When it ends, in seconds since 1970.
    """

    id: str
    user: str
    generation: int
    expires: int


class CookieSigner:
    """Makes cookies that only the holder of the secret can make.

    Parameters
    ----------
    secret
        Shared by nobody; another one ends all sessions.
    """

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"caterva2 session cookie 1", "sha256")

    def sign(self, session: Session) -> str:
        """Return the value of a cookie."""
        payload = _encode(json.dumps(session, separators=(",", ":")).encode())
        return f"{payload}.{self._signature(payload)}"

    def verify(self, text: str, now: float) -> Session | None:
        """Return what a cookie says, or None if it is forged or has ended."""
        payload, dot, signature = text.partition(".")
        if not dot or not hmac.compare_digest(
            signature.encode("utf-8", "replace"), self._signature(payload).encode()
        ):
            return None
        session = Session(*json.loads(_decode(payload)))
        return session if session.expires > now else None

    def _signature(self, payload: str) -> str:
        return _encode(hmac.digest(self._key, payload.encode("utf-8", "replace"), hashlib.sha256))


def read_credentials(headers: Mapping[str, str]) -> Credentials | None:
    """Return what a request brings; a token goes before a cookie."""
    kind, _, token = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return Credentials(token.strip()[:MAX_CREDENTIAL], is_token=True)
    for pair in headers.get("Cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return Credentials(value.strip('"'), is_token=False) if len(value) <= MAX_CREDENTIAL else None
    return None


def permit(route: Route, principal: Principal, *, has_users: bool) -> None:
    """Let a request through, or refuse it.

    Raises
    ------
    NotAuthenticated
        The route needs somebody, or a superuser.
    NotPermitted
        The session, token or share link is not good for it.
    """
    if route.auth not in {Auth.USER, Auth.SUPERUSER}:
        return
    if principal.within is not None:
        raise NotPermitted("a share link is good for reading what it opens, and nothing else")
    if principal.is_anonymous:
        if not has_users:
            raise NotAuthenticated(
                "this is for users who are logged in, and this subscriber has no users",
                hint="its operator can put files into the directory behind @public",
            )
        raise NotAuthenticated("this is for users who are logged in", hint="log in, or send a token")
    if route.auth is Auth.SUPERUSER and not principal.superuser:
        raise NotAuthenticated("this is for superusers")
    if not principal.can(route.scope):
        raise NotPermitted(f"this needs a token of scope {route.scope}")


def refuse_foreign_page(route: Route, request: HTTPServerRequest, site: str) -> None:
    """Refuse what a page of another site makes a browser do: with the user's cookie, or to log him in.

    What only reads is let through: without CORS such a page does not see the answer.

    Parameters
    ----------
    site
        See `is_foreign`.

    Raises
    ------
    NotPermitted
        A browser tells that the request does not come from our own pages.
    """
    if route.scope is Scope.READ and request.method in SAFE_METHODS:
        return
    # A link on a page of another site brings the cookie; an old browser says no more than that it navigates.
    follows_link = request.method in SAFE_METHODS and "text/html" in request.headers.get("Accept", "")
    if follows_link or is_foreign(request.headers, site):
        raise NotPermitted("a page of another site may not do this here")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
