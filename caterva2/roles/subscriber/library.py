"""From a path to an open file: one shelf for published roots and for the subscriber's own directories."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, TypeAlias

from caterva2.compute.extents import Record, check_record
from caterva2.compute.frames import MAX_SKELETON, Skeleton, skeleton_from_parts
from caterva2.compute.heads import open_nbytes
from caterva2.errors import (
    BadExpression,
    BadRequest,
    BrokenDataset,
    CorruptChunk,
    DatasetChanged,
    DatasetNotFound,
    MissingOperands,
    NotADataset,
    NotAuthenticated,
    RootNotFound,
    ServiceError,
)
from caterva2.model.datasets import BrokenInfo, Entry, FileInfo, LazyInfo, format_mtime, public_info
from caterva2.model.paths import AREAS, DatasetPath
from caterva2.model.requests import BlocksRequest
from caterva2.model.roots import Freshness, RootInfo
from caterva2.model.users import Principal
from caterva2.roles.subscriber.access import Access
from caterva2.roles.subscriber.areas import Areas
from caterva2.roles.subscriber.evaluation import Evaluator
from caterva2.roles.subscriber.lazyfiles import LazyFiles
from caterva2.roles.subscriber.network import Network
from caterva2.roles.subscriber.opened import LocalFile, OpenedFile, RemoteFile, StoredFile
from caterva2.roles.subscriber.remote import RemoteRoot
from caterva2.runtime.singleflight import SingleFlight
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.blockcache import BlockCache, Mirror, MirrorId
from caterva2.storage.describe import describe_frame, describe_schunk, read_stored
from caterva2.storage.directory import DirectorySource
from caterva2.storage.names import StoredKind, stored_kind
from caterva2.storage.source import RootSource, StoredFrame
from caterva2.storage.state import Catalog

logger = logging.getLogger(__name__)

OpenKey: TypeAlias = tuple[str, DatasetPath]
"""What tells an open file from all others: `Areas.key` of its root, and its path."""

OPEN_FILES = 256
OPEN_BYTES = 48 << 20
"""Memory for what is known of open files: some 40 large ones."""
SLACK = 64 << 10
"""The size of a frame that is still to be made is an estimate."""
MAX_NAMES = 1_000_000
LOOK_AGAIN_S = 0.1
OPEN_ATTEMPTS = 3
FRESH = Freshness(fresh=True)


class Library:
    """All files that can be read here.

    Parameters
    ----------
    areas
        The subscriber's own directories.
    access
        Who may see which root.
    evaluator
        Computes lazy datasets.
    """

    def __init__(
        self,
        *,
        network: Network,
        areas: Areas,
        access: Access,
        catalog: Catalog,
        cache: BlockCache,
        workers: Workers,
        evaluator: Evaluator,
    ) -> None:
        self._network = network
        self._areas = areas
        self._access = access
        self._catalog = catalog
        self._cache = cache
        self._workers = workers
        self.lazy = LazyFiles(self, evaluator)
        self._open: OrderedDict[OpenKey, StoredFile] = OrderedDict()
        self._definitions: OrderedDict[OpenKey, Entry] = OrderedDict()
        self._removing: set[asyncio.Task[None]] = set()
        self._opening: SingleFlight[OpenKey, StoredFile | Entry] = SingleFlight()
        self._beginning: set[OpenKey] = set()

    async def stop(self) -> None:
        """Let go of all files."""
        await self._opening.close()
        await asyncio.gather(*self._removing, return_exceptions=True)
        self._open.clear()
        self._definitions.clear()

    # roots

    def roots(self, principal: Principal) -> dict[str, RootInfo]:
        """Return the roots and areas that exist for somebody, by name."""
        seen = (root for root in self._network.roots() if self._access.may_see(principal, root.name))
        found = {root.name: root.describe() for root in seen}
        found.update(
            {name: RootInfo(name=name, http="", subscribed=True) for name in self._areas.names(principal)}
        )
        return dict(sorted(found.items()))

    async def subscribe(self, principal: Principal, name: str) -> None:
        """Subscribe to a root; an own directory always is.

        Raises
        ------
        NotAuthenticated
            The root is an area of users, and nobody is logged in.
        RootNotFound, PublisherUnavailable, BrokerUnavailable
            See `Network.subscribe`.
        """
        self._access.check_subscribe(principal, name)
        if name in self._areas.names(principal):
            return
        if name in AREAS:
            raise NotAuthenticated(f"{name} is for users who are logged in")
        await self._network.subscribe(name)

    async def _remote(self, name: str) -> RemoteRoot:
        if name.startswith("@"):
            raise RootNotFound(f"there is no root {name!r} here", root=name)
        return await self._network.subscribe(name)

    def freshness(self, path: DatasetPath) -> Freshness:
        """How current an answer about `path` is."""
        if path.is_area:
            return FRESH
        root = self._network.root(path.root)
        return FRESH if root is None else root.freshness

    # listings

    async def names(
        self, principal: Principal, path: DatasetPath, *, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        """Return the names of all files below a path, relative to it, sorted; of a file its own name.

        Raises
        ------
        DatasetNotFound, RootNotFound
            There is nothing.
        BadRequest
            The limit is not positive.
        """
        self._access.check_path(principal, path)
        if limit is not None and limit < 1:
            raise BadRequest(f"limit: expected a positive number, found {limit}")
        limit = None if limit is None else min(limit, MAX_NAMES)
        base = path.relative
        source = self._areas.source(principal, path.root)
        if source is not None:
            found = await self._workers.run(Lane.DISK, _scan_names, source, base)
        else:
            root = await self._remote(path.root)
            low = None if after is None else (f"{base}/{after}" if base else after)
            found = await self._workers.run(
                Lane.DISK, lambda: self._catalog.names(root.name, base, after=low, limit=limit)
            )
        if found:
            names = [name[len(base) + 1 :] if base else name for name in found]
            names = [name for name in names if after is None or name > after]
            return names[:limit]
        if not base or after is not None:
            return []
        try:
            await self.entry(principal, path)
        except NotADataset:  # an empty directory of an area
            return []
        return [path.name]

    async def arrays(self, principal: Principal, path: DatasetPath, *, limit: int) -> list[Entry]:
        """Return what is known of the arrays below a directory, by path, at most `limit`.

        Raises
        ------
        RootNotFound
            It does not exist for whoever asks.
        """
        self._access.check_path(principal, path)
        area = self._areas.find(principal, path.root)
        if area is not None:
            await self._areas.start(area)  # else each time all are opened, not those only that are new
            return await self._workers.run(
                Lane.DISK, self._describe_arrays, area.key, area.source, path.relative, limit
            )
        root = await self._remote(path.root)
        return await self._workers.run(
            Lane.DISK, lambda: self._catalog.arrays(root.name, path.relative, limit=limit)
        )

    def _describe_arrays(self, key: str, source: RootSource, below: str, limit: int) -> list[Entry]:
        """Describe arrays of an area as they are now; blocking."""
        known = {entry.path: entry for entry in self._catalog.arrays(key, below, limit=limit)}
        found: list[Entry] = []
        for listed in sorted(source.scan(below), key=lambda each: each.path):
            if len(found) == limit:
                break
            if listed.path == below or stored_kind(listed.path) is not StoredKind.ARRAY:
                continue
            entry = known.get(listed.path)
            if entry is None or entry.etag != listed.etag:
                try:
                    entry = source.describe(listed.path)
                except DatasetNotFound:  # gone meanwhile
                    continue
            found.append(entry)
        return found

    def version(self, path: DatasetPath) -> int | None:
        """Return a number that changes with whatever `arrays` knows of a published root; None for areas."""
        return None if path.root.startswith("@") else self._catalog.entries_version(path.root)

    async def entry(self, principal: Principal, path: DatasetPath) -> Entry:
        """Return what is known of a file; the frame of a plain one may be unknown.

        Raises
        ------
        DatasetNotFound, RootNotFound
            There is none.
        NotADataset
            It is a directory.
        """
        self._access.check_path(principal, path)
        opened = self._open.get(self._key(principal, path))
        if opened is not None:
            return opened.entry
        known = self._definitions.get(self._key(principal, path))
        if known is not None:
            return known
        source = self._areas.source(principal, path.root)
        if source is not None:
            if not path.parts:
                raise NotADataset(f"{path} is a directory")
            return await self._workers.run(Lane.DISK, _describe_local, source, path)
        root = await self._remote(path.root)
        entry = await root.files.get(path.relative)
        if entry is None:
            if not path.parts or await self._workers.run(
                Lane.DISK, self._catalog.has_directory, root.name, path.relative
            ):
                raise NotADataset(f"{path} is a directory", hint="name a file below it")
            raise DatasetNotFound(
                f"there is no dataset {path}", hint="see the list of the root", path=str(path)
            )
        return entry

    async def check_shareable(self, principal: Principal, path: DatasetPath) -> None:
        """Do nothing if there is something at a path that a share link can open.

        Raises
        ------
        DatasetNotFound, RootNotFound
            There is nothing for whoever asks.
        BadRequest
            It is a lazy dataset whose operands the link would not open.
        """
        try:
            entry = await self.entry(principal, path)
        except NotADataset:
            return
        if isinstance(entry.info, LazyInfo):
            operands = sorted(set(entry.info.lazy.operands.values()))
            raise BadRequest(
                f"{path} is computed from {', '.join(operands)}, which a link to it alone does not open",
                hint="share a directory that holds all of them, or store the computed values",
            )

    async def info(self, principal: Principal, path: DatasetPath) -> tuple[dict[str, Any], str | None]:
        """Return the JSON that describes a file or directory, and the etag of a file."""
        try:
            entry = await self.entry(principal, path)
        except NotADataset:
            return await self._directory_info(principal, path), None
        if isinstance(entry.info, FileInfo) and entry.info.schunk is None:
            entry = (await self.open(principal, path)).entry
        if isinstance(entry.info, LazyInfo):
            return await self._lazy_info(principal, path, entry, entry.info)
        return public_info(entry, str(path)), entry.etag

    async def _lazy_info(
        self, principal: Principal, path: DatasetPath, entry: Entry, info: LazyInfo
    ) -> tuple[dict[str, Any], str | None]:
        """Describe a lazy dataset by what its operands are now; if they are not there, say which."""
        try:
            file = await self.lazy.open(principal, path, entry, info.lazy)
        except (MissingOperands, BadExpression) as exc:
            missing = exc.missing if isinstance(exc, MissingOperands) else {}
            return {
                "mtime": format_mtime(entry.mtime_ns),
                "error": exc.message,
                "expr": info.lazy.expression,
                "missing_ops": missing,
                "kind": "broken",
            }, None
        except ServiceError:  # a publisher that is away: what was known when this was defined
            return public_info(entry, str(path)), entry.etag
        return public_info(file.entry, str(path)), file.entry.etag

    async def _directory_info(self, principal: Principal, path: DatasetPath) -> dict[str, Any]:
        source = self._areas.source(principal, path.root)
        if source is not None:
            nfiles, size, mtime_ns = await self._workers.run(Lane.DISK, _summary, source, path.relative)
        else:
            nfiles, size, mtime_ns = await self._workers.run(
                Lane.DISK, self._catalog.directory_summary, path.root, path.relative
            )
        return {"kind": "group", "mtime": format_mtime(mtime_ns), "size": size, "nfiles": nfiles}

    # open files

    def _key(self, principal: Principal, path: DatasetPath) -> OpenKey:
        return self._areas.key(principal, path.root), path

    def opened(self, principal: Principal, path: DatasetPath) -> StoredFile | None:
        """Return a stored file if it is open already, and may be seen."""
        self._access.check_path(principal, path)
        key = self._key(principal, path)
        file = self._open.get(key)
        if file is None:
            return None
        if isinstance(file, RemoteFile) and file.is_passing:
            del self._open[key]
            return None
        self._open.move_to_end(key)
        return file

    async def open(self, principal: Principal, path: DatasetPath, *, below: int = 0) -> OpenedFile:
        """Open a file.

        Parameters
        ----------
        below
            How many lazy datasets are being opened for this one already.

        Raises
        ------
        DatasetNotFound, RootNotFound
            There is none.
        NotADataset
            It is a directory.
        BrokenDataset
            It can not be read as what it claims to be.
        PublisherUnavailable
            Too little of it is cached, and its publisher does not answer.
        DatasetChanged
            It changes faster than it can be opened.
        """
        file = self.opened(principal, path)
        if isinstance(file, LocalFile) and await self._is_outdated(principal, file):
            self.forget(self._areas.key(principal, path.root), path.relative)
            file = None
        if file is not None:
            return file
        key = self._key(principal, path)
        found: StoredFile | Entry | None = self._definitions.get(key)
        if found is None:
            found = await self._opening.run(key, lambda: self._open_current(principal, path))
        if not isinstance(found, Entry):
            return found
        if not isinstance(found.info, LazyInfo):
            raise BrokenDataset(f"{path} can not be opened")
        return await self.lazy.open(principal, path, found, found.info.lazy, below=below)

    async def _is_outdated(self, principal: Principal, file: LocalFile) -> bool:
        """Look now and then whether a file is still the one that is open: the watcher takes its time."""
        now = time.monotonic()
        if now - file.looked_at < LOOK_AGAIN_S:
            return False
        source = self._areas.source(principal, file.path.root)
        if source is None:
            return True
        try:
            etag = await self._workers.run(Lane.DISK, source.etag, file.path.relative)
        except DatasetNotFound:
            return True
        file.looked_at = now
        return etag != file.frame.etag

    async def _open_current(self, principal: Principal, path: DatasetPath) -> StoredFile | Entry:
        """Open a file and keep it open; once more if it was voided meanwhile."""
        key = self._key(principal, path)
        for _ in range(OPEN_ATTEMPTS):
            self._beginning.add(key)
            try:
                found = await self._open_file(principal, path)
                if key in self._beginning:
                    self._keep(key, found)
                    return found
                if not isinstance(found, Entry):
                    self._let_go(found)
            finally:
                self._beginning.discard(key)
        raise DatasetChanged(f"{path} changes faster than it can be opened", path=str(path))

    def _keep(self, key: OpenKey, found: StoredFile | Entry) -> None:
        if isinstance(found, Entry):
            self._definitions[key] = found
            while len(self._definitions) > OPEN_FILES:
                self._definitions.popitem(last=False)
            return
        self._open[key] = found
        nbytes = sum(open_nbytes(each.skeleton) for each in self._open.values())
        while len(self._open) > OPEN_FILES or (nbytes > OPEN_BYTES and len(self._open) > 1):
            _, oldest = self._open.popitem(last=False)
            nbytes -= open_nbytes(oldest.skeleton)
            self._let_go(oldest)

    async def open_plain(self, principal: Principal, path: DatasetPath) -> tuple[StoredFrame, Entry] | None:
        """Open the bytes of a plain file in an own directory, or return None for all others."""
        source = self._areas.source(principal, path.root)
        if source is None:
            return None
        entry = await self.entry(principal, path)
        if not isinstance(entry.info, FileInfo):
            return None
        return await self._workers.run(Lane.DISK, source.open_plain, path.relative), entry

    def forget(self, root: str, relative: str | None) -> None:
        """Void what is open or cached of a file (None: of a whole root), in all its generations.

        Parameters
        ----------
        root
            Name of the root, or `Areas.key` of an area.
        """
        self._beginning -= {k for k in self._beginning if k[0] == root and relative in {None, k[1].relative}}
        for key in [k for k in self._open if k[0] == root and relative in {None, k[1].relative}]:
            self._let_go(self._open.pop(key))
        for key in [k for k in self._definitions if k[0] == root and relative in {None, k[1].relative}]:
            del self._definitions[key]
        if root.startswith("@"):
            return
        # Their names hold the generation, so nobody takes them for the new one: removing them may wait.
        task = asyncio.create_task(self._workers.run(Lane.DISK, self._cache.remove_file, root, relative))
        self._removing.add(task)
        task.add_done_callback(self._removed)

    def _removed(self, task: asyncio.Task[None]) -> None:
        self._removing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.warning("a void part of the cache can not be removed now: %s", task.exception())

    def forget_below(self, root: str, relative: str) -> None:
        """Void what is open at or below a path of an area; empty for all of it."""
        prefix = f"{relative}/"
        for key in [
            (name, path)
            for name, path in (*self._open, *self._definitions, *self._beginning)
            if name == root
            and (not relative or path.relative == relative or path.relative.startswith(prefix))
        ]:
            self._beginning.discard(key)
            self._definitions.pop(key, None)
            file = self._open.pop(key, None)
            if file is not None:
                self._let_go(file)

    async def renew(self, principal: Principal, path: DatasetPath) -> None:
        """Void a file whose origin has another generation, open or not, and ask for the new one."""
        key = self._key(principal, path)
        file = self._open.pop(key, None)
        entry = self._definitions.pop(key, None)
        if entry is not None and isinstance(entry.info, LazyInfo):
            for operand in entry.info.lazy.operands.values():
                await self.renew(principal, DatasetPath.parse(operand))
            return
        if file is not None:
            self._let_go(file)
        if not path.is_area:
            root = await self._remote(path.root)
            await root.describe_file(path.relative)

    def _let_go(self, file: StoredFile) -> None:
        if isinstance(file, RemoteFile) and file.mirror is not None:
            self._cache.release(file.mirror)

    async def _open_file(self, principal: Principal, path: DatasetPath) -> StoredFile | Entry:
        """Open a stored file; of a lazy dataset return what is known of it."""
        entry = await self.entry(principal, path)
        if isinstance(entry.info, LazyInfo):
            return entry
        if isinstance(entry.info, BrokenInfo):
            raise BrokenDataset(f"{path} can not be read: {entry.info.reason}")
        source = self._areas.source(principal, path.root)
        if source is not None:
            return await self._workers.run(Lane.DISK, _open_local, source, path)
        root = await self._remote(path.root)
        mirror = await self._workers.run(Lane.DISK, self._cache.open, _mirror_id(path, entry))
        if mirror is not None:
            return RemoteFile(path, _completed(entry, mirror), mirror.skeleton, root, mirror)
        if isinstance(entry.info, FileInfo) and entry.info.schunk is None:
            entry = await root.describe_file(path.relative)
            if isinstance(entry.info, BrokenInfo):
                raise BrokenDataset(f"{path} can not be read: {entry.info.reason}")
        received: list[Record] = []
        most = min(entry.size + SLACK, MAX_SKELETON)
        await root.blocks(entry, BlocksRequest(skeleton=True), received.append, most=most)
        skeleton, before, behind = await self._workers.run(Lane.CPU, _received_skeleton, path, received)
        mirror = await self._workers.run(
            Lane.DISK, self._cache.create, _mirror_id(path, entry), skeleton, before, behind
        )
        return RemoteFile(path, entry, skeleton, root, mirror)


def _received_skeleton(path: DatasetPath, records: Sequence[Record]) -> tuple[Skeleton, bytes, bytes]:
    """Return a skeleton, and the bytes before and behind the chunks."""
    if len(records) != 1 or records[0].units.nchunk != -1 or len(records[0].units.numbers) != 2:
        raise CorruptChunk(f"the publisher of {path} did not send its skeleton")
    before, behind = (bytes(part) for part in records[0].parts())
    try:
        skeleton = skeleton_from_parts(before, behind, int(records[0].units.offsets[1]) + len(behind))
    except BrokenDataset as exc:
        raise CorruptChunk(f"the publisher of {path} sent a skeleton that can not be: {exc.message}") from exc
    check_record(records[0], skeleton)
    return skeleton, before, behind


def _mirror_id(path: DatasetPath, entry: Entry) -> MirrorId:
    return MirrorId(path.root, path.relative, entry.etag)


def _completed(entry: Entry, mirror: Mirror) -> Entry:
    """Fill in the frame of a plain file from its mirror."""
    info = entry.info
    if not isinstance(info, FileInfo) or info.schunk is not None:
        return entry
    return Entry(
        path=entry.path, etag=entry.etag, mtime_ns=entry.mtime_ns, size=mirror.skeleton.size,
        info=FileInfo(size=info.size, schunk=describe_schunk(mirror.skeleton)),
    )  # fmt: skip


def _scan_names(source: RootSource, below: str) -> list[str]:
    prefix = f"{below}/" if below else ""
    return sorted(f.path for f in source.scan() if f.path.startswith(prefix) and f.path != below)


def _describe_local(source: DirectorySource, path: DatasetPath) -> Entry:
    try:
        return source.describe(path.relative)
    except DatasetNotFound:
        if source.is_directory(path.relative):
            raise NotADataset(f"{path} is a directory", hint="name a file below it") from None
        raise DatasetNotFound(
            f"there is no dataset {path}", hint="see the list of the root", path=str(path)
        ) from None


def _summary(source: RootSource, below: str) -> tuple[int, int, int]:
    entries = [source.describe(f"{below}/{name}" if below else name) for name in _relative(source, below)]
    return len(entries), sum(e.size for e in entries), max((e.mtime_ns for e in entries), default=0)


def _relative(source: RootSource, below: str) -> list[str]:
    return [name[len(below) + 1 :] if below else name for name in _scan_names(source, below)]


def _open_local(source: RootSource, path: DatasetPath) -> LocalFile:
    frame = source.open(path.relative)
    try:
        skeleton = read_stored(frame)
    except BaseException:
        frame.close()
        raise
    entry = source.materialise(path.relative)
    if entry.etag != frame.etag:
        entry = Entry(
            path=entry.path, etag=frame.etag, mtime_ns=entry.mtime_ns, size=frame.size,
            info=describe_frame(skeleton),
        )  # fmt: skip
    file = LocalFile(path, entry, skeleton, frame)
    weakref.finalize(file, frame.close)
    return file
