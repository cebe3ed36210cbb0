"""Pauses that grow, and background tasks that come back."""

from __future__ import annotations

import asyncio
import random

import pytest

from caterva2.runtime.clock import SystemClock
from caterva2.runtime.retry import Backoff, retry
from caterva2.runtime.tasks import HEALTHY_S, Supervisor
from tests.support.clock import ManualClock, settle


def test_pauses_double_up_to_a_limit_with_jitter_below():
    backoff = Backoff(1.0, 10.0, rng=random.Random(1))

    pauses = [backoff.next_s() for _ in range(6)]

    bounds = [1, 2, 4, 8, 10, 10]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
    backoff.reset()
    assert backoff.next_s() <= 1


class Flaky:
    """Fails a few times."""

    def __init__(self, nfailures: int, error: Exception | None = None) -> None:
        self.nfailures = nfailures
        self.error = error or ConnectionError("down")
        self.ncalls = 0

    async def __call__(self) -> str:
        self.ncalls += 1
        if self.ncalls <= self.nfailures:
            raise self.error
        return "up"


@pytest.mark.asyncio
async def test_call_is_tried_until_it_works():
    clock, call = ManualClock(), Flaky(3)
    task = asyncio.create_task(retry(call, on=(ConnectionError,), deadline_s=60, clock=clock))

    await clock.advance(10)

    assert (await task, call.ncalls) == ("up", 4)


@pytest.mark.asyncio
async def test_last_failure_leaves_at_the_deadline():
    clock, call = ManualClock(), Flaky(1000)
    task = asyncio.create_task(retry(call, on=(ConnectionError,), deadline_s=5, clock=clock))

    await clock.advance(5)

    with pytest.raises(ConnectionError, match="down"):
        await task
    assert call.ncalls > 3


@pytest.mark.asyncio
async def test_other_failure_leaves_at_once():
    call = Flaky(1, ValueError("wrong"))

    with pytest.raises(ValueError, match="wrong"):
        await retry(call, on=(ConnectionError,), deadline_s=5, clock=ManualClock())

    assert call.ncalls == 1


@pytest.mark.asyncio
async def test_clock_of_the_machine_goes_forward():
    clock = SystemClock()
    before = clock.monotonic()

    await clock.sleep(0)

    assert clock.monotonic() >= before
    assert clock.time() > 1_700_000_000


class Service:
    """A background task that dies a few times, then waits."""

    def __init__(self, ndeaths: int) -> None:
        self.ndeaths = ndeaths
        self.nstarts = 0
        self.ended = False

    async def __call__(self) -> None:
        self.nstarts += 1
        if self.nstarts <= self.ndeaths:
            raise RuntimeError(f"death {self.nstarts}")
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


@pytest.mark.asyncio
async def test_task_that_dies_is_logged_and_started_again(caplog):
    clock, body = ManualClock(), Service(3)
    supervisor = Supervisor("publisher", clock=clock)
    supervisor.spawn("watch", body)

    await clock.advance(10)

    assert (body.nstarts, supervisor.names) == (4, ("watch",))
    assert [r.getMessage() for r in caplog.records] == ["publisher: task watch died"] * 3
    await supervisor.stop()


@pytest.mark.asyncio
async def test_task_that_ran_long_comes_back_soon():
    clock = ManualClock()
    starts: list[float] = []

    async def body() -> None:
        starts.append(clock.monotonic())
        await clock.sleep(HEALTHY_S if len(starts) > 8 else 0)
        raise RuntimeError("died")

    supervisor = Supervisor("publisher", clock=clock)
    supervisor.spawn("watch", body)
    await clock.advance(400)

    assert starts[8] - starts[7] > 5
    assert starts[10] - starts[9] - HEALTHY_S <= 0.1
    await supervisor.stop()


@pytest.mark.asyncio
async def test_task_may_return():
    supervisor = Supervisor("publisher")
    supervisor.spawn("once", Flaky(0))
    await settle()

    assert supervisor.names == ()


@pytest.mark.asyncio
async def test_task_that_shall_not_restart_ends_with_its_death(caplog):
    body, supervisor = Service(9), Supervisor("publisher")
    supervisor.spawn("watch", body, restart=False)
    await settle()

    assert (body.nstarts, supervisor.names, len(caplog.records)) == (1, (), 1)


@pytest.mark.asyncio
async def test_stop_ends_all_tasks_and_waits_for_them():
    bodies, supervisor = [Service(0), Service(0)], Supervisor("publisher")
    for i, body in enumerate(bodies):
        supervisor.spawn(f"t{i}", body)
    await settle()

    await supervisor.stop()
    await supervisor.stop()

    assert [body.ended for body in bodies] == [True, True]
    with pytest.raises(RuntimeError, match="publisher stops"):
        supervisor.spawn("t2", bodies[0])


@pytest.mark.asyncio
async def test_name_is_used_once_at_a_time():
    supervisor = Supervisor("publisher")
    supervisor.spawn("watch", Service(0))

    with pytest.raises(RuntimeError, match="has a task 'watch' already"):
        supervisor.spawn("watch", Service(0))

    await supervisor.cancel("watch")
    await supervisor.cancel("watch")
    supervisor.spawn("watch", Service(0))
    await supervisor.stop()


@pytest.mark.asyncio
async def test_task_that_does_not_end_is_named(caplog):
    go = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await go.wait()

    supervisor = Supervisor("publisher")
    supervisor.spawn("watch", stubborn)
    await settle()

    await supervisor.stop(0.01)

    assert caplog.messages == ["task publisher: watch did not end in 0.01 s"]
    go.set()
    await settle()
