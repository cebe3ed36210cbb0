"""A root whose files are at hand: a source, the catalog of what is in it, and events for what changes.

The publisher has one for what it publishes, the subscriber one for each area.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from caterva2.errors import (
    BadPath,
    BrokenDataset,
    Caterva2Error,
    DatasetChanged,
    DatasetNotFound,
)
from caterva2.model import events, wire
from caterva2.model.datasets import BrokenInfo, Entry, FileInfo
from caterva2.runtime.singleflight import SingleFlight
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.describe import read_stored

if TYPE_CHECKING:
    from caterva2.compute.frames import Skeleton
    from caterva2.runtime.hub import Hub
    from caterva2.storage.source import RootSource, StoredFrame
    from caterva2.storage.state import Catalog

logger = logging.getLogger(__name__)

BATCH = 250
MAX_EVENTS = 10_000
"""More changes at once than this are told with one `Resync`."""

MANY_PATHS = 2_000
"""More paths than this to look at are not cheaper than looking at everything."""

PAGE_BYTES = 4 << 20
PAGE_STEP = 200

_SCANNED, _UNANNOUNCED = "scanned", "unannounced"


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A stored frame that is open for reading, and its parsed skeleton; of one generation.

    Valid inside the ``async with`` block of `LocalRoot.open`.
    """

    path: str
    frame: StoredFrame
    skeleton: Skeleton

    @property
    def etag(self) -> str:
        """The generation."""
        return self.frame.etag


class Page(NamedTuple):
    """Entries in the order of their paths, and what to ask for the next ones; None at the end."""

    entries: list[Entry]
    next: str | None


