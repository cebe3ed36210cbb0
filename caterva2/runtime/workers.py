"""The only executors: lanes of threads for what may not run on the event loop.

A lane has its own threads and a bounded queue, so that a storm in one can not
starve another. Threads and queue are our own because one hop is on the path
of every request: `benchmarks/bench_foundation.py` shows what it costs.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import enum
import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar, cast

from caterva2.errors import Overloaded

AUTH_NICENESS = 10

P = ParamSpec("P")
T = TypeVar("T")


class Lane(enum.StrEnum):
    """Kinds of blocking work."""

    DISK = "disk"
    CPU = "cpu"
    AUTH = "auth"
    NET = "net"


class Workers:
    """Threads in lanes, for one event loop.

    Parameters
    ----------
    disk, cpu, auth, net
        Threads of each lane; None for the number of cores.
    queue
        Calls that may wait in a lane when all its threads are busy.
    hooks
        Called once by `start`, before the first thread runs.
    """

    def __init__(
        self,
        *,
        disk: int = 8,
        cpu: int | None = None,
        auth: int = 2,
        net: int = 16,
        queue: int = 1000,
        hooks: Sequence[Callable[[], object]] = (),
    ) -> None:
        sizes = {Lane.DISK: disk, Lane.CPU: cpu or os.cpu_count() or 1, Lane.AUTH: auth, Lane.NET: net}
        self._lanes = {lane: _LanePool(lane, size, queue) for lane, size in sizes.items()}
        self._hooks = tuple(hooks)
        self._running = False

    def start(self) -> None:
        """Start the threads for the running event loop; a second call does nothing."""
        if self._running:
            return
        loop = asyncio.get_running_loop()
        for hook in self._hooks:
            hook()
        for pool in self._lanes.values():
            pool.start(loop)
        self._running = True

    async def stop(self, timeout_s: float = 10.0) -> None:
        """Refuse waiting calls and wait for running ones; a second call does nothing.

        A call that runs longer than `timeout_s` is left behind; it can not be interrupted.
        """
        if not self._running:
            return
        self._running = False
        ends = [end for pool in self._lanes.values() for end in pool.stop()]
        await asyncio.wait(ends, timeout=timeout_s)

    async def run(self, lane: Lane, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` in a thread of `lane` and return what it returns.

        Cancelling the caller takes a waiting call out of the queue; one that
        runs already ends on its own and its result is dropped.

        Raises
        ------
        Overloaded
            The lane's queue is full, or the workers stop.
        """
        return cast("T", await self._lanes[lane].submit(fn, args, kwargs))

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes."""
        return tuple(self._lanes)

    def queued(self, lane: Lane) -> int:
        """Return how many calls wait for a thread."""
        pool = self._lanes[lane]
        return max(0, pool.pending - pool.size)

    def busy(self, lane: Lane) -> int:
        """Return how many threads work."""
        pool = self._lanes[lane]
        return min(pool.pending, pool.size)

    def size(self, lane: Lane) -> int:
        """Return the number of threads of a lane."""
        return self._lanes[lane].size


class _Job:
    """One call: made on the loop, run in a thread, delivered on the loop."""

    __slots__ = ("args", "context", "fn", "future", "kwargs", "ok", "value")

    def __init__(
        self,
        future: asyncio.Future[Any],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.future = future
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.context = contextvars.copy_context()  # the request id of log records
        self.ok = False
        self.value: Any = None

    def run(self) -> None:
        try:
            self.value = self.context.run(self.fn, *self.args, **self.kwargs)
            self.ok = True
        except StopIteration as exc:  # a future refuses it
            self.value = RuntimeError("StopIteration left a worker")
            self.value.__cause__ = exc
        except BaseException as exc:  # delivered to the caller
            self.value = exc


class _LanePool:
    """Threads, waiting jobs and finished jobs of one lane.

    `pending` changes on the loop only. `jobs` and `done` are deques, whose
    single operations are atomic; a token in `tokens` wakes one thread. A token
    without a job is what cancellation leaves behind.
    """

    def __init__(self, lane: Lane, size: int, limit: int) -> None:
        self.lane = lane
        self.size = size
        self.limit = limit
        self.pending = 0
        self.stopping = True
        self.jobs: collections.deque[_Job] = collections.deque()
        self.done: collections.deque[_Job] = collections.deque()
        self.tokens: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.waking = False
        self.loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.stopping = False
        self.ends = [loop.create_future() for _ in range(self.size)]
        for i, end in enumerate(self.ends):
            threading.Thread(
                target=self._work, args=(loop, end), name=f"caterva2-{self.lane}-{i}", daemon=True
            ).start()

    def stop(self) -> list[asyncio.Future[None]]:
        self.stopping = True
        while self.jobs:
            try:
                job = self.jobs.popleft()
            except IndexError:
                break
            self.pending -= 1
            if not job.future.done():
                job.future.set_exception(Overloaded("the service stops", retry_after_s=1))
        for _ in range(self.size):
            self.tokens.put(False)
        return self.ends

    async def submit(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        loop = self.loop
        if self.stopping or loop is None:
            raise Overloaded(f"the {self.lane} workers do not run", retry_after_s=1)
        if self.pending >= self.size + self.limit:
            raise Overloaded(f"{self.limit} calls wait for the {self.lane} workers already", retry_after_s=1)
        job = _Job(loop.create_future(), fn, args, kwargs)
        self.pending += 1
        self.jobs.append(job)
        self.tokens.put(True)
        try:
            return await job.future
        except asyncio.CancelledError:
            self._withdraw(job)
            raise
        finally:
            del job  # an exception's traceback would keep it, and it keeps the exception

    def _withdraw(self, job: _Job) -> None:
        try:
            self.jobs.remove(job)
        except ValueError:  # it runs, or is done
            return
        self.pending -= 1

    def _work(self, loop: asyncio.AbstractEventLoop, end: asyncio.Future[None]) -> None:
        if self.lane is Lane.AUTH:
            _yield_to_others()
        jobs, done, tokens = self.jobs, self.done, self.tokens
        while tokens.get():
            try:
                job = jobs.popleft()
            except IndexError:
                continue
            job.run()
            done.append(job)
            del job
            if not self.waking:
                self.waking = True
                try:
                    loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:  # the loop is closed: nobody waits any more
                    return
        try:
            loop.call_soon_threadsafe(_finish, end)
        except RuntimeError:
            return

    def _deliver(self) -> None:
        self.waking = False  # before draining: a job appended from now on wakes the loop again
        while self.done:
            job = self.done.popleft()
            self.pending -= 1
            if job.future.done():
                continue
            if job.ok:
                job.future.set_result(job.value)
            else:
                job.future.set_exception(job.value)
            job.value = None


def _yield_to_others() -> None:
    """Let the event loop and the other lanes go before this thread: a storm of logins is no hurry."""
    with contextlib.suppress(OSError, AttributeError):
        # On Linux the id of a thread stands for that thread alone.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), AUTH_NICENESS)


def _finish(end: asyncio.Future[None]) -> None:
    if not end.done():
        end.set_result(None)
