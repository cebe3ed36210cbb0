"""What a role must remember, in SQLite: the roots of a broker, the catalog of a publisher or subscriber.

All calls block; run them in the ``disk`` lane. They may come from any thread.
Everything in here can be had again from the network or from the files
themselves, so a database that is broken, or of another version, is moved aside
and a new one is begun.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import msgspec

from caterva2.errors import InternalError
from caterva2.model.datasets import Entry

logger = logging.getLogger(__name__)

_SIDE_FILES = ("", "-wal", "-shm")
_BATCH = 1000
_NAMES_BATCH = 5000
_CHILDREN_BATCH = 500
_FEW = 64
_LOCK_WAIT_S = 10.0
_WAL_BYTES = 16 * 1024 * 1024


class StoredRoot(msgspec.Struct, frozen=True, kw_only=True):
    """A root as a broker remembers it.

    Attributes
    ----------
    token_hash
        SHA-256 of the token that its publisher holds.
    left
        The publisher gave the root up; anybody may take it.
    """

    name: str
    http: str
    token_hash: bytes
    left: bool = False


class Summary(NamedTuple):
    """What a directory holds: number of files, their sizes in bytes, and the newest of their times."""

    nfiles: int
    size: int
    mtime_ns: int


class _Database:
    """A file of SQLite, opened once a thread at a time; base of what is kept in one."""

    schema: ClassVar[str]
    version: ClassVar[int]

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._idle: list[sqlite3.Connection] = []
        self._pool_lock = threading.Lock()
        # SQLite has one writer at a time; waiting here is fair and costs nothing.
        self._write_lock = threading.Lock()
        self._closed = False
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._prepare()

    def close(self) -> None:
        """Close all connections; safe to call twice.

        One that a thread still uses is closed when it is given back: closing it under a running
        statement makes SQLite crash.
        """
        with self._pool_lock:
            self._closed = True
            connections, self._idle = self._idle, []
        for connection in connections:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        connection = self._borrow()
        try:
            with _translated():
                yield connection
        finally:
            self._give_back(connection)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside a transaction: all of the block is stored, or nothing."""
        with self._write_lock, self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk rolls back by itself
                    connection.execute("ROLLBACK")
                raise
            try:
                connection.execute("COMMIT")
            except sqlite3.Error:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _borrow(self) -> sqlite3.Connection:
        with self._pool_lock:
            if self._closed:
                raise InternalError("the state database is closed")
            if self._idle:
                return self._idle.pop()
        with _translated():
            return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._pool_lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        """Open the database, or begin a new one in place of one that can not be used."""
        reason = self._try_open()
        if reason is None:
            return
        aside = self._move_aside()
        logger.warning(
            "%s can not be used (%s); moved to %s, starting afresh", self._path.name, reason, aside
        )
        reason = self._try_open()
        if reason is not None:
            raise InternalError(f"the state database {self._path.name} can not be made: {reason}")

    def _try_open(self) -> str | None:
        """Return None after success, else what is wrong with the file."""
        try:
            with contextlib.closing(self._connect()) as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version not in {0, self.version}:
                    return f"schema version {version}, expected {self.version}"
                (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if finding != "ok":
                    return str(finding).splitlines()[0]
                if version and (missing := self._tables() - set(_tables(connection))):
                    return f"no table {', '.join(sorted(missing))}"
                if version == 0:
                    connection.executescript(
                        f"BEGIN IMMEDIATE; {self.schema}; PRAGMA user_version={self.version}; COMMIT;"
                    )
        except sqlite3.OperationalError as exc:
            # Not a matter of the contents: locked, no permission, disk full.
            raise InternalError(f"the state database {self._path.name} can not be opened: {exc}") from exc
        except sqlite3.DatabaseError as exc:
            return str(exc)
        return None

    def _tables(self) -> set[str]:
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(self.schema)
            return set(_tables(connection))

    def _move_aside(self) -> str:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        name = f"{self._path.name}.broken-{stamp}-{os.getpid()}"
        for suffix in _SIDE_FILES:
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self._path}{suffix}", self._path.with_name(f"{name}{suffix}"))
        return name


