"""Windows of open files to answers: small ones in one step, large ones piece by piece."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from caterva2.compute.assemble import blocks_needed, fill
from caterva2.compute.codec import (
    Geometry,
    answer_geometry,
    compressed_chunk,
    dtype_to_text,
    fits_raw,
    frame_ends,
    raw_frame,
)
from caterva2.compute.extents import ChunkPiece, piece_record
from caterva2.compute.frames import ArrayMeta, Buffer
from caterva2.compute.smallwindow import BlockCut, cut_window, decode_block, fill_small
from caterva2.errors import BadRequest, ResponseTooLarge, ServiceError
from caterva2.model.slicing import Axis, Window
from caterva2.roles.subscriber.blocks import BlockReader, Want
from caterva2.roles.subscriber.decoded import DecodedBlocks
from caterva2.roles.subscriber.opened import OpenedFile
from caterva2.runtime.workers import Lane, Workers

Array = npt.NDArray[Any]

SMALL = 256 << 10
"""Stored blocks of at most so many uncompressed bytes are read and decoded in one step."""
NOW_BLOCKS = 4
NOW_BYTES = 128 << 10
"""Windows of so many blocks, of so many uncompressed bytes, that are in memory are decoded without a lane:
20 us for a block of 64 KiB, where handing over takes 50 us and more. See docs/performance.md."""
ONE_PIECE = 4 << 20
"""Answers of at most so many bytes are put together in memory."""
RAW_LIMIT = 64 << 10
"""Answers of at most so many bytes are sent uncompressed, however far they go."""
SPOOL_MEMORY = 4 << 20
MAX_ANSWER = 16 << 30
COPY_BYTES = 1 << 20


class Selection(NamedTuple):
    """What is asked of a file: a window, and perhaps one field of its items.

    Attributes
    ----------
    local
        The answer stays on this machine, so compressing it is wasted time.
    """

    window: Window
    field: str | None = None
    local: bool = False


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

    # as a new frame

    async def frame(self, file: OpenedFile, selection: Selection) -> Answer:
        """Return the items of a window as a contiguous frame.

        Raises
        ------
        ResponseTooLarge
            It has more than `MAX_ANSWER` bytes.
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
        cuts = cut_window(array, selection.window, max(1, SMALL // max(1, array.block_nbytes)))
        if cuts is not None:
            frame = self._quick_frame(file, selection, cuts)
            if frame is None:
                decoded = await self._workers.run(Lane.DISK, _decode_cached, file, cuts)
                if decoded is not None:
                    self._keep(file, cuts, decoded)
                    out = fill_small(_taker(cuts, decoded), array, selection.window.full_shape, cuts)
                    frame = None if out is None else whole_frame(out, selection, file)
            if frame is not None:
                return Answer(frame, None, sum(map(len, frame)))
        if nbytes <= ONE_PIECE and selection.window.size * array.dtype.itemsize <= 4 * ONE_PIECE:
            out = await self.array(file, selection.window)
            frame = await self._workers.run(Lane.CPU, whole_frame, out, selection, file)
            return Answer(frame, None, sum(map(len, frame)))
        return await self._spooled(file, selection)

    def _quick_frame(
        self, file: OpenedFile, selection: Selection, cuts: Sequence[BlockCut]
    ) -> list[Buffer] | None:
        """Make a small frame from what is in memory: that is done sooner than it would be handed to a lane."""
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

        out = fill_small(read, array, selection.window.full_shape, cuts)
        return None if out is None else whole_frame(out, selection, file)

    def _keep(self, file: OpenedFile, cuts: Sequence[BlockCut], decoded: Sequence[Array]) -> None:
        for cut, items in zip(cuts, decoded, strict=True):
            self._decoded.keep(file, cut.nchunk, cut.block, items)

    async def array(self, file: OpenedFile, window: Window) -> Array:
        """Return the items of a window, of ``window.full_shape``; for windows that fit in memory."""
        array = file.skeleton.array
        out = np.empty(window.full_shape, array.dtype)
        if not out.size:
            return out
        coords = dict(window.chunks_touched(array.shape, array.chunks))
        wants = await self._wants(array, window, coords)
        fills: list[asyncio.Task[None]] = []
        try:
            async for pieces in self._reader.pieces(file, wants):
                fills.append(asyncio.create_task(self._fill(out, pieces, array, window, coords)))
                if len(fills) >= 2 * self._workers.size(Lane.CPU):
                    await fills.pop(0)
            for task in fills:
                await task
        finally:
            for task in fills:
                task.cancel()
            await asyncio.gather(*fills, return_exceptions=True)
        return out

    async def _wants(
        self, array: ArrayMeta, window: Window, coords: dict[int, tuple[int, ...]]
    ) -> list[Want]:
        if len(coords) > 64:
            return await self._workers.run(Lane.CPU, _plan, array, window, coords)
        return _plan(array, window, coords)

    async def _fill(
        self,
        out: Array,
        pieces: Sequence[ChunkPiece],
        array: ArrayMeta,
        window: Window,
        coords: dict[int, tuple[int, ...]],
    ) -> None:
        await self._workers.run(Lane.CPU, _fill_all, out, pieces, array, window, coords)

    async def _spooled(self, file: OpenedFile, selection: Selection) -> Answer:
        """Make a large frame chunk by chunk in a temporary file: its header needs the size of all."""
        array = file.skeleton.array
        window = selection.window
        dtype = result_dtype(array, selection.field)
        nbytes = window.size * dtype.itemsize
        kept = [axis for axis in window.axes if not axis.drop]
        near = [c for c, axis in zip(array.chunks, window.axes, strict=True) if not axis.drop]
        geometry = answer_geometry(window.shape, near, dtype.itemsize)
        spool = await self._workers.run(Lane.DISK, _open_spool, self._spool)
        try:
            sizes: list[int] = []
            pending: list[asyncio.Task[bytes]] = []
            try:
                for part in _parts(kept, geometry):
                    full = iter(part)
                    sub = Window(tuple(axis if axis.drop else next(full) for axis in window.axes))
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
                dtype_to_text(dtype), _typesize(dtype), blocksize, chunksize, clevel=1,
            )  # fmt: skip
        except BaseException:
            spool.close()
            raise
        return Answer(None, self._read_spool(before, spool, after), len(before) + sum(sizes) + len(after))

    async def _chunk(self, file: OpenedFile, sub: Window, selection: Selection, geometry: Geometry) -> bytes:
        out = await self.array(file, sub)
        return await self._workers.run(Lane.CPU, _compress, out, sub, selection, geometry, file)

    async def _read_spool(
        self, before: bytes, spool: IO[bytes], after: bytes
    ) -> AsyncGenerator[Buffer, None]:
        try:
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
        if selection.field is not None or file.skeleton.meta is None:
            return False
        array = file.skeleton.array
        nbytes = selection.window.size * array.dtype.itemsize
        if nbytes < ONE_PIECE:
            return False
        ratio = file.skeleton.cbytes / max(1, file.skeleton.nbytes)
        return _decoded_nbytes(array, selection.window) * ratio <= nbytes

    async def stored(self, file: OpenedFile, window: Window) -> tuple[int, AsyncGenerator[Buffer, None]]:
        """Return number and stream of the records that hold a window."""
        array = file.skeleton.array
        coords = dict(window.chunks_touched(array.shape, array.chunks))
        wants = await self._wants(array, window, coords)
        return len(wants), self._records(file, wants)

    async def _records(self, file: OpenedFile, wants: Sequence[Want]) -> AsyncGenerator[Buffer, None]:
        async for pieces in self._reader.pieces(file, wants):
            buffers = await self._workers.run(Lane.CPU, _encode_all, pieces, file)
            for buffer in buffers:
                yield buffer


def _decoded_nbytes(array: ArrayMeta, window: Window) -> int:
    """Return the uncompressed bytes of all blocks that a window touches."""
    if not window.size:
        return 0
    counts = 1
    for axis, c, b in zip(window.axes, array.chunks, array.blocks, strict=True):
        counts *= _boxes_touched(axis, c, b)
    return counts * math.prod(array.blocks) * array.dtype.itemsize


def _boxes_touched(axis: Axis, chunk: int, block: int) -> int:
    """Count the blocks along one axis; every chunk starts a new one."""
    per_chunk = -(-chunk // block)
    first, last = axis.start, axis.last
    low = first // chunk * per_chunk + first % chunk // block
    high = last // chunk * per_chunk + last % chunk // block
    return min(high - low + 1, len(axis))


def _plan(array: ArrayMeta, window: Window, coords: dict[int, tuple[int, ...]]) -> list[Want]:
    return [Want(nchunk, blocks_needed(array, window, at)) for nchunk, at in coords.items()]


def _fill_all(
    out: Array,
    pieces: Sequence[ChunkPiece],
    array: ArrayMeta,
    window: Window,
    coords: dict[int, tuple[int, ...]],
) -> None:
    for piece in pieces:
        fill(out, piece, array, window, coords[piece.nchunk])


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


def whole_frame(out: Array, selection: Selection, file: OpenedFile) -> list[Buffer]:
    """Wrap the items of a window as a frame of one chunk; CPU-bound."""
    if selection.field is not None:
        out = np.ascontiguousarray(out[selection.field])
    shape = selection.window.shape
    dtype = out.dtype
    plain = file.skeleton.meta is None
    raw = out.nbytes <= RAW_LIMIT or selection.local
    if raw and 0 < out.nbytes <= RAW_LIMIT and dtype.itemsize <= 255 and not plain:
        return list(
            raw_frame(out.tobytes(), Geometry(shape, shape, shape), dtype_to_text(dtype), dtype.itemsize)
        )
    typesize = _typesize(dtype)
    geometry = Geometry(shape, shape, shape)
    data = out.reshape(-1).view(np.uint8).data if out.nbytes else b""
    text = dtype_to_text(dtype)
    if out.nbytes == 0 or (raw and fits_raw(out.nbytes) and dtype.itemsize <= 255):
        return list(raw_frame(data, None if plain else geometry, text, typesize))
    geometry = answer_geometry(shape, shape, dtype.itemsize) if not plain else geometry
    blocksize = math.prod(geometry.blocks) * dtype.itemsize
    padded = _padded(out.reshape(shape), geometry.chunks)
    chunk = compressed_chunk(padded.reshape(-1).view(np.uint8), blocksize, typesize)
    before, after = frame_ends(
        [len(chunk)],
        padded.nbytes,
        None if plain else geometry,
        text,
        typesize,
        blocksize,
        padded.nbytes,
        clevel=1,
    )
    return [before, chunk, after]


def _compress(out: Array, sub: Window, selection: Selection, geometry: Geometry, file: OpenedFile) -> bytes:
    if selection.field is not None:
        out = np.ascontiguousarray(out[selection.field])
    padded = _padded(out.reshape(sub.shape), geometry.chunks) if file.skeleton.meta else out
    blocksize = math.prod(geometry.blocks) * out.dtype.itemsize
    return compressed_chunk(
        np.ascontiguousarray(padded).reshape(-1).view(np.uint8), blocksize, _typesize(out.dtype)
    )


def _padded(out: Array, chunks: Sequence[int]) -> Array:
    if tuple(out.shape) == tuple(chunks):
        return out
    padded = np.zeros(tuple(chunks), out.dtype)
    padded[tuple(slice(0, n) for n in out.shape)] = out
    return padded


def _parts(axes: Sequence[Axis], geometry: Geometry) -> Iterator[tuple[Axis, ...]]:
    """Yield, for each chunk of an answer in C order, the axes of the window that it holds."""
    for coords in itertools.product(*(range(n) for n in geometry.grid)):
        part = []
        for axis, i, c in zip(axes, coords, geometry.chunks, strict=True):
            first, end = i * c, min((i + 1) * c, len(axis))
            start = axis.start + first * axis.step
            part.append(Axis(start, axis.start + (end - 1) * axis.step + 1, axis.step))
        yield tuple(part)


def result_dtype(array: ArrayMeta, field: str | None) -> np.dtype[Any]:
    """Return the dtype of an answer: of all items, or of one of their fields.

    Raises
    ------
    BadRequest
        There is no such field, or it is an array in itself.
    """
    if field is None:
        return array.dtype
    if field not in (array.dtype.names or ()):
        names = ", ".join(array.dtype.names or ()) or "none"
        raise BadRequest(f"the dataset has no field {field!r}", hint=f"its fields: {names}")
    dtype: np.dtype[Any] = array.dtype[field]
    if dtype.shape:
        raise BadRequest(
            f"field {field!r} holds an array of shape {dtype.shape} in each item", hint="read the items"
        )
    return dtype


def _typesize(dtype: np.dtype[Any]) -> int:
    return dtype.itemsize if dtype.itemsize <= 255 else 1


def _open_spool(directory: os.PathLike[str]) -> IO[bytes]:
    return cast("IO[bytes]", tempfile.SpooledTemporaryFile(SPOOL_MEMORY, dir=os.fspath(directory)))


def _append(spool: IO[bytes], chunk: bytes) -> int:
    try:
        spool.write(chunk)
    except OSError as exc:
        raise ServiceError("there is no room to put the answer together", hint="ask for it in parts") from exc
    return len(chunk)
