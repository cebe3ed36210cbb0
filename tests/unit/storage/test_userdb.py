"""The database of users: earlier versions are taken over."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from caterva2.errors import InternalError
from caterva2.storage.userdb import UserDb


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    path = tmp_path / "users.sqlite"
    with UserDb(path) as db:
        db.add("ada@example.org", "hash")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("ALTER TABLE users DROP COLUMN quota")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    return path


def test_users_of_version_1_are_taken_over(version_1: Path) -> None:
    with UserDb(version_1) as db:
        user = db.by_email("ada@example.org")
        db.set_quota(user.id, 5)
        quotas = db.quotas()

    assert (user.quota, quotas) == (None, {user.id: 5})


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