def copy_database(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment, also while others write to it; the copy is one file.

    Raises
    ------
    InternalError
        It can not be read, or is broken.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with (
        _translated(),
        contextlib.closing(sqlite3.connect(source, timeout=_LOCK_WAIT_S)) as old,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as new,
    ):
        old.backup(new)
        (finding,) = new.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise InternalError(f"the database {source.name} is broken: {finding}")
        new.execute("PRAGMA journal_mode=DELETE")


def _tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise InternalError(f"the state database fails: {exc}") from exc


class BrokerState(_Database):
    """The roots that a broker knows.

    Parameters
    ----------
    path
        The database; made if missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home, BrokerState(f"{home}/broker.sqlite") as state:
    ...     state.put(StoredRoot(name="foo", http="localhost:8001", token_hash=b""))
    ...     [root.name for root in state.load()]
    ['foo']
    """

    version = 1
    schema = """
        CREATE TABLE IF NOT EXISTS roots (
            name TEXT PRIMARY KEY,
            http TEXT NOT NULL,
            token_hash BLOB NOT NULL,
            left_ INTEGER NOT NULL
        ) WITHOUT ROWID
    """

    def load(self) -> list[StoredRoot]:
        """Return all roots, by name."""
        with self._reading() as db:
            rows = db.execute("SELECT name, http, token_hash, left_ FROM roots ORDER BY name").fetchall()
        return [
            StoredRoot(name=name, http=http, token_hash=token_hash, left=bool(left))
            for name, http, token_hash, left in rows
        ]

    def put(self, root: StoredRoot) -> None:
        """Remember a root, in place of what was known under its name."""
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO roots VALUES (?, ?, ?, ?)",
                (root.name, root.http, root.token_hash, root.left),
            )

    def forget(self, name: str) -> None:
        """Forget a root, if it is known."""
        with self._writing() as db:
            db.execute("DELETE FROM roots WHERE name = ?", (name,))


