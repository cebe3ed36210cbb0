"""How the subscribers are, which is chosen, who is logged in there, and what kernels are told."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from caterva2 import Client
from caterva2.client.handover import Handover
from caterva2.client.tokenfile import kept_token, token_file
from caterva2.config.schema import BrokerConfig, PublisherConfig
from caterva2.config.units import Address
from caterva2.roles.broker.app import run as run_broker
from caterva2.roles.publisher.app import run as run_publisher
from caterva2_jupyter.config import Places, build_config
from caterva2_jupyter.kernelfile import LIFE_S, KernelFile, remove_stale
from caterva2_jupyter.subscribers import Subscribers
from tests.jupyter_ext.server.conftest import ADA, PASSWORD, Page, Recorder
from tests.support.serverthread import RoleThread


async def status(page: Page) -> dict[str, dict[str, Any]]:
    answer = await page("caterva2/api/status")
    assert answer.code == 200, answer.body
    return {each["name"]: each for each in json.loads(answer.body)["subscribers"]}


def handover() -> str:
    return Path(os.environ["CATERVA2_JUPYTER"]).read_text()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def left(directory: Path) -> list[Path]:
    return list(directory.glob("*caterva2*"))


class TestNothingConfigured:
    async def test_a_subscriber_of_our_own_runs(self, page: Page) -> None:
        own = (await status(page))["local"]

        assert own["connected"] is own["embedded"] is True
        assert own["features"] == ["events", "write"]
        assert own["reason"] is None

    async def test_it_is_the_current_one(self, page: Page) -> None:
        assert json.loads((await page("caterva2/api/status")).body)["current"] == "local"

    async def test_it_knows_its_user(self, page: Page) -> None:
        me = json.loads((await page("caterva2/s/local/api/me")).body)

        assert me["email"] == (await status(page))["local"]["user"]

    async def test_kernels_reach_it(self, page: Page, jp_runtime_dir: Path, jp_root_dir: Path) -> None:
        (jp_root_dir / "x.txt").write_text("x")
        path = Path(os.environ["CATERVA2_JUPYTER"])
        handed = Handover(path).current

        assert path.parent == jp_runtime_dir
        assert mode(path) == 0o600
        assert handed is not None
        with Client(handed.urlbase) as client:
            assert await asyncio.to_thread(client.get_list, "@public") == ["x.txt"]

    async def test_its_socket_is_for_the_user_alone(self, page: Page, extension: Any) -> None:
        path = Path(extension.settings["caterva2_subscribers"].upstreams["local"].urlbase.unix_path)

        assert mode(path) == 0o600

    async def test_nothing_is_left_when_jupyter_stops(
        self, page: Page, extension: Any, jp_runtime_dir: Path
    ) -> None:
        assert left(jp_runtime_dir) != []

        await extension.stop_extension()

        assert left(jp_runtime_dir) == []
        assert "CATERVA2_JUPYTER" not in os.environ


class TestItCanNotStart:
    @pytest.fixture
    def traits(self, tmp_path: Path) -> dict[str, Any]:
        return {"public_dir": str(tmp_path / "none")}

    async def test_the_reason_is_told(self, page: Page) -> None:
        own = (await status(page))["local"]

        assert own["connected"] is False
        assert "does not exist" in own["reason"]

    async def test_it_starts_as_soon_as_the_reason_is_gone(self, page: Page, traits: dict[str, Any]) -> None:
        os.mkdir(traits["public_dir"])

        assert (await status(page))["local"]["connected"] is True
        assert (await page("caterva2/s/local/api/roots")).code == 200

    async def test_requests_tell_it_too(self, page: Page) -> None:
        answer = await page("caterva2/s/local/api/roots")

        assert answer.code >= 500
        assert "did not start" in json.loads(answer.body)["detail"]


class TestItTakesLong:
    async def test_who_asks_meanwhile_is_told(
        self, page: Page, extension: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subscribers = extension.settings["caterva2_subscribers"]
        await extension.stop_extension()
        again = type(subscribers)(subscribers.config, subscribers._socket)
        never = asyncio.Event()
        monkeypatch.setattr(again, "_serve", lambda *_: never.wait())

        found = (await again.status()).subscribers[0]
        never.set()
        await again.stop()

        assert "is still starting" in str(found.reason)

    async def test_who_asks_first_starts_it(self, jp_serverapp: Any, jp_asyncio_loop: Any) -> None:
        (app,) = jp_serverapp.extension_manager.extension_apps["caterva2_jupyter"]

        found = await app.settings["caterva2_subscribers"].status()
        await app.stop_extension()

        assert found.subscribers[0].connected


class TestSomethingIsMissing:
    async def test_a_package_that_is_not_installed_is_named(
        self, page: Page, extension: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subscribers = extension.settings["caterva2_subscribers"]

        async def serve(*_: Any) -> None:
            raise ModuleNotFoundError("No module named 'watchfiles'", name="watchfiles")

        await extension.stop_extension()
        again = type(subscribers)(subscribers.config, subscribers._socket)
        monkeypatch.setattr(again, "_serve", serve)
        await again.start()

        found = (await again.status()).subscribers[0]
        await again.stop()

        assert "watchfiles is not installed" in str(found.reason)


class TestABroker:
    @pytest.fixture
    def traits(self, tmp_path: Path) -> Iterator[dict[str, Any]]:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "readme.txt").write_text("published")
        loopback = Address("127.0.0.1", 0)
        with RoleThread(run_broker, BrokerConfig(http=loopback, statedir=tmp_path / "bro")) as broker:
            config = PublisherConfig(
                name="lab", root=str(tmp_path / "data"), broker=Address.parse(broker.address), http=loopback,
                statedir=tmp_path / "pub",
            )  # fmt: skip
            with RoleThread(run_publisher, config):
                yield {"broker": broker.address}

    async def test_what_others_publish_is_there(self, page: Page) -> None:
        async with asyncio.timeout(20):
            while "lab" not in json.loads((await page("caterva2/s/local/api/roots")).body):
                pass

        await page("caterva2/s/local/api/subscribe/lab", "POST")

        assert (await page("caterva2/s/local/api/download/lab/readme.txt")).body == b"published"


class TestSeveral:
    @pytest.fixture
    def traits(self, open_subscriber: str) -> dict[str, Any]:
        return {"subscribers": {"lab": open_subscriber, "away": "http://127.0.0.1:9"}, "embedded": True}

    async def test_each_has_its_state(self, page: Page) -> None:
        found = await status(page)

        assert {name: each["connected"] for name, each in found.items()} == {
            "local": True, "lab": True, "away": False,
        }  # fmt: skip
        assert found["away"]["reason"] == "cannot reach http://127.0.0.1:9: Connection refused"
        assert found["lab"]["features"] == ["events"]

    async def test_another_can_be_chosen(self, page: Page) -> None:
        answer = await page("caterva2/api/current", "POST", json={"name": "local"})

        assert json.loads(answer.body)["current"] == "local"

    async def test_kernels_are_told_of_the_choice(self, page: Page) -> None:
        assert json.loads(handover())["current"] == "lab"

        await page("caterva2/api/current", "POST", json={"name": "local"})

        assert json.loads(handover())["current"] == "local"

    @pytest.mark.parametrize(
        ("body", "code"), [({"name": "none"}, 404), ({}, 422), ({"name": "lab", "url": "http://x"}, 422)]
    )
    async def test_none_but_them_can_be_chosen(self, page: Page, body: Any, code: int) -> None:
        assert (await page("caterva2/api/current", "POST", json=body)).code == code

    async def test_what_has_stopped_begins_nothing_new(self, page: Page, extension: Any) -> None:
        subscribers = extension.settings["caterva2_subscribers"]
        await extension.stop_extension()

        answers = await asyncio.gather(
            page("caterva2/api/status"),
            page("caterva2/s/lab/api/roots"),
            page("caterva2/api/current", "POST", json={"name": "local"}),
        )

        assert [answer.code for answer in answers] == [200, 502, 200]
        assert not extension._kernel_file.path.exists()
        assert [each._connection for each in subscribers.upstreams.values()] == [None] * 3

    async def test_requests_to_one_that_is_away_say_so(self, page: Page) -> None:
        answer = await page("caterva2/s/away/api/roots")

        assert answer.code == 502
        assert json.loads(answer.body)["code"] == "connect-failed"


class TestUsers:
    @pytest.fixture
    def traits(self, lab_subscriber: str) -> dict[str, Any]:
        return {"subscribers": {"lab": lab_subscriber}}

    async def log_in(self, page: Page, password: str = PASSWORD) -> Any:
        body = {"name": "lab", "user": ADA, "password": password}
        return await page("caterva2/api/login", "POST", json=body)

    async def test_nobody_is_logged_in_at_first(self, page: Page) -> None:
        lab = (await status(page))["lab"]

        assert (lab["connected"], lab["user"], lab["features"]) == (True, None, ["events", "login"])

    async def test_after_a_login_areas_are_writable(self, page: Page) -> None:
        answer = await self.log_in(page)

        (lab,) = json.loads(answer.body)["subscribers"]
        assert (lab["user"], lab["features"], lab["read_only"]) == (ADA, ["events", "login", "write"], False)
        assert (await page("caterva2/s/lab/api/mkdir/@personal/dir", "POST")).code == 200

    async def test_the_token_is_kept_and_the_password_is_not(
        self, page: Page, lab_subscriber: str, tmp_path: Path
    ) -> None:
        await self.log_in(page)

        kept = kept_token(lab_subscriber)
        assert kept is not None
        assert kept.username == ADA
        assert stat.S_IMODE(token_file().stat().st_mode) == 0o600
        assert PASSWORD not in token_file().read_text()

    async def test_a_wrong_password_is_a_sentence(self, page: Page) -> None:
        answer = await self.log_in(page, "wrong")

        assert answer.code == 401
        assert "the password is wrong" in json.loads(answer.body)["detail"]

    async def test_logging_out_ends_the_token(self, page: Page, lab_subscriber: str) -> None:
        await self.log_in(page)
        kept = kept_token(lab_subscriber)

        answer = await page("caterva2/api/logout", "POST", json={"name": "lab"})

        assert json.loads(answer.body)["subscribers"][0]["user"] is None
        assert kept_token(lab_subscriber) is None
        with Client(lab_subscriber, token=kept.token) as client, pytest.raises(Exception, match="revoked"):  # type: ignore[union-attr]
            await asyncio.to_thread(client.me)

    async def test_a_login_on_the_command_line_counts_too(self, page: Page, lab_subscriber: str) -> None:
        from caterva2.client.tokenfile import KeptToken, keep_token

        with Client(lab_subscriber, (ADA, PASSWORD)) as client:
            token = await asyncio.to_thread(client.create_token, "t", "read")
        keep_token(lab_subscriber, KeptToken(token, ADA, "1"))

        lab = (await status(page))["lab"]

        assert (lab["user"], lab["read_only"], lab["features"]) == (ADA, True, ["events", "login"])

    async def test_a_token_that_is_no_longer_good_is_told_and_not_used(
        self, page: Page, lab_subscriber: str
    ) -> None:
        from caterva2.client.tokenfile import KeptToken, keep_token

        keep_token(lab_subscriber, KeptToken("c2t_old", ADA, "1"))

        lab = (await status(page))["lab"]

        assert (lab["connected"], lab["user"]) == (True, None)
        assert "log in again" in lab["reason"]
        assert (await page("caterva2/s/lab/api/roots")).code == 200

    async def test_a_token_that_ends_meanwhile_is_not_used_for_long(
        self, page: Page, lab_subscriber: str, extension: Any
    ) -> None:
        await self.log_in(page)
        with Client(lab_subscriber, (ADA, PASSWORD)) as client:
            for token in await asyncio.to_thread(client.list_tokens):
                await asyncio.to_thread(client.revoke_token, token["id"])
        lab = extension.settings["caterva2_subscribers"].upstreams["lab"]

        codes = set()
        async with asyncio.timeout(20):  # the subscriber believes what it found for a moment
            while 401 not in codes:
                codes.add((await page("caterva2/s/lab/api/roots")).code)
            await lab._doubting

        assert (await page("caterva2/s/lab/api/roots")).code == 200

    async def test_a_file_of_tokens_that_others_may_read_is_told(
        self, page: Page, lab_subscriber: str
    ) -> None:
        await self.log_in(page)
        token_file().chmod(0o644)

        lab = (await status(page))["lab"]

        assert lab["user"] is None
        assert "others may read" in lab["reason"]

    async def test_kernels_get_a_short_lived_token_of_their_own(
        self, page: Page, lab_subscriber: str, extension: Any
    ) -> None:
        await self.log_in(page)
        await extension._kernel_file.renew()

        (entry,) = json.loads(handover())["subscribers"].values()
        assert entry["url"] == lab_subscriber
        assert entry["token"] != kept_token(lab_subscriber).token  # type: ignore[union-attr]
        assert 0 < entry["expires"] - time.time() <= LIFE_S
        with Client(lab_subscriber, token=entry["token"]) as client:
            assert (await asyncio.to_thread(client.me))["email"] == ADA

    async def test_the_tokens_of_kernels_end_with_jupyter(
        self, page: Page, lab_subscriber: str, extension: Any
    ) -> None:
        await self.log_in(page)
        await extension._kernel_file.renew()
        (entry,) = json.loads(handover())["subscribers"].values()

        await extension.stop_extension()

        with (
            Client(lab_subscriber, token=entry["token"]) as client,
            pytest.raises(Exception, match="revoked"),
        ):
            await asyncio.to_thread(client.me)

    async def test_a_token_that_is_due_is_renewed(
        self, page: Page, extension: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.log_in(page)
        file = extension._kernel_file
        await file.renew()
        first = file._made["lab"]
        await file.renew()
        assert file._made["lab"] == first
        file._made["lab"] = first._replace(expires=first.expires - LIFE_S)

        await file.renew()

        assert file._made["lab"].token != first.token

    async def test_no_login_to_one_that_is_not_configured(self, page: Page) -> None:
        body = {"name": "http://example.org", "user": ADA, "password": PASSWORD}

        assert (await page("caterva2/api/login", "POST", json=body)).code == 404


class TestSomethingElse:
    @pytest.fixture
    def traits(self, recorder: Recorder) -> dict[str, Any]:
        recorder.answer = lambda handler: handler.finish("<html>not ours</html>")
        return {"subscriber_url": recorder.url}

    async def test_a_server_of_another_kind_is_told(self, page: Page) -> None:
        (found,) = (await status(page)).values()

        assert found["connected"] is False
        assert "unexpected answer" in found["reason"]


def test_files_of_servers_that_were_killed_are_removed(tmp_path: Path) -> None:
    names = [
        f"caterva2-{os.getpid()}.json",
        "caterva2-99999999.json",
        "caterva2-x.json",
        "jpserver-99999999.json",
    ]
    for name in names:
        (tmp_path / name).write_text("{}")

    remove_stale(tmp_path)

    assert {path.name for path in tmp_path.glob("*.json")} == set(names) - {"caterva2-99999999.json"}


def test_the_file_of_kernels_is_private_whatever_was_left_beside_it(tmp_path: Path) -> None:
    places = Places(runtime=tmp_path, data=tmp_path, notebooks=tmp_path)
    config = build_config({"subscribers": {"lab": "http://localhost:1"}}, places)
    file = KernelFile(tmp_path / "caterva2-1.json", Subscribers(config, None))
    left = tmp_path / ".caterva2-1.json.new"
    left.touch(0o644)

    file.write()

    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert not left.exists()
