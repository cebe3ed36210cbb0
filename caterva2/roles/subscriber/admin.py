"""What an operator does with the users of a subscriber, beside it or while it runs. Everything blocks."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from caterva2.compute.passwords import check_password, hash_password, make_password
from caterva2.config.schema import SubscriberConfig
from caterva2.errors import BadRequest, Caterva2Error, NotFound
from caterva2.model.datasets import BrokenInfo
from caterva2.model.users import TokenInfo, UserInfo
from caterva2.roles.subscriber.accounts import make_reset_link, normalise_email, token_info
from caterva2.storage.directory import DirectorySource
from caterva2.storage.userdb import StoredUser, UserDb

RESET_S = 24 * 3600


class Admin:
    """The users of a subscriber, as its operator sees them."""

    def __init__(self, config: SubscriberConfig) -> None:
        self._config = config
        self.quota = config.quota
        self._db = UserDb(config.statedir / "users.sqlite")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    def add(self, name: str, password: str | None, *, superuser: bool) -> str:
        """Add a user and return his password, a new one if none is given.

        Raises
        ------
        BadRequest
            The name is no e-mail, is taken, or there are too many users; the password is not good.
        """
        password = make_password() if password is None else check_password(password)
        hashed = hash_password(password)
        self._db.add(normalise_email(name), hashed, superuser=superuser, limit=self._config.maxusers)
        return password

    def remove(self, name: str) -> None:
        """Remove a user and his personal area; raises as `user`."""
        user = self.user(name)
        self._db.remove(user.id)
        shutil.rmtree(self._config.statedir / "personal" / user.id, ignore_errors=True)

    def user(self, name: str) -> StoredUser:
        """Return a user.

        Raises
        ------
        BadRequest
            There is none of this name.
        """
        user = self._db.by_email(normalise_email(name))
        if user is None:
            raise BadRequest(f"there is no user {name}", hint="see: cat2admin users list")
        return user

    def users(self) -> list[UserInfo]:
        """Return all users."""
        return [
            UserInfo(id=u.id, email=u.email, is_superuser=u.superuser, groups=sorted(u.groups))
            for u in self._db.users()
        ]

    def set_superuser(self, name: str, *, superuser: bool) -> None:
        """Make a user a superuser, or an ordinary one; raises as `user`."""
        self._db.set_superuser(self.user(name).id, superuser)

    def set_groups(self, name: str, groups: frozenset[str]) -> None:
        """Make a user a member of these groups and no others; raises as `user`."""
        self._db.set_groups(self.user(name).id, groups)

    def end_sessions(self, name: str) -> None:
        """End all sessions of a user; raises as `user`."""
        self._db.end_sessions(self.user(name).id)

    def reset_link(self, name: str) -> str:
        """Return a link with which a user sets a new password, good for a day; raises as `user`."""
        return make_reset_link(self._db, self.user(name).id, self._config.urlbase, time.time(), RESET_S)

    def tokens(self, name: str) -> list[TokenInfo]:
        """Return the tokens of a user; raises as `user`."""
        return [token_info(token) for token in self._db.tokens(self.user(name).id)]

    def revoke_token(self, name: str, id_: str) -> None:
        """End a token of a user; raises as `user`.

        Raises
        ------
        NotFound
            He has none of this id.
        """
        if not self._db.remove_token(self.user(name).id, id_):
            raise NotFound(f"{name} has no token {id_}")

    def usage(self) -> dict[str, int]:
        """Return the bytes on disk of every area, by its name; personal ones with the user's e-mail."""
        state = self._config.statedir
        found = {f"@{name}": _size(state / name) for name in ("public", "shared")}
        for user in self._db.users():
            found[f"@personal of {user.email}"] = _size(state / "personal" / user.id)
        return found

    def fsck(self) -> list[str]:
        """Return what is wrong: the database, personal areas of nobody, files that can not be read.

        Nothing is changed. Frames are read as far as describing them needs; their chunks are not decoded.
        """
        state = self._config.statedir
        problems = self._db.problems()
        ids = {user.id for user in self._db.users()}
        personal = state / "personal"
        owners = sorted(entry.name for entry in personal.iterdir()) if personal.is_dir() else []
        problems += [f"personal/{name}: there is no such user" for name in owners if name not in ids]
        for name in ("public", "shared", *(f"personal/{owner}" for owner in owners)):
            if (state / name).is_dir():
                problems += [f"{name}/{problem}" for problem in _broken_files(state / name)]
        return problems


def _broken_files(directory: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as made:
        source = DirectorySource(directory, Path(made), lazy=True)
        for found in source.scan():
            try:
                info = source.describe(found.path).info
            except Caterva2Error as exc:
                yield f"{found.path}: {exc.message}"
                continue
            if isinstance(info, BrokenInfo):
                yield f"{found.path}: {info.reason}"


def _size(directory: Path) -> int:
    total = 0
    for where, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_size
            except OSError:  # it is gone
                continue
    return total
