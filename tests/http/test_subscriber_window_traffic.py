"""What looking at a part of a published dataset moves and reads, and when it is read anew."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from caterva2.compute.plaindata import dtype_of
from tests.support.cluster import Cluster

pytestmark = pytest.mark.asyncio

NOISE = np.random.default_rng(0).normal(size=(640, 640))
HOW = {"chunks": (320, 320), "blocks": (32, 32)}


async def look(cluster: Cluster, headers: dict[str, str] | None = None, **params: Any) -> Any:
    answer = await cluster.get("/api/window/foo/x.b2nd", params=params, headers=headers)
    assert answer.status_code in {200, 304}, answer.text
    return answer


def items(answer: Any) -> Any:
    shape = [int(n) for n in answer.headers["Caterva2-Shape"].split(",")]
    return np.frombuffer(answer.content, dtype_of(answer.headers["Caterva2-Dtype"])).reshape(shape)


async def stored(cluster: Cluster, array: Any) -> Any:
    async with cluster.changed("foo/x.b2nd"):
        await cluster.subscribe("foo")
        cluster.add_array("foo/x.b2nd", array, **HOW)
    return cluster.subscriber.service.subscriber.traffic


async def test_only_blocks_that_hold_items_of_the_answer_are_fetched_and_once(cluster: Cluster) -> None:
    traffic = await stored(cluster, NOISE)

    answer = await look(cluster, points=10)  # in 10 x 10 of 20 x 20 blocks
    first = traffic.fetched_bytes
    assert np.array_equal(items(answer), NOISE[::64, ::64])
    assert 0.2 * NOISE.nbytes < first < 0.3 * NOISE.nbytes

    await look(cluster, points=10)
    await look(cluster, points=5)
    assert traffic.fetched_bytes == first


async def test_who_has_it_already_causes_no_reading(cluster: Cluster) -> None:
    traffic = await stored(cluster, NOISE)
    answer = await look(cluster, points=3)
    before = (traffic.fetched_bytes, traffic.cached_bytes)

    again = await look(cluster, {"If-None-Match": answer.headers["ETag"]}, points=3)

    assert again.status_code == 304
    assert (traffic.fetched_bytes, traffic.cached_bytes) == before


async def test_many_who_look_at_the_same_fetch_it_once(cluster: Cluster) -> None:
    traffic = await stored(cluster, NOISE)

    answers = await asyncio.gather(*(look(cluster, points=20) for _ in range(8)))

    assert all(np.array_equal(items(a), NOISE[::32, ::32]) for a in answers)
    assert traffic.fetched_bytes < 1.2 * NOISE.nbytes


async def test_a_new_generation_is_seen_by_who_has_the_old_one(cluster: Cluster) -> None:
    await stored(cluster, NOISE)
    old = await look(cluster, points=4)
    async with cluster.changed("foo/x.b2nd"):
        cluster.add_array("foo/x.b2nd", NOISE + 1, **HOW)

    new = await look(cluster, {"If-None-Match": old.headers["ETag"]}, points=4)

    assert new.status_code == 200
    assert np.array_equal(items(new), (NOISE + 1)[::160, ::160])


async def test_what_was_looked_at_is_shown_while_the_publisher_is_away(cluster: Cluster) -> None:
    await stored(cluster, NOISE)
    before = await look(cluster, points=4)
    await cluster.publishers["foo"].stop()

    answer = await look(cluster, points=4)
    assert answer.content == before.content
    beyond = await cluster.get("/api/window/foo/x.b2nd")
    assert beyond.status_code == 503


async def test_a_zero_plane_of_a_huge_array_is_small_work(cluster: Cluster) -> None:
    import blosc2

    path = cluster.home / "huge.b2nd"
    huge = blosc2.zeros((4096, 8192, 8192), dtype="<f4", chunks=(8, 1024, 1024), urlpath=str(path))
    huge[17, 5, 4:8] = 1
    async with cluster.changed("foo/x.b2nd"):
        await cluster.subscribe("foo")
        cluster.add("foo/x.b2nd", path.read_bytes())

    answer = await look(cluster, slice_="17", points=512)
    assert answer.headers["Caterva2-Shape"] == "512,512"
    assert answer.headers["Caterva2-Step"] == "16,16"
    assert not items(answer).any()
    answer = await look(cluster, slice_="17,5,:10")
    assert items(answer).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0]
