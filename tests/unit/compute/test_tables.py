"""Rows of structured arrays: what they are sorted by, and that they keep together what belongs together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from caterva2.compute.frames import ArrayMeta
from caterva2.compute.tables import Ordering, SortKey, check_table, chosen_rows, collected, sort_keys
from caterva2.errors import BadRequest

DTYPE = np.dtype(
    [("a", "<i4"), ("-a", "<f8"), ("a,b", "?"), ("s", "S3"), ("v", "V2"), ("m", "<f4", (2,)), ("t", ">u2")],
    align=True,
)
META = ArrayMeta((6,), (3,), (2,), DTYPE)


def rows() -> Any:
    made = np.zeros(6, DTYPE)
    made["a"] = [2, 1, 2, 1, 2, 1]
    made["-a"] = [np.nan, 3, 1, 3, -1, np.nan]
    made["s"] = [b"b", b"a", b"c", b"b", b"a", b"c"]
    made["t"] = range(6)
    return made


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a", [("a", False)]),
        ("-a", [("-a", False)]),  # there is a column of this name
        ("--a", [("-a", True)]),
        ("a,b", [("a,b", False)]),
        (" s , - a", [("s", False), ("a", True)]),
        ("-s,t", [("s", True), ("t", False)]),
    ],
)
def test_text_names_columns_and_directions(text: str, keys: list[tuple[str, bool]]) -> None:
    assert sort_keys(META, text) == tuple(SortKey(*key) for key in keys)


@pytest.mark.parametrize("text", ["", "x", "a,", ",a", "a,a", "s,-s", "v", "m", "-x", "a s"])
def test_text_that_names_no_order_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        sort_keys(META, text)


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ([], [0, 1, 2, 3, 4, 5]),
        ([("a", False)], [1, 3, 5, 0, 2, 4]),
        ([("a", True)], [0, 2, 4, 1, 3, 5]),
        ([("-a", False)], [4, 2, 1, 3, 0, 5]),
        ([("-a", True)], [0, 5, 1, 3, 2, 4]),
        ([("s", True), ("a", False)], [5, 2, 3, 0, 1, 4]),
        ([("a", True), ("t", True)], [4, 2, 0, 5, 3, 1]),
    ],
)
def test_rows_are_put_in_order(keys: list[tuple[str, bool]], order: list[int]) -> None:
    parts = [rows()[:4], rows()[4:]]

    found = collected(parts, META, [SortKey(*key) for key in keys])

    assert found.dtype == DTYPE
    assert found["t"].tolist() == order


def test_no_rows_have_the_dtype_of_the_table() -> None:
    assert collected([], META, [SortKey("a")]).dtype == DTYPE


def test_chosen_rows_keep_all_fields() -> None:
    found = chosen_rows(rows(), np.array([True, False, False, True, False, False]))

    assert found.dtype == DTYPE
    assert all(np.array_equal(found[n], rows()[n][[0, 3]], equal_nan=n == "-a") for n in DTYPE.names or ())


@pytest.mark.parametrize(
    "meta",
    [
        ArrayMeta((6,), (3,), (2,), np.dtype("f8")),
        ArrayMeta((2, 3), (2, 3), (2, 3), DTYPE),
        ArrayMeta((), (), (), DTYPE),
        ArrayMeta((6,), (3,), (2,), np.dtype([("a", "S0")])),
    ],
)
def test_only_structured_arrays_of_one_dimension_have_rows(meta: ArrayMeta) -> None:
    with pytest.raises(BadRequest, match="structured arrays of one dimension"):
        check_table(meta, "filter")


PIECES = np.dtype([("f", "<f4"), ("i", ">i2"), ("s", "S2"), ("t", "M8[s]"), ("-i", "i1")])


@given(
    hnp.arrays(PIECES, st.integers(0, 30)),
    st.sampled_from([None, "f", "i", "s", "t", "-f", "-i", "-s", "-t", "--i", "s,-f", "-t,i,f"]),
    st.none() | st.integers(0, 2**30),
    st.integers(1, 8),
)
def test_numbers_of_rows_are_those_of_the_rows_that_are_put_together(
    table: Any, sortby: str | None, seed: int | None, step: int
) -> None:
    n = len(table)
    meta = ArrayMeta((n,), (max(n, 1),), (max(n, 1),), PIECES)
    mask = None if seed is None else np.random.default_rng(seed).integers(0, 2, n).astype(bool)
    keys = () if sortby is None else sort_keys(meta, sortby)
    ordering = Ordering(meta, keys)
    for start in range(0, n, step):
        stop = min(n, start + step)
        part = None if mask is None else mask[start:stop]
        ordering.add(start, stop, part, table[start:stop] if keys else None)

    chosen = table if mask is None else chosen_rows(table, mask)
    wanted = collected([chosen.copy()], meta, keys)

    assert table[ordering.rows()].tobytes() == wanted.tobytes()
