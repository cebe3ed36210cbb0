"""What a subscriber answers while files change, and while others are away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import blosc2
import httpx
import numpy as np
import pytest
from tornado.websocket import websocket_connect

from caterva2.model import wire
from caterva2.model.events import DatasetChanged, DatasetRemoved, Envelope
from tests.support.cluster import WAIT_S, Cluster, contents

pytestmark = pytest.mark.asyncio

A = np.arange(20_000, dtype="<i4").reshape(200, 100)
HOW: dict[str, Any] = {"chunks": (50, 50), "blocks": (10, 10)}


@contextlib.asynccontextmanager
async def events(cluster: Cluster) -> AsyncIterator[Any]:
    """Follow the subscriber's events as its clients do."""
    reader = await websocket_connect(f"{cluster.subscriber.url}/api/events".replace("http:", "ws:"))
    try:
        yield reader
    finally:
        reader.close()


async def next_event(reader: Any, kind: type) -> Any:
    async with asyncio.timeout(20):
        while True:
            event = wire.from_json(await reader.read_message(), Envelope).event
            if isinstance(event, kind):
                return event


@pytest.mark.parametrize("root", ["foo", "@public"])
async def test_who_is_told_of_a_new_file_can_read_it(cluster: Cluster, root: str) -> None:
    await cluster.subscribe(root)
    async with events(cluster) as reader:
        cluster.add_array(f"{root}/x.b2nd", A, **HOW)
        event = await next_event(reader, DatasetChanged)

        assert (event.root, event.entry.path) == (root, "x.b2nd")
        np.testing.assert_array_equal(await cluster.fetch(f"{root}/x.b2nd", "3:60"), A[3:60])
        assert (await cluster.get(f"/api/list/{root}")).json() == ["x.b2nd"]
        assert (await cluster.get(f"/api/info/{root}/x.b2nd")).json()["shape"] == [200, 100]


@pytest.mark.parametrize("root", ["foo", "@public"])
@pytest.mark.parametrize("old", [A, np.zeros((200, 100), "<i4")], ids=["data", "zeros"])
async def test_who_is_told_of_a_change_reads_the_new_generation(
    cluster: Cluster, root: str, old: np.ndarray
) -> None:
    await cluster.subscribe(root)
    async with cluster.changed(f"{root}/x.b2nd"):
        cluster.add_array(f"{root}/x.b2nd", old, **HOW)
    before = await cluster.get(f"/api/fetch/{root}/x.b2nd")
    info = (await cluster.get(f"/api/info/{root}/x.b2nd")).json()
    async with events(cluster) as reader:
        cluster.add_array(f"{root}/x.b2nd", A + 1, **HOW)
        await next_event(reader, DatasetChanged)

        np.testing.assert_array_equal(await cluster.fetch(f"{root}/x.b2nd"), A + 1)
        np.testing.assert_array_equal(await cluster.fetch(f"{root}/x.b2nd", "3:60, 5"), A[3:60, 5] + 1)
        after = await cluster.get(
            f"/api/fetch/{root}/x.b2nd", headers={"If-None-Match": before.headers["ETag"]}
        )
        assert after.status_code == 200
        assert (await cluster.get(f"/api/info/{root}/x.b2nd")).json()["mtime"] > info["mtime"]


@pytest.mark.parametrize("root", ["foo", "@public"])
async def test_who_is_told_that_a_file_is_gone_gets_404(cluster: Cluster, root: str) -> None:
    await cluster.subscribe(root)
    async with cluster.changed(f"{root}/x.b2nd"):
        cluster.add_array(f"{root}/x.b2nd", A, **HOW)
    await cluster.fetch(f"{root}/x.b2nd")
    async with events(cluster) as reader:
        (cluster.root(root) / "x.b2nd").unlink()
        event = await next_event(reader, DatasetRemoved)

        assert (event.root, event.path) == (root, "x.b2nd")
        for call in ("fetch", "info", "list", "download", "chunk"):
            answer = await cluster.get(
                f"/api/{call}/{root}/x.b2nd", params={"nchunk": 0} if call == "chunk" else {}
            )
            assert answer.status_code == 404
        assert (await cluster.get(f"/api/list/{root}")).json() == []


