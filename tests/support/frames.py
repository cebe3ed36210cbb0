"""Blosc2 frames for tests, made by python-blosc2 itself, and damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import numpy.typing as npt


def array_frame(data: npt.ArrayLike, *, vlmeta: dict[str, Any] | None = None, **kwargs: Any) -> bytes:
    """Return the frame of an array; `kwargs` go to ``blosc2.asarray``."""
    array = blosc2.asarray(np.asarray(data), **kwargs)
    for name, value in (vlmeta or {}).items():
        array.schunk.vlmeta[name] = value
    frame: bytes = array.to_cframe()
    return frame


def bytes_frame(data: bytes, *, chunksize: int = 100, **kwargs: Any) -> bytes:
    """Return the frame of a sequence of bytes."""
    kwargs.setdefault("cparams", {"typesize": 1})
    frame: bytes = blosc2.SChunk(chunksize=chunksize, data=data, contiguous=True, **kwargs).to_cframe()
    return frame


def object_frame() -> bytes:
    """Return a frame whose dtype is ``|O8``: python-blosc2 would crash on it."""
    frame = array_frame(np.arange(10, dtype="<i8"), chunks=(10,), blocks=(10,))
    return frame.replace(b"<i8", b"|O8")


def absurd_frame() -> bytes:
    """Return a small frame that claims hundreds of gigabytes in one chunk."""
    frame = bytearray(array_frame(np.zeros(1000, "<f8")))
    struct.pack_into(">q", frame, 30, 320 << 30)
    return bytes(frame)


def read_back(frame: bytes) -> bytes:
    """Return the bytes that stock Blosc2 finds in a frame."""
    schunk = blosc2.schunk_from_cframe(frame)
    data: bytes = schunk[:] if schunk.nbytes else b""
    return data


def sparse_array(path: Path, data: npt.ArrayLike, **kwargs: Any) -> None:
    """Write an array as a sparse frame: a directory of one file per chunk."""
    blosc2.asarray(np.asarray(data), urlpath=str(path), mode="w", contiguous=False, **kwargs)
