"""Answers are frames that stock Blosc2 reads as the items they were made of."""

from __future__ import annotations

from typing import Any

import blosc2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterva2.compute.answers import Selection, answer_chunk, answer_parts, result_dtype, whole_frame
from caterva2.compute.codec import (
    TARGET_BLOCK,
    TARGET_CHUNK,
    Geometry,
    answer_geometry,
    dtype_to_text,
    frame_ends,
    raw_frame,
)
from caterva2.compute.dtypes import parse_dtype
from caterva2.compute.frames import ArrayMeta, read_skeleton
from caterva2.errors import BadRequest, BrokenDataset
from caterva2.model.slicing import Axis, Window
from tests.support.strategies import dtypes, items, shapes


def joined(parts: Any) -> bytes:
    return b"".join(bytes(part) for part in parts)


def read_array(frame: bytes) -> np.ndarray:
    """Read as stock Blosc2 does, and check that our own reader agrees with it."""
    skeleton = read_skeleton(lambda at, n: frame[at : at + n], len(frame))
    array = blosc2.ndarray_from_cframe(frame)
    assert skeleton.meta is not None
    assert (skeleton.meta.shape, skeleton.meta.chunks) == (array.shape, array.chunks)
    return np.asarray(array[...] if array.ndim else array[()], array.dtype).reshape(array.shape)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


def window(shape: tuple[int, ...]) -> Window:
    return Window(tuple(Axis(0, n) for n in shape))


arrays = st.builds(items, shapes(max_side=6), dtypes.map(np.dtype), st.integers(0, 9))


@settings(deadline=None)
@given(arrays)
def test_raw_frame_is_read_by_blosc2(array: np.ndarray) -> None:
    geometry = Geometry(array.shape, array.shape, array.shape)

    frame = joined(raw_frame(array.tobytes(), geometry, dtype_to_text(array.dtype), array.dtype.itemsize))

    same(read_array(frame), array)


