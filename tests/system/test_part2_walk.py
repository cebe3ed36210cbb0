"""The walk of a new user: an account, an array, an expression, and all of it again after a restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import blosc2
import httpx
import numpy as np
import pytest

from caterva2.client.api import Client
from caterva2.client.tree import Dataset
from tests.support.daemon import REPOSITORY, Daemon
from tests.support.ports import free_port
from tests.support.processes import until

SECRET = {"CATERVA2_SECRET": "correct horse battery staple"}
ADA = ("ada@example.org", "a good password")
BOB = ("bob@example.org", "another password")

PUBLISHED = np.arange(60 * 40, dtype="f8").reshape(60, 40)
MINE = np.linspace(0, 1, 60 * 40).reshape(60, 40)
OTHER = np.arange(40, dtype="i4")
TOTAL = PUBLISHED + 2 * np.sin(MINE)


class Lab:
    """A broker, a publisher of `foo` and a subscriber with users, at addresses that they keep."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.running = ExitStack()
        self.addresses = {role: f"127.0.0.1:{free_port()}" for role in ("broker", "publisher", "subscriber")}
        (home / "foo").mkdir()
        blosc2.asarray(PUBLISHED, urlpath=str(home / "foo" / "a.b2nd"), chunks=(16, 16), blocks=(8, 8))

    @property
    def url(self) -> str:
        return self.subscriber.url

    def start(self) -> None:
        self.broker = self._run("broker")
        network = ("--broker", self.addresses["broker"])
        self.publisher = self._run("publisher", *network, "foo", "foo")
        self.start_subscriber()

    def start_subscriber(self) -> None:
        self.subscriber = self._run("subscriber", "--broker", self.addresses["broker"])
        until(lambda: "foo" in httpx.get(f"{self.url}/api/roots").json(), "the subscriber knows foo")

    def stop(self) -> list[int]:
        return [daemon.stop() for daemon in (self.subscriber, self.publisher, self.broker)]

    def cat2cli(self, *args: str) -> str:
        """Run a command as a person at a terminal does, whose home is the test's."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("CATERVA2_")}
        environ |= {"PYTHONPATH": str(REPOSITORY), "XDG_CONFIG_HOME": str(self.home / "config")}
        command = [sys.executable, "-m", "caterva2.cli.main", "--subscriber", self.url, *args]
        done = subprocess.run(
            command, cwd=self.home, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, role: str, *args: str) -> Daemon:
        env = SECRET if role == "subscriber" else {}
        return self.running.enter_context(
            Daemon(role, *args, cwd=self.home, http=self.addresses[role], env=env)
        )


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    with made.running:
        made.start()
        yield made


def _register(url: str, user: tuple[str, str]) -> None:
    answer = httpx.post(f"{url}/auth/register", json={"email": user[0], "password": user[1]})
    assert answer.status_code == 201, answer.text


def _make(lab: Lab) -> None:
    """Do what is to be found again later."""
    for user in (ADA, BOB):
        _register(lab.url, user)
    assert f"Logged in as {ADA[0]}" in lab.cat2cli("--password", ADA[1], "login", ADA[0])
    blosc2.asarray(MINE, urlpath=str(lab.home / "mine.b2nd"))
    lab.cat2cli("upload", "mine.b2nd", "@personal/mine.b2nd")
    with Client(lab.url, ADA) as ada:
        ada.upload(OTHER, "@personal/other.b2nd")
        ada.copy("@personal/mine.b2nd", "@shared/mine.b2nd")
        ada.lazyexpr("total", "a + 2*sin(b)", {"a": "foo/a.b2nd", "b": "@shared/mine.b2nd"})


def _dataset(client: Client, path: str) -> Dataset:
    found = client.get(path)
    assert isinstance(found, Dataset)
    return found


def _check(lab: Lab) -> None:
    """Find it, as its owner, as another user, and by the token that ``cat2cli login`` kept."""
    with Client(lab.url, ADA) as ada:
        np.testing.assert_array_equal(_dataset(ada, "@personal/mine.b2nd")[5:9, ::3], MINE[5:9, ::3])
        np.testing.assert_array_equal(_dataset(ada, "@personal/other.b2nd")[3:30], OTHER[3:30])
        np.testing.assert_allclose(_dataset(ada, "@personal/total.b2nd")[10:50, 7:33], TOTAL[10:50, 7:33])
    with Client(lab.url, BOB) as bob:
        np.testing.assert_array_equal(_dataset(bob, "@shared/mine.b2nd")[5:9, ::3], MINE[5:9, ::3])
        assert bob.get_list("@personal") == []
    with Client(lab.url) as anybody:
        np.testing.assert_array_equal(_dataset(anybody, "foo/a.b2nd")[:3], PUBLISHED[:3])
    names = lab.cat2cli("ls", "@personal").split()
    assert {"mine.b2nd", "other.b2nd", "total.b2nd"} <= {name.rpartition("/")[2] for name in names}


def test_what_a_user_made_is_there_after_a_restart_of_everything(lab: Lab) -> None:
    _make(lab)
    _check(lab)

    ends = lab.stop()
    lab.start()

    _check(lab)
    assert ends == [0, 0, 0]


def test_what_a_user_made_is_there_after_the_subscriber_is_killed(lab: Lab) -> None:
    _make(lab)

    end = lab.subscriber.stop(signal.SIGKILL)
    lab.start_subscriber()

    _check(lab)
    assert end == -signal.SIGKILL
