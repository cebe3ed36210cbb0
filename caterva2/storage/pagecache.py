"""Reads that never wait for a disk: what the system has in memory, or nothing."""

from __future__ import annotations

import os

_NOWAIT = getattr(os, "RWF_NOWAIT", None)


def read_now(fd: int, offset: int, length: int) -> bytearray | None:
    """Read `length` bytes at `offset` if all of them are in memory, else return None at once.

    Linux only (``preadv2`` with ``RWF_NOWAIT``); elsewhere, and on file systems
    without it, always None.
    """
    if _NOWAIT is None:
        return None
    buffer = bytearray(length)
    try:
        got = os.preadv(fd, [buffer], offset, _NOWAIT)
    except OSError:
        return None
    return buffer if got == length else None
