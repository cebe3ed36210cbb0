"""Arrays to contiguous Blosc2 frames: what answers of computed slices are made of.

The frame is put together around the data, so that a small answer costs little
more than its copy: the items of a raw chunk lie in the frame as they are.
Format: c-blosc2 ``README_CFRAME_FORMAT.rst``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import blosc2
import numpy as np
import numpy.typing as npt

from caterva2.compute.frames import CHUNK_HEADER, MAX_BLOCK, MAX_CHUNK

Array = npt.NDArray[Any]
TARGET_CHUNK = 4 << 20
TARGET_BLOCK = 256 << 10
LZ4, ZSTD = 1, 5


def release_gil() -> None:
    """Let other threads run while Blosc2 compresses or decompresses; for the whole process."""
    blosc2.set_releasegil(True)


class Geometry(NamedTuple):
    """How an answer is cut: lengths (ndim,) in items. Blocks are runs of a chunk in C order."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    blocks: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(-(-n // c) if c else 0 for n, c in zip(self.shape, self.chunks, strict=True))

    @property
    def nchunks(self) -> int:
        """Number of chunks."""
        return math.prod(self.grid)


def answer_geometry(shape: Sequence[int], near: Sequence[int], itemsize: int) -> Geometry:
    """Choose chunks of at most `TARGET_CHUNK` bytes for an answer.

    Parameters
    ----------
    shape
        (ndim,) of the answer.
    near
        (ndim,) Chunk shape of the source along the same axes: cutting alike reads each block once.
    """
    full = tuple(shape)
    if 0 in full:
        return Geometry(full, full, full)
    if math.prod(full) * itemsize <= TARGET_CHUNK:
        chunks = list(full)
    else:
        chunks = [max(1, min(n, c)) for n, c in zip(full, near, strict=True)]
        _shrink(chunks, itemsize, TARGET_CHUNK)
    blocks = list(chunks)
    _shrink(blocks, itemsize, TARGET_BLOCK)
    chunks = [-(-c // b) * b for c, b in zip(chunks, blocks, strict=True)]
    return Geometry(full, tuple(chunks), tuple(blocks))


def _shrink(lengths: list[int], itemsize: int, limit: int) -> None:
    """Shorten the leading axes until a box has at most `limit` bytes, or one item."""
    for axis, n in enumerate(lengths):
        rest = math.prod(lengths[axis + 1 :]) * itemsize
        if n * rest <= limit:
            return
        lengths[axis] = max(1, limit // rest) if rest else n


def raw_chunk_head(nbytes: int, blocksize: int, typesize: int) -> bytes:
    """Return the header of a chunk whose bytes follow uncompressed."""
    small = typesize if typesize <= 255 else 1
    return struct.pack("<BBBBiii16x", 5, 1, 0x07, small, nbytes, blocksize, CHUNK_HEADER + nbytes)


def compressed_chunk(data: Array, blocksize: int, typesize: int) -> bytes:
    """Compress bytes with LZ4, level 1, and shuffle: cheaper than the wire. CPU-bound."""
    small = typesize if typesize <= 255 else 1
    chunk = blosc2.compress2(
        data,
        codec=blosc2.Codec.LZ4,
        clevel=1,
        filters=[blosc2.Filter.SHUFFLE if small > 1 else blosc2.Filter.NOFILTER],
        filters_meta=[0],
        typesize=small,
        blocksize=blocksize,
        nthreads=1,
    )
    return bytes(chunk)


def raw_frame(
    data: memoryview | bytes, geometry: Geometry | None, dtype_text: str, typesize: int
) -> list[bytes | memoryview]:
    """Return a frame of one uncompressed chunk, as buffers to be written one after the other.

    Parameters
    ----------
    data
        The items in C order; not copied.
    geometry
        Of an n-d array, with one chunk of one block; None for a sequence of bytes.
    """
    nbytes = len(data)
    before, after = _raw_ends(nbytes, geometry and geometry.shape, dtype_text, typesize)
    return [before, data, after]


@lru_cache(maxsize=512)
def _raw_ends(
    nbytes: int, shape: tuple[int, ...] | None, dtype_text: str, typesize: int
) -> tuple[bytes, bytes]:
    geometry = None if shape is None else Geometry(shape, shape, shape)
    if nbytes == 0:
        head, tail = frame_ends([], 0, geometry, dtype_text, typesize, nbytes, nbytes)
        return head, tail
    head, tail = frame_ends([CHUNK_HEADER + nbytes], nbytes, geometry, dtype_text, typesize, nbytes, nbytes)
    return head + raw_chunk_head(nbytes, nbytes, typesize), tail


def fits_raw(nbytes: int) -> bool:
    """Whether an answer can be one uncompressed chunk of one block."""
    return nbytes <= min(MAX_BLOCK, MAX_CHUNK)


def frame_ends(
    sizes: Sequence[int],
    nbytes: int,
    geometry: Geometry | None,
    dtype_text: str,
    typesize: int,
    blocksize: int,
    chunksize: int,
    *,
    clevel: int = 0,
) -> tuple[bytes, bytes]:
    """Return what comes before and behind the chunks of a frame.

    Parameters
    ----------
    sizes
        Bytes of each stored chunk, in the order in which they follow.
    nbytes
        Uncompressed bytes of all chunks.
    """
    meta = _b2nd(geometry, dtype_text) if geometry is not None else None
    index = _index(sizes)
    tail = index + _TRAILER
    header_size = len(_header(0, 0, 0, 0, typesize, blocksize, chunksize, meta, clevel))
    cbytes = sum(sizes)
    size = header_size + cbytes + len(tail)
    return _header(header_size, size, nbytes, cbytes, typesize, blocksize, chunksize, meta, clevel), tail


_TRAILER = b"\x94\x01\x93\xcd\x00\x06\xde\x00\x00\xdc\x00\x00\xce\x00\x00\x00\x23\xd8" + bytes(17)


def _index(sizes: Sequence[int]) -> bytes:
    if not sizes:
        return b""
    offsets = np.zeros(len(sizes), "<i8")
    np.cumsum(np.asarray(sizes[:-1], "<i8"), out=offsets[1:])
    data = offsets.tobytes()
    return raw_chunk_head(len(data), len(data), 8) + data


def _header(
    header_size: int, size: int, nbytes: int, cbytes: int, typesize: int, blocksize: int, chunksize: int,
    meta: bytes | None, clevel: int,
) -> bytes:  # fmt: skip
    flags = 0x12 if chunksize else 0x53
    codec = (clevel << 4) | LZ4
    fixed = b"".join(
        (
            b"\x9e\xa8b2frame\x00",
            b"\xd2" + struct.pack(">i", header_size),
            b"\xcf" + struct.pack(">Q", size),
            b"\xa4" + bytes((flags, 0, codec, 2)),
            b"\xd3" + struct.pack(">q", nbytes),
            b"\xd3" + struct.pack(">q", cbytes),
            b"\xd2" + struct.pack(">i", typesize),
            b"\xd2" + struct.pack(">i", blocksize),
            b"\xd2" + struct.pack(">i", chunksize),
            b"\xd1\x00\x01\xd1\x00\x01",
            b"\xc2",
            b"\xd8\x06" + bytes((0, 0, 0, 0, 0, 1)) + bytes((LZ4, 0)) + bytes(8),
        )
    )
    if meta is None:
        return fixed + b"\x93\xcd\x00\x07\xde\x00\x00\xdc\x00\x00"
    at = len(fixed) + 1 + 3 + 3 + 5 + 5 + 3
    return b"".join(
        (
            fixed,
            b"\x93\xcd\x00\x11\xde\x00\x01\xa4b2nd\xd2",
            struct.pack(">i", at),
            b"\xdc\x00\x01\xc6",
            struct.pack(">I", len(meta)),
            meta,
        )
    )


def _b2nd(geometry: Geometry, dtype_text: str) -> bytes:
    text = dtype_text.encode()
    n = len(geometry.shape)
    array = bytes((0x90 + n,))  # also for 16 axes, as c-blosc2 does: see `frames`
    parts = [b"\x97\x00", bytes((n,))]
    for lengths, code, letter in (
        (geometry.shape, b"\xd3", ">q"),
        (geometry.chunks, b"\xd2", ">i"),
        (geometry.blocks, b"\xd2", ">i"),
    ):
        parts.append(array)
        parts.extend(code + struct.pack(letter, length) for length in lengths)
    parts.append(b"\x00\xdb" + struct.pack(">I", len(text)) + text)
    return b"".join(parts)


@lru_cache(maxsize=256)
def dtype_to_text(dtype: np.dtype[Any]) -> str:
    """Return the text by which Blosc2 stores a dtype."""
    return str(dtype) if dtype.names else dtype.str


def stored_frame(array: Array) -> bytes:
    """Return the frame of an array, compressed to be kept; CPU-bound."""
    cparams = blosc2.CParams(codec=blosc2.Codec.ZSTD, clevel=1)
    frame: bytes = blosc2.asarray(array, cparams=cparams).to_cframe()
    return frame