@pytest.mark.parametrize("opened", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize(
    "target", ["fetch/foo/x.b2nd?slice_=3:60", "fetch/foo/x.b2nd", "chunk/foo/x.b2nd?nchunk=1"]
)
async def test_file_that_was_replaced_a_moment_ago_is_read_in_one_generation(
    cluster: Cluster, opened: bool, target: str
) -> None:
    async with cluster.changed("foo/x.b2nd"):
        await cluster.subscribe("foo")
        cluster.add_array("foo/x.b2nd", A, **HOW)
    if opened:
        await cluster.fetch("foo/x.b2nd", "0")

    cluster.add_array("foo/x.b2nd", A + 1, **HOW)
    answer = await cluster.get(f"/api/{target}")

    assert answer.status_code == 200, answer.text
    if "fetch" in target:
        found = contents(answer.content) - (A[3:60] if "slice_" in target else A)
        assert found.min() == found.max()
        assert found.min() in ({0, 1} if opened else {1})  # whoever has the old file open may go on with it


async def test_generations_are_not_mixed_while_a_file_is_replaced_again_and_again(cluster: Cluster) -> None:
    await cluster.subscribe("foo")
    async with cluster.changed("foo/x.b2nd"):
        cluster.add_array("foo/x.b2nd", A, **HOW)
    last = 8
    seen: dict[int, asyncio.Event] = {value: asyncio.Event() for value in range(last + 1)}

    async def read(i: int) -> None:
        while not seen[last].is_set():
            answer = await cluster.get("/api/fetch/foo/x.b2nd", params={"slice_": f"{i}:, 3:97"})
            assert answer.status_code in {200, 412}  # 412: replaced again during the second attempt
            if answer.status_code == 200:
                found = contents(answer.content) - A[i:, 3:97]
                assert found.min() == found.max()
                seen[int(found.min())].set()

    readers = [asyncio.create_task(read(i)) for i in range(4)]
    async with asyncio.timeout(30):
        for value in range(1, last + 1):
            cluster.add_array("foo/x.b2nd", A + value, **HOW)
            await seen[value].wait()
        await asyncio.gather(*readers)


async def test_root_is_subscribed_to_by_its_first_use(cluster: Cluster) -> None:
    cluster.add_array("foo/dir/x.b2nd", A, **HOW)
    async with asyncio.timeout(20):
        publisher = cluster.publishers["foo"].service
        await publisher.root.refresh(["dir"])

    # A name that the subscriber does not know makes it ask the broker which roots there are.
    assert (await cluster.get("/api/list/nobody")).status_code == 404
    assert (await cluster.get("/api/roots")).json()["foo"]["subscribed"] is None
    assert (await cluster.get("/api/list/foo")).json() == ["dir/x.b2nd"]
    assert (await cluster.get("/api/roots")).json()["foo"]["subscribed"] is True


async def test_small_window_moves_little_and_is_fetched_once(cluster: Cluster) -> None:
    big = np.random.default_rng(0).normal(size=(512, 512))
    async with cluster.changed("foo/x.b2nd"):
        await cluster.subscribe("foo")
        cluster.add_array("foo/x.b2nd", big, chunks=(256, 256), blocks=(32, 32))
    traffic = cluster.subscriber.service.subscriber.traffic

    np.testing.assert_array_equal(await cluster.fetch("foo/x.b2nd", "3:13, 3:13"), big[3:13, 3:13])
    moved, fetches = traffic.fetched_bytes, traffic.fetches
    np.testing.assert_array_equal(await cluster.fetch("foo/x.b2nd", "3:13, 4:14"), big[3:13, 4:14])

    assert moved < 64 << 10
    assert (traffic.fetched_bytes, traffic.fetches) == (moved, fetches)


# others are away


async def test_without_its_publisher_what_is_cached_is_served_and_called_stale(cluster: Cluster) -> None:
    async with cluster.changed("foo/x.b2nd"):
        await cluster.subscribe("foo")
        cluster.add_array("foo/x.b2nd", A, **HOW)
    await cluster.fetch("foo/x.b2nd", "0:10, 0:10")
    root = cluster.subscriber.service.subscriber.network.root("foo")
    await cluster.publishers["foo"].stop()
    async with asyncio.timeout(20):
        await root._settled.wait()

    cached = await cluster.get("/api/fetch/foo/x.b2nd", params={"slice_": "0:10, 0:10"})
    missing = await cluster.get("/api/fetch/foo/x.b2nd", params={"slice_": "150:160, 0:10"})
    whole = await cluster.get("/api/fetch/foo/x.b2nd")

    np.testing.assert_array_equal(contents(cached.content), A[:10, :10])
    assert cached.headers["Caterva2-Freshness"].startswith("stale; age=")
    for answer in (missing, whole):
        assert answer.status_code == 503
        assert "foo" in answer.json()["detail"]
    assert (await cluster.get("/api/list/foo")).json() == ["x.b2nd"]
    shown = (await cluster.get("/api/roots")).json()["foo"]
    assert shown["freshness"].startswith("stale")
    assert shown["error"]


async def test_returned_publisher_makes_answers_fresh_again(cluster: Cluster) -> None:
    async with cluster.changed("foo/x.b2nd"):
        await cluster.subscribe("foo")
        cluster.add_array("foo/x.b2nd", A, **HOW)
    await cluster.fetch("foo/x.b2nd", "0:10")
    await cluster.publishers["foo"].stop()
    cluster.add_array("foo/x.b2nd", A + 1, **HOW)

    async with cluster.changed("foo/x.b2nd"):
        await cluster.publishers["foo"].start()
    answer = await cluster.get("/api/fetch/foo/x.b2nd", params={"slice_": "0:10"})

    np.testing.assert_array_equal(contents(answer.content), A[:10] + 1)


async def test_subscriber_that_was_away_knows_what_it_had(cluster: Cluster) -> None:
    async with cluster.changed("foo/x.b2nd"):
        await cluster.subscribe("foo")
        cluster.add_array("foo/x.b2nd", A, **HOW)
    await cluster.fetch("foo/x.b2nd")
    await cluster.subscriber.stop()
    await cluster.publishers["foo"].stop()
    await cluster.broker.stop()
    await cluster.subscriber.start()

    roots = await cluster.get("/api/roots")
    answer = await cluster.get("/api/fetch/foo/x.b2nd")

    assert roots.json()["foo"]["subscribed"] is True
    assert answer.headers["Caterva2-Freshness"].startswith("stale; age=")
    np.testing.assert_array_equal(contents(answer.content), A)
    assert (await cluster.get("/api/list/foo")).json() == ["x.b2nd"]


async def test_subscriber_that_was_away_learns_what_changed_meanwhile(cluster: Cluster) -> None:
    await cluster.subscribe("foo")
    for name in "abc":
        async with cluster.changed(f"foo/{name}.b2nd"):
            cluster.add_array(f"foo/{name}.b2nd", A, **HOW)
        await cluster.fetch(f"foo/{name}.b2nd", "0:60")
    await cluster.subscriber.stop()
    cluster.add_array("foo/a.b2nd", A + 1, **HOW)
    (cluster.root("foo") / "b.b2nd").unlink()
    publisher = cluster.publishers["foo"].service
    await publisher.root.refresh(["a.b2nd", "b.b2nd"])

    await cluster.subscriber.start()
    async with asyncio.timeout(WAIT_S):
        # It asks at once: events may be over before one can listen to them.
        while "b.b2nd" in (await cluster.get("/api/list/foo")).json():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    np.testing.assert_array_equal(await cluster.fetch("foo/a.b2nd"), A + 1)
    np.testing.assert_array_equal(await cluster.fetch("foo/c.b2nd"), A)
    assert (await cluster.get("/api/fetch/foo/b.b2nd")).status_code == 404


async def test_without_a_broker_known_roots_are_read_and_unknown_ones_are_503(cluster: Cluster) -> None:
    async with cluster.changed("foo/x.b2nd"):
        await cluster.subscribe("foo")
        cluster.add_array("foo/x.b2nd", A, **HOW)
    await cluster.broker.stop()

    np.testing.assert_array_equal(await cluster.fetch("foo/x.b2nd"), A)
    assert (await cluster.get("/api/list/nowhere")).status_code == 503
    assert (await cluster.http.post("/api/subscribe/nowhere")).status_code == 503


async def test_first_subscription_without_its_publisher_is_503(cluster: Cluster) -> None:
    publisher = cluster.publishers["foo"].service
    await publisher.server.stop()

    answer = await cluster.http.post("/api/subscribe/foo")

    assert answer.status_code == 503
    assert "foo" in answer.json()["detail"]


async def test_cache_without_room_still_answers(tmp_path: Any) -> None:
    async with Cluster(tmp_path, cache=0) as cluster:
        async with cluster.changed("foo/x.b2nd"):
            await cluster.subscribe("foo")
            cluster.add_array("foo/x.b2nd", A, **HOW)

        for _ in range(2):
            np.testing.assert_array_equal(await cluster.fetch("foo/x.b2nd"), A)
            np.testing.assert_array_equal(await cluster.fetch("foo/x.b2nd", "3:60, 5:"), A[3:60, 5:])
            answer = await cluster.get("/api/fetch/foo/x.b2nd", headers={"Range": "bytes=0-5, 300-400"})
            assert answer.status_code == 206
            assert (await cluster.get("/api/chunk/foo/x.b2nd?nchunk=2")).status_code == 200


async def test_cache_with_little_room_stays_small_and_right(tmp_path: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 1000), dtype=np.uint8)
    async with Cluster(tmp_path, cache=100_000) as cluster:
        await cluster.subscribe("foo")
        for name in "abc":
            async with cluster.changed(f"foo/{name}.b2nd"):
                cluster.add_array(f"foo/{name}.b2nd", noise, chunks=(100, 100), blocks=(20, 50))

        for name in "abca":
            np.testing.assert_array_equal(await cluster.fetch(f"foo/{name}.b2nd"), noise)
            np.testing.assert_array_equal(await cluster.fetch(f"foo/{name}.b2nd", "5:300"), noise[5:300])
            assert cluster.subscriber.service.subscriber.cache.used_bytes <= 100_000