@settings(deadline=None)
@given(arrays, st.booleans())
def test_answer_is_read_by_blosc2(array: np.ndarray, local: bool) -> None:
    frame = joined(whole_frame(array, Selection(window(array.shape), None, local), plain=False))

    same(read_array(frame), array)


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("dtype", ["<f8", "S300", "bool", "V1000", [("a", "<f4"), ("b", "<f8")]], ids=str)
def test_large_answer_is_read_by_blosc2(dtype: Any, local: bool) -> None:
    n = 1_200_000 // np.dtype(dtype).itemsize
    array = items((n // 7, 7), np.dtype(dtype), 0)

    frame = joined(whole_frame(array, Selection(window(array.shape), None, local), plain=False))

    found = read_array(frame)
    assert (found.shape, found.tobytes()) == (array.shape, array.tobytes())


@settings(deadline=None)
@given(arrays, st.data())
def test_dropped_axes_vanish_from_an_answer(array: np.ndarray, data: st.DataObject) -> None:
    drop = [data.draw(st.booleans()) if n == 1 else False for n in array.shape]
    axes = tuple(Axis(0, n, 1, d) for n, d in zip(array.shape, drop, strict=True))

    frame = joined(whole_frame(array, Selection(Window(axes)), plain=False))

    same(read_array(frame), array.reshape(Window(axes).shape))


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 1000, 100_000, 3_000_000])
@pytest.mark.parametrize("typesize", [1, 8, 300])
@pytest.mark.parametrize("local", [False, True])
def test_answer_of_bytes_is_a_sequence_of_bytes(n: int, typesize: int, local: bool) -> None:
    array = items((n // typesize,), np.dtype(f"V{typesize}"), 0)

    frame = joined(whole_frame(array, Selection(window(array.shape), None, local), plain=True))

    schunk = blosc2.schunk_from_cframe(frame)
    assert (schunk[:] if schunk.nbytes else b"") == array.tobytes()
    with pytest.raises(RuntimeError):
        blosc2.ndarray_from_cframe(frame)


def test_one_item_of_a_sequence_has_its_typesize() -> None:
    array = items((1,), np.dtype("V8"), 0)

    frame = joined(whole_frame(array, Selection(Window((Axis(5, 6, 1, True),))), plain=True))

    assert blosc2.schunk_from_cframe(frame)[:] == array.tobytes()


def test_sixteen_axes_are_read_by_blosc2() -> None:
    array = items((2,) * 16, np.dtype("<i2"), 0)

    frame = joined(whole_frame(array, Selection(window(array.shape), None, True), plain=False))

    same(read_array(frame), array)


# chunk by chunk

sides = st.integers(1, 3000)


@given(st.lists(st.tuples(sides, sides), max_size=5), st.sampled_from([1, 4, 8, 600, 5_000_000]))
def test_geometry_of_an_answer_is_valid_and_small(lengths: list[tuple[int, int]], itemsize: int) -> None:
    shape, near = [a for a, _ in lengths], [b for _, b in lengths]

    geometry = answer_geometry(shape, near, itemsize)

    assert geometry.shape == tuple(shape)
    assert all(1 <= b <= c for b, c in zip(geometry.blocks, geometry.chunks, strict=True))
    assert all(c % b == 0 for b, c in zip(geometry.blocks, geometry.chunks, strict=True))
    assert np.prod(geometry.blocks, dtype=float) * itemsize <= max(TARGET_BLOCK, itemsize)
    assert np.prod(geometry.chunks, dtype=float) * itemsize <= max(2 * TARGET_CHUNK, itemsize)
    assert geometry.nchunks * np.prod(geometry.chunks, dtype=float) >= np.prod(shape, dtype=float)


@st.composite
def cut_answers(draw: st.DrawFn) -> tuple[np.ndarray, Geometry]:
    array = items(draw(shapes(max_dims=3, max_side=7, min_side=1)), np.dtype(draw(dtypes)), 1)
    chunks = [draw(st.integers(1, n)) for n in array.shape]
    blocks = list(chunks)
    if chunks:  # blocks are runs of a chunk
        axis = draw(st.integers(0, len(chunks) - 1))
        blocks[: axis + 1] = [1] * axis + [draw(st.integers(1, chunks[axis]))]
        chunks[axis] = -(-chunks[axis] // blocks[axis]) * blocks[axis]
    return array, Geometry(array.shape, tuple(chunks), tuple(blocks))


@settings(deadline=None)
@given(cut_answers())
def test_answer_made_chunk_by_chunk_is_read_by_blosc2(case: tuple[np.ndarray, Geometry]) -> None:
    array, geometry = case
    chunks = []
    for part in answer_parts([Axis(0, n) for n in array.shape], geometry):
        sub = array[(*(slice(a.start, a.stop, a.step) for a in part), ...)]
        chunks.append(answer_chunk(sub.copy(), Window(part), None, geometry, plain=False))
    itemsize = array.dtype.itemsize
    blocksize, chunksize = (int(np.prod(n)) * itemsize for n in (geometry.blocks, geometry.chunks))

    before, behind = frame_ends(
        [len(c) for c in chunks],
        chunksize * len(chunks),
        geometry,
        dtype_to_text(array.dtype),
        itemsize,
        blocksize,
        chunksize,
        clevel=1,
    )

    assert len(chunks) == geometry.nchunks
    same(read_array(b"".join((before, *chunks, behind))), array)


@given(st.integers(0, 50), st.integers(1, 60), st.integers(1, 7), st.integers(1, 9))
def test_parts_of_a_stepped_axis_make_it_up(start: int, length: int, step: int, chunk: int) -> None:
    axis = Axis(start, start + length, step)
    geometry = Geometry((len(axis),), (chunk,), (chunk,))

    parts = [range(p.start, p.stop, p.step) for (p,) in answer_parts([axis], geometry)]

    assert [i for part in parts for i in part] == list(range(axis.start, axis.stop, axis.step))
    assert all(1 <= len(part) <= chunk for part in parts)


# dtypes


@given(dtypes.map(np.dtype))
def test_text_of_a_dtype_is_parsed_back(dtype: np.dtype) -> None:
    assert parse_dtype(dtype_to_text(dtype)) == dtype
    assert parse_dtype(str(dtype)) == dtype


@pytest.mark.parametrize(
    "text",
    [
        "O",
        "|O8",
        "object",
        "[('a', 'O')]",
        "[('a', [('b', '|O8')])]",
        "[('a', 'O', (3,))]",
        "__import__('os')",
        "[('a', print(1))]",
        "",
        "x" * 100_000,
        "S999999999999",
        "U999999999",
        "[" * 5000,
        "('<i4', (100000, 100000))",
        "{'names': ['a'], 'formats': ['O']}",
        "f8, f4",
        "i4\x00",
        "<i4\n",
        "[('a', '<i4'), ('a', '<i4')]",
        "{'names': 5}",
        "()",
        "[]",
        "{}",
        "{1: 2}",
        "(1, 2)",
        "'O'",
    ],
    ids=lambda t: t[:20],
)
def test_odd_text_is_no_dtype_of_ours(text: str) -> None:
    try:
        dtype = parse_dtype(text)
    except BrokenDataset:
        return
    assert not dtype.hasobject
    assert dtype.itemsize == 0


@given(st.text(max_size=30) | st.text(alphabet="[](){}'\",:<>=|biufcSUVOmM0123456789 ", max_size=40))
def test_any_text_is_a_dtype_without_objects_or_refused(text: str) -> None:
    try:
        dtype = parse_dtype(text)
    except BrokenDataset:
        return
    assert not dtype.hasobject


def test_field_of_an_answer_is_named_or_refused() -> None:
    array = ArrayMeta((3,), (3,), (3,), np.dtype([("a", "<f4"), ("p", "<i2", (2,))]))

    assert result_dtype(array, None) == array.dtype
    assert result_dtype(array, "a") == np.dtype("<f4")
    for field in ("b", "p", ""):
        with pytest.raises(BadRequest):
            result_dtype(array, field)
