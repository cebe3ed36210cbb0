"""The words of Zarr: types, chunks, attributes, and documents that hold others."""

from __future__ import annotations

import base64
import json
import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterva2.compute.frames import ArrayMeta
from caterva2.compute.zarrformat import (
    MAX_BLOCK,
    MAX_CHUNK,
    MAX_DOCUMENT,
    Member,
    NotInZarr,
    ZarrArray,
    array_document,
    chunk_bytes,
    consolidated,
    data_type,
    encode,
    group_of,
    meta_of,
    zarr_array,
)
from caterva2.model.lazy import Lazy
from caterva2.model.slicing import Axis


def view(
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    blocks: tuple[int, ...],
    dtype: npt.DTypeLike = "f8",
) -> ZarrArray:
    return zarr_array(ArrayMeta(shape, chunks, blocks, np.dtype(dtype)))


def document(dtype: npt.DTypeLike = "f8", ndim: int = 1, **vlmeta: Any) -> Any:
    array = view((4,) * ndim, (2,) * ndim, (1,) * ndim, dtype)
    return json.loads(array_document(array, "cube.b2nd", vlmeta))


# types


@pytest.mark.parametrize(
    ("dtype", "name", "fill"),
    [
        ("?", "bool", False),
        ("i1", "int8", 0),
        (">u8", "uint64", 0),
        ("f2", "float16", 0.0),
        ("c16", "complex128", [0.0, 0.0]),
        ("S3", {"name": "null_terminated_bytes", "configuration": {"length_bytes": 3}}, ""),
        ("U3", {"name": "fixed_length_utf32", "configuration": {"length_bytes": 12}}, ""),
        ("V2", {"name": "raw_bytes", "configuration": {"length_bytes": 2}}, "AAA="),
        ("M8[10ms]", {"name": "numpy.datetime64", "configuration": {"unit": "ms", "scale_factor": 10}}, 0),
        ("m8", {"name": "numpy.timedelta64", "configuration": {"unit": "generic", "scale_factor": 1}}, 0),
        (
            [("a", ">i2"), ("b", [("c", "?")])],
            {
                "name": "structured",
                "configuration": {
                    "fields": [
                        ["a", "int16"],
                        ["b", {"name": "structured", "configuration": {"fields": [["c", "bool"]]}}],
                    ]
                },
            },
            "AAAA",
        ),
    ],
    ids=["bool", "int8", "uint64", "float16", "complex", "S", "U", "V", "datetime", "timedelta", "fields"],
)
def test_type_has_the_name_and_the_zero_that_zarr_python_gives(
    dtype: Any, name: object, fill: object
) -> None:
    assert data_type(np.dtype(dtype)) == (name, fill)


@pytest.mark.parametrize(
    ("dtype", "why"),
    [
        ("longdouble", "no type for"),
        ("clongdouble", "no type for"),
        ([("p", "i4", (2,))], "a field of it is an array"),
        ("S0", "no bytes"),
        ("V70000", "70000 bytes"),
    ],
    ids=["longdouble", "clongdouble", "subarray", "no-bytes", "long"],
)
def test_type_that_zarr_lacks_is_refused_with_the_reason(dtype: Any, why: str) -> None:
    with pytest.raises(NotInZarr, match=why):
        view((2,), (2,), (2,), dtype)


def test_fields_that_are_nested_too_deeply_are_refused() -> None:
    dtype: Any = "i1"
    for _ in range(20):
        dtype = np.dtype([("f", dtype)])

    with pytest.raises(NotInZarr, match="levels"):
        data_type(dtype)


def test_definition_with_a_dtype_that_can_not_be_is_refused() -> None:
    with pytest.raises(NotInZarr, match="dtype"):
        meta_of(Lazy(operands={}, operation="concat", dtype="O"))


@pytest.mark.parametrize(
    ("dtype", "codec"),
    [
        (">f4", {"name": "bytes", "configuration": {"endian": "big"}}),
        ("<f4", {"name": "bytes", "configuration": {"endian": "little"}}),
        (">U2", {"name": "bytes", "configuration": {"endian": "big"}}),
        ("i1", {"name": "bytes"}),
        ("S9", {"name": "bytes"}),
    ],
)
def test_codec_tells_the_byte_order_of_items_that_have_one(dtype: str, codec: object) -> None:
    assert document(dtype)["codecs"] == [codec]


# chunks


