"""What a person browses: pages of roots, directories and files, from what is known of them already."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from caterva2.compute.listing import Cut, chosen, cut, sorted_keys, with_directories
from caterva2.errors import (
    BadRequest,
    Caterva2Error,
    DatasetNotFound,
    RootNotFound,
)
from caterva2.model.datasets import BrokenInfo, Entry
from caterva2.model.paths import DatasetPath
from caterva2.model.roots import RootStatus
from caterva2.model.trees import MAX_LIMIT, TreeEntry, TreeKind, TreePage, TreeQuery, TreeState, file_row
from caterva2.model.users import Principal, Scope
from caterva2.roles.subscriber.access import Access
from caterva2.roles.subscriber.areas import Area, Areas
from caterva2.roles.subscriber.library import Library
from caterva2.roles.subscriber.network import Network
from caterva2.roles.subscriber.remote import RemoteRoot
from caterva2.runtime.singleflight import SingleFlight
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.directory import DirectoryMark, DirectorySource
from caterva2.storage.state import Catalog

Key: TypeAlias = tuple[str, str, bool, str]
"""What a listing is of: `Areas.key` of its root, directory, whether at any depth, filter."""
Mark: TypeAlias = DirectoryMark | int | None

KEPT_NAMES = 400_000
"""Names that are kept in listings for the next page: some 150 bytes each."""
MOST_NAMES = 1_000_000
FEW_NAMES = 2_000
"""So many names are filtered sooner than handed to a lane."""
FEW_ROWS = 200
"""So many rows are made sooner than handed to a lane: some 10 us each."""
LONGEST_FILTER = 200


class _Listing(NamedTuple):
    """All keys of a directory.

    Attributes
    ----------
    mark
        The state of the directory when it was listed; None: good for this once.
    """

    mark: Mark
    keys: list[str]


class Tree:
    """Lists what there is, page by page.

    The names of a directory are sorted once, and kept until one comes or goes; what is shown beside a
    name is looked up for the rows of a page only.
    """

    def __init__(
        self,
        *,
        library: Library,
        network: Network,
        areas: Areas,
        access: Access,
        catalog: Catalog,
        workers: Workers,
    ) -> None:
        self._library = library
        self._network = network
        self._areas = areas
        self._access = access
        self._catalog = catalog
        self._workers = workers
        self._kept: OrderedDict[Key, _Listing] = OrderedDict()
        self._nkept = 0
        self._flights: SingleFlight[tuple[Key, Mark], _Listing] = SingleFlight()

    async def stop(self) -> None:
        """Give up what is being listed."""
        await self._flights.close()
        self._kept.clear()

    async def page(self, principal: Principal, path: DatasetPath | None, query: TreeQuery) -> TreePage:
        """Return a page of what is in a directory; of a file its own row.

        Parameters
        ----------
        path
            None: the roots and areas.

        Raises
        ------
        DatasetNotFound, RootNotFound
            There is nothing.
        BadRequest
            The limit or the filter makes no sense.
        """
        if not 1 <= query.limit <= MAX_LIMIT:
            raise BadRequest(f"limit: expected 1 to {MAX_LIMIT}, found {query.limit}")
        if query.offset is not None and query.offset < 0:
            raise BadRequest(f"offset: expected 0 or more, found {query.offset}")
        if query.offset is not None and query.after is not None:
            raise BadRequest("offset and after: both say where the page begins", hint="leave one of them out")
        if query.filter is not None and len(query.filter) > LONGEST_FILTER:
            raise BadRequest(f"filter: expected at most {LONGEST_FILTER} characters")
        if path is None:
            return self._roots(principal, query)
        self._access.check_path(principal, path)
        area = self._areas.find(principal, path.root)
        if area is not None:
            return await self._area_page(principal, area, path, query)
        if path.root.startswith("@"):
            raise RootNotFound(f"there is no root {path.root!r} here", root=path.root)
        return await self._remote_page(principal, path, query)

    # roots

    def _roots(self, principal: Principal, query: TreeQuery) -> TreePage:
        rows = {name: self._area_row(principal, name) for name in self._areas.names(principal)}
        for root in self._network.roots():
            if self._access.may_see(principal, root.name):
                rows[root.name] = _root_row(root)
        keys = sorted_keys(rows)
        if query.filter is not None:
            keys = chosen(keys, query.filter)
        found = cut(keys, query.after, query.limit, offset=query.offset)
        state = TreeState.FRESH if self._network.error is None else TreeState.OFFLINE
        return TreePage(
            path="",
            entries=[rows[name] for name in found.items],
            next=found.next,
            total=len(keys),
            offset=found.offset,
            state=state,
        )

    def _area_row(self, principal: Principal, name: str) -> TreeEntry:
        return TreeEntry(
            name=name, path=name, kind=TreeKind.AREA, subscribed=True, state=TreeState.FRESH,
            writable=_may_write(principal),
        )  # fmt: skip

    # areas

    async def _area_page(
        self, principal: Principal, area: Area, path: DatasetPath, query: TreeQuery
    ) -> TreePage:
        below, writable = path.relative, _may_write(principal)
        mark = await self._workers.run(Lane.DISK, area.source.directory_mark, below)
        if mark is None:
            return await self._file_page(principal, path, writable=writable)
        if query.recursive:
            await self._areas.start(area)
            keys = await self._keys(area.key, below, query, self._catalog.names_version(area.key), None)
        else:
            keys = await self._keys(area.key, below, query, mark, area.source)
        found = cut(keys, query.after, query.limit, offset=query.offset, deep=query.recursive)
        files = [_joined(below, item) for item in found.items if not item.endswith("/")]
        entries = await self._workers.run(Lane.DISK, self._describe_area, area, files)
        rows = await self._rows(path, found, entries, writable=writable)
        return _page(path, found, rows, len(keys), writable=writable)

    def _describe_area(self, area: Area, paths: Sequence[str]) -> dict[str, Entry]:
        """Describe files as they are now; blocking."""
        known = self._catalog.get_many(area.key, paths)
        entries = {}
        for path in paths:
            entry = known.get(path)
            try:
                if entry is None or area.source.etag(path) != entry.etag:
                    entry = area.source.describe(path)
            except DatasetNotFound:
                continue
            except Caterva2Error as exc:  # one bad file must not hide the others
                entry = Entry(path=path, etag="?", mtime_ns=0, size=0, info=BrokenInfo(reason=exc.message))
            entries[path] = entry
        return entries

    # published roots

    async def _remote_page(self, principal: Principal, path: DatasetPath, query: TreeQuery) -> TreePage:
        root = await self._network.subscribe(path.root)
        below = path.relative
        keys = await self._keys(root.name, below, query, self._catalog.names_version(root.name), None)
        if not keys and below and not await self._has_files(root, below):
            return await self._file_page(principal, path)
        found = cut(keys, query.after, query.limit, offset=query.offset, deep=query.recursive)
        files = [_joined(below, item) for item in found.items if not item.endswith("/")]
        entries = await root.files.get_many(files)
        rows = await self._rows(path, found, entries)
        return _page(path, found, rows, len(keys), root=root)

    async def _has_files(self, root: RemoteRoot, below: str) -> bool:
        return await self._workers.run(Lane.DISK, self._catalog.has_directory, root.name, below)

    # listings

    async def _keys(
        self, name: str, below: str, query: TreeQuery, mark: Mark, source: DirectorySource | None
    ) -> list[str]:
        """Return the keys of a directory, listed if that was not done since `mark`."""
        text = query.filter or ""
        key = (name, below, query.recursive, text)
        kept = self._find(key, mark)
        if kept is not None:
            return kept.keys
        whole = (name, below, query.recursive, "")
        listing = self._find(whole, mark)
        if listing is None:
            listing = await self._flights.run((whole, mark), lambda: self._list(whole, mark, source))
            self._keep(whole, listing)
        if not text:
            return listing.keys
        if len(listing.keys) <= FEW_NAMES:
            keys = chosen(listing.keys, text)
        else:
            keys = await self._workers.run(Lane.CPU, chosen, listing.keys, text)
        self._keep(key, _Listing(listing.mark, keys))
        return keys

    async def _list(self, key: Key, mark: Mark, source: DirectorySource | None) -> _Listing:
        name, below, deep, _ = key
        keys = await self._workers.run(Lane.DISK, self._list_now, name, below, deep, source)
        if isinstance(mark, DirectoryMark) and not mark.is_settled:
            mark = None
        return _Listing(mark, keys)

    def _list_now(self, name: str, below: str, deep: bool, source: DirectorySource | None) -> list[str]:
        if source is not None:
            return sorted_keys(source.children(below)[:MOST_NAMES])
        if not deep:
            return sorted_keys(self._catalog.children(name, below, limit=MOST_NAMES))
        skip = len(below) + 1 if below else 0
        paths = self._catalog.names(name, below, limit=MOST_NAMES)
        return sorted_keys(with_directories(path[skip:] for path in paths), deep=True)

    def _find(self, key: Key, mark: Mark) -> _Listing | None:
        listing = self._kept.get(key)
        if listing is None or listing.mark != mark:
            return None
        self._kept.move_to_end(key)
        return listing

    def _keep(self, key: Key, listing: _Listing) -> None:
        before = self._kept.pop(key, None)
        if before is not None:
            self._nkept -= len(before.keys)
        if listing.mark is None:
            return
        self._kept[key] = listing
        self._nkept += len(listing.keys)
        while self._nkept > KEPT_NAMES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._nkept -= len(oldest.keys)

    # pages

    async def _file_page(
        self, principal: Principal, path: DatasetPath, *, writable: bool = False
    ) -> TreePage:
        entry = await self._library.entry(principal, path)
        row = file_row(path.root, entry, writable=writable)
        root = self._network.root(path.root)
        return TreePage(
            path=str(path), entries=[row], next=None, total=1, state=_state(root), age_s=_age_s(root),
            writable=writable,
        )  # fmt: skip

    async def _rows(
        self, path: DatasetPath, found: Cut, entries: dict[str, Entry], *, writable: bool = False
    ) -> list[TreeEntry]:
        if len(found.items) <= FEW_ROWS:
            return _rows(path, found.items, entries, writable=writable)
        return await self._workers.run(Lane.CPU, lambda: _rows(path, found.items, entries, writable=writable))


def _rows(
    path: DatasetPath, items: Sequence[str], entries: dict[str, Entry], *, writable: bool
) -> list[TreeEntry]:
    rows = []
    for item in items:
        where = _joined(path.relative, item)
        if item.endswith("/"):
            below = where.removesuffix("/")
            rows.append(
                TreeEntry(
                    name=below.rpartition("/")[2],
                    path=f"{path.root}/{below}",
                    kind=TreeKind.DIRECTORY,
                    writable=writable,
                )
            )
        elif where in entries:  # else it has gone meanwhile
            rows.append(file_row(path.root, entries[where], writable=writable))
    return rows


def _page(
    path: DatasetPath,
    found: Cut,
    rows: list[TreeEntry],
    total: int,
    *,
    root: RemoteRoot | None = None,
    writable: bool = False,
) -> TreePage:
    return TreePage(
        path=str(path), entries=rows, next=found.next, total=total, offset=found.offset, state=_state(root),
        age_s=_age_s(root), writable=writable,
    )  # fmt: skip


def _joined(below: str, item: str) -> str:
    return f"{below}/{item}" if below else item


def _may_write(principal: Principal) -> bool:
    return not principal.is_anonymous and principal.can(Scope.WRITE)


def _root_row(root: RemoteRoot) -> TreeEntry:
    info = root.describe()
    return TreeEntry(
        name=root.name, path=root.name, kind=TreeKind.ROOT, subscribed=bool(info.subscribed),
        state=_state(root), error=info.error,
    )  # fmt: skip


def _state(root: RemoteRoot | None) -> TreeState:
    """Return how current what is known of a root is; an area always is."""
    if root is None or (root.subscribed and root.freshness.fresh):
        return TreeState.FRESH
    if root.describe().status is RootStatus.OFFLINE:
        return TreeState.OFFLINE
    return TreeState.STALE if root.subscribed else TreeState.FRESH


def _age_s(root: RemoteRoot | None) -> float:
    return 0.0 if root is None or not root.subscribed else root.freshness.age_s
