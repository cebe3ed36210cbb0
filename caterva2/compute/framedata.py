"""What a received frame holds: array or bytes. The opposite of `caterva2.compute.codec`.

Every frame is checked before Blosc2 sees it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import blosc2
import numpy as np
import numpy.typing as npt

from caterva2.compute.frames import (
    CHUNK_HEADER,
    HEADER_MIN,
    MAX_HEADER,
    Skeleton,
    parse_chunk,
    read_skeleton,
    skeleton_from_parts,
)
from caterva2.errors import BrokenDataset, CorruptChunk

Array: TypeAlias = npt.NDArray[Any]
Bytes: TypeAlias = npt.NDArray[np.uint8]
ReadInto: TypeAlias = Callable[[memoryview], None]

SMALL = 64 * 1024
"""Frames of so many bytes or less are received at once and copied."""


def receive_frame(readinto: ReadInto, size: int) -> Array | bytes:
    """Receive a contiguous frame and return what it holds; blocking, CPU-bound.

    Parameters
    ----------
    readinto
        Fills a buffer completely; raises if the stream ends early.
    size
        Bytes of the frame.

    Returns
    -------
    ndarray or bytes
        An array of its own memory for an n-d array, bytes for a sequence of bytes.

    Raises
    ------
    CorruptChunk
        It is not a frame, or is damaged.

    Notes
    -----
    The items of a large uncompressed frame go from the socket to their place in the result.
    """
    first = np.empty(min(size, SMALL), np.uint8)
    readinto(first.data)
    if size <= SMALL:
        return frame_contents(first.data)
    payload_at = _raw_payload(first.data)
    if payload_at is None:
        whole = np.empty(size, np.uint8)
        whole[:SMALL] = first
        readinto(whole[SMALL:].data)
        return frame_contents(whole.data)
    start, nbytes = payload_at
    if start + nbytes > size:
        raise CorruptChunk(f"a frame of {size} bytes claims to hold {nbytes}")
    items = np.empty(nbytes, np.uint8)
    early = min(nbytes, SMALL - start)
    items[:early] = first[start : start + early]
    readinto(items[early:].data)
    tail = bytearray(size - start - nbytes)
    late = SMALL - start - early
    tail[:late] = first[start + early :].data
    readinto(memoryview(tail)[late:])
    head = first[:start].tobytes()
    with _as_corrupt():
        skeleton = _checked_raw(head, bytes(tail), size)
    return _shaped(items, skeleton)


def frame_contents(frame: memoryview) -> Array | bytes:
    """Return what a frame in memory holds; CPU-bound. See `receive_frame`."""
    with _as_corrupt():
        raw = _raw_payload(frame)
        if raw is not None and sum(raw) <= len(frame):
            start, nbytes = raw
            skeleton = _checked_raw(bytes(frame[:start]), bytes(frame[start + nbytes :]), len(frame))
            return _shaped(np.frombuffer(frame, np.uint8, nbytes, start).copy(), skeleton)
        skeleton = read_skeleton(lambda at, n: bytes(frame[at : at + n]), len(frame))
        if skeleton.nbytes == 0:
            return _shaped(np.empty(0, np.uint8), skeleton)
        holder = _open(frame, skeleton)
        if isinstance(holder, blosc2.SChunk):
            return bytes(holder[:])
        return np.asarray(holder[()])


def frame_holder(frame: memoryview) -> blosc2.NDArray | blosc2.SChunk:
    """Return the Blosc2 object of a frame in memory, which it keeps alive.

    Raises
    ------
    CorruptChunk
        It is not a frame, or is damaged.
    """
    with _as_corrupt():
        skeleton = read_skeleton(lambda at, n: bytes(frame[at : at + n]), len(frame))
        return _open(frame, skeleton)


def _open(frame: memoryview, skeleton: Skeleton) -> blosc2.NDArray | blosc2.SChunk:
    if skeleton.meta is None:
        return blosc2.schunk_from_cframe(frame, copy=False)
    return blosc2.ndarray_from_cframe(frame, copy=False)


def _raw_payload(frame: memoryview) -> tuple[int, int] | None:
    """Return where the items lie if the frame looks like one uncompressed chunk: start, length."""
    if len(frame) < HEADER_MIN + CHUNK_HEADER:
        return None
    header_size = int.from_bytes(frame[11:15], "big")
    nbytes = int.from_bytes(frame[30:38], "big")
    if not HEADER_MIN <= header_size <= min(len(frame) - CHUNK_HEADER, MAX_HEADER):
        return None
    chunk = frame[header_size : header_size + CHUNK_HEADER]
    claimed = int.from_bytes(chunk[4:8], "little"), int.from_bytes(chunk[8:12], "little")
    # 0x02: stored without compression. Items are in order if the chunk is one block.
    if chunk[2] & 0x07 != 0x07 or claimed != (nbytes, nbytes) or chunk[31] & 0x7F or chunk[30]:
        return None
    return header_size + CHUNK_HEADER, nbytes


@lru_cache(maxsize=256)
def _checked_raw(head: bytes, tail: bytes, size: int) -> Skeleton:
    """Check a frame of one uncompressed chunk from what surrounds its items.

    Cached: slices of one shape from one server differ in their items only.
    """
    skeleton = skeleton_from_parts(head, tail, size)
    if skeleton.nchunks != 1 or skeleton.nbytes != size - len(head) - len(tail):
        raise CorruptChunk("a frame contradicts its only chunk")
    layout = parse_chunk(head[-CHUNK_HEADER:], skeleton, 0)
    meta = skeleton.meta
    if not layout.raw or layout.nblocks != 1 or (meta is not None and meta.blocks != meta.shape):
        raise CorruptChunk("a frame contradicts its only chunk")
    return skeleton


def _shaped(items: Bytes, skeleton: Skeleton) -> Array | bytes:
    meta = skeleton.meta
    if meta is None:
        return items.tobytes()
    if math.prod(meta.shape) * meta.dtype.itemsize != len(items):
        raise CorruptChunk(f"a frame of shape {meta.shape} holds {len(items)} bytes")
    if not len(items):
        return np.empty(meta.shape, meta.dtype)
    return items.view(meta.dtype).reshape(meta.shape)


class _as_corrupt:
    """Turn what is wrong with a frame into one error: to its receiver it is damaged, whatever the cause."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, exc: BaseException | None, _trace: object) -> None:
        if isinstance(exc, BrokenDataset):
            raise CorruptChunk(f"the answer is damaged: {exc.message}") from exc
        if isinstance(exc, RuntimeError | ValueError | struct.error):
            raise CorruptChunk("the answer is damaged: Blosc2 can not read it") from exc