@pytest.mark.parametrize(
    ("shape", "chunks", "blocks", "found"),
    [
        ((100, 100), (30, 40), (10, 20), (30, 40)),
        ((10, 100), (30, 40), (10, 20), (10, 40)),
        ((0, 3), (0, 3), (0, 3), (1, 3)),
        ((), (), (), ()),
        ((64, 1024, 1024), (64, 1024, 1024), (4, 64, 64), (4, 128, 1024)),
        ((1000, 1024, 512), (1000, 1024, 512), (128, 8, 8), (128, 8, 512)),
        ((1 << 24,), (1 << 24,), (1 << 20,), (1 << 20,)),
        ((1 << 24,), (1 << 24,), (1 << 24,), (1 << 20,)),
    ],
    ids=["stored", "short-axis", "empty", "scalar", "large", "odd-blocks", "block", "large-block"],
)
def test_chunks_are_the_stored_ones_or_parts_of_whole_blocks(
    shape: tuple[int, ...], chunks: tuple[int, ...], blocks: tuple[int, ...], found: tuple[int, ...]
) -> None:
    assert view(shape, chunks, blocks).chunks == found


lengths = st.integers(1, 100_000)


@given(st.lists(st.tuples(lengths, lengths, lengths), max_size=4), st.integers(1, 64))
def test_chunk_never_takes_more_than_its_share_of_memory(axes: list[tuple[int, int, int]], size: int) -> None:
    shape = tuple(n for n, _, _ in axes)
    chunks = tuple(min(n, c) for n, c, _ in axes)
    blocks = tuple(min(c, b) for c, (_, _, b) in zip(chunks, axes, strict=True))

    array = view(shape, chunks, blocks, f"V{size}")

    assert array.chunk_nbytes <= max(MAX_CHUNK, min(MAX_BLOCK, math.prod(blocks) * size))
    assert all(1 <= n <= c for n, c in zip(array.chunks, chunks, strict=True))


def test_chunk_at_the_end_is_cut_to_the_shape() -> None:
    window = view((5, 4), (2, 3), (1, 1)).window((2, 1))

    assert window is not None
    assert window.axes == (Axis(4, 5), Axis(3, 4))


@pytest.mark.parametrize("coords", [(3, 0), (0, 2), (0,), (0, 0, 0), (10**18, 0)])
def test_there_is_no_chunk_beyond_the_shape(coords: tuple[int, ...]) -> None:
    assert view((5, 4), (2, 3), (1, 1)).window(coords) is None


def test_empty_axis_has_no_chunks() -> None:
    assert view((0, 3), (0, 3), (0, 3)).window((0, 0)) is None


@pytest.mark.parametrize("dtype", ["?", ">i4", "c8", "S3", ">U2", "M8[s]", "V3"])
def test_bytes_of_a_whole_chunk_are_those_of_its_items(dtype: str) -> None:
    array = view((4, 2), (2, 2), (1, 1), dtype)
    raw = np.arange(4 * array.dtype.itemsize, dtype="u1") % 2
    items = raw.view(dtype).reshape(2, 2)

    assert bytes(chunk_bytes(items, array)) == items.tobytes()


def test_chunk_at_the_end_is_filled_up_with_zeros() -> None:
    items = np.ones((1, 2), "i4")

    body = np.frombuffer(chunk_bytes(items, view((5, 4), (2, 3), (1, 1), "i4")), "i4").reshape(2, 3)

    np.testing.assert_array_equal(body, [[1, 1, 0], [0, 0, 0]])


def test_fields_lie_without_gaps_and_are_little_endian() -> None:
    dtype = np.dtype({"names": ["a", "b"], "formats": ["i1", ">i4"], "offsets": [0, 4], "itemsize": 8})
    items = np.array([(1, 2), (3, 4)], dtype)

    body = chunk_bytes(items, view((2,), (2,), (2,), dtype))

    assert bytes(body) == struct.pack("<bibi", 1, 2, 3, 4)


def test_scalar_has_one_chunk() -> None:
    array = view((), (), (), "i2")
    window = array.window(())

    assert window is not None
    assert window.axes == ()
    assert bytes(chunk_bytes(np.array(5, "i2"), array)) == b"\x05\x00"


# attributes


def test_axes_without_names_are_called_after_the_array() -> None:
    assert document(ndim=2)["dimension_names"] == ["cube_dim_0", "cube_dim_1"]


@pytest.mark.parametrize("key", ["_ARRAY_DIMENSIONS", "dims", "dimension_names", "axes"])
@pytest.mark.parametrize("value", [["y", "x"], "y, x"], ids=["list", "text"])
def test_axes_are_called_by_user_attributes(key: str, value: object) -> None:
    assert document(ndim=2, **{key: value})["dimension_names"] == ["y", "x"]


@pytest.mark.parametrize(
    "value",
    [["x"], ["x", "x"], ["x", 1], ["x", ""], ["x", None], 7, {"x": 1}, "x", None],
    ids=["few", "twice", "number", "empty", "none-in-it", "scalar", "mapping", "text", "none"],
)
def test_names_that_do_not_fit_the_axes_are_passed_over(value: object) -> None:
    assert document(ndim=2, dims=value)["dimension_names"] == ["cube_dim_0", "cube_dim_1"]


