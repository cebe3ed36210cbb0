"""File events of a directory, turned into sets of settled, coalesced paths.

Directories are watched one by one, without recursion: a watcher that walks on
its own follows links out of the root. When there is a new directory, a second
watcher is started with the new list before the first one ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

import watchfiles

from caterva2.runtime.clock import Clock, SystemClock
from caterva2.runtime.workers import Lane, Workers

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

logger = logging.getLogger(__name__)

MAX_NOTICES = 20_000
"""More notices than this at once are not looked at one by one."""

REBUILD_SHARE = 4
"""Making watches anew may take one part in so many of the time."""

_ATTEMPTS = 4

Signature: TypeAlias = tuple[int, int, int] | None


class Watchable(Protocol):
    """What a source must offer to be watched; both methods block."""

    @property
    def directory(self) -> str:
        """The real path of the root."""
        ...

    def directories(self) -> Iterator[str]:
        """Yield the real paths of all directories to watch."""
        ...

    def shown_by(self, stored: str) -> set[str]:
        """Return the paths under which a change at a path below `directory` shows."""
        ...


@dataclass(slots=True)
class _Pending:
    """A path that has changed, what it looked like, and since when."""

    since: float
    looks: dict[str, Signature] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look at noticed files gave: by shown path, and whether there are new directories."""

    looks: dict[str, dict[str, Signature]]
    new_directories: bool


