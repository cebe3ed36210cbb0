"""Work that runs ahead of its reader, within the memory that all readers share."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from caterva2.runtime.budget import Budget

G = TypeVar("G")
R = TypeVar("R")

DEPTH = 4
"""Groups that one reader may have under way."""
STALL_S = 1.0
"""A reader that takes nothing for so long gives way to those who wait."""


@dataclass(eq=False, slots=True)
class _Ahead(Generic[G, R]):
    """A group, the task that works on it, and the bytes held for it; no task once it gave way."""

    group: G
    nbytes: int
    task: asyncio.Task[R] | None
    held: int


class ReadAhead:
    """Runs groups ahead of those who read them.

    A client that stops reading would keep the memory of what was made ready
    for it, and with it everybody else waiting. When others wait, what such a
    reader has not taken is dropped, and made again if it goes on.

    Parameters
    ----------
    budget
        Bytes that all readers together may hold.
    stall_s
        See `STALL_S`.
    """

    def __init__(self, budget: Budget, *, stall_s: float = STALL_S) -> None:
        self._budget = budget
        self._stall_s = stall_s

    async def in_order(
        self, groups: Iterable[tuple[G, int]], run: Callable[[G], Coroutine[Any, Any, R]]
    ) -> AsyncGenerator[R, None]:
        """Run groups, each with its size in bytes; yield their results in order."""
        ahead: collections.deque[_Ahead[G, R]] = collections.deque()
        try:
            for group, nbytes in groups:
                # While a group that gave way is to be made again, none behind it may hold what it needs.
                while ahead and (
                    len(ahead) >= DEPTH or ahead[-1].task is None or not self._budget.fits(nbytes)
                ):
                    result = await self._first(ahead, run)
                    with self._giving_way(ahead):
                        yield result
                    del result
                    self._budget.release(ahead.popleft().held)
                held = await self._budget.acquire(nbytes)
                ahead.append(_Ahead(group, nbytes, asyncio.create_task(run(group)), held))
            while ahead:
                result = await self._first(ahead, run)
                with self._giving_way(ahead):
                    yield result
                del result
                self._budget.release(ahead.popleft().held)
        finally:
            for each in ahead:
                if each.task is not None:
                    each.task.cancel()
                self._budget.release(each.held)
            tasks = [each.task for each in ahead if each.task is not None]
            ahead.clear()  # what they made would live on in the frames of exceptions
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _first(
        self, ahead: collections.deque[_Ahead[G, R]], run: Callable[[G], Coroutine[Any, Any, R]]
    ) -> R:
        """Wait for the result of the first group; it is made again if it gave way."""
        first = ahead[0]
        if first.task is None:
            first.held = await self._budget.acquire(first.nbytes)
            first.task = asyncio.create_task(run(first.group))
        return await first.task

    @contextlib.contextmanager
    def _giving_way(self, ahead: collections.deque[_Ahead[G, R]]) -> Iterator[None]:
        """Look, while the first result is with the reader, whether others wait."""
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(self._stall_s, lambda: look())]

        def look() -> None:
            if self._budget.is_contended:
                for each in ahead:
                    self._give_way(each)
            else:
                timers[0] = loop.call_later(self._stall_s, look)

        try:
            yield
        finally:
            timers[0].cancel()

    def _give_way(self, each: _Ahead[G, R]) -> None:
        task, each.task = each.task, None
        held, each.held = each.held, 0
        if task is not None:
            task.cancel()
            task.add_done_callback(_seen)
        self._budget.release(held)


def _seen(task: asyncio.Task[Any]) -> None:
    """Take note of how a task ended, for nobody else does."""
    if not task.cancelled():
        task.exception()
