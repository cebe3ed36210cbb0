"""Frames that lie: each is small, and wrong in one way."""

from __future__ import annotations

import struct
from collections.abc import Callable

import blosc2
import msgspec
import numpy as np

from tests.support.frames import absurd_frame, array_frame, bytes_frame, object_frame

HEADER_LEN, FRAME_LEN, CODEC, NBYTES, CBYTES, BLOCKSIZE, CHUNKSIZE, FILTERS = 11, 16, 27, 30, 39, 53, 58, 71


def honest() -> bytes:
    """Return the frame that the others are made from: 9 chunks of 4 blocks."""
    data = np.random.default_rng(3).integers(0, 1000, (40, 40), dtype="<i4")
    return array_frame(data, chunks=(16, 16), blocks=(8, 8), vlmeta={"a": 1})


def rebuilt(
    frame: bytes | None = None,
    *,
    header: Callable[[bytearray], None] | None = None,
    index: bytes | None = None,
    trailer: bytes | None = None,
) -> bytes:
    """Return a frame with another header, index or trailer, whose lengths fit again."""
    frame = honest() if frame is None else frame
    (header_len,) = struct.unpack_from(">i", frame, HEADER_LEN)
    (cbytes,) = struct.unpack_from(">q", frame, CBYTES)
    (trailer_len,) = struct.unpack_from(">I", frame, len(frame) - 22)
    head = bytearray(frame[:header_len])
    chunks = frame[header_len : header_len + cbytes]
    old_index = frame[header_len + cbytes : len(frame) - trailer_len]
    if header is not None:
        header(head)
    rest = (
        chunks
        + (old_index if index is None else index)
        + (frame[-trailer_len:] if trailer is None else trailer)
    )
    struct.pack_into(">Q", head, FRAME_LEN, len(head) + len(rest))
    return bytes(head) + rest


def index_of(offsets: np.ndarray) -> bytes:
    """Return the index of chunks at these offsets."""
    data = np.ascontiguousarray(offsets, "<i8")
    chunk: bytes = blosc2.compress2(data, typesize=8, codec=blosc2.Codec.ZSTD, clevel=9)
    return chunk


def trailer_of(vlmeta: dict[str, bytes]) -> bytes:
    """Return a trailer that holds user attributes as they are given, compressed values."""
    names = {name: n for n, name in enumerate(vlmeta)}
    section = msgspec.msgpack.encode([0, names, list(vlmeta.values())])
    body = b"\x94\x01" + section
    length = len(body) + 23
    return body + b"\xce" + struct.pack(">I", length) + b"\xd8\x00" + bytes(16)


def _set(fmt: str, at: int, value: int) -> Callable[[bytearray], None]:
    return lambda head: struct.pack_into(fmt, head, at, value)


def _b2nd(change: Callable[[bytearray, int], None]) -> Callable[[bytearray], None]:
    """Change the array's metalayer in place, given where it begins."""

    def apply(head: bytearray) -> None:
        at = head.index(b"\x97\x00\x02\x92\xd3")
        change(head, at)

    return apply


