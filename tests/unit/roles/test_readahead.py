"""Work ahead of a reader: in order, within the shared memory, giving way when the reader stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from caterva2.roles.subscriber.readahead import DEPTH, ReadAhead
from caterva2.runtime.budget import Budget

pytestmark = pytest.mark.asyncio

SIZE = 10


class Work:
    """Groups that are done as soon as they may; counts what was begun."""

    def __init__(self, count: int) -> None:
        self.groups = [(i, SIZE) for i in range(count)]
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, group: int) -> int:
        self.begun.append(group)
        await self.gate.wait()
        self.ended.append(group)
        return group


async def everything(results: AsyncGenerator[int, None]) -> list[int]:
    async with asyncio.timeout(10):
        return [result async for result in results]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_results_come_in_order_and_the_memory_is_given_back() -> None:
    budget, work = Budget(3 * SIZE), Work(20)

    found = await everything(ReadAhead(budget).in_order(work.groups, work.run))

    assert found == list(range(20))
    assert budget.held == 0


@pytest.mark.parametrize(("memory", "ahead"), [(SIZE, 1), (2 * SIZE, 2), (100 * SIZE, DEPTH)])
async def test_no_more_runs_ahead_than_fits(memory: int, ahead: int) -> None:
    budget, work = Budget(memory), Work(20)
    results = ReadAhead(budget).in_order(work.groups, work.run)

    await anext(results)
    await settle()

    assert len(work.begun) == ahead
    assert budget.held == ahead * SIZE
    await results.aclose()
    assert budget.held == 0


async def test_group_above_all_memory_is_run_alone() -> None:
    budget, work = Budget(SIZE // 2), Work(3)

    assert await everything(ReadAhead(budget).in_order(work.groups, work.run)) == [0, 1, 2]
    assert budget.held == 0


@pytest.mark.parametrize("nstalled", [1, 4])
async def test_reader_that_stops_gives_way_and_can_go_on(nstalled: int) -> None:
    budget = Budget(4 * SIZE)
    reading = ReadAhead(budget, stall_s=0.01)
    stalled = []
    for _ in range(nstalled):
        work = Work(8)
        results = reading.in_order(work.groups, work.run)
        async with asyncio.timeout(10):
            assert await anext(results) == 0
        stalled.append(results)
    other = Work(8)

    assert await everything(reading.in_order(other.groups, other.run)) == list(range(8))

    rests = await asyncio.gather(*(everything(results) for results in stalled))
    assert rests == [list(range(1, 8))] * nstalled
    assert budget.held == 0


async def test_reader_that_stops_keeps_its_work_while_nobody_waits() -> None:
    budget, work = Budget(4 * SIZE), Work(8)
    results = ReadAhead(budget, stall_s=0.001).in_order(work.groups, work.run)
    await anext(results)
    looked = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, looked.set)
    await looked.wait()

    assert await everything(results) == list(range(1, 8))
    assert work.begun == list(range(8))


async def test_failure_of_a_group_reaches_the_reader_and_gives_the_memory_back() -> None:
    budget = Budget(4 * SIZE)

    async def run(group: int) -> int:
        if group == 2:
            raise ValueError("two")
        return group

    results = ReadAhead(budget).in_order([(i, SIZE) for i in range(8)], run)
    with pytest.raises(ValueError, match="two"):
        await everything(results)

    assert budget.held == 0


async def test_cancelled_readers_give_their_memory_back() -> None:
    budget, work = Budget(2 * SIZE), Work(8)
    work.gate.clear()
    readers = [
        asyncio.create_task(everything(ReadAhead(budget).in_order(work.groups, work.run))) for _ in range(5)
    ]
    await settle()

    for reader in readers[::2]:
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
    work.gate.set()

    assert await asyncio.gather(*readers[1::2]) == [list(range(8))] * 2
    assert budget.held == 0
