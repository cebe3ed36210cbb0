"""Stored parts of open files, wherever they are: from disk, from the cache, or from their publisher."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from caterva2.compute.extents import (
    ChunkPiece,
    Record,
    check_record,
    chunks_in_range,
    most_record_bytes,
    piece_from_record,
)
from caterva2.compute.frames import Buffer, Skeleton
from caterva2.errors import CorruptChunk
from caterva2.model.requests import BlocksRequest
from caterva2.roles.subscriber.opened import LocalFile, RemoteFile, StoredFile
from caterva2.roles.subscriber.readahead import STALL_S, ReadAhead
from caterva2.roles.subscriber.traffic import Traffic
from caterva2.runtime.budget import Budget
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.blockcache import Mirror

logger = logging.getLogger(__name__)

GROUP_BYTES = 4 << 20
GROUP_CHUNKS = 256
READ_BYTES = 2 << 20
STREAMED, LEAST_BYTES = 16 << 20, 64 << 10
"""What all streams of whole files together take at once, and what each may in any case."""
MEMORY = 16 << 20


class Want(NamedTuple):
    """Blocks of a chunk; None for all."""

    nchunk: int
    blocks: list[int] | None


class Span(NamedTuple):
    """Bytes ``[start, stop)`` of a stored frame; `nchunk` is -1 outside of its chunks."""

    nchunk: int
    start: int
    stop: int


@dataclass(eq=False)
class _Flight:
    """A request to a publisher that is under way."""

    wants: dict[int, frozenset[int] | None]
    task: asyncio.Task[dict[int, Record]]
    waiters: int = field(default=0)


class BlockReader:
    """Reads parts of open files, with bounded memory.

    However many ask for a block that is not here, it is fetched once.

    Parameters
    ----------
    workers
        Lanes for disk and network.
    traffic
        Counters of what came from where.
    memory
        Bytes that all readers together may hold.
    stall_s
        See `caterva2.roles.subscriber.readahead`.
    """

    def __init__(
        self,
        workers: Workers,
        traffic: Traffic,
        *,
        memory: int = MEMORY,
        streamed: int = STREAMED,
        stall_s: float = STALL_S,
    ) -> None:
        self._workers = workers
        self._streamed = streamed
        self._traffic = traffic
        self._budget = Budget(memory)
        self._ahead = ReadAhead(self._budget, stall_s=stall_s)
        self._streams = 0
        self._flying: dict[tuple[int, int], list[_Flight]] = {}
        self._tasks: set[asyncio.Task[dict[int, Record]]] = set()

    async def stop(self) -> None:
        """End all requests that are under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def pieces(self, file: StoredFile, wants: Sequence[Want]) -> AsyncIterator[list[ChunkPiece]]:
        """Yield the wanted parts in their order, several chunks at a time.

        Raises
        ------
        PublisherUnavailable
            A block is not here, and its publisher does not answer.
        DatasetChanged
            The file is no longer of this generation.
        """
        groups = _groups(file.skeleton, wants)
        async for pieces in self._ahead.in_order(groups, lambda group: self._group(file, group)):
            yield pieces

    async def spans(self, file: StoredFile, start: int, stop: int) -> AsyncIterator[Buffer]:
        """Yield bytes ``[start, stop)`` of the stored frame.

        Raises
        ------
        PublisherUnavailable, DatasetChanged
            As `pieces`.
        """
        self._streams += 1
        try:
            if isinstance(file, LocalFile):
                async for part in self._local_spans(file, start, stop):
                    yield part
                return
            groups = _span_groups(file.skeleton, start, stop, self._share(GROUP_BYTES))
            async for parts in self._ahead.in_order(groups, lambda group: self._span_group(file, group)):
                while parts:
                    yield parts.pop(0)
        finally:
            self._streams -= 1

    def _share(self, nbytes: int) -> int:
        """Return how many bytes a stream may take at once: what its client does not read stays in memory."""
        return max(LEAST_BYTES, min(nbytes, self._streamed // self._streams))

    async def prefetch(self, file: StoredFile, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetch what is missing of many byte ranges in one request, if that is not much."""
        if not isinstance(file, RemoteFile) or file.mirror is None:
            return
        mirror = file.mirror
        absent = await self._workers.run(Lane.DISK, _absent_ranges, mirror, list(ranges))
        if len(absent) < 2 or sum(stop - start for start, stop in absent) > GROUP_BYTES:
            return
        await self._request(file, BlocksRequest(ranges=absent))

    async def _local_spans(self, file: LocalFile, start: int, stop: int) -> AsyncIterator[Buffer]:
        at = start
        while at < stop:
            n = min(self._share(READ_BYTES), stop - at)
            yield await self._workers.run(Lane.DISK, file.frame.read, at, n)
            at += n

    async def _group(self, file: StoredFile, wants: Sequence[Want]) -> list[ChunkPiece]:
        if isinstance(file, LocalFile):
            return await self._workers.run(Lane.DISK, _read_local, file, wants)
        held: list[ChunkPiece | None] = [None] * len(wants)
        missing = list(wants)
        if file.mirror is not None:
            held, missing = await self._workers.run(Lane.DISK, read_cached, file.mirror, wants)
        else:
            held = [_special_piece(file.skeleton, want.nchunk) for want in wants]
            missing = [w for w, piece in zip(wants, held, strict=True) if piece is None]
        nbytes = sum(piece.nbytes_held for piece in held if piece is not None)
        self._traffic.looked_up(len(wants), len(missing), nbytes)
        if not missing:
            return [piece for piece in held if piece is not None]
        records = await self._fetch(file, missing)
        return await self._workers.run(Lane.CPU, _merge_all, wants, held, records, file.skeleton)

    async def _span_group(self, file: RemoteFile, spans: Sequence[Span]) -> list[Buffer]:
        parts: list[Buffer | None] = [None] * len(spans)
        if file.mirror is not None:
            parts = await self._workers.run(Lane.DISK, _read_spans, file.mirror, spans)
        missing = [span for span, part in zip(spans, parts, strict=True) if part is None]
        nbytes = sum(len(part) for part in parts if part is not None)
        self._traffic.looked_up(len(spans), len(missing), nbytes)
        if not missing:
            return [part for part in parts if part is not None]
        skeleton = file.skeleton
        whole = [
            s for s in missing
            if s.nchunk >= 0 and s.start == skeleton.offsets[s.nchunk] and s.stop == skeleton.stops[s.nchunk]
        ]  # fmt: skip
        records: dict[int, Record] = {}
        if whole:
            records = await self._fetch(file, [Want(s.nchunk, None) for s in whole])
        rest = [s for s in missing if s not in whole]
        if rest:
            ranges = [(s.start, s.stop) for s in rest]
            received = await self._request(
                file, BlocksRequest(skeleton=any(s.nchunk < 0 for s in rest), ranges=ranges)
            )
            records = {**received, **records}
        return [
            part if part is not None else _span_bytes(span, records)
            for span, part in zip(spans, parts, strict=True)
        ]

    async def _fetch(self, file: RemoteFile, wants: Sequence[Want]) -> dict[int, Record]:
        """Fetch what nobody is fetching yet, and wait for what others are fetching."""
        flights: set[_Flight] = set()
        own: list[Want] = []
        for nchunk, blocks in wants:
            rest = blocks
            for flight in self._flying.get((id(file), nchunk), ()):
                flying = flight.wants[nchunk]
                if flight.task.cancelling():
                    continue
                if flying is None:
                    flights.add(flight)
                    rest = []
                    break
                if rest is not None and not flying.isdisjoint(rest):
                    flights.add(flight)
                    rest = [b for b in rest if b not in flying]
            if rest is None or rest:
                own.append(Want(nchunk, rest))
        if own:
            flights.add(self._launch(file, own))
        merged: dict[int, Record] = {}
        for flight in flights:  # all of them, before the first wait: a flight without waiters is called off
            flight.waiters += 1
        try:
            for flight in flights:
                for nchunk, record in (await asyncio.shield(flight.task)).items():
                    merged[nchunk] = _join(merged.get(nchunk), record)
        finally:
            for flight in flights:
                flight.waiters -= 1
                if not flight.waiters and not flight.task.done():
                    flight.task.cancel()
        return merged

    def _launch(self, file: RemoteFile, wants: Sequence[Want]) -> _Flight:
        request = BlocksRequest(chunks=[(want.nchunk, want.blocks) for want in wants])
        task = asyncio.create_task(self._request(file, request))
        flight = _Flight({w.nchunk: None if w.blocks is None else frozenset(w.blocks) for w in wants}, task)
        self._tasks.add(task)
        for nchunk in flight.wants:
            self._flying.setdefault((id(file), nchunk), []).append(flight)

        def landed(_: object) -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                task.exception()  # those who wait get it; nobody waiting is fine
            for nchunk in flight.wants:
                flights = self._flying[id(file), nchunk]
                flights.remove(flight)
                if not flights:
                    del self._flying[id(file), nchunk]

        task.add_done_callback(landed)
        return flight

    async def _request(self, file: RemoteFile, request: BlocksRequest) -> dict[int, Record]:
        records: dict[int, Record] = {}
        mirror, skeleton = file.mirror, file.skeleton
        asked = {nchunk for nchunk, _ in request.chunks}
        for start, stop in request.ranges:
            asked.update(chunks_in_range(skeleton, start, stop))

        def keep(record: Record) -> None:
            nchunk = record.units.nchunk
            check_record(record, skeleton)
            if nchunk not in asked and nchunk != -1:
                raise CorruptChunk(f"chunk {nchunk} came, and was not asked for")
            records[nchunk] = _join(records.get(nchunk), record)
            if mirror is not None:
                mirror.put(record)

        most = most_record_bytes(skeleton, list(asked))
        nbytes = await file.root.blocks(file.entry, request, keep, most=most)
        self._traffic.fetched(nbytes)
        return records


def _groups(skeleton: Skeleton, wants: Sequence[Want]) -> list[tuple[list[Want], int]]:
    """Cut wants into groups of about `GROUP_BYTES` stored bytes."""
    groups: list[tuple[list[Want], int]] = []
    group: list[Want] = []
    total = 0
    for want in wants:
        nbytes = int(skeleton.stops[want.nchunk] - skeleton.offsets[want.nchunk])
        if want.blocks is not None and skeleton.blocks_per_chunk:
            nbytes = nbytes * len(want.blocks) // skeleton.blocks_per_chunk
        if group and (total + nbytes > GROUP_BYTES or len(group) >= GROUP_CHUNKS):
            groups.append((group, total))
            group, total = [], 0
        group.append(want)
        total += nbytes
    if group:
        groups.append((group, total))
    return groups


def _span_groups(skeleton: Skeleton, start: int, stop: int, nbytes: int) -> Iterable[tuple[list[Span], int]]:
    """Cut bytes of the frame into spans, in groups of about `nbytes`, however large a chunk is."""
    group: list[Span] = []
    total = 0
    for span in _split(skeleton, _cut(skeleton, start, stop), nbytes):
        if group and total + span.stop - span.start > nbytes:
            yield group, total
            group, total = [], 0
        group.append(span)
        total += span.stop - span.start
    if group:
        yield group, total


def _split(skeleton: Skeleton, spans: Iterable[Span], nbytes: int) -> Iterable[Span]:
    """Cut spans of much more than `nbytes`, if parts of a chunk can be read without all of it."""
    # Chunks with a dictionary or the delta filter (3) are one unit: see compute.frames.
    one_by_one = skeleton.blocks_per_chunk > 1 and not skeleton.use_dict and 3 not in skeleton.filters
    for span in spans:
        if span.nchunk < 0 or not one_by_one or span.stop - span.start <= 2 * nbytes:
            yield span
            continue
        for at in range(span.start, span.stop, nbytes):
            yield Span(span.nchunk, at, min(at + nbytes, span.stop))


def _cut(skeleton: Skeleton, start: int, stop: int) -> Iterable[Span]:
    """Cut bytes of the frame into spans that lie in one chunk, or before or behind all chunks."""
    if start < skeleton.start:
        yield Span(-1, start, min(stop, skeleton.start))
    for nchunk in chunks_in_range(skeleton, start, stop):
        yield Span(nchunk, max(start, int(skeleton.offsets[nchunk])), min(stop, int(skeleton.stops[nchunk])))
    if stop > skeleton.stop:
        yield Span(-1, max(start, skeleton.stop), stop)


def _special_piece(skeleton: Skeleton, nchunk: int) -> ChunkPiece | None:
    special = skeleton.special(nchunk)
    return ChunkPiece(nchunk, None, b"", special=special) if special else None


def _read_local(file: LocalFile, wants: Sequence[Want]) -> list[ChunkPiece]:
    return [file.piece(want.nchunk, want.blocks) for want in wants]


def read_cached(mirror: Mirror, wants: Sequence[Want]) -> tuple[list[ChunkPiece | None], list[Want]]:
    """Read what is cached of some chunks; return that, and what is missing. Blocking."""
    held: list[ChunkPiece | None] = []
    missing: list[Want] = []
    for want in wants:
        nchunk, blocks = want
        piece = mirror.piece(nchunk, blocks)
        if piece is None:
            absent = mirror.missing(nchunk, blocks)
            head = mirror.head(nchunk)
            if absent and head is not None:
                wanted = range(head[1].nblocks) if blocks is None else blocks
                lacking = set(absent)
                piece = mirror.piece(nchunk, [b for b in wanted if b not in lacking])
            missing.append(Want(nchunk, absent) if piece is not None else want)
        held.append(piece)
    return held, missing


def _read_spans(mirror: Mirror, spans: Sequence[Span]) -> list[Buffer | None]:
    return [
        mirror.skeleton_bytes(span.start, span.stop)
        if span.nchunk < 0
        else mirror.chunk_bytes(span.nchunk, span.start, span.stop)
        for span in spans
    ]


def _absent_ranges(mirror: Mirror, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    return [
        (start, stop)
        for start, stop in ranges
        if not all(
            mirror.has_bytes(span.start, span.stop, span.nchunk)
            for span in _cut(mirror.skeleton, start, stop)
            if span.nchunk >= 0
        )
    ]


def _join(first: Record | None, second: Record) -> Record:
    return second if first is None else first.joined(second)


def _merge_all(
    wants: Sequence[Want],
    held: Sequence[ChunkPiece | None],
    records: dict[int, Record],
    skeleton: Skeleton,
) -> list[ChunkPiece]:
    return [_merge(want, piece, records, skeleton) for want, piece in zip(wants, held, strict=True)]


def _merge(want: Want, held: ChunkPiece | None, records: dict[int, Record], skeleton: Skeleton) -> ChunkPiece:
    record = records.get(want.nchunk)
    if record is None:
        if held is None:
            raise CorruptChunk(f"the publisher did not send chunk {want.nchunk}")
        return held
    piece = piece_from_record(record, skeleton)
    if held is not None and held.layout is not None:
        for block, part in held.blocks.items():
            piece.blocks.setdefault(block, part)
    if piece.layout is not None and piece.layout.nblocks:
        wanted = range(piece.layout.nblocks) if want.blocks is None else want.blocks
        if not piece.blocks.keys() >= set(wanted):
            raise CorruptChunk(f"the publisher did not send all blocks of chunk {want.nchunk}")
    return piece


def _span_bytes(span: Span, records: dict[int, Record]) -> Buffer:
    record = records.get(span.nchunk)
    if record is None:
        raise CorruptChunk(f"the publisher did not send chunk {span.nchunk}")
    return record.cut(span.start, span.stop)
