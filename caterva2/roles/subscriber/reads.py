"""What the reading endpoints answer, without HTTP: which form an answer takes, and what it consists of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from caterva2.compute.answers import Selection, array_chunk, result_dtype, whole_frame
from caterva2.compute.frames import CHUNK_HEADER, SPECIAL_UNINIT, Buffer, special_chunk
from caterva2.compute.gather import parse_indices
from caterva2.compute.planning import chunk_window
from caterva2.compute.tables import window_of
from caterva2.errors import BadRequest
from caterva2.model import wire
from caterva2.model.datasets import Entry, FileInfo
from caterva2.model.paths import DatasetPath
from caterva2.model.requests import FetchQuery
from caterva2.model.roots import Freshness
from caterva2.model.slicing import Axis, NDSlice, Window
from caterva2.model.users import Principal
from caterva2.roles.subscriber.blocks import BlockReader
from caterva2.roles.subscriber.explain import check_query
from caterva2.roles.subscriber.gather import Gatherer
from caterva2.roles.subscriber.library import Library
from caterva2.roles.subscriber.opened import LazyFile, OpenedFile, StoredFile
from caterva2.roles.subscriber.slices import SliceReader
from caterva2.roles.subscriber.tables import Tables
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.source import StoredFrame

PLAIN_BYTES = 1 << 20


class Caller(NamedTuple):
    """What matters of who asks.

    Attributes
    ----------
    local
        On this machine, with no proxy between.
    stored
        Can decode stored chunks.
    frames
        Takes a plain file as its frame (``Accept-Encoding: blosc2``).
    has
        Tells whether he names an etag as one of what he has: then nothing is read or computed.
    """

    local: bool = False
    stored: bool = False
    frames: bool = False
    has: Callable[[str], bool] = lambda _: False


@dataclass(slots=True, kw_only=True)
class Reply:
    """An answer with data. Exactly one of `buffers`, `stream`, `read` and `make` is there.

    Attributes
    ----------
    make
        Gives the buffers; not called for a client that has them already. It may set `headers`.
    read
        Gives any bytes ``[start, stop)`` of a body of `length` bytes.
    prepare
        Fetches many such ranges together.
    length
        Bytes of the body; None if it shows only when sent.
    filename
        Name under which a whole file is saved.
    """

    etag: str
    freshness: Freshness
    media: str = wire.BINARY
    buffers: Sequence[Buffer] | None = None
    make: Callable[[], Awaitable[Sequence[Buffer]]] | None = None
    stream: AsyncGenerator[Buffer, None] | None = None
    read: Callable[[int, int], AsyncIterator[Buffer]] | None = None
    prepare: Callable[[Sequence[tuple[int, int]]], Awaitable[None]] | None = None
    length: int | None = None
    mtime_ns: int = 0
    filename: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Reads:
    """The reading endpoints' service.

    Parameters
    ----------
    library, reader, slices, gatherer, tables
        From path to file, to stored parts, to windows, to single items, to rows by a condition.
    """

    def __init__(
        self,
        library: Library,
        reader: BlockReader,
        slices: SliceReader,
        gatherer: Gatherer,
        tables: Tables,
        workers: Workers,
    ) -> None:
        self._library = library
        self._reader = reader
        self._slices = slices
        self._gatherer = gatherer
        self._tables = tables
        self._workers = workers

    async def fetch(
        self, principal: Principal, path: DatasetPath, query: FetchQuery, caller: Caller
    ) -> Reply:
        """Answer ``/api/fetch``: a window as a frame or as stored chunks, or the whole stored file."""
        check_query(query)
        file = await self._library.open(principal, path)
        if query.filter is not None or query.sortby is not None:
            if caller.has(_combined(file.entry.etag, query)):
                return self._unchanged(file, _combined(file.entry.etag, query))
            return labelled(await self._selected(file, query, caller), file.entry)
        if query.indices is not None:
            if caller.has(_combined(file.entry.etag, query)):
                return self._unchanged(file, _combined(file.entry.etag, query))
            return labelled(await self._gathered(file, query, caller), file.entry)
        return labelled(await self._window(file, query, caller), file.entry)

    async def download(self, principal: Principal, path: DatasetPath, caller: Caller) -> Reply:
        """Answer ``/api/download``: a whole file as it was published."""
        plain = await self._library.open_plain(principal, path)
        if plain is not None and not caller.frames:
            frame, entry = plain
            return labelled(self._plain_local(path, frame, entry), entry)
        file = await self._library.open(principal, path)
        return labelled(await self._downloaded(file, caller), file.entry)

    async def chunk(self, principal: Principal, path: DatasetPath, nchunk: int, caller: Caller) -> Reply:
        """Answer ``/api/chunk``: one stored chunk."""
        file = await self._library.open(principal, path)
        etag = f"{file.entry.etag}-chunk{nchunk}"
        if caller.has(etag):
            return self._unchanged(file, etag)
        return labelled(await self._stored_chunk(file, nchunk), file.entry)

    async def renew(self, principal: Principal, path: DatasetPath) -> None:
        """Take up the new generation of a file that changed while it was read."""
        await self._library.renew(principal, path)

    async def _window(self, file: OpenedFile, query: FetchQuery, caller: Caller) -> Reply:
        asked = NDSlice.parse(query.slice_)
        array = file.skeleton.meta
        if query.field is not None:
            result_dtype(file.skeleton.array, query.field)
        if not isinstance(file, LazyFile) and asked.is_whole and query.field is None:
            return self._whole(file, suffix=".b2" if isinstance(file.entry.info, FileInfo) else "")
        window = asked.bind(file.skeleton.array.shape)
        whole = array is not None and query.field is None and window.covers(array.shape)
        if whole and not isinstance(file, LazyFile):
            return self._whole(file)
        selection = Selection(window, query.field, caller.local)
        etag = f"{file.entry.etag}-{''.join((query.slice_ or '').split()).replace(',', ';')}"
        if query.field is not None:
            etag = _combined(file.entry.etag, query)
        freshness = self._library.freshness(file.path)
        if not isinstance(file, LazyFile) and caller.stored and self._slices.prefers_stored(file, selection):
            if caller.has(f"{etag}-chunks"):
                return self._unchanged(file, f"{etag}-chunks")
            length, records = await self._slices.stored(file, window)
            return Reply(
                etag=f"{etag}-chunks",
                freshness=freshness,
                media=wire.EXTENTS,
                stream=await primed(records),
                length=length,
                mtime_ns=file.entry.mtime_ns,
                headers={"Vary": "Accept"},
            )
        if caller.has(etag):
            return self._unchanged(file, etag)
        answer = await self._slices.frame(file, selection)
        return Reply(
            etag=etag, freshness=freshness, buffers=answer.buffers, stream=answer.stream,
            length=answer.length, mtime_ns=file.entry.mtime_ns, filename=file.path.name if whole else None,
        )  # fmt: skip

    async def _gathered(self, file: OpenedFile, query: FetchQuery, caller: Caller) -> Reply:
        shape = file.skeleton.array.shape
        indices = await self._workers.run(Lane.CPU, parse_indices, query.indices or "", shape)
        if query.field is not None:
            result_dtype(file.skeleton.array, query.field)
        frame = await self._gatherer.frame(file, indices, query.field, local=caller.local)
        return Reply(
            etag=_combined(file.entry.etag, query), freshness=self._library.freshness(file.path),
            buffers=frame, length=sum(map(len, frame)), mtime_ns=file.entry.mtime_ns,
        )  # fmt: skip

    async def _selected(self, file: OpenedFile, query: FetchQuery, caller: Caller) -> Reply:
        """Select rows; a slice then is one of the rows that are selected."""
        if query.field is not None:
            result_dtype(file.skeleton.array, query.field)
        asked = NDSlice.parse(query.slice_)
        async with self._tables.rows(file, query.filter, query.sortby) as rows:
            window = asked.bind(rows.shape)
            selection = Selection(window, query.field, caller.local)
            items = await self._workers.run(Lane.CPU, window_of, rows, window)
        frame = await self._workers.run(Lane.CPU, whole_frame, items, selection, plain=False)
        return Reply(
            etag=_combined(file.entry.etag, query), freshness=self._library.freshness(file.path),
            buffers=frame, length=sum(map(len, frame)), mtime_ns=file.entry.mtime_ns,
        )  # fmt: skip

    def _unchanged(self, file: OpenedFile, etag: str) -> Reply:
        """Return the answer for somebody who has it already: it tells the generation, and has no body."""
        reply = Reply(
            etag=etag, freshness=self._library.freshness(file.path), buffers=(), length=0,
            mtime_ns=file.entry.mtime_ns,
        )  # fmt: skip
        return labelled(reply, file.entry)

    def _whole(self, file: StoredFile, suffix: str = "", headers: dict[str, str] | None = None) -> Reply:
        name = file.path.name + suffix
        return Reply(
            etag=file.entry.etag,
            freshness=self._library.freshness(file.path),
            read=lambda start, stop: self._reader.spans(file, start, stop),
            prepare=lambda ranges: self._reader.prefetch(file, ranges),
            length=file.skeleton.size,
            mtime_ns=file.entry.mtime_ns,
            filename=name,
            headers=headers or {},
        )

    async def _downloaded(self, file: OpenedFile, caller: Caller) -> Reply:
        if isinstance(file, LazyFile):
            return await self._window(file, FetchQuery(), caller)
        if not isinstance(file.entry.info, FileInfo):
            return self._whole(file)
        if caller.frames:
            return self._whole(file, headers={"Content-Encoding": "blosc2", "Vary": "Accept-Encoding"})
        return Reply(
            etag=f"{file.entry.etag}-plain",
            freshness=self._library.freshness(file.path),
            media=guess_media(file.path.name),
            read=lambda start, stop: self._plain(file, start, stop),
            length=file.skeleton.nbytes,
            mtime_ns=file.entry.mtime_ns,
            filename=file.path.name,
            headers={"Vary": "Accept-Encoding"},
        )

    async def _plain(self, file: OpenedFile, start: int, stop: int) -> AsyncIterator[Buffer]:
        """Yield the bytes of a plain file from its frame, in steps that follow its chunks."""
        itemsize = file.skeleton.array.dtype.itemsize  # more than 1 only in a frame that others have made
        step = max(1, min(file.skeleton.chunksize, PLAIN_BYTES) // itemsize) * itemsize
        at = start
        while at < stop:
            end = min(stop, (at // step + 1) * step)
            first, last = at // itemsize, -(-end // itemsize)
            items = await self._slices.array(file, Window((Axis(first, last),)))
            yield items.tobytes()[at - first * itemsize : end - first * itemsize]
            at = end

    def _plain_local(self, path: DatasetPath, stored: StoredFrame, entry: Entry) -> Reply:
        async def read(start: int, stop: int) -> AsyncIterator[Buffer]:
            # Called once for each byte range, or never: the file is closed when the reply is dropped.
            at = start
            while at < stop:
                n = min(PLAIN_BYTES, stop - at)
                yield await self._workers.run(Lane.DISK, stored.read, at, n)
                at += n

        return Reply(
            etag=f"{stored.etag}-plain", freshness=self._library.freshness(path),
            media=guess_media(path.name), read=read, length=stored.size, mtime_ns=entry.mtime_ns,
            filename=path.name, headers={"Vary": "Accept-Encoding"},
        )  # fmt: skip

    async def _stored_chunk(self, file: OpenedFile, nchunk: int) -> Reply:
        skeleton = file.skeleton
        if not 0 <= nchunk < skeleton.nchunks:
            raise BadRequest(f"chunk {nchunk} is out of range: {file.path} has {skeleton.nchunks} chunks")
        if isinstance(file, LazyFile):
            return await self._computed_chunk(file, nchunk)
        if skeleton.special(nchunk):
            data = special_chunk(skeleton, nchunk)
        else:
            start, stop = int(skeleton.offsets[nchunk]), int(skeleton.stops[nchunk])
            stored = b"".join([bytes(part) async for part in self._reader.spans(file, start, stop)])
            data = stored[: int.from_bytes(stored[12:16], "little")]
            if len(data) >= CHUNK_HEADER and stored[31] >> 4 & 7 == SPECIAL_UNINIT:
                data = data[:31] + bytes([1 << 4])
        return Reply(
            etag=f"{file.entry.etag}-chunk{nchunk}", freshness=self._library.freshness(file.path),
            buffers=[data], length=len(data), mtime_ns=file.entry.mtime_ns,
        )  # fmt: skip

    async def _computed_chunk(self, file: LazyFile, nchunk: int) -> Reply:
        array = file.skeleton.array
        items = await self._slices.array(file, chunk_window(array, nchunk))
        data = await self._workers.run(Lane.CPU, array_chunk, items, array)
        return Reply(
            etag=f"{file.entry.etag}-chunk{nchunk}", freshness=self._library.freshness(file.path),
            buffers=[data], length=len(data), mtime_ns=file.entry.mtime_ns,
        )  # fmt: skip


def labelled(reply: Reply, entry: Entry) -> Reply:
    """Tell the generation: a client that reads in several requests must not mix two."""
    reply.headers[wire.GENERATION] = entry.etag
    return reply


async def primed(stream: AsyncGenerator[Buffer, None]) -> AsyncGenerator[Buffer, None]:
    """Wait for the first part of a stream, so that what fails at once can still be told with a status."""
    try:
        first = await anext(stream)
    except StopAsyncIteration:
        return _nothing()
    return _continued(first, stream)


async def _nothing() -> AsyncGenerator[Buffer, None]:
    parts: tuple[Buffer, ...] = ()
    for part in parts:
        yield part


async def _continued(first: Buffer, rest: AsyncGenerator[Buffer, None]) -> AsyncGenerator[Buffer, None]:
    try:
        yield first
        async for part in rest:
            yield part
    finally:
        await rest.aclose()


def guess_media(name: str) -> str:
    """Guess the media type of a plain file by its name.

    Scripts and styles are plain texts: our page may load them from this server, and
    those that users have stored must not pass for its own.
    """
    import mimetypes

    media, encoding = mimetypes.guess_type(name)
    if media is None or encoding is not None:
        return wire.BINARY
    return "text/plain" if _ACTIVE.search(media) else media


_ACTIVE = re.compile(r"(java|ecma|j|live)script|/css|xsl|x-component|wasm|manifest")


def _combined(etag: str, query: FetchQuery) -> str:
    text = repr((query.slice_, query.indices, query.field, query.filter, query.sortby))
    return f"{etag}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
