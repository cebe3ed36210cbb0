"""Slices mean what they mean in NumPy."""

from __future__ import annotations

import contextlib
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterva2.errors import BadSlice
from caterva2.model.slicing import MAX_AXES, Axis, NDSlice, Window
from tests.support.strategies import boxes_in, keys, shapes

asked = shapes().flatmap(lambda shape: st.tuples(st.just(shape), keys(shape)))
wild = shapes().flatmap(lambda shape: st.tuples(st.just(shape), keys(shape, in_bounds=False)))
cut = asked.flatmap(lambda sk: st.tuples(st.just(sk[0]), st.just(sk[1]), boxes_in(sk[0])))


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(math.prod(shape)).reshape(shape)


def select(array: np.ndarray, window: Window) -> np.ndarray:
    """Cut a window, integer axes kept."""
    return array[(*(slice(a.start, a.stop, a.step) for a in window.axes), ...)]


@given(wild)
def test_bound_slice_selects_what_numpy_does(case: tuple[tuple[int, ...], Any]) -> None:
    shape, key = case
    array = numbered(shape)
    try:
        expected = array[key]
    except IndexError:
        with pytest.raises(BadSlice):
            NDSlice.from_key(key).bind(shape)
        return

    window = NDSlice.from_key(key).bind(shape)

    assert window.shape == np.shape(expected)
    assert window.size == np.size(expected)
    np.testing.assert_array_equal(select(array, window).reshape(window.shape), expected)


@given(asked)
def test_bound_axes_are_normalised(case: tuple[tuple[int, ...], Any]) -> None:
    shape, key = case

    for axis, n in zip(NDSlice.from_key(key).bind(shape).axes, shape, strict=True):
        assert 0 <= axis.start <= axis.stop <= max(n, axis.start)
        assert axis.step >= 1
        assert not len(axis) or axis.last < n


@given(wild)
def test_text_of_a_slice_is_read_back(case: tuple[tuple[int, ...], Any]) -> None:
    asked = NDSlice.from_key(case[1])

    assert NDSlice.parse(str(asked)) == asked


@given(asked, st.lists(st.sampled_from(["", " ", "  ", "\t"]), min_size=80, max_size=80))
def test_blanks_between_the_parts_do_not_matter(case: tuple[tuple[int, ...], Any], blanks: list[str]) -> None:
    asked = NDSlice.from_key(case[1])
    parts = iter(blanks)
    text = "".join(c if c.isdigit() or c == "-" else f"{next(parts)}{c}{next(parts)}" for c in str(asked))

    assert NDSlice.parse(text) == asked


@given(asked, st.integers(0, 5))
def test_ellipsis_stands_for_the_missing_axes(case: tuple[tuple[int, ...], Any], at: int) -> None:
    shape, key = case
    key = (*key[:at], ..., *key[at:])
    try:
        expected = numbered(shape)[key]
    except IndexError:
        with pytest.raises(BadSlice):
            NDSlice.from_key(key).bind(shape)
        return

    window = NDSlice.from_key(key).bind(shape)

    np.testing.assert_array_equal(select(numbered(shape), window).reshape(window.shape), expected)


@given(cut)
def test_chunks_touched_are_those_that_hold_selected_items(
    case: tuple[tuple[int, ...], Any, tuple[int, ...]],
) -> None:
    shape, key, chunks = case
    window = NDSlice.from_key(key).bind(shape)
    grid = [-(-n // c) for n, c in zip(shape, chunks, strict=True)]
    of = np.zeros(shape, int)
    for axis, (n, c, g) in enumerate(zip(shape, chunks, grid, strict=True)):
        of = of * g + (np.arange(n) // c).reshape([-1 if i == axis else 1 for i in range(len(shape))])

    touched = list(window.chunks_touched(shape, chunks))

    assert [nchunk for nchunk, _ in touched] == sorted(set(select(of, window).reshape(-1).tolist()))
    for nchunk, coords in touched:
        assert np.ravel_multi_index(coords, grid) == nchunk if grid else coords == ()


@given(cut)
def test_parts_within_chunks_make_up_the_window(
    case: tuple[tuple[int, ...], Any, tuple[int, ...]],
) -> None:
    shape, key, chunks = case
    array = numbered(shape)
    window = NDSlice.from_key(key).bind(shape)
    out = np.full(window.full_shape, -1)

    for _, coords in window.chunks_touched(shape, chunks):
        origin = [i * c for i, c in zip(coords, chunks, strict=True)]
        chunk = array[tuple(slice(o, o + c) for o, c in zip(origin, chunks, strict=True))]
        local, target = window.within(origin, chunks)
        assert (out[target] == -1).all()
        out[target] = chunk[tuple(slice(a.start, a.stop, a.step) for a in local)]

    np.testing.assert_array_equal(out, select(array, window))


@given(asked)
def test_covering_window_is_the_array_itself(case: tuple[tuple[int, ...], Any]) -> None:
    shape, key = case
    window = NDSlice.from_key(key).bind(shape)

    if window.covers(shape):
        np.testing.assert_array_equal(numbered(shape)[key], numbered(shape))
    elif math.prod(shape) > 1:
        assert window.shape != shape


@given(asked)
def test_whole_slice_covers(case: tuple[tuple[int, ...], Any]) -> None:
    shape, key = case
    asked = NDSlice.from_key(key)

    assert not asked.is_whole or asked.bind(shape).covers(shape)


@given(st.text(max_size=40))
def test_any_text_is_a_slice_or_refused(text: str) -> None:
    with contextlib.suppress(BadSlice):
        asked = NDSlice.parse(text)
        assert NDSlice.parse(str(asked)) == asked


@given(st.text(alphabet="0123456789:,-+. ", max_size=20))
def test_text_of_the_right_letters_is_a_slice_or_refused(text: str) -> None:
    with contextlib.suppress(BadSlice):
        asked = NDSlice.parse(text, allow_ellipsis=True)
        assert NDSlice.parse(str(asked), allow_ellipsis=True) == asked


@pytest.mark.parametrize(
    "key",
    [
        True,
        1.5,
        "1",
        None,
        [1],
        (1, None),
        slice(None, None, 0),
        slice(None, None, -1),
        (..., ...),
        np.float64(1),
        slice("a"),
        np.array([1, 2]),
    ],
    ids=str,
)
def test_what_is_no_basic_index_is_refused(key: Any) -> None:
    with pytest.raises(BadSlice):
        NDSlice.from_key(key)


@pytest.mark.parametrize("key", [np.int64(3), np.uint8(3), slice(np.int32(1), np.int64(5))], ids=repr)
def test_integers_of_numpy_are_integers(key: Any) -> None:
    assert NDSlice.from_key(key).bind((10,)).shape == np.zeros(10)[key].shape


def test_too_many_axes_are_refused_before_they_are_read() -> None:
    with pytest.raises(BadSlice, match="axes"):
        NDSlice.parse(",".join("0" * (MAX_AXES + 1)))
    with pytest.raises(BadSlice, match=r"2 axes.*1"):
        NDSlice.parse("0,0").bind((5,))


def test_huge_axes_are_not_walked() -> None:
    window = NDSlice.parse("5:,10:20").bind((2**60, 2**50))

    assert window.full_shape == (2**60 - 5, 10)
    first = list(itertools.islice(window.chunks_touched((2**60, 2**50), (2**40, 2**30)), 2))
    assert first == [(0, (0, 0)), (2**20, (1, 0))]


def test_axis_knows_its_last_item() -> None:
    assert Axis(3, 20, 5).last == 18
