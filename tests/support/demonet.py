"""The network of the demo in threads: broker, publishers of ``foo`` and ``bar``, a subscriber with a user."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import make_example_root
from caterva2 import Client
from caterva2.cli import admin
from caterva2.config.schema import BrokerConfig, PublisherConfig, SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.broker.app import run as run_broker
from caterva2.roles.publisher.app import run as run_publisher
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.accounts import PASSWORD, SECRET
from tests.support.serverthread import RoleThread

ADA = "ada@example.org"
ROOTS = ("foo", "bar")
KNOWN_WITHIN_S = 20.0


class DemoNetwork(NamedTuple):
    """Where the subscriber answers, and the file by which Jupyter hands it over to kernels."""

    url: str
    handover: Path

    def client(self) -> Client:
        """Return a client of the user."""
        return Client(self.url, (ADA, PASSWORD))


@contextlib.contextmanager
def demo_network(home: Path, *, register: bool = False) -> Iterator[DemoNetwork]:
    """Run the network until the block ends; with `register`, people may make accounts for themselves."""
    make_example_root.make_example_root(home / "foo")
    make_example_root.make_measured_root(home / "bar")
    make_example_root.make_simulated_root(home / "bar")
    assert admin.adduser(["--statedir", str(home / "sub"), ADA, PASSWORD]) == 0
    anywhere = Address("127.0.0.1", 0)
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(
            RoleThread(run_broker, BrokerConfig(http=anywhere, statedir=home / "bro"))
        )
        met = _address(broker)
        for name in ROOTS:
            publisher = PublisherConfig(
                name=name, root=str(home / name), broker=met, http=anywhere, statedir=home / f"pub.{name}"
            )
            stack.enter_context(RoleThread(run_publisher, publisher))
        subscriber = SubscriberConfig(
            http=anywhere,
            broker=met,
            statedir=home / "sub",
            login=True,
            auth_secret=SECRET,
            register=register,
        )
        url = f"http://{stack.enter_context(RoleThread(run_subscriber, subscriber)).address}"
        with Client(url, (ADA, PASSWORD)) as client:
            _wait_for_roots(client)
            token = client.create_token("kernels", "write")
        yield DemoNetwork(url, _handover(home / "handover.json", url, token))


def _address(role: RoleThread) -> Address:
    host, _, port = role.address.rpartition(":")
    return Address(host, int(port))


def _wait_for_roots(client: Client) -> None:
    deadline = time.monotonic() + KNOWN_WITHIN_S
    while not set(ROOTS) <= client.get_roots().keys():
        assert time.monotonic() < deadline, "the subscriber does not know the roots"
        time.sleep(0.05)


def _handover(file: Path, url: str, token: str) -> Path:
    subscribers = {"demo": {"url": url, "token": token, "expires": None}}
    with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as output:
        json.dump({"current": "demo", "subscribers": subscribers}, output)
    return file
