"""Events through Jupyter: many pages, one connection to the subscriber; away and back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from caterva2.client.urlbase import Urlbase
from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.errors import ConnectFailed
from caterva2.roles.subscriber.app import run as run_subscriber
from caterva2_jupyter import eventproxy
from caterva2_jupyter.eventproxy import EventRelay
from tests.jupyter_ext.server.conftest import ADA, PASSWORD, Page
from tests.support.serverthread import RoleThread


@asynccontextmanager
async def listening(page: Page, name: str = "local", query: str = "", **headers: str) -> AsyncIterator[Any]:
    url = page.client.get_url(f"{page.base}caterva2/s/{name}/api/events{query}").replace("http", "ws", 1)
    headers = headers or {"Authorization": f"token {page.token}"}
    connection = await websocket_connect(HTTPRequest(url, headers=headers))
    try:
        yield connection
    finally:
        connection.close()


async def hear(connection: WebSocketClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(20):
        message = await connection.read_message()
    assert message is not None
    return json.loads(message)


async def hear_of(connection: WebSocketClientConnection, path: str) -> dict[str, Any]:
    while True:
        heard = await hear(connection)
        if heard["event"].get("entry", {}).get("path") == path:
            return heard


async def test_a_file_that_appears_is_told_to_all_pages(page: Page, jp_root_dir: Path) -> None:
    async with listening(page) as one, listening(page) as other:
        (jp_root_dir / "new.txt").write_text("new")

        assert (await hear_of(one, "new.txt"))["event"]["root"] == "@public"
        assert (await hear_of(other, "new.txt"))["event"]["root"] == "@public"


async def test_all_pages_share_one_connection(page: Page, extension: Any) -> None:
    relay = extension.settings["caterva2_subscribers"].upstreams["local"].events
    async with listening(page), listening(page), listening(page):
        assert relay.hub.nsubscribers == 3
        assert len(_followers()) == 1


async def test_the_connection_ends_when_no_page_listens_and_nothing_is_lost(
    page: Page, extension: Any, jp_root_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventproxy, "LINGER_S", 0)
    relay = extension.settings["caterva2_subscribers"].upstreams["local"].events
    async with listening(page) as first:
        (jp_root_dir / "one.txt").write_text("1")
        heard = await hear_of(first, "one.txt")

    await _ended(_followers())
    assert not relay.stands
    (jp_root_dir / "two.txt").write_text("2")

    async with listening(page, query=f"?epoch={heard['epoch']}&since={heard['seq']}") as again:
        assert (await hear_of(again, "two.txt"))["seq"] > heard["seq"]


async def test_a_page_that_heard_nothing_lists_again_after_a_rest(
    page: Page, extension: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventproxy, "LINGER_S", 0)
    relay = extension.settings["caterva2_subscribers"].upstreams["local"].events
    async with listening(page):
        position = relay.hub.position

    await _ended(_followers())

    async with listening(page, query=f"?epoch={position.epoch}&since={position.seq}") as again:
        assert (await hear(again))["event"]["type"] == "resync"


def _followers() -> list[Any]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("events of the")]


async def _ended(tasks: list[Any]) -> None:
    _, late = await asyncio.wait(tasks, timeout=20)
    assert not late


async def test_a_page_goes_on_where_it_broke(page: Page, jp_root_dir: Path) -> None:
    async with listening(page) as first:
        (jp_root_dir / "one.txt").write_text("1")
        heard = await hear_of(first, "one.txt")
        async with listening(page) as other:
            (jp_root_dir / "two.txt").write_text("2")
            await hear_of(other, "two.txt")

    async with listening(page, query=f"?epoch={heard['epoch']}&since={heard['seq']}") as again:
        assert (await hear_of(again, "two.txt"))["seq"] > heard["seq"]


async def test_a_page_of_another_life_lists_again(page: Page) -> None:
    async with listening(page, query="?epoch=old&since=5") as connection:
        assert (await hear(connection))["event"] == {"type": "resync", "root": None}


async def test_a_stranger_hears_nothing(page: Page) -> None:
    with pytest.raises(HTTPClientError) as caught:
        async with listening(page, Cookie="a=b"):
            pass
    assert caught.value.code == 403


async def test_a_page_of_another_site_hears_nothing(page: Page) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in (await page.cookies()).items())
    async with listening(page, Cookie=cookie):
        pass

    with pytest.raises(HTTPClientError) as caught:
        async with listening(page, Cookie=cookie, Origin="http://evil.example"):
            pass
    assert caught.value.code == 403


async def test_a_subscriber_that_is_not_configured_has_none(page: Page) -> None:
    with pytest.raises(HTTPClientError) as caught:
        async with listening(page, "other"):
            pass
    assert caught.value.code == 404


async def test_a_page_that_does_not_read_is_told_to_list_again(page: Page, extension: Any) -> None:
    from caterva2.model.events import DatasetRemoved

    hub = extension.settings["caterva2_subscribers"].upstreams["local"].events.hub
    async with listening(page) as connection:
        for n in range(3000):  # at once, so that nothing can be sent in between
            hub.publish(DatasetRemoved(root="x", path=f"{n}"))

        heard = [await hear(connection)]
        while heard[-1]["seq"] < hub.position.seq:
            heard.append(await hear(connection))
        assert heard[0]["event"]["type"] == "resync" or "resync" in {each["event"]["type"] for each in heard}
        assert len(heard) <= 2000


class TestUsers:
    @pytest.fixture
    def traits(self, lab_subscriber: str) -> dict[str, Any]:
        return {"subscribers": {"lab": lab_subscriber}}

    async def test_who_logs_in_lists_again_and_hears_more(self, page: Page) -> None:
        async with listening(page, "lab") as connection:
            body = {"name": "lab", "user": ADA, "password": PASSWORD}
            assert (await page("caterva2/api/login", "POST", json=body)).code == 200
            assert (await hear(connection))["event"]["type"] == "resync"
        async with listening(page, "lab") as connection:
            await page("caterva2/s/lab/api/addnotebook/@personal/n.ipynb", "POST")

            assert (await hear_of(connection, "n.ipynb"))["event"]["root"] == "@personal"


class TestAway:
    @pytest.fixture
    def port_holder(self, tmp_path: Path) -> Any:
        return {"state": tmp_path / "sub", "socket": tmp_path / "sub.sock"}

    @pytest.fixture
    def traits(self, port_holder: Any) -> dict[str, Any]:
        return {"subscribers": {"lab": f"unix:{port_holder['socket']}"}, "timeout": "5 s"}

    def subscriber(self, port_holder: Any) -> RoleThread:
        address = Address(unix_path=str(port_holder["socket"]))
        return RoleThread(run_subscriber, SubscriberConfig(http=address, statedir=port_holder["state"]))

    async def test_pages_are_sent_away_and_come_back(self, page: Page, port_holder: Any) -> None:
        role = self.subscriber(port_holder)
        await asyncio.to_thread(role.__enter__)
        try:
            async with listening(page, "lab") as connection:
                stopping = asyncio.create_task(asyncio.to_thread(role.__exit__))
                async with asyncio.timeout(20):
                    assert await connection.read_message() is None
                await stopping
                assert connection.close_code == 1013
        finally:
            role = self.subscriber(port_holder)

        away = await page("caterva2/s/lab/api/roots")
        assert (away.code, json.loads(away.body)["code"]) == (502, "connect-failed")

        await asyncio.to_thread(role.__enter__)
        try:
            assert (await page("caterva2/s/lab/api/roots")).code == 200
            async with listening(page, "lab", "?epoch=x&since=1") as again:
                assert (await hear(again))["event"]["type"] == "resync"
                (port_holder["state"] / "public" / "new.txt").write_text("new")
                await hear_of(again, "new.txt")
        finally:
            await asyncio.to_thread(role.__exit__)

    async def test_a_page_that_comes_while_it_is_away_is_refused(self, page: Page) -> None:
        with pytest.raises(HTTPClientError) as caught:
            async with listening(page, "lab"):
                pass
        assert caught.value.code == 502


class SlowGoodbye:
    """Stands in for `EventStream`: connects at once, and takes its time to hang up."""

    def __init__(self) -> None:
        self.made = 0
        self.second = asyncio.Event()
        self.hung_up = asyncio.Event()

    def __call__(self, *_: Any, on_change: Any, **how: Any) -> AsyncIterator[Any]:
        self.made += 1
        return self._run(on_change)

    async def _run(self, on_change: Any) -> AsyncIterator[Any]:
        on_change(True)
        if self.made == 2:
            self.second.set()
        try:
            await asyncio.Event().wait()
            yield
        finally:
            await self.hung_up.wait()


async def test_a_connection_that_ends_late_does_not_take_the_next_for_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = SlowGoodbye()
    monkeypatch.setattr(eventproxy, "EventStream", streams)
    relay = EventRelay(Urlbase.parse("http://127.0.0.1:1"), dict, "the lab")
    left: list[str] = []
    await relay.connect()
    relay.join(lambda: left.append("before"))
    (before,) = (task for task in asyncio.all_tasks() if task.get_name() == "events of the lab")

    relay.restart()
    async with asyncio.timeout(20):
        await streams.second.wait()
    streams.hung_up.set()
    await asyncio.wait([before])

    assert relay.stands
    assert left == []
    await relay.close()


async def test_a_relay_that_is_closed_begins_nothing_new() -> None:
    relay = EventRelay(Urlbase.parse("http://127.0.0.1:1"), dict, "the lab")
    await relay.close()

    with pytest.raises(ConnectFailed, match="Jupyter stops"):
        await relay.connect()
    relay.restart()

    assert not [task for task in asyncio.all_tasks() if task.get_name() == "events of the lab"]
