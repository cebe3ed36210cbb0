"""The events of a subscriber: one connection to it, and a websocket for each page that listens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING, cast

from caterva2.client.events import EventStream
from caterva2.errors import Caterva2Error, ConnectFailed
from caterva2.model.events import Resync
from caterva2.runtime.hub import Hub

if TYPE_CHECKING:
    from caterva2.client.urlbase import Urlbase
    from caterva2.model.events import Envelope

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""So long a page that comes waits for the connection to the subscriber."""
AGAIN_S = 5.0
"""Pause before asking again for what was refused."""
LINGER_S = 60.0
"""So long the connection is kept when the last page is gone: it may come again at once."""


class EventRelay:
    """Follows a subscriber for as long as somebody listens, and tells all of them what it hears.

    Listeners are told with numbers of our own, so that they resume here; what was missed upstream comes
    as a `Resync`. When the subscriber goes away they are sent away too, as if they were its own.

    Parameters
    ----------
    urlbase
        The subscriber.
    headers
        Gives what tells who asks.
    shown
        What the subscriber is called in messages.
    """

    def __init__(self, urlbase: Urlbase, headers: Callable[[], Mapping[str, str]], shown: str) -> None:
        self.hub = Hub()
        self._urlbase = urlbase
        self._headers = headers
        self._shown = shown
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._stands = asyncio.Event()
        self._leave: set[Callable[[], None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._position: tuple[str, int] | None = None
        self._refusal: Caterva2Error | None = None
        self._standing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def stands(self) -> bool:
        """Whether the connection to the subscriber stands."""
        return self._stands.is_set()

    async def connect(self) -> None:
        """Wait until the connection to the subscriber stands.

        Raises
        ------
        Caterva2Error
            It does not come about soon, or is refused.
        """
        if self._closed:
            raise ConnectFailed(f"cannot follow the events of {self._shown}: Jupyter stops")
        self._stop_idling()
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"events of {self._shown}")
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._stands.wait()
        except TimeoutError as exc:
            raise self._refusal or ConnectFailed(f"cannot follow the events of {self._shown}") from exc
        finally:
            # Who asked may be gone before he joins.
            self._idle_if_alone()

    def join(self, leave: Callable[[], None]) -> None:
        """Have `leave` called when the subscriber goes away."""
        self._stop_idling()
        self._leave.add(leave)

    def part(self, leave: Callable[[], None]) -> None:
        """Undo `join`."""
        self._leave.discard(leave)
        self._idle_if_alone()

    def restart(self) -> None:
        """Connect again, for another asks now: what may be seen is no longer the same."""
        if self._closed:
            return
        if self._task is not None:
            self._give_up()
            self._task = asyncio.create_task(self._follow(), name=f"events of {self._shown}")
        self._position = None
        self.hub.publish(Resync())

    async def close(self) -> None:
        """Stop; listeners are sent away."""
        self._closed = True
        self._stop_idling()
        self._give_up()
        if self._ending:
            await asyncio.wait(self._ending)
        self.hub.close()
        self._stands.clear()
        self._send_away()

    def _give_up(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()

    def _idle_if_alone(self) -> None:
        self._stop_idling()
        if not self._leave and not self._closed:
            self._idle = asyncio.get_running_loop().call_later(LINGER_S, self._rest)

    def _rest(self) -> None:
        """Give the connection up until somebody listens again; then it goes on where it broke."""
        self._idle = None
        self._give_up()
        self._stands.clear()
        if self._position is None:
            # Nothing will tell what happens from now on.
            self.hub.publish(Resync())

    def _stop_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    async def _follow(self) -> None:
        while True:
            epoch, since = self._position or (None, None)
            stream = EventStream(
                self._urlbase, headers=self._headers(), epoch=epoch, since=since, on_change=self._changed
            )
            try:
                async with contextlib.aclosing(
                    cast("AsyncGenerator[Envelope, None]", aiter(stream))
                ) as envelopes:
                    async for envelope in envelopes:
                        self._position = (envelope.epoch, envelope.seq) if envelope.epoch else None
                        self.hub.publish(envelope.event)
            except Caterva2Error as exc:
                self._refusal = exc
                logger.info("no events from %s: %s", self._shown, exc)
            except Exception:
                logger.exception("following %s failed", self._shown)
            finally:
                self._changed(False)
            await asyncio.sleep(AGAIN_S)

    def _changed(self, stands: bool) -> None:
        task = asyncio.current_task()
        if stands:
            self._refusal = None
            self._standing = task
            self._stands.set()
        # One that was given up may take a moment to end, and says so when the next one stands already.
        elif self._stands.is_set() and task is self._standing:
            self._stands.clear()
            self._send_away()

    def _send_away(self) -> None:
        for leave in tuple(self._leave):
            leave()