async def test_reader_that_leaves_early_does_no_harm(cluster: Cluster) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (4000, 4000), dtype=np.uint8)
    async with cluster.changed("foo/x.b2nd"):
        await cluster.subscribe("foo")
        cluster.add_array("foo/x.b2nd", noise, chunks=(500, 500), blocks=(100, 100))

    for target in ("/api/fetch/foo/x.b2nd", "/api/fetch/foo/x.b2nd?slice_=1:3999"):
        async with (
            httpx.AsyncClient(base_url=cluster.subscriber.url) as client,
            client.stream("GET", target) as answer,
        ):
            async for part in answer.aiter_raw():
                assert part
                break

    np.testing.assert_array_equal(await cluster.fetch("foo/x.b2nd", "1:3999"), noise[1:3999])
    assert cluster.subscriber.service.subscriber._reader._budget.held == 0


async def test_client_that_stops_reading_does_not_hold_up_others(cluster: Cluster) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (6000, 6000), dtype=np.uint8)
    async with cluster.changed("foo/x.b2nd"):
        await cluster.subscribe("foo")
        cluster.add_array("foo/x.b2nd", noise, chunks=(1000, 1000), blocks=(100, 100))
    address = cluster.subscriber.address
    budget = cluster.subscriber.service.subscriber._reader._budget
    reader, writer = await asyncio.open_connection(address.host, address.port, limit=1024)
    writer.write(b"GET /api/fetch/foo/x.b2nd HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readline()

    async with asyncio.timeout(15):
        while not budget.held:
            await cluster.get("/healthz")
        for start in (10, 3000, 4000):
            found = await cluster.fetch("foo/x.b2nd", f"{start}:{start + 1500}, 50:3000")
            np.testing.assert_array_equal(found, noise[start : start + 1500, 50:3000])

        while await reader.readline() != b"\r\n":
            pass
        body = await reader.readexactly((cluster.root("foo") / "x.b2nd").stat().st_size)
    assert body == (cluster.root("foo") / "x.b2nd").read_bytes()
    writer.close()
    await writer.wait_closed()


async def test_broken_file_does_not_hide_the_others(cluster: Cluster) -> None:
    await cluster.subscribe("foo")
    async with cluster.changed("foo/good.b2nd"), cluster.changed("foo/bad.b2nd"):
        frame = blosc2.asarray(A, **HOW).to_cframe()
        cluster.add("foo/bad.b2nd", frame[: len(frame) // 2])
        cluster.add("foo/good.b2nd", frame)

    assert (await cluster.get("/api/list/foo")).json() == ["bad.b2nd", "good.b2nd"]
    assert (await cluster.get("/api/info/foo/bad.b2nd")).json()["kind"] == "broken"
    assert (await cluster.get("/api/fetch/foo/bad.b2nd")).status_code == 400
    np.testing.assert_array_equal(await cluster.fetch("foo/good.b2nd"), A)
