"""Who is asking, what he may do, and what is said about users over the wire."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from caterva2.errors import BadRequest
from caterva2.model.paths import DatasetPath

COOKIE = "c2subauth"
"""Name of the cookie of a session."""


SHARE_PREFIX = "c2s_"
"""What share links begin with, so that scanners for leaked ones find them."""


MAX_GROUPS, LONGEST_GROUP = 100, 100
"""Most groups of a user, and most characters of the name of one."""


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

    @property
    def manages(self) -> bool:
        """Whether this is a superuser, with a session or token that is good for managing users."""
        return self.superuser and self.can(Scope.ADMIN)

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


class UserListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of ``GET /api/users``.

    Attributes
    ----------
    filter
        Only those whose e-mail has this in it.
    after
        Only those behind this e-mail, as `UserPage.next` tells.
    limit
        Most users of the answer.
    """

    filter: str | None = None
    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class ManagedUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user as superusers see him.

    Attributes
    ----------
    used, quota
        Bytes that his ``@personal`` takes, and may take; null for no limit.
    own_quota
        Whether the limit was set for him; else it is that of all.
    ntokens, nshares
        Tokens and share links that he has.
    """

    id: str
    email: str
    is_superuser: bool
    groups: list[str]
    used: int
    quota: int | None
    own_quota: bool
    ntokens: int
    nshares: int


class UserPage(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/users``, in the order of the e-mails.

    Attributes
    ----------
    total
        How many there are that fit the filter.
    next
        Where the next page begins (`UserListQuery.after`); null at the end.
    quota
        The limit of those who have none of their own, in bytes; null for no limit.
    """

    users: list[ManagedUser]
    total: int
    next: str | None
    quota: int | None


class UserChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``PATCH /api/users/{username}``; what is left out stays as it is.

    Attributes
    ----------
    quota
        Most bytes of his ``@personal``; 0 for no limit, null for the limit of all.
    groups
        The groups that he belongs to, and no others.
    """

    is_superuser: bool | UnsetType = UNSET
    quota: Annotated[int, Meta(ge=0, le=2**63 - 1)] | UnsetType | None = UNSET
    groups: list[str] | UnsetType = UNSET

    def checked_groups(self) -> frozenset[str] | UnsetType:
        """Return the groups, each once.

        Raises
        ------
        BadRequest
            There are too many, or one has a name that makes no sense.
        """
        if self.groups is UNSET:
            return UNSET
        if len(self.groups) > MAX_GROUPS:
            raise BadRequest(f"expected at most {MAX_GROUPS} groups, found {len(self.groups)}")
        for name in self.groups:
            if not 1 <= len(name) <= LONGEST_GROUP or not name.isprintable() or name != name.strip():
                raise BadRequest(
                    f"expected a name of 1 to {LONGEST_GROUP} printable characters for a group, "
                    f"found {name[:300]!r}"
                )
        return frozenset(self.groups)


class ResetLink(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /api/reset-links/{username}``: the only time that `link` is shown."""

    link: str
    expires: str


class TokensQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of ``GET /api/tokens``: the user whose they are, for superusers; else one's own."""

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
