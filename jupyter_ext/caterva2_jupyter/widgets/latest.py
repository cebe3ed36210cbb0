"""Doing only the newest of many jobs, in a thread: what a slider asks for while it is dragged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

PAUSE_S = 0.02
"""A job waits so long for a newer one."""
CALM_S = 0.3
"""If no job comes for so long, the last one is likely to stay the last."""
IDLE_S = 20.0
"""A thread without work ends after so long."""


class Latest(Generic[T]):
    """Run the newest job; jobs that were asked for meanwhile, except the last, are never run.

    Parameters
    ----------
    work
        Does a job; blocking. It runs in a thread of its own, never twice at a time.
    name
        Of the thread.
    calm
        Called in the thread with the last job when for a moment no other was asked for: does what is not
        worth doing in between. Nobody waits for it.
    rest
        Called in the thread when there was nothing to do for a while: frees memory.
    """

    def __init__(
        self,
        work: Callable[[T], None],
        *,
        name: str,
        calm: Callable[[T], None] | None = None,
        rest: Callable[[], None] | None = None,
        pause_s: float = PAUSE_S,
        calm_s: float = CALM_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._work = work
        self._name = name
        self._calm = calm
        self._calm_s = calm_s
        self._rest = rest
        self._pause_s = pause_s
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._waiting: list[T] = []
        self._newest: T | None = None
        self._running = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def ask(self, job: T) -> None:
        """Take a job instead of all that wait; returns at once."""
        with self._changed:
            if self._closed:
                return
            self._waiting[:] = [job]
            self._newest = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def is_stale(self, job: T) -> bool:
        """Tell whether a newer job was asked for, or none is wanted any more."""
        with self._changed:
            return self._closed or job is not self._newest

    def settle(self, timeout_s: float) -> bool:
        """Wait until there is nothing to do; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._running, timeout_s)

    def close(self) -> None:
        """Forget what waits, and end; what runs is not waited for."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while (job := self._next()) is not None:
                try:
                    self._work(job)
                finally:
                    with self._changed:
                        self._running = False
                        self._changed.notify_all()
                if self._calm is not None and not self._has_work(self._calm_s):
                    self._calm(job)
        except BaseException:
            with self._changed:
                self._thread = None
            raise

    def _next(self) -> T | None:
        """Wait for a job; None if there is none for long, and the thread is to end."""
        with self._changed:
            self._changed.wait_for(self._is_awake, self._idle_s)
            if not self._closed and self._waiting:
                self._wait_for_newer()
            if self._closed or not self._waiting:
                if self._rest is not None:
                    self._rest()
                self._thread = None  # whoever asks from now on starts another one
                return None
            self._running = True
            return self._waiting.pop()

    def _has_work(self, wait_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(self._is_awake, wait_s)

    def _is_awake(self) -> bool:
        return bool(self._waiting) or self._closed

    def _wait_for_newer(self) -> None:
        """Let a burst of jobs come to its end, but no longer than two pauses."""
        end = time.monotonic() + 2 * self._pause_s
        while (left := min(self._pause_s, end - time.monotonic())) > 0 and not self._closed:
            seen = self._newest
            self._changed.wait(left)
            if self._newest is seen:
                return
