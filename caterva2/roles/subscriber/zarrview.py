"""Datasets and directories as a Zarr store of version 3 that can only be read, key by key."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from caterva2.compute.frames import Buffer
from caterva2.compute.zarrformat import (
    Member,
    NotInZarr,
    ZarrArray,
    array_document,
    chunk_bytes,
    encode,
    group_document,
    group_of,
    meta_of,
    zarr_array,
)
from caterva2.errors import (
    BadExpression,
    BadRequest,
    BrokenDataset,
    DatasetNotFound,
    NotADataset,
    NotFound,
    ServiceError,
)
from caterva2.model import wire
from caterva2.model.datasets import ArrayInfo, BrokenInfo, Entry, LazyInfo, VlMeta
from caterva2.model.lazy import Lazy
from caterva2.model.paths import DatasetPath
from caterva2.model.roots import Freshness
from caterva2.model.users import Principal
from caterva2.roles.subscriber.library import Library
from caterva2.roles.subscriber.opened import OpenedFile
from caterva2.roles.subscriber.reads import Reply
from caterva2.roles.subscriber.slices import SliceReader
from caterva2.runtime.singleflight import SingleFlight
from caterva2.runtime.workers import Lane, Workers

METADATA = "zarr.json"
MAX_ARRAYS = 5000
"""Groups with more arrays below them are not consolidated: that is 2 MB of metadata already."""
KEPT_NBYTES = 32 << 20
"""Documents of directories that are kept."""
LOOK_S = 2.0
"""How long to look what the lazy datasets below a group are now, in seconds."""
SMALL = 64 << 10
"""Chunks of at most so many bytes are padded sooner than handed to a lane."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class ZarrKey(NamedTuple):
    """What a key of the store means.

    Attributes
    ----------
    path
        The dataset or directory; None: the group of all roots.
    chunk
        (ndim,) Coordinates of a chunk; None: the metadata.
    """

    path: DatasetPath | None
    chunk: tuple[int, ...] | None


def parse_key(text: str) -> ZarrKey:
    """Parse the percent-encoded key of an address.

    Raises
    ------
    DatasetNotFound
        It can be none: those end in ``zarr.json``, or in ``c`` and the coordinates of a chunk.
    BadPath
        It holds what no path may hold.
    """
    if not text.strip("/"):
        raise DatasetNotFound(
            "no key of the Zarr view is named", hint="the group of all roots is at zarr.json"
        )
    whole = DatasetPath.from_url(text)
    parts = (whole.root, *whole.parts)
    if parts[-1] == METADATA:
        return ZarrKey(_path(parts[:-1]), None)
    at = len(parts)
    while at and _NUMBER.fullmatch(parts[at - 1]):
        at -= 1
    if at < 2 or parts[at - 1] != "c":
        raise DatasetNotFound(
            f"there is no key {whole} in the Zarr view",
            hint="keys end in zarr.json, or in c and the numbers of a chunk",
            path=str(whole),
        )
    return ZarrKey(_path(parts[: at - 1]), tuple(map(int, parts[at:])))


def _path(parts: Sequence[str]) -> DatasetPath | None:
    return DatasetPath(parts[0], tuple(parts[1:])) if parts else None


