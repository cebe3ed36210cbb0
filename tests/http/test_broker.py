"""The broker over HTTP: who gets a root, who keeps it, who is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import httpx
import msgspec
import pytest
import pytest_asyncio
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from caterva2.config.schema import BrokerConfig
from caterva2.config.units import Address
from caterva2.model import wire
from caterva2.model.datasets import Entry, FileInfo
from caterva2.model.events import DatasetChanged, DatasetRemoved, Envelope, Resync, RootChanged
from caterva2.model.roots import RootStatus
from caterva2.roles.broker import app
from tests.support.clock import ManualClock

pytestmark = pytest.mark.asyncio

LEASE_S = 6.0
FOO = {"name": "foo", "http": "localhost:8001"}


class Network:
    """A broker, its clock, and a client."""

    def __init__(self, config: BrokerConfig) -> None:
        self.config = config
        self.clock = ManualClock()
        self._stack = contextlib.AsyncExitStack()

    async def start(self):
        service = await self._stack.enter_async_context(app.running(self.config, clock=self.clock))
        self.url = service.server.url
        self.http = await self._stack.enter_async_context(httpx.AsyncClient(base_url=self.url, timeout=10))

    async def stop(self):
        await self._stack.aclose()

    async def restart(self):
        await self.stop()
        await self.start()

    async def register(self, name="foo", http="localhost:8001"):
        answer = await self.http.post("/api/roots", json={"name": name, "http": http})
        assert answer.status_code == 200, answer.text
        return answer.json()["token"]

    async def beat(self, token, name="foo", **more):
        return await self.http.post("/api/heartbeat", json={"name": name, "token": token, **more})

    async def announce(self, token, *events, key="k", root="foo"):
        body = {"key": key, "root": root, "token": token, "events": [msgspec.to_builtins(e) for e in events]}
        return await self.http.post("/api/events", json=body)

    async def status(self, name="foo"):
        return (await self.http.get("/api/roots")).json()[name]["status"]

    @contextlib.asynccontextmanager
    async def events(self, query="", headers=None):
        url = self.url.replace("http://", "ws://") + f"/api/events{query}"
        reader = await websocket_connect(HTTPRequest(url, headers=headers or {}))
        try:
            yield reader
        finally:
            reader.close()


async def next_event(reader) -> Envelope:
    message = await asyncio.wait_for(reader.read_message(), 10)
    assert message is not None, "the stream has ended"
    return wire.from_json(message, Envelope)


def entry(path, etag="1"):
    return Entry(path=path, etag=etag, mtime_ns=1, size=1, info=FileInfo(size=1))


@pytest_asyncio.fixture
async def network(tmp_path):
    network = Network(BrokerConfig(http=Address("127.0.0.1", 0), statedir=tmp_path, lease_s=LEASE_S))
    await network.start()
    yield network
    await network.stop()


class TestRegistration:
    async def test_of_a_new_root_answers_as_clients_of_2025_expect(self, network):
        answer = await network.http.post("/api/roots", json=FOO)

        assert answer.status_code == 200
        body = answer.json()
        assert {key: body[key] for key in ("name", "http", "subscribed")} == {**FOO, "subscribed": None}
        assert body["lease_s"] == LEASE_S

    async def test_makes_the_root_known(self, network):
        await network.register()

        answer = await network.http.get("/api/roots")

        assert answer.json() == {"foo": {**FOO, "status": "online"}}

    async def test_by_the_same_publisher_replaces_the_token(self, network):
        old = await network.register()
        new = await network.register()

        assert (await network.beat(new)).status_code == 200
        refused = await network.beat(old)
        assert (refused.status_code, refused.json()["code"]) == (409, "root-taken")

    async def test_by_another_publisher_is_refused_and_says_who_holds_the_root(self, network):
        await network.register()

        answer = await network.http.post("/api/roots", json={"name": "foo", "http": "localhost:9"})

        assert answer.status_code == 409
        body = answer.json()
        assert body["detail"] == "root 'foo' is served by the publisher at localhost:8001 already"
        assert body["code"] == "root-taken"
        assert "6 s after it is gone" in body["hint"]
        assert (await network.http.get("/api/roots")).json()["foo"]["http"] == "localhost:8001"

    async def test_by_another_publisher_is_accepted_after_the_lease(self, network):
        await network.register()
        await network.clock.advance(LEASE_S)

        await network.register(http="localhost:9")

        assert (await network.http.get("/api/roots")).json()["foo"]["http"] == "localhost:9"

    async def test_by_another_publisher_is_accepted_when_the_old_one_left(self, network):
        token = await network.register()
        await network.beat(token, leaving=True)

        await network.register(http="localhost:9")

        assert await network.status() == "online"

    async def test_of_two_at_once_gives_the_root_to_one(self, network):
        answers = await asyncio.gather(
            *(network.http.post("/api/roots", json={"name": "foo", "http": f"h:{i}"}) for i in range(1, 9))
        )

        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7

    @pytest.mark.parametrize(
        ("body", "loc"),
        [({"name": "foo"}, ["body", "http"]), ({"http": "h:1"}, ["body", "name"])],
        ids=["no http", "no name"],
    )
    async def test_without_a_field_is_422(self, network, body, loc):
        answer = await network.http.post("/api/roots", json=body)

        assert answer.status_code == 422
        assert [problem["loc"] for problem in answer.json()["detail"]] == [loc]

    @pytest.mark.parametrize("http", ["", "localhost", "http://h:1", "h:0", "h:99999", "h\n:1"], ids=repr)
    async def test_with_what_is_no_address_is_422(self, network, http):
        answer = await network.http.post("/api/roots", json={"name": "foo", "http": http})

        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "http"]

    @pytest.mark.parametrize(
        "name", ["", "@public", ".hidden", "..", "a/b", "a\\b", "a\0b", "x" * 256], ids=repr
    )
    async def test_with_a_name_that_can_not_be_a_root_is_400(self, network, name):
        answer = await network.http.post("/api/roots", json={"name": name, "http": "h:1"})

        assert (answer.status_code, answer.json()["code"]) == (400, "bad-path")

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"], ids=repr)
    async def test_with_what_is_no_registration_is_422(self, network, body):
        answer = await network.http.post("/api/roots", content=body)

        assert answer.status_code == 422

    async def test_keeps_the_publisher_s_own_spelling(self, network):
        await network.register(http="LocalHost:8001")

        assert (await network.http.get("/api/roots")).json()["foo"]["http"] == "LocalHost:8001"

    async def test_of_a_publisher_on_all_interfaces_is_reachable(self, network):
        await network.register(http="*:8001")

        assert (await network.http.get("/api/roots")).json()["foo"]["http"] == "localhost:8001"

    async def test_of_too_many_roots_is_refused(self, tmp_path):
        network = Network(BrokerConfig(http=Address("127.0.0.1", 0), statedir=tmp_path, max_roots=1))
        await network.start()
        await network.register()

        answer = await network.http.post("/api/roots", json={"name": "bar", "http": "h:1"})

        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        await network.stop()


class TestLease:
    async def test_runs_out_without_heartbeats_and_the_root_stays_known(self, network):
        await network.register()

        await network.clock.advance(LEASE_S - 0.1)
        assert await network.status() == "online"
        await network.clock.advance(2)
        assert await network.status() == "offline"

    async def test_is_prolonged_by_heartbeats(self, network):
        token = await network.register()

        for _ in range(5):
            await network.clock.advance(LEASE_S - 1)
            assert (await network.beat(token)).status_code == 200

        assert await network.status() == "online"

    async def test_is_prolonged_by_events(self, network):
        token = await network.register()

        await network.clock.advance(LEASE_S - 1)
        await network.announce(token)
        await network.clock.advance(LEASE_S - 1)

        assert await network.status() == "online"

    async def test_that_ran_out_is_taken_up_by_a_late_heartbeat(self, network):
        token = await network.register()
        await network.clock.advance(2 * LEASE_S)

        assert (await network.beat(token)).status_code == 200

        assert await network.status() == "online"

    async def test_ends_at_once_when_the_publisher_leaves(self, network):
        token = await network.register()

        await network.beat(token, leaving=True)

        assert await network.status() == "offline"

    async def test_of_an_unknown_root_is_404(self, network):
        answer = await network.beat("token")

        assert (answer.status_code, answer.json()["code"]) == (404, "root-not-found")

    async def test_is_not_prolonged_by_a_wrong_token(self, network):
        await network.register()

        answer = await network.beat("guess")

        assert (answer.status_code, answer.json()["code"]) == (409, "root-taken")


class TestRestart:
    async def test_keeps_roots_and_tokens(self, network):
        token = await network.register()

        await network.restart()

        assert (await network.http.get("/api/roots")).json() == {"foo": {**FOO, "status": "online"}}
        assert (await network.beat(token)).status_code == 200

    async def test_gives_publishers_one_lease_to_be_heard_again(self, network):
        await network.register()
        await network.restart()

        taken = await network.http.post("/api/roots", json={"name": "foo", "http": "h:9"})
        await network.clock.advance(LEASE_S + 1)

        assert taken.status_code == 409
        assert await network.status() == "offline"

    async def test_remembers_who_left(self, network):
        token = await network.register()
        await network.beat(token, leaving=True)

        await network.restart()

        assert await network.status() == "offline"
        await network.register(http="h:9")

    async def test_remembers_the_last_of_many_registrations(self, network):
        tokens = await asyncio.gather(*(network.register() for _ in range(5)))

        await network.restart()

        answers = [(await network.beat(token)).status_code for token in tokens]
        assert sorted(answers) == [200, 409, 409, 409, 409]

    async def test_with_a_broken_state_file_starts_afresh(self, network, caplog):
        await network.register()
        await network.stop()
        (network.config.statedir / "broker.sqlite").write_bytes(b"broken" * 1000)

        with caplog.at_level(logging.WARNING):
            await network.start()

        assert (await network.http.get("/api/roots")).json() == {}
        assert "can not be used" in caplog.text


class TestEvents:
    async def test_of_a_publisher_reach_readers_in_order(self, network):
        token = await network.register()
        changed = DatasetChanged(root="foo", entry=entry("a"))
        removed = DatasetRemoved(root="foo", path="b")

        async with network.events() as reader:
            answer = await network.announce(token, changed, removed)
            first, second = await next_event(reader), await next_event(reader)

        assert (answer.status_code, answer.json()) == (200, "Ok")
        assert [first.event, second.event] == [changed, removed]
        assert second.seq == first.seq + 1
        assert second.epoch == first.epoch

    async def test_sent_twice_are_told_once(self, network):
        token = await network.register()

        async with network.events() as reader:
            await network.announce(token, DatasetRemoved(root="foo", path="a"), key="1")
            again = await network.announce(token, DatasetRemoved(root="foo", path="a"), key="1")
            await network.announce(token, DatasetRemoved(root="foo", path="b"), key="2")
            paths = [(await next_event(reader)).event.path for _ in range(2)]

        assert again.status_code == 200
        assert paths == ["a", "b"]

    async def test_tell_of_a_root_that_comes_and_goes(self, network):
        async with network.events() as reader:
            token = await network.register()
            await network.clock.advance(LEASE_S + 1)
            await network.beat(token)
            await network.beat(token, leaving=True)
            seen = [(await next_event(reader)).event for _ in range(4)]

        assert seen == [
            RootChanged(root="foo", http="localhost:8001", status=status)
            for status in (RootStatus.ONLINE, RootStatus.OFFLINE, RootStatus.ONLINE, RootStatus.OFFLINE)
        ]

    async def test_that_were_missed_are_replayed(self, network):
        token = await network.register()
        async with network.events() as reader:
            await network.announce(token, DatasetRemoved(root="foo", path="a"), key="1")
            seen = await next_event(reader)
        await network.announce(token, DatasetRemoved(root="foo", path="b"), key="2")

        async with network.events(f"?epoch={seen.epoch}&since={seen.seq}") as reader:
            missed = await next_event(reader)

        assert (missed.seq, missed.event.path) == (seen.seq + 1, "b")

    async def test_of_an_earlier_life_are_answered_with_a_resync(self, network):
        await network.register()

        async with network.events("?epoch=gone&since=1") as reader:
            envelope = await next_event(reader)

        assert envelope.event == Resync()

    async def test_that_ask_to_list_again_concern_their_root_alone(self, network):
        token = await network.register()

        async with network.events() as reader:
            await network.announce(token, Resync())
            envelope = await next_event(reader)

        assert envelope.event == Resync(root="foo")

    async def test_of_a_root_of_somebody_else_are_refused(self, network):
        token = await network.register()
        await network.register("bar", "h:2")

        wrong_root = await network.announce(token, DatasetRemoved(root="bar", path="a"))
        wrong_token = await network.announce(token, DatasetRemoved(root="bar", path="a"), root="bar")
        unknown = await network.announce(token, root="baz")

        assert [r.status_code for r in (wrong_root, wrong_token, unknown)] == [422, 409, 404]

    @pytest.mark.parametrize("path", ["../x", "/x", "", "a//b", "a\\b"], ids=repr)
    async def test_about_paths_that_leave_the_root_are_refused(self, network, path):
        token = await network.register()

        removed = await network.announce(token, DatasetRemoved(root="foo", path=path))
        changed = await network.announce(token, DatasetChanged(root="foo", entry=entry(path)))

        assert (removed.status_code, changed.status_code) == (400, 400)

    async def test_in_a_refused_batch_are_not_told(self, network):
        token = await network.register()

        async with network.events() as reader:
            await network.announce(
                token, DatasetRemoved(root="foo", path="a"), DatasetRemoved(root="foo", path=".."), key="1"
            )
            await network.announce(token, DatasetRemoved(root="foo", path="b"), key="2")
            envelope = await next_event(reader)

        assert envelope.event.path == "b"


class TestSecret:
    @pytest_asyncio.fixture
    async def network(self, tmp_path):
        network = Network(BrokerConfig(http=Address("127.0.0.1", 0), statedir=tmp_path, secret="s3"))
        await network.start()
        yield network
        await network.stop()

    @pytest.mark.parametrize("headers", [{}, {"Caterva2-Secret": "wrong"}], ids=["none", "wrong"])
    async def test_missing_is_401_everywhere_but_for_health(self, network, headers):
        client = network.http
        answers = [
            await client.get("/api/roots", headers=headers),
            await client.post("/api/roots", json=FOO, headers=headers),
            await client.post("/api/heartbeat", headers=headers),
            await client.post("/api/events", headers=headers),
            await client.get("/api/events", headers=headers),
        ]

        assert [answer.status_code for answer in answers] == [401] * 5
        assert (await client.get("/healthz", headers=headers)).status_code == 200

    async def test_opens_everything(self, network):
        headers = {"Caterva2-Secret": "s3"}

        async with network.events(headers=headers) as reader:
            answer = await network.http.post("/api/roots", json=FOO, headers=headers)
            envelope = await next_event(reader)

        assert answer.status_code == 200
        assert envelope.event.root == "foo"


class TestService:
    async def test_says_that_it_runs(self, network):
        answer = await network.http.get("/healthz")

        assert answer.json()["service"] == "broker"

    async def test_counts_what_it_knows(self, network):
        await network.register()

        text = (await network.http.get("/metrics")).text

        assert "caterva2_roots_online 1.0" in text

    async def test_answers_404_and_405_like_the_others(self, network):
        unknown = await network.http.get("/api/none")
        wrong = await network.http.delete("/api/roots")

        assert (unknown.status_code, unknown.json()["detail"]) == (404, "Not Found")
        assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, HEAD, POST")

    async def test_warns_when_others_can_reach_it_without_a_secret(self, tmp_path, caplog):
        config = BrokerConfig(http=Address("*", 0), statedir=tmp_path)
        stop = asyncio.Event()
        addresses = []

        def announce(address):
            addresses.append(address)
            stop.set()

        with caplog.at_level(logging.WARNING):
            await app.run(config, announce=announce, stop=stop)

        assert "without a secret" in caplog.text
        assert addresses[0].startswith("*:")
        assert addresses[0] != "*:0"
