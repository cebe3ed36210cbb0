"""Writing Blosc2 frames chunk by chunk: from a plain file, or from chunks that exist already.

The layout is that of "Blosc2 Contiguous Frame Format" (c-blosc2,
README_CFRAME_FORMAT.rst): header, chunks, index, trailer. Chunks are made by
``compress2``, which lets other threads run; ``SChunk.append_data`` does not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import blosc2
import numpy as np

PLAIN_CHUNK_BYTES = 1 << 20
PLAIN_BLOCK_BYTES = 128 << 10

# Offsets of header fields; a MessagePack type byte precedes each number.
_HEADER_LEN = 11
_FRAME_LEN = 16
_FRAME_TYPE = 26
_NBYTES = 30
_CBYTES = 39
_CHUNKSIZE = 58
_MIN_HEADER = 87

_CHUNK_HEADER = 32
_CHUNK_FLAGS = 31


class FrameWriter:
    """Writes one contiguous frame to a file: chunks one after the other, then `finish`.

    Parameters
    ----------
    out
        Seekable file at its start. Not closed.
    header
        Header of a frame with the wanted parameters and metalayers; sizes in it are replaced.
    trailer
        Trailer of that frame (user attributes), written as it is.
    """

    def __init__(self, out: BinaryIO, header: bytes, trailer: bytes) -> None:
        if len(header) < _MIN_HEADER:
            raise ValueError(f"a frame header has at least {_MIN_HEADER} bytes, got {len(header)}")
        self._out = out
        self._header = bytearray(header)
        self._trailer = trailer
        self._offsets: list[int] = []
        self._cbytes = 0
        out.write(header)

    def add_chunk(self, chunk: bytes) -> None:
        """Append a compressed chunk as it is; one of zeros only (or NaN) goes into the index."""
        special = chunk[_CHUNK_FLAGS] >> 4 & 7 if len(chunk) == _CHUNK_HEADER else 0
        if special:
            # Stored as bytes, a chunk of nothing but a header is one that c-blosc2 fails to read.
            self.add_special((special | 0x80) - 256 << 56)
            return
        self._offsets.append(self._cbytes)
        self._out.write(chunk)
        self._cbytes += len(chunk)

    def add_special(self, offset: int) -> None:
        """Append a chunk that is only an entry in the index (a signed, negative number)."""
        self._offsets.append(offset)

    def finish(self, *, nbytes: int, chunksize: int | None = None) -> None:
        """Write index and trailer, and the sizes into the header.

        Parameters
        ----------
        nbytes
            Uncompressed size of all chunks.
        chunksize
            Uncompressed size of a chunk; None leaves that of the header given.
        """
        size = len(self._header) + self._cbytes
        if self._offsets:
            index = index_chunk(self._offsets)
            self._out.write(index)
            size += len(index)
        self._out.write(self._trailer)
        size += len(self._trailer)
        self._header[_FRAME_TYPE] = 0  # contiguous
        struct.pack_into(">Q", self._header, _FRAME_LEN, size)
        struct.pack_into(">q", self._header, _NBYTES, nbytes)
        struct.pack_into(">q", self._header, _CBYTES, self._cbytes)
        if chunksize is not None:
            struct.pack_into(">i", self._header, _CHUNKSIZE, chunksize)
        self._out.seek(0)
        self._out.write(self._header)


def index_chunk(offsets: Sequence[int]) -> bytes:
    """Return the index of a frame: the offsets of its chunks as a chunk that is stored uncompressed.

    Its size follows from the number of chunks alone, and is always `index_size`.
    """
    nbytes = 8 * len(offsets)
    head = struct.pack("<BBBBiii", 5, 1, 0x07, 8, nbytes, nbytes, _CHUNK_HEADER + nbytes)
    return head + bytes(_CHUNK_HEADER - len(head)) + np.asarray(offsets, dtype="<i8").tobytes()


def index_size(nchunks: int) -> int:
    """Return the size of the index of a frame, in bytes."""
    return _CHUNK_HEADER + 8 * nchunks if nchunks else 0


def write_plain_frame(read: Callable[[int, int], bytes], size: int, out: BinaryIO) -> None:
    """Write the frame of a plain file, holding one chunk at a time.

    Blocking and CPU-bound.

    Parameters
    ----------
    read
        Reads exactly so many bytes at an offset.
    size
        Size of the plain file, in bytes.
    out
        Seekable file at its start.
    """
    cparams = blosc2.CParams(
        typesize=1,
        codec=blosc2.Codec.ZSTD,
        clevel=1,
        blocksize=PLAIN_BLOCK_BYTES if size > PLAIN_BLOCK_BYTES else 0,
        filters=[blosc2.Filter.NOFILTER] * 6,
        filters_meta=[0] * 6,
        nthreads=1,
    )
    header, trailer = _empty_frame(cparams)
    writer = FrameWriter(out, header, trailer)
    for start, stop in _steps(size):
        writer.add_chunk(blosc2.compress2(read(start, stop - start), cparams=cparams))
    writer.finish(nbytes=size, chunksize=min(size, PLAIN_CHUNK_BYTES) or PLAIN_CHUNK_BYTES)


def _steps(size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, PLAIN_CHUNK_BYTES):
        yield start, min(start + PLAIN_CHUNK_BYTES, size)


def _empty_frame(cparams: blosc2.CParams) -> tuple[bytes, bytes]:
    """Return header and trailer of an empty frame."""
    frame: bytes = blosc2.SChunk(chunksize=PLAIN_CHUNK_BYTES, cparams=cparams, contiguous=True).to_cframe()
    header_len = struct.unpack_from(">i", frame, _HEADER_LEN)[0]
    return frame[:header_len], frame[header_len:]
