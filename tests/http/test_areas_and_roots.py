"""Areas beside published roots: copies of what is published, and the events of writers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.support.accounts import PASSWORD, SECRET
from tests.support.cluster import Cluster

ARRAY = np.arange(1000).reshape(50, 20)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("net"), login=True, register=True, auth_secret=SECRET)
    made.add_array("foo/a.b2nd", ARRAY, chunks=(10, 20), blocks=(5, 5))
    made.add("foo/dir/notes.md", b"notes" * 1000)
    async with made:
        yield made


async def log_in(cluster: Cluster, name: str) -> dict[str, str]:
    user = {"email": f"{name}@example.org", "password": PASSWORD}
    await cluster.http.post("/auth/register", json=user)
    answer = await cluster.http.post(
        "/auth/jwt/login", data={"username": user["email"], "password": PASSWORD}
    )
    cluster.http.cookies.clear()
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


@pytest.mark.parametrize(
    ("src", "dst", "new"),
    [
        ("foo/a.b2nd", "@personal", "@personal/a.b2nd"),
        ("foo/a.b2nd", "@shared/x.b2nd", "@shared/x.b2nd"),
        ("foo/dir/notes.md", "@personal/d", "@personal/d/notes.md"),
    ],
)
async def test_published_file_is_copied(cluster: Cluster, src: str, dst: str, new: str) -> None:
    headers = await log_in(cluster, "ada")

    answer = await cluster.http.post("/api/copy/", json={"src": src, "dst": dst}, headers=headers)

    assert (answer.status_code, answer.json()) == (200, new)
    there = await cluster.http.get(f"/api/download/{new}", headers=headers)
    assert there.content == (cluster.root("foo") / src.removeprefix("foo/")).read_bytes()


async def test_published_directory_and_root_are_copied(cluster: Cluster) -> None:
    headers = await log_in(cluster, "eve")

    for src in ("foo/dir", "foo"):
        await cluster.http.post("/api/copy/", json={"src": src, "dst": "@personal"}, headers=headers)

    names = (await cluster.http.get("/api/list/@personal", headers=headers)).json()
    assert names == ["dir/notes.md", "foo/a.b2nd", "foo/dir/notes.md"]


async def test_published_root_is_not_written_to(cluster: Cluster) -> None:
    headers = await log_in(cluster, "ada")

    answers = [
        await cluster.http.post("/api/upload/foo/x", files={"file": ("x", b"x")}, headers=headers),
        await cluster.http.post("/api/remove/foo/a.b2nd", headers=headers),
        await cluster.http.post(
            "/api/move/", json={"src": "foo/a.b2nd", "dst": "@personal"}, headers=headers
        ),
        await cluster.http.post("/api/mkdir/foo/x", headers=headers),
        await cluster.http.post("/api/append/foo/a.b2nd", files={"file": ("x", b"x")}, headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [400] * 5


async def test_events_of_an_area_go_to_those_who_see_it(cluster: Cluster) -> None:
    ada, bob = await log_in(cluster, "ada"), await log_in(cluster, "bob")
    url = cluster.subscriber.url.replace("http", "ws", 1) + "/api/events"
    sockets = [await websocket_connect(HTTPRequest(url, headers=who)) for who in (ada, bob, {})]

    for path in ("@personal/p.txt", "@shared/s.txt", "@public/u.txt"):
        await cluster.http.post(f"/api/upload/{path}", files={"file": ("x", b"x")}, headers=ada)
    await cluster.http.post("/api/remove/@public/u.txt", headers=ada)

    seen = [await _until_removed(socket) for socket in sockets]
    for socket in sockets:
        socket.close()
    assert seen == [
        ["@personal p.txt", "@shared s.txt", "@public u.txt"],
        ["@shared s.txt", "@public u.txt"],
        ["@public u.txt"],
    ]


async def _until_removed(socket: WebSocketClientConnection) -> list[str]:
    seen = []
    while True:
        event = json.loads(await socket.read_message())["event"]
        if event["type"] == "dataset-removed":
            return list(dict.fromkeys(seen))
        if event["type"] == "dataset-changed":
            seen.append(f"{event['root']} {event['entry']['path']}")
