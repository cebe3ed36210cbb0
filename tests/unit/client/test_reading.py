"""Slices as requests: cut at chunks, put together, of one generation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import blosc2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterva2.client.description import Description
from caterva2.client.reading import Reader, as_slice, split
from caterva2.errors import DatasetChanged
from caterva2.model.paths import DatasetPath
from caterva2.model.slicing import NDSlice, Window

PATH = DatasetPath("foo", ("x.b2nd",))


class Memory:
    """A `Channel` to an array in memory."""

    def __init__(self, array: np.ndarray, generations: Iterator[str] | None = None) -> None:
        self.array = array
        self.seen: list[str] = []
        self._generations = generations

    @contextlib.contextmanager
    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **_: Any
    ) -> Iterator[Any]:
        text = parse_qs(urlsplit(path).query).get("slice_", [""])[0]
        self.seen.append(text)
        key = NDSlice.parse(text).items
        frame = blosc2.asarray(np.array(self.array[key], copy=True)).to_cframe()
        yield Held(frame, next(self._generations) if self._generations else "1")

    def close(self) -> None:
        pass


class Held:
    """An `Answer` in memory."""

    def __init__(self, body: bytes, generation: str) -> None:
        self.status = 200
        self.headers = {"content-type": "application/octet-stream", "caterva2-generation": generation}
        self.length = len(body)
        self._body = memoryview(body)

    def readinto(self, buffer: memoryview) -> None:
        buffer[:] = self._body[: len(buffer)]
        self._body = self._body[len(buffer) :]


def describe(array: np.ndarray, chunks: tuple[int, ...]) -> Description:
    meta = {
        "shape": list(array.shape),
        "chunks": list(chunks),
        "blocks": list(chunks),
        "dtype": str(array.dtype),
    }
    return Description(PATH, meta)


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], Window]:
    shape = draw(st.lists(st.integers(0, 12), min_size=1, max_size=3))
    chunks = [draw(st.integers(1, 5)) for _ in shape]
    items: list[int | slice] = []
    for n in shape:
        bound = st.none() | st.integers(-n - 2, n + 2)
        whole = st.builds(slice, bound, bound, st.none() | st.integers(1, 4))
        items.append(draw(whole if n == 0 else whole | st.integers(-n, n - 1)))
    return tuple(shape), tuple(chunks), NDSlice(tuple(items)).bind(shape)


@given(windows(), st.integers(1, 40))
def test_pieces_tile_the_window(case: tuple[tuple[int, ...], tuple[int, ...], Window], limit: int) -> None:
    shape, chunks, window = case
    array = np.arange(np.prod(shape)).reshape(shape)
    out = np.full(window.full_shape, -1)
    count = np.zeros(window.full_shape, int)

    pieces = list(split(window, chunks, 1, limit)) if window.size else []
    for piece in pieces:
        out[piece.target] = array[tuple(slice(a.start, a.stop, a.step) for a in piece.window.axes)]
        count[piece.target] += 1

    expected = array[tuple(slice(a.start, a.stop, a.step) for a in window.axes)]
    np.testing.assert_array_equal(out, expected)
    assert np.all(count == 1)
    largest = max((piece.window.size for piece in pieces), default=0)
    assert largest <= max(limit, np.prod(chunks))


@given(windows())
def test_slice_of_a_window_selects_the_same(case: tuple[tuple[int, ...], tuple[int, ...], Window]) -> None:
    shape, _, window = case
    array = np.arange(np.prod(shape)).reshape(shape)

    text = str(as_slice(window, shape))

    again = NDSlice.parse(text)
    assert again.bind(shape).shape == window.shape
    np.testing.assert_array_equal(
        array[again.items],
        array[tuple(a.start if a.drop else slice(a.start, a.stop, a.step) for a in window.axes)],
    )


@pytest.mark.parametrize(
    "key", [(), (0,), (slice(3, 17, 2), ..., 1), (slice(None), slice(2, 9), slice(None))], ids=str
)
def test_large_window_is_read_in_pieces_of_one_generation(key: Any) -> None:
    array = np.arange(20 * 12 * 5, dtype="int32").reshape(20, 12, 5)
    channel = Memory(array)
    reader = Reader(channel, max_piece_bytes=100)

    data, generation = reader.window(describe(array, (4, 4, 5)), NDSlice(key).bind(array.shape))

    np.testing.assert_array_equal(data, array[key])
    assert generation == "1"
    assert len(channel.seen) > 1


def test_whole_array_that_is_small_is_asked_for_without_a_slice() -> None:
    array = np.arange(20)
    channel = Memory(array)

    Reader(channel).window(describe(array, (5,)), NDSlice((slice(0, 20),)).bind((20,)))

    assert channel.seen == [""]


def test_empty_window_is_not_asked_for() -> None:
    array = np.zeros((4, 5), "float32")
    channel = Memory(array)

    data, _ = Reader(channel).window(describe(array, (2, 2)), NDSlice((slice(2, 2), 1)).bind((4, 5)))

    assert (data.shape, data.dtype, channel.seen) == ((0,), array.dtype, [])


def test_generation_that_moves_between_pieces_is_noticed() -> None:
    array = np.arange(100)
    channel = Memory(array, iter(["1", "2"]))

    with pytest.raises(DatasetChanged):
        Reader(channel, max_piece_bytes=400).window(describe(array, (10,)), NDSlice().bind((100,)))


@pytest.mark.parametrize("now", [np.arange(10), np.arange(100.0)], ids=["shape", "dtype"])
def test_other_shape_or_dtype_than_described_is_noticed(now: np.ndarray) -> None:
    described = describe(np.arange(100), (10,))

    with pytest.raises(DatasetChanged):
        Reader(Memory(now)).window(described, NDSlice().bind((100,)))
