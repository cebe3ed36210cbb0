"""What a subscriber sends of datasets: whole files, byte ranges, windows."""

from __future__ import annotations

import asyncio
import email
import json
import re
from typing import Any

import blosc2
import httpx
import numpy as np
import pytest

from caterva2.model.paths import DatasetPath
from tests.support.cluster import Cluster, contents
from tests.support.samples import HELLO, NESTED, PACKED, PLAIN, SUBARRAYS, arrays

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOTS = ["foo", "@public"]
each_root = pytest.mark.parametrize("root", ROOTS)
STORED = ["ds-1d.b2nd", "ds-sc-attr.b2nd", "dir2/ds-4d.b2nd", "ds-hello.b2frame", "big.b2nd", "empty.b2nd"]
BYTES = {**PLAIN, "ds-hello.b2frame": HELLO, "packed.txt": PACKED}


def url(path: str, call: str = "fetch") -> str:
    return f"/api/{call}/{DatasetPath.parse(path).to_url()}"


def stored_bytes(cluster: Cluster, root: str, path: str) -> bytes:
    return (cluster.root(root) / path).read_bytes()


def cut(array: Any, key: Any) -> Any:
    """Index as NumPy does, but keep the byte order of single items."""
    return array[(*key, ...) if isinstance(key, tuple) else (key, ...)]


def same(found: Any, expected: np.ndarray) -> None:
    """Compare value, shape and dtype."""
    assert isinstance(found, np.ndarray)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(found, expected)


# whole files


@each_root
@pytest.mark.parametrize("path", STORED)
@pytest.mark.parametrize("params", [{}, {"slice_": ""}, {"slice_": ":"}], ids=["none", "empty", "colon"])
async def test_whole_is_the_stored_file(filled: Cluster, root: str, path: str, params: Any) -> None:
    expected = stored_bytes(filled, root, path)

    answer = await filled.get(url(f"{root}/{path}"), params=params if path != "ds-sc-attr.b2nd" else {})

    assert answer.status_code == 200
    assert answer.content == expected
    headers = answer.headers
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Length"] == str(len(expected))
    assert headers["Accept-Ranges"] == "bytes"
    name = path.rpartition("/")[2]
    assert headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert re.fullmatch(r'"[!#-~]+"', headers["ETag"])
    assert headers["Last-Modified"].endswith("GMT")
    assert headers["Caterva2-Freshness"] == "fresh"
    assert "Content-Encoding" not in headers


@each_root
@pytest.mark.parametrize("slice_", ["0:1000", "0:", ":1000", ":5000", " : ", "-1000:", "::1"])
async def test_window_over_everything_is_the_stored_file(filled: Cluster, root: str, slice_: str) -> None:
    answer = await filled.get(url(f"{root}/ds-1d.b2nd"), params={"slice_": slice_})

    assert answer.content == stored_bytes(filled, root, "ds-1d.b2nd")


@each_root
@pytest.mark.parametrize("path", [*PLAIN, "packed.txt"])
async def test_whole_plain_file_is_sent_as_a_frame_whose_name_says_so(
    filled: Cluster, root: str, path: str
) -> None:
    answer = await filled.get(url(f"{root}/{path}"))

    name = path.rpartition("/")[2]
    disposition = answer.headers["Content-Disposition"]
    assert re.search(r'; filename="[^"]*\.b2"', disposition)  # by this the clients of 2025 know
    assert name.isascii() <= (f'; filename="{name}.b2"' in disposition)
    assert contents(answer.content) == BYTES[path]
    assert answer.headers["Accept-Ranges"] == "bytes"


@each_root
async def test_whole_keeps_attributes_and_geometry(filled: Cluster, root: str) -> None:
    answer = await filled.get(url(f"{root}/ds-sc-attr.b2nd"))

    array = blosc2.ndarray_from_cframe(answer.content)
    assert array.schunk.vlmeta[:] == {"a": 1, "b": "foo", "c": 123.456}


# byte ranges


