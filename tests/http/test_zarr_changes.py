"""The Zarr view of what changes, of what is large, lazy or made up, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pytest

from caterva2.roles.subscriber import zarrview
from tests.support.accounts import lab
from tests.support.cluster import Cluster

pytestmark = pytest.mark.asyncio


async def metadata(cluster: Cluster, path: str) -> Any:
    answer = await cluster.get(f"/zarr/v3/{path}/zarr.json")
    assert answer.status_code == 200, answer.text
    return answer.json()


def members(document: Any) -> dict[str, Any]:
    found: dict[str, Any] = document["consolidated_metadata"]["metadata"]
    return found


async def test_path_may_hold_parts_that_look_like_keys(cluster: Cluster) -> None:
    cluster.add_array("@public/c/0/zarr.json.b2nd", np.arange(3, dtype="i1"))

    answer = await cluster.get("/zarr/v3/@public/c/0/zarr.json.b2nd/c/0")

    assert answer.content == b"\x00\x01\x02"


async def test_change_changes_metadata_and_chunks(cluster: Cluster) -> None:
    await cluster.subscribe("foo")
    async with cluster.changed("foo/x.b2nd"):
        cluster.add_array("foo/x.b2nd", np.arange(4, dtype="i1"))
    before = await cluster.get("/zarr/v3/foo/x.b2nd/c/0")
    assert members(await metadata(cluster, "foo"))["x.b2nd"]["shape"] == [4]
    async with cluster.changed("foo/x.b2nd"):
        cluster.add_array("foo/x.b2nd", np.arange(5, dtype="i1"))

    after = await cluster.get("/zarr/v3/foo/x.b2nd/c/0", headers={"If-None-Match": before.headers["ETag"]})

    assert (after.status_code, after.content) == (200, b"\x00\x01\x02\x03\x04")
    assert members(await metadata(cluster, "foo"))["x.b2nd"]["shape"] == [5]
    assert (await metadata(cluster, "foo/x.b2nd"))["shape"] == [5]


async def test_group_that_has_not_changed_is_not_put_together_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    group_of = zarrview.group_of
    monkeypatch.setattr(zarrview, "group_of", lambda *args: made.append(args) or group_of(*args))
    await cluster.subscribe("foo")
    async with cluster.changed("foo/d/x.b2nd"):
        cluster.add_array("foo/d/x.b2nd", np.arange(4, dtype="i1"))
    first = await cluster.get("/zarr/v3/foo/zarr.json")
    again = await cluster.get("/zarr/v3/foo/zarr.json")
    known = await cluster.get("/zarr/v3/foo/zarr.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (len(made), again.content, known.status_code) == (1, first.content, 304)

    async with cluster.changed("foo/d/y.b2nd"):
        cluster.add_array("foo/d/y.b2nd", np.arange(4, dtype="i1"))
    later = await cluster.get("/zarr/v3/foo/zarr.json", headers={"If-None-Match": first.headers["ETag"]})
    assert set(members(later.json())) == {"d", "d/x.b2nd", "d/y.b2nd"}
    async with cluster.removed("foo/d/x.b2nd"):
        (cluster.root("foo") / "d" / "x.b2nd").unlink()
    assert set(members(await metadata(cluster, "foo"))) == {"d", "d/y.b2nd"}


async def test_groups_that_are_kept_have_a_bound(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zarrview, "KEPT_NBYTES", 3000)
    await cluster.subscribe("foo")
    async with cluster.changed("foo/d4/x.b2nd"):
        for number in range(5):
            cluster.add_array(f"foo/d{number}/x.b2nd", np.arange(4, dtype="i1"))
    view = cluster.subscriber.service.subscriber.zarr
    for _ in range(2):
        for number in range(5):
            assert list(members(await metadata(cluster, f"foo/d{number}"))) == ["x.b2nd"]

    assert 0 < view._kept._nbytes <= 3000


async def test_large_root_is_not_consolidated_and_its_directories_are(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarrview, "MAX_ARRAYS", 3)
    for number in range(4):
        cluster.add_array(f"@public/d{number % 2}/{number}.b2nd", np.arange(3))

    document = await metadata(cluster, "@public")

    assert "consolidated_metadata" not in document
    assert document["attributes"]["caterva2"]["note"].startswith("not consolidated: more than 3 arrays")
    assert list(members(await metadata(cluster, "@public/d0"))) == ["0.b2nd", "2.b2nd"]


HOSTILE: dict[str, Any] = {
    "_FillValue": {"a": 1},
    "_ARRAY_DIMENSIONS": ["x", 5],
    "dims": "x" * 10_000,
    "axes": ["\u202e", "<script>"],
    "nan": float("nan"),
    "inf": [float("inf")],
    "bytes": b"\xff\x00",
    "deep": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]],
    "zarr_format": 2,
    "consolidated_metadata": {"metadata": {}},
    "": "no name",
    "\u2028</script>": 1,
}


async def test_attributes_that_somebody_made_up_do_no_harm(cluster: Cluster) -> None:
    stored = blosc2.asarray(np.arange(6.0).reshape(2, 3))
    for name, value in HOSTILE.items():
        stored.schunk.vlmeta[name] = value
    cluster.add("@public/x.b2nd", stored.to_cframe())

    document = await metadata(cluster, "@public/x.b2nd")

    assert document["zarr_format"] == 3
    assert document["dimension_names"] == ["\u202e", "<script>"]
    assert "_FillValue" not in document["attributes"]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


async def test_lazy_dataset_is_read_as_any_other(tmp_path: Path) -> None:
    async with lab(tmp_path) as here:
        await here.add("ada@example.org")
        ada = await here.log_in("ada@example.org")
        here.http.cookies.clear()
        public = tmp_path / "sub" / "public"
        blosc2.asarray(np.arange(12.0).reshape(3, 4), urlpath=str(public / "a.b2nd"), chunks=(2, 3))
        body = {"name": "twice", "expression": "a * 2", "operands": {"a": "@public/a.b2nd"}}
        made = await here.http.post("/api/lazyexpr/", json=body, headers=ada)
        assert made.status_code == 200, made.text
        at = f"/zarr/v3/{made.json()}"

        document = (await here.http.get(f"{at}/zarr.json", headers=ada)).json()
        first = await here.http.get(f"{at}/c/0/0", headers=ada)
        hidden = await here.http.get(f"{at}/zarr.json")
        listed = (await here.http.get("/zarr/v3/@personal/zarr.json", headers=ada)).json()
        removed = await here.http.post("/api/remove/@public/a.b2nd", headers=ada)
        assert removed.status_code == 200, removed.text
        gone = (await here.http.get("/zarr/v3/@personal/zarr.json", headers=ada)).json()

    assert (document["shape"], document["data_type"]) == ([3, 4], "float64")
    chunks = document["chunk_grid"]["configuration"]["chunk_shape"]
    rows, columns = (min(n, c) for n, c in zip((3, 4), chunks, strict=True))
    items = np.frombuffer(first.content).reshape(chunks)[:rows, :columns]
    np.testing.assert_array_equal(items, 2 * np.arange(12.0).reshape(3, 4)[:rows, :columns])
    assert hidden.status_code == 404
    assert members(listed) == {"twice.b2nd": document}
    assert "a = @public/a.b2nd" in gone["attributes"]["caterva2"]["left_out"]["twice.b2nd"]
