"""From the text that names a root's target to its source."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from caterva2.errors import ConfigError
from caterva2.storage.directory import DirectorySource

if TYPE_CHECKING:
    from caterva2.storage.source import RootSource

    SourceFactory: TypeAlias = Callable[[Path, Path], RootSource]

GROUP = "caterva2.sources"
"""Entry points of other kinds of roots: named by a file suffix without its dot, they lead to a
callable ``(target, cache_dir) -> RootSource``."""


def open_source(target: str, cache_dir: Path, *, exclude: Sequence[Path] = ()) -> RootSource:
    """Return the source of a target.

    Parameters
    ----------
    target
        A directory, or a file of a kind that an entry point knows.
    cache_dir
        Where the source may keep what it makes.
    exclude
        Directories that are never shown.

    Raises
    ------
    ConfigError
        There is nothing at `target`, or nobody can serve it.
    """
    path = Path(target)
    if path.is_dir():
        return DirectorySource(path, cache_dir, exclude=exclude)
    if not path.exists():
        raise ConfigError(f"root {target!r}: expected a directory, found nothing there")
    suffix = path.suffix.removeprefix(".")
    for entry_point in importlib.metadata.entry_points(group=GROUP, name=suffix):
        return cast("SourceFactory", entry_point.load())(path, cache_dir)
    raise ConfigError(f"root {target!r}: expected a directory, found a file that nothing here can serve")
