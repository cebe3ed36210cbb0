"""Parts of stored chunks on the wire: the media type ``application/vnd.caterva2.chunks``.

A body is a sequence of records. Numbers are little-endian. A record is

======================  =========================================================
``u8 kind``             1 skeleton, 2 chunk, 3 special chunk
``u8 special``          ``SPECIAL_…`` of a special chunk, else 0
``u16``                 0
``u32 nunits``          units that follow; 0 for a special chunk
``i64 nchunk``          flat index of the chunk; -1 for the skeleton
``u32[nunits]``         unit numbers
``u64[nunits]``         offset of each unit in the stored frame
``u32[nunits]``         length of each unit, in bytes
``u64[nunits]``         xxh3-64 digest of each unit; 0 if the sender gives none
bytes                   the units, one after the other
======================  =========================================================

Units of the skeleton: 0, what lies before the chunks; 1, what lies behind.
Units of a chunk: 0, its head (or all of it, if it can not be cut); 1 + b,
block b; ``Skeleton.width - 1``, the unused bytes behind it.
"""

from __future__ import annotations

import itertools
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import xxhash

from caterva2.compute.frames import (
    CHUNK_HEADER,
    Buffer,
    ChunkLayout,
    Read,
    Skeleton,
    head_length,
    parse_chunk,
)
from caterva2.errors import BrokenDataset, CorruptChunk

SKELETON, CHUNK, SPECIAL = 1, 2, 3
PREFIX = struct.Struct("<BBHIq")
PER_UNIT = 4 + 8 + 4 + 8
MAX_UNITS = 1 << 17
MAX_RECORD = 2**31
UNBOUNDED = 1 << 62
MAX_KEPT, MOST_KEPT = 4 << 20, 6

ReadInto: TypeAlias = Callable[[memoryview], None]


def digest(data: Buffer) -> int:
    """Return the checksum of a unit; 0 is never one (it marks absence)."""
    return xxhash.xxh3_64_intdigest(data) or 1


@dataclass(frozen=True, slots=True)
class Units:
    """Which units of one chunk, and where they lie in the stored frame.

    Attributes
    ----------
    numbers, offsets, lengths
        (nunits,) Unit numbers, offsets in the frame and lengths, in bytes.
    """

    nchunk: int
    numbers: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Bytes of all units together."""
        return int(self.lengths.sum())

    @property
    def record_size(self) -> int:
        """Bytes of the record."""
        return PREFIX.size + PER_UNIT * len(self.numbers) + self.nbytes

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Yield (index of the first unit, index behind the last, bytes) of neighbours in the frame."""
        ends = self.offsets + self.lengths
        breaks = np.flatnonzero(ends[:-1] != self.offsets[1:]) + 1
        bounds = [0, *breaks.tolist(), len(self.numbers)]
        for first, end in itertools.pairwise(bounds):
            yield first, end, int(ends[end - 1] - self.offsets[first])


@dataclass(slots=True)
class ChunkPiece:
    """A chunk of which some or all blocks are there.

    Attributes
    ----------
    head
        Header and table of blocks; the complete chunk if it can not be cut.
    blocks
        Stored bytes by block number.
    whole
        The complete chunk in one piece, if that is at hand.
    """

    nchunk: int
    layout: ChunkLayout | None
    head: Buffer
    blocks: dict[int, Buffer] = field(default_factory=dict)
    whole: Buffer | None = None
    special: int = 0

    @property
    def nbytes_held(self) -> int:
        """Bytes of memory that this keeps."""
        if self.whole is not None:
            return len(self.whole)
        return len(self.head) + sum(len(part) for part in self.blocks.values())


def skeleton_units(skeleton: Skeleton) -> Units:
    """Return the two units of a skeleton.

    Some frames leave the size of their blocks to their chunks: for these the first unit goes on to the
    header of the first chunk.
    """
    before = skeleton.start
    if skeleton.blocksize == 0 and skeleton.start < skeleton.stop:
        before += CHUNK_HEADER
    behind = skeleton.size - skeleton.stop
    return Units(-1, np.array([0, 1]), np.array([0, skeleton.stop]), np.array([before, behind]))


