"""Events: followed over breaks, without loss that goes unnoticed."""

from __future__ import annotations

import asyncio
import time

import pytest

from caterva2 import EventStream
from caterva2.client.events import delay_s
from caterva2.errors import ConnectFailed, NotFound, NotPermitted
from caterva2.model.events import DatasetRemoved, Envelope, Resync
from tests.support.fakesub import FakeSubscriber, answer_plain
from tests.support.serverthread import ServerThread

WAIT_S = 20.0


def removed(path: str) -> dict[str, str]:
    return {"type": "dataset-removed", "root": "foo", "path": path}


def paths(envelopes: list[Envelope]) -> list[str]:
    return [
        e.event.path if isinstance(e.event, DatasetRemoved) else type(e.event).__name__ for e in envelopes
    ]


async def following(fake: FakeSubscriber) -> None:
    """Wait until somebody follows."""
    async with asyncio.timeout(WAIT_S):
        while not fake.sockets:  # noqa: ASYNC110 - the fake lives in another thread
            await asyncio.sleep(0.005)


async def take(stream: EventStream, n: int) -> list[Envelope]:
    found: list[Envelope] = []
    async with asyncio.timeout(WAIT_S):
        async for envelope in stream:
            found.append(envelope)
            if len(found) == n:
                break
    return found


@pytest.mark.asyncio
async def test_events_arrive_in_order(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    task = asyncio.create_task(take(EventStream(fake_server.urlbase), 2))
    await following(fake)

    fake_server.call(fake.emit, removed("a"))
    fake_server.call(fake.emit, removed("b"))

    assert paths(await task) == ["a", "b"]


@pytest.mark.asyncio
async def test_stream_goes_on_where_it_broke(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    changes: list[bool] = []
    stream = EventStream(fake_server.urlbase, on_change=changes.append)
    task = asyncio.create_task(take(stream, 3))
    await following(fake)

    fake_server.call(fake.emit, removed("a"))
    fake_server.call(fake.drop_sockets)
    fake_server.call(fake.emit, removed("b"))
    fake_server.call(fake.emit, removed("c"))

    assert paths(await task) == ["a", "b", "c"]
    assert fake.seen[-1].query == "epoch=e1&since=1"
    assert (stream.epoch, stream.since) == ("e1", 3)
    assert changes == [True, False, True]


@pytest.mark.asyncio
async def test_break_before_any_event_asks_to_list_again(
    fake: FakeSubscriber, fake_server: ServerThread
) -> None:
    task = asyncio.create_task(take(EventStream(fake_server.urlbase), 1))
    await following(fake)

    fake_server.call(fake.drop_sockets)

    assert [type(e.event) for e in await task] == [Resync]


@pytest.mark.asyncio
async def test_stream_begins_behind_a_position(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    for name in "abc":
        fake_server.call(fake.emit, removed(name))

    found = await take(EventStream(fake_server.urlbase, epoch="e1", since=1), 2)

    assert paths(found) == ["b", "c"]


@pytest.mark.asyncio
async def test_event_that_comes_twice_counts_once(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    task = asyncio.create_task(take(EventStream(fake_server.urlbase), 2))
    await following(fake)

    fake_server.call(fake.emit, removed("a"))
    fake_server.call(lambda: fake.sockets[0].write_message(fake.envelopes[0].decode()) and None)
    fake_server.call(fake.emit, removed("b"))

    assert paths(await task) == ["a", "b"]


@pytest.mark.asyncio
async def test_unknown_kind_of_event_is_passed_over(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    task = asyncio.create_task(take(EventStream(fake_server.urlbase), 1))
    await following(fake)

    fake_server.call(fake.emit, {"type": "weather-changed", "sunny": True})
    fake_server.call(fake.emit, removed("a"))

    assert paths(await task) == ["a"]


@pytest.mark.asyncio
async def test_patient_stream_waits_for_the_server(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    port = fake_server.port
    fake_server.stop()
    task = asyncio.create_task(take(EventStream(f"http://127.0.0.1:{port}"), 1))
    with ServerThread(fake.application, port=port) as again:
        await following(fake)
        again.call(fake.emit, removed("a"))

        assert paths(await task) == ["a"]


@pytest.mark.asyncio
async def test_impatient_stream_tells_that_nobody_answers(fake_server: ServerThread) -> None:
    fake_server.stop()

    with pytest.raises(ConnectFailed, match="cannot reach"):
        await take(EventStream(fake_server.urlbase, patient=False), 1)


@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (403, NotPermitted)])
async def test_refusal_ends_the_stream(status: int, error: type[Exception]) -> None:
    fake = FakeSubscriber()
    refuse = answer_plain(status, '{"detail": "no"}', "application/json")

    fake.faults.append(("/nothing/api/events", refuse))

    with ServerThread(fake.application) as server, pytest.raises(error):
        await take(EventStream(f"{server.urlbase}/nothing"), 1)


def test_program_without_an_event_loop_follows(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    fake_server.call(fake.emit, removed("a"))
    stream = EventStream(fake_server.urlbase, epoch="e1", since=0)

    events = stream.follow()
    first = next(events)
    fake_server.call(fake.emit, removed("b"))
    second = next(events)
    events.close()  # type: ignore[attr-defined]

    assert paths([first, second]) == ["a", "b"]


def test_following_ends_in_time(fake_server: ServerThread) -> None:
    before = time.monotonic()

    assert list(EventStream(fake_server.urlbase).follow(timeout_s=0.2)) == []

    assert 0.2 <= time.monotonic() - before < WAIT_S


def test_delay_grows_and_is_bounded() -> None:
    delays = [delay_s(attempt) for attempt in range(100)]

    assert 0.05 <= delays[0] <= 0.1
    assert max(delays) <= 15
    assert min(delays[20:]) >= 7.5
