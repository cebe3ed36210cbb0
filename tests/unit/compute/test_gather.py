"""Lists of indices mean what they mean in NumPy."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterva2.compute import gather
from caterva2.compute.frames import ArrayMeta
from caterva2.compute.gather import MAX_BYTES, Gathering, parse_indices
from caterva2.errors import BadSlice, ResponseTooLarge
from tests.support.strategies import boxes_in, shapes


def meta(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any = "<i8") -> ArrayMeta:
    return ArrayMeta(shape, chunks, chunks, np.dtype(dtype))


def gathered(array: np.ndarray, chunks: tuple[int, ...], text: str) -> np.ndarray:
    gathering = Gathering(meta(array.shape, chunks, array.dtype), parse_indices(text, array.shape))
    for box in gathering.boxes():
        items = array[tuple(slice(a.start, a.stop, a.step) for a in box.window.axes)]
        gathering.put(box, items)
    return gathering.result()


@st.composite
def entries(draw: st.DrawFn, n: int, points: tuple[int, ...]) -> Any:
    """Return an entry for an axis of length `n`; lists have the shape `points`, or one that fits it."""
    kinds = ["null", "slice"]
    if n:
        kinds += ["int", "list", "list"]
    match draw(st.sampled_from(kinds)):
        case "null":
            return None
        case "int":
            return draw(st.integers(-n, n - 1))
        case "slice":
            ends = st.none() | st.integers(-n - 1, n + 1)
            parts = [draw(ends), draw(ends)]
            if draw(st.booleans()):
                parts.append(draw(st.none() | st.integers(1, 3)))
            return ":".join("" if p is None else str(p) for p in parts)
        case _:
            shape = draw(st.sampled_from([points, points[1:] or points, tuple(1 for _ in points)]))
            size = int(np.prod(shape))
            flat = draw(st.lists(st.integers(-n, n - 1), min_size=size, max_size=size))
            return np.array(flat, int).reshape(shape).tolist()


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], list[Any]]:
    shape = draw(shapes(min_dims=1, max_side=8))
    points = draw(st.sampled_from([(3,), (1,), (2, 2), (0,), (5,)]))
    indices = [draw(entries(n, points)) for n in shape]
    return shape, draw(boxes_in(shape)), indices[: draw(st.integers(0, len(indices)))]


def as_key(indices: list[Any]) -> tuple[Any, ...]:
    def one(entry: Any) -> Any:
        if entry is None:
            return slice(None)
        if isinstance(entry, str):
            return slice(*(int(part) if part else None for part in entry.split(":")))
        return np.array(entry, int) if isinstance(entry, list) else entry

    return tuple(one(entry) for entry in indices)


@settings(max_examples=400)
@given(cases())
def test_indices_select_what_they_do_in_numpy(
    case: tuple[tuple[int, ...], tuple[int, ...], list[Any]],
) -> None:
    shape, chunks, indices = case
    array = np.arange(np.prod(shape)).reshape(shape)
    expected = array[as_key(indices)]

    found = gathered(array, chunks, json.dumps(indices))

    assert found.shape == np.shape(expected)
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous


@given(st.text(max_size=30) | st.recursive(
    st.none() | st.booleans() | st.integers(-4, 4) | st.floats() | st.text(":0123456789-,. ", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=1),
    max_leaves=8,
).map(json.dumps))  # fmt: skip
def test_any_text_are_indices_or_refused(text: str) -> None:
    array = np.arange(12).reshape(3, 4)
    try:
        indices = parse_indices(text, array.shape)
    except BadSlice:
        return
    assert len(indices) == 2
    gathered(array, (2, 3), text)


def test_text_of_one_integer_is_that_integer() -> None:
    array = np.arange(12).reshape(3, 4)

    np.testing.assert_array_equal(gathered(array, (2, 3), '["1", [3, 0]]'), array[1, [3, 0]])
    np.testing.assert_array_equal(gathered(array, (2, 3), '["1", null]'), array[1])


def test_too_many_items_are_refused_before_memory_is_taken() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ResponseTooLarge):
            Gathering(meta((1 << 40, 2), (10, 2)), parse_indices("[]", (1 << 40, 2)))
        assert tracemalloc.get_traced_memory()[1] < MAX_BYTES / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("points", ["[0, 999]", "[0, 500, 999, 3, 3, 3]", "[999, 998, 0]"])
def test_boxes_are_not_much_larger_than_what_is_taken_from_them(points: str) -> None:
    shape = (1000, 40_000)

    gathering = Gathering(meta(shape, (1000, 1000)), parse_indices(f"[{points}, null]", shape))

    sizes = [box.window.size * 8 for box in gathering.boxes()]
    assert max(sizes) <= max(gather.MAX_BOX, 40_000 * 8)


def test_points_close_by_are_read_together() -> None:
    shape = (1000, 100)

    gathering = Gathering(meta(shape, (100, 100)), parse_indices("[[1, 5, 3, 99, 101, 150], null]", shape))

    assert [len(box.points) for box in gathering.boxes()] == [4, 2]
