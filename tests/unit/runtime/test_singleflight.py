"""Many askers, one flight."""

from __future__ import annotations

import asyncio
import gc

import pytest

from caterva2.errors import PublisherUnavailable
from caterva2.runtime.singleflight import SingleFlight
from tests.support.clock import settle

pytestmark = pytest.mark.asyncio


class Fetch:
    """Work that waits for a test."""

    def __init__(self) -> None:
        self.nstarted = 0
        self.ncancelled = 0
        self.result: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> object:
        self.nstarted += 1
        try:
            return await asyncio.shield(self.result)
        except asyncio.CancelledError:
            self.ncancelled += 1
            raise


async def ask(flights, fetch, count, key="k"):
    tasks = [asyncio.create_task(flights.run(key, fetch)) for _ in range(count)]
    await settle()
    return tasks


async def test_all_askers_share_one_flight():
    flights, fetch = SingleFlight(), Fetch()
    tasks = await ask(flights, fetch, 5)

    fetch.result.set_result(answer := object())

    assert all(found is answer for found in await asyncio.gather(*tasks))
    assert fetch.nstarted == 1


async def test_other_key_is_another_flight():
    flights, fetch = SingleFlight(), Fetch()
    tasks = await ask(flights, fetch, 1, "a") + await ask(flights, fetch, 1, "b")

    assert (fetch.nstarted, len(flights), "a" in flights) == (2, 2, True)
    fetch.result.set_result(None)
    await asyncio.gather(*tasks)


async def test_next_asker_after_the_landing_starts_anew():
    flights, fetch = SingleFlight(), Fetch()
    fetch.result.set_result(1)

    assert (await flights.run("k", fetch), await flights.run("k", fetch), fetch.nstarted) == (1, 1, 2)
    assert len(flights) == 0


async def test_failure_reaches_everybody_and_is_forgotten():
    flights, fetch = SingleFlight(), Fetch()
    tasks = await ask(flights, fetch, 3)

    fetch.result.set_exception(error := PublisherUnavailable("gone"))

    assert await asyncio.gather(*tasks, return_exceptions=True) == [error] * 3
    assert len(flights) == 0


async def test_one_asker_that_leaves_does_not_end_the_flight():
    flights, fetch = SingleFlight(), Fetch()
    first, second = await ask(flights, fetch, 2)

    first.cancel()
    await settle()
    fetch.result.set_result(1)

    assert (await second, first.cancelled(), fetch.ncancelled) == (1, True, 0)


async def test_last_asker_that_leaves_ends_the_flight():
    flights, fetch = SingleFlight(), Fetch()
    tasks = await ask(flights, fetch, 2)

    for task in tasks:
        task.cancel()
    await settle()

    assert (fetch.ncancelled, len(flights)) == (1, 0)


async def test_asker_after_the_last_one_left_gets_a_flight_of_its_own():
    flights, fetch = SingleFlight(), Fetch()
    [task] = await ask(flights, fetch, 1)
    task.cancel()
    await asyncio.sleep(0)
    [again] = await ask(flights, fetch, 1)

    fetch.result.set_result(1)

    assert (await again, fetch.nstarted) == (1, 2)


async def test_failure_that_nobody_waits_for_is_not_reported(caplog):
    flights = SingleFlight()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("too late") from None

    [task] = await ask(flights, stubborn, 1)
    task.cancel()
    await settle()
    del task
    gc.collect()

    assert caplog.records == []


async def test_close_ends_all_flights():
    flights, fetch = SingleFlight(), Fetch()
    tasks = await ask(flights, fetch, 2, "a") + await ask(flights, fetch, 1, "b")

    await flights.close()
    await settle()

    assert all(task.cancelled() for task in tasks)
    assert len(flights) == 0
