"""Looking at rows of tables by a condition and sorted, and at what is computed, over ``/api/window``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import blosc2
import numpy as np
import pytest
import pytest_asyncio

from caterva2.compute.plaindata import dtype_of
from tests.support.accounts import Lab, lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

RNG = np.random.default_rng(5)
N = 400_000
SMALL = np.array([(i % 7, i / 3, i % 2 == 0, b"%d" % i) for i in range(500)], "i4,f8,?,S4")
SMALL.dtype.names = ("p", "q", "m", "s")
LARGE = np.zeros(N, [("p", "<i4"), ("q", ">f8")])
LARGE["p"] = RNG.integers(0, 1000, N)
LARGE["q"] = RNG.normal(size=N)
TABLES = {"small": SMALL, "large": LARGE}
PLANE = RNG.normal(size=(900, 700))


class Reader:
    """Somebody who looks."""

    def __init__(self, made: Lab, headers: dict[str, str]) -> None:
        self.http = made.http
        self.headers = headers

    async def get(self, path: str, **params: Any) -> Any:
        return await self.http.get(f"/api/window/{path}", params=params, headers=self.headers)

    async def window(self, path: str, **params: Any) -> tuple[Any, Any]:
        answer = await self.get(path, **params)
        assert answer.status_code == 200, answer.text
        shape = [int(n) for n in answer.headers["Caterva2-Shape"].split(",") if n]
        items = np.frombuffer(answer.content, dtype_of(answer.headers["Caterva2-Dtype"])).reshape(shape)
        return items, answer.headers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reader]:
    home = tmp_path_factory.mktemp("lab")
    public = home / "sub" / "public"
    public.mkdir(parents=True)
    for name, table in TABLES.items():
        blosc2.asarray(table, urlpath=str(public / f"{name}.b2nd"), chunks=(len(table) // 9,))
    blosc2.asarray(PLANE, urlpath=str(public / "plane.b2nd"), chunks=(200, 200), blocks=(50, 40))
    async with lab(home) as made:
        await made.add("a@example.com")
        headers = await made.log_in("a@example.com")
        operands = {"x": "@public/plane.b2nd"}
        body = {"name": "lazy", "expression": "x * 2 + 1", "operands": operands}
        answer = await made.http.post("/api/lazyexpr/", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        yield Reader(made, headers)


def order(table: Any, mask: Any, sortby: str | None) -> Any:
    rows = np.flatnonzero(mask) if mask is not None else np.arange(len(table))
    if sortby is None:
        return rows
    keys = table[sortby.removeprefix("-")][rows]
    if sortby.startswith("-"):
        keys = np.unique(keys, return_inverse=True)[1] * -1
    return rows[np.argsort(keys, kind="stable")]


CONDITIONS = {None: lambda t: None, "p < 3": lambda t: t["p"] < 3, "q > 1e9": lambda t: t["q"] > 1e9}


@pytest.mark.parametrize("name", sorted(TABLES))
@pytest.mark.parametrize("sortby", [None, "p", "-p", "q", "-q"])
@pytest.mark.parametrize("condition", list(CONDITIONS))
async def test_rows_are_selected_and_sorted_as_numpy_does(
    reader: Reader, name: str, sortby: str | None, condition: str | None
) -> None:
    if condition is None and sortby is None:
        return
    table = TABLES[name]
    rows = order(table, CONDITIONS[condition](table), sortby)
    query = {k: v for k, v in (("filter", condition), ("sortby", sortby)) if v is not None}

    found, headers = await reader.window(f"@public/{name}.b2nd", slice_="20:60:3", **query)

    assert found.tolist() == table[rows[20:60:3]].tolist()
    assert headers["Caterva2-Rows"] == str(len(rows))
    assert headers["Caterva2-Step"] == "3"


async def test_a_page_of_sorted_rows_as_cells(reader: Reader) -> None:
    answer = await reader.get("@public/small.b2nd", sortby="-q", slice_=":2", encoding="json")

    assert answer.json() == {
        "dtype": [["p", "<i4"], ["q", "<f8"], ["m", "|b1"], ["s", "|S4"]], "shape": [2], "step": [1],
        "names": ["p", "q", "m", "s"],
        "data": [[2, 499 / 3, False, "499"], [1, 498 / 3, True, "498"]],
    }  # fmt: skip
    assert answer.headers["Caterva2-Rows"] == "500"


async def test_a_column_of_selected_rows_is_thinned(reader: Reader) -> None:
    found, headers = await reader.window("@public/large.b2nd", filter="p == 7", field="q", points=10)

    step = int(headers["Caterva2-Step"])
    assert len(found) <= 10
    np.testing.assert_array_equal(found, LARGE["q"][LARGE["p"] == 7][::step])


@pytest.mark.parametrize("column", ["s", "m"])
async def test_texts_and_truths_are_sorted_too(reader: Reader, column: str) -> None:
    found, _ = await reader.window("@public/small.b2nd", sortby=column)
    assert found.tolist() == SMALL[order(SMALL, None, column)].tolist()


async def test_who_has_the_rows_already_is_told_so(reader: Reader) -> None:
    first = await reader.get("@public/small.b2nd", sortby="p", slice_=":5")
    again = await reader.http.get(
        "/api/window/@public/small.b2nd",
        params={"sortby": "p", "slice_": ":5"},
        headers={**reader.headers, "If-None-Match": first.headers["ETag"]},
    )
    assert again.status_code == 304


async def test_the_cost_of_sorting_is_told(reader: Reader) -> None:
    answer = await reader.http.get(
        "/api/explain/@public/large.b2nd", params={"sortby": "-p", "filter": "q > 0"}, headers=reader.headers
    )
    told = answer.json()

    assert (told["shape"], told["chunks"]) == ([N], 10)
    assert told["missing_bytes"] == 0
    for query in ({"sortby": "x"}, {"filter": "x > 1"}):
        answer = await reader.http.get(
            "/api/explain/@public/large.b2nd", params=query, headers=reader.headers
        )
        assert answer.status_code == 400


# computed datasets


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({}, np.s_[:]),
        ({"slice_": "3,::2"}, np.s_[3, ::2]),
        ({"points": 100}, np.s_[::9, ::7]),
        ({"slice_": "5:9,-3", "points": 100}, np.s_[5:9, -3]),
    ],
)
async def test_a_computed_dataset_is_looked_at_as_a_stored_one(
    reader: Reader, params: dict[str, Any], key: Any
) -> None:
    found, _ = await reader.window("@personal/lazy.b2nd", **params)
    np.testing.assert_allclose(found, (PLANE * 2 + 1)[key])
