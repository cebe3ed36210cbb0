"""Windows of open files to answers: small ones in one step, large ones piece by piece."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import math
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import IO, NamedTuple, cast

from caterva2.compute.answers import (
    Selection,
    answer_chunk,
    answer_parts,
    result_dtype,
    whole_frame,
)
from caterva2.compute.assemble import Array, ScratchPool, empty, fill
from caterva2.compute.codec import Geometry, answer_geometry, dtype_to_text, frame_ends
from caterva2.compute.extents import (
    PREFIX,
    ChunkPiece,
    encode_record,
    piece_record,
    record_size,
    skeleton_units,
)
from caterva2.compute.frames import CHUNK_HEADER, ArrayMeta, Buffer
from caterva2.compute.planning import Touched, chunk_count, decoded_nbytes, touched_chunks
from caterva2.compute.smallwindow import BlockCut, cut_window, decode_block, fill_small
from caterva2.errors import OutOfRoom, ResponseTooLarge
from caterva2.model.slicing import Window
from caterva2.roles.subscriber.blocks import BlockReader, Want
from caterva2.roles.subscriber.decoded import DecodedBlocks
from caterva2.roles.subscriber.opened import LazyFile, OpenedFile, StoredFile
from caterva2.runtime.budget import Budget
from caterva2.runtime.workers import Lane, Workers

logger = logging.getLogger(__name__)

FEW_CHUNKS = 64
PLAN_BATCH = 1024
SMALL = 256 << 10
SMALL_BLOCKS = 256
"""Stored blocks of at most so many uncompressed bytes, and so many of them, are decoded in one step."""
NOW_BLOCKS = 4
NOW_BYTES = 128 << 10
"""Windows of so many blocks, of so many uncompressed bytes, that are in memory are decoded without a lane:
20 us for a block of 64 KiB, where handing over takes 50 us and more. See docs/performance.md."""
ONE_PIECE = 4 << 20
"""Answers of at most so many bytes are put together in memory."""
SPOOL_MEMORY = 1 << 20
RESULTS = 24 << 20
"""Bytes of arrays that all requests together may be putting together."""
MAX_ANSWER = 16 << 30
MAX_CHUNKS = 1 << 18
"""Most chunks of a window: each takes some 20 us, however small it is."""
COPY_BYTES = 1 << 20


class Answer(NamedTuple):
    """Body of an answer: buffers, or a stream of known length."""

    buffers: Sequence[Buffer] | None
    stream: AsyncGenerator[Buffer, None] | None
    length: int


class SliceReader:
    """Answers windows of open files.

    Parameters
    ----------
    reader
        Gives stored parts.
    spool
        Directory for answers that are too large for memory.
    """

    def __init__(self, reader: BlockReader, workers: Workers, spool: os.PathLike[str]) -> None:
        self._reader = reader
        self._workers = workers
        self._spool = spool
        self._decoded = DecodedBlocks()
        self._scratches = ScratchPool()
        self._results = Budget(RESULTS)

    # as a new frame

    async def frame(self, file: OpenedFile, selection: Selection) -> Answer:
        """Return the items of a window as a contiguous frame.

        Raises
        ------
        ResponseTooLarge
            It has more than `MAX_ANSWER` bytes, or touches more than `MAX_CHUNKS` chunks.
        PublisherUnavailable, DatasetChanged, CorruptChunk
            From reading.
        """
        array = file.skeleton.array
        dtype = result_dtype(array, selection.field)
        nbytes = selection.window.size * dtype.itemsize
        if nbytes > MAX_ANSWER:
            raise ResponseTooLarge(
                f"the window has {nbytes} bytes; at most {MAX_ANSWER} are sent at once",
                hint="ask for it in parts",
            )
        small = await self._small(file, selection.window)
        if small is not None:
            frame = whole_frame(small, selection, plain=file.skeleton.meta is None)
            return Answer(frame, None, sum(map(len, frame)))
        if not isinstance(file, LazyFile):
            _check_chunks(file, selection.window)
        if nbytes <= ONE_PIECE and selection.window.size * array.dtype.itemsize <= 4 * ONE_PIECE:
            async with self._assembled(file, selection.window, copies=2) as out:
                frame = await self._workers.run(
                    Lane.CPU, whole_frame, out, selection, plain=file.skeleton.meta is None
                )
            return Answer(frame, None, sum(map(len, frame)))
        try:
            return await self._spooled(file, selection)
        except OutOfRoom as exc:
            logger.info("an answer is sent uncompressed, for it can not be put together: %s", exc.message)
            return self._uncompressed(file, selection)

    async def _small(self, file: OpenedFile, window: Window) -> Array | None:
        """Return the items of a window of a few blocks that are here; None for all others."""
        if isinstance(file, LazyFile):
            return None
        array = file.skeleton.array
        _check_chunks(file, window)
        limit = min(SMALL_BLOCKS, max(1, SMALL // max(1, array.block_nbytes)))
        cuts = cut_window(array, window, limit)
        if cuts is None:
            return None
        out = self._quick(file, window, cuts)
        if out is not None:
            return out
        decoded = await self._workers.run(Lane.DISK, _decode_cached, file, cuts)
        if decoded is None:
            return None
        self._keep(file, cuts, decoded)
        return fill_small(_taker(cuts, decoded), array, window.full_shape, cuts)

    def _quick(self, file: OpenedFile, window: Window, cuts: Sequence[BlockCut]) -> Array | None:
        """Take a small window from what is in memory: sooner done than handed to a lane."""
        array = file.skeleton.array
        quick = len(cuts) <= NOW_BLOCKS and len(cuts) * array.block_nbytes <= NOW_BYTES

        def read(nchunk: int, block: int) -> Array | None:
            items = self._decoded.find(file, nchunk, block)
            if items is None and quick:
                piece = file.block_now(nchunk, block)
                if piece is not None:
                    items = decode_block(piece, block, array)
                    self._decoded.keep(file, nchunk, block, items)
            return items

        return fill_small(read, array, window.full_shape, cuts)

    def _keep(self, file: OpenedFile, cuts: Sequence[BlockCut], decoded: Sequence[Array]) -> None:
        for cut, items in zip(cuts, decoded, strict=True):
            self._decoded.keep(file, cut.nchunk, cut.block, items)

    @contextlib.asynccontextmanager
    async def items(self, file: OpenedFile, window: Window, *, copies: int = 2) -> AsyncIterator[Array]:
        """Give the items of a window, of ``window.full_shape``, as soon as may be.

        Parameters
        ----------
        copies
            How many of them there may be inside the block.
        """
        small = await self._small(file, window)
        if small is not None:
            yield small
            return
        async with self._assembled(file, window, copies=copies) as out:
            yield out

    async def array(self, file: OpenedFile, window: Window) -> Array:
        """Return the items of a window, of ``window.full_shape``; for windows that fit in memory."""
        async with self._assembled(file, window) as out:
            return out

    @contextlib.asynccontextmanager
    async def _assembled(self, file: OpenedFile, window: Window, *, copies: int = 1) -> AsyncIterator[Array]:
        """Give the items of a window; room for so many `copies` of them is kept inside the block."""
        if isinstance(file, LazyFile):  # computing reads its operands within the same bound
            yield await file.evaluate(window)
            return
        array = file.skeleton.array
        out: Array | None = None
        held = 0
        fills: collections.deque[asyncio.Task[None]] = collections.deque()
        try:
            async for part in self._touched(array, window):
                coords = {touched.nchunk: touched.coords for touched in part}
                wants = [Want(touched.nchunk, touched.blocks) for touched in part]
                async for pieces in self._reader.pieces(file, wants):
                    if out is None:  # not before: who waits for a publisher should hold no memory
                        held = await self._results.acquire(copies * window.size * array.dtype.itemsize)
                        out = empty(window, array)
                    put = self._workers.run(
                        Lane.CPU, _fill_all, out, pieces, array, window, coords, self._scratches
                    )
                    fills.append(asyncio.create_task(put))
                    if len(fills) >= 2 * self._workers.size(Lane.CPU):
                        await fills.popleft()
            while fills:
                await fills.popleft()
            yield empty(window, array) if out is None else out
        finally:
            for task in fills:
                task.cancel()
            await asyncio.gather(*fills, return_exceptions=True)
            if held:
                self._results.release(held)

    async def _touched(self, array: ArrayMeta, window: Window) -> AsyncGenerator[list[Touched], None]:
        """Yield the chunks of a window, planned in a lane if there are many."""
        parts = touched_chunks(array, window, PLAN_BATCH)
        if chunk_count(array, window) <= FEW_CHUNKS:
            for part in parts:
                yield part
            return
        while (part_or_end := await self._workers.run(Lane.CPU, next, parts, None)) is not None:
            yield part_or_end

    async def _spooled(self, file: OpenedFile, selection: Selection) -> Answer:
        """Make a large frame chunk by chunk in a temporary file: its header needs the size of all."""
        array = file.skeleton.array
        window = selection.window
        dtype = result_dtype(array, selection.field)
        nbytes = window.size * dtype.itemsize
        geometry = self._geometry(file, selection)
        spool = await self._workers.run(Lane.DISK, _open_spool, self._spool)
        try:
            sizes: list[int] = []
            pending: list[asyncio.Task[bytes]] = []
            try:
                for sub in _parts(window, geometry):
                    pending.append(asyncio.create_task(self._chunk(file, sub, selection, geometry)))
                    if len(pending) >= 2:
                        sizes.append(await self._workers.run(Lane.DISK, _append, spool, await pending.pop(0)))
                while pending:
                    sizes.append(await self._workers.run(Lane.DISK, _append, spool, await pending.pop(0)))
            finally:
                for task in pending:
                    task.cancel()
                await asyncio.gather(*pending, return_exceptions=True)
            blocksize = math.prod(geometry.blocks) * dtype.itemsize
            chunksize = math.prod(geometry.chunks) * dtype.itemsize
            total = chunksize * len(sizes) if file.skeleton.meta else nbytes
            before, after = frame_ends(
                sizes, total, geometry if file.skeleton.meta else None,
                dtype_to_text(dtype), dtype.itemsize, blocksize, chunksize, clevel=1,
            )  # fmt: skip
        except BaseException:
            spool.close()
            raise
        stream = self._read_spool(before, spool, after)
        await anext(stream)  # a generator that never began does nothing when it is closed
        return Answer(None, stream, len(before) + sum(sizes) + len(after))

    def _uncompressed(self, file: OpenedFile, selection: Selection) -> Answer:
        """Make a large frame chunk by chunk as it is sent: of uncompressed chunks the sizes are known."""
        array, meta = file.skeleton.array, file.skeleton.meta
        dtype = result_dtype(array, selection.field)
        geometry = self._geometry(file, selection)
        chunksize = math.prod(geometry.chunks) * dtype.itemsize
        total = chunksize * geometry.nchunks if meta else selection.window.size * dtype.itemsize
        sizes = [CHUNK_HEADER + min(chunksize, total - n * chunksize) for n in range(geometry.nchunks)]
        before, after = frame_ends(
            sizes, total, geometry if meta else None, dtype_to_text(dtype), dtype.itemsize,
            math.prod(geometry.blocks) * dtype.itemsize, chunksize,
        )  # fmt: skip

        async def stream() -> AsyncGenerator[Buffer, None]:
            yield before
            for sub in _parts(selection.window, geometry):
                yield await self._chunk(file, sub, selection, geometry, raw=True)
            yield after

        return Answer(None, stream(), len(before) + sum(sizes) + len(after))

    @staticmethod
    def _geometry(file: OpenedFile, selection: Selection) -> Geometry:
        array, window = file.skeleton.array, selection.window
        near = [c for c, axis in zip(array.chunks, window.axes, strict=True) if not axis.drop]
        return answer_geometry(window.shape, near, result_dtype(array, selection.field).itemsize)

    async def _chunk(
        self, file: OpenedFile, sub: Window, selection: Selection, geometry: Geometry, *, raw: bool = False
    ) -> bytes:
        async with self._assembled(file, sub, copies=2) as out:
            return await self._workers.run(
                Lane.CPU,
                answer_chunk,
                out,
                sub,
                selection.field,
                geometry,
                plain=file.skeleton.meta is None,
                raw=raw,
            )

    async def _read_spool(
        self, before: bytes, spool: IO[bytes], after: bytes
    ) -> AsyncGenerator[Buffer, None]:
        try:
            yield b""
            yield before
            spool.seek(0)
            while True:
                data = await self._workers.run(Lane.DISK, spool.read, COPY_BYTES)
                if not data:
                    break
                yield data
            yield after
        finally:
            spool.close()

    # as stored chunks

    def prefers_stored(self, file: OpenedFile, selection: Selection) -> bool:
        """Whether a window is better sent as stored chunks to a client that can decode them."""
        if isinstance(file, LazyFile) or selection.field is not None or file.skeleton.meta is None:
            return False
        array = file.skeleton.array
        nbytes = selection.window.size * array.dtype.itemsize
        if nbytes < ONE_PIECE:
            return False
        ratio = file.skeleton.cbytes / max(1, file.skeleton.nbytes)
        return decoded_nbytes(array, selection.window) * ratio <= nbytes

    async def stored(
        self, file: StoredFile, window: Window
    ) -> tuple[int | None, AsyncGenerator[Buffer, None]]:
        """Return the records that hold a window: the skeleton of the frame, then its chunks.

        Returns
        -------
        int or None, async generator
            Bytes of all records, if they can be told without fetching anything; and the records.
        """
        nbytes = None
        _check_chunks(file, window)
        if chunk_count(file.skeleton.array, window) <= PLAN_BATCH:
            nbytes = await self._workers.run(Lane.DISK, _records_size, file, window)
        return nbytes, self._records(file, window)

    async def _records(self, file: StoredFile, window: Window) -> AsyncGenerator[Buffer, None]:
        units = skeleton_units(file.skeleton)
        parts = []
        for start, nbytes in zip(units.offsets.tolist(), units.lengths.tolist(), strict=True):
            parts.append(b"".join([bytes(p) async for p in self._reader.spans(file, start, start + nbytes)]))
        for buffer in await self._workers.run(Lane.CPU, encode_record, units, parts):
            yield buffer
        async for part in self._touched(file.skeleton.array, window):
            wants = [Want(touched.nchunk, touched.blocks) for touched in part]
            async for pieces in self._reader.pieces(file, wants):
                for buffer in await self._workers.run(Lane.CPU, _encode_all, pieces, file):
                    yield buffer


def _parts(window: Window, geometry: Geometry) -> Iterator[Window]:
    """Yield the window of each chunk of an answer."""
    for part in answer_parts([axis for axis in window.axes if not axis.drop], geometry):
        full = iter(part)
        yield Window(tuple(axis if axis.drop else next(full) for axis in window.axes))


def _check_chunks(file: OpenedFile, window: Window) -> None:
    nchunks = chunk_count(file.skeleton.array, window)
    if nchunks > MAX_CHUNKS:
        raise ResponseTooLarge(
            f"the window touches {nchunks} chunks; at most {MAX_CHUNKS} are read at once",
            hint="ask for it in parts",
        )


def _records_size(file: StoredFile, window: Window) -> int | None:
    """Return the bytes of the records of a window; None if a chunk's head is not here."""
    skeleton = file.skeleton
    total = skeleton_units(skeleton).record_size
    for part in touched_chunks(skeleton.array, window, PLAN_BATCH):
        for nchunk, _, blocks in part:
            if skeleton.special(nchunk):
                total += PREFIX.size
                continue
            head = file.head(nchunk)
            if head is None:
                return None
            total += record_size(skeleton, nchunk, head[1], blocks)
    return total


