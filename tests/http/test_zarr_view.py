"""The Zarr view over HTTP: keys, conditional requests, ranges, origins, and what is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from tests.support.cluster import Cluster
from tests.support.samples import SUBARRAYS, arrays

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORIGIN = "https://lab.example.org"
BIG = "/zarr/v3/foo/big.b2nd"


async def metadata(cluster: Cluster, path: str, **kwargs: Any) -> Any:
    answer = await cluster.get(f"/zarr/v3/{path}/zarr.json", **kwargs)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


def members(document: Any) -> dict[str, Any]:
    found: dict[str, Any] = document["consolidated_metadata"]["metadata"]
    return found


# keys


@pytest.mark.parametrize("root", ["foo", "@public"])
async def test_root_is_a_group_of_all_arrays_below_it(filled: Cluster, root: str) -> None:
    document = await metadata(filled, root)

    found = members(document)
    said = {name for name, node in found.items() if node["node_type"] == "array"}
    left_out = set(document["attributes"]["caterva2"]["left_out"])
    assert said == set(arrays()) - left_out
    assert left_out == {"broken.b2nd", "dtypes/10.b2nd", SUBARRAYS}
    assert {name for name in found if name not in said} == {"dir1", "dir2", "dtypes", "sp ace", "special"}


@pytest.mark.parametrize("root", ["foo", "@public"])
async def test_directory_is_a_group(filled: Cluster, root: str) -> None:
    assert list(members(await metadata(filled, f"{root}/dir1"))) == ["ds-2d.b2nd", "ds-3d.b2nd"]


@pytest.mark.parametrize("name", ["dir1/ds-3d.b2nd", "ds-sc-attr.b2nd", "empty.b2nd", "dtypes/22.b2nd"])
@pytest.mark.parametrize("root", ["foo", "@public"])
async def test_group_tells_of_an_array_what_the_array_tells(filled: Cluster, root: str, name: str) -> None:
    assert members(await metadata(filled, root))[name] == await metadata(filled, f"{root}/{name}")


async def test_roots_together_are_a_group_that_names_them(filled: Cluster) -> None:
    answer = await filled.get("/zarr/v3/zarr.json")

    assert answer.json()["attributes"]["caterva2"]["roots"] == ["@public", "foo", "other"]
    assert "consolidated_metadata" not in answer.json()


async def test_user_attributes_are_attributes(filled: Cluster) -> None:
    document = await metadata(filled, "foo/ds-sc-attr.b2nd")

    assert document["attributes"] == {"a": 1, "b": "foo", "c": 123.456}


async def test_chunk_is_its_items_in_c_order(filled: Cluster) -> None:
    answer = await filled.get(f"{BIG}/c/1/2/0")

    body = np.frombuffer(answer.content, "<i4").reshape(30, 40, 200)
    np.testing.assert_array_equal(body[:, :20], arrays()["big.b2nd"][30:60, 80:100])
    assert not body[:, 20:].any()


async def test_scalar_is_one_chunk(filled: Cluster) -> None:
    answer = await filled.get("/zarr/v3/foo/ds-sc-attr.b2nd/c")

    assert answer.content == np.array("foobar").tobytes()


# what is not there


@pytest.mark.parametrize(
    "key",
    [
        "foo/nothing.b2nd/zarr.json",
        "foo/nothing.b2nd/c/0",
        "nowhere/zarr.json",
        "@personal/zarr.json",
        "foo/README.md/zarr.json",
        "foo/ds-hello.b2frame/zarr.json",
        "foo/broken.b2nd/zarr.json",
        "foo/dtypes/10.b2nd/zarr.json",
        "foo/dtypes/10.b2nd/c/0/0",
        "foo/dir1/c/0",
        "foo/big.b2nd/c/4/0/0",
        "foo/big.b2nd/c/0/0",
        "foo/big.b2nd/c/0/0/0/0",
        "foo/big.b2nd/c/00/0/0",
        "foo/big.b2nd/c/-1/0/0",
        "foo/big.b2nd/c/0.0.0",
        "foo/big.b2nd/c/999999999999999999999999/0/0",
        "foo/big.b2nd/c",
        "foo/big.b2nd",
        "foo/big.b2nd/.zarray",
        "foo/big.b2nd/.zattrs",
        "foo/.zgroup",
        "foo/.zmetadata",
        "foo/empty.b2nd/c/0/0",
        "foo",
        "",
        "/",
        "c/0",
        "c",
        "0",
    ],
)
async def test_what_is_not_there_is_404_and_the_answer_says_why(filled: Cluster, key: str) -> None:
    answer = await filled.get(f"/zarr/v3/{key}")

    assert answer.status_code == 404
    assert answer.json()["code"] in {"dataset-not-found", "root-not-found"}
    assert answer.json()["detail"]


async def test_reason_for_a_type_that_zarr_lacks_is_told(filled: Cluster) -> None:
    answer = await filled.get("/zarr/v3/foo/dtypes/10.b2nd/zarr.json")

    assert (
        answer.json()["detail"] == "foo/dtypes/10.b2nd is not in the Zarr view: Zarr has no type for float128"
    )


@pytest.mark.parametrize(
    "key",
    [
        "foo/%2e%2e/foo/zarr.json",
        "foo/..%2f..%2fetc%2fpasswd/zarr.json",
        "%2Fetc/zarr.json",
        "foo/a%00b/zarr.json",
        "foo//zarr.json",
        "foo/a%5Cb/c/0",
        "foo/%ff/zarr.json",
        f"foo/{'x' * 5000}/zarr.json",
    ],
)
async def test_path_that_can_name_nothing_is_refused(filled: Cluster, key: str) -> None:
    answer = await filled.get(f"/zarr/v3/{key}")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad-path")


async def test_view_can_not_be_written(filled: Cluster) -> None:
    for method in ("PUT", "POST", "DELETE"):
        answer = await filled.http.request(method, f"{BIG}/c/0/0/0")

        assert answer.status_code == 405
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


# how it is answered

KEYS = ["big.b2nd/c/0/0/0", "big.b2nd/zarr.json", "dir1/zarr.json", "ds-sc-attr.b2nd/c", "zarr.json"]


@pytest.mark.parametrize("key", KEYS)
async def test_head_tells_what_get_sends(filled: Cluster, key: str) -> None:
    got = await filled.get(f"/zarr/v3/foo/{key}")
    head = await filled.http.head(f"/zarr/v3/foo/{key}")

    assert (head.status_code, head.content) == (200, b"")
    for name in ("ETag", "Content-Length", "Content-Type", "Accept-Ranges", "Caterva2-Freshness"):
        assert head.headers[name] == got.headers[name]
    assert int(got.headers["Content-Length"]) == len(got.content)


@pytest.mark.parametrize("key", KEYS)
async def test_who_has_it_gets_304(filled: Cluster, key: str) -> None:
    etag = (await filled.get(f"/zarr/v3/foo/{key}")).headers["ETag"]

    answer = await filled.get(f"/zarr/v3/foo/{key}", headers={"If-None-Match": etag})

    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)


async def test_etags_of_keys_differ(filled: Cluster) -> None:
    keys = ("c/0/0/0", "c/0/0/0", "c/1/0/0", "c/0/1/0", "zarr.json")

    etags = [(await filled.get(f"{BIG}/{key}")).headers["ETag"] for key in keys]

    assert len(set(etags)) == 4


@pytest.mark.parametrize("key", KEYS)
async def test_ranges_are_parts_of_the_whole(filled: Cluster, key: str) -> None:
    whole = (await filled.get(f"/zarr/v3/foo/{key}")).content

    first = await filled.get(f"/zarr/v3/foo/{key}", headers={"Range": "bytes=3-9"})
    last = await filled.get(f"/zarr/v3/foo/{key}", headers={"Range": "bytes=-4"})

    assert (first.status_code, first.content) == (206, whole[3:10])
    assert first.headers["Content-Range"] == f"bytes 3-9/{len(whole)}"
    assert (last.status_code, last.content) == (206, whole[-4:])


async def test_several_ranges_are_sent_together(filled: Cluster) -> None:
    whole = (await filled.get(f"{BIG}/c/0/0/0")).content

    answer = await filled.get(f"{BIG}/c/0/0/0", headers={"Range": "bytes=0-9,1000-1009"})

    assert answer.status_code == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges")
    assert whole[:10] in answer.content
    assert whole[1000:1010] in answer.content


async def test_range_beyond_the_end_is_416(filled: Cluster) -> None:
    answer = await filled.get(f"{BIG}/c/0/0/0", headers={"Range": "bytes=99999999-"})

    assert answer.status_code == 416


# pages of other sites


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("origins"), origins=(ORIGIN,))
    cluster.add_array("@public/x.b2nd", np.arange(3, dtype="i1"))
    async with cluster:
        yield cluster


@pytest.mark.parametrize(
    "key", ["x.b2nd/c/0", "x.b2nd/zarr.json", "zarr.json", "nothing/zarr.json", "x.b2nd/c/7"]
)
async def test_page_of_a_listed_site_may_see_answers_and_errors(opened: Cluster, key: str) -> None:
    answer = await opened.get(f"/zarr/v3/@public/{key}", headers={"Origin": ORIGIN})

    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Origin" in answer.headers["Vary"]
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_page_of_a_listed_site_may_see_that_it_has_it(opened: Cluster) -> None:
    etag = (await opened.get("/zarr/v3/@public/x.b2nd/c/0")).headers["ETag"]

    answer = await opened.get(
        "/zarr/v3/@public/x.b2nd/c/0", headers={"Origin": ORIGIN, "If-None-Match": etag}
    )

    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (304, ORIGIN)


@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", ORIGIN + ".evil.org", ""])
async def test_page_of_any_other_site_may_not(opened: Cluster, origin: str) -> None:
    answer = await opened.get("/zarr/v3/@public/x.b2nd/c/0", headers={"Origin": origin})

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


async def test_without_listed_sites_no_other_page_may(filled: Cluster) -> None:
    answer = await filled.get(f"{BIG}/c/0/0/0", headers={"Origin": ORIGIN})

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Vary" not in answer.headers


async def test_browser_is_told_what_a_listed_page_may_ask(opened: Cluster) -> None:
    answer = await opened.http.options(
        "/zarr/v3/@public/x.b2nd/c/0",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        },
    )

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


async def test_other_endpoints_stay_closed_to_listed_pages(opened: Cluster) -> None:
    answer = await opened.get("/api/list/@public", headers={"Origin": ORIGIN})

    assert "Access-Control-Allow-Origin" not in answer.headers


# lazy datasets