class ZarrView:
    """Answers for the keys of the store.

    Parameters
    ----------
    library, slices
        From path to file, and from file to items.
    """

    def __init__(self, library: Library, slices: SliceReader, workers: Workers) -> None:
        self._library = library
        self._slices = slices
        self._workers = workers
        self._kept = _Documents()
        self._flights: SingleFlight[tuple[DatasetPath, int], _Listed | None] = SingleFlight()

    async def stop(self) -> None:
        """Give up what is being listed."""
        await self._flights.close()

    async def answer(self, principal: Principal, key: ZarrKey) -> Reply:
        """Answer for a key.

        Raises
        ------
        DatasetNotFound, RootNotFound
            There is nothing, or nothing that Zarr has words for; also for a chunk beyond the shape.
        """
        if key.path is None:
            if key.chunk is not None:
                raise DatasetNotFound("the group of all roots has no chunks")
            roots = {"caterva2": {"roots": list(self._library.roots(principal))}}
            return _document(encode(group_document(roots)), Freshness(fresh=True))
        try:
            entry = await self._library.entry(principal, key.path)
        except NotADataset:
            if key.chunk is not None:
                raise DatasetNotFound(f"{key.path} is a directory", path=str(key.path)) from None
            return await self._group(principal, key.path)
        file, array = await self._open(principal, key.path, entry)
        if key.chunk is None:
            reply = _document(
                array_document(array, key.path.name, _vlmeta(file.entry)), self._library.freshness(key.path)
            )
        else:
            reply = self._chunk(file, array, key.chunk)
        reply.headers[wire.GENERATION] = file.entry.etag
        return reply

    async def _open(
        self, principal: Principal, path: DatasetPath, entry: Entry
    ) -> tuple[OpenedFile, ZarrArray]:
        """Open an array; what can not be one in Zarr does not exist here, and the error says why."""
        try:
            if isinstance(entry.info, BrokenInfo):
                raise NotInZarr(f"it can not be read: {entry.info.reason}")
            if not isinstance(entry.info, ArrayInfo | LazyInfo):
                raise NotInZarr("it is not an array")
            file = await self._library.open(principal, path)
            return file, zarr_array(file.skeleton.array)
        except (NotInZarr, BrokenDataset, BadExpression) as exc:
            raise DatasetNotFound(
                f"{path} is not in the Zarr view: {exc}",
                hint="what is there can be read by /api/fetch and /api/download",
                path=str(path),
            ) from exc

    # chunks

    def _chunk(self, file: OpenedFile, array: ZarrArray, coords: tuple[int, ...]) -> Reply:
        window = array.window(coords)
        key = "/".join(map(str, coords))
        if window is None:
            raise DatasetNotFound(
                f"there is no chunk {key} of {file.path}: its chunks of {array.chunks} make up {array.shape}",
                path=str(file.path),
            )
        body: memoryview | None = None

        async def read(start: int, stop: int) -> AsyncIterator[Buffer]:
            nonlocal body
            if body is None:  # once for all ranges; never for who has it, or wants the header only
                async with self._slices.items(file, window) as items:
                    if items.nbytes <= SMALL or (items.shape, items.dtype) == (array.chunks, array.dtype):
                        body = chunk_bytes(items, array)
                    else:
                        body = await self._workers.run(Lane.CPU, chunk_bytes, items, array)
            yield body[start:stop]

        return Reply(
            etag=f"{file.entry.etag}-zarr{key}", freshness=self._library.freshness(file.path), read=read,
            length=array.chunk_nbytes, mtime_ns=file.entry.mtime_ns,
        )  # fmt: skip

    # groups

    async def _group(self, principal: Principal, path: DatasetPath) -> Reply:
        freshness = self._library.freshness(path)
        version = self._library.version(path)
        if version is None:
            found = await self._list(principal, path)
        else:
            kept = self._kept.find(path, version)
            if kept is not None:
                return _document(kept.body, freshness, kept.etag)
            # Nobody comes here who may not see the path.
            found = await self._flights.run((path, version), lambda: self._list(principal, path))
        body = None
        if found is not None:
            members, reasons = list(found.members), dict(found.reasons)
            await self._add_lazies(principal, path, found.lazies, members, reasons)
            body = await self._workers.run(Lane.CPU, group_of, members, reasons)
        if body is None:
            note = f"not consolidated: more than {MAX_ARRAYS} arrays, or too much metadata; open a directory"
            body = encode(group_document({"caterva2": {"note": note}}))
        etag = _etag(body)
        if version is not None and (found is None or not found.lazies):
            self._kept.add(path, _Kept(version, body, etag))
        return _document(body, freshness, etag)

    async def _list(self, principal: Principal, path: DatasetPath) -> _Listed | None:
        """Return what is known of the arrays below a directory; None if there are too many."""
        entries = await self._library.arrays(principal, path, limit=MAX_ARRAYS + 1)
        if len(entries) > MAX_ARRAYS:
            return None
        return await self._workers.run(
            Lane.CPU, _members, entries, len(path.relative) + 1 if path.parts else 0
        )

    async def _add_lazies(
        self,
        principal: Principal,
        path: DatasetPath,
        lazies: Mapping[str, Lazy],
        members: list[Member],
        reasons: dict[str, str],
    ) -> None:
        """Tell what lazy datasets are now; as they were defined, if looking at their operands takes long."""
        until = asyncio.get_running_loop().time() + LOOK_S
        for name, lazy in lazies.items():
            try:
                try:
                    async with asyncio.timeout_at(until):
                        meta = (await self._library.open(principal, path / name)).skeleton.array
                except (ServiceError, TimeoutError):
                    meta = meta_of(lazy)
                members.append(Member(name, meta, {}))
            except (NotInZarr, NotFound, BadRequest) as exc:
                reasons[name] = str(exc)


class _Listed(NamedTuple):
    """Stored arrays, why others can not be read, and the definitions of lazy ones, by name."""

    members: list[Member]
    reasons: dict[str, str]
    lazies: dict[str, Lazy]


class _Kept(NamedTuple):
    """The document of a directory as it was at a version of its root."""

    version: int
    body: bytes
    etag: str


class _Documents:
    """Documents of directories, for who asks again; the oldest go when they are too many bytes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[DatasetPath, _Kept] = OrderedDict()
        self._nbytes = 0

    def find(self, path: DatasetPath, version: int) -> _Kept | None:
        kept = self._kept.get(path)
        if kept is None or kept.version != version:
            return None
        self._kept.move_to_end(path)
        return kept

    def add(self, path: DatasetPath, kept: _Kept) -> None:
        before = self._kept.pop(path, None)
        self._nbytes += len(kept.body) - (0 if before is None else len(before.body))
        self._kept[path] = kept
        while self._nbytes > KEPT_NBYTES:
            _, oldest = self._kept.popitem(last=False)
            self._nbytes -= len(oldest.body)


def _members(entries: Sequence[Entry], skip: int) -> _Listed:
    members: list[Member] = []
    reasons: dict[str, str] = {}
    lazies: dict[str, Lazy] = {}
    for entry in entries:
        name, info = entry.path[skip:], entry.info
        if isinstance(info, LazyInfo):
            lazies[name] = info.lazy
        elif isinstance(info, BrokenInfo):
            reasons[name] = info.reason
        elif isinstance(info, ArrayInfo):
            try:
                members.append(Member(name, meta_of(info), info.schunk.vlmeta))
            except NotInZarr as exc:
                reasons[name] = str(exc)
    return _Listed(members, reasons, lazies)


def _vlmeta(entry: Entry) -> VlMeta:
    return entry.info.schunk.vlmeta if isinstance(entry.info, ArrayInfo) else {}


def _etag(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def _document(body: bytes, freshness: Freshness, etag: str | None = None) -> Reply:
    async def read(start: int, stop: int) -> AsyncIterator[Buffer]:
        yield body[start:stop]

    return Reply(etag=etag or _etag(body), freshness=freshness, media=wire.JSON, read=read, length=len(body))