class Watcher:
    """Watches one directory tree.

    Parameters
    ----------
    source
        What is watched.
    workers
        Looks at files in the disk lane.
    settle_s
        A file counts as complete when its size and time stay the same for so long, in seconds.
    rescan_s
        How often to look at everything, in case that a notice was lost (network file systems lose them).
    poll_s
        How often to look at everything when the system gives no notices at all; longer if looking takes long.
    force_polling
        Let watchfiles compare files instead of asking the system; None for its own default.
    """

    def __init__(
        self,
        source: Watchable,
        workers: Workers,
        *,
        settle_s: float = 0.5,
        rescan_s: float = 300.0,
        poll_s: float = 2.0,
        force_polling: bool | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._source = source
        self._workers = workers
        self._settle_s = settle_s
        self._rescan_s = rescan_s
        self._poll_s = poll_s
        self._force_polling = force_polling
        self._clock = clock or SystemClock()
        self._woken = asyncio.Event()
        self._notices: set[str] = set()
        self._pending: dict[str, _Pending] = {}
        self._watched: frozenset[str] = frozenset()
        self._feeder: asyncio.Task[None] | None = None
        self._root_identity: tuple[int, int] | None = None
        self._rebuild_at = 0.0
        self._warned = False
        self.ready = asyncio.Event()
        """Set once changes are noticed."""

    async def changes(self, *, look_first: bool = True) -> AsyncGenerator[AbstractSet[str], None]:
        """Yield sets of paths, of files or directories, that changed; an empty set: look at everything.

        The next set comes when the last one has been dealt with.

        Parameters
        ----------
        look_first
            Begin with an empty set, for what changed before the watch began. Not needed by
            one who looks at everything after `ready` is set.
        """
        try:
            await self._rebuild()
            self.ready.set()
            if look_first:
                yield frozenset()
            looked_at = self._clock.monotonic()
            took = 0.0
            while True:
                await self._wait(looked_at, took)
                everything = await self._take_notices()
                settled = await self._settled()
                if everything or self._is_rescan_due(looked_at, took):
                    began = self._clock.monotonic()
                    if self._feeder is None or await self._is_root_replaced():
                        await self._rebuild()
                    yield frozenset()
                    looked_at = self._clock.monotonic()
                    took = looked_at - began
                elif settled:
                    yield settled
        finally:
            await self._end(self._feeder)
            self._feeder = None

    # waiting

    async def _wait(self, looked_at: float, took: float) -> None:
        now = self._clock.monotonic()
        deadlines = [looked_at + self._interval(took)]
        deadlines.extend(pending.since + self._settle_s for pending in self._pending.values())
        timeout = max(0.005, min(deadlines) - now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        self._woken.clear()

    def _interval(self, took: float) -> float:
        return self._rescan_s if self._feeder is not None else max(self._poll_s, 10 * took)

    def _is_rescan_due(self, looked_at: float, took: float) -> bool:
        waited = self._clock.monotonic() - looked_at
        interval = self._interval(took)
        # While a file is being written a look would find it incomplete; but not for ever.
        return waited >= interval and (not self._pending or waited >= 10 * interval)

    # notices

    async def _take_notices(self) -> bool:
        """Look at what was noticed; return whether everything must be looked at."""
        notices, self._notices = self._notices, set()
        if len(notices) > MAX_NOTICES or self._source.directory in notices:
            self._pending.clear()
            await self._rebuild()
            return True
        if notices:
            seen = await self._workers.run(Lane.DISK, self._look, notices)
            if seen.new_directories:
                await self._rebuild_soon()
            now = self._clock.monotonic()
            for shown, looks in seen.looks.items():
                pending = self._pending.setdefault(shown, _Pending(now))
                pending.since = now
                pending.looks.update(looks)
        return False

    def _look(self, notices: Iterable[str]) -> _Seen:
        root = self._source.directory.rstrip("/") + "/"
        looks: dict[str, dict[str, Signature]] = {}
        new_directories = False
        for path in notices:
            stored = path.removeprefix(root)
            shown = self._source.shown_by(stored) if stored != path else set()
            if not shown:
                continue
            new_directories = new_directories or self._is_new_directory(path)
            for each in shown:
                looks.setdefault(each, {})[path] = _signature(path)
        return _Seen(looks, new_directories)

    def _is_new_directory(self, path: str) -> bool:
        if path in self._watched or not os.path.isdir(path):
            return False
        return os.path.realpath(path) not in self._watched

    async def _settled(self) -> set[str]:
        """Return the paths that have stayed the same for long enough."""
        now = self._clock.monotonic()
        due = {
            shown: dict(pending.looks)
            for shown, pending in self._pending.items()
            if now - pending.since >= self._settle_s
        }
        if not due:
            return set()
        changed = await self._workers.run(Lane.DISK, _still_changing, due)
        now = self._clock.monotonic()
        for shown, looks in due.items():
            if shown in changed:
                self._pending[shown] = _Pending(now, {path: changed[shown][path] for path in looks})
            else:
                del self._pending[shown]
        return set(due) - set(changed)

    # watches

    async def _rebuild_soon(self) -> None:
        """Watch new directories, but not so often that nothing else gets done."""
        pause = self._rebuild_at - self._clock.monotonic()
        if pause > 0:
            await self._clock.sleep(pause)
        await self._rebuild()

    async def _rebuild(self) -> None:
        """Watch all directories there are now."""
        began = self._clock.monotonic()
        before = self._watched
        directories = await self._list_directories()
        for _ in range(_ATTEMPTS):
            old, self._feeder = self._feeder, await self._begin(directories)
            await self._end(old)
            self._watched = directories
            directories = await self._list_directories()
            if self._feeder is not None and directories <= self._watched:
                break
        if before:
            new = self._watched - before
            # What came into being before it was watched has given no notice.
            self._notices.update(await self._workers.run(Lane.DISK, _files_in, new))
            self._woken.set()
        now = self._clock.monotonic()
        self._rebuild_at = now + REBUILD_SHARE * (now - began)

    async def _begin(self, directories: frozenset[str]) -> asyncio.Task[None] | None:
        """Start to watch; None if that can not be done."""
        if not directories:
            return None
        feeder = asyncio.create_task(self._feed(sorted(directories)), name="file watcher")
        await asyncio.sleep(0)  # when this goes on, the task waits for changes or has failed
        return None if feeder.done() else feeder

    async def _list_directories(self) -> frozenset[str]:
        self._root_identity = await self._workers.run(Lane.DISK, _identity, self._source.directory)
        return frozenset(await self._workers.run(Lane.DISK, _readable, self._source))

    async def _feed(self, directories: list[str]) -> None:
        try:
            async for changes in watchfiles.awatch(
                *directories,
                watch_filter=None,
                debounce=200,
                step=40,
                recursive=False,
                force_polling=self._force_polling,
                ignore_permission_denied=False,  # true would hide that there are no watches left
            ):
                self._warned = False
                self._notices.update(path for _, path in changes)
                self._woken.set()
        except (OSError, RuntimeError, ExceptionGroup) as exc:
            # No more watches allowed, or a directory is gone: regular looks take over until the next try.
            if not self._warned:
                self._warned = True
                logger.warning("the system gives no notice of changed files, looking regularly: %s", exc)
            if self._feeder is asyncio.current_task():
                self._feeder = None
            self._woken.set()

    async def _is_root_replaced(self) -> bool:
        current = await self._workers.run(Lane.DISK, _identity, self._source.directory)
        return current != self._root_identity

    @staticmethod
    async def _end(feeder: asyncio.Task[None] | None) -> None:
        if feeder is not None:
            feeder.cancel()
            await asyncio.wait([feeder])


def _signature(path: str) -> Signature:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _still_changing(due: dict[str, dict[str, Signature]]) -> dict[str, dict[str, Signature]]:
    """Return the paths of which something looks different now, with how they look."""
    changed = {}
    for shown, looks in due.items():
        now = {path: _signature(path) for path in looks}
        if now != looks:
            changed[shown] = now
    return changed


def _readable(source: Watchable) -> list[str]:
    return [directory for directory in source.directories() if os.access(directory, os.R_OK)]


def _files_in(directories: Iterable[str]) -> list[str]:
    """Return the paths of what lies directly in some directories; those that are gone hold nothing."""
    found: list[str] = []
    for directory in directories:
        with contextlib.suppress(OSError):
            found.extend(f"{directory}/{name}" for name in os.listdir(directory))
    return found


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