@each_root
@pytest.mark.parametrize("path", ["ds-1d.b2nd", "big.b2nd", "README.md"])
@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-86", 0, 87),
        ("bytes=10-200", 10, 201),
        ("bytes=100-", 100, None),
        ("bytes=-23", -23, None),
        ("bytes=0-99999999", 0, None),
    ],
)
async def test_range_is_part_of_the_stored_file(
    filled: Cluster, root: str, path: str, header: str, start: int, stop: int | None
) -> None:
    whole = (await filled.get(url(f"{root}/{path}"))).content

    answer = await filled.get(url(f"{root}/{path}"), headers={"Range": header})

    expected = whole[start:stop]
    first = start % len(whole)
    assert answer.status_code == 206
    assert answer.content == expected
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(whole)}"
    assert answer.headers["Content-Length"] == str(len(expected))


@each_root
async def test_64_ranges_come_in_one_answer(filled: Cluster, root: str) -> None:
    whole = (await filled.get(url(f"{root}/big.b2nd"))).content
    spans = [(i * len(whole) // 70, i * len(whole) // 70 + 100 + i) for i in range(64)]
    header = "bytes=" + ", ".join(f"{start}-{stop - 1}" for start, stop in spans)

    answer = await filled.get(url(f"{root}/big.b2nd"), headers={"Range": header})

    assert answer.status_code == 206
    message = email.message_from_bytes(
        b"Content-Type: " + answer.headers["Content-Type"].encode() + b"\r\n\r\n" + answer.content
    )
    parts: Any = message.get_payload()
    assert [part.get_payload(decode=True) for part in parts] == [whole[a:b] for a, b in spans]
    assert [part["Content-Range"] for part in parts] == [f"bytes {a}-{b - 1}/{len(whole)}" for a, b in spans]


@each_root
@pytest.mark.parametrize("path", ["ds-1d.b2nd", "README.md", "data.bin"])
@pytest.mark.parametrize("call", ["fetch", "download"])
async def test_several_ranges_of_any_file_come_in_one_answer(
    filled: Cluster, root: str, path: str, call: str
) -> None:
    whole = (await filled.get(url(f"{root}/{path}", call))).content

    answer = await filled.get(url(f"{root}/{path}", call), headers={"Range": "bytes=3-5, 20-30, 7-9"})

    assert answer.status_code == 206
    assert whole[3:6] in answer.content
    assert whole[20:31] in answer.content
    assert answer.headers["Content-Type"].startswith("multipart/byteranges; boundary=")


@each_root
@pytest.mark.parametrize("call", ["fetch", "download"])
async def test_range_outside_is_416(filled: Cluster, root: str, call: str) -> None:
    size = len((await filled.get(url(f"{root}/README.md", call))).content)

    answer = await filled.get(url(f"{root}/README.md", call), headers={"Range": f"bytes={size}-"})

    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{size}"
    assert isinstance(answer.json()["detail"], str)


@each_root
@pytest.mark.parametrize("path", ["ds-1d.b2nd", "README.md"])
@pytest.mark.parametrize("call", ["fetch", "download"])
async def test_if_range_guards_against_mixing_generations(
    filled: Cluster, root: str, path: str, call: str
) -> None:
    whole = await filled.get(url(f"{root}/{path}", call))
    ask = {"Range": "bytes=0-9"}

    same_one = await filled.get(
        url(f"{root}/{path}", call), headers={**ask, "If-Range": whole.headers["ETag"]}
    )
    other = await filled.get(url(f"{root}/{path}", call), headers={**ask, "If-Range": '"other"'})

    assert (same_one.status_code, same_one.content) == (206, whole.content[:10])
    assert (other.status_code, other.content) == (200, whole.content)


# conditional requests


@each_root
@pytest.mark.parametrize(
    "target",
    [
        "fetch/{}/ds-1d.b2nd",
        "fetch/{}/README.md",
        "fetch/{}/ds-1d.b2nd?slice_=3:9",
        "fetch/{}/ds-1d-fields.b2nd?field=a",
        "fetch/{}/ds-1d.b2nd?indices=%5B%5B1%2C2%5D%5D",
        "fetch/{}/big.b2nd?slice_=1:99",
        "fetch/{}/ds-hello.b2frame?slice_=3:9",
        "download/{}/README.md",
        "download/{}/ds-1d.b2nd",
        "chunk/{}/ds-1d.b2nd?nchunk=1",
    ],
)
async def test_known_content_is_not_sent_again(filled: Cluster, root: str, target: str) -> None:
    target = "/api/" + target.format(root)
    first = await filled.get(target)

    again = await filled.get(target, headers={"If-None-Match": first.headers["ETag"]})
    other = await filled.get(target, headers={"If-None-Match": '"other"'})

    assert first.status_code == 200
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert (other.status_code, other.content) == (200, first.content)


@each_root
async def test_different_answers_have_different_etags(filled: Cluster, root: str) -> None:
    targets = [
        "fetch/{}/ds-1d-fields.b2nd",
        "fetch/{}/ds-1d-fields.b2nd?slice_=0:5",
        "fetch/{}/ds-1d-fields.b2nd?slice_=0",
        "fetch/{}/ds-1d-fields.b2nd?field=a",
        "fetch/{}/ds-1d-fields.b2nd?field=b",
        "fetch/{}/ds-1d-fields.b2nd?slice_=0:5&field=a",
        "fetch/{}/ds-1d-fields.b2nd?indices=[[0,1]]",
        "chunk/{}/ds-1d-fields.b2nd?nchunk=0",
        "chunk/{}/ds-1d-fields.b2nd?nchunk=1",
    ]

    answers = [await filled.get("/api/" + target.format(root)) for target in targets]

    assert len({answer.headers["ETag"] for answer in answers}) == len(targets)


# HEAD


@each_root
@pytest.mark.parametrize(
    "target",
    [
        "fetch/{}/ds-1d.b2nd",
        "fetch/{}/README.md",
        "fetch/{}/ds-1d.b2nd?slice_=3:9",
        "fetch/{}/big.b2nd?slice_=1:99",
        "download/{}/README.md",
        "download/{}/data.bin",
        "chunk/{}/ds-1d.b2nd?nchunk=1",
        "list/{}",
        "info/{}/ds-1d.b2nd",
    ],
)
async def test_head_is_get_without_the_body(filled: Cluster, root: str, target: str) -> None:
    target = "/api/" + target.format(root)
    full = await filled.get(target)

    head = await filled.http.head(target)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges", "Content-Disposition"):
        assert head.headers.get(name) == full.headers.get(name), name


# windows of arrays

WINDOWS_1D: list[tuple[str, Any]] = [
    ("0", 0),
    ("5", 5),
    ("-1", -1),
    ("+5", 5),
    ("3:9", np.s_[3:9]),
    (":5", np.s_[:5]),
    ("0:5", np.s_[0:5]),
    ("0:0", np.s_[0:0]),
    ("5:3", np.s_[5:3]),
    ("995:2000", np.s_[995:2000]),
    ("2000:3000", np.s_[2000:3000]),
    ("-5:", np.s_[-5:]),
    ("-10:-5", np.s_[-10:-5]),
    (":-990", np.s_[:-990]),
    ("-5000:3", np.s_[-5000:3]),
    ("::7", np.s_[::7]),
    ("1:900:250", np.s_[1:900:250]),
    ("3:5:100", np.s_[3:5:100]),
    (" 3 : 9 ", np.s_[3:9]),
    ("3:9,", np.s_[3:9]),
]
WINDOWS_2D: list[tuple[str, Any]] = [
    ("0", 0),
    ("0, 0", (0, 0)),
    ("-1, -1", (-1, -1)),
    ("2:7, 3", np.s_[2:7, 3]),
    ("2, 3:11", np.s_[2, 3:11]),
    (":, 3", np.s_[:, 3]),
    (":, :", np.s_[:, :]),
    ("1:6:2, ::3", np.s_[1:6:2, ::3]),
    ("0:0, 3:4", np.s_[0:0, 3:4]),
    ("3:4, 0:0", np.s_[3:4, 0:0]),
    ("2:7, 3:8", np.s_[2:7, 3:8]),
]


@each_root
@pytest.mark.parametrize(("slice_", "key"), WINDOWS_1D, ids=[w[0] for w in WINDOWS_1D])
async def test_window_of_an_array_is_that_of_numpy(filled: Cluster, root: str, slice_: str, key: Any) -> None:
    found = await filled.fetch(f"{root}/ds-1d.b2nd", slice_)

    same(found, cut(arrays()["ds-1d.b2nd"], key))


@each_root
@pytest.mark.parametrize("path", [p for p in arrays() if arrays()[p].ndim == 2 and arrays()[p].size > 20])
async def test_windows_of_every_dtype_are_those_of_numpy(filled: Cluster, root: str, path: str) -> None:
    for slice_, key in WINDOWS_2D:
        found = await filled.fetch(f"{root}/{path}", slice_)

        if slice_ != ":, :" or "uninit" not in path:  # the stored file: what was never written is undefined
            same(found, cut(arrays()[path], key))


@each_root
@pytest.mark.parametrize("path", sorted(arrays().keys() - {"special/uninit.b2nd"}))
async def test_every_array_is_equal_to_its_source(filled: Cluster, root: str, path: str) -> None:
    found = await filled.fetch(url(f"{root}/{path}").removeprefix("/api/fetch/"))

    same(found, arrays()[path])


@each_root
@pytest.mark.parametrize(
    ("path", "slice_"), [("ds-1d.b2nd", "3"), ("dir2/ds-4d.b2nd", "0,1,2,3"), ("ds-sc-attr.b2nd", "")]
)
async def test_one_item_is_an_array_of_no_dimensions(
    filled: Cluster, root: str, path: str, slice_: str
) -> None:
    answer = await filled.get(url(f"{root}/{path}"), params={"slice_": slice_})

    array = blosc2.ndarray_from_cframe(answer.content)
    assert (array.shape, array.ndim) == ((), 0)


@each_root
@pytest.mark.parametrize(
    ("slice_", "key"),
    [
        ("1:99", np.s_[1:99]),
        ("::2", np.s_[::2]),
        (":, 3:97", np.s_[:, 3:97]),
        ("1:, :, 7", np.s_[1:, :, 7]),
        ("5:95, 5:95, 10:190", np.s_[5:95, 5:95, 10:190]),
        ("0:100:3, 1:, ::-0", None),
    ],
)
@pytest.mark.parametrize("proxied", [False, True])
async def test_large_windows_are_those_of_numpy(
    filled: Cluster, root: str, slice_: str, key: Any, proxied: bool
) -> None:
    headers = {"X-Forwarded-For": "192.0.2.1"} if proxied else {}
    if key is None:
        slice_, key = "0:100:3, 1:, 3:", np.s_[0:100:3, 1:, 3:]

    found = await filled.fetch(f"{root}/big.b2nd", slice_, headers=headers)

    same(found, arrays()["big.b2nd"][key])


@each_root
@pytest.mark.parametrize("slice_", ["1:", ":-1:3", "5:200", "999:1001"])
async def test_windows_of_tiny_blocks_are_those_of_numpy(filled: Cluster, root: str, slice_: str) -> None:
    found = await filled.fetch(f"{root}/tiny.b2nd", slice_)

    key = slice(*(int(part) if part else None for part in slice_.split(":")))
    same(found, arrays()["tiny.b2nd"][key])


@each_root
async def test_computed_answers_have_no_ranges_and_no_name(filled: Cluster, root: str) -> None:
    for path, slice_ in (("ds-1d.b2nd", "3:9"), ("README.md", "3:9"), ("big.b2nd", "1:99")):
        answer = await filled.get(url(f"{root}/{path}"), params={"slice_": slice_})

        assert answer.headers["Accept-Ranges"] == "none"
        assert "Content-Disposition" not in answer.headers
        assert answer.headers["Content-Length"] == str(len(answer.content))


@each_root
@pytest.mark.parametrize(
    "target",
    ["ds-1d.b2nd?slice_=3:9", "README.md?slice_=3:9", "big.b2nd?slice_=1:99", "ds-1d-fields.b2nd?field=a"],
)
async def test_range_of_a_computed_answer_is_416(filled: Cluster, root: str, target: str) -> None:
    answer = await filled.get(f"/api/fetch/{root}/{target}", headers={"Range": "bytes=0-9"})

    assert answer.status_code == 416
    assert isinstance(answer.json()["detail"], str)


# windows of bytes

WINDOWS_BYTES = [
    ("0", slice(0, 1)),
    ("7", slice(7, 8)),
    ("-1", slice(-1, None)),
    ("3:9", slice(3, 9)),
    (":5", slice(5)),
    ("0:0", slice(0, 0)),
    ("-5:", slice(-5, None)),
    ("::3", slice(None, None, 3)),
    ("5:3", slice(5, 3)),
    ("0:100000000", slice(None)),
]


@each_root
@pytest.mark.parametrize(("slice_", "key"), WINDOWS_BYTES, ids=[w[0] for w in WINDOWS_BYTES])
@pytest.mark.parametrize("path", ["README.md", "ds-hello.b2frame", "data.bin", "dir1/table.csv"])
async def test_window_of_bytes_is_a_sequence_of_bytes(
    filled: Cluster, root: str, path: str, slice_: str, key: slice
) -> None:
    found = await filled.fetch(f"{root}/{path}", slice_)

    assert found == BYTES[path][key]


@each_root
@pytest.mark.parametrize(("slice_", "start", "stop"), [("3", 24, 32), ("2:5", 16, 40), ("-1", 7992, 8000)])
async def test_items_of_a_frame_have_its_typesize(
    filled: Cluster, root: str, slice_: str, start: int, stop: int
) -> None:
    found = await filled.fetch(f"{root}/packed.txt", slice_)

    assert found == PACKED[start:stop]


# what is refused


@each_root
@pytest.mark.parametrize("path", ["dir1/ds-2d.b2nd", "README.md"])
@pytest.mark.parametrize(
    "slice_",
    [
        "9999999",
        "-9999999",
        "0,0,0,0",
        "...",
        "0,...",
        "x",
        "1.5",
        "0x10",
        "::0",
        "::-1",
        "5:1:-2",
        "[1]",
        "None",
        "1;2",
        ",",
        "1,,2",
        "1:2:3:4",
        "\u0661",
        "1e3",
        "1 2",
        "--1",
        "True",
        "9" * 30,
        "1" * 100_00,
        "0\x00",
        ":" * 500,
        "\u202e1",
    ],
)
@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_what_is_no_window_is_refused(
    filled: Cluster, root: str, path: str, slice_: str, verb: str
) -> None:
    params, body = ({"slice_": slice_}, None) if verb == "GET" else (None, {"slice_": slice_})

    answer = await filled.http.request(verb, url(f"{root}/{path}"), params=params, json=body)

    assert answer.status_code == 400
    assert answer.reason_phrase == "Bad Request"
    assert isinstance(answer.json()["detail"], str)


@each_root
@pytest.mark.parametrize("blank", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2003", "\u3000", "\r\n"])
async def test_odd_blanks_in_a_window_do_no_harm(filled: Cluster, root: str, blank: str) -> None:
    answer = await filled.get(url(f"{root}/ds-1d.b2nd"), params={"slice_": f"3:{blank}9"})

    assert answer.status_code in {200, 400}
    assert answer.status_code == 400 or (contents(answer.content) == np.arange(3, 9)).all()


@each_root
@pytest.mark.parametrize("slice_", ["0", "0:0", "1:2"])
async def test_scalar_has_no_axis_to_slice(filled: Cluster, root: str, slice_: str) -> None:
    answer = await filled.get(url(f"{root}/ds-sc-attr.b2nd"), params={"slice_": slice_})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("foo/nothing.b2nd", {404}),
        ("@public/nothing.b2nd", {404}),
        ("nowhere/x", {404}),
        ("@shared/x", {404}),
        ("foo/dir1", {400, 404}),
        ("@public/dir1", {400, 404}),
        ("foo", {400, 404}),
        ("@public", {400, 404}),
        ("foo/dir1/", {400, 404}),
        ("foo/broken.b2nd", {400}),
        ("@public/broken.b2nd", {400}),
    ],
)
@pytest.mark.parametrize("call", ["fetch", "download", "chunk"])
async def test_what_holds_no_data_is_refused(
    filled: Cluster, path: str, statuses: set[int], call: str
) -> None:
    answer = await filled.get(f"/api/{call}/{path}", params={"nchunk": 0} if call == "chunk" else {})

    assert answer.status_code in statuses
    assert isinstance(answer.json()["detail"], str)
    assert str(filled.home) not in answer.text


@each_root
@pytest.mark.parametrize("name", ["filters", "slice", "Slice_", "index", "x"])
async def test_unknown_parameter_is_not_ignored(filled: Cluster, root: str, name: str) -> None:
    answer = await filled.get(url(f"{root}/ds-1d.b2nd"), params={name: "1"})

    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)


