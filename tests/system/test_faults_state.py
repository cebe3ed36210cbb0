"""State directories that are shared, damaged or gone: refused, or begun afresh; arrays are right."""

from __future__ import annotations

import random
import shutil
import sqlite3

import httpx
import numpy as np
import pytest

from tests.support.daemon import Daemon
from tests.support.processes import Network, until

DATA = np.random.default_rng(6).integers(0, 10_000, (64, 80), dtype="<i4")
DATABASES = {
    "broker": "bro/broker.sqlite",
    "publisher": "pub.foo/publisher.sqlite",
    "subscriber": "sub/subscriber.sqlite",
}


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_to_nothing(path):
    path.write_bytes(b"")


def overwrite(path):
    path.write_bytes(b"not a database " * 500)


def flip(path):
    rng = random.Random(3)
    data = bytearray(path.read_bytes())
    for _ in range(200):
        data[rng.randrange(100, len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def delete(path):
    path.unlink()


def lose_the_journal(path):
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def garble_the_journal(path):
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).write_bytes(b"\xff" * 5000)


def of_another_version(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def without_tables(path):
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f"DROP TABLE {name}")
    connection.close()


def with_garbage_in_it(path):
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = [row[1:3] for row in connection.execute(f"PRAGMA table_info({name})")]
            for column, kind in columns:
                if kind == "BLOB":
                    connection.execute(f"UPDATE {name} SET {column} = x'deadbeef'")
    connection.close()


DAMAGES = [
    truncate, cut_to_nothing, overwrite, flip, delete, lose_the_journal, garble_the_journal,
    of_another_version, without_tables, with_garbage_in_it,
]  # fmt: skip
MOVED_ASIDE = {overwrite, of_another_version, without_tables}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    network = Network(tmp_path_factory.mktemp("state"))
    network.add_array("foo/a.b2nd", DATA, chunks=(16, 20), blocks=(4, 10))
    network.add("foo/b.txt", b"text")
    with network:
        network.subscribe("foo")
        yield network
        assert "Traceback" not in network.log, network.log


@pytest.mark.parametrize("role", DATABASES)
@pytest.mark.parametrize("damage", DAMAGES, ids=[each.__name__ for each in DAMAGES])
def test_a_damaged_database_is_begun_afresh_and_arrays_are_right(running, role, damage):
    network = running
    services = {
        "broker": network.broker, "publisher": network.publishers["foo"], "subscriber": network.subscriber
    }  # fmt: skip
    service = services[role]
    database = network.home / DATABASES[role]
    until(lambda: network.status("foo/a.b2nd", "0") == 200, "all is well before")
    service.kill()
    damage(database)
    before = set(database.parent.iterdir())
    service.start()

    until(lambda: network.status("foo/a.b2nd", "0") == 200, "reads go on")
    until(lambda: network.get("/api/list/foo").json() == ["a.b2nd", "b.txt"], "all is listed")
    until(lambda: network.is_fresh("foo"), "it is fresh again")
    moved = [path for path in database.parent.iterdir() if ".broken-" in path.name and path not in before]

    np.testing.assert_array_equal(network.fetch("foo/a.b2nd"), DATA)
    np.testing.assert_array_equal(network.fetch("foo/a.b2nd", "3:9"), DATA[3:9])
    assert network.get("/api/download/foo/b.txt").content == b"text"
    assert [path for path in moved if path.name not in service.log] == []
    assert moved or damage not in MOVED_ASIDE


@pytest.mark.parametrize(
    "change", [truncate, cut_to_nothing, overwrite, flip, delete], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("suffix", [".units", ".frame"])
@pytest.mark.parametrize("alive", [False, True], ids=["while-down", "while-running"])
def test_a_damaged_cache_is_fetched_again(running, change, suffix, alive):
    network = running
    until(lambda: network.status("foo/a.b2nd", ":") == 200, "all is well before")
    network.fetch("foo/a.b2nd", "0:60,3:70")
    files = [path for path in network.cache_files() if path.suffix == suffix]
    if not alive:
        network.subscriber.kill()
    for path in files:
        change(path)
    if not alive:
        network.subscriber.start()

    for _ in range(2):
        np.testing.assert_array_equal(network.fetch("foo/a.b2nd", "3:9"), DATA[3:9])
        np.testing.assert_array_equal(network.fetch("foo/a.b2nd", "0:60,3:70"), DATA[:60, 3:70])
        np.testing.assert_array_equal(network.fetch("foo/a.b2nd"), DATA)


def test_a_cache_that_vanishes_while_running_is_no_failure(running):
    network = running
    until(lambda: network.status("foo/a.b2nd", ":") == 200, "all is well before")
    shutil.rmtree(network.state / "cache" / "foo")

    np.testing.assert_array_equal(network.fetch("foo/a.b2nd", "3:9"), DATA[3:9])
    new = DATA + 1
    network.add_array("foo/c.b2nd", new, chunks=(16, 20), blocks=(4, 10))
    until(lambda: network.status("foo/c.b2nd", "0") == 200, "a new file")
    np.testing.assert_array_equal(network.fetch("foo/c.b2nd", "3:9"), new[3:9])
    network.home.joinpath("foo", "c.b2nd").unlink()
    until(lambda: "c.b2nd" not in network.get("/api/list/foo").json(), "it is gone")


@pytest.mark.parametrize(
    ("role", "prog", "args"),
    [
        ("publisher", "cat2pub", ("--statedir", "pub.foo", "other", "foo")),
        ("subscriber", "cat2sub", ("--statedir", "sub")),
    ],
)
def test_a_state_directory_is_shared_with_nobody(running, role, prog, args):
    with Daemon(role, "--broker", running.broker.http, *args, cwd=running.home) as second:
        status = second.wait()

    assert status == 1
    assert second.log.splitlines() == [
        f"{prog}: another process uses the state directory {args[1]} (choose another with --statedir)"
    ]
    assert httpx.get(f"{running.subscriber.url}/healthz").status_code == 200