def test_user_attributes_are_told_as_they_are() -> None:
    found = document(units="K", nested={"a": [1, None, "\u00fc"]}, big=2**63)["attributes"]

    assert found == {"units": "K", "nested": {"a": [1, None, "\u00fc"]}, "big": 2**63}


@pytest.mark.parametrize(
    ("dtype", "value", "found"),
    [
        ("f4", -1.5, base64.b64encode(struct.pack("<d", -1.5)).decode()),
        ("f4", "nan", base64.b64encode(struct.pack("<d", math.nan)).decode()),
        ("i2", -99, -99),
        ("i2", -99.0, -99),
        ("i2", 0.5, None),
        ("u1", -1, None),
        ("i4", True, None),
        ("i4", float("nan"), None),
        ("f8", "garbage", None),
        ("S3", "x", None),
    ],
)
def test_fill_value_for_xarray_is_one_that_it_can_read(dtype: str, value: Any, found: object) -> None:
    assert document(dtype, _FillValue=value)["attributes"].get("_FillValue") == found


@pytest.mark.parametrize("value", [object(), {1.5: object()}], ids=["object", "key"])
def test_attributes_that_json_can_not_say_are_dropped(value: object) -> None:
    assert document(bad=value)["attributes"] == {}


# documents that hold others


def members(arrays: dict[str, bytes], **reasons: str) -> Any:
    body = consolidated(arrays, reasons)
    assert body is not None
    return json.loads(body)


def test_group_tells_all_that_is_below_it_with_the_groups_between() -> None:
    found = members({"a/b/x": b'{"x":1}', "y": b'{"y":2}'})["consolidated_metadata"]

    assert list(found["metadata"]) == ["a", "y", "a/b", "a/b/x"]
    assert found["metadata"]["y"] == {"y": 2}
    assert found["metadata"]["a"]["node_type"] == "group"
    assert found["must_understand"] is False


def dims(*arrays: tuple[str, tuple[int, ...], list[str]]) -> dict[str, list[str]]:
    """Return the names of axes in a group of arrays with these paths, shapes and names of axes."""
    found = [
        Member(path, ArrayMeta(shape, shape, shape, np.dtype("i1")), {"dims": names})
        for path, shape, names in arrays
    ]
    body = group_of(found, {})
    assert body is not None
    nodes = json.loads(body)["consolidated_metadata"]["metadata"]
    return {path: nodes[path]["dimension_names"] for path, _, _ in arrays}


def test_axes_of_one_name_and_length_keep_it() -> None:
    found = dims(("d/a", (2, 3), ["y", "x"]), ("d/b", (3,), ["x"]), ("e/c", (7,), ["x"]))

    assert found == {"d/a": ["y", "x"], "d/b": ["x"], "e/c": ["x"]}


def test_axes_of_one_name_and_several_lengths_are_called_after_their_arrays() -> None:
    assert dims(("d/a", (2, 3), ["y", "x"]), ("d/b", (4,), ["x"])) == {"d/a": ["y", "a_x"], "d/b": ["b_x"]}


def test_axes_of_one_name_differ_from_those_of_directories_above() -> None:
    assert dims(("a", (2,), ["x"]), ("d/e/b", (4,), ["x"])) == {"a": ["x"], "d/e/b": ["b_x"]}


def test_group_tells_which_types_zarr_lacks() -> None:
    body = group_of([Member("x", ArrayMeta((1,), (1,), (1,), np.dtype("longdouble")), {})], {"y": "broken"})
    assert body is not None

    assert set(json.loads(body)["attributes"]["caterva2"]["left_out"]) == {"x", "y"}


def test_group_without_arrays_is_a_group() -> None:
    found = members({})

    assert (found["node_type"], found["zarr_format"]) == ("group", 3)
    assert found["consolidated_metadata"]["metadata"] == {}


def test_array_in_the_place_of_a_directory_hides_what_is_below_it() -> None:
    assert list(members({"a": b"{}", "a/b/x": b"{}"})["consolidated_metadata"]["metadata"]) == ["a"]


def test_group_tells_what_is_left_out_and_why() -> None:
    found = members({}, x="no type")

    assert found["attributes"] == {"caterva2": {"left_out": {"x": "no type"}}}


def test_names_of_any_letters_are_told() -> None:
    name = 'sp ace/\u00fc"\\\u2028'

    assert name in members({name: b"{}"})["consolidated_metadata"]["metadata"]


def test_document_that_would_be_too_long_is_none() -> None:
    assert consolidated({"x": encode("x" * MAX_DOCUMENT)}, {}) is None
