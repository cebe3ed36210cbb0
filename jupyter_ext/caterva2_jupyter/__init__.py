"""Caterva2 inside Jupyter: the server extension, and what notebooks use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caterva2._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from caterva2_jupyter.bars import progress
    from caterva2_jupyter.kernel import connect
    from caterva2_jupyter.showing import link, show

__all__ = ["__version__", "connect", "link", "progress", "show"]

_HOMES = {
    "connect": "caterva2_jupyter.kernel",
    "link": "caterva2_jupyter.showing",
    "progress": "caterva2_jupyter.bars",
    "show": "caterva2_jupyter.showing",
}


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add ``%caterva2`` and ``%%caterva2`` to a shell, and show our objects as widgets in it."""
    from caterva2_jupyter.magics import register

    register(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo `load_ipython_extension`."""
    from caterva2_jupyter.magics import unregister

    unregister(shell)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """List the server extensions of this package; called by Jupyter."""
    # Kernels import this package too; they need nothing of the server.
    from caterva2_jupyter.app import Caterva2App

    return [{"module": "caterva2_jupyter", "app": Caterva2App}]
