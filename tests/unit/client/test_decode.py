"""Bodies of data: frames and stored chunks, sound and damaged."""

from __future__ import annotations

from typing import Any

import blosc2
import numpy as np
import pytest

from caterva2.client.decode import as_result, data_from_answer, holder_from_answer
from caterva2.compute import extents
from caterva2.compute.frames import read_skeleton
from caterva2.errors import CorruptChunk, ProtocolMismatch
from caterva2.model.slicing import NDSlice
from caterva2.model.wire import BINARY, EXTENTS

CUBE = np.random.default_rng(0).integers(0, 50, (30, 40, 20)).astype("int32")
WHOLE = NDSlice()


class Held:
    """An `Answer` in memory."""

    status = 200

    def __init__(self, body: bytes, media: str = BINARY, *, sized: bool = True) -> None:
        self.headers = {"content-type": media}
        self.length = len(body) if sized else None
        self._body = memoryview(body)

    def readinto(self, buffer: memoryview | bytearray) -> None:
        memoryview(buffer)[:] = self._body[: len(buffer)]
        self._body = self._body[len(buffer) :]

    def read(self) -> bytes:
        return bytes(self._body)

    def pieces(self) -> Any:
        yield self._body


def stored_chunks(array: np.ndarray, wanted: NDSlice, **how: Any) -> bytes:
    """Build the answer of a server that sends a window as stored chunks."""
    frame = blosc2.asarray(array, **how).to_cframe()

    def read(at: int, n: int) -> bytes:
        return frame[at : at + n]

    skeleton = read_skeleton(read, len(frame))
    assert skeleton.meta is not None
    units = extents.skeleton_units(skeleton)
    out = extents.encode_record(units, _runs(frame, units))
    window = wanted.bind(array.shape)
    for nchunk, _ in window.chunks_touched(array.shape, skeleton.meta.chunks):
        if skeleton.special(nchunk):
            out.append(extents.encode_special(nchunk, skeleton.special(nchunk)))
            continue
        _, layout = extents.read_layout(read, skeleton, nchunk)
        units = extents.chunk_units(skeleton, nchunk, layout, None)
        out += extents.encode_record(units, _runs(frame, units))
    return b"".join(bytes(part) for part in out)


def _runs(frame: bytes, units: extents.Units) -> list[bytes]:
    starts = [(int(units.offsets[first]), n) for first, _, n in units.runs()]
    return [frame[at : at + n] for at, n in starts]


KEYS = [(), (3,), (slice(2, 25, 3), slice(None), 7), (0, 0, 0), (slice(10, 20), slice(5, 8))]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_stored_chunks_become_the_window(key: Any) -> None:
    wanted = NDSlice(key)
    body = stored_chunks(CUBE, wanted, chunks=(8, 16, 20), blocks=(4, 5, 7))

    data = data_from_answer(Held(body, EXTENTS), wanted)

    np.testing.assert_array_equal(data, CUBE[key])  # type: ignore[arg-type]
    assert data.dtype == CUBE.dtype  # type: ignore[union-attr]


def test_stored_special_chunks_become_zeros() -> None:
    body = stored_chunks(np.zeros((50, 50)), WHOLE, chunks=(10, 10))

    data = data_from_answer(Held(body, EXTENTS), WHOLE)

    np.testing.assert_array_equal(data, np.zeros((50, 50)))  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0, 5, 100, 400, -1, -200])
def test_damaged_chunks_are_refused(at: int) -> None:
    body = bytearray(stored_chunks(CUBE, WHOLE, chunks=(8, 16, 20)))
    body[at] ^= 0x40

    with pytest.raises(CorruptChunk):
        data_from_answer(Held(bytes(body), EXTENTS), WHOLE)


def test_missing_chunks_are_noticed() -> None:
    body = stored_chunks(CUBE, NDSlice((slice(0, 8),)), chunks=(8, 16, 20))

    with pytest.raises(CorruptChunk, match="lacks 9 of the chunks"):
        data_from_answer(Held(body, EXTENTS), WHOLE)


def test_empty_body_of_chunks_is_refused() -> None:
    with pytest.raises(CorruptChunk):
        data_from_answer(Held(b"", EXTENTS), WHOLE)


@pytest.mark.parametrize("sized", [True, False])
def test_frame_becomes_its_array(sized: bool) -> None:
    frame = blosc2.asarray(CUBE, chunks=(8, 16, 20)).to_cframe()

    data = data_from_answer(Held(frame, sized=sized), WHOLE)

    np.testing.assert_array_equal(data, CUBE)  # type: ignore[arg-type]


def test_frame_without_array_becomes_bytes() -> None:
    frame = blosc2.SChunk(chunksize=100, data=b"Hello world!" * 100).to_cframe()

    assert data_from_answer(Held(frame), WHOLE) == b"Hello world!" * 100


def test_holder_is_a_blosc2_object() -> None:
    held = holder_from_answer(Held(blosc2.asarray(CUBE).to_cframe()))

    np.testing.assert_array_equal(held[1:3], CUBE[1:3])


@pytest.mark.parametrize(
    "reader", [lambda a: data_from_answer(a, WHOLE), holder_from_answer], ids=["data", "holder"]
)
def test_other_media_type_is_a_mismatch(reader: Any) -> None:
    with pytest.raises(ProtocolMismatch, match="text/html"):
        reader(Held(b"<html>", "text/html; charset=utf-8"))


@pytest.mark.parametrize(
    ("key", "is_scalar"), [((1, 2, 3), True), ((1, 2, 3, ...), False), ((1,), False), ((), False)], ids=str
)
def test_scalars_are_as_in_numpy(key: Any, is_scalar: bool) -> None:
    result = as_result(np.asarray(CUBE[key]), NDSlice(key))

    assert isinstance(result, np.int32) is is_scalar
    assert type(result) is type(CUBE[key])
