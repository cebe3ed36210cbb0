"""A file that is open for reading: what is known of it, and where its bytes come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from caterva2.compute.frames import Skeleton
from caterva2.model.datasets import Entry
from caterva2.model.paths import DatasetPath
from caterva2.storage.blockcache import Mirror

if TYPE_CHECKING:
    from caterva2.roles.subscriber.remote import RemoteRoot
    from caterva2.storage.source import StoredFrame


@dataclass(frozen=True, eq=False)
class LocalFile:
    """A file in a directory of the subscriber's own; its frame can be read at any offset."""

    path: DatasetPath
    entry: Entry
    skeleton: Skeleton
    frame: StoredFrame


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
    failed: bool = field(default=False)


OpenedFile: TypeAlias = LocalFile | RemoteFile
