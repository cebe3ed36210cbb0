"""Who is asking, what he may do, and what is said about users over the wire."""

from __future__ import annotations

import enum

import msgspec

from caterva2.model.paths import DatasetPath

COOKIE = "c2subauth"
"""Name of the cookie of a session."""


SHARE_PREFIX = "c2s_"
"""What share links begin with, so that scanners for leaked ones find them."""


class Scope(enum.StrEnum):
    """What a session or token may be used for; each includes the ones before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


SCOPES: dict[Scope, frozenset[Scope]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WRITE: frozenset({Scope.READ, Scope.WRITE}),
    Scope.ADMIN: frozenset(Scope),
}
"""What a scope includes."""


class Principal(msgspec.Struct, frozen=True):
    """The one on whose behalf a request is served.

    Attributes
    ----------
    id
        Permanent id of the user, a UUID, the name of his directory; None for
        somebody who is not logged in.
    name
        E-mail of the user.
    superuser
        May manage users, and sees every root.
    scopes
        What the session or token may be used for.
    groups
        Groups of users that he belongs to.
    quota
        Most bytes of his ``@personal``; None for what holds for all, 0 for no limit.
    within
        The holder of a share link asks: he reads as the user who made it would, but nothing exists
        for him outside of this path. None for everybody else.
    """

    id: str | None = None
    name: str | None = None
    superuser: bool = False
    scopes: frozenset[Scope] = SCOPES[Scope.READ]
    groups: frozenset[str] = frozenset()
    quota: int | None = None
    within: DatasetPath | None = None

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is logged in."""
        return self.id is None

    def can(self, scope: Scope) -> bool:
        """Whether the session or token may be used for `scope`."""
        return scope in self.scopes

    def reaches(self, path: DatasetPath) -> bool:
        """Whether a path is not outside of what a share link opens."""
        within = self.within
        return within is None or (
            path.root == within.root and path.parts[: len(within.parts)] == within.parts
        )


ANONYMOUS = Principal()
"""Somebody who is not logged in."""


class UserInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A user as lists show him."""

    id: str
    email: str
    is_active: bool = True
    is_superuser: bool = False
    is_verified: bool = False
    groups: list[str] = []


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``/api/me``: who asks, and with what rights.

    Attributes
    ----------
    used, quota
        Bytes that his ``@personal`` takes, and may take; null for no limit.
    """

    id: str
    email: str
    is_superuser: bool
    groups: list[str]
    scopes: list[str]
    used: int = 0
    quota: int | None = None


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Form of ``/auth/jwt/login``; `username` is the e-mail."""

    username: str
    password: str


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``/auth/register``; the flags that clients may send beside are ignored."""

    email: str
    password: str


class ForgotPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``/auth/forgot-password``."""

    email: str


class ResetPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``/auth/reset-password``."""

    token: str
    password: str


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``/auth/change-password``.

    Attributes
    ----------
    revoke_tokens
        End one's tokens, too, not only the sessions.
    """

    password: str
    new_password: str
    revoke_tokens: bool = False


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``/api/adduser/``; without a password the server makes one and tells it."""

    username: str
    password: str | None
    superuser: bool


class UsersQuery(msgspec.Struct, frozen=True):
    """Query of ``/api/listusers/``: one user; all without it."""

    username: str | None = None


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /api/tokens``.

    Attributes
    ----------
    name
        For its owner to tell it from others.
    scope
        What it may be used for.
    days
        Ends so many days from now; None never ends.
    """

    name: str
    scope: Scope = Scope.READ
    days: float | None = 90.0


class TokenInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A token as lists show it; times are ISO 8601, null for never.

    Attributes
    ----------
    id
        Names it when it is revoked; not secret.
    """

    id: str
    name: str
    scope: Scope
    created: str
    expires: str | None = None
    last_used: str | None = None


class MadeToken(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /api/tokens``: the only time that `token` is shown."""

    token: str
    info: TokenInfo


class NewShare(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /api/shares``.

    Attributes
    ----------
    path
        What the link opens: a file, or a directory, root or area with all below it.
    name
        For its owner to tell it from others, and for its readers to know what it is.
    days
        Ends so many days from now.
    """

    path: str
    name: str = ""
    days: float = 30.0


class SharesQuery(msgspec.Struct, frozen=True):
    """Query of ``GET /api/shares``.

    Attributes
    ----------
    everybody
        Those of all users, for superusers; else one's own.
    """

    everybody: bool = False


class ShareInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A share link as lists show it; times are ISO 8601, null for never.

    Attributes
    ----------
    id
        Names it when it is revoked; not secret.
    owner
        E-mail of the user who made it.
    url
        The link; null for those of others, and for what may only read.
    """

    id: str
    path: str
    name: str
    owner: str
    created: str
    expires: str
    last_used: str | None = None
    url: str | None = None


class SharedInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/shared``: what the share link that came with the request opens."""

    path: str
    name: str
    expires: str
