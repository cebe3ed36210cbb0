"""The Blosc2 frame and chunk formats: where the parts of a stored frame lie, and whether they make sense.

Nothing here decompresses data or trusts a number before it was compared with
another. Two values come out:

* a `Skeleton`: header, metalayers, index of the chunks and trailer of a frame;
* a `ChunkLayout`: where each block of a chunk lies.

Together they cut a frame into *units* that tile it completely: two for the
skeleton, and for each chunk its head, its blocks, and the unused bytes behind
it (a frame that was updated in place has such gaps). Units are what travels,
what is cached, and what carries a checksum.

Sources: c-blosc2 ``README_CFRAME_FORMAT.rst``, ``README_CHUNK_FORMAT.rst``,
``README_B2ND_METALAYER.rst``, and files written by python-blosc2 4.14.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import blosc2
import msgspec
import numpy as np
import numpy.typing as npt

from caterva2.compute.dtypes import parse_dtype
from caterva2.errors import BrokenDataset

Ints: TypeAlias = npt.NDArray[np.int64]
Read: TypeAlias = Callable[[int, int], bytes]
Buffer: TypeAlias = bytes | bytearray | memoryview

HEADER_MIN = 87
CHUNK_HEADER = 32
MAX_HEADER = 16 << 20
MAX_TRAILER = 64 << 20
MAX_INDEX = 32 << 20
"""Uncompressed bytes of an index: four million chunks. Taking one up takes six times its size."""
MAX_SKELETON = MAX_HEADER + MAX_INDEX + MAX_TRAILER
MAX_CHUNK = 2**31 - 33
MAX_BLOCK = 536_866_816
MAX_BLOCKS = 1 << 16
MAX_NDIM = 16
MAX_ITEMS = 2**62
KNOWN_FRAME_VERSIONS = frozenset({1, 2, 3})
CODECS = frozenset({0, 1, 2, 4, 5})
"""blosclz, lz4, lz4hc, zlib, zstd; codecs of plugins are refused."""
FILTERS = frozenset({0, 1, 2, 3, 4, 35, 36})
"""none, shuffle, bitshuffle, delta, truncate precision, bytedelta, int_trunc."""

SPECIAL_ZERO, SPECIAL_NAN, SPECIAL_VALUE, SPECIAL_UNINIT = 1, 2, 3, 4


@dataclass(frozen=True)
class ArrayMeta:
    """The ``b2nd`` metalayer: lengths (ndim,) in items, and the dtype."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    blocks: tuple[int, ...]
    dtype: np.dtype[Any]

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(-(-n // c) if c else 0 for n, c in zip(self.shape, self.chunks, strict=True))

    @cached_property
    def block_grid(self) -> tuple[int, ...]:
        """Blocks along each axis of a chunk."""
        return tuple(-(-c // b) if b else 0 for c, b in zip(self.chunks, self.blocks, strict=True))

    @cached_property
    def block_nbytes(self) -> int:
        """Uncompressed bytes of a block."""
        return math.prod(self.blocks) * self.dtype.itemsize


@dataclass(frozen=True)
class Skeleton:
    """A frame without its chunks.

    Attributes
    ----------
    size
        Bytes of the whole frame.
    start, stop
        The chunks lie in ``[start, stop)``; what is before and behind is the skeleton itself.
    offsets
        (nchunks,) Offset of each chunk in the frame; negative for special values (see `special`).
    stops
        (nchunks,) Where the bytes of each chunk end, gap included; equal to `offsets` for special values.
    block_nbytes
        Uncompressed bytes of a block; 0 if chunks are only handled whole.
    blocks_per_chunk
        Most blocks that a chunk can have; 0 if chunks are only handled whole.
    meta
        The array, or None for a plain sequence of bytes.
    """

    size: int
    start: int
    stop: int
    typesize: int
    blocksize: int
    chunksize: int
    nbytes: int
    cbytes: int
    codec: int
    codec_meta: int
    clevel: int
    filters: tuple[int, ...]
    filters_meta: tuple[int, ...]
    splitmode: int
    use_dict: bool
    nthreads: int
    variable: bool
    offsets: Ints
    stops: Ints
    block_nbytes: int
    blocks_per_chunk: int
    meta: ArrayMeta | None
    metalayers: tuple[str, ...]
    vlmeta: dict[str, bytes]

    @property
    def nchunks(self) -> int:
        """Number of chunks."""
        return len(self.offsets)

    @property
    def width(self) -> int:
        """Units per chunk: head, blocks, gap."""
        return self.blocks_per_chunk + 2

    @cached_property
    def file_order(self) -> Ints:
        """Chunks with bytes of their own, in the order of their offsets."""
        if _is_one_value(self.offsets):  # of a special value, then
            return _EMPTY
        order = np.argsort(self.offsets, kind="stable")
        return order[np.searchsorted(self.offsets[order], 0) :].astype(np.int64)

    def special(self, nchunk: int) -> int:
        """Kind of a chunk without bytes of its own (``SPECIAL_…``), 0 for others."""
        offset = int(self.offsets[nchunk])
        return 0 if offset >= 0 else (offset >> 56) & 0x7F

    def chunk_nbytes(self, nchunk: int) -> int:
        """Uncompressed bytes of a chunk; -1 if only its header tells."""
        if self.variable:
            return -1
        return min(self.chunksize, self.nbytes - nchunk * self.chunksize)

    @cached_property
    def array(self) -> ArrayMeta:
        """The array; a plain sequence of bytes counts as a 1-d array of opaque items.

        Raises
        ------
        BrokenDataset
            The frame has no regular chunks.
        """
        if self.meta is not None:
            return self.meta
        if self.variable and self.nbytes:
            raise BrokenDataset(
                "chunks of this frame differ in size; it can only be read as a whole or by chunk"
            )
        lengths = (self.chunksize, self.block_nbytes, self.nbytes)
        size = 1 if any(n % self.typesize for n in lengths) else self.typesize
        dtype = np.dtype(f"V{size}")
        block = (self.block_nbytes or self.chunksize) // size
        return ArrayMeta((self.nbytes // size,), (self.chunksize // size,), (block,), dtype)


@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """Where the blocks of a chunk lie.

    Attributes
    ----------
    nbytes, blocksize, cbytes
        From the header of the chunk, in bytes.
    nblocks
        Number of blocks that can be read alone; 0 if the chunk is only handled whole.
    raw
        Blocks are stored as they are, without compression.
    head_size
        Bytes before the first block; all of the chunk if `nblocks` is 0.
    starts, stops
        (nblocks,) Where each block lies, relative to the chunk.
    special
        ``SPECIAL_…`` if the whole chunk is one value.
    """

    nbytes: int
    blocksize: int
    cbytes: int
    nblocks: int
    raw: bool
    head_size: int
    starts: Ints
    stops: Ints
    special: int

    def block_nbytes(self, block: int) -> int:
        """Uncompressed bytes of a block; the last one can be shorter."""
        return min(self.blocksize, self.nbytes - block * self.blocksize)


_EMPTY = np.empty(0, np.int64)


def read_skeleton(read: Read, size: int) -> Skeleton:
    """Read and check the skeleton of a frame.

    Parameters
    ----------
    read
        ``read(offset, length)`` gives exactly so many bytes. Blocking.
    size
        Bytes that there are.

    Raises
    ------
    BrokenDataset
        The frame is truncated, contradicts itself, or uses what is not served.
    """
    return _read(read(0, min(size, 4096)), read, size)


def _read(first: bytes, read: Read, size: int) -> Skeleton:
    """Go on with the first bytes of a frame, however many."""
    if len(first) < HEADER_MIN or first[:10] != b"\x9e\xa8b2frame\x00":
        raise BrokenDataset("not a Blosc2 frame")
    header_size = _int32(first, 11)
    if not HEADER_MIN <= header_size <= min(size, MAX_HEADER):
        raise BrokenDataset(f"the frame claims a header of {header_size} bytes; the file has {size}")
    header = first if header_size <= len(first) else read(0, header_size)
    return _parse(header[:header_size], read, size)


def skeleton_from_parts(head: bytes, tail: bytes, size: int) -> Skeleton:
    """Rebuild a skeleton from the bytes before and behind the chunks; raises as `read_skeleton`."""
    stop = size - len(tail)

    def read(offset: int, length: int) -> bytes:
        part, at = (tail, offset - stop) if offset >= stop else (head, offset)
        data = part[at : at + length]
        if len(data) < length:
            raise BrokenDataset("the frame is longer than the parts of it that are there")
        return data

    return _read(head, read, size)


def _parse(header: bytes, read: Read, size: int) -> Skeleton:
    header_size = len(header)
    frame_size = _uint64(header, 16)
    flags, kind, codec_byte, other = header[25:29]
    nbytes, cbytes = _int64(header, 30), _int64(header, 39)
    typesize, blocksize, chunksize = _int32(header, 48), _int32(header, 53), _int32(header, 58)
    nthreads = struct.unpack_from(">h", header, 63)[0]
    if chunksize == -1 and nbytes == 0:
        chunksize = 0  # what c-blosc2 writes before the first chunk decides
    if flags & 0x0F not in KNOWN_FRAME_VERSIONS:
        raise BrokenDataset(f"frame format version {flags & 0x0F} is not known")
    if kind & 0x0F != 0:
        raise BrokenDataset("the frame is the index of a sparse directory, without its chunks")
    if frame_size != size:
        raise BrokenDataset(f"the frame claims {frame_size} bytes; the file has {size}")
    if nbytes < 0 or cbytes < 0 or header_size + cbytes > size:
        raise BrokenDataset(f"the frame claims {cbytes} bytes of chunks; the file has {size}")
    if typesize < 1 or not 0 <= blocksize <= MAX_BLOCK or not 0 <= chunksize <= MAX_CHUNK:
        raise BrokenDataset(f"impossible sizes: item {typesize}, block {blocksize}, chunk {chunksize} bytes")
    codec = codec_byte & 0x0F
    if codec == 0x0F or (codec not in CODECS and nbytes):
        raise BrokenDataset(f"the codec {header[77] if codec == 0x0F else codec} is not served")
    filters, filters_meta = tuple(header[71:77]), tuple(header[79:85])
    if not set(filters) <= FILTERS:
        raise BrokenDataset(f"the filters {sorted(set(filters) - FILTERS)} are not served")
    metalayers = _metalayers(header[HEADER_MIN:], "header")
    meta = _array_meta(metalayers["b2nd"]) if "b2nd" in metalayers else None
    variable = chunksize == 0
    index_start = header_size + cbytes
    trailer_size = _trailer_size(read, size)
    if size - trailer_size < index_start:
        raise BrokenDataset("the trailer of the frame overlaps its chunks")
    offsets = _index(read, index_start, size - trailer_size, nbytes, chunksize)
    if meta is not None:
        _check_array(meta, nbytes, chunksize, blocksize, len(offsets))
    absolute, stops = _spans(offsets, header_size, cbytes)
    first = _first_offset(absolute)
    start = index_start if first is None else first
    block_nbytes = 0
    if not variable and not flags & 0x80 and nbytes:
        block_nbytes = _block_nbytes(meta, blocksize)
        if not block_nbytes:
            block_nbytes = chunksize if first is None else _first_blocksize(read, start, chunksize)
        if block_nbytes and -(-chunksize // block_nbytes) > MAX_BLOCKS:
            block_nbytes = 0
    return Skeleton(
        size=size,
        start=start,
        stop=index_start,
        typesize=typesize,
        blocksize=blocksize,
        chunksize=chunksize,
        nbytes=nbytes,
        cbytes=cbytes,
        codec=codec,
        codec_meta=header[78],
        clevel=codec_byte >> 4,
        filters=filters,
        filters_meta=filters_meta,
        splitmode=(other & 3) + 1,
        use_dict=bool(header[85] & 1),
        nthreads=max(1, nthreads),
        variable=variable,
        offsets=absolute,
        stops=stops,
        block_nbytes=block_nbytes,
        blocks_per_chunk=-(-chunksize // block_nbytes) if block_nbytes else 0,
        meta=meta,
        metalayers=tuple(metalayers),
        vlmeta=_vlmeta(read(size - trailer_size, trailer_size)),
    )


def _trailer_size(read: Read, size: int) -> int:
    # The trailer ends with: 0xce, length (uint32), 0xd8, fingerprint type, fingerprint (16 bytes).
    end = read(size - 23, 23)
    length: int = struct.unpack_from(">I", end, 1)[0]
    if end[0] != 0xCE or end[5] != 0xD8 or not 25 <= length <= min(size - HEADER_MIN, MAX_TRAILER):
        raise BrokenDataset("the frame has no trailer: it is truncated or was damaged")
    return length


def _index(read: Read, start: int, stop: int, nbytes: int, chunksize: int) -> Ints:
    """Return the stored offsets of the chunks, relative to the end of the header; negative is special."""
    if nbytes == 0:
        return _EMPTY
    length = stop - start
    if length < CHUNK_HEADER:
        raise BrokenDataset("the frame has no index of its chunks")
    head = read(start, min(length, CHUNK_HEADER + 8))
    index_nbytes, _, index_cbytes = struct.unpack_from("<iii", head, 4)
    nchunks = -(-nbytes // chunksize) if chunksize else index_nbytes // 8
    if index_nbytes != nchunks * 8 or nchunks < 1 or not CHUNK_HEADER <= index_cbytes <= length:
        raise BrokenDataset(f"the index of the frame does not describe its {nchunks} chunks")
    if index_nbytes > MAX_INDEX:
        raise BrokenDataset(f"the frame has {nchunks} chunks; at most {MAX_INDEX // 8} are served")
    special = head[31] >> 4 & 7
    if special == SPECIAL_VALUE and len(head) >= CHUNK_HEADER + 8:
        value = np.frombuffer(head, "<i8", 1, CHUNK_HEADER).astype(np.int64)
        return np.broadcast_to(value, (nchunks,))
    if special == SPECIAL_ZERO:
        return np.broadcast_to(np.zeros(1, np.int64), (nchunks,))
    index = decompress(read(start, index_cbytes), index_nbytes)
    return np.frombuffer(index, "<i8").astype(np.int64, copy=False)


def _is_one_value(offsets: Ints) -> bool:
    """Whether this is one number, stored once for all chunks."""
    return offsets.strides == (0,) and len(offsets) > 1


def _first_offset(absolute: Ints) -> int | None:
    if _is_one_value(absolute):
        return None
    positive = absolute[absolute >= 0]
    return int(positive.min()) if len(positive) else None


def _spans(relative: Ints, header_size: int, cbytes: int) -> tuple[Ints, Ints]:
    negative = relative[:1] if relative.strides == (0,) else relative[relative < 0]
    if np.any((negative >> 56 & 0x7F == 0) & (negative < 0)):
        raise BrokenDataset("a chunk of the frame lies nowhere and has no special value")
    if _is_one_value(relative):
        if relative[0] >= 0:
            raise BrokenDataset("several chunks of the frame lie at one offset")
        return relative, relative
    real = relative >= 0
    absolute = np.where(real, relative + header_size, relative)
    stops = absolute.copy()
    starts = np.sort(absolute[real])
    if len(starts):
        if (
            np.any(starts[1:] - starts[:-1] < CHUNK_HEADER)
            or starts[-1] + CHUNK_HEADER > header_size + cbytes
        ):
            raise BrokenDataset("chunks of the frame overlap, or lie outside of it")
        ends = np.append(starts[1:], header_size + cbytes)
        stops[real] = ends[np.searchsorted(starts, absolute[real])]
    return absolute, stops


def _block_nbytes(meta: ArrayMeta | None, blocksize: int) -> int:
    return math.prod(meta.blocks) * meta.dtype.itemsize if meta is not None else blocksize


def _first_blocksize(read: Read, start: int, chunksize: int) -> int:
    """Return the block size of the first stored chunk: some frames leave it out of their header."""
    blocksize = _int_le(read(start, CHUNK_HEADER), 8)
    return blocksize if 0 < blocksize <= chunksize else 0


def parse_chunk(head: Buffer, skeleton: Skeleton, nchunk: int) -> ChunkLayout:
    """Read and check the head of a stored chunk; see `parse_head`."""
    span = int(skeleton.stops[nchunk] - skeleton.offsets[nchunk])
    return parse_head(head, nchunk, span, skeleton.chunk_nbytes(nchunk), skeleton.block_nbytes)


def parse_head(head: Buffer, nchunk: int, span: int, expected: int, block_nbytes: int) -> ChunkLayout:
    """Read and check the head of a chunk.

    Parameters
    ----------
    head
        The first bytes of the chunk: its header and table of blocks, or more;
        `head_length` says how many are enough.
    nchunk
        Named in errors.
    span
        Most bytes that the chunk can have.
    expected
        Uncompressed bytes that it must have; -1 if unknown.
    block_nbytes
        Uncompressed bytes of a block; a chunk of other blocks is only handled whole. 0: always whole.

    Raises
    ------
    BrokenDataset
        The chunk contradicts the frame.
    """
    if len(head) < CHUNK_HEADER:
        raise BrokenDataset(f"chunk {nchunk} is truncated")
    nbytes, blocksize, cbytes = struct.unpack_from("<iii", head, 4)
    if not CHUNK_HEADER <= cbytes <= span or nbytes < 0 or (expected >= 0 and nbytes != expected):
        raise BrokenDataset(
            f"chunk {nchunk} claims {nbytes} bytes in {cbytes}; the frame says {expected} in {span}"
        )
    flags, flags2, special = head[2], head[31], head[31] >> 4 & 7
    whole = ChunkLayout(nbytes, blocksize, cbytes, 0, False, cbytes, _EMPTY, _EMPTY, special)
    if special or blocksize != block_nbytes or blocksize <= 0 or nbytes == 0:
        return whole
    nblocks = -(-nbytes // blocksize)
    extended = flags & 0x05 == 0x05
    if nblocks > MAX_BLOCKS or flags2 & 0x09 or head[30] or not extended or 3 in head[16:22]:
        return whole
    if flags & 0x02:
        if cbytes != CHUNK_HEADER + nbytes:
            raise BrokenDataset(f"chunk {nchunk} stores {nbytes} bytes uncompressed in {cbytes}")
        starts = CHUNK_HEADER + blocksize * np.arange(nblocks, dtype=np.int64)
        stops = np.append(starts[1:], cbytes)
        return ChunkLayout(nbytes, blocksize, cbytes, nblocks, True, CHUNK_HEADER, starts, stops, 0)
    head_size = CHUNK_HEADER + 4 * nblocks
    if len(head) < head_size or head_size > cbytes:
        raise BrokenDataset(f"chunk {nchunk} is truncated")
    starts = np.frombuffer(head, "<i4", nblocks, CHUNK_HEADER).astype(np.int64)
    order = np.argsort(starts, kind="stable")
    inorder = starts[order]
    ends = np.append(inorder[1:], cbytes)
    if inorder[0] != head_size or np.any(ends - inorder < 4):
        return whole  # a dictionary, shared or odd streams: nothing to cut here
    stops = np.empty_like(starts)
    stops[order] = ends
    return ChunkLayout(nbytes, blocksize, cbytes, nblocks, False, head_size, starts, stops, 0)


def head_length(skeleton: Skeleton, nchunk: int) -> int:
    """Return how many bytes of a chunk `parse_chunk` needs."""
    span = int(skeleton.stops[nchunk] - skeleton.offsets[nchunk])
    return min(span, CHUNK_HEADER + 4 * skeleton.blocks_per_chunk)


def special_chunk(skeleton: Skeleton, nchunk: int) -> bytes:
    """Return a valid Blosc2 chunk for one that a frame only names by its special value.

    A chunk that was never written becomes zeros: reading it would show memory of the process.
    """
    kind = skeleton.special(nchunk)
    kind = SPECIAL_NAN if kind == SPECIAL_NAN else SPECIAL_ZERO
    nbytes = skeleton.chunk_nbytes(nchunk)
    typesize = skeleton.typesize if skeleton.typesize <= 255 else 1
    blocksize = min(skeleton.blocksize or nbytes, nbytes)
    head = struct.pack("<BBBBiii", 5, 1, 0x05, typesize, nbytes, blocksize, CHUNK_HEADER)
    return head + bytes(15) + bytes([kind << 4])


def decompress(chunk: Buffer, nbytes: int) -> bytes:
    """Decompress a chunk whose header was checked; CPU-bound.

    Raises
    ------
    BrokenDataset
        Blosc2 can not decompress it, or it does not give `nbytes` bytes.
    """
    try:
        data = blosc2.decompress2(chunk, nthreads=1)
    except (RuntimeError, ValueError, TypeError, SystemError, MemoryError) as exc:
        raise BrokenDataset("a chunk can not be decompressed") from exc
    if len(data) != nbytes:
        raise BrokenDataset(f"a chunk gives {len(data)} bytes instead of {nbytes}")
    return bytes(data) if not isinstance(data, bytes) else data


def _metalayers(packed: bytes, where: str) -> dict[str, bytes]:
    """Read a metalayers section: size, map of names to offsets, array of contents."""
    try:
        _, names, contents = msgspec.msgpack.decode(packed)
        if len(names) != len(contents):
            raise ValueError("names and contents differ in number")
        if not all(isinstance(content, bytes) for content in contents):
            raise TypeError("a metalayer that is no bytes")
        return {str(name): content for name, content in zip(names, contents, strict=True)}
    except (msgspec.DecodeError, ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise BrokenDataset(f"the metalayers in the {where} of the frame are not readable") from exc


def _vlmeta(trailer: bytes) -> dict[str, bytes]:
    try:
        _version, section, *_ = msgspec.msgpack.decode(trailer)
        _, names, contents = section
        pairs = dict(zip(names, contents, strict=True))
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as exc:
        raise BrokenDataset("the trailer of the frame is not readable") from exc
    if not all(isinstance(k, str) and isinstance(v, bytes) for k, v in pairs.items()):
        raise BrokenDataset("the trailer of the frame is not readable")
    return pairs


def _array_meta(packed: bytes) -> ArrayMeta:
    try:
        fields = msgspec.msgpack.decode(_sixteen_axes(packed))
        _, ndim, shape, chunks, blocks = fields[:5]
        text = fields[6] if len(fields) > 6 else "|u1"
        lengths = [tuple(operator.index(n) for n in axis) for axis in (shape, chunks, blocks)]
        ndim = operator.index(ndim)
    except (msgspec.DecodeError, ValueError, TypeError, IndexError, KeyError, RecursionError) as exc:
        raise BrokenDataset("the description of the array is not readable") from exc
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str):
        raise BrokenDataset("the description of the array names no dtype")
    if not 0 <= ndim <= MAX_NDIM or any(len(axis) != ndim for axis in lengths):
        raise BrokenDataset(f"the array claims {ndim} dimensions; at most {MAX_NDIM} are served")
    return ArrayMeta(lengths[0], lengths[1], lengths[2], parse_dtype(text))


def _sixteen_axes(packed: bytes) -> bytes:
    """Correct what c-blosc2 writes for 16 axes: their count overflows the four bits of a short list."""
    if len(packed) < 4 or packed[2] != 16 or packed[3] != 0xA0:
        return packed
    first, second, third = 3, 4 + 16 * 9, 5 + 16 * 14
    lists = (packed[first + 1 : second], packed[second + 1 : third], packed[third + 1 :])
    return packed[:first] + b"".join(b"\xdc\x00\x10" + each for each in lists)


def _check_array(meta: ArrayMeta, nbytes: int, chunksize: int, blocksize: int, nchunks: int) -> None:
    size = math.prod(meta.shape)
    if meta.dtype.itemsize == 0:
        raise BrokenDataset(f"the items of the array, {meta.dtype}, have no bytes")
    if any(n < 0 for n in meta.shape) or size > MAX_ITEMS:
        raise BrokenDataset(f"the array has the impossible shape {meta.shape}")
    if nbytes == 0:
        if size:
            raise BrokenDataset(f"the array claims the shape {meta.shape}, but holds no data")
        return
    if size == 0:
        raise BrokenDataset(f"the array claims the empty shape {meta.shape}, but holds data")
    if any(not 1 <= b <= c for b, c in zip(meta.blocks, meta.chunks, strict=True)):
        raise BrokenDataset(f"the array claims chunks {meta.chunks} of blocks {meta.blocks}")
    block_nbytes = math.prod(meta.blocks) * meta.dtype.itemsize
    chunk_nbytes = math.prod(meta.block_grid) * block_nbytes
    if chunk_nbytes != chunksize or (blocksize and block_nbytes != blocksize):
        raise BrokenDataset(
            f"the array has chunks of {chunk_nbytes} and blocks of {block_nbytes} bytes; "
            f"the frame says {chunksize} and {blocksize}"
        )
    if math.prod(meta.grid) != nchunks:
        raise BrokenDataset(f"the array needs {math.prod(meta.grid)} chunks; the frame has {nchunks}")


def subchunk(head: Buffer, layout: ChunkLayout, blocks: Sequence[int], parts: Sequence[Buffer]) -> bytes:
    """Build a valid Blosc2 chunk of some blocks of a compressed chunk, without decompressing.

    Parameters
    ----------
    head
        At least the 32-byte header of the original chunk.
    blocks, parts
        Block numbers, and the stored bytes of each; a shorter last block must come last.

    Returns
    -------
    bytes
        Decompresses to the blocks one after the other.
    """
    n = len(parts)
    nbytes = sum(layout.block_nbytes(b) for b in blocks)
    starts = []
    at = CHUNK_HEADER + 4 * n
    for part in parts:
        starts.append(at)
        at += len(part)
    fixed = bytes(head[:CHUNK_HEADER])
    table = struct.pack(f"<iii{n}i", nbytes, min(layout.blocksize, nbytes), at, *starts)
    return b"".join((fixed[:4], table[:12], fixed[16:], table[12:], *parts))


def _int32(data: bytes, at: int) -> int:
    value: int = struct.unpack_from(">i", data, at)[0]
    return value


def _int64(data: bytes, at: int) -> int:
    value: int = struct.unpack_from(">q", data, at)[0]
    return value


def _uint64(data: bytes, at: int) -> int:
    value: int = struct.unpack_from(">Q", data, at)[0]
    return value


def _int_le(data: bytes, at: int) -> int:
    value: int = struct.unpack_from("<i", data, at)[0]
    return value
