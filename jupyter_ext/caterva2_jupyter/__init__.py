"""Caterva2 inside Jupyter: the importable package of the extension.

This version brings the package and its place in the wheel. It has no server
extension yet, so it registers none.
"""

from __future__ import annotations

from caterva2._version import __version__

__all__ = ["__version__"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """List the server extensions of this package: none in this version."""
    return []