@each_root
async def test_filter_of_unknown_columns_is_refused_not_ignored(filled: Cluster, root: str) -> None:
    answer = await filled.get(url(f"{root}/ds-1d-fields.b2nd"), params={"filter": "zz > 1"})

    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)


# POST


@each_root
async def test_post_answers_as_get(filled: Cluster, root: str) -> None:
    asked = [{"slice_": "3:9"}, {"slice_": ""}, {"slice_": None}, {"indices": "[[1, 5, 5]]"}, {}]
    for body in asked:
        answer = await filled.http.post(url(f"{root}/ds-1d.b2nd"), json=body)
        expected = await filled.get(url(f"{root}/ds-1d.b2nd"), params={k: v for k, v in body.items() if v})

        assert (answer.status_code, answer.content) == (200, expected.content)


@each_root
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"slice_": "1", "x": 1}', 422),
        (b'{"slice_": 1}', 422),
        (b'{"slice": "1"}', 422),
        (b"[]", 422),
        (b"", 422),
        (b"{", 422),
        (b"\xff", 422),
        (b'{"filter": "zz > 1"}', 400),
    ],
)
async def test_malformed_body_is_refused(filled: Cluster, root: str, body: bytes, status: int) -> None:
    answer = await filled.http.post(
        url(f"{root}/ds-1d.b2nd"), content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == status
    if status == 422:
        (problem,) = answer.json()["detail"]
        assert {"type", "loc", "msg", "input"} <= set(problem)


# fields


@each_root
@pytest.mark.parametrize("path", ["ds-1d-fields.b2nd", "ds-2d-fields.b2nd"])
@pytest.mark.parametrize("field", ["a", "b"])
@pytest.mark.parametrize(
    ("slice_", "key"), [("", np.s_[:]), ("3", 3), ("2:7", np.s_[2:7]), ("::3", np.s_[::3])]
)
async def test_field_is_one_column(
    filled: Cluster, root: str, path: str, field: str, slice_: str, key: Any
) -> None:
    answer = await filled.get(url(f"{root}/{path}"), params={"field": field, "slice_": slice_})

    same(contents(answer.content), cut(arrays()[path], key)[field])


@each_root
async def test_field_of_nested_fields_is_structured(filled: Cluster, root: str) -> None:
    answer = await filled.get(url(f"{root}/{NESTED}"), params={"field": "s"})

    same(contents(answer.content), arrays()[NESTED]["s"])


@each_root
@pytest.mark.parametrize(
    ("path", "field"),
    [("ds-1d-fields.b2nd", "c"), ("ds-1d.b2nd", "a"), ("README.md", "a"), (SUBARRAYS, "p")],
)
@pytest.mark.parametrize("more", [{}, {"slice_": "1:2"}, {"indices": "[[1]]"}])
async def test_field_that_is_not_there_is_refused(
    filled: Cluster, root: str, path: str, field: str, more: dict[str, str]
) -> None:
    answer = await filled.get(url(f"{root}/{path}"), params={"field": field, **more})

    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)


