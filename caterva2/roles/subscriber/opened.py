"""A file that is open for reading: what is known of it, and where its bytes come from."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from caterva2.compute.assemble import Array
from caterva2.compute.extents import ChunkPiece, read_layout, read_piece
from caterva2.compute.frames import ChunkLayout, Skeleton
from caterva2.compute.heads import Heads
from caterva2.model.datasets import Entry
from caterva2.model.paths import DatasetPath
from caterva2.model.slicing import Window
from caterva2.storage.blockcache import Mirror

if TYPE_CHECKING:
    from caterva2.roles.subscriber.evaluation import Evaluation
    from caterva2.roles.subscriber.remote import RemoteRoot
    from caterva2.storage.source import StoredFrame


_serials = itertools.count()

UNCACHED_S = 5.0
"""A file for which the cache had no room is opened again after so many seconds."""


@dataclass(eq=False)
class LocalFile:
    """A file in a directory of the subscriber's own; its frame can be read at any offset.

    Attributes
    ----------
    looked_at
        When it was last seen to be the current generation; of the monotonic clock, in seconds.
    """

    path: DatasetPath
    entry: Entry
    skeleton: Skeleton
    frame: StoredFrame
    serial: int = field(default_factory=_serials.__next__)
    heads: Heads = field(default_factory=Heads)
    looked_at: float = field(default_factory=time.monotonic)

    def head(self, nchunk: int) -> tuple[bytes, ChunkLayout]:
        """Return head and layout of a chunk that has bytes of its own. Blocking."""
        head = self.heads.get(nchunk)
        if head is None:
            raw, layout = read_layout(self.frame.read, self.skeleton, nchunk)
            head = (raw[: layout.head_size], layout)
            self.heads.keep(nchunk, head)
        return head

    def piece(self, nchunk: int, blocks: list[int] | None) -> ChunkPiece:
        """Read some blocks of a chunk (None: all). Blocking."""
        head = None if self.skeleton.special(nchunk) else self.head(nchunk)
        return read_piece(self.frame.read, self.skeleton, nchunk, blocks, head)

    def block_now(self, nchunk: int, block: int) -> ChunkPiece | None:
        """Return a chunk with one of its blocks, if that takes no waiting for the disk; else None."""
        head = self.heads.get(nchunk)
        if head is None or not head[1].nblocks:
            return None
        layout = head[1]
        start, stop = int(layout.starts[block]), int(layout.stops[block])
        data = self.frame.read_now(int(self.skeleton.offsets[nchunk]) + start, stop - start)
        return None if data is None else ChunkPiece(nchunk, layout, head[0], {block: data})


@dataclass(eq=False)
class RemoteFile:
    """A file of a published root; what was touched of it is in `mirror`.

    Attributes
    ----------
    mirror
        None if the cache has no room for one: then everything is fetched anew.
    """

    path: DatasetPath
    entry: Entry
    skeleton: Skeleton
    root: RemoteRoot
    mirror: Mirror | None
    serial: int = field(default_factory=_serials.__next__)
    opened_at: float = field(default_factory=time.monotonic)

    @property
    def is_passing(self) -> bool:
        """Whether it had better be opened again: the cache gave it up, or may have room for it by now."""
        if self.mirror is None:
            return time.monotonic() - self.opened_at > UNCACHED_S
        return self.mirror.is_dropped

    def head(self, nchunk: int) -> tuple[bytes, ChunkLayout] | None:
        """Return head and layout of a chunk, if they are cached. Blocking."""
        return None if self.mirror is None else self.mirror.head(nchunk)

    def piece(self, nchunk: int, blocks: list[int] | None) -> ChunkPiece | None:
        """Read some blocks of a chunk (None: all) from the cache; None if any is absent. Blocking."""
        return None if self.mirror is None else self.mirror.piece(nchunk, blocks)

    def block_now(self, nchunk: int, block: int) -> ChunkPiece | None:
        """Return a chunk with one of its blocks, if that takes no waiting for the disk; else None."""
        return None if self.mirror is None else self.mirror.block_now(nchunk, block)


@dataclass(frozen=True, eq=False)
class LazyFile:
    """A dataset that is computed from others when it is read.

    Attributes
    ----------
    skeleton
        Of a frame that is nowhere: its array says shape, dtype, chunks and blocks; it has no bytes.
    evaluate
        Computes the items of a window, of ``window.full_shape``.
    operands
        The files it is computed from, by name, pinned to their generations.
    evaluation
        How it is computed.
    """

    path: DatasetPath
    entry: Entry
    skeleton: Skeleton
    evaluate: Callable[[Window], Awaitable[Array]]
    operands: Mapping[str, OpenedFile]
    evaluation: Evaluation
    serial: int = field(default_factory=_serials.__next__)

    def head(self, nchunk: int) -> None:
        """Return None: nothing is stored."""

    def piece(self, nchunk: int, blocks: list[int] | None) -> None:
        """Return None: nothing is stored."""

    def block_now(self, nchunk: int, block: int) -> None:
        """Return None: nothing is stored."""


StoredFile: TypeAlias = LocalFile | RemoteFile
OpenedFile: TypeAlias = LocalFile | RemoteFile | LazyFile
