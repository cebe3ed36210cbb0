"""What an operator does with the users of a subscriber, beside it or while it runs. Everything blocks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from caterva2.compute.passwords import check_password, hash_password, make_password
from caterva2.config.schema import SubscriberConfig
from caterva2.errors import BadRequest, Caterva2Error, NotFound
from caterva2.model.datasets import BrokenInfo
from caterva2.model.users import TokenInfo, UserInfo
from caterva2.roles.subscriber.accounts import GIVEN_RESET_S, make_reset_link, normalise_email, token_info
from caterva2.roles.subscriber.uploads import EXPIRES_S, NOTE
from caterva2.roles.subscriber.verification import Verifier
from caterva2.storage.areas import STAGING, AreaFiles, Found, tree_size
from caterva2.storage.backup import back_up as back_up
from caterva2.storage.backup import check as check
from caterva2.storage.backup import restore as restore
from caterva2.storage.directory import DirectorySource
from caterva2.storage.names import StoredKind, stored_kind
from caterva2.storage.userdb import StoredUser, UserDb

LEFT_S = EXPIRES_S + 3600
"""What is still under way after so long is a leftover, whether the subscriber runs or not."""


class Usage(NamedTuple):
    """Bytes that an area takes, and may take; None for no limit of its own."""

    used: int
    limit: int | None


class Findings(NamedTuple):
    """What `Admin.fsck` has found, and what of it was mended."""

    problems: list[str]
    mended: list[str]


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

    def end_sessions(self, name: str, *, tokens: bool = False) -> None:
        """End all sessions of a user, and his tokens if `tokens`; raises as `user`."""
        id_ = self.user(name).id
        self._db.end_sessions(id_)
        if tokens:
            self._db.remove_tokens(id_)

    def reset_link(self, name: str) -> str:
        """Return a link with which a user sets a new password, good for a day; raises as `user`."""
        user, urlbase = self.user(name).id, self._config.urlbase
        return make_reset_link(self._db, user, urlbase, time.time(), GIVEN_RESET_S)

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

    # room

    def usage(self) -> dict[str, Usage]:
        """Return the room of every area, by its name; personal ones with the user's e-mail."""
        state = self._config.statedir
        found = {f"@{name}": Usage(tree_size(state / name), None) for name in ("public", "shared")}
        for user in self._db.users():
            found[f"@personal of {user.email}"] = self._usage(user)
        return found

    def usage_of(self, name: str) -> Usage:
        """Return the room of a user's personal area; raises as `user`."""
        return self._usage(self.user(name))

    def set_quota(self, name: str, quota: int | None) -> None:
        """Set the limit of a user's personal area; raises as `user`.

        Parameters
        ----------
        quota
            In bytes; 0 for no limit, None for the limit that holds for all.
        """
        self._db.set_quota(self.user(name).id, quota)

    def _usage(self, user: StoredUser) -> Usage:
        limit = self._config.userquota if user.quota is None else user.quota or None
        return Usage(tree_size(self._config.statedir / "personal" / user.id), limit)

    # looking after files

    def fsck(self, *, deep: bool = False, repair: bool = False) -> Findings:
        """Look for what is wrong: the database, personal areas of nobody, broken files, leftovers, quotas.

        Nothing that a user has stored is changed.

        Parameters
        ----------
        deep
            Decode every chunk of every frame, in processes of their own; else frames are read as far
            as describing them needs.
        repair
            Remove what uploads that ended long ago have left.
        """
        state = self._config.statedir
        problems = self._db.problems()
        ids = {user.id for user in self._db.users()}
        personal = state / "personal"
        owners = sorted(entry.name for entry in personal.iterdir()) if personal.is_dir() else []
        problems += [f"personal/{name}: there is no such user" for name in owners if name not in ids]
        mended: list[str] = []
        for name in ("public", "shared", *(f"personal/{owner}" for owner in owners)):
            directory = state / name
            if not directory.is_dir():
                continue
            broken = dict(_broken_files(directory))
            if deep:
                broken |= asyncio.run(_broken_chunks(directory, set(broken)))
            problems += [f"{name}/{path}: {broken[path]}" for path in sorted(broken)]
            for left in _leftovers(directory):
                line = f"{name}/{STAGING}/{left.name}: left by an upload that has ended"
                (mended if repair and _removed(left) else problems).append(line)
        return Findings([*problems, *self._beyond_quotas()], mended)

    def _beyond_quotas(self) -> Iterator[str]:
        usage = self.usage()
        total = sum(room.used for room in usage.values())
        for name, room in usage.items():
            if room.limit is not None and room.used > room.limit:
                yield f"{name}: takes {room.used} bytes, more than its quota of {room.limit}"
        if self.quota is not None and total > self.quota:
            yield f"all areas together: take {total} bytes, more than the quota of {self.quota}"


def _broken_files(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield path and reason of files that can not be described."""
    with tempfile.TemporaryDirectory() as made:
        source = DirectorySource(directory, Path(made), lazy=True)
        for found in source.scan():
            try:
                info = source.describe(found.path).info
            except Caterva2Error as exc:
                yield found.path, exc.message
                continue
            if isinstance(info, BrokenInfo):
                yield found.path, info.reason


async def _broken_chunks(directory: Path, known: set[str]) -> dict[str, str]:
    """Return, by path, why frames can not be decoded."""
    files = AreaFiles(directory)
    broken = {}
    verifier = Verifier()
    try:
        for parts in files.files(Found((), True, os.stat(directory))):
            path, kind = "/".join(parts), stored_kind(parts[-1])
            shown = path.removesuffix(".b2") if kind is StoredKind.PACKED else path
            if shown in known or kind is StoredKind.PLAIN:
                continue
            location = directory / path
            before = _inode(location)
            try:
                await verifier.frame(str(location), kind)
            except Caterva2Error as exc:
                if _inode(location) == before:  # else it was replaced or removed meanwhile
                    broken[shown] = exc.message
    finally:
        await verifier.stop()
    return broken


def _inode(location: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(location)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _leftovers(directory: Path) -> list[os.DirEntry[str]]:
    """Return what is in the staging directory of an area longer than anything under way can be."""
    try:
        with os.scandir(directory / STAGING) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    old = time.time() - LEFT_S
    left = []
    for entry in found:
        with contextlib.suppress(FileNotFoundError):
            if entry.stat(follow_symlinks=False).st_mtime < old and not _is_note_of_new(entry, old):
                left.append(entry)
    return left


def _is_note_of_new(entry: os.DirEntry[str], old: float) -> bool:
    """Whether an entry is the note beside an upload to which something was added not long ago."""
    try:
        return entry.name.endswith(NOTE) and os.lstat(entry.path.removesuffix(NOTE)).st_mtime >= old
    except FileNotFoundError:
        return False


def _removed(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(entry.path)
    return not os.path.lexists(entry.path)