# indices

INDICES: list[tuple[Any, Any]] = [
    ([[0, 5, 2]], np.s_[[0, 5, 2]]),
    ([[-1, 0, 0]], np.s_[[-1, 0, 0]]),
    ([None, [3, 1]], np.s_[:, [3, 1]]),
    ([2, None], np.s_[2]),
    ([2, 3], np.s_[2, 3]),
    (["1:4", [3, 1]], np.s_[1:4, [3, 1]]),
    ([[1, 2], [3, 4]], np.s_[[1, 2], [3, 4]]),
    ([[[1], [2]], [[3, 4]]], np.s_[[[1], [2]], [[3, 4]]]),
    ([[1, 2], 5], np.s_[[1, 2], 5]),
    ([[], None], (np.array([], int), slice(None))),
    ([[]], (np.array([], int),)),
    ([], ()),
    (["::2", "1:9:3"], np.s_[::2, 1:9:3]),
    ([["0"][0:0] or None, 7], np.s_[:, 7]),
]


@each_root
@pytest.mark.parametrize(("indices", "key"), INDICES, ids=[json.dumps(i[0]) for i in INDICES])
@pytest.mark.parametrize(
    "path", ["dir1/ds-2d.b2nd", "dtypes/05.b2nd", "ds-2d-fields.b2nd", "special/full.b2nd"]
)
async def test_indices_select_as_in_numpy(
    filled: Cluster, root: str, path: str, indices: Any, key: Any
) -> None:
    answer = await filled.get(url(f"{root}/{path}"), params={"indices": json.dumps(indices)})

    assert answer.status_code == 200, answer.text
    same(contents(answer.content), cut(arrays()[path], key))


