"""Every k-th item: limits are kept, and no step is larger than they ask for."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from caterva2.compute.frames import ArrayMeta
from caterva2.compute.thinning import Limits, lowered, thinned
from caterva2.model.slicing import Axis, Window

NO_LIMIT = 1 << 60


def meta(
    shape: tuple[int, ...], chunks: tuple[int, ...], blocks: tuple[int, ...], dtype: str = "<f4"
) -> ArrayMeta:
    return ArrayMeta(shape=shape, chunks=chunks, blocks=blocks, dtype=np.dtype(dtype))


def whole(shape: tuple[int, ...]) -> Window:
    return Window(tuple(Axis(0, n) for n in shape))


def touched(array: ArrayMeta, window: Window) -> int:
    counts = []
    for axis, c, b in zip(window.axes, array.chunks, array.blocks, strict=True):
        counts.append(len({(i // c, i % c // b) for i in range(axis.start, axis.stop, axis.step)}))
    return math.prod(counts)


@st.composite
def cases(draw: st.DrawFn) -> tuple[ArrayMeta, Window]:
    axes, shape, chunks, blocks = [], [], [], []
    for _ in range(draw(st.integers(0, 3))):
        n = draw(st.integers(0, 200))
        shape.append(n)
        chunks.append(draw(st.integers(1, 80)))
        blocks.append(draw(st.integers(1, chunks[-1])))
        start = draw(st.integers(0, n))
        stop = draw(st.integers(start, n))
        drop = stop == start + 1 and draw(st.booleans())
        axes.append(Axis(start, stop, 1 if drop else draw(st.integers(1, 5)), drop))
    return meta(tuple(shape), tuple(chunks), tuple(blocks)), Window(tuple(axes))


@given(cases(), st.integers(1, 60), st.integers(1, 500), st.integers(1, 500))
def test_all_limits_are_kept(case: tuple[ArrayMeta, Window], points: int, items: int, blocks: int) -> None:
    array, window = case
    found = thinned(array, window, Limits(points, items * 4, blocks, NO_LIMIT))

    assert all(n <= points for n in found.full_shape)
    assert found.size <= items
    assert touched(array, found) <= blocks
    for axis, before in zip(found.axes, window.axes, strict=True):
        assert (axis.start, axis.stop, axis.drop) == (before.start, before.stop, before.drop)
        assert axis.step % before.step == 0


@given(cases(), st.integers(1, 60))
def test_without_other_limits_the_step_is_the_least_for_the_points(
    case: tuple[ArrayMeta, Window], points: int
) -> None:
    array, window = case
    found = thinned(array, window, Limits(points, NO_LIMIT, NO_LIMIT, NO_LIMIT))

    for axis, before in zip(found.axes, window.axes, strict=True):
        factor = axis.step // before.step
        assert factor == 1 or -(-len(before) // (factor - 1)) > points


def test_a_window_within_its_limits_is_left_alone() -> None:
    array = meta((100, 100), (50, 50), (10, 10))
    window = whole((100, 100))
    assert thinned(array, window, Limits(100, NO_LIMIT, 100, NO_LIMIT)) == window


def test_steps_inside_of_blocks_cost_no_blocks_and_stay() -> None:
    array = meta((1000, 1000), (500, 500), (100, 100))
    found = thinned(array, whole((1000, 1000)), Limits(250, NO_LIMIT, 100, NO_LIMIT))
    assert [axis.step for axis in found.axes] == [4, 4]


def test_decoded_bytes_bound_large_blocks() -> None:
    array = meta((1 << 20, 1 << 20), (4096, 4096), (1024, 1024))
    found = thinned(array, whole(array.shape), Limits(1024, NO_LIMIT, 4096, 64 << 20))
    assert found.full_shape == (4, 4)


@given(st.lists(st.integers(0, 300), max_size=4), st.integers(1, 5000))
def test_lowering_takes_from_the_largest_to_one_level(counts: list[int], most: int) -> None:
    found = lowered(counts, most)

    assert math.prod(found) <= most
    assert all(f <= n for f, n in zip(found, counts, strict=True))
    if found != counts:
        level = max(found)
        assert found == [min(n, level) for n in counts]
        assert math.prod(min(n, level + 1) for n in counts) > most
