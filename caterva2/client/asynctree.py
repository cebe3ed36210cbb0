"""Directories, files and datasets for asynchronous programs: attributes at hand, reading awaited."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from caterva2.client.tree import ArrayAttributes, Described, is_dataset

if TYPE_CHECKING:
    from caterva2.client.description import Description
    from caterva2.client.transfers import Progress
    from caterva2.client.urlbase import Urlbase
    from caterva2.model.paths import DatasetPath


class Asker(Protocol):
    """What of `AsyncClient` the objects need."""

    async def get(self, path: DatasetPath) -> AsyncFile | AsyncDirectory:
        """Return what is at a path."""
        ...

    async def get_list(self, path: DatasetPath) -> list[str]:
        """Return the paths of the files below a path."""
        ...

    async def fetch(self, path: DatasetPath, slice_: object = None, *, field: str | None = None) -> Any:  # noqa: ANN401
        """Read a slice."""
        ...

    async def download(
        self,
        dataset: DatasetPath,
        localpath: str | os.PathLike[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Path:
        """Save a file or a directory."""
        ...


class AsyncFile(Described):
    """A file of a server; see `caterva2.File`."""

    def __init__(self, client: Asker, urlbase: Urlbase, described: Description) -> None:
        super().__init__(described.path, urlbase, described)
        self._client = client

    async def fetch(self, slice_: object = None, *, field: str | None = None) -> Any:  # noqa: ANN401
        """Read a slice; see `caterva2.File.fetch`."""
        return await self._client.fetch(self._path, slice_, field=field)

    async def download(
        self, localpath: str | os.PathLike[str] | None = None, *, progress: Progress | None = None
    ) -> Path:
        """Save the whole file; see `caterva2.File.download`."""
        return await self._client.download(self._path, localpath, progress=progress)


class AsyncDataset(AsyncFile, ArrayAttributes):
    """An n-dimensional array of a server; see `caterva2.Dataset`."""


class AsyncDirectory:
    """A root or directory of a server; see `caterva2.Directory`."""

    def __init__(self, path: DatasetPath, client: Asker, urlbase: Urlbase) -> None:
        self._path = path
        self._client = client
        self._urlbase = urlbase

    @property
    def path(self) -> PurePosixPath:
        """Root and path below it."""
        return PurePosixPath(str(self._path))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self._path.name

    @property
    def urlbase(self) -> str:
        """Address of the server."""
        return str(self._urlbase)

    async def file_list(self) -> list[str]:
        """Return the sorted paths of all files below, relative to this."""
        return await self._client.get_list(self._path)

    async def get(self, path: str) -> AsyncFile | AsyncDirectory:
        """Return what is at a path below."""
        return await self._client.get(self._path / path)

    async def download(
        self, localpath: str | os.PathLike[str] | None = None, *, progress: Progress | None = None
    ) -> Path:
        """Save all files below."""
        return await self._client.download(self._path, localpath, progress=progress)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._path}>"


def async_object(client: Asker, urlbase: Urlbase, described: Description) -> AsyncFile | AsyncDirectory:
    """Return the object for what a server said."""
    if described.kind == "group":
        return AsyncDirectory(described.path, client, urlbase)
    return (AsyncDataset if is_dataset(described) else AsyncFile)(client, urlbase, described)
