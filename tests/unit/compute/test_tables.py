"""Rows that are selected and sorted piece by piece: the same as NumPy's, of all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from caterva2.compute.frames import ArrayMeta
from caterva2.compute.tables import Ordering
from caterva2.errors import BadRequest

DTYPE = np.dtype([("f", "<f4"), ("i", ">i2"), ("s", "S2"), ("t", "M8[s]"), ("-i", "i1"), ("v", "f4", (2,))])


def meta(n: int) -> ArrayMeta:
    return ArrayMeta(shape=(n,), chunks=(max(n, 1),), blocks=(max(n, 1),), dtype=DTYPE)


def ordered(rows: Any, sortby: str | None, mask: Any, step: int) -> list[int]:
    ordering = Ordering(meta(len(rows)), sortby)
    for start in range(0, len(rows), step):
        stop = min(len(rows), start + step)
        part = None if mask is None else mask[start:stop]
        ordering.add(start, stop, part, rows[start:stop] if sortby else None)
    return ordering.rows().tolist()


@given(
    hnp.arrays(DTYPE, st.integers(0, 30)),
    st.sampled_from([None, "f", "i", "s", "t", "-f", "-i", "-s", "-t", "--i"]),
    st.none() | st.integers(0, 2**30),
    st.integers(1, 8),
)
def test_rows_are_selected_and_sorted_as_by_numpy(
    rows: Any, sortby: str | None, seed: int | None, step: int
) -> None:
    mask = None if seed is None else np.random.default_rng(seed).integers(0, 2, len(rows)).astype(bool)
    wanted = np.arange(len(rows)) if mask is None else np.flatnonzero(mask)

    found = ordered(rows, sortby, mask, step)

    assert sorted(found) == wanted.tolist()
    if sortby is None:
        assert found == wanted.tolist()
        return
    descending = sortby in {"-f", "-s", "-t", "--i"}
    column = sortby[1:] if descending else sortby
    keys = rows[column][found]
    missing = keys != keys
    assert not (missing[:-1] & ~missing[1:]).any(), "what is missing comes last"
    present = keys[~missing]
    first, second = (present[1:], present[:-1]) if descending else (present[:-1], present[1:])
    assert (first <= second).all()
    for a, b, ka, kb in zip(found, found[1:], keys, keys[1:], strict=False):
        assert a < b or not (ka == kb or (ka != ka and kb != kb)), "equal rows stay in their order"


@pytest.mark.parametrize("sortby", ["x", "-x", "v", "-v", "", "-"])
def test_what_has_no_order_can_not_be_sorted_by(sortby: str) -> None:
    with pytest.raises(BadRequest):
        Ordering(meta(3), sortby)
