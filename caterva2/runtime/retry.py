"""Try again: growing pauses with jitter, up to a deadline."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from caterva2.runtime.clock import Clock, SystemClock

T = TypeVar("T")


class Backoff:
    """Pauses that grow: each is drawn between half of a bound and the bound, which doubles.

    Parameters
    ----------
    first_s
        Bound of the first pause, in seconds.
    most_s
        The bound stops growing here.
    rng
        Source of the jitter, so that many who lost one server do not return at once.
    """

    def __init__(
        self,
        first_s: float = 0.1,
        most_s: float = 30.0,
        *,
        factor: float = 2.0,
        rng: random.Random | None = None,
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._factor = factor
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._bound_s = first_s

    def next_s(self) -> float:
        """Return the next pause in seconds."""
        bound = self._bound_s
        self._bound_s = min(self._most_s, bound * self._factor)
        return bound * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start over: it worked."""
        self._bound_s = self._first_s


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    on: tuple[type[Exception], ...],
    deadline_s: float,
    backoff: Backoff | None = None,
    clock: Clock | None = None,
) -> T:
    """Call until it works, and return what it returns.

    Parameters
    ----------
    call
        What to do; has its own timeout.
    on
        Failures that may pass; others leave at once.
    deadline_s
        No further try starts later than so many seconds from now; then the last failure is raised.
    """
    backoff = backoff or Backoff()
    clock = clock or SystemClock()
    end = clock.monotonic() + deadline_s
    while True:
        try:
            return await call()
        except on:
            pause = backoff.next_s()
            if clock.monotonic() + pause > end:
                raise
        await clock.sleep(pause)
