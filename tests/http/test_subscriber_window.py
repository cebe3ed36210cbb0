"""Looking at parts of datasets over ``/api/window``: items, steps, cells, and what is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caterva2.client.api import Client
from caterva2.client.asyncapi import AsyncClient
from caterva2.compute.plaindata import dtype_of, plain_dtype
from caterva2.errors import BadSlice
from caterva2.model.paths import DatasetPath
from tests.support.cluster import Cluster
from tests.support.samples import NESTED, SUBARRAYS, arrays

pytestmark = pytest.mark.asyncio(loop_scope="module")

each_root = pytest.mark.parametrize("root", ["foo", "@public"])
NAMES = sorted(arrays())


def url(path: str) -> str:
    return DatasetPath.parse(path).to_url()


def decoded(answer: Any) -> tuple[Any, tuple[int, ...]]:
    dtype = dtype_of(answer.headers["Caterva2-Dtype"])
    shape, step = (
        tuple(int(n) for n in answer.headers[f"Caterva2-{name}"].split(",") if n)
        for name in ("Shape", "Step")
    )
    return np.frombuffer(answer.content, dtype).reshape(shape), step


async def window(cluster: Cluster, path: str, **params: Any) -> tuple[Any, tuple[int, ...]]:
    answer = await cluster.get(f"/api/window/{url(path)}", params=params)
    assert answer.status_code == 200, answer.text
    return decoded(answer)


async def cells(cluster: Cluster, path: str, **params: Any) -> Any:
    answer = await cluster.get(f"/api/window/{url(path)}", params={"encoding": "json", **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    return answer.json()


def same(found: Any, wanted: Any) -> None:
    wanted = np.asarray(wanted)
    with np.errstate(all="ignore"):
        plain = wanted.astype(plain_dtype(wanted.dtype))
    assert found.dtype == plain.dtype
    assert found.shape == plain.shape
    assert found.tobytes() == np.ascontiguousarray(plain).tobytes()


# raw items


@each_root
@pytest.mark.parametrize("name", NAMES)
async def test_all_items_of_every_dtype_come_as_they_are(filled: Cluster, root: str, name: str) -> None:
    found, step = await window(filled, f"{root}/{name}")

    same(found, arrays()[name])
    assert step == (1,) * arrays()[name].ndim


@pytest.mark.parametrize("kind", "bfciSUMmV")
async def test_items_are_little_endian_in_sizes_that_others_know(filled: Cluster, kind: str) -> None:
    for name, array in arrays().items():
        if array.dtype.kind != kind or not name.startswith("dtypes/"):
            continue
        text = (await filled.get(f"/api/window/foo/{name}")).headers["Caterva2-Dtype"]
        if kind == "V":
            assert json.loads(text)[0][0] == (array.dtype.names or ())[0]
        else:
            assert text[0] in "<|"
            assert int("".join(c for c in text.partition("[")[0][2:])) <= 320
        assert ">" not in text


SLICES = [
    ("", np.s_[:]), ("5", np.s_[5]), ("-1", np.s_[-1]), ("1:50:3,:,2", np.s_[1:50:3, :, 2]),
    (":,::7", np.s_[:, ::7]), ("...,3", np.s_[..., 3]), ("2,...,1:9", np.s_[2, ..., 1:9]),
    ("3:3", np.s_[3:3]), ("-5:,10,-3:", np.s_[-5:, 10, -3:]), ("1,2,3", np.s_[1, 2, 3]),
    (":0,0", np.s_[:0, 0]),
]  # fmt: skip


@each_root
@pytest.mark.parametrize(("text", "key"), SLICES)
async def test_slices_mean_what_they_mean_to_numpy(filled: Cluster, root: str, text: str, key: Any) -> None:
    found, _ = await window(filled, f"{root}/big.b2nd", slice_=text)

    same(found, arrays()["big.b2nd"][key])


async def test_a_0_d_answer_has_no_axes(filled: Cluster) -> None:
    answer = await filled.get("/api/window/foo/big.b2nd", params={"slice_": "1,2,3"})

    assert (answer.headers["Caterva2-Shape"], answer.headers["Caterva2-Step"]) == ("", "")
    assert answer.content == arrays()["big.b2nd"][1, 2, 3].tobytes()


def steps(array: Any, key: tuple[Any, ...], step: tuple[int, ...]) -> Any:
    """Return what NumPy makes of a slice whose axes then are taken with `step`."""
    axes = iter(step)
    full = (*key, *(slice(None),) * (array.ndim - len(key)))
    return array[
        tuple(
            slice(*k.indices(n)[:2], next(axes)) if isinstance(k, slice) else k
            for k, n in zip(full, array.shape, strict=True)
        )
    ]


@st.composite
def keys(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    key = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        if draw(st.booleans()):
            key.append(draw(st.integers(-n, n - 1)))
        else:
            bound = st.none() | st.integers(-n - 2, n + 2)
            key.append(slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, n + 2))))
    return tuple(key)


def text_of(key: tuple[Any, ...]) -> str:
    parts = []
    for k in key:
        if isinstance(k, slice):
            parts.append(":".join("" if x is None else str(x) for x in (k.start, k.stop, k.step)))
        else:
            parts.append(str(k))
    return ",".join(parts)


@each_root
async def test_any_thinned_slice_is_numpys_with_the_steps_that_are_told(filled: Cluster, root: str) -> None:
    loop = asyncio.get_running_loop()
    array = arrays()["big.b2nd"]

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(keys(array.shape), st.none() | st.integers(1, 120), st.none() | st.integers(1, 40))
    def check(key: tuple[Any, ...], points: int | None, blocks: int | None) -> None:
        params: dict[str, Any] = {"slice_": text_of(key)}
        params |= {} if points is None else {"points": points}
        params |= {} if blocks is None else {"blocks": blocks}
        found, step = asyncio.run_coroutine_threadsafe(
            window(filled, f"{root}/big.b2nd", **params), loop
        ).result()
        same(found, steps(array, key, step))
        assert points is None or all(n <= points for n in found.shape)
        if points is None:
            same(found, array[key])

    await asyncio.to_thread(check)


@each_root
async def test_a_large_plane_is_thinned_to_the_points_asked_for(filled: Cluster, root: str) -> None:
    found, step = await window(filled, f"{root}/big.b2nd", slice_="7", points=50)

    assert step == (2, 4)
    same(found, arrays()["big.b2nd"][7, ::2, ::4])


async def test_fewer_blocks_make_larger_steps(filled: Cluster) -> None:
    found, step = await window(filled, "foo/big.b2nd", slice_="7", points=1000, blocks=1)

    assert found.shape == (1, 1)
    assert step == (100, 200)


@each_root
async def test_a_field_can_be_taken(filled: Cluster, root: str) -> None:
    found, _ = await window(filled, f"{root}/dtypes/21.b2nd", slice_="2:4", field="b")

    same(found, arrays()["dtypes/21.b2nd"][2:4]["b"])


@each_root
async def test_a_plain_file_is_its_bytes(filled: Cluster, root: str) -> None:
    found, _ = await window(filled, f"{root}/README.md", slice_="2:10")
    whole = (await filled.get(f"/api/download/{root}/README.md")).content

    assert found.tobytes() == whole[2:10]


# cells


@pytest.mark.parametrize("name", NAMES)
async def test_cells_of_every_dtype_have_the_shape_that_is_told(filled: Cluster, name: str) -> None:
    array = arrays()[name]
    found = await cells(filled, f"foo/{name}", points=10)

    assert found["names"] == (None if array.dtype.names is None else list(array.dtype.names))
    shape, data = [], found["data"]
    for _ in found["shape"]:
        shape.append(len(data))
        data = data[0] if data else []
    assert shape == found["shape"] or 0 in found["shape"]


async def test_cells_of_structured_items_are_lists(filled: Cluster) -> None:
    found = await cells(filled, f"foo/{NESTED}", slice_="1,2")
    item = arrays()[NESTED][1, 2]
    assert found["data"][0] == item["a"]
    assert found["data"][1] == [item["s"]["x"], item["s"]["y"].decode("utf-8", "backslashreplace")]
    assert found["dtype"] == [["a", "<i4"], ["s", [["x", "<f8"], ["y", "|S3"]]]]

    found = await cells(filled, f"foo/{SUBARRAYS}", slice_="1:3,2")
    assert found["data"][1][0] == arrays()[SUBARRAYS][2, 2]["p"].tolist()


# conditional requests


@each_root
@pytest.mark.parametrize("encoding", ["raw", "json"])
async def test_who_has_it_already_is_told_so_without_reading(
    filled: Cluster, root: str, encoding: str
) -> None:
    where, params = f"/api/window/{root}/big.b2nd", {"slice_": "1", "points": 20, "encoding": encoding}
    first = await filled.get(where, params=params)
    again = await filled.get(where, params=params, headers={"If-None-Match": first.headers["ETag"]})
    other = await filled.get(
        where, params={**params, "points": 21}, headers={"If-None-Match": first.headers["ETag"]}
    )

    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200
    assert first.headers["Caterva2-Generation"] == other.headers["Caterva2-Generation"]
    assert first.headers["Caterva2-Freshness"] == "fresh"


# refusals


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"slice_": "x"}, 400), ({"slice_": "1,2,3,4"}, 400), ({"slice_": "100"}, 400),
        ({"slice_": "::-1"}, 400), ({"slice_": "::0"}, 400), ({"points": 0}, 400), ({"points": -1}, 400),
        ({"points": "x"}, 422), ({"encoding": "xml"}, 422), ({"field": "a"}, 400),
        ({"blocks": 0}, 400), ({"blocks": 65537}, 400), ({"encoding": "json"}, 413),
        ({"filter": "a > 1"}, 400), ({"sortby": "a"}, 400), ({"unknown": "1"}, 422),
    ],
)  # fmt: skip
async def test_senseless_queries_are_refused(filled: Cluster, params: dict[str, Any], status: int) -> None:
    answer = await filled.get("/api/window/foo/big.b2nd", params=params)

    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("foo/nothing.b2nd", 404), ("foo/dir1", 404), ("nowhere/x", 404), ("foo/broken.b2nd", 500)],
)
async def test_what_can_not_be_looked_at_is_refused(filled: Cluster, path: str, status: int) -> None:
    fetched = await filled.get(f"/api/fetch/{path}")
    answer = await filled.get(f"/api/window/{path}")

    assert answer.status_code == fetched.status_code
    assert answer.json()["code"] == fetched.json()["code"]


# clients


async def test_clients_return_items_and_steps(filled: Cluster) -> None:
    array = arrays()["big.b2nd"]

    def blocking() -> None:
        with Client(filled.subscriber.url) as client:
            found, step = client.window("foo/big.b2nd", np.s_[3, 10:, ...], points=20)
            assert step == (5, 10)
            assert np.array_equal(found, array[3, 10::5, ::10])
            found[0] = 0
            item, step = client.window("foo/big.b2nd", (1, 2, 3))
            assert (item.shape, step, item[()]) == ((), (), array[1, 2, 3])
            nested, _ = client.window(f"foo/{NESTED}", np.s_[:2])
            same(nested, arrays()[NESTED][:2])
            with pytest.raises(BadSlice):
                client.window("foo/big.b2nd", 1000)

    await asyncio.to_thread(blocking)
    async with AsyncClient(filled.subscriber.url) as client:
        found, step = await client.window("foo/big.b2nd", 3, points=20)
        assert np.array_equal(found, array[3, ::5, ::10])
        assert step == (5, 10)
