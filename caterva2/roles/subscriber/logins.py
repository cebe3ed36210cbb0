"""How often one may try a password: per address and per account, in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import OrderedDict
from collections.abc import AsyncGenerator

from caterva2.errors import TooManyRequests
from caterva2.runtime.clock import Clock

PER_ADDRESS, ADDRESS_REFILL_S = 100, 3.0
PER_ACCOUNT, ACCOUNT_REFILL_S = 10, 30.0
REMEMBERED = 10_000


class Bucket:
    """Failures by key, forgotten one by one as time goes by.

    Parameters
    ----------
    capacity
        So many are allowed at once.
    refill_s
        One is forgotten every so many seconds.
    """

    def __init__(self, clock: Clock, capacity: int, refill_s: float, *, remembered: int = REMEMBERED) -> None:
        self._clock = clock
        self._capacity = capacity
        self._refill_s = refill_s
        self._remembered = remembered
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def check(self, key: str) -> None:
        """Do nothing if there is room for another failure.

        Raises
        ------
        TooManyRequests
            There is not; says when there will be.
        """
        over = self._level(key) - self._capacity + 1
        if over > 0:
            wait = max(1, math.ceil(over * self._refill_s))
            raise TooManyRequests("too many attempts", hint=f"try again in {wait} s", retry_after_s=wait)

    def add(self, key: str, amount: float = 1.0) -> None:
        """Count a failure, or take one back."""
        level = self._level(key) + amount
        self._levels.pop(key, None)
        if level > 0:
            self._levels[key] = (level, self._clock.monotonic())
        while len(self._levels) > self._remembered:
            self._levels.popitem(last=False)

    def clear(self, key: str) -> None:
        """Forget the failures of a key."""
        self._levels.pop(key, None)

    def _level(self, key: str) -> float:
        level, at = self._levels.get(key, (0.0, 0.0))
        return max(0.0, level - (self._clock.monotonic() - at) / self._refill_s)


class Attempt:
    """One attempt; it failed unless `succeeded` was called."""

    good = False

    def succeeded(self) -> None:
        """Tell that the password was the right one."""
        self.good = True


class LoginLimits:
    """Counts attempts; those for one account go one after the other, so that none slips through uncounted."""

    def __init__(self, clock: Clock) -> None:
        self._addresses = Bucket(clock, PER_ADDRESS, ADDRESS_REFILL_S)
        self._accounts = Bucket(clock, PER_ACCOUNT, ACCOUNT_REFILL_S)
        self._queues: dict[str, tuple[asyncio.Lock, int]] = {}

    def count(self, address: str) -> None:
        """Count something costly that an address asks for.

        Raises
        ------
        TooManyRequests
            It has asked too often.
        """
        self._addresses.check(address)
        self._addresses.add(address)

    @contextlib.asynccontextmanager
    async def attempt(self, address: str, account: str) -> AsyncGenerator[Attempt, None]:
        """Let a password be tried inside the block.

        Raises
        ------
        TooManyRequests
            Too many attempts have failed.
        """
        self._accounts.check(account)
        self.count(address)
        attempt = Attempt()
        async with self._alone(account):
            self._accounts.check(account)
            try:
                yield attempt
            finally:
                if attempt.good:
                    self._accounts.clear(account)
                    self._addresses.add(address, -1.0)
                else:
                    self._accounts.add(account)

    @contextlib.asynccontextmanager
    async def _alone(self, account: str) -> AsyncGenerator[None, None]:
        lock, users = self._queues.get(account, (None, 0))
        lock = lock or asyncio.Lock()
        self._queues[account] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            _, users = self._queues[account]
            if users == 1:
                del self._queues[account]
            else:
                self._queues[account] = (lock, users - 1)
