"""Events of a subscriber for somebody who waits a while, beside the event loop of the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from caterva2.client.events import EventStream
from caterva2.model.events import Envelope, concerns

if TYPE_CHECKING:
    from caterva2.client.session import Session

END_S = 3.0
"""The thread that listens is waited for so long when nobody wants events any more."""


def follow_events(
    session: Session,
    *,
    path: str | None,
    count: int | None,
    timeout_s: float,
    tell: Callable[[Envelope], object],
) -> list[Envelope]:
    """Collect events until there are enough, the time is over, or Ctrl+C; blocking.

    Parameters
    ----------
    path
        Only what is at or below this path; None for everything.
    count
        End after so many; None for as many as come.
    tell
        Called with each event when it arrives.

    Raises
    ------
    ConnectFailed
        The subscriber can not be reached.
    NotPermitted
        It has no events for the one who asks.
    """
    listener = _Listener(session)
    listener.start()
    found: list[Envelope] = []
    end = time.monotonic() + timeout_s
    try:
        while count is None or len(found) < count:
            item = listener.next(max(0.0, end - time.monotonic()))
            if item is None:
                break
            if isinstance(item, BaseException):
                raise item
            if path is None or concerns(item.event, path.rstrip("/")):
                found.append(item)
                tell(item)
    except KeyboardInterrupt:
        # What has come is not lost.
        return found
    finally:
        listener.stop()
    return found


class _Listener:
    """An event stream in a thread with an event loop of its own: that of a kernel is taken."""

    def __init__(self, session: Session) -> None:
        self._stream = EventStream(session.urlbase, headers=session.headers, patient=False)
        self._arrived: queue.Queue[Envelope | BaseException] = queue.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="caterva2-events", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def next(self, timeout_s: float) -> Envelope | BaseException | None:
        with contextlib.suppress(queue.Empty):
            return self._arrived.get(timeout=timeout_s)
        return None

    def stop(self) -> None:
        loop, task = self._loop, self._task
        if loop is not None and task is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(task.cancel)
        self._thread.join(END_S)

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._listen())

    async def _listen(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._ready.set()
        try:
            async for envelope in self._stream:
                self._arrived.put(envelope)
        except Exception as exc:
            self._arrived.put(exc)
