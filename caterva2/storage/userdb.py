"""Users, groups, sessions, tokens and share links in SQLite: one file in the state directory.

All calls block; run them in the ``disk`` lane. They may come from any thread,
and ``cat2admin`` opens the same file while the subscriber runs. Unlike the other
databases this one can not be had again: one that is broken is never replaced.
Passwords and tokens are kept as hashes only; of share links only what they open is kept.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
from msgspec import UNSET, UnsetType

from caterva2.errors import BadRequest, InternalError, UserExists

VERSION = 3
_LOCK_WAIT_S = 10.0

_SCHEMA = """
CREATE TABLE users (
    id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password TEXT NOT NULL, superuser INTEGER NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0, quota INTEGER
) WITHOUT ROWID;
CREATE TABLE members (
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE, name TEXT NOT NULL, PRIMARY KEY (user, name)
) WITHOUT ROWID;
CREATE TABLE tokens (
    id TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, scope TEXT NOT NULL,
    created REAL NOT NULL, expires REAL, last_used REAL
) WITHOUT ROWID;
CREATE TABLE resets (
    hash BLOB PRIMARY KEY, user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE ended (session TEXT PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX tokens_user ON tokens (user);
"""
_SHARES = """
CREATE TABLE shares (
    id TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    path TEXT NOT NULL, name TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL, last_used REAL
) WITHOUT ROWID;
CREATE INDEX shares_user ON shares (user);
"""
_STEPS = ("ALTER TABLE users ADD COLUMN quota INTEGER", _SHARES)
"""What leads from version 1 to 2, from 2 to 3, and so on."""


class StoredUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user as he is kept.

    Attributes
    ----------
    password
        Its hash.
    generation
        Sessions of older generations have ended.
    quota
        Most bytes of his personal area; None for what holds for all, 0 for no limit.
    """

    id: str
    email: str
    password: str
    superuser: bool
    generation: int
    groups: frozenset[str]
    quota: int | None = None


class StoredToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is kept; times in seconds since 1970, None for never."""

    id: str
    user: str
    name: str
    scope: str
    created: float
    expires: float | None
    last_used: float | None


class Listed(NamedTuple):
    """A user, and how many tokens he has, and share links that have not ended."""

    user: StoredUser
    ntokens: int
    nshares: int


class Owned(NamedTuple):
    """A token and the user who made it."""

    token: StoredToken
    user: StoredUser


class StoredShare(msgspec.Struct, frozen=True, kw_only=True):
    """A share link as it is kept; times in seconds since 1970.

    Attributes
    ----------
    user
        Id of the user who made it.
    path
        What it opens: a file, or a directory or root with all below it.
    """

    id: str
    user: str
    path: str
    name: str
    created: float
    expires: float
    last_used: float | None = None


class Shared(NamedTuple):
    """A share link and the user who made it."""

    share: StoredShare
    user: StoredUser


class UserDb:
    """The database of users.

    Parameters
    ----------
    path
        File; made if missing, readable by its owner only.

    Raises
    ------
    InternalError
        It can not be used, or is of another version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        with self._translated():
            self._db: sqlite3.Connection | None = sqlite3.connect(
                self._path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("PRAGMA foreign_keys=ON")
                self._make_tables(self._db)
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # users

    def add(
        self, email: str, password: str, *, superuser: bool = False, limit: int | None = None
    ) -> StoredUser:
        """Add a user.

        Parameters
        ----------
        password
            Its hash.
        limit
            Most users there may be; None for no limit.

        Raises
        ------
        UserExists, BadRequest
            There is one of this name; there are `limit` users already.
        """
        with self._writing() as db:
            if db.execute("SELECT 1 FROM users WHERE email = ?", (email,)).fetchone():
                raise UserExists(f"there is a user {email} already")
            (count,) = db.execute("SELECT count(*) FROM users").fetchone()
            if limit is not None and count >= limit:
                raise BadRequest(f"there are {count} users already, and no more than {limit} are allowed")
            id_ = str(uuid.uuid4())
            db.execute(
                "INSERT INTO users (id, email, password, superuser) VALUES (?, ?, ?, ?)",
                (id_, email, password, superuser),
            )
        return StoredUser(
            id=id_, email=email, password=password, superuser=superuser, generation=0, groups=frozenset()
        )

    def by_email(self, email: str) -> StoredUser | None:
        """Return a user by his e-mail, or None."""
        return self._one("email", email)

    def by_id(self, id_: str) -> StoredUser | None:
        """Return a user by his id, or None."""
        return self._one("id", id_)

    def users(self) -> list[StoredUser]:
        """Return all users, in the order of their e-mails."""
        with self._using() as db:
            rows = db.execute("SELECT id FROM users ORDER BY email").fetchall()
        found = (self.by_id(id_) for (id_,) in rows)
        return [user for user in found if user is not None]

    def page(self, part: str, after: str, limit: int, now: float) -> list[Listed]:
        """Return the first users, by e-mail, that have `part` in it and come behind `after`."""
        return self._listed(
            "instr(email, ?) > 0 AND email > ? ORDER BY email LIMIT ?", (part, after, limit), now
        )

    def listed(self, id_: str, now: float) -> Listed | None:
        """Return a user by his id as `page` does, or None."""
        return next(iter(self._listed("id = ?", (id_,), now)), None)

    def _listed(self, condition: str, values: tuple[str | int, ...], now: float) -> list[Listed]:
        with self._using() as db:
            rows = db.execute(f"{_LISTED} WHERE {condition}", (now, *values)).fetchall()
            groups: dict[str, set[str]] = {row[0]: set() for row in rows}
            marks = ",".join("?" * len(groups))
            members = f"SELECT user, name FROM members WHERE user IN ({marks})"  # noqa: S608 - marks only
            for id_, name in db.execute(members, tuple(groups)):
                groups[id_].add(name)
        return [Listed(_user(row[:6], groups[row[0]]), row[6], row[7]) for row in rows]

    def emails(self, ids: Iterable[str]) -> dict[str, str]:
        """Return the e-mails of users, by id; those who are gone are left out."""
        wanted = tuple(set(ids))
        marks = ",".join("?" * len(wanted))
        with self._using() as db:
            return dict(db.execute(f"SELECT id, email FROM users WHERE id IN ({marks})", wanted))  # noqa: S608

    def count(self, part: str = "") -> int:
        """Return the number of users, or of those whose e-mail has `part` in it."""
        with self._using() as db:
            (count,) = db.execute("SELECT count(*) FROM users WHERE instr(email, ?) > 0", (part,)).fetchone()
        return int(count)

    def remove(self, id_: str, *, keep_one: bool = False) -> bool:
        """Remove a user with his tokens; tell whether he was there.

        Parameters
        ----------
        keep_one
            Refuse to remove the last superuser.

        Raises
        ------
        BadRequest
            He is the last superuser.
        """
        with self._writing() as db:
            if keep_one:
                _check_not_last(db, id_, "removed")
            return db.execute("DELETE FROM users WHERE id = ?", (id_,)).rowcount > 0

    def set_password(self, id_: str, password: str, *, revoke_tokens: bool = False) -> None:
        """Store the hash of a new password; ends all sessions and reset links of the user.

        Parameters
        ----------
        revoke_tokens
            End all his tokens and share links, too.
        """
        with self._writing() as db:
            _set_password(db, id_, password, revoke_tokens=revoke_tokens)

    def reset_password(self, hashed: bytes, now: float, password: str) -> bool:
        """Store the hash of a new password for the user of a reset link, which is used up.

        Ends all his sessions, tokens and share links: whoever knew the old password may have made them.
        Tells whether the link was good.
        """
        with self._writing() as db:
            row = db.execute(_RESETS, (hashed, now)).fetchone()
            if row is not None:
                _set_password(db, row[0], password, revoke_tokens=True)
        return row is not None

    def set_quota(self, id_: str, quota: int | None) -> None:
        """Set the limit of a user's personal area; see `StoredUser.quota`."""
        with self._writing() as db:
            _set_quota(db, id_, quota)

    def quotas(self) -> dict[str, int]:
        """Return the limits of those users, by id, who have one of their own."""
        with self._using() as db:
            return dict(db.execute("SELECT id, quota FROM users WHERE quota IS NOT NULL").fetchall())

    def set_superuser(self, id_: str, superuser: bool) -> None:
        """Make a user a superuser, or an ordinary one."""
        with self._writing() as db:
            _set_superuser(db, id_, superuser)

    def set_groups(self, id_: str, groups: frozenset[str]) -> None:
        """Make a user a member of these groups and no others."""
        with self._writing() as db:
            _set_groups(db, id_, groups)

    def change(
        self,
        id_: str,
        *,
        superuser: bool | UnsetType = UNSET,
        quota: int | UnsetType | None = UNSET,
        groups: frozenset[str] | UnsetType = UNSET,
    ) -> bool:
        """Change several things of a user at once, or none of them; tell whether he was there.

        Raises
        ------
        BadRequest
            He is the last superuser, and would be one no longer.
        """
        with self._writing() as db:
            if db.execute("SELECT 1 FROM users WHERE id = ?", (id_,)).fetchone() is None:
                return False
            if superuser is not UNSET:
                if not superuser:
                    _check_not_last(db, id_, "made an ordinary user")
                _set_superuser(db, id_, superuser)
            if quota is not UNSET:
                _set_quota(db, id_, quota)
            if groups is not UNSET:
                _set_groups(db, id_, groups)
        return True

    # sessions

    def end_sessions(self, id_: str) -> None:
        """End all sessions of a user."""
        with self._writing() as db:
            db.execute("UPDATE users SET generation = generation + 1 WHERE id = ?", (id_,))

    def remove_tokens(self, id_: str) -> int:
        """End all tokens and share links of a user; return how many there were."""
        with self._writing() as db:
            return sum(db.execute(statement, (id_,)).rowcount for statement in _REVOKE)

    def end_session(self, session: str, expires: float, now: float) -> None:
        """Remember that a session has ended before its time, until that time."""
        with self._writing() as db:
            db.execute("DELETE FROM ended WHERE expires <= ?", (now,))
            db.execute("INSERT OR REPLACE INTO ended VALUES (?, ?)", (session, expires))

    def session_user(self, session: str, id_: str, generation: int) -> StoredUser | None:
        """Return the user of a session; None if it has ended."""
        with self._using() as db:
            ended = db.execute("SELECT 1 FROM ended WHERE session = ?", (session,)).fetchone()
        user = None if ended else self.by_id(id_)
        return user if user is not None and user.generation == generation else None

    # tokens

    def add_token(self, token: StoredToken, hashed: bytes, *, limit: int) -> None:
        """Store a token.

        Raises
        ------
        BadRequest
            The user has `limit` tokens already.
        """
        with self._writing() as db:
            (count,) = db.execute("SELECT count(*) FROM tokens WHERE user = ?", (token.user,)).fetchone()
            if count >= limit:
                raise BadRequest(f"there are {count} tokens already", hint="revoke one of them")
            db.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                (token.id, token.user, hashed, token.name, token.scope, token.created, token.expires),
            )

    def tokens(self, user: str) -> list[StoredToken]:
        """Return the tokens of a user, oldest first."""
        with self._using() as db:
            rows = db.execute(f"{_TOKENS} WHERE user = ? ORDER BY created, id", (user,)).fetchall()
        return [_token(row) for row in rows]

    def remove_token(self, user: str | None, id_: str) -> bool:
        """Remove a token of a user, or of anybody if `user` is None; tell whether it was there."""
        with self._writing() as db:
            if user is None:
                removed = db.execute("DELETE FROM tokens WHERE id = ?", (id_,))
            else:
                removed = db.execute("DELETE FROM tokens WHERE id = ? AND user = ?", (id_, user))
            return removed.rowcount > 0

    def token_owner(self, hashed: bytes, now: float, *, grain_s: float = 60.0) -> Owned | None:
        """Return a token that has not ended, with its user; note when it was used, to `grain_s` seconds."""
        with self._using() as db:
            row = db.execute(f"{_TOKENS} WHERE hash = ?", (hashed,)).fetchone()
        if row is None:
            return None
        token = _token(row)
        user = self.by_id(token.user)
        if user is None or (token.expires is not None and token.expires <= now):
            return None
        if token.last_used is None or now - token.last_used >= grain_s:
            with self._writing() as db:
                db.execute("UPDATE tokens SET last_used = ? WHERE id = ?", (now, token.id))
        return Owned(token, user)

    # share links

    def add_share(self, share: StoredShare, now: float, *, limit: int) -> None:
        """Store a share link; those of the user that have ended are dropped.

        Raises
        ------
        BadRequest
            The user has `limit` of them already.
        """
        with self._writing() as db:
            db.execute("DELETE FROM shares WHERE user = ? AND expires <= ?", (share.user, now))
            (count,) = db.execute("SELECT count(*) FROM shares WHERE user = ?", (share.user,)).fetchone()
            if count >= limit:
                raise BadRequest(f"there are {count} share links already", hint="revoke one of them")
            db.execute(
                "INSERT INTO shares VALUES (?, ?, ?, ?, ?, ?, NULL)",
                (share.id, share.user, share.path, share.name, share.created, share.expires),
            )

    def shares(self, user: str | None, now: float) -> list[Shared]:
        """Return the share links that have not ended, oldest first, of a user or of all."""
        with self._using() as db:
            rows = db.execute(
                f"{_SHARED} WHERE expires > ? AND ? IN (user, '') ORDER BY created, id", (now, user or "")
            ).fetchall()
        users = {id_: self.by_id(id_) for id_ in {row[1] for row in rows}}
        found = ((_share(row), users[row[1]]) for row in rows)
        return [Shared(share, owner) for share, owner in found if owner is not None]

    def remove_share(self, user: str | None, id_: str) -> bool:
        """Remove a share link of a user, or of anybody if `user` is None; tell whether it was there."""
        with self._writing() as db:
            return db.execute(
                "DELETE FROM shares WHERE id = ? AND ? IN (user, '')", (id_, user or "")
            ).rowcount > 0  # fmt: skip

    def share_owner(self, id_: str, now: float, *, grain_s: float = 60.0) -> Shared | None:
        """Return a share link that has not ended, with its user, and note when it was used; as tokens."""
        with self._using() as db:
            row = db.execute(f"{_SHARED} WHERE id = ? AND expires > ?", (id_, now)).fetchone()
        if row is None:
            return None
        share = _share(row)
        user = self.by_id(share.user)
        if user is None:
            return None
        if share.last_used is None or now - share.last_used >= grain_s:
            with self._writing() as db:
                db.execute("UPDATE shares SET last_used = ? WHERE id = ?", (now, share.id))
        return Shared(share, user)

    # reset links

    def add_reset(self, user: str, hashed: bytes, expires: float, now: float) -> None:
        """Store the token of a reset link; earlier ones of the user end."""
        with self._writing() as db:
            db.execute("DELETE FROM resets WHERE user = ? OR expires <= ?", (user, now))
            db.execute("INSERT INTO resets VALUES (?, ?, ?)", (hashed, user, expires))

    def reset_user(self, hashed: bytes, now: float) -> StoredUser | None:
        """Return the user of a reset link; None if it has ended."""
        with self._using() as db:
            row = db.execute(_RESETS, (hashed, now)).fetchone()
        return None if row is None else self.by_id(row[0])

    def problems(self) -> list[str]:
        """Return what SQLite finds wrong with the file; nothing if it is sound."""
        with self._using() as db:
            rows = db.execute("PRAGMA integrity_check").fetchall()
        return [f"{self._path.name}: {text}" for (text,) in rows if text != "ok"]

    # inside

    def _one(self, column: str, value: str) -> StoredUser | None:
        with self._using() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM users WHERE {column} = ?", (value,)).fetchone()  # noqa: S608
            if row is None:
                return None
            groups = db.execute("SELECT name FROM members WHERE user = ?", (row[0],)).fetchall()
        return _user(row, (name for (name,) in groups))

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            if self._db is None:
                raise InternalError("the database of users is closed")
            yield self._db

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside a transaction: all of the block is stored, or nothing."""
        with self._using() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise InternalError(f"the database of users can not be used: {exc}") from exc

    def _make_tables(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if 0 <= version < VERSION:
            steps = (_SCHEMA, _SHARES) if version == 0 else _STEPS[version - 1 :]
            for statement in filter(str.strip, ";".join(steps).split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
        if not 0 <= version <= VERSION:
            raise InternalError(
                f"{self._path.name} has version {version}; this program reads version {VERSION}"
            )


def _set_password(db: sqlite3.Connection, user: str, password: str, *, revoke_tokens: bool) -> None:
    db.execute("UPDATE users SET password = ?, generation = generation + 1 WHERE id = ?", (password, user))
    db.execute("DELETE FROM resets WHERE user = ?", (user,))
    if revoke_tokens:
        for statement in _REVOKE:
            db.execute(statement, (user,))


def _set_superuser(db: sqlite3.Connection, user: str, superuser: bool) -> None:
    db.execute("UPDATE users SET superuser = ? WHERE id = ?", (superuser, user))


def _set_quota(db: sqlite3.Connection, user: str, quota: int | None) -> None:
    db.execute("UPDATE users SET quota = ? WHERE id = ?", (quota, user))


def _set_groups(db: sqlite3.Connection, user: str, groups: frozenset[str]) -> None:
    db.execute("DELETE FROM members WHERE user = ?", (user,))
    db.executemany("INSERT INTO members VALUES (?, ?)", ((user, name) for name in sorted(groups)))


def _check_not_last(db: sqlite3.Connection, user: str, what: str) -> None:
    """Refuse what would leave nobody who manages users."""
    found = db.execute("SELECT id, email FROM users WHERE superuser LIMIT 2").fetchall()
    if [id_ for id_, _ in found] == [user]:
        raise BadRequest(
            f"{found[0][1]} is the only superuser and can not be {what}: nobody could manage users any more",
            hint="make somebody else a superuser first",
        )


_COLUMNS = "id, email, password, superuser, generation, quota"
_LISTED = f"""
SELECT {_COLUMNS}, (SELECT count(*) FROM tokens WHERE user = users.id),
    (SELECT count(*) FROM shares WHERE user = users.id AND expires > ?)
FROM users"""  # noqa: S608 - names of columns only
_RESETS = "SELECT user FROM resets WHERE hash = ? AND expires > ?"
_REVOKE = ("DELETE FROM tokens WHERE user = ?", "DELETE FROM shares WHERE user = ?")
_SHARED = "SELECT id, user, path, name, created, expires, last_used FROM shares"
_TOKENS = "SELECT id, user, name, scope, created, expires, last_used FROM tokens"


def _user(row: tuple[str, str, str, int, int, int | None], groups: Iterable[str]) -> StoredUser:
    id_, email, password, superuser, generation, quota = row
    return StoredUser(
        id=id_, email=email, password=password, superuser=bool(superuser), generation=generation,
        groups=frozenset(groups), quota=quota,
    )  # fmt: skip


def _token(row: tuple[str, str, str, str, float, float | None, float | None]) -> StoredToken:
    id_, user, name, scope, created, expires, last_used = row
    return StoredToken(
        id=id_, user=user, name=name, scope=scope, created=created, expires=expires, last_used=last_used
    )


def _share(row: tuple[str, str, str, str, float, float, float | None]) -> StoredShare:
    id_, user, path, name, created, expires, last_used = row
    return StoredShare(
        id=id_, user=user, path=path, name=name, created=created, expires=expires, last_used=last_used
    )
