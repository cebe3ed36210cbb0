"""Publish and subscribe: order, replay, slow readers, the end."""

from __future__ import annotations

import asyncio

import pytest

from caterva2.model.events import DatasetRemoved, Resync
from caterva2.runtime.hub import Hub
from tests.support.clock import ManualClock

pytestmark = pytest.mark.asyncio


def removed(i: int) -> DatasetRemoved:
    return DatasetRemoved(root="foo", path=str(i))


async def take(subscription, count: int):
    return [await asyncio.wait_for(anext(subscription), 5) for _ in range(count)]


async def test_events_are_numbered_from_one_with_the_time_of_the_clock():
    hub = Hub(clock=ManualClock(5.0))
    before = hub.position

    first = hub.publish(removed(0))

    assert (before.seq, first.seq, first.at) == (0, 1, 5.0)
    assert hub.position == (first.epoch, 1)


async def test_two_lives_have_two_epochs():
    assert Hub().position.epoch != Hub().position.epoch


async def test_every_reader_gets_every_event_in_order():
    hub = Hub()
    readers = [hub.subscribe(), hub.subscribe()]

    sent = [hub.publish(removed(i)) for i in range(3)]

    assert [await take(reader, 3) for reader in readers] == [sent, sent]


async def test_waiting_reader_is_woken():
    hub = Hub()
    waiting = asyncio.create_task(take(hub.subscribe(), 1))
    await asyncio.sleep(0)

    sent = hub.publish(removed(0))

    assert await waiting == [sent]


async def test_reader_without_position_begins_now():
    hub = Hub()
    hub.publish(removed(0))
    reader = hub.subscribe()

    sent = hub.publish(removed(1))

    assert await take(reader, 1) == [sent]


@pytest.mark.parametrize("since", [0, 1, 3, 5])
async def test_reader_that_comes_back_misses_nothing(since):
    hub = Hub()
    sent = [hub.publish(removed(i)) for i in range(5)]
    reader = hub.subscribe(hub.position.epoch, since)

    sent.append(hub.publish(removed(5)))

    assert await take(reader, 6 - since) == sent[since:]
    assert reader.nqueued == 0


@pytest.mark.parametrize(
    ("epoch", "since"),
    [("other", 5), (None, 5), ("same", 1), ("same", 6), ("same", -1)],
    ids=["other epoch", "no epoch", "left the ring", "the future", "negative"],
)
async def test_reader_with_an_unknown_position_lists_again(epoch, since):
    hub = Hub(ring=3)
    for i in range(5):
        hub.publish(removed(i))

    reader = hub.subscribe(hub.position.epoch if epoch == "same" else epoch, since)
    sent = hub.publish(removed(5))

    first, second = await take(reader, 2)
    assert (first.event, first.epoch, first.seq) == (Resync(), sent.epoch, 5)
    assert second == sent


async def test_oldest_position_of_the_ring_is_still_good():
    hub = Hub(ring=3)
    sent = [hub.publish(removed(i)) for i in range(5)]

    assert await take(hub.subscribe(hub.position.epoch, 2), 3) == sent[2:]


async def test_reader_that_is_too_slow_lists_again_and_goes_on():
    hub = Hub(queue=3)
    slow, quick = hub.subscribe(), hub.subscribe()
    for i in range(4):
        hub.publish(removed(i))
        await take(quick, 1)

    after = hub.publish(removed(4))

    first, second = await take(slow, 2)
    assert (first.event, first.seq) == (Resync(), 4)
    assert second == after
    assert slow.nqueued == 0


async def test_queue_of_a_reader_is_bounded():
    hub = Hub(queue=10, ring=10)
    reader = hub.subscribe()

    most = 0
    for i in range(1000):
        hub.publish(removed(i))
        most = max(most, reader.nqueued)

    assert most == 10


async def test_replay_may_be_longer_than_the_queue():
    hub = Hub(queue=2)
    sent = [hub.publish(removed(i)) for i in range(10)]
    reader = hub.subscribe(hub.position.epoch, 0)

    sent.append(hub.publish(removed(10)))

    assert await take(reader, 11) == sent


async def test_closed_subscription_ends_after_what_is_queued():
    hub = Hub()
    reader = hub.subscribe()
    sent = hub.publish(removed(0))
    reader.close()
    hub.publish(removed(1))

    assert [envelope async for envelope in reader] == [sent]
    assert hub.nsubscribers == 0


async def test_waiting_reader_ends_when_it_is_closed():
    hub = Hub()
    with hub.subscribe() as reader:
        waiting = asyncio.create_task(anext(reader, None))
        await asyncio.sleep(0)

    assert await waiting is None


async def test_closed_hub_ends_readers_old_and_new():
    hub = Hub()
    old = hub.subscribe()
    hub.close()
    hub.close()

    assert [e async for e in old] == []
    assert [e async for e in hub.subscribe()] == []
    assert hub.nsubscribers == 0


async def test_cancelled_reader_loses_no_event():
    hub = Hub()
    reader = hub.subscribe()
    waiting = asyncio.create_task(anext(reader))
    await asyncio.sleep(0)
    sent = hub.publish(removed(0))
    waiting.cancel()
    await asyncio.wait([waiting])

    assert waiting.cancelled()
    assert await take(reader, 1) == [sent]
