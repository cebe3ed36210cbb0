"""Lazy datasets over HTTP: made, described, read by slice and chunk, kept in step with their operands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import blosc2
import httpx
import numpy as np
import pytest
import pytest_asyncio

from tests.support.accounts import Lab, lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA, BOB = "ada@example.org", "bob@example.org"
RNG = np.random.default_rng(3)
ARRAYS = {
    "a": RNG.normal(size=(60, 50)),
    "b": RNG.normal(size=(60, 50)).astype("f4"),
    "r": RNG.normal(size=50),
    "i": np.arange(3000, dtype="i4").reshape(60, 50),
    "dir/t": np.array(
        [(i % 7, i / 3, i % 2 == 0) for i in range(500)], [("p", "<i4"), ("q", "<f8"), ("m", "?")]
    ),
}  # fmt: skip


class Ada:
    """A user with a directory of his own."""

    def __init__(self, lab: Lab, headers: dict[str, str]) -> None:
        self.lab = lab
        self.headers = headers

    async def make(
        self, name: str, expression: str, operands: dict[str, str] | None = None, **more: Any
    ) -> Any:
        if operands is None:
            operands = {key: f"@public/{key}.b2nd" for key in ("a", "b", "r", "i")}
            operands["t"] = "@public/dir/t.b2nd"
        body = {"name": name, "expression": expression, "operands": operands, **more}
        return await self.lab.http.post("/api/lazyexpr/", json=body, headers=self.headers)

    async def get(self, url: str, **params: Any) -> Any:
        return await self.lab.http.get(url, params=params, headers=self.headers)

    async def fetch(self, path: str, **params: Any) -> Any:
        answer = await self.get(f"/api/fetch/{path}", **params)
        assert answer.status_code == 200, answer.text
        return blosc2.ndarray_from_cframe(answer.content)[()]


def store(directory: Path, name: str, array: Any) -> None:
    target = directory / f"{name}.b2nd"
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new")
    chunks = tuple(max(1, n // 2 + 1) for n in array.shape)
    blosc2.asarray(
        array, urlpath=str(new), mode="w", chunks=chunks, blocks=tuple(max(1, n // 3) for n in chunks)
    )
    new.replace(target)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ada]:
    home = tmp_path_factory.mktemp("lab")
    public = home / "sub" / "public"
    for name, array in ARRAYS.items():
        store(public, name, array)
    (public / "note.txt").write_text("no array")
    async with lab(home) as made:
        await made.add(ADA)
        await made.add(BOB)
        yield Ada(made, await made.log_in(ADA))


async def test_expression_is_made_in_the_personal_area(ada: Ada) -> None:
    answer = await ada.make("first", "a + 2*sin(b)")

    assert (answer.status_code, answer.json()) == (200, "@personal/first.b2nd")
    assert "first.b2nd" in (await ada.get("/api/list/@personal")).json()


async def test_info_is_in_the_words_of_clients(ada: Ada) -> None:
    operands = {"x": "@public/a.b2nd", "y": "@public/b.b2nd"}
    await ada.make("info", "x + y", operands)

    info = (await ada.get("/api/info/@personal/info.b2nd")).json()

    assert info["shape"] == [60, 50]
    assert info["dtype"] == "float64"
    assert info["expression"] == "x + y"
    assert info["operands"] == operands
    assert info["chunks"] == [31, 26]
    assert info["blocks"] == [10, 8]
    assert info["accept_ranges"] == "none"
    assert info["mtime"].endswith("Z")
    assert info["schunk"]["nchunks"] == 4
    blosc2.CParams(**info["schunk"]["cparams"])


async def test_whole_result_is_a_frame(ada: Ada) -> None:
    await ada.make("whole", "a + 2*sin(b)")

    found = await ada.fetch("@personal/whole.b2nd")

    np.testing.assert_allclose(found, ARRAYS["a"] + 2 * np.sin(ARRAYS["b"]), rtol=1e-6)


@pytest.mark.parametrize(
    ("slice_", "key"),
    [("0", 0), ("3:9", np.s_[3:9]), (":,4", np.s_[:, 4]), ("1,2", (1, 2)),
     ("::7,1:40:3", np.s_[::7, 1:40:3]), ("0:0", np.s_[0:0])],
)  # fmt: skip
async def test_slice_of_an_expression(ada: Ada, slice_: str, key: Any) -> None:
    await ada.make("slice", "a * r - 1")

    found = await ada.fetch("@personal/slice.b2nd", slice_=slice_)

    wanted = (ARRAYS["a"] * ARRAYS["r"] - 1)[key]
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted)


async def test_reduction_to_a_single_number(ada: Ada) -> None:
    await ada.make("zero-d", "sum(a * b)")

    found = await ada.fetch("@personal/zero-d.b2nd")

    assert found.shape == ()
    np.testing.assert_allclose(found, np.sum(ARRAYS["a"] * ARRAYS["b"]), rtol=1e-5)


@pytest.mark.parametrize("nchunk", range(4))
async def test_chunk_is_computed_with_the_geometry_of_the_operand(ada: Ada, nchunk: int) -> None:
    await ada.make("chunk", "a + 0")

    answer = await ada.get("/api/chunk/@personal/chunk.b2nd", nchunk=nchunk)
    stored = await ada.get("/api/chunk/@public/a.b2nd", nchunk=nchunk)

    assert blosc2.decompress2(answer.content) == blosc2.decompress2(stored.content)


@pytest.mark.parametrize(("nchunk", "status"), [("4", 400), ("-1", 400), ("x", 422), ("", 422)])
async def test_chunk_that_is_none_is_refused(ada: Ada, nchunk: str, status: int) -> None:
    await ada.make("chunk", "a + 0")

    assert (await ada.get("/api/chunk/@personal/chunk.b2nd", nchunk=nchunk)).status_code == status


async def test_download_is_a_computed_frame_with_its_name(ada: Ada) -> None:
    await ada.make("down", "i // 2")

    answer = await ada.get("/api/download/@personal/down.b2nd")

    assert answer.headers["Content-Disposition"] == 'attachment; filename="down.b2nd"'
    np.testing.assert_array_equal(blosc2.ndarray_from_cframe(answer.content)[:], ARRAYS["i"] // 2)


async def test_range_of_a_computed_answer_is_refused(ada: Ada) -> None:
    await ada.make("range", "a + 1")

    answer = await ada.lab.http.get(
        "/api/fetch/@personal/range.b2nd", headers={**ada.headers, "Range": "bytes=0-9"}
    )

    assert answer.status_code == 416


async def test_expression_over_an_expression_shows_both_as_written(ada: Ada) -> None:
    await ada.make("inner", "a - mean(a, axis=0)")
    answer = await ada.make(
        "outer", "inner * 2 + b", {"inner": "@personal/inner.b2nd", "b": "@public/b.b2nd"}
    )

    info = (await ada.get("/api/info/@personal/outer.b2nd")).json()
    found = await ada.fetch("@personal/outer.b2nd", slice_="5:9")

    assert answer.status_code == 200
    assert info["expression"] == "inner * 2 + b"
    assert info["operands"]["inner"] == "@personal/inner.b2nd"
    a, b = ARRAYS["a"], ARRAYS["b"]
    np.testing.assert_allclose(found, ((a - a.mean(axis=0)) * 2 + b)[5:9], rtol=1e-6)


async def test_expression_over_itself_is_refused(ada: Ada) -> None:
    await ada.make("self", "a + 1")

    answer = await ada.make("self", "x + 1", {"x": "@personal/self.b2nd"})

    assert answer.status_code == 400
    assert "itself" in answer.json()["detail"]


async def test_circle_of_expressions_ends_in_an_error(ada: Ada) -> None:
    await ada.make("c1", "a + 1")
    await ada.make("c2", "x + 1", {"x": "@personal/c1.b2nd"})

    answer = await ada.make("c1", "x + 1", {"x": "@personal/c2.b2nd"})

    assert answer.status_code == 400


async def test_circle_made_by_moving_ends_in_an_error(ada: Ada) -> None:
    await ada.make("m1", "a + 1")
    await ada.make("m2", "x + 1", {"x": "@personal/m1.b2nd"})
    body = {"src": "@personal/m2.b2nd", "dst": "@personal/m1.b2nd"}
    await ada.lab.http.post("/api/move/", json=body, headers=ada.headers)

    answers = {
        way: await ada.get(f"/api/{way}/@personal/m1.b2nd")
        for way in ("fetch", "info", "explain", "download")
    }

    assert {way: answer.status_code for way, answer in answers.items()} == {
        "fetch": 400, "info": 200, "explain": 400, "download": 400,
    }  # fmt: skip
    assert answers["info"].json()["expr"] == "x + 1"


async def test_personal_operands_are_those_of_who_made_it_for_everybody(ada: Ada) -> None:
    bob = Ada(ada.lab, await ada.lab.log_in(BOB))
    await ada.make("mine", "a + 1")
    await bob.make("mine", "a + 2")
    await ada.make("over", "x * 2", {"x": "@personal/mine.b2nd"})
    body = {"src": "@personal/over.b2nd", "dst": "@shared/over.b2nd"}
    await ada.lab.http.post("/api/copy/", json=body, headers=ada.headers)
    etag = (await ada.get("/api/fetch/@shared/over.b2nd")).headers["ETag"]
    headers = {**bob.headers, "If-None-Match": etag}

    fetched = await bob.get("/api/fetch/@shared/over.b2nd")
    again = await ada.lab.http.get("/api/fetch/@shared/over.b2nd", headers=headers)
    info = (await bob.get("/api/info/@shared/over.b2nd")).json()

    assert (fetched.status_code, again.status_code) == (404, 404)
    assert info["missing_ops"] == {"x": "@personal/mine.b2nd"}


async def test_changed_operand_changes_the_result(ada: Ada) -> None:
    public = ada.lab.home / "sub" / "public"
    store(public, "moving", np.zeros(40))
    await ada.make("follow", "x + 1", {"x": "@public/moving.b2nd"})
    before = await ada.get("/api/fetch/@personal/follow.b2nd")

    store(public, "moving", np.full(40, 5.0))
    service = ada.lab.service.subscriber
    await service.areas.changed(service.areas.common["@public"], ["moving.b2nd"])
    service.library.forget("@public", "moving.b2nd")
    after = await ada.get("/api/fetch/@personal/follow.b2nd")

    assert blosc2.ndarray_from_cframe(before.content)[0] == 1
    assert blosc2.ndarray_from_cframe(after.content)[0] == 6
    assert before.headers["ETag"] != after.headers["ETag"]


async def test_missing_operand_is_told(ada: Ada) -> None:
    public = ada.lab.home / "sub" / "public"
    store(public, "passing", np.zeros(40))
    await ada.make("orphan", "x + 1", {"x": "@public/passing.b2nd"})
    (public / "passing.b2nd").unlink()
    ada.lab.service.subscriber.library.forget("@public", "passing.b2nd")

    info = await ada.get("/api/info/@personal/orphan.b2nd")
    fetch = await ada.get("/api/fetch/@personal/orphan.b2nd")

    assert info.status_code == 200
    assert info.json()["missing_ops"] == {"x": "@public/passing.b2nd"}
    assert info.json()["expr"] == "x + 1"
    assert {"mtime", "error"} <= info.json().keys()
    assert fetch.status_code == 404
    assert "@public/passing.b2nd" in fetch.json()["detail"]


async def test_result_can_be_stored(ada: Ada) -> None:
    answer = await ada.make("stored", "a * 3", compute=True)

    info = (await ada.get("/api/info/@personal/stored.b2nd")).json()
    found = await ada.fetch("@personal/stored.b2nd")

    assert answer.json() == "@personal/stored.b2nd"
    assert "expression" not in info
    assert info["accept_ranges"] == "bytes"
    np.testing.assert_allclose(found, ARRAYS["a"] * 3)


A = {"a": "@public/a.b2nd"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "", "expression": "a + 1", "operands": A}, 400),
        ({"name": "  ", "expression": "a + 1", "operands": A}, 400),
        ({"name": "../x", "expression": "a + 1", "operands": A}, 400),
        ({"name": "/x", "expression": "a + 1", "operands": A}, 400),
        ({"name": "x/../../y", "expression": "a + 1", "operands": A}, 400),
        ({"name": "x\\y", "expression": "a + 1", "operands": A}, 400),
        ({"name": "x\0y", "expression": "a + 1", "operands": A}, 400),
        ({"name": "x", "expression": "", "operands": A}, 400),
        ({"name": "x", "expression": "a +", "operands": A}, 400),
        ({"name": "x", "expression": "a + b", "operands": A}, 400),
        ({"name": "x", "expression": "a", "operands": A}, 400),
        ({"name": "x", "expression": "1 + 2", "operands": A}, 400),
        ({"name": "x", "expression": "a.save('x')", "operands": A}, 400),
        ({"name": "x", "expression": "a + eval('1')", "operands": A}, 400),
        ({"name": "x", "expression": "a + 1", "operands": {"a": "@public/gone.b2nd"}}, 400),
        ({"name": "x", "expression": "a + 1", "operands": {"a": "nowhere/gone.b2nd"}}, 400),
        ({"name": "x", "expression": "a + 1", "operands": {"a": "@public/../x"}}, 400),
        ({"name": "x", "expression": "a + 1", "operands": {"a": "/etc/passwd"}}, 400),
        ({"name": "x", "expression": "a + 1", "operands": {"a": "@public"}}, 400),
        ({"name": "x", "expression": "a + 1", "operands": {"a": "@public/note.txt"}}, 400),
        (
            {
                "name": "x",
                "expression": "a + 1",
                "operands": {"a": "@public/a.b2nd", "__b": "@public/a.b2nd"},
            },
            400,
        ),
        ({"name": "x", "expression": "a + 1", "operands": A, "func": "def f(): pass"}, 400),
        (
            {"name": "x", "expression": "a + 1", "operands": A, "func": None, "dtype": None, "shape": None},
            200,
        ),
        ({"name": "x", "expression": "a + 1", "operands": A, "dtype": "<f8", "shape": [60, 50]}, 200),
        ({"name": "x", "expression": "a + 1", "operands": A, "dtype": "float32"}, 400),
        ({"name": "x", "expression": "a + 1", "operands": A, "dtype": "O"}, 400),
        ({"name": "x", "expression": "a + 1", "operands": A, "dtype": "__import__('os')"}, 400),
        ({"name": "x", "expression": "a + 1", "operands": A, "shape": [60, 51]}, 400),
        ({"name": "x", "expression": "a + 1", "operands": A, "shape": []}, 400),
        ({"name": "x", "expression": "a + 1"}, 422),
        ({"name": "x", "operands": A}, 422),
        ({"name": 1, "expression": "a + 1", "operands": A}, 422),
        ({"name": "x", "expression": "a + 1", "operands": ["a"]}, 422),
    ],
)
async def test_bad_definition_is_refused(ada: Ada, body: dict[str, Any], status: int) -> None:
    answer = await ada.lab.http.post("/api/lazyexpr/", json=body, headers=ada.headers)

    assert answer.status_code == status, answer.text


async def test_expression_of_an_array_client_is_stored_where_it_says(ada: Ada) -> None:
    body = {
        "name": None, "expression": "(o1 + (sin(o0) * 2))", "func": None, "dtype": "float64",
        "operands": {"o0": "@public/a.b2nd", "o1": "@public/r.b2nd"}, "shape": [60, 50], "compute": False,
    }  # fmt: skip
    answer = await ada.lab.http.post("/api/upload_lazyarr/@shared/new/z.b2nd", json=body, headers=ada.headers)

    found = await ada.fetch("@shared/new/z.b2nd", slice_="3")

    assert (answer.status_code, answer.json()) == (200, "@shared/new/z.b2nd")
    np.testing.assert_allclose(found, (ARRAYS["r"] + np.sin(ARRAYS["a"]) * 2)[3])
    assert (await ada.get("/api/info/@shared/new/z.b2nd")).json()["operands"] == body["operands"]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("@shared/z.b2nd", {"func": "def f(): pass"}),
        ("@shared/z.b2nd", {"shape": [3]}),
        ("@shared/z.b2nd", {"operands": {"a": "<blosc2.C2Array object at 0x7fdab2e5c590>"}}),
        ("@shared/z.b2nd", {"expression": "a.slice((slice(2, 5, None),)) + 1"}),
        ("@shared/z", {}),
        ("@shared", {}),
        ("foo/z.b2nd", {}),
        ("@shared/%2e%2e/z.b2nd", {}),
        ("@public/a.b2nd", {}),
    ],
)
async def test_expression_of_an_array_client_is_refused(
    ada: Ada, path: str, change: dict[str, object]
) -> None:
    body = {"expression": "a + 1", "operands": A, **change}

    answer = await ada.lab.http.post(f"/api/upload_lazyarr/{path}", json=body, headers=ada.headers)

    assert answer.status_code == 400, answer.text
    np.testing.assert_array_equal(await ada.fetch("@public/a.b2nd"), ARRAYS["a"])


async def test_definition_needs_a_login(ada: Ada) -> None:
    async with httpx.AsyncClient(base_url=ada.lab.url) as nobody:
        answer = await nobody.post("/api/lazyexpr/", json={"name": "x", "expression": "a+1", "operands": A})

    assert answer.status_code == 401


async def test_definition_needs_the_right_to_write(ada: Ada) -> None:
    token = await ada.lab.token(ada.headers, "read")

    answer = await ada.lab.http.post(
        "/api/lazyexpr/", json={"name": "x", "expression": "a+1", "operands": A}, headers=token
    )

    assert answer.status_code == 403


async def test_personal_operand_of_somebody_else_does_not_exist(ada: Ada) -> None:
    bob = Ada(ada.lab, await ada.lab.log_in(BOB))
    await ada.make("secret", "a + 1")

    answer = await bob.make("peek", "x + 1", {"x": "@personal/secret.b2nd"})

    assert answer.status_code == 400
    assert "not there" in answer.json()["detail"]


async def test_expression_moves_and_is_copied_as_it_is(ada: Ada) -> None:
    await ada.make("wander", "a - 1")
    post = ada.lab.http.post

    copied = await post(
        "/api/copy/", json={"src": "@personal/wander.b2nd", "dst": "@shared/w1.b2nd"}, headers=ada.headers
    )
    moved = await post(
        "/api/move/", json={"src": "@personal/wander.b2nd", "dst": "@shared/w2.b2nd"}, headers=ada.headers
    )

    assert (copied.status_code, moved.status_code) == (200, 200)
    for name in ("w1", "w2"):
        np.testing.assert_allclose(await ada.fetch(f"@shared/{name}.b2nd"), ARRAYS["a"] - 1)
        assert (await ada.get(f"/api/info/@shared/{name}.b2nd")).json()["expression"] == "a - 1"


async def test_uploaded_definition_is_refused(ada: Ada) -> None:
    await ada.make("mine", "a - 1")
    stored = next((ada.lab.home / "sub" / "personal").glob("*/mine.b2nd")).read_bytes()

    answer = await ada.lab.http.post(
        "/api/upload/@personal/forged.b2nd", files={"file": ("forged.b2nd", stored)}, headers=ada.headers
    )

    assert answer.status_code == 400


# joins


@pytest.mark.parametrize(("route", "function"), [("concat", np.concatenate), ("stack", np.stack)])
@pytest.mark.parametrize("axis", [0, 1])
async def test_joined_datasets_are_read_lazily(ada: Ada, route: str, function: Any, axis: int) -> None:
    body = {"srcs": ["@public/a.b2nd", "@public/a.b2nd"], "dst": f"@shared/{route}{axis}.b2nd", "axis": axis}
    answer = await ada.lab.http.post(f"/api/{route}/", json=body, headers=ada.headers)

    found = await ada.fetch(f"@shared/{route}{axis}.b2nd", slice_="1:70:2")

    assert (answer.status_code, answer.json()) == (200, f"@shared/{route}{axis}.b2nd")
    np.testing.assert_array_equal(found, function([ARRAYS["a"], ARRAYS["a"]], axis)[1:70:2])


@pytest.mark.parametrize(
    "body",
    [
        {"srcs": [], "dst": "@shared/x.b2nd"},
        {"srcs": ["@public/a.b2nd"], "dst": "@shared/x"},
        {"srcs": ["@public/a.b2nd"], "dst": "@shared"},
        {"srcs": ["@public/a.b2nd"], "dst": "foo/x.b2nd"},
        {"srcs": ["@public/a.b2nd"], "dst": "@shared/../x.b2nd"},
        {"srcs": ["@public/a.b2nd", "@public/r.b2nd"], "dst": "@shared/x.b2nd"},
        {"srcs": ["@public/a.b2nd", "@public/gone.b2nd"], "dst": "@shared/x.b2nd"},
        {"srcs": ["@public/a.b2nd"], "dst": "@shared/x.b2nd", "axis": 7},
        {"srcs": ["@public/a.b2nd"] * 65, "dst": "@shared/x.b2nd"},
    ],
)
async def test_bad_join_is_refused(ada: Ada, body: dict[str, Any]) -> None:
    answer = await ada.lab.http.post("/api/concat/", json=body, headers=ada.headers)

    assert answer.status_code == 400, answer.text


# explain


async def test_explanation_tells_what_a_slice_costs(ada: Ada) -> None:
    await ada.make("explained", "a + r")

    told = (await ada.get("/api/explain/@personal/explained.b2nd", slice_="0:5, 0:5")).json()

    assert told["shape"] == [5, 5]
    assert told["bytes"] == 200
    assert told["chunks"] == 1
    assert told["expression"] == "a + r"
    assert {read["path"] for read in told["reads"]} == {"@public/a.b2nd", "@public/r.b2nd"}
    assert told["missing_bytes"] == 0
    assert all(read["chunks"] == 1 and read["blocks"] == 1 for read in told["reads"])


async def test_explanation_knows_what_is_computed_already(ada: Ada) -> None:
    await ada.make("known", "a * 17")
    before = (await ada.get("/api/explain/@personal/known.b2nd")).json()
    await ada.fetch("@personal/known.b2nd")

    after = (await ada.get("/api/explain/@personal/known.b2nd")).json()

    assert (before["computed_chunks"], after["computed_chunks"]) == (4, 0)


async def test_explanation_leaves_out_what_needs_no_reading(ada: Ada) -> None:
    await ada.make("kept", "a * 19")
    await ada.fetch("@personal/kept.b2nd")

    told = (await ada.get("/api/explain/@personal/kept.b2nd")).json()

    assert (told["reads"], told["stored_bytes"], told["chunks"]) == ([], 0, 4)


@pytest.mark.parametrize(
    ("params", "shape", "at_most"),
    [
        ({"filter": "p > 3"}, [500], True),
        ({"filter": "p > 3", "slice_": "0:10"}, [10], True),
        ({"filter": "p > 3", "slice_": "-20:"}, [20], True),
        ({"filter": "p > 3", "slice_": "3"}, [], True),
        ({"sortby": "q"}, [500], False),
        ({"sortby": "-q,p", "slice_": "0:7"}, [7], False),
        ({"filter": "m", "sortby": "p", "field": "q"}, [500], True),
    ],
)
async def test_explanation_of_rows_says_at_most(
    ada: Ada, params: dict[str, str], shape: list[int], at_most: bool
) -> None:
    told = (await ada.get("/api/explain/@public/dir/t.b2nd", **params)).json()

    itemsize = 8 if "field" in params else ARRAYS["dir/t"].dtype.itemsize
    assert (told["shape"], told["at_most"]) == (shape, at_most)
    assert told["bytes"] == int(np.prod(shape)) * itemsize
    assert [read["path"] for read in told["reads"]] == ["@public/dir/t.b2nd"]
    assert told["chunks"] == told["reads"][0]["chunks"] == 2  # all rows have to be looked at
    found = await ada.fetch("@public/dir/t.b2nd", **params)
    assert found.ndim == len(shape)
    assert found.size <= np.prod(shape)


@pytest.mark.parametrize(
    ("indices", "shape", "chunks"),
    [("[[1, 2, 59], 3]", [3], 2), ("[[1], null]", [1, 50], 2), ('[5, "0:4"]', [4], 1), ("[[], [] ]", [0], 0)],
)
async def test_explanation_of_single_items_counts_their_chunks(
    ada: Ada, indices: str, shape: list[int], chunks: int
) -> None:
    told = (await ada.get("/api/explain/@public/a.b2nd", indices=indices)).json()

    assert (told["shape"], told["chunks"], told["at_most"]) == (shape, chunks, False)
    assert sum(read["chunks"] for read in told["reads"]) == chunks


async def test_explanation_goes_through_all_levels(ada: Ada) -> None:
    post = ada.lab.http.post
    body = {"srcs": ["@public/a.b2nd", "@public/b.b2nd"], "dst": "@personal/ab.b2nd"}
    await post("/api/concat/", json=body, headers=ada.headers)
    await ada.make("on-top", "x[:60] + r", {"x": "@personal/ab.b2nd", "r": "@public/r.b2nd"})
    await ada.make("highest", "sum(x * 3, axis=0)", {"x": "@personal/on-top.b2nd"})

    told = (await ada.get("/api/explain/@personal/highest.b2nd", indices="[[0, 1]]")).json()

    assert {read["path"] for read in told["reads"]} == {"@public/a.b2nd", "@public/r.b2nd"}
    assert told["shape"] == [2]


async def test_explanation_of_rows_of_a_joined_table(ada: Ada) -> None:
    body = {"srcs": [T, T], "dst": "@personal/tt.b2nd"}
    await ada.lab.http.post("/api/concat/", json=body, headers=ada.headers)

    told = (await ada.get("/api/explain/@personal/tt.b2nd", filter="p > 3", slice_="::2")).json()
    found = await ada.fetch("@personal/tt.b2nd", filter="p > 3", slice_="::2")

    twice = np.concatenate([TABLE, TABLE])
    assert (told["shape"], told["at_most"]) == ([500], True)
    np.testing.assert_array_equal(found, twice[twice["p"] > 3][::2])


@pytest.mark.parametrize(
    "params",
    [
        {"filter": "x > 1"},
        {"filter": "p.q"},
        {"sortby": "nope"},
        {"filter": "p > 1", "indices": "[[1]]"},
        {"slice_": "0", "indices": "[[1]]"},
        {"indices": "[[500]]"},
        {"slice_": "0,0"},
        {"field": "nope"},
    ],
)
async def test_explanation_refuses_what_fetching_would(ada: Ada, params: dict[str, str]) -> None:
    explained = await ada.get(f"/api/explain/{T}", **params)
    fetched = await ada.get(f"/api/fetch/{T}", **params)

    assert (explained.status_code, explained.json()["detail"]) == (400, fetched.json()["detail"])


# levels on levels


async def test_levels_that_multiply_are_refused(ada: Ada) -> None:
    text = " + ".join(f"x[{i}:{i + 20}]" for i in range(20))
    answers = [await ada.make("m0", text, {"x": "@public/a.b2nd"})]
    lengths = "x[0:1] + " + " + ".join(f"x[{i}:{i + 1}]" for i in range(19))
    for level in range(1, 4):
        answers.append(await ada.make(f"m{level}", lengths, {"x": f"@personal/m{level - 1}.b2nd"}))
        lengths = " + ".join(["x[0:1]", *(f"x[0:1, {i}:{i + 1}]" for i in range(19))])

    assert [answer.status_code for answer in answers] == [200, 200, 400, 400]
    assert "read stored data" in answers[2].json()["detail"]


async def test_opening_that_multiplies_ends_soon(ada: Ada, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caterva2.roles.subscriber.evaluation.MAX_WEIGHT", 8)
    names = ("a", "b", "r")
    for name in names:  # two of the three operands are not needed, but opened
        await ada.make(f"w-{name}", "a + 1", {n: f"@public/{n}.b2nd" for n in names})

    answer = await ada.make("w", "a + 1", {n: f"@personal/w-{n}.b2nd" for n in names})

    assert answer.status_code == 400
    assert "read stored data 9 times" in answer.json()["detail"]


# what a client has already


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("fetch/@personal/same.b2nd", {"slice_": "0:5"}),
        ("fetch/@personal/same.b2nd", {}),
        ("fetch/@public/dir/t.b2nd", {"filter": "p > 3", "sortby": "-q"}),
        ("fetch/@public/a.b2nd", {"indices": "[[1, 2]]"}),
        ("chunk/@personal/same.b2nd", {"nchunk": "1"}),
    ],
)
async def test_answer_that_a_client_has_is_not_computed_again(
    ada: Ada, path: str, params: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada.make("same", "sin(a) * 23")
    etag = (await ada.get(f"/api/{path}", **params)).headers["ETag"]
    service = ada.lab.service.subscriber
    for name in ("array", "frame"):
        monkeypatch.setattr(service.reads._slices, name, None)  # what reads and computes is not there
    headers = {**ada.headers, "If-None-Match": etag}

    answer = await ada.lab.http.get(f"/api/{path}", params=params, headers=headers)

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["ETag"] == etag


# rows of structured arrays

TABLE = ARRAYS["dir/t"]
T = "@public/dir/t.b2nd"


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("p > 3", TABLE["p"] > 3),
        ("(p == 2) & (q < 50)", (TABLE["p"] == 2) & (TABLE["q"] < 50)),
        ("m", TABLE["m"]),
        ("~m | (sin(q) > 0.5)", ~TABLE["m"] | (np.sin(TABLE["q"]) > 0.5)),
        ("q > mean(q)", TABLE["q"] > TABLE["q"].mean()),
        ("p > 100", TABLE["p"] > 100),
    ],
)
async def test_rows_by_a_condition(ada: Ada, condition: str, wanted: Any) -> None:
    found = await ada.fetch(T, filter=condition)

    np.testing.assert_array_equal(found, TABLE[wanted])


async def test_rows_sorted_by_a_column_and_cut(ada: Ada) -> None:
    found = await ada.fetch(T, filter="m", sortby="p", slice_="10:20")

    rows = TABLE[TABLE["m"]]
    np.testing.assert_array_equal(found, rows[np.argsort(rows["p"], kind="stable")][10:20])


@pytest.mark.parametrize(
    ("sortby", "order"),
    [
        ("-p", np.lexsort([np.arange(500), -TABLE["p"]])),
        ("m, -p", np.lexsort([np.arange(500), -TABLE["p"], TABLE["m"]])),
        ("-m,-p,-q", np.lexsort([-TABLE["q"], -TABLE["p"], ~TABLE["m"]])),
        (" p ,q", np.lexsort([TABLE["q"], TABLE["p"]])),
    ],
)
async def test_rows_sorted_downwards_and_by_several_columns(ada: Ada, sortby: str, order: Any) -> None:
    found = await ada.fetch(T, sortby=sortby)

    np.testing.assert_array_equal(found, TABLE[order])


async def test_column_of_rows(ada: Ada) -> None:
    found = await ada.fetch(T, filter="p == 1", field="q")

    np.testing.assert_array_equal(found, TABLE["q"][TABLE["p"] == 1])


async def test_rows_by_post(ada: Ada) -> None:
    answer = await ada.lab.http.post(f"/api/fetch/{T}", json={"filter": "p == 1"}, headers=ada.headers)

    np.testing.assert_array_equal(blosc2.ndarray_from_cframe(answer.content)[:], TABLE[TABLE["p"] == 1])


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (T, {"filter": "x > 1"}),
        (T, {"filter": "p + 1"}),
        (T, {"filter": "sum(p) > 1"}),
        (T, {"filter": "p.tofile('x')"}),
        (T, {"filter": "__import__('os')"}),
        (T, {"filter": "p > 1", "indices": "[[1]]"}),
        (T, {"filter": "p > 1", "slice_": "99999"}),
        (T, {"filter": "p > 1", "field": "nope"}),
        (T, {"sortby": "nope"}),
        (T, {"sortby": "-nope"}),
        (T, {"sortby": "p,"}),
        (T, {"sortby": "--p"}),
        (T, {"sortby": "p,-p"}),
        ("@public/r.b2nd", {"sortby": "r"}),
        ("@public/r.b2nd", {"filter": "r > 1"}),
        ("@public/a.b2nd", {"sortby": "a"}),
        ("@public/note.txt", {"filter": "a > 1"}),
    ],
)
async def test_bad_condition_is_refused(ada: Ada, path: str, params: dict[str, str]) -> None:
    answer = await ada.get(f"/api/fetch/{path}", **params)

    assert answer.status_code == 400, answer.text