@each_root
@pytest.mark.parametrize(
    "indices",
    [
        "",
        "x",
        "{}",
        "5",
        "[[0.5]]",
        '[["a"]]',
        "[[100000]]",
        "[[-100000]]",
        "[[0],[0],[0]]",
        "[[1,2],[1,2,3]]",
        "[true]",
        "[[true,false]]",
        "[{}]",
        '["x"]',
        '["1,2"]',
        '["::-1"]',
        "[[[1],[1,2]]]",
        "[1e3]",
        "[" * 2000 + "]" * 2000,
        "[[99999999999999999999999]]",
        "[NaN]",
        '["..."]',
        '[""]',
        "[[null]]",
    ],
)
async def test_what_are_no_indices_is_refused(filled: Cluster, root: str, indices: str) -> None:
    answer = await filled.http.post(
        url(f"{root}/dir1/ds-2d.b2nd"), json={"indices": indices or "[", "slice_": None}
    )

    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)


@each_root
async def test_indices_and_window_exclude_one_another(filled: Cluster, root: str) -> None:
    answer = await filled.get(url(f"{root}/ds-1d.b2nd"), params={"indices": "[[1]]", "slice_": "1"})

    assert answer.status_code == 400


@each_root
async def test_indices_of_bytes_give_bytes(filled: Cluster, root: str) -> None:
    answer = await filled.get(url(f"{root}/README.md"), params={"indices": "[[0, 5, 5]]"})

    data = PLAIN["README.md"]
    assert contents(answer.content) == bytes([data[0], data[5], data[5]])


