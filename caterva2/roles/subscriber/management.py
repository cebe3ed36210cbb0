"""What superusers do with the other users, without HTTP: list, promote, limit, help, revoke."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

from caterva2.errors import NotFound, NotPermitted
from caterva2.model import wire
from caterva2.model.users import (
    ManagedUser,
    Principal,
    ResetLink,
    TokenInfo,
    UserChange,
    UserListQuery,
    UserPage,
)
from caterva2.model.wire import iso_time
from caterva2.roles.subscriber.accounts import (
    GIVEN_RESET_S,
    LONGEST,
    Accounts,
    make_reset_link,
    spell_email,
    token_info,
)
from caterva2.runtime.clock import Clock
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.userdb import Listed, StoredUser, UserDb

logger = logging.getLogger(__name__)


class Rooms(Protocol):
    """Knows how much room users take, and may take."""

    def used_by(self, user: str) -> int:
        """Return the bytes of the personal area of the user of an id."""
        ...

    def limit_of(self, own: int | None) -> int | None:
        """Return the limit of who has this one of his own; see `StoredUser.quota`."""
        ...


class Management:
    """The users of a subscriber, as its superusers see them over the network.

    That who asks is a superuser is checked before, where the endpoint table says so.

    Parameters
    ----------
    accounts
        Told to look up everybody again when something has changed.
    rooms
        The areas.
    urlbase
        Address of the subscriber as users see it.
    """

    def __init__(
        self, accounts: Accounts, db: UserDb, rooms: Rooms, workers: Workers, clock: Clock, *, urlbase: str
    ) -> None:
        self._accounts = accounts
        self._db = db
        self._rooms = rooms
        self._workers = workers
        self._clock = clock
        self._urlbase = urlbase

    async def page(self, wanted: UserListQuery) -> UserPage:
        """List users with their rights, room and limits."""
        part = spell_email((wanted.filter or "")[:LONGEST])
        after = spell_email((wanted.after or "")[:LONGEST])
        run, db, now = self._workers.run, self._db, self._clock.time()
        found = await run(Lane.DISK, db.page, part, after, wanted.limit + 1, now)
        total = await run(Lane.DISK, db.count, part)
        shown = found[: wanted.limit]
        return UserPage(
            users=[self._managed(each) for each in shown], total=total,
            next=shown[-1].user.email if len(found) > len(shown) else None, quota=self._rooms.limit_of(None),
        )  # fmt: skip

    async def change(self, principal: Principal, name: str, change: UserChange) -> ManagedUser:
        """Change the rights, groups or limit of a user: all that is asked for, or nothing.

        Raises
        ------
        BadRequest
            He is the last superuser and would be one no longer; the name of a group makes no sense.
        NotFound
            There is no such user.
        """
        groups = change.checked_groups()
        user = await self._user(name)
        run, db = self._workers.run, self._db
        await run(
            Lane.DISK,
            lambda: db.change(user.id, superuser=change.is_superuser, quota=change.quota, groups=groups),
        )
        self._accounts.forget()
        listed = await run(Lane.DISK, db.listed, user.id, self._clock.time())
        if listed is None:
            raise _no_user(name)
        logger.info("%s has changed %s: %s", principal.name, user.email, wire.plain(change))
        return self._managed(listed)

    async def reset_link(self, principal: Principal, name: str) -> ResetLink:
        """Make a link with which a user sets a new password, to be handed over; earlier ones end.

        Raises
        ------
        NotFound
            There is no such user.
        """
        user, now = await self._user(name), self._clock.time()
        link = await self._workers.run(
            Lane.DISK, make_reset_link, self._db, user.id, self._urlbase, now, GIVEN_RESET_S
        )
        logger.info("%s has made a reset link for %s", principal.name, user.email)
        return ResetLink(link=link, expires=iso_time(now + GIVEN_RESET_S))

    async def tokens(self, principal: Principal, name: str) -> list[TokenInfo]:
        """List the tokens of a user.

        Raises
        ------
        NotPermitted
            It is somebody else, and who asks is no superuser.
        NotFound
            There is no such user.
        """
        if not principal.manages and spell_email(name[:LONGEST]) != principal.name:
            raise NotPermitted("the tokens of others are for superusers")
        user = await self._user(name)
        found = await self._workers.run(Lane.DISK, self._db.tokens, user.id)
        return [token_info(token) for token in found]

    async def emails(self, ids: Iterable[str]) -> dict[str, str]:
        """Return the e-mails of users, by id; those who are gone are left out."""
        return await self._workers.run(Lane.DISK, self._db.emails, tuple(ids))

    async def _user(self, name: str) -> StoredUser:
        user = await self._workers.run(Lane.DISK, self._db.by_email, spell_email(name[:LONGEST]))
        if user is None:
            raise _no_user(name)
        return user

    def _managed(self, listed: Listed) -> ManagedUser:
        user = listed.user
        return ManagedUser(
            id=user.id, email=user.email, is_superuser=user.superuser, groups=sorted(user.groups),
            used=self._rooms.used_by(user.id), quota=self._rooms.limit_of(user.quota),
            own_quota=user.quota is not None, ntokens=listed.ntokens, nshares=listed.nshares,
        )  # fmt: skip


def _no_user(name: str) -> NotFound:
    return NotFound(f"there is no user {name[:LONGEST]}", hint="see the list of users")
