"""Users, groups, sessions and tokens in SQLite: one file in the state directory.

All calls block; run them in the ``disk`` lane. They may come from any thread,
and ``cat2admin`` opens the same file while the subscriber runs. Unlike the other
databases this one can not be had again: one that is broken is never replaced.
Passwords and tokens are kept as hashes only.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from caterva2.errors import BadRequest, InternalError, UserExists

VERSION = 2
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
_FROM_1 = "ALTER TABLE users ADD COLUMN quota INTEGER"


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


class Owned(NamedTuple):
    """A token and the user who made it."""

    token: StoredToken
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

    def count(self) -> int:
        """Return the number of users."""
        with self._using() as db:
            (count,) = db.execute("SELECT count(*) FROM users").fetchone()
        return int(count)

    def remove(self, id_: str) -> bool:
        """Remove a user with his tokens; tell whether he was there."""
        with self._writing() as db:
            return db.execute("DELETE FROM users WHERE id = ?", (id_,)).rowcount > 0

    def set_password(self, id_: str, password: str, *, revoke_tokens: bool = False) -> None:
        """Store the hash of a new password; ends all sessions and reset links of the user.

        Parameters
        ----------
        revoke_tokens
            End all his tokens, too.
        """
        with self._writing() as db:
            _set_password(db, id_, password, revoke_tokens=revoke_tokens)

    def reset_password(self, hashed: bytes, now: float, password: str) -> bool:
        """Store the hash of a new password for the user of a reset link, which is used up.

        Ends all his sessions and tokens: whoever knew the old password may have them.
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
            db.execute("UPDATE users SET quota = ? WHERE id = ?", (quota, id_))

    def quotas(self) -> dict[str, int]:
        """Return the limits of those users, by id, who have one of their own."""
        with self._using() as db:
            return dict(db.execute("SELECT id, quota FROM users WHERE quota IS NOT NULL").fetchall())

    def set_superuser(self, id_: str, superuser: bool) -> None:
        """Make a user a superuser, or an ordinary one."""
        with self._writing() as db:
            db.execute("UPDATE users SET superuser = ? WHERE id = ?", (superuser, id_))

    def set_groups(self, id_: str, groups: frozenset[str]) -> None:
        """Make a user a member of these groups and no others."""
        with self._writing() as db:
            db.execute("DELETE FROM members WHERE user = ?", (id_,))
            db.executemany("INSERT INTO members VALUES (?, ?)", ((id_, name) for name in sorted(groups)))

    # sessions

    def end_sessions(self, id_: str) -> None:
        """End all sessions of a user."""
        with self._writing() as db:
            db.execute("UPDATE users SET generation = generation + 1 WHERE id = ?", (id_,))

    def remove_tokens(self, id_: str) -> int:
        """End all tokens of a user; return how many there were."""
        with self._writing() as db:
            return db.execute("DELETE FROM tokens WHERE user = ?", (id_,)).rowcount

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

    def remove_token(self, user: str, id_: str) -> bool:
        """Remove a token; tell whether the user had it."""
        with self._writing() as db:
            return db.execute("DELETE FROM tokens WHERE user = ? AND id = ?", (user, id_)).rowcount > 0

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
            row = db.execute(
                f"SELECT id, email, password, superuser, generation, quota FROM users WHERE {column} = ?",  # noqa: S608
                (value,),
            ).fetchone()
            if row is None:
                return None
            groups = db.execute("SELECT name FROM members WHERE user = ?", (row[0],)).fetchall()
        return StoredUser(
            id=row[0], email=row[1], password=row[2], superuser=bool(row[3]), generation=row[4],
            groups=frozenset(name for (name,) in groups), quota=row[5],
        )  # fmt: skip

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
        if version == 0:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                db.execute(statement)
        elif version == 1:
            db.execute(_FROM_1)
        if version in {0, 1}:
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
        if version not in {0, 1, VERSION}:
            raise InternalError(
                f"{self._path.name} has version {version}; this program reads version {VERSION}"
            )


def _set_password(db: sqlite3.Connection, user: str, password: str, *, revoke_tokens: bool) -> None:
    db.execute("UPDATE users SET password = ?, generation = generation + 1 WHERE id = ?", (password, user))
    db.execute("DELETE FROM resets WHERE user = ?", (user,))
    if revoke_tokens:
        db.execute("DELETE FROM tokens WHERE user = ?", (user,))


_RESETS = "SELECT user FROM resets WHERE hash = ? AND expires > ?"
_TOKENS = "SELECT id, user, name, scope, created, expires, last_used FROM tokens"


def _token(row: tuple[str, str, str, str, float, float | None, float | None]) -> StoredToken:
    id_, user, name, scope, created, expires, last_used = row
    return StoredToken(
        id=id_, user=user, name=name, scope=scope, created=created, expires=expires, last_used=last_used
    )
