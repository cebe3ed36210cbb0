"""Reading the parts of a stored frame that a request names, in the records of `caterva2.compute.extents`.

Nothing is decompressed. What is in memory at a time is about `BATCH_BYTES`,
however large the frame, its chunks and the request are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from caterva2.compute.extents import (
    PREFIX,
    Units,
    chunk_units,
    chunks_in_range,
    encode_head,
    encode_record,
    encode_special,
    read_layout,
    skeleton_units,
    units_in_range,
)
from caterva2.compute.frames import (
    SPECIAL_NAN,
    SPECIAL_UNINIT,
    SPECIAL_ZERO,
    Skeleton,
    special_chunk,
)
from caterva2.errors import BadRequest, BrokenDataset, NotFound

if TYPE_CHECKING:
    from caterva2.model.requests import BlocksRequest
    from caterva2.storage.source import StoredFrame

BATCH_BYTES = 1 << 20
MAX_RECORDS = 1 << 17
MAX_RANGES = 1 << 12

_KEPT_UNITS = 50_000


@dataclass(slots=True)
class _Want:
    """Which blocks and byte ranges are wanted of one chunk."""

    blocks: set[int] = field(default_factory=set)
    ranges: list[tuple[int, int]] = field(default_factory=list)


_WHOLE = _Want()
"""Everything of a chunk is wanted; never changed."""


class ExtentReader:
    """The answer to one request. All methods block.

    Parameters
    ----------
    frame, skeleton
        Where to read; has to stay open until the last batch.

    Attributes
    ----------
    nbytes
        Size of all records together.

    Raises
    ------
    BadRequest
        A chunk, block or range is not inside the frame, or there are too many.
    BrokenDataset
        A chunk contradicts the frame.
    DatasetChanged
        The file was written in place.
    """

    def __init__(self, frame: StoredFrame, skeleton: Skeleton, request: BlocksRequest) -> None:
        self._frame = frame
        self._skeleton = skeleton
        self._with_skeleton = request.skeleton
        self._wants = self._read_request(request)
        self._planned: dict[int, Units] = {}
        order = skeleton.offsets
        self._nchunks = sorted(self._wants, key=lambda nchunk: (int(order[nchunk]), nchunk))
        self.nbytes = skeleton_units(skeleton).record_size if self._with_skeleton else 0
        kept = 0
        for nchunk in self._nchunks:
            units = self._units(nchunk)
            self.nbytes += PREFIX.size if units is None else units.record_size
            if units is not None and kept < _KEPT_UNITS:
                kept += len(units.numbers)
                self._planned[nchunk] = units

    def batches(self) -> Iterator[bytes]:
        """Yield the records in pieces of about `BATCH_BYTES`; each is read when it is asked for."""
        waiting: list[bytes] = []
        size = 0
        for piece in self._pieces():
            if len(piece) >= BATCH_BYTES // 2:  # not worth a copy
                if waiting:
                    yield b"".join(waiting)
                    waiting, size = [], 0
                yield piece
                continue
            waiting.append(piece)
            size += len(piece)
            if size >= BATCH_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
        if waiting:
            yield b"".join(waiting)

    def _pieces(self) -> Iterator[bytes]:
        if self._with_skeleton:
            yield from self._record(skeleton_units(self._skeleton))
        for nchunk in self._nchunks:
            units = self._planned.pop(nchunk, None)
            if units is None:
                units = self._units(nchunk)
            if units is None:
                yield encode_special(nchunk, self._skeleton.special(nchunk))
            else:
                yield from self._record(units)

    def _record(self, units: Units) -> Iterator[bytes]:
        read = self._frame.read
        runs = [(int(units.offsets[first]), nbytes) for first, _, nbytes in units.runs()]
        if units.nbytes <= 4 * BATCH_BYTES:
            yield from encode_record(units, [read(*run) for run in runs])  # type: ignore[misc]
            return
        # The digests come first: read once for them, and once more to send.
        yield encode_head(units, [self._digest(*unit) for unit in _pairs(units)])
        for run in runs:
            for step in _steps(*run):
                yield read(*step)

    def _digest(self, offset: int, length: int) -> int:
        state = xxhash.xxh3_64()
        for step in _steps(offset, length):
            state.update(self._frame.read(*step))
        return state.intdigest() or 1

    def _units(self, nchunk: int) -> Units | None:
        """Return the wanted units of a chunk; None for a special value."""
        skeleton, want = self._skeleton, self._wants[nchunk]
        if check_special(skeleton, nchunk):
            return None
        _, layout = read_layout(self._frame.read, skeleton, nchunk)
        if want is _WHOLE:
            return chunk_units(skeleton, nchunk, layout, None)
        if layout.nblocks and want.blocks and max(want.blocks) >= layout.nblocks:
            raise BadRequest(
                f"block {max(want.blocks)} of chunk {nchunk} was wanted; it has {layout.nblocks} blocks"
            )
        parts = [units_in_range(skeleton, nchunk, layout, *span) for span in want.ranges]
        if want.blocks or not parts:
            parts.append(chunk_units(skeleton, nchunk, layout, sorted(want.blocks)))
        return parts[0] if len(parts) == 1 else _union(parts)

    def _read_request(self, request: BlocksRequest) -> dict[int, _Want]:
        skeleton = self._skeleton
        wants: dict[int, _Want] = {}
        for nchunk, blocks in request.chunks:
            if not 0 <= nchunk < skeleton.nchunks:
                raise BadRequest(f"chunk {nchunk} was wanted; there are {skeleton.nchunks}")
            if blocks is None:
                wants[nchunk] = _WHOLE
                continue
            if min(blocks, default=0) < 0:
                raise BadRequest(f"block {min(blocks)} of chunk {nchunk} was wanted")
            want = wants.setdefault(nchunk, _Want())
            if want is not _WHOLE:
                want.blocks.update(blocks)
        if len(request.ranges) > MAX_RANGES:
            raise BadRequest(
                f"{len(request.ranges)} ranges were wanted at once; at most {MAX_RANGES} are read"
            )
        for start, stop in request.ranges:
            if not 0 <= start <= stop <= skeleton.size:
                raise BadRequest(f"bytes {start}:{stop} were wanted; the frame has {skeleton.size}")
            if start < stop and (start < skeleton.start or stop > skeleton.stop):
                self._with_skeleton = True
            for nchunk in chunks_in_range(skeleton, start, stop) if start < stop else ():
                want = wants.setdefault(nchunk, _Want())
                if want is not _WHOLE:
                    want.ranges.append((start, stop))
            if len(wants) > MAX_RECORDS:
                break
        if len(wants) > MAX_RECORDS:
            raise BadRequest(f"more than {MAX_RECORDS} chunks were wanted at once")
        return wants


def stored_chunk(frame: StoredFrame, skeleton: Skeleton, nchunk: int) -> tuple[int, Iterator[bytes]]:
    """Return the size of one stored chunk, and its bytes in pieces. Blocking.

    Raises
    ------
    NotFound
        There are not so many chunks.
    BrokenDataset
        The chunk contradicts the frame.
    """
    if nchunk >= skeleton.nchunks:
        raise NotFound(f"chunk {nchunk} was wanted; there are {skeleton.nchunks}")
    if check_special(skeleton, nchunk):
        chunk = special_chunk(skeleton, nchunk)
        return len(chunk), iter([chunk])
    _, layout = read_layout(frame.read, skeleton, nchunk)
    start = int(skeleton.offsets[nchunk])
    return layout.cbytes, (frame.read(*step) for step in _steps(start, layout.cbytes))


def check_special(skeleton: Skeleton, nchunk: int) -> bool:
    """Tell whether a frame only names a chunk by its special value.

    Raises
    ------
    BrokenDataset
        It names one that does not exist.
    """
    if skeleton.offsets[nchunk] >= 0:
        return False
    if skeleton.special(nchunk) not in {SPECIAL_ZERO, SPECIAL_NAN, SPECIAL_UNINIT} or skeleton.variable:
        raise BrokenDataset(f"the frame gives no meaning to the value of chunk {nchunk}")
    return True


def _union(parts: list[Units]) -> Units:
    numbers = np.concatenate([part.numbers for part in parts])
    offsets = np.concatenate([part.offsets for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])
    _, first = np.unique(numbers, return_index=True)
    first = first[np.argsort(offsets[first], kind="stable")]
    return Units(parts[0].nchunk, numbers[first], offsets[first], lengths[first])


def _pairs(units: Units) -> Iterator[tuple[int, int]]:
    return zip(units.offsets.tolist(), units.lengths.tolist(), strict=True)


def _steps(offset: int, length: int) -> Iterator[tuple[int, int]]:
    for start in range(offset, offset + length, BATCH_BYTES):
        yield start, min(BATCH_BYTES, offset + length - start)
