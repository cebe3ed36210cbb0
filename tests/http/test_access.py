"""Who sees which root: what one may not see does not exist for him, whatever he asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.support.accounts import PASSWORD, SECRET
from tests.support.cluster import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACCESS = {
    "users": "users",
    "ada": ("ada@example.org",),
    "team": ("group:team",),
    "none": (),
    "@shared": ("group:team",),
}
ROOTS = ("open", "users", "ada", "team", "none")
SEES = {
    "anonymous": {"open"},
    "ada": {"open", "users", "ada"},
    "bob": {"open", "users", "team", "@shared"},
    "carol": {"open", "users"},
    "root": {"open", "users", "ada", "team", "none", "@shared"},
}
CALLS = {
    "subscribe": ("POST", "/api/subscribe/{root}"),
    "list": ("GET", "/api/list/{root}"),
    "list-file": ("GET", "/api/list/{root}/x.b2nd"),
    "info": ("GET", "/api/info/{root}/x.b2nd"),
    "info-root": ("GET", "/api/info/{root}"),
    "fetch": ("GET", "/api/fetch/{root}/x.b2nd"),
    "fetch-slice": ("GET", "/api/fetch/{root}/x.b2nd?slice_=0:2"),
    "download": ("GET", "/api/download/{root}/x.b2nd"),
    "chunk": ("GET", "/api/chunk/{root}/x.b2nd?nchunk=0"),
    "zarr-group": ("GET", "/zarr/v3/{root}/zarr.json"),
    "zarr-array": ("GET", "/zarr/v3/{root}/x.b2nd/zarr.json"),
    "zarr-chunk": ("GET", "/zarr/v3/{root}/x.b2nd/c/0"),
}
HIDDEN = [(who, root) for who, seen in SEES.items() for root in (*ROOTS, "@shared") if root not in seen]
OPEN = [(who, root) for who, seen in SEES.items() for root in ROOTS if root in seen]


class People:
    def __init__(self, cluster: Cluster, headers: dict[str, dict[str, str]]) -> None:
        self.cluster = cluster
        self.headers = headers

    async def ask(self, who: str, call: str, root: str) -> Any:
        method, target = CALLS[call]
        return await self.cluster.http.request(method, target.format(root=root), headers=self.headers[who])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    cluster = Cluster(
        tmp_path_factory.mktemp("access"), roots=ROOTS, login=True, auth_secret=SECRET, access=ACCESS
    )
    for root in ROOTS:
        cluster.add_array(f"{root}/x.b2nd", np.arange(10))
    async with cluster:
        accounts = cluster.subscriber.service.subscriber.accounts
        headers: dict[str, dict[str, str]] = {"anonymous": {}}
        for who in ("ada", "bob", "carol", "root"):
            email = f"{who}@example.org"
            await accounts.add_user(email, PASSWORD, superuser=who == "root")
            if who == "bob":
                accounts._db.set_groups(accounts._db.by_email(email).id, frozenset({"team"}))
            cookie = await accounts.log_in(email, PASSWORD, "127.0.0.1")
            headers[who] = {"Cookie": f"c2subauth={cookie}"}
        # A file that others have opened already must stay hidden all the same.
        found = People(cluster, headers)
        for root in ROOTS:
            for call in ("subscribe", "fetch"):
                answer = await found.ask("root", call, root)
                assert answer.status_code == 200, answer.text
        yield found


@pytest.mark.parametrize("who", SEES)
async def test_roots_lists_what_one_may_see(people: People, who: str) -> None:
    found = (await people.cluster.get("/api/roots", headers=people.headers[who])).json()

    assert set(found) - {"@public", "@personal"} == SEES[who]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("who", "root"), HIDDEN)
async def test_hidden_root_does_not_exist(people: People, who: str, root: str, call: str) -> None:
    answer = await people.ask(who, call, root)

    # The contract wants one exception: subscribing to an area when nobody is logged in.
    assert answer.status_code == (401 if (who, root, call) == ("anonymous", "@shared", "subscribe") else 404)


@pytest.mark.parametrize("call", ["list", "info", "fetch-slice"])
@pytest.mark.parametrize(("who", "root"), HIDDEN)
async def test_hidden_root_looks_like_one_that_never_was(
    people: People, who: str, root: str, call: str
) -> None:
    other = "@missing" if root.startswith("@") else "missing"
    hidden = (await people.ask(who, call, root)).json()
    missing = (await people.ask(who, call, other)).json()

    for key in ("code", "hint", "detail"):
        assert str(hidden.get(key)).replace(root, other) == str(missing.get(key))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("who", "root"), OPEN)
async def test_open_root_is_served(people: People, who: str, root: str, call: str) -> None:
    answer = await people.ask(who, call, root)

    assert answer.status_code == 200, answer.text


async def test_events_of_a_hidden_root_are_not_told(people: People) -> None:
    cluster = people.cluster
    url = f"ws{cluster.subscriber.url.removeprefix('http')}/api/events"
    socket = await websocket_connect(HTTPRequest(url, headers=people.headers["carol"]))
    for root in ("ada", "users"):
        async with cluster.changed(f"{root}/new.b2nd"):
            cluster.add_array(f"{root}/new.b2nd", np.arange(3))

    roots = []
    async with asyncio.timeout(20):
        while "users" not in roots:
            roots.append(json.loads(await socket.read_message())["event"]["root"])
        socket.close()
        while await socket.read_message() is not None:
            pass

    assert "ada" not in roots


async def test_event_stream_ends_with_its_session(people: People) -> None:
    cluster = people.cluster
    accounts = cluster.subscriber.service.subscriber.accounts
    await accounts.add_user("dave@example.org", PASSWORD, superuser=False)
    cookie = await accounts.log_in("dave@example.org", PASSWORD, "127.0.0.1")
    url = f"ws{cluster.subscriber.url.removeprefix('http')}/api/events"
    socket = await websocket_connect(HTTPRequest(url, headers={"Cookie": f"c2subauth={cookie}"}))

    await accounts.log_out(cookie)
    async with cluster.changed("users/later.b2nd"):
        cluster.add_array("users/later.b2nd", np.arange(3))

    async with asyncio.timeout(20):
        assert await socket.read_message() is None
    code = socket.close_code
    socket.close()
    assert code == 1008


@pytest.mark.parametrize("who", ["bob", "carol"])
async def test_expression_over_a_hidden_root_is_one_over_a_missing_one(people: People, who: str) -> None:
    def body(root: str) -> dict[str, Any]:
        return {"name": "x", "expression": "a + 1", "operands": {"a": f"{root}/x.b2nd"}}

    post, headers = people.cluster.http.post, people.headers[who]
    hidden = await post("/api/lazyexpr/", json=body("ada"), headers=headers)
    missing = await post("/api/lazyexpr/", json=body("gone"), headers=headers)

    assert hidden.status_code == missing.status_code == 400
    assert hidden.json()["detail"].replace("ada", "gone") == missing.json()["detail"]


async def test_expression_that_is_shared_is_computed_as_who_reads_it(people: People) -> None:
    post, get = people.cluster.http.post, people.cluster.get
    body = {"name": "y", "expression": "a + 1", "operands": {"a": "ada/x.b2nd"}}
    made = await post("/api/lazyexpr/", json=body, headers=people.headers["ada"])
    move = {"src": "@personal/y.b2nd", "dst": "@public/y.b2nd"}
    moved = await post("/api/copy/", json=move, headers=people.headers["ada"])

    mine = await get("/api/fetch/@public/y.b2nd", headers=people.headers["ada"])
    others = await get("/api/fetch/@public/y.b2nd", headers=people.headers["carol"])

    assert (made.status_code, moved.status_code, mine.status_code) == (200, 200, 200)
    assert others.status_code in {400, 404}
