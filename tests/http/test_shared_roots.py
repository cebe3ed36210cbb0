"""Share links to published roots and parts of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

import blosc2
import numpy as np
import pytest
import pytest_asyncio
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.support.accounts import PASSWORD, SECRET
from tests.support.cluster import Cluster

ARRAY = np.arange(1000).reshape(50, 20)
ADA = "ada@example.org"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    made = Cluster(
        tmp_path_factory.mktemp("net"), login=True, register=True, auth_secret=SECRET, access={"foo": (ADA,)}
    )
    made.add_array("foo/open/a.b2nd", ARRAY, chunks=(10, 20), blocks=(5, 5))
    made.add_array("foo/secret.b2nd", ARRAY, chunks=(10, 20), blocks=(5, 5))
    made.add("foo/open/notes.md", b"notes" * 1000)
    async with made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(cluster: Cluster) -> dict[str, str]:
    await cluster.http.post("/auth/register", json={"email": ADA, "password": PASSWORD})
    answer = await cluster.http.post("/auth/jwt/login", data={"username": ADA, "password": PASSWORD})
    cluster.http.cookies.clear()
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


async def share(cluster: Cluster, who: dict[str, str], path: str) -> str:
    answer = await cluster.http.post("/api/shares", json={"path": path}, headers=who)
    assert answer.status_code == 201, answer.text
    return unquote(urlsplit(answer.json()["url"]).path)


async def status(cluster: Cluster, target: str) -> int:
    return (await cluster.http.get(target)).status_code


async def test_part_of_a_root_is_read_by_guests_whom_its_rule_does_not_name(
    cluster: Cluster, ada: dict[str, str]
) -> None:
    link = await share(cluster, ada, "foo/open")

    listed = await cluster.http.get(f"{link}/api/list/foo/open")
    window = await cluster.http.get(f"{link}/api/fetch/foo/open/a.b2nd?slice_=5:7")
    whole = await cluster.http.get(f"{link}/api/download/foo/open/notes.md")

    assert listed.json() == ["a.b2nd", "notes.md"]
    assert np.array_equal(blosc2.ndarray_from_cframe(window.content)[:], ARRAY[5:7])
    assert whole.content == b"notes" * 1000
    assert await status(cluster, "/api/list/foo/open") == 404


@pytest.mark.parametrize(
    "target",
    [
        "list/foo",
        "info/foo",
        "info/foo/secret.b2nd",
        "fetch/foo/secret.b2nd",
        "download/foo/secret.b2nd",
        "chunk/foo/secret.b2nd?nchunk=0",
        "explain/foo/secret.b2nd",
        "info/foo/ope",
        "info/foo/open.b2nd",
    ],
)
async def test_rest_of_the_root_does_not_exist(cluster: Cluster, ada: dict[str, str], target: str) -> None:
    link = await share(cluster, ada, "foo/open")
    await cluster.http.get("/api/fetch/foo/secret.b2nd", headers=ada)  # opened, and cached

    assert await status(cluster, f"{link}/api/{target}") == 404
    assert (await cluster.http.get(f"{link}/api/roots")).json() == {}


async def test_whole_root_is_shared(cluster: Cluster, ada: dict[str, str]) -> None:
    link = await share(cluster, ada, "foo")

    assert list((await cluster.http.get(f"{link}/api/roots")).json()) == ["foo"]
    assert (await cluster.http.post(f"{link}/api/subscribe/foo")).json() == "Ok"
    assert len((await cluster.http.get(f"{link}/api/list/foo")).json()) == 3


async def test_root_that_its_maker_does_not_see_is_not_shared(cluster: Cluster) -> None:
    await cluster.http.post("/auth/register", json={"email": "bob@example.org", "password": PASSWORD})
    login = {"username": "bob@example.org", "password": PASSWORD}
    cookie = (await cluster.http.post("/auth/jwt/login", data=login)).headers["Set-Cookie"].partition(";")[0]
    cluster.http.cookies.clear()

    answer = await cluster.http.post("/api/shares", json={"path": "foo/open"}, headers={"Cookie": cookie})

    assert answer.status_code == 404


async def test_events_of_the_part_alone_are_told(cluster: Cluster, ada: dict[str, str]) -> None:
    link = await share(cluster, ada, "foo/open")
    url = f"{cluster.subscriber.url}{link}/api/events".replace("http:", "ws:", 1)
    socket = await websocket_connect(HTTPRequest(url))
    cluster.add("foo/hidden.txt", b"hidden")
    cluster.add("foo/open/seen.txt", b"seen")

    told = []
    while "foo/open/seen.txt" not in told:
        event = json.loads(await asyncio.wait_for(socket.read_message(), 20))["event"]
        assert event["type"] != "root-changed"
        if event["type"] == "dataset-changed":
            told.append(f"{event['root']}/{event['entry']['path']}")
    socket.close()
    while await asyncio.wait_for(socket.read_message(), 10) is not None:
        pass

    assert told == ["foo/open/seen.txt"]
