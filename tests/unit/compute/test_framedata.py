"""Received frames become arrays or bytes; damaged ones an error, never a crash."""

from __future__ import annotations

import contextlib
from typing import Any

import blosc2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterva2.compute import codec
from caterva2.compute.framedata import SMALL, frame_holder, receive_frame
from caterva2.errors import CorruptChunk

DTYPES: list[Any] = [
    "bool", "int8", "int64", "float16", "float32", "longdouble", ">f4", "complex128", "S6", "U4",
    "M8[ns]", "m8[s]",
    [("a", "<f4"), ("b", "<f8")], [("a", "<i4"), ("s", [("x", ">f8"), ("y", "S3")])],
]  # fmt: skip
SHAPES = [(), (0,), (3,), (4, 0, 2), (100, 30), (50, 60, 30)]


def receive(frame: bytes) -> Any:
    left = memoryview(frame)

    def readinto(buffer: memoryview) -> None:
        nonlocal left
        assert len(buffer) <= len(left)
        buffer[:] = left[: len(buffer)]
        left = left[len(buffer) :]

    data = receive_frame(readinto, len(frame))
    assert not left
    return data


def items(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    n = int(np.prod(shape))
    raw = np.random.default_rng(0).integers(0, 2, n * np.dtype(dtype).itemsize, dtype=np.uint8)
    return raw.view(dtype).reshape(shape) if n else np.empty(shape, dtype)


def raw_frame(array: np.ndarray) -> bytes:
    geometry = codec.Geometry(array.shape, array.shape, array.shape)
    text = codec.dtype_to_text(array.dtype)
    return b"".join(bytes(b) for b in codec.raw_frame(array.tobytes(), geometry, text, array.dtype.itemsize))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "encode", [raw_frame, lambda a: blosc2.asarray(a).to_cframe()], ids=["raw", "blosc2"]
)
def test_array_arrives_unchanged_and_is_its_owners(encode: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    array = items(dtype, shape)

    data = receive(encode(array))

    assert (data.shape, data.dtype, data.tobytes()) == (array.shape, array.dtype, array.tobytes())
    assert data.flags.writeable
    assert data.flags.aligned


@pytest.mark.parametrize("n", [0, 1, 1000, SMALL - 200, SMALL, SMALL + 1, 300_000])
@pytest.mark.parametrize("raw", [True, False])
def test_bytes_arrive_unchanged(n: int, raw: bool) -> None:
    data = np.random.default_rng(0).bytes(n)
    frame = (
        b"".join(bytes(b) for b in codec.raw_frame(data, None, "", 1)) if raw
        else blosc2.SChunk(chunksize=4096, data=data).to_cframe()
    )  # fmt: skip

    assert receive(frame) == data


@pytest.mark.parametrize("size", range(SMALL - 300, SMALL + 300, 37))
def test_border_between_small_and_large_frames_holds(size: int) -> None:
    array = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)

    np.testing.assert_array_equal(receive(raw_frame(array)), array)


def test_holder_gives_the_blosc2_object() -> None:
    array = items("int64", (20, 30))

    np.testing.assert_array_equal(frame_holder(memoryview(raw_frame(array)))[3:5], array[3:5])


FRAMES = [
    raw_frame(items("int64", (20, 30))),
    raw_frame(items("int64", (200, 300))),
    blosc2.asarray(items("float64", (20, 30)), chunks=(5, 30)).to_cframe(),
    blosc2.SChunk(chunksize=100, data=b"Hello world!" * 100).to_cframe(),
]


@given(st.sampled_from(FRAMES), st.data())
def test_damaged_head_is_an_error_or_the_data(frame: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, 250))
    damaged = bytearray(frame)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))

    with contextlib.suppress(CorruptChunk):
        receive(bytes(damaged))


@given(st.sampled_from(FRAMES), st.data())
def test_truncated_frame_is_an_error(frame: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(frame) - 1))

    with pytest.raises(CorruptChunk):
        receive(frame[:size])


@pytest.mark.parametrize("frame", [b"", b"x", bytes(100), bytes(100_000)], ids=lambda f: str(len(f)))
def test_what_is_no_frame_is_an_error(frame: bytes) -> None:
    with pytest.raises(CorruptChunk):
        receive(frame)


def test_dtype_of_objects_is_refused_before_blosc2_sees_it() -> None:
    frame = blosc2.asarray(np.zeros(4, "i8")).to_cframe().replace(b"<i8", b"|O8")

    with pytest.raises(CorruptChunk):
        receive(frame)
