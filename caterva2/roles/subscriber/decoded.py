"""Blocks that were decoded a moment ago: who looks at data looks at the same place again."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

from caterva2.compute.assemble import Array
from caterva2.roles.subscriber.opened import OpenedFile

Key: TypeAlias = tuple[int, int, int]

LIMIT_BYTES = 16 << 20
REMEMBERED = 4096


class DecodedBlocks:
    """Items of recently decoded blocks, in memory of bounded size. For one event loop.

    A block is kept when it is decoded for the second time: keeping all that is
    read once only pushes out what is wanted again.

    Parameters
    ----------
    limit_bytes
        The least recently used blocks go when there are more bytes than this.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._blocks: OrderedDict[Key, Array] = OrderedDict()
        self._nbytes = 0
        self._seen: OrderedDict[Key, None] = OrderedDict()

    def find(self, file: OpenedFile, nchunk: int, block: int) -> Array | None:
        """Return the items of a block, or None."""
        key = (file.serial, nchunk, block)
        items = self._blocks.get(key)
        if items is not None:
            self._blocks.move_to_end(key)
        return items

    def keep(self, file: OpenedFile, nchunk: int, block: int, items: Array) -> None:
        """Keep the items of a block, if it comes again; do not change them afterwards."""
        key = (file.serial, nchunk, block)
        if key not in self._seen:
            self._seen[key] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            return
        if key in self._blocks or items.nbytes > self._limit // 8:
            return
        self._blocks[key] = items
        self._nbytes += items.nbytes
        while self._nbytes > self._limit:
            _, oldest = self._blocks.popitem(last=False)
            self._nbytes -= oldest.nbytes
