"""A bound on the bytes that all requests together hold in memory."""

from __future__ import annotations

import asyncio
import collections


class Budget:
    """Bytes that may be held at a time; who asks for more waits, in order.

    Parameters
    ----------
    limit
        Bytes. A single demand above it counts as `limit`, so that it can be met at all.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._waiting: collections.deque[tuple[int, asyncio.Future[None]]] = collections.deque()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    @property
    def is_contended(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def fits(self, nbytes: int) -> bool:
        """Whether `acquire` would return at once."""
        return not self._waiting and self._held + min(nbytes, self._limit) <= self._limit

    async def acquire(self, nbytes: int) -> int:
        """Wait for room; return what to pass to `release`."""
        nbytes = min(nbytes, self._limit)
        if self.fits(nbytes):
            self._held += nbytes
            return nbytes
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((nbytes, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(nbytes)
            else:
                self._waiting = collections.deque(w for w in self._waiting if w[1] is not future)
                self._grant()
            raise
        return nbytes

    def release(self, nbytes: int) -> None:
        """Give room back."""
        self._held -= nbytes
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._held + self._waiting[0][0] <= self._limit:
            nbytes, future = self._waiting.popleft()
            if not future.done():
                self._held += nbytes
                future.set_result(None)
