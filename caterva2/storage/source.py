"""What a root is made of: the interface that every kind of root implements.

A source shows a tree of files. Each file is one *stored frame*: a contiguous
Blosc2 frame that can be read at any offset, in one generation named by its
etag. A plain file is shown as a frame of its bytes, which the source makes
when it is first needed. `tests/contract/test_root_source.py` is the suite that
every implementation passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, Self

import msgspec

if TYPE_CHECKING:
    from caterva2.model.datasets import Entry


class Listed(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A file found by a scan: enough to see that it changed."""

    path: str
    etag: str


class StoredFrame(Protocol):
    """The bytes of a stored frame, pinned to one generation.

    Reading is thread-safe and blocking. `read` raises `DatasetChanged` when
    the file under it is no longer the generation `etag`.
    """

    @property
    def etag(self) -> str:
        """The generation."""
        ...

    @property
    def size(self) -> int:
        """Number of bytes."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Read exactly `length` bytes at `offset`."""
        ...

    def read_now(self, offset: int, length: int) -> bytearray | bytes | None:
        """Read as `read` if that takes no waiting; else, or if in doubt, return None."""
        ...

    def close(self) -> None:
        """Release the file; safe to call twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class RootSource(Protocol):
    """A tree of files that a publisher serves, or a subscriber shows as an area.

    All methods block; run them in the ``disk`` lane. Paths are below the root,
    ``/``-separated, as clients see them.
    """

    def scan(self, below: str = "") -> Iterator[Listed]:
        """Yield every visible file, in no order, without opening it.

        Parameters
        ----------
        below
            Yield only what is at or below this path, which may be nothing.
        """
        ...

    def etag(self, path: str) -> str:
        """Return the generation of a file, without opening it.

        Raises
        ------
        DatasetNotFound, BadPath
            As `describe`.
        """
        ...

    def describe(self, path: str) -> Entry:
        """Describe a file without making the frame of a plain one; a broken file gives `BrokenInfo`.

        Raises
        ------
        DatasetNotFound
            There is no such visible file.
        BadPath
            The path leaves the root.
        """
        ...

    def materialise(self, path: str) -> Entry:
        """Describe a file completely: the frame of a plain file is made if it is not there yet."""
        ...

    def open(self, path: str) -> StoredFrame:
        """Open the stored frame of a file (made if needed); `describe.read_stored` judges what is in it.

        Raises
        ------
        DatasetNotFound, BadPath
            As `describe`.
        BrokenDataset
            The file can not be read.
        """
        ...

    def open_plain(self, path: str) -> StoredFrame:
        """Open the bytes of a plain file, unpacked if it is kept as a frame; other files as `open`."""
        ...

    def forget(self, path: str) -> None:
        """Drop what was made for a file that is gone."""
        ...