def chunk_units(skeleton: Skeleton, nchunk: int, layout: ChunkLayout, blocks: Sequence[int] | None) -> Units:
    """Return the units that hold some blocks of a chunk (its head always), or all of them and the gap.

    They are in the order of the frame. A chunk that can not be cut gives all of it.
    """
    base = int(skeleton.offsets[nchunk])
    gap = int(skeleton.stops[nchunk]) - base - layout.cbytes
    if layout.nblocks == 0:
        wanted = np.empty(0, np.int64)
    elif blocks is None:
        wanted = np.arange(layout.nblocks)
    else:
        wanted = np.unique(np.asarray(blocks, np.int64))
    if blocks is None and layout.nblocks:
        wanted = wanted[np.argsort(layout.starts, kind="stable")]
    elif len(wanted):
        wanted = wanted[np.argsort(layout.starts[wanted], kind="stable")]
    numbers = [np.zeros(1, np.int64), wanted + 1]
    offsets = [np.array([base]), base + layout.starts[wanted]]
    lengths = [np.array([layout.head_size]), layout.stops[wanted] - layout.starts[wanted]]
    if blocks is None and gap:
        numbers.append(np.array([skeleton.width - 1]))
        offsets.append(np.array([base + layout.cbytes]))
        lengths.append(np.array([gap]))
    return Units(nchunk, np.concatenate(numbers), np.concatenate(offsets), np.concatenate(lengths))


def units_in_range(skeleton: Skeleton, nchunk: int, layout: ChunkLayout, start: int, stop: int) -> Units:
    """Return the units of a chunk that touch bytes ``[start, stop)`` of the frame (its head always)."""
    every = chunk_units(skeleton, nchunk, layout, None)
    keep = (every.offsets < stop) & (every.offsets + every.lengths > start)
    keep[0] = True
    return Units(nchunk, every.numbers[keep], every.offsets[keep], every.lengths[keep])


def read_layout(read: Read, skeleton: Skeleton, nchunk: int) -> tuple[bytes, ChunkLayout]:
    """Read the head of a stored chunk. Blocking."""
    head = read(int(skeleton.offsets[nchunk]), head_length(skeleton, nchunk))
    return head, parse_chunk(head, skeleton, nchunk)


def chunks_in_range(skeleton: Skeleton, start: int, stop: int) -> list[int]:
    """Return the chunks whose bytes touch ``[start, stop)`` of the frame, in the order of the frame."""
    order = skeleton.file_order
    offsets = skeleton.offsets[order]
    first = int(np.searchsorted(skeleton.stops[order], start, side="right"))
    end = int(np.searchsorted(offsets, stop, side="left"))
    return [int(n) for n in order[first:end]]


def encode_record(units: Units, parts: Sequence[Buffer]) -> list[Buffer]:
    """Return a record as buffers to be written one after the other.

    Parameters
    ----------
    parts
        The bytes of each run of neighbours, as `Units.runs` gives them.
    """
    digests: list[int] = []
    for (first, end, _), part in zip(units.runs(), parts, strict=True):
        view = memoryview(part)
        at = 0
        for length in units.lengths[first:end].tolist():
            digests.append(digest(view[at : at + length]))
            at += length
    return [encode_head(units, digests), *parts]


def encode_head(units: Units, digests: Sequence[int]) -> bytes:
    """Return what a record begins with: everything but the bytes of its units."""
    kind = SKELETON if units.nchunk < 0 else CHUNK
    return b"".join(
        (
            PREFIX.pack(kind, 0, 0, len(units.numbers), units.nchunk),
            units.numbers.astype("<u4").tobytes(),
            units.offsets.astype("<u8").tobytes(),
            units.lengths.astype("<u4").tobytes(),
            np.array(digests, "<u8").tobytes(),
        )
    )


def encode_special(nchunk: int, special: int) -> bytes:
    """Return the record of a chunk that the frame only names by its special value."""
    return PREFIX.pack(SPECIAL, special, 0, 0, nchunk)


