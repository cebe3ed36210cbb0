"""Subscribers for clients: every implementation for what the contract says, the fake for what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from caterva2 import Client
from tests.support.fakesub import FakeSubscriber
from tests.support.served import IMPLEMENTATIONS, Served
from tests.support.serverthread import ServerThread


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    directory = tmp_path / "served"
    directory.mkdir()
    with IMPLEMENTATIONS[request.param](directory) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.urlbase) as opened:
        yield opened


@pytest.fixture
def fake() -> FakeSubscriber:
    subscriber = FakeSubscriber(login=True)
    subscriber.add_root("foo")
    return subscriber


@pytest.fixture
def fake_server(fake: FakeSubscriber) -> Iterator[ServerThread]:
    with ServerThread(fake.application) as server:
        yield server


@pytest.fixture
def fake_client(fake_server: ServerThread) -> Iterator[Client]:
    with Client(fake_server.urlbase) as opened:
        yield opened
