"""A clock that stands still until a test turns it."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class ManualClock:
    """Time moves by `advance` only; sleepers wake in the order of their ends."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.now = start
        self._start = start
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now - self._start

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), future))
        await future

    @property
    def nsleepers(self) -> int:
        return sum(not future.done() for _, _, future in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Turn the clock, and let those who wake run until they wait again."""
        end = self.now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, future = heapq.heappop(self._sleepers)
            self.now = max(self.now, at)
            if not future.done():
                future.set_result(None)
            await settle()
        self.now = end

    async def until_asleep(self, count: int = 1) -> None:
        """Wait until so many sleep."""
        while self.nsleepers < count:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


async def settle(rounds: int = 20) -> None:
    """Let everything run that can run now."""
    for _ in range(rounds):
        await asyncio.sleep(0)
