"""Many askers, one fetch."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """At most one running flight for each key, shared by all who ask for it.

    The flight is a task of its own: an asker that is cancelled leaves it alone
    as long as another one waits; when the last one leaves, it is cancelled.
    A key is forgotten when its flight has ended, with a result or an exception.
    """

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[T]] = {}

    async def run(self, key: K, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the flight for `key`, started with `start()` if there is none.

        Everybody gets the same object, or the same exception.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = _Flight(asyncio.create_task(start(), name=f"flight {key}"))
            self._flights[key] = flight
            flight.task.add_done_callback(functools.partial(self._landed, key, flight))
        flight.askers += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.askers -= 1
            if flight.askers == 0 and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: K) -> bool:
        return key in self._flights

    async def close(self) -> None:
        """Cancel all flights and wait for their end; askers get `asyncio.CancelledError`."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _landed(self, key: K, flight: _Flight[T], task: asyncio.Task[T]) -> None:
        self._forget(key, flight)
        if not task.cancelled():
            task.exception()  # seen here, in case nobody waits any more

    def _forget(self, key: K, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


class _Flight(Generic[T]):
    __slots__ = ("askers", "task")

    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.askers = 0
