"""Background tasks that belong to a service: named, watched, restarted, ended with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from caterva2.runtime.clock import Clock, SystemClock
from caterva2.runtime.retry import Backoff

logger = logging.getLogger(__name__)

HEALTHY_S = 60.0
"""A task that ran so long before it died starts again without the pauses of earlier deaths."""


class Supervisor:
    """The background tasks of one service.

    Parameters
    ----------
    service
        Name for the log.
    clock
        Time between a death and a restart.
    """

    def __init__(self, service: str, *, clock: Clock | None = None) -> None:
        self._service = service
        self._clock = clock or SystemClock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    def spawn(
        self,
        name: str,
        body: Callable[[], Coroutine[Any, Any, object]],
        *,
        restart: bool = True,
        backoff: Backoff | None = None,
    ) -> None:
        """Run `body()` in the background.

        Parameters
        ----------
        name
            For the log; one task of a name runs at a time.
        body
            Made anew for each start. Returning ends the task.
        restart
            Start it again, after a pause, when it raises. What is raised is logged in any case.

        Raises
        ------
        RuntimeError
            A task of this name runs, or the supervisor has stopped.
        """
        if self._stopping:
            raise RuntimeError(f"{self._service} stops; task {name!r} can not start")
        if name in self._tasks:
            raise RuntimeError(f"{self._service} has a task {name!r} already")
        task = asyncio.create_task(
            self._watch(name, body, restart, backoff or Backoff()), name=f"{self._service}: {name}"
        )
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the running tasks."""
        return tuple(self._tasks)

    async def cancel(self, name: str, timeout_s: float = 5.0) -> None:
        """End one task and wait for it; does nothing if there is none."""
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=timeout_s)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """End all tasks and wait for them; safe to call twice."""
        self._stopping = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=timeout_s)
        for task in late:
            logger.warning("task %s did not end in %s s", task.get_name(), timeout_s)

    async def _watch(
        self, name: str, body: Callable[[], Coroutine[Any, Any, object]], restart: bool, backoff: Backoff
    ) -> None:
        while True:
            began = self._clock.monotonic()
            try:
                await body()
                return
            except Exception:
                logger.exception("%s: task %s died", self._service, name)
            if not restart:
                return
            if self._clock.monotonic() - began >= HEALTHY_S:
                backoff.reset()
            await self._clock.sleep(backoff.next_s())