# download


@each_root
@pytest.mark.parametrize("path", [*PLAIN, "packed.txt"])
async def test_plain_file_is_downloaded_as_it_is(filled: Cluster, root: str, path: str) -> None:
    answer = await filled.get(url(f"{root}/{path}", "download"))

    assert answer.content == BYTES[path]
    assert answer.headers["Content-Length"] == str(len(BYTES[path]))
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert '.b2"' not in answer.headers["Content-Disposition"]


@each_root
@pytest.mark.parametrize(
    ("path", "media"),
    [
        ("README.md", "text/markdown"),
        ("dir1/notes.html", "text/html"),
        ("dir1/table.csv", "text/csv"),
        ("data.bin", "application/octet-stream"),
        ("packed.txt", "text/plain"),
    ],
)
async def test_media_type_of_a_download_is_guessed(filled: Cluster, root: str, path: str, media: str) -> None:
    answer = await filled.get(url(f"{root}/{path}", "download"))

    assert answer.headers["Content-Type"].partition(";")[0] == media


@each_root
@pytest.mark.parametrize("path", STORED)
async def test_stored_frame_is_downloaded_as_it_is(filled: Cluster, root: str, path: str) -> None:
    answer = await filled.get(url(f"{root}/{path}", "download"))

    assert answer.content == stored_bytes(filled, root, path)
    name = path.rpartition("/")[2]
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["Accept-Ranges"] == "bytes"


