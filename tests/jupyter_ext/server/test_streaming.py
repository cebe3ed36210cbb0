"""Large bodies go through Jupyter without staying in its memory; in a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.jupyter_ext.server.conftest import ADA, PASSWORD
from tests.support.jupyter import Jupyter, running_jupyter
from tests.support.serverthread import RoleThread

pytestmark = pytest.mark.slow

LARGE = 300_000_000
MORE = 20 << 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jupyter")


@pytest.fixture(scope="module")
def jupyter(home: Path) -> Iterator[Jupyter]:
    """Run a Jupyter server with two subscribers: its own, and one elsewhere."""
    config = SubscriberConfig(
        http=Address("127.0.0.1", 0), statedir=home / "lab", login=True, register=True, auth_secret="s" * 40
    )
    with RoleThread(run_subscriber, config) as role:
        options = (f"--Caterva2App.subscriber_url=http://{role.address}", "--Caterva2App.embedded=True")
        with running_jupyter(home, *options) as jupyter:
            large = home / "lab" / "public" / "large.bin"
            with large.open("wb") as file:
                file.truncate(LARGE)
            with jupyter.client() as client:
                client.get("/caterva2/s/127.0.0.1/api/roots").raise_for_status()
                registered = {"email": ADA, "password": PASSWORD}
                httpx.post(f"http://{role.address}/auth/register", json=registered).raise_for_status()
                login = {"name": "127.0.0.1", "user": ADA, "password": PASSWORD}
                client.post("/caterva2/api/login", json=login).raise_for_status()
            yield jupyter


def pieces(nbytes: int) -> Iterator[bytes]:
    piece = bytes(1 << 20)
    for _ in range(nbytes // len(piece)):
        yield piece
    yield piece[: nbytes % len(piece)]


def test_a_large_download_needs_no_memory(jupyter: Jupyter) -> None:
    before = jupyter.forget_peak()

    with (
        jupyter.client() as client,
        client.stream("GET", "/caterva2/s/127.0.0.1/api/download/@public/large.bin") as answer,
    ):
        nbytes = sum(len(piece) for piece in answer.iter_raw())

    assert nbytes == LARGE
    assert jupyter.peak_bytes - before <= MORE


def test_a_large_upload_needs_no_memory(jupyter: Jupyter, home: Path) -> None:
    with jupyter.client() as client:
        begun = client.post(
            "/caterva2/s/127.0.0.1/api/uploads", json={"path": "@public/up.bin", "size": LARGE}
        ).json()
        upload = f"/caterva2/s/127.0.0.1/api/uploads/{begun['id']}"
        before = jupyter.forget_peak()
        headers = {"Upload-Offset": "0", "Content-Length": str(LARGE)}
        client.patch(upload, headers=headers, content=pieces(LARGE)).raise_for_status()
        peak = jupyter.peak_bytes
        client.post(upload).raise_for_status()

    assert (home / "lab" / "public" / "up.bin").stat().st_size == LARGE
    assert peak - before <= MORE


def test_a_page_that_reads_slowly_needs_no_memory(jupyter: Jupyter) -> None:
    before = jupyter.forget_peak()

    with (
        jupyter.client() as client,
        client.stream("GET", "/caterva2/s/127.0.0.1/api/download/@public/large.bin") as answer,
    ):
        next(answer.iter_raw())
        threading.Event().wait(1.0)  # what is not read now would be in Jupyter's memory
        peak = jupyter.peak_bytes

    assert peak - before <= MORE


def test_the_subscriber_of_our_own_needs_little(jupyter: Jupyter, home: Path) -> None:
    with (home / "notebooks" / "large.bin").open("wb") as file:
        file.truncate(LARGE)
    before = jupyter.forget_peak()

    with (
        jupyter.client() as client,
        client.stream("GET", "/caterva2/s/local/api/download/@public/large.bin") as answer,
    ):
        nbytes = sum(len(piece) for piece in answer.iter_raw())

    assert nbytes == LARGE
    assert jupyter.peak_bytes - before <= 3 * MORE