@dataclass(frozen=True, slots=True)
class Record:
    """A decoded record: the units, their digests, and their bytes one after the other."""

    units: Units
    digests: npt.NDArray[np.uint64]
    payload: memoryview
    special: int = 0

    def parts(self) -> list[memoryview]:
        """Return the bytes of each unit. Not copied."""
        out = []
        at = 0
        for length in self.units.lengths.tolist():
            out.append(self.payload[at : at + length])
            at += length
        return out

    def joined(self, other: Record) -> Record:
        """Return a record with the units of both; a unit in both is taken once."""
        new = ~np.isin(other.units.numbers, self.units.numbers)
        if not new.any():
            return self
        first, second = self.units, other.units
        numbers = np.concatenate([first.numbers, second.numbers[new]])
        offsets = np.concatenate([first.offsets, second.offsets[new]])
        lengths = np.concatenate([first.lengths, second.lengths[new]])
        digests = np.concatenate([self.digests, other.digests[new]])
        parts = [
            *self.parts(),
            *(part for part, keep in zip(other.parts(), new.tolist(), strict=True) if keep),
        ]
        order = np.argsort(offsets, kind="stable")
        payload = memoryview(b"".join(parts[i] for i in order.tolist()))
        units = Units(first.nchunk, numbers[order], offsets[order], lengths[order])
        return Record(units, digests[order], payload, self.special)

    def cut(self, start: int, stop: int) -> memoryview:
        """Return bytes ``[start, stop)`` of the frame.

        Raises
        ------
        CorruptChunk
            They are not all in this record.
        """
        offsets = self.units.offsets
        ends = offsets + self.units.lengths
        touched = np.flatnonzero((offsets < stop) & (ends > start))
        if not len(touched) or offsets[touched[0]] > start or ends[touched[-1]] < stop:
            raise CorruptChunk(f"bytes of chunk {self.units.nchunk} are missing")
        if np.any(ends[touched[:-1]] != offsets[touched[1:]]):
            raise CorruptChunk(f"bytes of chunk {self.units.nchunk} are missing")
        at = int(self.units.lengths[: touched[0]].sum()) + start - int(offsets[touched[0]])
        return self.payload[at : at + stop - start]

    def verify(self) -> None:
        """Compare every unit with its digest, if it was given one.

        Raises
        ------
        CorruptChunk
            One differs: the data were damaged on their way.
        """
        if not self.digests.any():
            return
        for part, expected in zip(self.parts(), self.digests.tolist(), strict=True):
            if expected and digest(part) != expected:
                raise CorruptChunk(f"chunk {self.units.nchunk} was damaged on its way")


