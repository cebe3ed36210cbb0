"""Heads of chunks that were read before, in memory of bounded size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TypeAlias

from caterva2.compute.frames import ChunkLayout, Skeleton

Head: TypeAlias = tuple[bytes, ChunkLayout]

LIMIT_BYTES = 1 << 20
"""Room for the heads of one file: some 600 of chunks of 64 blocks."""
_FIXED, _PER_BLOCK = 700, 20


class Heads:
    """The heads of one file, by chunk; the oldest go when there is no room. Thread-safe."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._heads: OrderedDict[int, Head] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()
        self.get = self._heads.get

    def keep(self, nchunk: int, head: Head) -> None:
        """Keep the head of a chunk."""
        with self._lock:
            if nchunk in self._heads:
                return
            self._heads[nchunk] = head
            self._nbytes += _nbytes(head)
            while self._nbytes > self._limit and self._heads:
                _, oldest = self._heads.popitem(last=False)
                self._nbytes -= _nbytes(oldest)

    def drop(self, nchunk: int) -> Head | None:
        """Forget and return the head of a chunk; None if there is none."""
        with self._lock:
            head = self._heads.pop(nchunk, None)
            if head is not None:
                self._nbytes -= _nbytes(head)
            return head


def open_nbytes(skeleton: Skeleton) -> int:
    """Return the memory that an open file can come to take, in bytes."""
    heads = min(LIMIT_BYTES, skeleton.nchunks * (_FIXED + _PER_BLOCK * skeleton.blocks_per_chunk))
    outside = skeleton.size - (skeleton.stop - skeleton.start)
    return heads + 24 * skeleton.nchunks + outside


def _nbytes(head: Head) -> int:
    return _FIXED + _PER_BLOCK * head[1].nblocks
