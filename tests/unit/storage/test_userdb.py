"""The database of users: earlier versions are taken over."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from caterva2.errors import InternalError
from caterva2.storage.userdb import Shared, StoredShare, UserDb


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    path = tmp_path / "users.sqlite"
    with UserDb(path) as db:
        db.add("ada@example.org", "hash")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("ALTER TABLE users DROP COLUMN quota")
    connection.execute("DROP TABLE shares")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    return path


def test_users_of_version_1_are_taken_over(version_1: Path) -> None:
    with UserDb(version_1) as db:
        user = db.by_email("ada@example.org")
        db.set_quota(user.id, 5)
        quotas = db.quotas()

    assert (user.quota, quotas) == (None, {user.id: 5})


def share(user: str, **values: object) -> StoredShare:
    return StoredShare(id="1", user=user, path="@public", name="", created=0.0, expires=10.0, **values)


@pytest.mark.parametrize("version", [1, 2])
def test_earlier_versions_get_share_links(version_1: Path, version: int) -> None:
    if version == 2:
        connection = sqlite3.connect(version_1, isolation_level=None)
        connection.execute("ALTER TABLE users ADD COLUMN quota INTEGER")
        connection.execute("PRAGMA user_version = 2")
        connection.close()

    with UserDb(version_1) as db:
        user = db.by_email("ada@example.org")
        db.add_share(share(user.id), 0.0, limit=1)
        found = db.share_owner("1", 5.0)

    with UserDb(version_1) as db:
        kept = db.shares(None, 5.0)
    assert (found.user, found.share) == (user, share(user.id))
    assert kept == [Shared(share(user.id, last_used=5.0), user)]


def test_share_links_go_with_their_user_and_their_time(tmp_path: Path) -> None:
    with UserDb(tmp_path / "users.sqlite") as db:
        ada, bob = db.add("ada@example.org", "hash"), db.add("bob@example.org", "hash")
        db.add_share(share(ada.id), 0.0, limit=1)

        assert db.share_owner("1", 10.0) is None
        assert db.shares(ada.id, 10.0) == []
        assert not db.remove_share(bob.id, "1")
        db.remove(ada.id)
        assert db.share_owner("1", 1.0) is None


def test_database_of_a_later_version_is_left_alone(version_1: Path) -> None:
    connection = sqlite3.connect(version_1, isolation_level=None)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(InternalError, match="version 99"):
        UserDb(version_1)


def test_reset_link_is_used_up(tmp_path: Path) -> None:
    with UserDb(tmp_path / "users.sqlite") as db:
        user = db.add("ada@example.org", "hash")
        db.add_reset(user.id, b"link", expires=100.0, now=0.0)

        assert db.reset_password(b"link", 1.0, "new")
        assert not db.reset_password(b"link", 2.0, "newer")
        assert db.by_id(user.id).password == "new"
