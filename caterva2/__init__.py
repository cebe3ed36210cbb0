"""Caterva2: share n-dimensional Blosc2 datasets between machines.

The names below are imported when they are first used: ``import caterva2`` alone
loads neither NumPy nor an HTTP library.
"""

from typing import TYPE_CHECKING

from caterva2._version import __version__

if TYPE_CHECKING:
    from caterva2.client.api import (
        Client,
        append,
        copy,
        download,
        fetch,
        get,
        get_auth_cookie,
        get_chunk,
        get_info,
        get_list,
        get_roots,
        mkdir,
        move,
        remove,
        subscribe,
        upload,
    )
    from caterva2.client.asyncapi import AsyncClient
    from caterva2.client.asynctree import AsyncDataset, AsyncDirectory, AsyncFile
    from caterva2.client.events import EventStream
    from caterva2.client.lazy import concat, explain, lazyexpr, stack
    from caterva2.client.links import open_link
    from caterva2.client.session import BasicAuth
    from caterva2.client.tree import Dataset, Directory, File, Root
    from caterva2.errors import Caterva2Error

__all__ = [
    "AsyncClient",
    "AsyncDataset",
    "AsyncDirectory",
    "AsyncFile",
    "BasicAuth",
    "Caterva2Error",
    "Client",
    "Dataset",
    "Directory",
    "EventStream",
    "File",
    "Root",
    "__version__",
    "append",
    "concat",
    "copy",
    "download",
    "explain",
    "fetch",
    "get",
    "get_auth_cookie",
    "get_chunk",
    "get_info",
    "get_list",
    "get_roots",
    "lazyexpr",
    "mkdir",
    "move",
    "open_link",
    "remove",
    "stack",
    "subscribe",
    "upload",
]

_HOMES = {
    "caterva2.client.api": (
        "Client", "append", "copy", "download", "fetch", "get", "get_auth_cookie", "get_chunk", "get_info",
        "get_list", "get_roots", "mkdir", "move", "remove", "subscribe", "upload",
    ),
    "caterva2.client.asyncapi": ("AsyncClient",),
    "caterva2.client.asynctree": ("AsyncDataset", "AsyncDirectory", "AsyncFile"),
    "caterva2.client.events": ("EventStream",),
    "caterva2.client.lazy": ("concat", "explain", "lazyexpr", "stack"),
    "caterva2.client.links": ("open_link",),
    "caterva2.client.session": ("BasicAuth",),
    "caterva2.client.tree": ("Dataset", "Directory", "File", "Root"),
    "caterva2.errors": ("Caterva2Error",),
}  # fmt: skip


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            import importlib

            value = getattr(importlib.import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