class LocalRoot:
    """Files at hand, described, watched and opened. All methods run on the event loop.

    Parameters
    ----------
    source
        The files.
    catalog
        Where their descriptions are kept; closed by the owner.
    hub
        Gets an event for each change, after the catalog knows it.
    workers
        Started and stopped by the owner.
    name
        Name of the root or area.
    open_files, open_chunks
        Most files kept open for the next request, and most chunks in their indexes together.
    """

    def __init__(
        self,
        source: RootSource,
        catalog: Catalog,
        hub: Hub,
        workers: Workers,
        name: str,
        *,
        open_files: int = 64,
        open_chunks: int = 4_000_000,
    ) -> None:
        self.name = name
        self.hub = hub
        self.source = source
        self._catalog = catalog
        self._workers = workers
        self._looking = asyncio.Lock()
        self._opened = _OpenFiles(open_files, open_chunks)
        self._flights: SingleFlight[str, Entry] = SingleFlight()
        self._openings: SingleFlight[str, _Held] = SingleFlight()
        self._unannounced = False

    async def start(self) -> None:
        """Take up what changed since the last run: events for it, or one `Resync` if that is much.

        Raises
        ------
        ServiceError
            The files can not be listed.
        """
        state = await self._workers.run(Lane.DISK, self._catalog.root_state, self.name)
        self._unannounced = _UNANNOUNCED in state
        if self._unannounced:
            self.hub.publish(events.Resync(root=self.name))
        await self._look_at_everything(quiet=_SCANNED not in state)
        if _SCANNED not in state:
            await self._keep(**{_SCANNED: "1"})

    async def stop(self) -> None:
        """Close open files; safe to call twice."""
        await self._flights.close()
        await self._openings.close()
        self._opened.clear()

    # changes

    async def refresh(self, paths: Iterable[str]) -> None:
        """Look at files, and at all that is below directories, and tell what changed.

        Parameters
        ----------
        paths
            Below the root; what does not exist is fine. None at all: look at everything.
        """
        wanted = sorted(set(paths))
        if not wanted or len(wanted) > MANY_PATHS:
            await self._look_at_everything(quiet=False)
            return
        async with self._looking:
            changes = _Changes([], [])
            for start in range(0, len(wanted), BATCH):
                part = wanted[start : start + BATCH]
                found = await self._workers.run(Lane.DISK, self._compare_some, part)
                changes.changed.extend(found.changed)
                changes.removed.extend(found.removed)
            # A directory and a file in it may both have been named.
            once = _Changes(list(dict.fromkeys(changes.changed)), list(dict.fromkeys(changes.removed)))
            await self._take_up(once, quiet=False)

    async def announced(self, seq: int) -> None:
        """Remember that the events of `hub` up to `seq` have reached those who must know, if that is all."""
        async with self._looking:
            if self._unannounced and self.hub.position.seq == seq:
                await self._keep(**{_UNANNOUNCED: None})
                self._unannounced = False

    async def _look_at_everything(self, *, quiet: bool) -> None:
        async with self._looking:
            changes = await self._workers.run(Lane.DISK, self._compare_all)
            quiet = quiet or len(changes) > MAX_EVENTS
            await self._take_up(changes, quiet=quiet)
            if quiet and changes:
                self.hub.publish(events.Resync(root=self.name))

    def _compare_all(self) -> _Changes:
        known = dict(self._catalog.etags(self.name))
        changed = [
            listed.path for listed in self.source.scan() if known.pop(listed.path, None) != listed.etag
        ]
        return _Changes(changed, list(known))

    def _compare_some(self, paths: Sequence[str]) -> _Changes:
        changes = _Changes([], [])
        for path in paths:
            try:
                there = {listed.path: listed.etag for listed in self.source.scan(path)}
            except BadPath:
                continue
            known = [path, *self._catalog.names(self.name, path.removesuffix("/"))]
            entries = {name: self._catalog.get(self.name, name) for name in {*known, *there}}
            for name, etag in there.items():
                entry = entries[name]
                if entry is None or entry.etag != etag:
                    changes.changed.append(name)
            changes.removed.extend(name for name, entry in entries.items() if entry and name not in there)
        return changes

    async def _take_up(self, changes: _Changes, *, quiet: bool) -> None:
        if changes and not self._unannounced:
            await self._keep(**{_UNANNOUNCED: "1"})
            self._unannounced = True
        for start in range(0, len(changes.removed), BATCH):
            gone = changes.removed[start : start + BATCH]
            await self._workers.run(Lane.DISK, self._remove, gone)
            self._tell([events.DatasetRemoved(root=self.name, path=path) for path in gone], gone, quiet=quiet)
        for start in range(0, len(changes.changed), BATCH):
            part = changes.changed[start : start + BATCH]
            entries, gone = await self._workers.run(Lane.DISK, self._describe, part)
            self._tell(
                [
                    *(events.DatasetChanged(root=self.name, entry=entry) for entry in entries),
                    *(events.DatasetRemoved(root=self.name, path=path) for path in gone),
                ],
                part,
                quiet=quiet,
            )

    def _remove(self, paths: Sequence[str]) -> None:
        self._catalog.remove(self.name, paths)
        for path in paths:
            self.source.forget(path)

    def _describe(self, paths: Sequence[str]) -> tuple[list[Entry], list[str]]:
        entries, gone = [], []
        for path in paths:
            try:
                entries.append(self.source.describe(path))
            except DatasetNotFound:
                gone.append(path)
            except Caterva2Error as exc:  # one bad file must not hide the others
                logger.warning("%s/%s can not be described: %s", self.name, path, exc)
        known = [path for path in gone if self._catalog.get(self.name, path) is not None]
        self._catalog.upsert(self.name, entries)
        self._remove(known)
        return entries, known

    def _tell(self, found: Sequence[events.Event], paths: Iterable[str], *, quiet: bool) -> None:
        for path in paths:
            self._opened.drop(path)
        if not quiet:
            for event in found:
                self.hub.publish(event)

    async def _keep(self, **values: str | None) -> None:
        await self._workers.run(Lane.DISK, lambda: self._catalog.set_root_state(self.name, **values))

    # reading

    async def entry(self, path: str) -> Entry:
        """Describe a file as it is now; the frame of a plain one may not be made yet.

        Raises
        ------
        DatasetNotFound, BadPath
            There is no such visible file.
        """
        return await self._workers.run(Lane.DISK, self.source.describe, path)

    async def materialise(self, path: str) -> Entry:
        """Describe a file completely; the frame of a plain one is made now, once for all who ask.

        Raises
        ------
        DatasetNotFound, BadPath
            There is no such visible file.
        DatasetChanged
            It was written meanwhile, again and again.
        ServiceError
            There is no room for its frame.
        """
        entry = await self.entry(path)
        if not isinstance(entry.info, FileInfo) or entry.info.schunk is not None:
            return entry
        return await self._flights.run(path, lambda: self._make(path))

    async def _make(self, path: str) -> Entry:
        entry = await self._workers.run(Lane.CPU, self.source.materialise, path)
        if not self._looking.locked():  # else a newer generation might be overwritten
            async with self._looking:
                await self._workers.run(Lane.DISK, self._complete, entry)
        return entry

    def _complete(self, entry: Entry) -> None:
        """Let the catalog know of a frame; a generation that it does not know is found by `refresh`."""
        known = self._catalog.get(self.name, entry.path)
        if known is not None and known.etag == entry.etag and known != entry:
            self._catalog.upsert(self.name, [entry])

    @contextlib.asynccontextmanager
    async def open(self, path: str, *, etag: str | None = None) -> AsyncIterator[OpenFile]:
        """Open the stored frame of a file; it stays open for the next who asks.

        Parameters
        ----------
        etag
            The generation that is wanted; None for the one that is there now.

        Raises
        ------
        DatasetNotFound, BadPath
            There is no such visible file.
        DatasetChanged
            It is not, or no longer, the generation `etag`.
        BrokenDataset
            It can not be served.
        """
        held = self._opened.find(path) if etag is not None else None
        if held is None or held.file.etag != etag:
            held = await self._open(path)
        held.users += 1
        try:
            if etag is not None and held.file.etag != etag:
                raise DatasetChanged(f"{path} is no longer the generation {etag!r}", path=path)
            yield held.file
        except DatasetChanged:
            self._opened.drop(path)
            raise
        finally:
            held.users -= 1
            self._opened.tidy(held)

    async def _open(self, path: str) -> _Held:
        while True:
            held = await self._openings.run(path, lambda: self._open_once(path))
            if not held.closed:  # as it is if others needed its place before we came to run
                return held

    async def _open_once(self, path: str) -> _Held:
        entry = await self.materialise(path)
        if isinstance(entry.info, BrokenInfo):
            raise BrokenDataset(f"{path} can not be served: {entry.info.reason}")
        held = self._opened.find(path)
        if held is None or held.file.etag != entry.etag:
            opened = await self._workers.run(Lane.DISK, self._open_file, path)
            held = self._opened.keep(path, opened)
        return held

    def _open_file(self, path: str) -> OpenFile:
        frame = self.source.open(path)
        try:
            return OpenFile(path, frame, read_stored(frame))
        except BaseException:
            frame.close()
            raise

    async def page(self, *, after: str | None, limit: int) -> Page:
        """Return entries in the order of their paths: at most `limit`, fewer if they are large."""
        return await self._workers.run(Lane.DISK, self._page, after, limit)

    def _page(self, after: str | None, limit: int) -> Page:
        entries: list[Entry] = []
        size = 0
        while len(entries) < limit and size < PAGE_BYTES:
            step = min(PAGE_STEP, limit - len(entries))
            found = self._catalog.page(self.name, after=after, limit=step)
            entries.extend(found)
            if len(found) < step:
                return Page(entries, None)
            after = found[-1].path
            size += len(wire.to_msgpack(found))
        return Page(entries, after)

    async def names(self) -> list[str]:
        """Return the paths of all files, sorted."""
        return await self._workers.run(Lane.DISK, self._catalog.names, self.name)