@each_root
@pytest.mark.parametrize("path", [*PLAIN, "packed.txt"])
async def test_client_that_unpacks_gets_a_plain_file_packed(filled: Cluster, root: str, path: str) -> None:
    request = filled.http.build_request(
        "GET", url(f"{root}/{path}", "download"), headers={"Accept-Encoding": "blosc2"}
    )
    answer = await filled.http.send(request, stream=True)
    body = b"".join([part async for part in answer.aiter_raw()])
    await answer.aclose()

    if answer.headers.get("Content-Encoding") == "blosc2":
        assert contents(body) == BYTES[path]
    else:
        assert body == BYTES[path]
    assert "Accept-Encoding" in answer.headers["Vary"]


@each_root
@pytest.mark.parametrize("path", ["README.md", "packed.txt", "data.bin"])
@pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 20), (50, None), (-7, None)])
async def test_range_of_a_download_is_part_of_the_plain_file(
    filled: Cluster, root: str, path: str, start: int, stop: int | None
) -> None:
    spec = f"{start}-{'' if stop is None else stop - 1}" if start >= 0 else str(start)

    answer = await filled.get(url(f"{root}/{path}", "download"), headers={"Range": f"bytes={spec}"})

    assert (answer.status_code, answer.content) == (206, BYTES[path][start:stop])


