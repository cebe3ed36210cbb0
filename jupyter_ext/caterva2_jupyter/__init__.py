"""Caterva2 inside Jupyter: the server extension, and what notebooks use."""

from __future__ import annotations

from caterva2._version import __version__

__all__ = ["__version__"]


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """List the server extensions of this package; called by Jupyter."""
    # Kernels import this package too; they need nothing of the server.
    from caterva2_jupyter.app import Caterva2App

    return [{"module": "caterva2_jupyter", "app": Caterva2App}]
