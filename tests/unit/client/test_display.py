"""How data look in text, HTML and JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from caterva2.client.description import Description
from caterva2.client.display import array_text, dataset_html, json_values, nbytes_text, one_line
from caterva2.client.reading import Reader
from caterva2.model.paths import DatasetPath
from caterva2.model.slicing import NDSlice
from tests.unit.client.test_reading import Memory, describe

PATH = DatasetPath("foo", ("<x>.b2nd",))


@given(
    hnp.arrays(
        st.sampled_from(["float32", "float64", "int16", "complex64", "S3", "bool"]),
        hnp.array_shapes(min_dims=1, max_dims=4, max_side=9),
    )
)
def test_text_from_corners_is_what_numpy_prints(small: np.ndarray) -> None:
    array = np.tile(small, [1 + (1100 * (i == 0)) // max(1, small.size) for i in range(small.ndim)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("caterva2.client.display.WHOLE_BYTES", 0)
        text = array_text(Reader(Memory(array)), describe(array, array.shape), NDSlice().bind(array.shape))

    assert text == str(array)


def test_text_of_a_large_array_reads_little() -> None:
    array = np.arange(4_000_000, dtype="float64").reshape(1000, 2000, 2)
    channel = Memory(array)

    text = array_text(
        Reader(channel), describe(array, (10, 10, 2)), NDSlice((slice(1, None),)).bind(array.shape)
    )

    assert text == str(array[1:])
    assert channel.seen == [
        "1:4,0:3",
        "1:4,1997:2000",
        "997:1000,0:3",
        "997:1000,1997:2000",
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (np.array([[1, 2]], "u1"), {"shape": [1, 2], "dtype": "uint8", "data": [[1, 2]]}),
        (np.float32(1.5), {"shape": [], "dtype": "float32", "data": 1.5}),
        (
            np.array([np.nan, np.inf, -np.inf, 0.5]),
            {"shape": [4], "dtype": "float64", "data": [None, "Infinity", "-Infinity", 0.5]},
        ),
        (np.array([1 + 2j]), {"shape": [1], "dtype": "complex128", "data": [[1.0, 2.0]]}),
        (np.array([b"ab", b"\xff"]), {"shape": [2], "dtype": "|S2", "data": ["ab", "\ufffd"]}),
        (np.array("x"), {"shape": [], "dtype": "<U1", "data": "x"}),
        (np.array([True]), {"shape": [1], "dtype": "bool", "data": [True]}),
        (
            np.array(["2026-01-02"], "M8[D]"),
            {"shape": [1], "dtype": "datetime64[D]", "data": ["2026-01-02"]},
        ),
        (np.array([b"\x01\x02"], "V2"), {"shape": [1], "dtype": "|V2", "data": ["0102"]}),
        (
            np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
            {"shape": [1], "dtype": "[('a', '<i4'), ('b', '<f8')]", "data": {"a": [1], "b": [2.0]}},
        ),
        (np.longdouble(0.5), {"shape": [], "dtype": str(np.dtype("longdouble")), "data": 0.5}),
        ("text é".encode(), {"nbytes": 7, "text": "text é"}),
        (b"\xff\x00", {"nbytes": 2, "base64": "/wA="}),
    ],
    ids=lambda value: str(value.dtype) if hasattr(value, "dtype") else "",
)
def test_values_for_json(data: Any, expected: dict[str, Any]) -> None:
    values = json_values(data)

    assert values == expected
    assert json.loads(json.dumps(values, allow_nan=False)) == expected


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1_610_612_736, "1.5 GiB"),
        (2**70, "1048576.0 PiB"),
    ],
)
def test_sizes_for_people(nbytes: int, text: str) -> None:
    assert nbytes_text(nbytes) == text


@pytest.mark.parametrize(
    ("meta", "text"),
    [
        ({"shape": [2], "dtype": "int8"}, "<Dataset: foo/<x>.b2nd shape=(2,) dtype=int8>"),
        ({"shape": [2], "dtype": "O"}, "<Dataset: foo/<x>.b2nd (the dtype"),
        ({"nbytes": 7}, "<Dataset: foo/<x>.b2nd nbytes=7>"),
        ({"kind": "broken", "error": "cut"}, "<Dataset: foo/<x>.b2nd broken: cut>"),
    ],
    ids=str,
)
def test_one_line_never_fails(meta: dict[str, Any], text: str) -> None:
    assert one_line("Dataset", PATH, Description(PATH, meta)).startswith(text)


def test_html_escapes_what_others_wrote() -> None:
    meta = {"nbytes": 7, "cbytes": 5, "vlmeta": {"<b>": "<script>"}, "mtime": "2026-11-24T08:00:00Z"}

    text = dataset_html("File", PATH, Description(PATH, meta))

    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "foo/&lt;x&gt;.b2nd" in text
    assert "2026-11-24 08:00:00 UTC" in text
    assert dataset_html("File", PATH, None).count("<tr>") == 1
