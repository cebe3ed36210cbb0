"""What a server says of a file, old and new, complete and not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from caterva2.client.description import Description
from caterva2.errors import BrokenDataset, NotADataset, ProtocolMismatch
from caterva2.model.paths import DatasetPath

ARRAY: dict[str, Any] = {
    "shape": [10, 20],
    "chunks": [5, 5],
    "blocks": [2, 3],
    "dtype": "[('a', '<i4'), ('b', '<f8')]",
    "schunk": {"cbytes": 77, "vlmeta": {"a": 1}},
    "mtime": "2026-11-24T08:00:00.000001Z",
}


def described(meta: dict[str, Any], name: str = "x.b2nd") -> Description:
    return Description(DatasetPath("foo", (name,)), meta)


def test_array_of_a_server_that_tells_no_kind() -> None:
    array = described(ARRAY)

    assert array.kind == "array"
    assert array.dtype == np.dtype([("a", "<i4"), ("b", "<f8")])
    assert (array.shape, array.chunks, array.blocks) == ((10, 20), (5, 5), (2, 3))
    assert (array.size, array.itemsize, array.nbytes, array.cbytes) == (200, 12, 2400, 77)
    assert array.vlmeta == {"a": 1}
    assert str(array.mtime) == "2026-11-24 08:00:00.000001+00:00"
    assert array.reason is None


@pytest.mark.parametrize(("name", "kind"), [("x.b2frame", "frame"), ("x.md", "file")])
def test_sequence_of_bytes_has_items_as_shape(name: str, kind: str) -> None:
    file = described({"nbytes": 1200, "chunkshape": 25, "blocksize": 20, "cparams": {"typesize": 4}}, name)

    assert (file.kind, file.shape, file.chunks, file.blocks) == (kind, (300,), (25,), (5,))
    assert (file.size, file.itemsize, file.nbytes) == (300, 4, 1200)
    with pytest.raises(NotADataset, match="no dtype"):
        _ = file.dtype


def test_empty_file_has_no_items() -> None:
    file = described({"nbytes": 0, "chunkshape": 0, "blocksize": 0}, "x")

    assert (file.shape, file.chunks, file.blocks) == ((0,), (1,), (0,))


@pytest.mark.parametrize("attribute", ["shape", "dtype", "chunks", "blocks", "nbytes", "itemsize"])
def test_broken_file_has_a_reason_and_no_shape(attribute: str) -> None:
    broken = described({"kind": "broken", "error": "truncated"})

    assert broken.reason == "truncated"
    with pytest.raises(BrokenDataset, match=r"foo/x\.b2nd is broken: truncated"):
        getattr(broken, attribute)


def test_directory_is_no_dataset() -> None:
    with pytest.raises(NotADataset, match="is a directory"):
        _ = described({"kind": "group"}).shape


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        ({"shape": "x"}, "shape"),
        ({"shape": [-1]}, "shape"),
        ({"shape": None}, "shape"),
        ({"chunks": None}, "chunks"),
        ({"dtype": 5}, "dtype"),
    ],
    ids=str,
)
def test_nonsense_is_a_mismatch(change: dict[str, Any], attribute: str) -> None:
    with pytest.raises(ProtocolMismatch, match=attribute):
        getattr(described(ARRAY | change), attribute)


@pytest.mark.parametrize(
    "text", ["O", "|O8", "[('a', 'O')]", "__import__('os').system('x')", "eval", "(" * 500]
)
def test_dtype_is_never_evaluated_and_holds_no_objects(text: str) -> None:
    with pytest.raises(BrokenDataset):
        _ = described(ARRAY | {"dtype": text}).dtype


@pytest.mark.parametrize("meta", [{"mtime": None}, {"mtime": "yesterday"}, {}], ids=str)
def test_missing_time_is_none(meta: dict[str, Any]) -> None:
    assert described({"nbytes": 1, **meta}).mtime is None
