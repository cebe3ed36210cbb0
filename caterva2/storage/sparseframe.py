"""Sparse frames: directories of one file per chunk, copied into a contiguous frame without decompressing.

The index of a sparse frame is itself a frame, ``chunks.b2frame``, whose
offsets are the numbers of chunk files (c-blosc2, README_SFRAME_FORMAT.rst).
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from typing import BinaryIO, TypeAlias

import numpy as np

from caterva2.compute.frames import (
    CHUNK_HEADER,
    HEADER_MIN,
    MAX_CHUNK,
    MAX_INDEX,
    Skeleton,
    decompress,
    read_skeleton,
)
from caterva2.errors import BrokenDataset, DatasetNotFound
from caterva2.storage.pinned import FileFrame
from caterva2.storage.plainframe import FrameWriter, index_chunk, index_size

_MAGIC = b"\x9e\xa8b2frame\x00"
_HEADER_LEN = 11
_FRAME_LEN = 16
_FRAME_TYPE = 26
_NBYTES = 30
_CBYTES = 39
_CHUNKSIZE = 58
_SPECIAL_ZEROS = -(0x7F << 56)

OpenMember: TypeAlias = Callable[[str], FileFrame]
"""Opens a file in the directory of the sparse frame."""


@dataclasses.dataclass(frozen=True, slots=True)
class SparseIndex:
    """The parsed ``chunks.b2frame``.

    Attributes
    ----------
    header, trailer
        Bytes of it that the contiguous frame shares.
    numbers
        For each chunk the number of its file, or a negative special value.
    skeleton
        Description of the dataset; offsets in it mean nothing.
    """

    header: bytes
    trailer: bytes
    numbers: list[int]
    skeleton: Skeleton

    @property
    def member_names(self) -> list[str]:
        """Names of the chunk files, in the order of the chunks."""
        return [f"{number:08X}.chunk" for number in self.numbers if number >= 0]

    def frame_size(self, chunks_size: int) -> int:
        """Return the size of the contiguous frame, from that of all chunk files; in bytes."""
        return len(self.header) + chunks_size + index_size(len(self.numbers)) + len(self.trailer)


def read_sparse_index(member: FileFrame) -> SparseIndex:
    """Read and check ``chunks.b2frame``. Blocking.

    Raises
    ------
    BrokenDataset
        It is truncated, contradicts itself, or uses what is not served.
    """
    if member.size > MAX_INDEX:
        raise BrokenDataset(f"the index of the sparse frame has {member.size} bytes")
    data = member.read(0, member.size)
    if len(data) < HEADER_MIN or data[:10] != _MAGIC or data[_FRAME_TYPE] & 0x0F != 1:
        raise BrokenDataset("not the index of a sparse Blosc2 frame")
    header_len: int = struct.unpack_from(">i", data, _HEADER_LEN)[0]
    nbytes, cbytes = (struct.unpack_from(">q", data, at)[0] for at in (_NBYTES, _CBYTES))
    chunksize: int = struct.unpack_from(">i", data, _CHUNKSIZE)[0]
    if not HEADER_MIN <= header_len <= len(data) or nbytes < 0:
        raise BrokenDataset("the header of the sparse frame makes no sense")
    header, rest = data[:header_len], data[header_len:]
    numbers, used = _read_numbers(rest, nbytes, chunksize) if nbytes else ([], 0)
    skeleton = _check(header, rest[used:], len(numbers))
    return SparseIndex(header, rest[used:], numbers, dataclasses.replace(skeleton, cbytes=cbytes))


def _read_numbers(data: bytes, nbytes: int, chunksize: int) -> tuple[list[int], int]:
    """Return the numbers of the chunk files, and how long their list is in the file."""
    if len(data) < CHUNK_HEADER:
        raise BrokenDataset("the sparse frame has no index of its chunks")
    index_nbytes, _, index_cbytes = struct.unpack_from("<iii", data, 4)
    nchunks = -(-nbytes // chunksize) if chunksize > 0 else index_nbytes // 8
    sized = CHUNK_HEADER <= index_cbytes <= len(data) and index_nbytes <= MAX_INDEX
    if index_nbytes != 8 * nchunks or not sized:
        raise BrokenDataset(f"the index of the sparse frame does not describe its {nchunks} chunks")
    numbers = np.frombuffer(decompress(data[:index_cbytes], index_nbytes), "<i8")
    return numbers.tolist(), index_cbytes


def _check(header: bytes, trailer: bytes, nchunks: int) -> Skeleton:
    """Let the parser of contiguous frames judge header and trailer, with chunks that take no room."""
    index = index_chunk([_SPECIAL_ZEROS] * nchunks) if nchunks else b""
    patched = bytearray(header)
    patched[_FRAME_TYPE] &= 0xF0
    struct.pack_into(">Q", patched, _FRAME_LEN, len(header) + len(index) + len(trailer))
    struct.pack_into(">q", patched, _CBYTES, 0)
    frame = bytes(patched) + index + trailer
    return read_skeleton(lambda offset, length: frame[offset : offset + length], len(frame))


def write_contiguous(index: SparseIndex, open_member: OpenMember, out: BinaryIO) -> None:
    """Write the contiguous frame of a sparse one, holding one chunk at a time. Blocking.

    Raises
    ------
    BrokenDataset
        A chunk file is missing, or is no chunk of this frame.
    """
    writer = FrameWriter(out, index.header, index.trailer)
    for nchunk, number in enumerate(index.numbers):
        if number < 0:
            writer.add_special(number)
        else:
            writer.add_chunk(_read_chunk(open_member, number, index.skeleton.chunk_nbytes(nchunk)))
    writer.finish(nbytes=index.skeleton.nbytes)


def _read_chunk(open_member: OpenMember, number: int, nbytes: int) -> bytes:
    name = f"{number:08X}.chunk"
    try:
        member = open_member(name)
    except DatasetNotFound as exc:
        raise BrokenDataset(f"the sparse frame lacks its file {name}") from exc
    with member:
        if not CHUNK_HEADER < member.size <= MAX_CHUNK:
            raise BrokenDataset(f"the file {name} of the sparse frame has {member.size} bytes")
        chunk = member.read(0, member.size)
    found, _, cbytes = struct.unpack_from("<iii", chunk, 4)
    if not CHUNK_HEADER <= cbytes <= len(chunk) or (nbytes >= 0 and found != nbytes):
        raise BrokenDataset(f"the file {name} of the sparse frame does not hold a chunk of {nbytes} bytes")
    return chunk
