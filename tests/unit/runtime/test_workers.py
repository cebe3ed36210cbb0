"""Lanes of threads: results, limits, cancellation, the end."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest
import pytest_asyncio

from caterva2.errors import BadSlice, Overloaded
from caterva2.runtime.workers import Lane, Workers

pytestmark = pytest.mark.asyncio


class Gate:
    """Work that waits for a test."""

    def __init__(self) -> None:
        self.nbegun = 0
        self.ndone = 0
        self._open = threading.Event()
        self._begun = threading.Semaphore(0)

    def work(self, value: int = 0) -> int:
        self.nbegun += 1
        self._begun.release()
        self._open.wait(10)
        self.ndone += 1
        return value

    def open(self) -> None:
        self._open.set()

    async def begun(self, count: int = 1) -> None:
        while self.nbegun < count:  # noqa: ASYNC110 - threads set no asyncio event
            await asyncio.sleep(0)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest_asyncio.fixture
async def make(gate):
    made: list[Workers] = []

    def make(**options: object) -> Workers:
        made.append(Workers(**options))
        made[-1].start()
        return made[-1]

    yield make
    gate.open()
    for each in made:
        await each.stop(5.0)


async def refused(awaitable) -> Overloaded:
    with pytest.raises(Overloaded) as caught:
        await awaitable
    return caught.value


async def test_result_comes_back_from_a_thread_of_the_lane(make):
    workers = make()

    name, value = await workers.run(Lane.CPU, lambda x, y: (threading.current_thread().name, x - y), 5, y=3)

    assert value == 2
    assert name.startswith("caterva2-cpu-")


async def test_exception_comes_back(make):
    def fail() -> None:
        raise BadSlice("bad")

    with pytest.raises(BadSlice, match="bad"):
        await make().run(Lane.DISK, fail)


async def test_exception_that_a_future_refuses_comes_back_as_a_cause(make):
    with pytest.raises(RuntimeError) as caught:
        await make().run(Lane.DISK, next, iter(()))

    assert isinstance(caught.value.__cause__, StopIteration)


async def test_context_of_the_caller_is_seen_in_the_thread(make):
    variable = contextvars.ContextVar("variable")
    variable.set("here")

    assert await make().run(Lane.DISK, variable.get) == "here"


async def test_lane_runs_as_many_calls_as_it_has_threads(make, gate):
    workers = make(disk=3)
    calls = [asyncio.create_task(workers.run(Lane.DISK, gate.work, i)) for i in range(5)]

    await gate.begun(3)

    assert (gate.nbegun, workers.queued(Lane.DISK), workers.size(Lane.DISK)) == (3, 2, 3)
    gate.open()
    assert await asyncio.gather(*calls) == [0, 1, 2, 3, 4]
    assert workers.queued(Lane.DISK) == 0


async def test_busy_lane_does_not_hold_up_another(make, gate):
    workers = make(auth=1)
    call = asyncio.create_task(workers.run(Lane.AUTH, gate.work))
    await gate.begun()

    assert await workers.run(Lane.DISK, int) == 0

    gate.open()
    await call


async def test_full_queue_refuses_at_once(make, gate):
    workers = make(disk=1, queue=2)
    calls = [asyncio.create_task(workers.run(Lane.DISK, gate.work)) for _ in range(3)]
    await gate.begun()

    error = await refused(workers.run(Lane.DISK, gate.work))

    assert error.fields == {"retry_after_s": 1}
    gate.open()
    await asyncio.gather(*calls)
    assert await workers.run(Lane.DISK, int) == 0


async def test_cancelled_call_leaves_the_queue_and_never_runs(make, gate):
    workers = make(disk=1, queue=1)
    running = asyncio.create_task(workers.run(Lane.DISK, gate.work))
    await gate.begun()
    waiting = asyncio.create_task(workers.run(Lane.DISK, gate.work))
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.wait([waiting])

    assert workers.queued(Lane.DISK) == 0
    other = asyncio.create_task(workers.run(Lane.DISK, int))
    gate.open()
    assert (await running, await other, gate.nbegun) == (0, 0, 1)


async def test_cancelled_call_that_runs_ends_and_its_result_is_dropped(make, gate):
    workers = make(disk=1)
    call = asyncio.create_task(workers.run(Lane.DISK, gate.work))
    await gate.begun()

    call.cancel()
    await asyncio.wait([call])
    gate.open()

    assert call.cancelled()
    assert await workers.run(Lane.DISK, int) == 0
    assert gate.ndone == 1


async def test_many_calls_all_come_back(make):
    workers = make(disk=4, queue=10_000)

    found = await asyncio.gather(*(workers.run(Lane.DISK, lambda x: x, i) for i in range(5000)))

    assert found == list(range(5000))


async def test_storm_of_cancellations_loses_nothing(make):
    workers = make(disk=4, queue=10_000)
    calls = [asyncio.create_task(workers.run(Lane.DISK, time.sleep, 0)) for _ in range(2000)]
    await asyncio.sleep(0)

    for call in calls[::2]:
        call.cancel()
    await asyncio.wait(calls)

    assert all(call.cancelled() or call.result() is None for call in calls)
    assert all(not call.cancelled() for call in calls[1::2])
    assert await workers.run(Lane.DISK, int) == 0
    assert workers.queued(Lane.DISK) == 0


async def test_hooks_run_once_before_the_threads(make):
    seen: list[int] = []
    workers = make(hooks=[lambda: seen.append(threading.active_count())])
    before = seen[0]

    workers.start()

    assert len(seen) == 1
    assert threading.active_count() > before


async def test_stop_refuses_what_waits_and_finishes_what_runs(make, gate):
    workers = make(disk=1)
    running = asyncio.create_task(workers.run(Lane.DISK, gate.work, 7))
    await gate.begun()
    waiting = asyncio.create_task(workers.run(Lane.DISK, gate.work))
    await asyncio.sleep(0)

    stop = asyncio.create_task(workers.stop())
    await refused(waiting)
    gate.open()
    await stop

    assert (await running, gate.nbegun) == (7, 1)
    await refused(workers.run(Lane.DISK, int))
    await workers.stop()


async def test_stop_leaves_no_thread(make):
    before = threading.active_count()
    workers = make()
    await workers.run(Lane.DISK, int)

    await workers.stop()
    while threading.active_count() > before:  # noqa: ASYNC110 - the last words of a thread
        await asyncio.sleep(0)


async def test_stop_does_not_wait_for_ever(make, gate):
    workers = make(disk=1)
    call = asyncio.create_task(workers.run(Lane.DISK, gate.work))
    await gate.begun()

    await asyncio.wait_for(workers.stop(0.01), 5)

    gate.open()
    await call


async def test_stopped_workers_start_again(make):
    workers = make()
    await workers.stop()

    workers.start()

    assert await workers.run(Lane.DISK, int) == 0