class Payloads:
    """Memory for payloads, used again once it was given back; by any threads."""

    def __init__(self) -> None:
        self._free: list[npt.NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def take(self, nbytes: int) -> memoryview:
        """Return a buffer of `nbytes` undefined bytes."""
        with self._lock:
            while self._free:
                memory = self._free.pop()
                if len(memory) >= nbytes:
                    return memoryview(memory.data)[:nbytes]
        return memoryview(np.empty(nbytes + nbytes // 16, np.uint8).data)[:nbytes]

    def give(self, payload: memoryview) -> None:
        """Give a buffer back; nothing may refer to it any more."""
        memory = payload.obj
        if isinstance(memory, np.ndarray) and memory.nbytes <= MAX_KEPT:
            with self._lock:
                if len(self._free) < MOST_KEPT:
                    self._free.append(memory)


def new_payload(nbytes: int) -> memoryview:
    """Return a buffer of its own."""
    return memoryview(np.empty(nbytes, np.uint8).data)


def read_records(
    readinto: ReadInto,
    *,
    total: int = UNBOUNDED,
    count: int = UNBOUNDED,
    allocate: Callable[[int], memoryview] = new_payload,
) -> Iterator[Record]:
    """Decode records as they arrive.

    Parameters
    ----------
    readinto
        Fills a buffer completely; raises if the stream ends early. Blocking.
    total, count
        Bytes of the body, and number of records in it, as far as they are known.
    allocate
        Gives the buffers of the payloads.

    Yields
    ------
    Record
        With a payload from `allocate`.
    """
    left = total
    prefix = bytearray(PREFIX.size)
    while left > 0 and count > 0:
        count -= 1
        readinto(memoryview(prefix))
        kind, special, _, nunits, nchunk = PREFIX.unpack(prefix)
        left -= PREFIX.size
        if kind not in {SKELETON, CHUNK, SPECIAL} or nunits > MAX_UNITS or PER_UNIT * nunits > left:
            raise CorruptChunk("the answer is not a sequence of chunk records")
        table = bytearray(PER_UNIT * nunits)
        if nunits:
            readinto(memoryview(table))
        left -= len(table)
        lengths = np.frombuffer(table, "<u4", nunits, 12 * nunits)
        nbytes = int(lengths.sum(dtype=np.int64))
        if nbytes > min(left, MAX_RECORD):
            raise CorruptChunk("a chunk record is longer than the answer")
        record = _record(table, nunits, nchunk, special, allocate(nbytes))
        if nbytes:
            readinto(record.payload)
        left -= nbytes
        yield record


def _record(table: bytearray, nunits: int, nchunk: int, special: int, payload: memoryview) -> Record:
    numbers = np.frombuffer(table, "<u4", nunits, 0).astype(np.int64)
    offsets = np.frombuffer(table, "<u8", nunits, 4 * nunits).astype(np.int64)
    lengths = np.frombuffer(table, "<u4", nunits, 12 * nunits).astype(np.int64)
    digests = np.frombuffer(table, "<u8", nunits, 16 * nunits).astype(np.uint64)
    return Record(Units(nchunk, numbers, offsets, lengths), digests, payload, special)


def check_record(record: Record, skeleton: Skeleton) -> None:
    """Check that the units of a record are those of a frame, where the frame has them.

    Raises
    ------
    CorruptChunk
        They are not: the sender lies, or talks of another frame.
    """
    units = record.units
    nchunk = units.nchunk
    expected: Units
    if nchunk == -1:
        expected = skeleton_units(skeleton)
    elif not 0 <= nchunk < skeleton.nchunks:
        raise CorruptChunk(f"chunk {nchunk} does not exist; there are {skeleton.nchunks}")
    elif skeleton.special(nchunk) or record.special:
        if record.special != skeleton.special(nchunk) or len(units.numbers):
            raise CorruptChunk(f"chunk {nchunk} is not the special value that the frame says")
        return
    else:
        if not len(units.numbers) or units.numbers[0] != 0:
            raise CorruptChunk(f"the record of chunk {nchunk} has no head")
        try:
            layout = parse_chunk(record.payload[: int(units.lengths[0])], skeleton, nchunk)
        except BrokenDataset as exc:
            raise CorruptChunk(exc.message) from exc
        expected = chunk_units(skeleton, nchunk, layout, None)
    order = np.argsort(expected.numbers, kind="stable")
    at = np.searchsorted(expected.numbers[order], units.numbers)
    known = (at < len(order)) & (units.numbers >= 0)
    found = order[np.where(known, at, 0)]
    if (
        not known.all()
        or len(np.unique(units.numbers)) != len(units.numbers)
        or not np.array_equal(expected.numbers[found], units.numbers)
        or not np.array_equal(expected.offsets[found], units.offsets)
        or not np.array_equal(expected.lengths[found], units.lengths)
    ):
        raise CorruptChunk(f"the parts of chunk {nchunk} do not lie where the frame has them")


def most_record_bytes(skeleton: Skeleton, nchunks: Sequence[int]) -> int:
    """Return the bytes that the records of the skeleton and of some chunks can have at the most."""
    chosen = np.asarray(nchunks, np.int64)
    stored = int((skeleton.stops[chosen] - skeleton.offsets[chosen]).sum()) if len(chosen) else 0
    outside = skeleton.size - (skeleton.stop - skeleton.start) + CHUNK_HEADER
    return stored + outside + (len(chosen) + 1) * (PREFIX.size + PER_UNIT * skeleton.width)


def piece_from_record(record: Record, skeleton: Skeleton) -> ChunkPiece:
    """Return the chunk piece in a record; parses the head that it brings."""
    nchunk = record.units.nchunk
    if record.special:
        return ChunkPiece(nchunk, None, b"", special=record.special)
    parts = record.parts()
    if not len(record.units.numbers) or record.units.numbers[0] != 0:
        raise CorruptChunk(f"the record of chunk {nchunk} has no head")
    layout = parse_chunk(parts[0], skeleton, nchunk)
    return piece_from_units(record.units, layout, record.payload)


def piece_from_units(units: Units, layout: ChunkLayout, payload: memoryview) -> ChunkPiece:
    """Return a piece from the bytes of units that lie one after the other, head first."""
    head = payload[: layout.head_size]
    if layout.nblocks == 0:
        return ChunkPiece(units.nchunk, layout, head, whole=head)
    blocks: dict[int, Buffer] = {}
    at = 0
    for number, length in zip(units.numbers.tolist(), units.lengths.tolist(), strict=True):
        if 0 < number <= layout.nblocks:
            blocks[number - 1] = payload[at : at + length]
        at += length
    whole = payload[: layout.cbytes] if len(blocks) == layout.nblocks else None
    return ChunkPiece(units.nchunk, layout, head, blocks, whole)


def read_piece(
    read: Read,
    skeleton: Skeleton,
    nchunk: int,
    blocks: Sequence[int] | None,
    head: tuple[bytes, ChunkLayout] | None = None,
) -> ChunkPiece:
    """Read some blocks of a chunk (None for all) of a stored frame. Blocking.

    Parameters
    ----------
    head
        What `read_layout` gave for this chunk before, if it is at hand.
    """
    special = skeleton.special(nchunk)
    if special:
        return ChunkPiece(nchunk, None, b"", special=special)
    first, layout = head or read_layout(read, skeleton, nchunk)
    if blocks is not None and len(blocks) == 1 and layout.nblocks:
        block = blocks[0]
        start, stop = int(layout.starts[block]), int(layout.stops[block])
        data = read(int(skeleton.offsets[nchunk]) + start, stop - start)
        return ChunkPiece(nchunk, layout, first[: layout.head_size], {block: data})
    if layout.nblocks == 0 or blocks is None or len(blocks) == layout.nblocks:
        payload = memoryview(read(int(skeleton.offsets[nchunk]), layout.cbytes))
        units = chunk_units(skeleton, nchunk, layout, None if layout.nblocks else ())
        return piece_from_units(units, layout, payload)
    units = chunk_units(skeleton, nchunk, layout, blocks)
    held: dict[int, Buffer] = {}
    for start, end, nbytes in units.runs():
        part = memoryview(read(int(units.offsets[start]), nbytes))
        at = 0
        for number, length in zip(
            units.numbers[start:end].tolist(), units.lengths[start:end].tolist(), strict=True
        ):
            if number:
                held[number - 1] = part[at : at + length]
            at += length
    return ChunkPiece(nchunk, layout, first[: layout.head_size], held)


def record_size(skeleton: Skeleton, nchunk: int, layout: ChunkLayout, blocks: Sequence[int] | None) -> int:
    """Return the bytes of the record that `piece_record` makes of some blocks of a chunk (None: all)."""
    if blocks is None and layout.nblocks:
        return PREFIX.size + PER_UNIT * (1 + layout.nblocks) + layout.cbytes
    return chunk_units(skeleton, nchunk, layout, blocks if layout.nblocks else ()).record_size


def piece_record(piece: ChunkPiece, skeleton: Skeleton) -> list[Buffer]:
    """Return the record of a piece, as buffers to be written one after the other.

    For a client: without digests, the connection has checksums of its own.
    """
    layout = piece.layout
    if layout is None:
        return [encode_special(piece.nchunk, piece.special)]
    if layout.nblocks == 0:
        units = chunk_units(skeleton, piece.nchunk, layout, ())
        return [encode_head(units, [0]), piece.head]
    units = chunk_units(skeleton, piece.nchunk, layout, sorted(piece.blocks))
    none = [0] * len(units.numbers)
    if piece.whole is not None:
        return [encode_head(units, none), piece.whole]
    numbers = units.numbers.tolist()
    parts = [
        b"".join(piece.blocks[number - 1] if number else piece.head for number in numbers[first:end])
        for first, end, _ in units.runs()
    ]
    return [encode_head(units, none), *parts]
