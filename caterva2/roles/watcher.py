"""File events of a directory, turned into sets of settled, coalesced paths.

Directories are watched one by one, without recursion: a watcher that walks on
its own follows links out of the root. Making a watch takes some 40 us on the
event loop, so new directories get a watcher of their own; small watchers are
merged like the runs of a merge sort, which keeps both their number and the
number of watches made again small.
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

WATCHING_SHARE = 4
"""Making watches may take one part in so many of the time."""

LINGER_S = 2.0
"""So long a watcher that was merged into another one still reports: it may have notices not yet reported."""

_ATTEMPTS = 4

Signature: TypeAlias = tuple[int, int, int] | None
Identity: TypeAlias = tuple[int, int]


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


@dataclass(frozen=True, slots=True)
class _Feeder:
    """A task that reports notices from some directories."""

    directories: frozenset[str]
    task: asyncio.Task[None]


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
        self._watched: dict[str, Identity] = {}
        self._feeders: list[_Feeder] = []
        self._retired: set[asyncio.Task[None]] = set()
        self._is_blind = True
        self._watch_again_at = 0.0
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
            await self._watch_what_is_new()
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
                    await self._watch_what_is_new()
                    yield frozenset()
                    looked_at = self._clock.monotonic()
                    took = looked_at - began
                elif settled:
                    yield settled
        finally:
            await self._end()
            self._feeders, self._watched, self._is_blind = [], {}, True

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
        return max(self._poll_s, 10 * took) if self._is_blind else self._rescan_s

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
            return True
        if notices:
            seen = await self._workers.run(Lane.DISK, self._look, notices)
            if seen.new_directories:
                pause = self._watch_again_at - self._clock.monotonic()
                if pause > 0:
                    await self._clock.sleep(pause)
                await self._watch_what_is_new()
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
        if not os.path.isdir(path):
            return False
        real = os.path.realpath(path)
        return self._watched.get(real) != _identity(real)

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

    async def _watch_what_is_new(self) -> None:
        """Watch directories that are new, that are others than they were, or that could not be watched."""
        began = self._clock.monotonic()
        is_first = not self._watched
        added: set[str] = set()
        current, new = await self._list_new()
        for _ in range(_ATTEMPTS):
            if not new:
                break
            added |= new
            await self._watch(new, current)
            current, new = await self._list_new()  # there may be more by now
        self._is_blind = bool(new) or self._source.directory not in current
        if added and not is_first:
            # What came into being before it was watched has given no notice.
            self._notices.update(await self._workers.run(Lane.DISK, _files_in, added))
            self._woken.set()
        now = self._clock.monotonic()
        self._watch_again_at = now + WATCHING_SHARE * (now - began)

    async def _list_new(self) -> tuple[dict[str, Identity], set[str]]:
        """Return all directories there are, and which of them are not watched."""
        current = await self._workers.run(Lane.DISK, _list_directories, self._source)
        self._watched = {path: known for path, known in self._watched.items() if path in current}
        return current, {path for path, found in current.items() if self._watched.get(path) != found}

    async def _watch(self, new: set[str], current: dict[str, Identity]) -> None:
        """Start to watch directories, together with those of watchers that are not much larger."""
        directories = set(new)
        merged: list[_Feeder] = []
        while self._feeders and len(self._feeders[-1].directories) <= 2 * len(directories):
            merged.append(self._feeders.pop())
            directories |= merged[-1].directories
        directories &= current.keys()
        task = asyncio.create_task(self._feed(frozenset(directories)), name="file watcher")
        await asyncio.sleep(0)  # when this goes on, the task waits for changes or has failed
        if task.done():
            self._watched = {path: known for path, known in self._watched.items() if path not in directories}
        else:
            self._feeders.append(_Feeder(frozenset(directories), task))
            self._watched.update((path, current[path]) for path in directories)
        for feeder in merged:
            self._retire(feeder.task)

    def _retire(self, task: asyncio.Task[None]) -> None:
        self._retired.add(task)
        ending = asyncio.get_running_loop().call_later(LINGER_S, task.cancel)

        def ended(task: asyncio.Task[None]) -> None:
            ending.cancel()
            self._retired.discard(task)

        task.add_done_callback(ended)

    async def _feed(self, directories: frozenset[str]) -> None:
        try:
            async for changes in watchfiles.awatch(
                *sorted(directories),
                watch_filter=None,
                debounce=200,
                step=40,
                recursive=False,
                force_polling=self._force_polling,
                ignore_permission_denied=False,  # true would hide that there are no watches left
            ):
                self._warned = False
                for change, path in changes:
                    self._notices.add(path)
                    if change is watchfiles.Change.deleted:
                        self._watched.pop(path, None)  # its inode may be that of the next directory
                self._woken.set()
        except (OSError, RuntimeError, ExceptionGroup) as exc:
            # No more watches allowed, a directory is gone, a name is not UTF-8: regular looks
            # take over until the next try.
            if asyncio.current_task() in self._retired:
                return
            if not self._warned:
                self._warned = True
                reason = exc.exceptions[0] if isinstance(exc, ExceptionGroup) else exc
                logger.warning("the system gives no notice of changed files, looking regularly: %s", reason)
            self._feeders = [each for each in self._feeders if each.task is not asyncio.current_task()]
            self._watched = {path: known for path, known in self._watched.items() if path not in directories}
            self._is_blind = True
            self._woken.set()

    async def _end(self) -> None:
        tasks = [*(feeder.task for feeder in self._feeders), *self._retired]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


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


def _list_directories(source: Watchable) -> dict[str, Identity]:
    """Return the directories that can be watched, and which they are."""
    found = {}
    for path in source.directories():
        identity = _identity(path)
        if identity is not None and os.access(path, os.R_OK):
            found[path] = identity
    return found


def _files_in(directories: Iterable[str]) -> list[str]:
    """Return the paths of what lies directly in some directories; those that are gone hold nothing."""
    found: list[str] = []
    for directory in directories:
        with contextlib.suppress(OSError):
            found.extend(f"{directory}/{name}" for name in os.listdir(directory))
    return found


def _identity(path: str) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
