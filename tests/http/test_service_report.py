"""What a superuser is told of publishers, broker and cache, as they come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caterva2.model.events import RootChanged
from caterva2.model.roots import RootStatus
from tests.support.accounts import PASSWORD, SECRET
from tests.support.cluster import Cluster

pytestmark = pytest.mark.asyncio

ROOT = "root@example.org"


class Watched(Cluster):
    """A cluster with users, seen by a superuser."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, roots=("foo", "bar"), login=True, register=False, auth_secret=SECRET)

    async def log_in(self) -> None:
        await self.subscriber.service.subscriber.accounts.add_user(ROOT, PASSWORD, superuser=True)
        form = {"username": ROOT, "password": PASSWORD}
        assert (await self.http.post("/auth/jwt/login", data=form)).status_code == 204

    async def report(self) -> Any:
        answer = await self.get("/api/service")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def publisher(self, name: str) -> Any:
        (found,) = [each for each in (await self.report())["publishers"] if each["name"] == name]
        return found


async def test_publishers_are_told_as_they_come_and_go(tmp_path: Path) -> None:
    async with Watched(tmp_path) as cluster:
        await cluster.log_in()
        await cluster.subscribe("foo")

        before = await cluster.publisher("foo")
        async with cluster.event(lambda e: isinstance(e, RootChanged) and e.status is RootStatus.OFFLINE):
            await cluster.publishers["foo"].stop()
        away = await cluster.publisher("foo")
        async with cluster.event(lambda e: isinstance(e, RootChanged) and e.status is RootStatus.ONLINE):
            await cluster.publishers["foo"].start()
        back = await cluster.publisher("foo")
        other = await cluster.publisher("bar")

    assert [found["state"] for found in (before, away, back)] == ["online", "offline", "online"]
    assert (before["age_s"], back["age_s"]) == (None, None)
    assert away["age_s"] >= 0
    assert away["error"]
    assert before["since"] <= away["since"] <= back["since"]
    assert (other["subscribed"], other["state"], other["error"]) == (False, "online", None)


async def test_broker_is_told_with_its_state(tmp_path: Path) -> None:
    async with Watched(tmp_path) as cluster:
        await cluster.log_in()

        found = (await cluster.report())["broker"]

        assert found["address"] == str(cluster.broker.address)
    assert (found["connected"], found["error"]) == (True, None)
    assert found["since"].endswith("Z")


async def test_cache_counts_what_was_here_and_what_was_not(tmp_path: Path) -> None:
    async with Watched(tmp_path) as cluster:
        cluster.add_array("foo/a.b2nd", np.random.default_rng(0).random(100_000), chunks=(25_000,))
        await cluster.log_in()
        await cluster.subscribe("foo")
        await cluster.get("/api/info/foo/a.b2nd")

        await cluster.fetch("foo/a.b2nd", "0:100000:3")
        first = (await cluster.report())["cache"]
        await cluster.fetch("foo/a.b2nd", "0:100000:3")
        second = (await cluster.report())["cache"]

    assert first["misses"] == 4
    assert second["misses"] == 4
    assert second["hits"] - first["hits"] == 4
    assert first["fetches"] >= 1
    assert 0 < first["used"] <= first["limit"]


async def test_publisher_that_is_away_is_a_failure_that_is_kept(tmp_path: Path) -> None:
    async with Watched(tmp_path) as cluster:
        cluster.add_array("foo/a.b2nd", np.arange(10))
        await cluster.log_in()
        await cluster.subscribe("foo")
        async with cluster.event(lambda e: isinstance(e, RootChanged) and e.status is RootStatus.OFFLINE):
            await cluster.publishers["foo"].stop()

        answer = await cluster.get("/api/fetch/foo/a.b2nd", headers={"X-Request-Id": "here"})
        (failure,) = (await cluster.report())["failures"]

    assert answer.status_code == 503
    assert (failure["request_id"], failure["route"], failure["status"]) == ("here", "fetch", 503)
    assert failure["sentence"] == answer.json()["detail"]