# chunks


@each_root
@pytest.mark.parametrize(
    "path",
    [
        "ds-1d.b2nd",
        "big.b2nd",
        "dtypes/15.b2nd",
        "special/zeros.b2nd",
        "special/nans.b2nd",
        "special/full.b2nd",
        "special/uninit.b2nd",
        "ds-hello.b2frame",
        "packed.txt",
        "README.md",
        "data.bin",
        "ds-sc-attr.b2nd",
    ],
)
async def test_chunks_decompress_to_what_the_file_holds(filled: Cluster, root: str, path: str) -> None:
    whole = blosc2.schunk_from_cframe((await filled.get(url(f"{root}/{path}"))).content)

    for nchunk in range(whole.nchunks):
        answer = await filled.get(url(f"{root}/{path}", "chunk"), params={"nchunk": nchunk})

        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/octet-stream"
        chunk = answer.content
        assert int.from_bytes(chunk[12:16], "little") == len(chunk)
        expected = (
            bytes(whole.decompress_chunk(nchunk))
            if "uninit" not in path
            else bytes(int.from_bytes(chunk[4:8], "little"))
        )
        assert blosc2.decompress2(chunk) == expected


@each_root
@pytest.mark.parametrize("path", ["ds-1d.b2nd", "README.md", "ds-hello.b2frame", "special/zeros.b2nd"])
@pytest.mark.parametrize("nchunk", ["-1", "100000", "9" * 30])
async def test_chunk_that_is_not_there_is_refused(filled: Cluster, root: str, path: str, nchunk: str) -> None:
    answer = await filled.get(url(f"{root}/{path}", "chunk"), params={"nchunk": nchunk})

    assert answer.status_code in {400, 404, 422} if len(nchunk) > 20 else {400, 404}
    assert answer.json()["detail"]


@each_root
@pytest.mark.parametrize(
    "params", [{}, {"nchunk": ""}, {"nchunk": "x"}, {"nchunk": "1.5"}, {"nchunk": "[1]"}]
)
async def test_chunk_number_that_is_none_is_422(filled: Cluster, root: str, params: dict[str, str]) -> None:
    answer = await filled.get(url(f"{root}/ds-1d.b2nd", "chunk"), params=params)

    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["query", "nchunk"]


async def test_many_readers_of_the_same_thing_all_get_it(filled: Cluster) -> None:
    async def read(client: httpx.AsyncClient, i: int) -> None:
        answer = await client.get("/api/fetch/foo/big.b2nd", params={"slice_": f"{i}:{i + 40}, 3:90"})
        same(contents(answer.content), arrays()["big.b2nd"][i : i + 40, 3:90])

    async with httpx.AsyncClient(base_url=filled.subscriber.url, timeout=30) as client:
        await asyncio.gather(*(read(client, i % 7) for i in range(24)))