@dataclass(frozen=True, slots=True)
class _Changes:
    changed: list[str]
    removed: list[str]

    def __len__(self) -> int:
        return len(self.changed) + len(self.removed)


class _Held:
    """An open file, and how many use it."""

    __slots__ = ("dropped", "file", "users")

    def __init__(self, file: OpenFile) -> None:
        self.file = file
        self.users = 0
        self.dropped = False

    @property
    def closed(self) -> bool:
        return self.dropped and self.users == 0


class _OpenFiles:
    """The most recently used open files; a file is closed when it is dropped and nobody uses it."""

    def __init__(self, max_files: int, max_chunks: int) -> None:
        self._max_files = max_files
        self._max_chunks = max_chunks
        self._nchunks = 0
        self._held: collections.OrderedDict[str, _Held] = collections.OrderedDict()

    def find(self, path: str) -> _Held | None:
        held = self._held.get(path)
        if held is not None:
            self._held.move_to_end(path)
        return held

    def keep(self, path: str, file: OpenFile) -> _Held:
        self.drop(path)
        held = self._held[path] = _Held(file)
        self._nchunks += file.skeleton.nchunks
        while len(self._held) > 1 and (len(self._held) > self._max_files or self._nchunks > self._max_chunks):
            self.drop(next(iter(self._held)))
        return held

    def drop(self, path: str) -> None:
        held = self._held.pop(path, None)
        if held is not None:
            self._nchunks -= held.file.skeleton.nchunks
            held.dropped = True
            self.tidy(held)

    def clear(self) -> None:
        for path in list(self._held):
            self.drop(path)

    @staticmethod
    def tidy(held: _Held) -> None:
        if held.closed:
            held.file.frame.close()
