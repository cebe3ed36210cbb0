"""Where the embedded subscriber listens."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

MAX_SOCKET_PATH = 100
"""Longest path of a Unix socket that systems allow, less a margin, in bytes."""
SHORT_NAME = "s"


def make_socket_path(runtime: Path, pid: int) -> Path:
    """Return where the embedded subscriber of a Jupyter server can listen: in its runtime directory.

    A path that is too long for a socket gives way to one in a new directory for temporary files,
    which is the user's alone.
    """
    wanted = runtime / f"caterva2-{pid}.sock"
    if len(str(wanted).encode()) <= MAX_SOCKET_PATH:
        runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
        return wanted
    return Path(tempfile.mkdtemp(prefix="caterva2-")) / SHORT_NAME


def remove_socket(socket: Path) -> None:
    """Remove the directory of a socket that was made for it; safe to call twice."""
    if socket.name == SHORT_NAME:
        with contextlib.suppress(OSError):
            socket.unlink(missing_ok=True)
            socket.parent.rmdir()
