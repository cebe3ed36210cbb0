"""Browsing what changes meanwhile, and by users: ``/api/tree``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caterva2.model.events import DatasetChanged, RootChanged
from caterva2.model.roots import RootStatus
from tests.http.test_subscriber_tree import by_name, tree
from tests.support.accounts import lab
from tests.support.cluster import Cluster

pytestmark = pytest.mark.asyncio

ROOTS = ["foo", "@public"]
each_root = pytest.mark.parametrize("root", ROOTS)


@each_root
async def test_numbers_in_names_are_in_the_order_of_their_values(cluster: Cluster, root: str) -> None:
    for name in ("run10.txt", "run9.txt", "Run11.txt", "a/x.txt", "a10/x.txt", "a9/x.txt"):
        cluster.add(f"{root}/{name}", b"x")
    await cluster.subscribe("foo")
    await cluster.publishers["foo"].service.root.refresh([])
    async with cluster.changed(f"{root}/zlast.txt"):
        cluster.add(f"{root}/zlast.txt", b"x")
    names = [row["name"] for row in (await tree(cluster, root, limit=6))["entries"]]

    assert names == ["a", "a9", "a10", "run9.txt", "run10.txt", "Run11.txt"]


@each_root
async def test_new_and_removed_files_show_at_once(cluster: Cluster, root: str) -> None:
    await cluster.subscribe("foo")
    async with cluster.changed(f"{root}/d/one.b2nd"):
        cluster.add_array(f"{root}/d/one.b2nd", np.arange(4))
    assert list(by_name(await tree(cluster, f"{root}/d"))) == ["one.b2nd"]

    async with cluster.changed(f"{root}/d/two.b2nd"):
        cluster.add_array(f"{root}/d/two.b2nd", np.arange(4))
    assert list(by_name(await tree(cluster, f"{root}/d"))) == ["one.b2nd", "two.b2nd"]

    async with cluster.changed(f"{root}/d/two.b2nd"):
        cluster.add_array(f"{root}/d/two.b2nd", np.zeros((2, 3), "f4"))
    assert by_name(await tree(cluster, f"{root}/d"))["two.b2nd"]["shape"] == [2, 3]

    async with cluster.removed(f"{root}/d/one.b2nd"):
        (cluster.root(root) / "d" / "one.b2nd").unlink()
    assert list(by_name(await tree(cluster, f"{root}/d"))) == ["two.b2nd"]


async def test_an_empty_directory_of_an_area_shows(cluster: Cluster) -> None:
    (cluster.public / "new").mkdir()

    assert list(by_name(await tree(cluster, "@public"))) == ["new"]
    assert (await tree(cluster, "@public/new"))["entries"] == []


async def test_a_cursor_whose_row_is_gone_still_leads_on(cluster: Cluster) -> None:
    for name in "abc":
        cluster.add(f"@public/{name}.txt", b"x")
    first = await tree(cluster, "@public", limit=2)
    (cluster.public / "b.txt").unlink()

    rest = await tree(cluster, "@public", after=first["next"])

    assert [row["name"] for row in rest["entries"]] == ["c.txt"]


async def test_a_root_whose_publisher_is_away_is_offline_and_still_listed(cluster: Cluster) -> None:
    async with cluster.changed("foo/a.b2nd"):
        await cluster.subscribe("foo")
        cluster.add_array("foo/a.b2nd", np.arange(3))
    async with cluster.event(lambda e: isinstance(e, RootChanged) and e.status is RootStatus.OFFLINE):
        await cluster.publishers["foo"].stop()

    page = await tree(cluster, "foo")
    assert page["state"] == "offline"
    assert [row["name"] for row in page["entries"]] == ["a.b2nd"]
    row = by_name(await tree(cluster, ""))["foo"]
    assert row["state"] == "offline"
    assert row["error"]

    async with cluster.event(lambda e: isinstance(e, RootChanged) and e.status is RootStatus.ONLINE):
        await cluster.publishers["foo"].start()
    assert by_name(await tree(cluster, ""))["foo"]["state"] == "fresh"


async def test_who_is_logged_in_may_write_in_his_areas(tmp_path: Path) -> None:
    async with lab(tmp_path) as service:
        await service.add("a@example.com")
        user = await service.log_in("a@example.com")
        reader = await service.token(user, "read")

        rows = (await service.http.get("/api/tree", headers=user)).json()["entries"]
        assert [(row["name"], row["writable"]) for row in rows] == [
            ("@personal", True), ("@public", True), ("@shared", True),
        ]  # fmt: skip
        rows = (await service.http.get("/api/tree", headers=reader)).json()["entries"]
        assert not any(row["writable"] for row in rows)
        service.http.cookies.clear()
        assert (await service.http.get("/api/tree/@personal")).status_code == 404

        await service.http.post("/api/mkdir/@personal/new", headers=user)
        files = {"file": ("x.txt", b"x")}
        await service.http.post("/api/upload/@personal/new/x.txt", files=files, headers=user)
        for query in ({}, {"recursive": "1", "filter": "x"}):
            page = (await service.http.get("/api/tree/@personal/new", params=query, headers=user)).json()
            assert [(row["path"], row["writable"]) for row in page["entries"]] == [
                ("@personal/new/x.txt", True)
            ]


async def test_a_root_that_one_may_not_see_is_not_there(tmp_path: Path) -> None:
    async with Cluster(tmp_path, access={"foo": "users"}) as cluster:
        assert list(by_name(await tree(cluster, ""))) == ["@public"]
        assert (await cluster.get("/api/tree/foo")).status_code == 404


async def test_directories_of_areas_are_told_of_as_such(tmp_path: Path) -> None:
    async with lab(tmp_path) as service:
        await service.add("a@example.com")
        user = await service.log_in("a@example.com")
        with service.service.subscriber.hub.subscribe() as told:
            for call, body in (
                ("mkdir/@personal/new", None),
                ("move/", {"src": "@personal/new", "dst": "@personal/old/"}),
                ("remove/@shared/none", None),
                ("remove/@personal/old", None),
            ):
                await service.http.post(f"/api/{call}", json=body, headers=user)
            events = [(await anext(told)).event for _ in range(4)]

        key = events[0].root
        assert key.startswith("@personal:")
        assert [(e.root, e.path, e.exists) for e in events] == [
            (key, "new", True),
            (key, "new", False),
            (key, "old/new", True),
            (key, "old", False),
        ]


async def test_events_and_pages_tell_the_same_of_a_file(cluster: Cluster) -> None:
    await cluster.subscribe("foo")
    with cluster.subscriber.service.subscriber.hub.subscribe() as told:
        cluster.add_array("foo/d/x.b2nd", np.zeros((2, 3), "f4"))
        async for envelope in told:
            if isinstance(envelope.event, DatasetChanged):
                break

    entry = envelope.event.entry
    (row,) = (await tree(cluster, "foo/d"))["entries"]
    assert (row["path"], row["etag"], row["size"]) == (f"foo/{entry.path}", entry.etag, entry.size)
    assert (tuple(row["shape"]), row["dtype"], row["kind"]) == (entry.info.shape, entry.info.dtype, "array")