class Catalog(_Database):
    """The files of roots, with their descriptions, and a few values for each root.

    The order of paths is that of their bytes in UTF-8. A *directory* is a path
    below the root without slashes at its ends; the empty text is the root itself.

    Parameters
    ----------
    path
        The database; made if missing.
    """

    version = 1
    # Two tables for the entries: `files` is what listings walk over, and stays small.
    schema = """
        CREATE TABLE IF NOT EXISTS roots (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            generation INTEGER NOT NULL DEFAULT 0
        );
        CREATE TABLE IF NOT EXISTS root_state (
            root INTEGER NOT NULL REFERENCES roots (id),
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (root, key)
        ) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS files (
            root INTEGER NOT NULL REFERENCES roots (id),
            path TEXT NOT NULL COLLATE BINARY,
            etag TEXT NOT NULL,
            mtime_ns INTEGER NOT NULL,
            size INTEGER NOT NULL,
            generation INTEGER NOT NULL,
            PRIMARY KEY (root, path)
        ) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS entries (
            root INTEGER NOT NULL,
            path TEXT NOT NULL COLLATE BINARY,
            entry BLOB NOT NULL,
            PRIMARY KEY (root, path)
        ) WITHOUT ROWID
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Entry).decode
        self._versions: dict[str, int] = {}
        self._changes: dict[str, int] = {}
        self._forget_unreadable()

    # roots

    def roots(self) -> list[str]:
        """Return the names of all roots that something is known of."""
        with self._reading() as db:
            return [name for (name,) in db.execute("SELECT name FROM roots ORDER BY name")]

    def forget_root(self, root: str) -> None:
        """Remove a root with all its files and values."""
        with self._writing() as db:
            number = _root_id(db, root)
            if number is not None:
                for table in ("entries", "files", "root_state"):
                    db.execute(f"DELETE FROM {table} WHERE root = ?", (number,))  # noqa: S608 - our names
                db.execute("DELETE FROM roots WHERE id = ?", (number,))
        self._renamed(root)

    def names_version(self, root: str) -> int:
        """Return a number that has changed when any file of a root has come or gone since; cheap."""
        return self._versions.get(root, 0)

    def entries_version(self, root: str) -> int:
        """Return a number that has changed when anything known of the files of a root has since; cheap."""
        return self._changes.get(root, 0)

    def _renamed(self, root: str) -> None:
        with self._pool_lock:
            self._versions[root] = self._versions.get(root, 0) + 1
        self._altered(root)

    def _altered(self, root: str) -> None:
        with self._pool_lock:
            self._changes[root] = self._changes.get(root, 0) + 1

    def root_state(self, root: str) -> dict[str, str]:
        """Return the values kept for a root, by key; none for an unknown root."""
        with self._reading() as db:
            return dict(
                db.execute(
                    "SELECT key, value FROM root_state JOIN roots ON id = root WHERE name = ?", (root,)
                ).fetchall()
            )

    def set_root_state(self, root: str, **values: str | None) -> None:
        """Keep values for a root, all of them or none; None removes a key."""
        with self._writing() as db:
            number = _made_root_id(db, root)
            for key, value in values.items():
                if value is None:
                    db.execute("DELETE FROM root_state WHERE root = ? AND key = ?", (number, key))
                else:
                    db.execute("INSERT OR REPLACE INTO root_state VALUES (?, ?, ?)", (number, key, value))

    # writing

    def begin_replace(self, root: str) -> int:
        """Begin to replace all files of a root; returns what `end_replace` needs.

        Then `upsert` every file there is, in as many calls as it takes. Readers see
        old and new files together until `end_replace` takes the old ones away.
        """
        with self._writing() as db:
            number = _made_root_id(db, root)
            db.execute("UPDATE roots SET generation = generation + 1 WHERE id = ?", (number,))
            return _generation(db, number)

    def end_replace(self, root: str, generation: int) -> int:
        """Remove the files that `upsert` did not name since `begin_replace`; return how many.

        Does nothing if another replacement has begun since.
        """
        removed = 0
        while True:
            with self._writing() as db:
                number = _made_root_id(db, root)
                if _generation(db, number) != generation:
                    return removed
                rows = db.execute(
                    "SELECT path FROM files WHERE root = ? AND generation < ? LIMIT ?",
                    (number, generation, _BATCH),
                ).fetchall()
                _delete(db, number, (path for (path,) in rows))
            if rows:
                self._renamed(root)
            removed += len(rows)
            if len(rows) < _BATCH:
                return removed

    def replace_root(self, root: str, pages: Iterable[Sequence[Entry]]) -> int:
        """Make the files of a root exactly those in `pages`; return how many were removed.

        Each page is a transaction of its own.
        """
        generation = self.begin_replace(root)
        for page in pages:
            self.upsert(root, page)
        return self.end_replace(root, generation)

    def upsert(self, root: str, entries: Iterable[Entry]) -> None:
        """Store entries, new or in place of what is known of their paths; all of them or none."""
        with self._writing() as db:
            number = _made_root_id(db, root)
            generation = _generation(db, number)
            entries = tuple(entries)
            new = len(entries) > _FEW or not all(_is_known(db, number, e.path) for e in entries)
            db.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)",
                ((number, e.path, e.etag, e.mtime_ns, e.size, generation) for e in entries),
            )
            db.executemany(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)",
                ((number, e.path, self._encode(e)) for e in entries),
            )
        if new:
            self._renamed(root)
        else:
            self._altered(root)

    def remove(self, root: str, paths: Iterable[str]) -> None:
        """Remove files, if they are known; all of them or none."""
        with self._writing() as db:
            number = _root_id(db, root)
            if number is not None:
                _delete(db, number, paths)
        self._renamed(root)

    # reading

    def get(self, root: str, path: str) -> Entry | None:
        """Return what is known of a file; None if nothing."""
        with self._reading() as db:
            row = db.execute(
                "SELECT entry FROM entries JOIN roots ON id = root WHERE name = ? AND path = ?", (root, path)
            ).fetchone()
        return None if row is None else self._read_entry(root, path, row[0])

    def page(self, root: str, *, after: str | None = None, limit: int = _BATCH) -> list[Entry]:
        """Return up to `limit` entries in the order of their paths, those after `after`."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT path, entry FROM entries WHERE root = (SELECT id FROM roots WHERE name = ?)"
                " AND path > ? ORDER BY path LIMIT ?",
                (root, after or "", limit),
            ).fetchall()
        entries = [self._read_entry(root, path, packed) for path, packed in rows]
        if None in entries:
            return self.page(root, after=after, limit=limit)
        return [entry for entry in entries if entry is not None]

    def _forget_unreadable(self) -> None:
        """Forget entries that were damaged, so that their files count as new."""
        with self._reading() as db:
            rows = db.execute("SELECT name, path, entry FROM entries JOIN roots ON id = root")
            bad = [(root, path, entry) for root, path, entry in rows if not self._is_readable(entry)]
        for root, path, entry in bad:
            self._read_entry(root, path, entry)

    def _is_readable(self, packed: bytes) -> bool:
        try:
            self._decode(packed)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        return True

    def _read_entry(self, root: str, path: str, packed: bytes) -> Entry | None:
        """Decode an entry; forget one that was damaged."""
        try:
            return self._decode(packed)
        except (msgspec.DecodeError, UnicodeDecodeError):
            logger.warning("what was known of %s/%s is not readable; forgotten", root, path)
            self.remove(root, [path])
            return None

    def etags(self, root: str) -> Iterator[tuple[str, str]]:
        """Yield path and etag of every file, in order; read in short steps, not in one snapshot."""
        after = ""
        while True:
            with self._reading() as db:
                rows: list[tuple[str, str]] = db.execute(
                    "SELECT path, etag FROM files WHERE root = (SELECT id FROM roots WHERE name = ?)"
                    " AND path > ? ORDER BY path LIMIT ?",
                    (root, after, _NAMES_BATCH),
                ).fetchall()
            yield from rows
            if len(rows) < _NAMES_BATCH:
                return
            after = rows[-1][0]

    def names(
        self, root: str, directory: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        """Return the paths below a directory, in order.

        Parameters
        ----------
        after
            Only paths that sort after this one; a path below the root as well.
        limit
            At most so many; None for all.
        """
        low, high = _bounds(directory)
        with self._reading() as db:
            rows = db.execute(
                "SELECT path FROM files WHERE root = (SELECT id FROM roots WHERE name = ?)"
                " AND path > ? AND path < ? ORDER BY path LIMIT ?",
                (
                    root,
                    low if after is None else max(low, after, key=_bytewise),
                    high,
                    -1 if limit is None else limit,
                ),
            )
            return [path for (path,) in rows]

    def arrays(self, root: str, directory: str = "", *, limit: int) -> list[Entry]:
        """Return what is known of the files below a directory whose names are those of arrays.

        In order, at most `limit`; the others are not read.
        """
        low, high = _bounds(directory)
        with self._reading() as db:
            rows = db.execute(
                "SELECT files.path, entry FROM files JOIN entries USING (root, path)"
                " WHERE root = (SELECT id FROM roots WHERE name = ?) AND files.path > ? AND files.path < ?"
                " AND files.path GLOB '*.b2nd' ORDER BY files.path LIMIT ?",
                (root, low, high, limit),
            ).fetchall()
        entries = [self._read_entry(root, path, packed) for path, packed in rows]
        return [entry for entry in entries if entry is not None]

    def children(self, root: str, directory: str = "", *, limit: int) -> list[str]:
        """Return the names in a directory, at most `limit`; those of directories end in a slash.

        What is in those directories is jumped over, not read.
        """
        at, high = _bounds(directory)
        skip = len(directory) + 1 if directory else 0
        found: list[str] = []
        inside = ""
        with self._reading() as db:
            while len(found) < limit:
                rows: list[tuple[str]] = db.execute(
                    "SELECT path FROM files WHERE root = (SELECT id FROM roots WHERE name = ?)"
                    " AND path >= ? AND path < ? ORDER BY path LIMIT ?",
                    (root, at, high, _CHILDREN_BATCH),
                ).fetchall()
                for (path,) in rows:
                    if inside and path.startswith(inside):
                        continue
                    slash = path.find("/", skip)
                    inside = path[: slash + 1] if slash >= 0 else ""
                    found.append(inside[skip:] if inside else path[skip:])
                if len(rows) < _CHILDREN_BATCH:
                    break
                # "0" follows "/"; nothing lies between a path and the same with a NUL.
                at = f"{inside[:-1]}0" if inside else f"{rows[-1][0]}\0"
        return found[:limit]

    def get_many(self, root: str, paths: Iterable[str]) -> dict[str, Entry]:
        """Return what is known of some files, by path."""
        with self._reading() as db:
            number = _root_id(db, root)
            rows = [
                (path, row[0])
                for path in paths
                if (
                    row := db.execute(
                        "SELECT entry FROM entries WHERE root = ? AND path = ?", (number, path)
                    ).fetchone()
                )
                is not None
            ]
        entries = ((path, self._read_entry(root, path, packed)) for path, packed in rows)
        return {path: entry for path, entry in entries if entry is not None}

    def has_directory(self, root: str, directory: str = "") -> bool:
        """Tell whether any file lies below a directory."""
        return bool(self.names(root, directory, limit=1))

    def directory_summary(self, root: str, directory: str = "") -> Summary:
        """Return number, sizes and newest time of all files below a directory."""
        low, high = _bounds(directory)
        with self._reading() as db:
            row = db.execute(
                "SELECT count(*), coalesce(sum(size), 0), coalesce(max(mtime_ns), 0) FROM files"
                " WHERE root = (SELECT id FROM roots WHERE name = ?) AND path > ? AND path < ?",
                (root, low, high),
            ).fetchone()
        return Summary(*row)

    def count(self, root: str) -> int:
        """Return the number of files of a root."""
        return self.directory_summary(root).nfiles


def _bounds(directory: str) -> tuple[str, str]:
    """Return texts between which the paths below a directory lie, ends excluded."""
    # "0" follows "/" in UTF-8, and U+10FFFF follows every path there can be.
    return (f"{directory}/", f"{directory}0") if directory else ("", "\U0010ffff")


def _bytewise(path: str) -> bytes:
    return path.encode("utf-8")


def _root_id(db: sqlite3.Connection, root: str) -> int | None:
    row = db.execute("SELECT id FROM roots WHERE name = ?", (root,)).fetchone()
    return None if row is None else int(row[0])


def _made_root_id(db: sqlite3.Connection, root: str) -> int:
    db.execute("INSERT OR IGNORE INTO roots (name) VALUES (?)", (root,))
    (number,) = db.execute("SELECT id FROM roots WHERE name = ?", (root,)).fetchone()
    return int(number)


def _is_known(db: sqlite3.Connection, number: int, path: str) -> bool:
    row = db.execute("SELECT 1 FROM files WHERE root = ? AND path = ?", (number, path)).fetchone()
    return row is not None


def _generation(db: sqlite3.Connection, number: int) -> int:
    (generation,) = db.execute("SELECT generation FROM roots WHERE id = ?", (number,)).fetchone()
    return int(generation)


def _delete(db: sqlite3.Connection, number: int, paths: Iterable[str]) -> None:
    rows = [(number, path) for path in paths]
    db.executemany("DELETE FROM files WHERE root = ? AND path = ?", rows)
    db.executemany("DELETE FROM entries WHERE root = ? AND path = ?", rows)
