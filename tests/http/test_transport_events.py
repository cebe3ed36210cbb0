"""The websocket of events: handshake, replay, filter, slow and dead readers, the end."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClosedError, websocket_connect

from caterva2.model import wire
from caterva2.model.events import DatasetRemoved, Envelope, Resync
from caterva2.model.users import ANONYMOUS
from caterva2.runtime.hub import Hub
from caterva2.transport import eventsocket
from caterva2.transport.eventsocket import EventSocket
from caterva2.transport.serve import Server, bind
from tests.support.serving import LOOPBACK, application, connected, request, serving

pytestmark = pytest.mark.asyncio


HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Source:
    """A service with events; `hidden` names a root that nobody may see."""

    def __init__(self, **hub: int) -> None:
        self.hub = Hub(**hub)
        self.asked: list[object] = []

    def allow(self, principal, event) -> bool:
        self.asked.append(principal)
        return getattr(event, "root", None) != "hidden"


def removed(path: str, root: str = "foo") -> DatasetRemoved:
    return DatasetRemoved(root=root, path=path)


def app_of(source: Source, **context: object):
    return application(handlers={"events": EventSocket}, service=source, **context)


@contextlib.asynccontextmanager
async def following(server: Server, query: str = "", headers: dict[str, str] | None = None):
    url = f"ws://127.0.0.1:{server.address.port}/api/events{query}"
    connection = await websocket_connect(HTTPRequest(url, headers=headers or {}))
    try:
        yield connection
    finally:
        connection.close()


async def read(connection) -> Envelope:
    text = await asyncio.wait_for(connection.read_message(), 5)
    assert isinstance(text, str)
    return wire.answer_from_json(text.encode(), Envelope)


async def subscribed(source: Source, count: int = 1) -> None:
    while source.hub.nsubscribers != count:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)


async def test_events_from_now_on_are_told():
    source = Source()
    source.hub.publish(removed("old"))

    async with serving(app_of(source)) as server, following(server) as reader:
        await subscribed(source)
        sent = source.hub.publish(removed("new"))
        assert await read(reader) == sent

    assert source.asked == [ANONYMOUS]


async def test_missed_events_are_replayed():
    source = Source()
    sent = [source.hub.publish(removed(str(i))) for i in range(3)]
    epoch = source.hub.position.epoch

    async with serving(app_of(source)) as server, following(server, f"?epoch={epoch}&since=1") as reader:
        assert [await read(reader), await read(reader)] == sent[1:]


async def test_unknown_position_begins_with_resync():
    source = Source()
    source.hub.publish(removed("a"))

    async with serving(app_of(source)) as server, following(server, "?epoch=other&since=1") as reader:
        first = await read(reader)

    assert (first.event, (first.epoch, first.seq)) == (Resync(), source.hub.position)


async def test_event_that_is_not_allowed_is_not_told():
    source = Source()

    async with serving(app_of(source)) as server, following(server) as reader:
        await subscribed(source)
        source.hub.publish(removed("a", root="hidden"))
        seen = source.hub.publish(removed("b"))
        assert await read(reader) == seen


async def test_reader_that_does_not_keep_up_gets_resync():
    source = Source(queue=10)

    async with serving(app_of(source)) as server, following(server) as reader:
        await subscribed(source)
        for i in range(50):
            source.hub.publish(removed(str(i)))
        found = [await read(reader)]
        while found[-1].seq < 50:
            found.append(await read(reader))

    assert isinstance(found[0].event, Resync)
    assert len(found) <= 11


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upgrade": "websocket"},
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "1"},
    ],
)
async def test_plain_request_is_refused_as_json(headers):
    async with serving(app_of(Source())) as server, connected(server) as client:
        await client.send(request("/api/events", headers=headers))
        status, answer, body = await client.answer()

    assert (status, answer["content-type"], json.loads(body)["code"]) == (
        400,
        "application/json",
        "bad-request",
    )


async def test_bad_query_is_refused_before_the_handshake():
    async with serving(app_of(Source())) as server:
        with pytest.raises(HTTPClientError, match="422"):
            async with following(server, "?since=x"):
                pass


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_page_of_another_origin_is_refused(origin):
    async with serving(app_of(Source())) as server:
        with pytest.raises(HTTPClientError, match="403"):
            async with following(server, headers={"Origin": origin}):
                pass


async def test_listed_origin_and_own_page_are_let_in():
    app = app_of(Source(), origins=("https://lab.example",))

    async with serving(app) as server:
        own = f"http://127.0.0.1:{server.address.port}"
        async with following(server, headers={"Origin": "https://lab.example"}):
            pass
        async with following(server, headers={"Origin": own}) as reader:
            assert reader is not None


async def test_reader_that_leaves_is_forgotten():
    source = Source()
    app = app_of(source)

    async with serving(app) as server:
        async with following(server):
            await subscribed(source)
        await asyncio.wait_for(subscribed(source, 0), 5)

    assert app.sockets == set()
    assert app.context.metrics.requests.in_flight == 0


async def test_reader_that_answers_no_ping_is_told_goodbye(monkeypatch):
    monkeypatch.setattr(eventsocket, "PING_S", 0.05)
    source = Source()

    async with serving(app_of(source)) as server, connected(server) as client:
        await client.send(request("/api/events", headers=HANDSHAKE))
        await client.reader.readuntil(b"\r\n\r\n")
        found = await asyncio.wait_for(client.reader.readuntil(b"ping timed out"), 5)

    assert found[:2] == b"\x89\x00"


async def test_stop_closes_readers_promptly():
    source = Source()
    server = Server(app_of(source), bind(LOOPBACK))
    server.start()

    async with following(server) as reader:
        await subscribed(source)
        await asyncio.wait_for(server.stop(), 2)
        assert await asyncio.wait_for(reader.read_message(), 2) is None
        assert reader.close_code == 1001


async def test_reader_that_ignores_the_goodbye_does_not_delay_the_stop():
    source = Source()
    server = Server(app_of(source), bind(LOOPBACK))
    server.start()
    async with connected(server) as client:
        await client.send(request("/api/events", headers=HANDSHAKE))
        await client.reader.readuntil(b"\r\n\r\n")

        await asyncio.wait_for(server.stop(), 2)

        await asyncio.wait_for(client.rest(), 2)
    assert source.hub.nsubscribers == 0


async def test_end_of_the_hub_ends_the_socket():
    source = Source()

    async with serving(app_of(source)) as server, following(server) as reader:
        await subscribed(source)
        source.hub.close()
        assert await asyncio.wait_for(reader.read_message(), 5) is None


async def test_large_message_of_a_client_ends_the_socket():
    source = Source()

    async with serving(app_of(source)) as server, following(server) as reader:
        await reader.write_message("x")
        with contextlib.suppress(WebSocketClosedError):
            await reader.write_message("x" * 100_000)
        assert await asyncio.wait_for(reader.read_message(), 5) is None
