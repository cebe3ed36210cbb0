"""The file that tells kernels the subscribers, with short-lived tokens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from caterva2.errors import Caterva2Error, RequestError
from caterva2.model import wire
from caterva2.model.jupyter import Handed, Handover
from caterva2.runtime.tasks import Supervisor
from caterva2_jupyter.subscribers import Subscribers
from caterva2_jupyter.upstream import Upstream

logger = logging.getLogger(__name__)

VARIABLE = "CATERVA2_JUPYTER"
LIFE_S = 12 * 3600.0
"""How long a token of the kernels is good; renewed when half of that is over."""
LOOK_S = 60.0
"""How often to look whether one is due. By the clock on the wall: a laptop sleeps."""
GOODBYE_S = 3.0
"""Ending the tokens may take so long when Jupyter stops."""


class _Made(NamedTuple):
    """A token made for kernels, the one that it was made with, its id (None: the same one), and its end."""

    token: str
    by: str
    id: str | None
    expires: float | None


class KernelFile:
    """Keeps the file of one Jupyter server current.

    Parameters
    ----------
    path
        Where it is; readable by its owner only.
    """

    def __init__(self, path: Path, subscribers: Subscribers) -> None:
        self.path = path
        self._subscribers = subscribers
        self._made: dict[str, _Made] = {}
        self._poked = asyncio.Event()
        self._tasks: Supervisor | None = None
        self._written: bytes | None = None
        self._stopped = False

    def poke(self) -> None:
        """Write what has changed, and have tokens looked at soon; nothing more once it has stopped."""
        if self._stopped:
            return
        self._try_to_write()
        self._poked.set()

    def _try_to_write(self) -> None:
        try:
            self.write()
        except OSError as exc:
            logger.warning("kernels are not told of the subscribers: %s", exc.strerror)

    def start(self) -> None:
        """Keep it current in the background; a second call does nothing."""
        if self._tasks is None and not self._stopped:
            self._tasks = Supervisor("jupyter")
            self._tasks.spawn("file of the kernels", self._run)

    async def stop(self) -> None:
        """Remove it, and end its tokens; safe to call twice."""
        self._stopped = True
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            await tasks.stop()
        await asyncio.to_thread(self.path.unlink, missing_ok=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                for name in list(self._made):
                    await self._drop(name)

    async def _run(self) -> None:
        while True:
            self._poked.clear()
            await self.renew()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._poked.wait()

    async def renew(self) -> None:
        """Make the tokens that are due, and write the file if it would be another."""
        for name, upstream in self._subscribers.upstreams.items():
            await self._renew(name, upstream)
        self._try_to_write()

    async def _renew(self, name: str, upstream: Upstream) -> None:
        await upstream.load_token()
        own, made = upstream.token, self._made.get(name)
        if own is None:
            self._made.pop(name, None)
            return
        if made is not None and made.by == own and not _is_due(made):
            return
        try:
            new = await upstream.make_token(f"kernels of Jupyter on {platform.node()}"[:100], LIFE_S / 86400)
        except RequestError as exc:
            # A token that may only read can make none; then kernels get this one.
            logger.debug("no token for kernels from %s: %s", upstream.shown, exc)
            self._made[name] = _Made(own, own, None, None)
        except Caterva2Error as exc:
            logger.debug("no token for kernels from %s now: %s", upstream.shown, exc)
        else:
            expires = new.info.expires
            ends = time.time() + LIFE_S if expires is None else datetime.fromisoformat(expires).timestamp()
            # The old one is left to its end: a kernel may be in the middle of a call.
            self._made[name] = _Made(new.token, own, new.info.id, ends)

    async def _drop(self, name: str) -> None:
        from caterva2.client import calls

        made = self._made.pop(name)
        if made.id is not None:
            with contextlib.suppress(Caterva2Error):
                await self._subscribers.upstreams[name].send(calls.revoke_token(made.id))

    def write(self) -> None:
        """Write the file whole if it would be another. Blocking, but small."""
        subscribers = {}
        for name, url in self._subscribers.urls.items():
            made = self._made.get(name)
            subscribers[name] = Handed(url=url) if made is None else Handed(
                url=url, token=made.token, expires=made.expires
            )  # fmt: skip
        data = wire.to_json(Handover(current=self._subscribers.current, subscribers=subscribers))
        if data == self._written and self.path.exists():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self.path.with_name(f".{self.path.name}.new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # it may have been there, from a server that was killed
            file.write(data)
        beside.replace(self.path)
        self._written = data


def remove_stale(directory: Path) -> None:
    """Remove the files of servers that were killed: they hold tokens. Blocking."""
    for path in directory.glob("caterva2-*.json"):
        pid = path.stem.partition("-")[2]
        if pid.isdecimal() and not _runs(int(pid)):
            with contextlib.suppress(OSError):
                path.unlink()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # it is somebody else's
    return True


def _is_due(made: _Made) -> bool:
    return made.expires is not None and made.expires - time.time() < LIFE_S / 2
