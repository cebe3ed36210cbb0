"""Items as others can read them: raw bytes of a plain dtype, and cells of a table."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from caterva2.compute.plaindata import cell_count, cells, dtype_of, dtype_text, plain_dtype, raw_bytes
from caterva2.model import wire


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("bool", "|b1"), ("i1", "|i1"), (">i2", "<i2"), ("u8", "<u8"), ("f2", "<f4"), (">f4", "<f4"),
        ("longdouble", "<f8"), (">c8", "<c8"), ("clongdouble", "<c16"), ("S5", "|S5"), (">U3", "<U3"),
        (">M8[ns]", "<M8[ns]"), ("m8[D]", "<m8[D]"), ("V3", "|V3"),
        ([("a", ">f2"), ("b", [("c", ">i4", (2, 3))])], '[["a", "<f4"], ["b", [["c", "<i4", [2, 3]]]]]'),
        (np.dtype({"names": ["x"], "formats": [">i2"], "offsets": [6], "itemsize": 12}), '[["x", "<i2"]]'),
        ([("\u00e9", "i4")], '[["\\u00e9", "<i4"]]'),
    ],
)  # fmt: skip
def test_dtypes_are_little_endian_packed_and_told_in_ascii(dtype: Any, text: str) -> None:
    plain = plain_dtype(np.dtype(dtype))

    assert dtype_text(plain) == text
    assert dtype_of(text) == plain


@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0)))
def test_raw_items_come_back_as_they_were(items: Any) -> None:
    plain = plain_dtype(items.dtype)
    found = np.frombuffer(bytes(raw_bytes(items)), plain).reshape(items.shape)

    with np.errstate(all="ignore"):
        assert found.tobytes() == items.astype(plain).tobytes()


def test_items_that_are_not_contiguous_come_in_c_order() -> None:
    items = np.arange(24, dtype=">i4").reshape(4, 6).T[::2]
    assert bytes(raw_bytes(items)) == items.astype("<i4").tobytes()


@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0)))
def test_cells_of_any_items_are_json_of_their_shape(items: Any) -> None:
    found = json.loads(wire.to_json(cells(items)))

    shape = []
    for _ in items.shape:
        shape.append(len(found))
        if not found:
            break
        found = found[0]
    assert tuple(shape) == items.shape[: len(shape)]


@given(hnp.arrays(st.sampled_from(["f2", "f4", "f8"]), 3))
def test_real_cells_are_the_shortest_numbers_that_lose_nothing(items: Any) -> None:
    found = [float(x) for x in cells(items)]
    assert np.array_equal(np.array(found, items.dtype), items, equal_nan=True)


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        (np.array([0.1], "f4"), [0.1]),
        (np.array([np.nan, -np.inf, 1.5]), ["nan", "-inf", 1.5]),
        (np.array([2**53, 2**53 + 1, -(2**63)]), [2**53, str(2**53 + 1), str(-(2**63))]),
        (np.array([2**64 - 1], "u8"), [str(2**64 - 1)]),
        (np.array([True, False]), [True, False]),
        (np.array([1 + 2j]), ["1+2j"]),
        (np.array([b"ab", b"\xff\x00\x01"], "S3"), ["ab", "\\xff\x00\x01"]),
        (np.array(["\u00e9", "x"]), ["\u00e9", "x"]),
        (np.array([0xD800, 0x110000, 65], "<u4").view("<U1"), ["\ufffd", "\ufffd", "A"]),
        (np.array(["2024-01-02T03:04:05", "NaT"], "M8[s]"), ["2024-01-02T03:04:05", "NaT"]),
        (np.array([5], "m8[s]"), ["5 seconds"]),
        (np.array([b"\x01\xff"], "V2"), ["01ff"]),
        (np.array(7, ">i2"), 7),
        (np.zeros((2, 0, 3)), [[], []]),
        (np.array([(1, [[0.5, 2]])], [("a", "i4"), ("b", "f8", (1, 2))]), [[1, [[0.5, 2.0]]]]),
        (np.array([[(1, (2, "x"))]], [("a", "i4"), ("b", [("c", "i1"), ("d", "U1")])]), [[[1, [2, "x"]]]]),
    ],
)
def test_cells_are_what_a_person_reads(items: Any, wanted: Any) -> None:
    assert json.loads(wire.to_json(cells(items))) == wanted


def test_cells_are_counted_down_to_the_leaves() -> None:
    assert cell_count(np.dtype([("a", "f4"), ("b", [("c", "i1", (2, 3)), ("d", "U1")])])) == 8
