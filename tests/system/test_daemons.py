"""The services as processes: how they start, what they say when they can not, how they end."""

from __future__ import annotations

import asyncio
import signal
import socket

import httpx
import pytest
from tornado.websocket import websocket_connect

from tests.support.daemon import Daemon
from tests.support.ports import closed_port

FOO = {"name": "foo", "http": "localhost:8001"}


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield f"127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def closed():
    with closed_port() as port:
        yield f"127.0.0.1:{port}"


def failure(daemon):
    """Run a daemon that can not start; return its exit status and its last words."""
    with daemon:
        return daemon.wait(), daemon.log


class TestBroker:
    def test_announces_its_address_and_cleans_up_after_itself(self, tmp_path):
        with Daemon("broker", "--announce", "address", cwd=tmp_path) as broker:
            announced = (tmp_path / "address").read_text()
            health = httpx.get(f"{broker.url}/healthz").json()
            status = broker.stop()

        assert announced == f"{broker.address}\n"
        assert broker.address.port != 0
        assert health["service"] == "broker"
        assert status == 0
        assert not (tmp_path / "address").exists()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
    def test_ends_cleanly_on_a_signal(self, tmp_path, number):
        with Daemon("broker", cwd=tmp_path) as broker:
            status = broker.stop(number)

        assert status == 0
        assert "Traceback" not in broker.log

    @pytest.mark.asyncio
    async def test_ends_though_somebody_follows_its_events(self, tmp_path):
        with Daemon("broker", cwd=tmp_path) as broker:
            reader = await websocket_connect(f"ws://{broker.address}/api/events")
            status = await asyncio.to_thread(broker.stop)
            last = await reader.read_message()
            reader.close()

        assert (status, last) == (0, None)

    def test_killed_keeps_its_roots_and_starts_again(self, tmp_path):
        with Daemon("broker", cwd=tmp_path) as broker:
            httpx.post(f"{broker.url}/api/roots", json=FOO)
            broker.kill()

        with Daemon("broker", cwd=tmp_path) as broker:
            roots = httpx.get(f"{broker.url}/api/roots").json()

        assert roots == {"foo": {**FOO, "status": "online"}}

    def test_listens_on_a_unix_socket(self, tmp_path):
        with Daemon("broker", cwd=tmp_path, http="unix:bro.sock") as broker:
            transport = httpx.HTTPTransport(uds=str(tmp_path / "bro.sock"))
            with httpx.Client(transport=transport, base_url=broker.url) as client:
                status = client.get("/healthz").status_code

        assert status == 200

    def test_says_that_its_address_is_in_use(self, tmp_path, taken):
        status, log = failure(Daemon("broker", cwd=tmp_path, http=taken))

        assert status == 1
        assert log.startswith(f"cat2bro: cannot listen on {taken}: address already in use")
        assert log.count("\n") == 1

    def test_shares_its_state_directory_with_nobody(self, tmp_path):
        with Daemon("broker", cwd=tmp_path):
            status, log = failure(Daemon("broker", cwd=tmp_path))

        assert status == 1
        assert log.startswith("cat2bro: another process uses the state directory _caterva2/bro")
        assert log.count("\n") == 1

    def test_says_that_its_state_directory_can_not_be_made(self, tmp_path):
        (tmp_path / "file").touch()

        status, log = failure(Daemon("broker", "--statedir", "file/state", cwd=tmp_path))

        assert status == 1
        assert log == "cat2bro: cannot start: file/state: Not a directory\n"


@pytest.mark.parametrize(
    ("role", "prog"), [("broker", "cat2bro"), ("publisher", "cat2pub"), ("subscriber", "cat2sub")]
)
class TestEveryService:
    def test_refuses_a_wrong_configuration_with_one_line(self, tmp_path, role, prog):
        (tmp_path / "caterva2.toml").write_text(f'[{role}]\nlogleve = "info"\n')

        status, log = failure(Daemon(role, cwd=tmp_path))

        assert status == 2
        assert log.startswith(f"{prog}: caterva2.toml: {role}.logleve: unknown key")
        assert log.count("\n") == 1


class TestPublisher:
    def test_says_that_no_broker_answers(self, tmp_path, closed):
        (tmp_path / "data").mkdir()

        status, log = failure(Daemon("publisher", "--broker", closed, "foo", cwd=tmp_path))

        assert status == 1
        last = log.splitlines()[-1]
        assert last.startswith(f"cat2pub: cannot reach the broker at {closed}: Connection refused")
        assert "Traceback" not in log


class TestSubscriber:
    def test_runs_without_a_broker(self, tmp_path):
        with Daemon("subscriber", cwd=tmp_path) as subscriber:
            roots = httpx.get(f"{subscriber.url}/api/roots").json()
            status = subscriber.stop()

        assert "@public" in roots
        assert status == 0