def _many_chunks(nchunks: int) -> bytes:
    def lie(head: bytearray) -> None:
        struct.pack_into(">q", head, NBYTES, nchunks * 100)
        struct.pack_into(">i", head, CHUNKSIZE, 100)

    zeros, nans = -(127 << 56), -(126 << 56)
    offsets = np.tile(np.array([zeros, nans]), nchunks // 2)
    return rebuilt(bytes_frame(b"x" * 900), header=lie, index=index_of(offsets))


def _one_value_chunks(nchunks: int) -> bytes:
    """Return a frame whose index is one number for all of its chunks, of one byte each."""

    def lie(head: bytearray) -> None:
        struct.pack_into(">q", head, NBYTES, nchunks)
        struct.pack_into(">i", head, CHUNKSIZE, 1)
        struct.pack_into(">i", head, BLOCKSIZE, 1)

    header = struct.pack("<BBBBiii", 5, 1, 0x07, 8, 8 * nchunks, 8, 40) + bytes(15) + bytes([3 << 4])
    return rebuilt(bytes_frame(b"x" * 900), header=lie, index=header + struct.pack("<q", -(127 << 56)))


def _vlmeta_bomb() -> bytes:
    chunk = bytearray(blosc2.compress2(np.tile(np.arange(7, dtype="u1"), 1 << 20), typesize=1))
    struct.pack_into("<i", chunk, 4, 2**31 - 40)
    return rebuilt(trailer=trailer_of({"bomb": bytes(chunk), "short": b"\x05", "fine": b""}))


def _nested_vlmeta() -> bytes:
    return rebuilt(trailer=trailer_of({"deep": bytes(blosc2.compress2(b"\x91" * 60_000, typesize=1))}))


def broken() -> dict[str, bytes]:
    """Return frames, by name, that can not be served at all."""
    whole = honest()
    (header_len,) = struct.unpack_from(">i", whole, HEADER_LEN)
    return {
        "empty": b"",
        "no-frame": b"not a frame" * 100,
        "magic-only": whole[:10],
        "half-header": whole[:60],
        "half": whole[: len(whole) // 2],
        "no-trailer": whole[:-30],
        "longer": whole + b"more",
        "objects": object_frame(),
        "absurd-size": absurd_frame(),
        "header-too-long": rebuilt(header=_set(">i", HEADER_LEN, 2**31 - 1)),
        "negative-header": rebuilt(header=_set(">i", HEADER_LEN, -1)),
        "negative-nbytes": rebuilt(header=_set(">q", NBYTES, -1)),
        "absurd-nbytes": rebuilt(header=_set(">q", NBYTES, 2**62)),
        "absurd-cbytes": rebuilt(header=_set(">q", CBYTES, 2**62)),
        "absurd-chunksize": rebuilt(header=_set(">i", CHUNKSIZE, 2**31 - 1)),
        "negative-chunksize": rebuilt(header=_set(">i", CHUNKSIZE, -7)),
        "absurd-blocksize": rebuilt(header=_set(">i", BLOCKSIZE, 2**31 - 1)),
        "200-dimensions": rebuilt(header=_b2nd(lambda head, at: _set(">B", at + 2, 200)(head))),
        "other-shape": rebuilt(header=_b2nd(lambda head, at: _set(">q", at + 5, 2**40)(head))),
        "negative-shape": rebuilt(header=_b2nd(lambda head, at: _set(">q", at + 5, -40)(head))),
        "block-over-chunk": rebuilt(header=_b2nd(lambda head, at: _set(">i", at + 35, 64)(head))),
        "zero-chunk": rebuilt(header=_b2nd(lambda head, at: _set(">i", at + 24, 0)(head))),
        "unknown-codec": rebuilt(header=_set(">B", CODEC, 9)),
        "plugin-codec": rebuilt(header=_set(">B", CODEC, 15)),
        "unknown-filter": rebuilt(header=_set(">B", FILTERS + 5, 99)),
        "unknown-version": rebuilt(header=_set(">B", 25, 0x1F)),
        "offsets-outside": rebuilt(index=index_of(np.arange(9) * 10**12)),
        "offsets-equal": rebuilt(index=index_of(np.array([0, 0, 0, 0, 0, 0, 0, 0, 7]))),
        "index-too-short": rebuilt(index=index_of(np.arange(3) * 100)),
        "index-garbage": rebuilt(index=b"\xff" * 80),
        "index-missing": rebuilt(index=b""),
        "index-bomb": _many_chunks(8_000_000),
        "index-of-one-value": _one_value_chunks(2**28 - 3),
        "trailer-garbage": rebuilt(
            trailer=b"\x93\x01\x90" + b"\xce" + struct.pack(">I", 26) + b"\xd8\x00" + bytes(16)
        ),
        "metalayers-garbage": whole[:87] + b"\xff" * (header_len - 87) + whole[header_len:],
    }


def odd() -> dict[str, bytes]:
    """Return frames that can be described, but hold damage or traps."""
    whole = honest()
    (header_len,) = struct.unpack_from(">i", whole, HEADER_LEN)

    def damaged(at: int, fmt: str, value: int) -> bytes:
        data = bytearray(whole)
        struct.pack_into(fmt, data, header_len + at, value)
        return bytes(data)

    return {
        "vlmeta-bomb": _vlmeta_bomb(),
        "vlmeta-nested": _nested_vlmeta(),
        "one-value-index": _one_value_chunks(4_000_000),
        "chunk-nbytes": damaged(4, "<i", 2**31 - 40),
        "chunk-negative": damaged(4, "<i", -3),
        "chunk-cbytes": damaged(12, "<i", 2**31 - 40),
        "chunk-blocksize": damaged(8, "<i", 1),
        "chunk-block-starts": damaged(32, "<i", 2**30),
        "chunk-block-negative": damaged(36, "<i", -1),
        "chunk-stream-length": damaged(48, "<i", 2**30),
        "chunk-version": damaged(0, "<B", 77),
        "chunk-flags": damaged(2, "<B", 0xFF),
        "chunk-codec": damaged(22, "<B", 0xEE),
        "chunk-special": damaged(31, "<B", 0x70),
        "chunk-filters": damaged(16, "<Q", 2**64 - 1),
        "chunk-erased": whole[:header_len] + b"\xff" * 300 + whole[header_len + 300 :],
    }
