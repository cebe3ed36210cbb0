"""Browsing: pages of roots, directories and files over ``/api/tree``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from caterva2.client.api import Client
from caterva2.client.asyncapi import AsyncClient
from caterva2.errors import DatasetNotFound
from caterva2.model.paths import DatasetPath
from tests.support.cluster import Cluster
from tests.support.samples import arrays

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOTS = ["foo", "@public"]
each_root = pytest.mark.parametrize("root", ROOTS)


async def tree(cluster: Cluster, path: str, **params: Any) -> Any:
    target = DatasetPath.parse(path).to_url() if path else ""
    answer = await cluster.get(f"/api/tree/{target}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def everything(cluster: Cluster, path: str, **params: Any) -> list[Any]:
    rows, after = [], None
    while True:
        page = await tree(cluster, path, **params, **({} if after is None else {"after": after}))
        rows += page["entries"]
        after = page["next"]
        if after is None:
            return rows


def by_name(page: Any) -> dict[str, Any]:
    return {row["name"]: row for row in page["entries"]}


# roots


@pytest.mark.parametrize("slash", ["", "/"])
async def test_an_empty_path_lists_roots_and_areas(filled: Cluster, slash: str) -> None:
    await filled.subscribe("foo")

    page = (await filled.get(f"/api/tree{slash}")).json()

    rows = by_name(page)
    assert list(rows) == ["@public", "foo", "other"]
    assert rows["@public"] | {"kind": "area", "state": "fresh", "writable": False} == rows["@public"]
    assert rows["foo"] | {"kind": "root", "path": "foo", "subscribed": True, "state": "fresh"} == rows["foo"]
    assert (page["total"], page["next"], page["path"]) == (3, None, "")


async def test_roots_are_filtered_and_paged_too(filled: Cluster) -> None:
    assert list(by_name(await tree(filled, "", filter="O"))) == ["foo", "other"]
    first = await tree(filled, "", limit=2)
    assert (first["total"], first["next"]) == (3, "foo")
    assert list(by_name(await tree(filled, "", limit=2, after=first["next"]))) == ["other"]


# directories


@each_root
async def test_a_directory_shows_its_directories_then_its_files(filled: Cluster, root: str) -> None:
    page = await tree(filled, root)

    kinds = [row["kind"] for row in page["entries"]]
    ndirectories = kinds.count("directory")
    assert kinds[:ndirectories] == ["directory"] * ndirectories
    assert ndirectories >= 4
    assert page["total"] == len(kinds)
    assert page["state"] == "fresh"


@each_root
async def test_rows_tell_kind_shape_and_dtype(filled: Cluster, root: str) -> None:
    rows = by_name(await tree(filled, root))

    assert (
        rows["big.b2nd"] | {"kind": "array", "shape": [100, 100, 200], "dtype": "int32"} == rows["big.b2nd"]
    )
    assert rows["big.b2nd"]["path"] == f"{root}/big.b2nd"
    assert rows["big.b2nd"]["size"] > 0
    assert rows["README.md"] | {"kind": "markdown", "shape": None} == rows["README.md"]
    assert rows["empty.txt"]["kind"] == rows["packed.txt"]["kind"] == "text"
    assert rows["data.bin"]["kind"] == "file"
    assert rows["ds-hello.b2frame"]["kind"] == "frame"
    assert rows["broken.b2nd"]["kind"] == "broken"
    assert rows["broken.b2nd"]["error"]
    structured = by_name(await tree(filled, f"{root}/dtypes"))["21.b2nd"]
    assert structured["kind"] == "table"
    assert structured["dtype"].startswith("[")


@each_root
async def test_the_row_of_a_file_agrees_with_info(filled: Cluster, root: str) -> None:
    row = by_name(await tree(filled, root))["big.b2nd"]
    answer = await filled.get(f"/api/info/{root}/big.b2nd")

    assert row["mtime"] == answer.json()["mtime"]
    assert row["etag"] == answer.headers["Caterva2-Generation"]


@each_root
async def test_a_file_is_a_page_of_its_own_row(filled: Cluster, root: str) -> None:
    page = await tree(filled, f"{root}/dir1/table.csv")

    assert [(row["name"], row["kind"]) for row in page["entries"]] == [("table.csv", "text")]


@each_root
async def test_all_pages_together_are_all_rows(filled: Cluster, root: str) -> None:
    whole = await everything(filled, f"{root}/dtypes")
    paged = await everything(filled, f"{root}/dtypes", limit=5)

    assert paged == whole
    assert len(whole) == len([name for name in arrays() if name.startswith("dtypes/")])


@each_root
@pytest.mark.parametrize("recursive", [0, 1])
async def test_a_page_may_begin_anywhere(filled: Cluster, root: str, recursive: int) -> None:
    whole = await everything(filled, root, recursive=recursive)

    last = await tree(filled, root, recursive=recursive, offset=len(whole) - 2)
    assert (last["entries"], last["offset"], last["next"]) == (whole[-2:], len(whole) - 2, None)
    middle = await tree(filled, root, recursive=recursive, offset=3, limit=2)
    assert (middle["entries"], middle["offset"], middle["total"]) == (whole[3:5], 3, len(whole))
    following = await tree(filled, root, recursive=recursive, after=middle["next"], limit=1)
    assert (following["entries"], following["offset"]) == (whole[5:6], 5)
    beyond = await tree(filled, root, recursive=recursive, offset=10**30)
    assert (beyond["entries"], beyond["offset"], beyond["next"]) == ([], len(whole), None)


@each_root
@pytest.mark.parametrize("after", ["big.b2nd", "dir1/"])
async def test_the_page_behind_a_row_tells_its_place(filled: Cluster, root: str, after: str) -> None:
    whole = await everything(filled, root)

    page = await tree(filled, root, after=after, limit=1)

    assert whole[page["offset"] - 1]["path"] == f"{root}/{after.rstrip('/')}"


async def test_where_a_page_begins_is_said_once(filled: Cluster) -> None:
    for wrong in ({"offset": -1}, {"offset": 1, "after": "big.b2nd"}):
        answer = await filled.get("/api/tree/foo", params=wrong)
        assert answer.status_code == 400
        assert "offset" in answer.json()["detail"]
    assert (await filled.get("/api/tree/foo", params={"offset": "x"})).status_code == 422
    roots = await tree(filled, "", offset=1, limit=1)
    assert (list(by_name(roots)), roots["offset"], roots["next"]) == (["foo"], 1, "foo")


@each_root
async def test_a_filter_looks_at_names_without_regard_to_capitals(filled: Cluster, root: str) -> None:
    assert list(by_name(await tree(filled, root, filter="readme"))) == ["README.md"]
    assert "big.b2nd" in by_name(await tree(filled, root, filter="b*.B2ND"))
    page = await tree(filled, root, filter="no such name")
    assert (page["entries"], page["total"], page["next"]) == ([], 0, None)


@each_root
async def test_a_recursive_filter_finds_files_and_directories_at_any_depth(
    filled: Cluster, root: str
) -> None:
    found = await everything(filled, root, filter="dir*", recursive=1, limit=3)
    assert {row["path"] for row in found if row["kind"] == "directory"} >= {f"{root}/dir1", f"{root}/dir2"}

    found = await everything(filled, root, filter="*.csv", recursive=1)
    assert [row["path"] for row in found] == [f"{root}/dir1/table.csv"]
    assert [row["name"] for row in found] == ["table.csv"]

    found = await everything(filled, root, filter="dtypes/0", recursive=1)
    assert len(found) == 10


@each_root
async def test_what_is_not_there_is_not_found(filled: Cluster, root: str) -> None:
    for path in (f"{root}/nothing", f"{root}/big.b2nd/x", "nowhere"):
        assert (await filled.get(f"/api/tree/{path}")).status_code == 404


@pytest.mark.parametrize(
    ("params", "status"),
    [({"limit": 0}, 400), ({"limit": 1001}, 400), ({"limit": "x"}, 422), ({"filter": "x" * 201}, 400)],
)
async def test_senseless_queries_are_refused(filled: Cluster, params: dict[str, Any], status: int) -> None:
    assert (await filled.get("/api/tree/foo", params=params)).status_code == status


async def test_who_has_a_page_already_is_told_so(filled: Cluster) -> None:
    first = await filled.get("/api/tree/foo/dtypes")
    again = await filled.get("/api/tree/foo/dtypes", headers={"If-None-Match": first.headers["ETag"]})
    other = await filled.get("/api/tree/foo/dir1", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.content, other.status_code) == (304, b"", 200)


# clients


async def test_clients_return_pages(filled: Cluster) -> None:
    def blocking() -> None:
        with Client(filled.subscriber.url) as client:
            assert [row.name for row in client.tree().entries] == ["@public", "foo", "other"]
            page = client.tree("foo", filter="big*")
            assert [row.shape for row in page.entries] == [(100, 100, 200)]
            with pytest.raises(DatasetNotFound):
                client.tree("foo/nothing")

    await asyncio.to_thread(blocking)
    async with AsyncClient(filled.subscriber.url) as client:
        first = await client.tree("foo/dtypes", limit=1)
        second = await client.tree("foo/dtypes", limit=1, after=first.next)
        assert (first.total, second.entries[0].name) == (24, "01.b2nd")
