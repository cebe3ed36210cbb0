"""What a publisher answers: lists, descriptions, stored chunks and blocks of one root."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caterva2.errors import BadRequest
from caterva2.model.datasets import Entry, FileInfo
from caterva2.model.requests import BlocksRequest, CatalogPage, CatalogQuery
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.extentreader import ExtentReader, stored_chunk

if TYPE_CHECKING:
    from caterva2.model.events import Event
    from caterva2.model.users import Principal
    from caterva2.roles.localroot import LocalRoot, OpenFile
    from caterva2.runtime.hub import Hub

MAX_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Body:
    """Stored bytes on their way out: how many, of which generation, and the pieces."""

    etag: str
    nbytes: int
    pieces: AsyncIterator[bytes]


class Publisher:
    """One root, for those who may read it.

    Parameters
    ----------
    root
        Its files; started and stopped by the owner.
    workers
        Reads in the disk lane.
    """

    def __init__(self, root: LocalRoot, workers: Workers) -> None:
        self._root = root
        self.workers = workers

    @property
    def name(self) -> str:
        """Name of the root."""
        return self._root.name

    @property
    def hub(self) -> Hub:
        """Events of the root."""
        return self._root.hub

    def allow(self, principal: Principal, event: Event) -> bool:
        """Whether `principal` may see `event`: who reaches a publisher may see everything."""
        return True

    async def names(self) -> list[str]:
        """Return the paths of all files, sorted."""
        return await self._root.names()

    async def entry(self, path: str) -> Entry:
        """Describe a file as it is now; the frame of a plain one may not be made yet."""
        return await self._root.entry(path)

    async def complete(self, entry: Entry) -> Entry:
        """Return an entry whose frame has been made; of a newer generation if there is one by now."""
        if isinstance(entry.info, FileInfo) and entry.info.schunk is None:
            return await self._root.materialise(entry.path)
        return entry

    async def catalog(self, query: CatalogQuery) -> CatalogPage:
        """Return a page of the descriptions of all files.

        Raises
        ------
        BadRequest
            The limit is not positive.
        """
        if query.limit < 1:
            raise BadRequest(f"limit: expected a positive number, found {query.limit}")
        epoch, seq = self.hub.position
        page = await self._root.page(after=query.after, limit=min(query.limit, MAX_PAGE))
        return CatalogPage(entries=page.entries, next=page.next, epoch=epoch, seq=seq)

    @contextlib.asynccontextmanager
    async def chunk(self, path: str, nchunk: int) -> AsyncIterator[Body]:
        """Read one stored chunk.

        Raises
        ------
        BadRequest
            The number is negative.
        NotFound
            There are not so many chunks.
        """
        if nchunk < 0:
            raise BadRequest(f"nchunk: expected a number from 0 on, found {nchunk}")
        async with self._root.open(path) as file:
            begun = await self.workers.run(Lane.DISK, _begin_chunk, file, nchunk)
            yield Body(file.etag, begun.nbytes, self._stream(begun))

    @contextlib.asynccontextmanager
    async def blocks(self, path: str, request: BlocksRequest, etag: str | None) -> AsyncIterator[Body]:
        """Read parts of a stored frame, as records of `caterva2.compute.extents`.

        Parameters
        ----------
        etag
            The generation that is wanted; None for the current one.

        Raises
        ------
        DatasetChanged
            It is not, or no longer, that generation.
        BadRequest
            What is asked for is not inside the frame.
        BrokenDataset
            The file can not be served.
        """
        async with self._root.open(path, etag=etag) as file:
            begun = await self.workers.run(Lane.DISK, _begin_blocks, file, request)
            yield Body(file.etag, begun.nbytes, self._stream(begun))

    async def _stream(self, begun: _Begun) -> AsyncIterator[bytes]:
        piece, left = begun.first, begun.nbytes
        while left > 0 and piece:
            yield piece
            left -= len(piece)
            if left > 0:
                piece = await self.workers.run(Lane.DISK, next, begun.rest, b"")


@dataclass(frozen=True, slots=True)
class _Begun:
    """A body whose first piece has been read already: a small one costs a single hop to a thread."""

    nbytes: int
    first: bytes
    rest: Iterator[bytes]


def _begin_blocks(file: OpenFile, request: BlocksRequest) -> _Begun:
    reader = ExtentReader(file.frame, file.skeleton, request)
    batches = reader.batches()
    return _Begun(reader.nbytes, next(batches, b""), batches)


def _begin_chunk(file: OpenFile, nchunk: int) -> _Begun:
    nbytes, pieces = stored_chunk(file.frame, file.skeleton, nchunk)
    return _Begun(nbytes, next(pieces, b""), pieces)
