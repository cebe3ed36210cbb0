"""A plain file that is kept as a frame, read as the bytes it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from caterva2.compute.frames import Skeleton, decompress, parse_chunk, special_chunk
from caterva2.errors import BrokenDataset

if TYPE_CHECKING:
    from caterva2.storage.source import StoredFrame


class UnpackedFile:
    """The bytes in a frame, decompressed as they are read; implements `StoredFrame`.

    Parameters
    ----------
    frame
        Owned: closed by `close`.
    skeleton
        Of that frame.

    Raises
    ------
    BrokenDataset
        Its chunks are of different sizes.
    """

    def __init__(self, frame: StoredFrame, skeleton: Skeleton, path: str) -> None:
        self._frame = frame
        self._skeleton = skeleton
        self._last: tuple[int, bytes] = (-1, b"")
        self.path = path
        self.etag = frame.etag
        self.size = skeleton.nbytes
        if skeleton.variable and skeleton.nbytes:
            frame.close()
            raise BrokenDataset(f"{path}: chunks of different sizes are not unpacked")

    def read(self, offset: int, length: int) -> bytes:
        """Read exactly `length` bytes at `offset`. Blocking and CPU-bound; thread-safe.

        Raises
        ------
        DatasetChanged
            The frame was written in place.
        BrokenDataset
            The range is not inside, or a chunk can not be decompressed.
        """
        stop = offset + length
        if offset < 0 or length < 0 or stop > self.size:
            raise BrokenDataset(f"{self.path}: bytes {offset}:{stop} of {self.size} were wanted")
        parts = []
        size = self._skeleton.chunksize or 1
        while offset < stop:
            nchunk, at = divmod(offset, size)
            data = self._chunk(nchunk)[at : at + stop - offset]
            parts.append(data)
            offset += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_now(self, offset: int, length: int) -> bytes | None:
        """Return None: unpacking takes its time."""
        return None

    def _chunk(self, nchunk: int) -> bytes:
        known, data = self._last
        if known == nchunk:
            return data
        skeleton = self._skeleton
        if skeleton.special(nchunk):
            chunk = special_chunk(skeleton, nchunk)
        else:
            start = int(skeleton.offsets[nchunk])
            chunk = self._frame.read(start, int(skeleton.stops[nchunk]) - start)
            chunk = chunk[: parse_chunk(chunk, skeleton, nchunk).cbytes]
        data = decompress(chunk, skeleton.chunk_nbytes(nchunk))
        self._last = (nchunk, data)
        return data

    def close(self) -> None:
        """Release the frame; safe to call twice."""
        self._frame.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