def _fill_all(
    out: Array,
    pieces: Sequence[ChunkPiece],
    array: ArrayMeta,
    window: Window,
    coords: Mapping[int, tuple[int, ...]],
    scratches: ScratchPool,
) -> None:
    with scratches.borrow() as scratch:
        for piece in pieces:
            fill(out, piece, array, window, coords[piece.nchunk], scratch)


def _encode_all(pieces: Sequence[ChunkPiece], file: OpenedFile) -> list[Buffer]:
    return [buffer for piece in pieces for buffer in piece_record(piece, file.skeleton)]


def _decode_cached(file: OpenedFile, cuts: Sequence[BlockCut]) -> list[Array] | None:
    """Read and decode the blocks of a small window in one step; None if one is not here."""
    decoded = []
    for nchunk, block, _, _ in cuts:
        piece = file.piece(nchunk, [block])
        if piece is None:
            return None
        decoded.append(decode_block(piece, block, file.skeleton.array))
    return decoded


def _taker(cuts: Sequence[BlockCut], decoded: Sequence[Array]) -> Callable[[int, int], Array | None]:
    by_block = {(cut.nchunk, cut.block): items for cut, items in zip(cuts, decoded, strict=True)}
    return lambda nchunk, block: by_block.get((nchunk, block))


def _open_spool(directory: os.PathLike[str]) -> IO[bytes]:
    return cast("IO[bytes]", tempfile.SpooledTemporaryFile(SPOOL_MEMORY, dir=os.fspath(directory)))


def _append(spool: IO[bytes], chunk: bytes) -> int:
    try:
        spool.write(chunk)
    except OSError as exc:
        raise OutOfRoom(f"the answer can not be spooled: {exc.strerror}") from exc
    return len(chunk)
