"""Share links over HTTP: what they open, what they do not, and how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import blosc2
import numpy as np
import pytest
import pytest_asyncio
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from caterva2.model.routes import Auth, Role, routes_of
from caterva2.roles.subscriber.shares import MAX_SHARES
from caterva2.storage.userdb import StoredShare
from tests.support.accounts import Lab, lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA, BOB, ROOT = "ada@example.org", "bob@example.org", "root@example.org"
DATA = np.arange(60.0).reshape(6, 10)


class Link(NamedTuple):
    """A share link, and ways to send it."""

    info: dict[str, Any]

    @property
    def token(self) -> str:
        return unquote(urlsplit(self.info["url"]).path.rpartition("/")[2])

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def prefix(self) -> str:
        return f"/share/{self.token}"


def frame(data: np.ndarray) -> bytes:
    return blosc2.asarray(data).to_cframe()


async def put(here: Lab, headers: dict[str, str], path: str, data: bytes) -> None:
    answer = await here.http.post(f"/api/upload/{path}", files={"file": ("x", data)}, headers=headers)
    assert answer.status_code == 200, answer.text


async def share(here: Lab, headers: dict[str, str], path: str, **how: Any) -> Link:
    answer = await here.http.post("/api/shares", json={"path": path, **how}, headers=headers)
    assert answer.status_code == 201, answer.text
    return Link(answer.json())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    home = tmp_path_factory.mktemp("lab")
    async with lab(home, access={"@shared": (ADA, "group:staff")}) as made:
        made.http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        await made.add(ADA)
        await made.add(BOB, groups={"staff"})
        await made.add(ROOT, superuser=True)
        ada = await made.log_in(ADA)
        for path in ("@personal/open/a.b2nd", "@personal/open/deep/b.b2nd", "@personal/secret.b2nd"):
            await put(made, ada, path, frame(DATA))
        await put(made, ada, "@personal/opened.b2nd", frame(DATA + 1))
        await put(made, ada, "@personal/open/page.html", b"<script>alert(1)</script>")
        for name, operands in {
            "@personal/open/inside.b2nd": {"a": "@personal/open/a.b2nd"},
            "@personal/open/outside.b2nd": {"a": "@personal/open/a.b2nd", "s": "@personal/secret.b2nd"},
        }.items():
            expression = "a + s" if "s" in operands else "a * 2"
            body = {"expression": expression, "operands": operands}
            answer = await made.http.post(f"/api/upload_lazyarr/{name}", json=body, headers=ada)
            assert answer.status_code == 200, answer.text
        await put(made, await made.log_in(BOB), "@shared/bob.b2nd", frame(DATA))
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(here: Lab) -> dict[str, str]:
    return await here.log_in(ADA)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def link(here: Lab, ada: dict[str, str]) -> Link:
    return await share(here, ada, "@personal/open", name="run 7")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def of_root(here: Lab) -> Link:
    return await share(here, await here.log_in(ROOT), "@personal")


INSIDE = [
    "/api/list/@personal/open",
    "/api/list/@personal/open/deep",
    "/api/info/@personal/open",
    "/api/info/@personal/open/a.b2nd",
    "/api/fetch/@personal/open/a.b2nd",
    "/api/fetch/@personal/open/a.b2nd?slice_=0:2",
    "/api/fetch/@personal/open/inside.b2nd?slice_=0:2",
    "/api/download/@personal/open/page.html",
    "/api/chunk/@personal/open/a.b2nd?nchunk=0",
    "/api/explain/@personal/open/inside.b2nd",
    "/api/tree/@personal/open",
    "/api/tree/@personal/open?recursive=true",
    "/api/tree/@personal/open/a.b2nd",
    "/api/window/@personal/open/a.b2nd",
    "/zarr/v3/@personal/open/zarr.json",
    "/zarr/v3/@personal/open/a.b2nd/c/0/0",
]


@pytest.mark.parametrize("target", INSIDE)
async def test_what_is_inside_is_read_without_an_account(here: Lab, link: Link, target: str) -> None:
    mark = "&" if "?" in target else "?"

    answers = [
        await here.http.get(target, headers=link.bearer),
        await here.http.get(f"{target}{mark}share={link.token}"),
        await here.http.get(f"{link.prefix}{target}"),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200], answers[0].text
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].headers["Cache-Control"] == "private, no-cache"


OUTSIDE = [
    "/api/list/@personal",
    "/api/info/@personal",
    "/api/info/@personal/secret.b2nd",
    "/api/info/@personal/opened.b2nd",
    "/api/fetch/@personal/secret.b2nd",
    "/api/fetch/@personal/secret.b2nd?slice_=0:2",
    "/api/download/@personal/secret.b2nd",
    "/api/chunk/@personal/secret.b2nd?nchunk=0",
    "/api/explain/@personal/secret.b2nd",
    "/api/tree/@personal",
    "/api/tree/@personal?recursive=true",
    "/api/tree/@personal/secret.b2nd",
    "/api/tree/@shared",
    "/api/window/@personal/secret.b2nd",
    "/api/list/@shared",
    "/api/list/@public",
    "/api/info/@shared/bob.b2nd",
    "/api/list/nowhere",
    "/zarr/v3/@personal/zarr.json",
    "/zarr/v3/@personal/secret.b2nd/c/0/0",
]


@pytest.mark.parametrize("target", OUTSIDE)
async def test_what_is_outside_does_not_exist(
    here: Lab, link: Link, ada: dict[str, str], target: str
) -> None:
    await here.http.get(target, headers=ada)  # open for its owner

    answer = await here.http.get(target, headers=link.bearer)

    assert answer.status_code == 404


async def test_what_is_outside_is_refused_like_what_is_not_there(here: Lab, link: Link) -> None:
    there = await here.http.get("/api/info/@personal/secret.b2nd", headers=link.bearer)
    missing = await here.http.get("/api/info/@personal/missing.b2nd", headers=link.bearer)

    same = {key: value for key, value in there.json().items() if key != "request_id"}
    other = {key: value for key, value in missing.json().items() if key != "request_id"}
    assert json.dumps(same).replace("secret", "missing") == json.dumps(other)


@pytest.mark.parametrize("path", ["@personal/open/../secret.b2nd", "@personal/open/%2e%2e/secret.b2nd"])
async def test_dots_lead_nowhere(here: Lab, link: Link, path: str) -> None:
    answer = await here.http.get(f"/api/fetch/{path}", headers=link.bearer)

    assert answer.status_code in {400, 404}


async def test_roots_of_a_guest_are_those_that_are_shared_whole(
    here: Lab, ada: dict[str, str], link: Link
) -> None:
    whole = await share(here, ada, "@personal")

    part = (await here.http.get("/api/roots", headers=link.bearer)).json()
    all_of_it = (await here.http.get("/api/roots", headers=whole.bearer)).json()

    assert (part, list(all_of_it)) == ({}, ["@personal"])


async def test_link_to_a_file_opens_that_file_alone(here: Lab, ada: dict[str, str]) -> None:
    one = await share(here, ada, "@personal/open/a.b2nd")

    good = await here.http.get("/api/fetch/@personal/open/a.b2nd", headers=one.bearer)
    beside = await here.http.get("/api/info/@personal/open/page.html", headers=one.bearer)
    above = await here.http.get("/api/list/@personal/open", headers=one.bearer)

    assert (good.status_code, beside.status_code, above.status_code) == (200, 404, 404)
    assert np.array_equal(blosc2.ndarray_from_cframe(good.content)[:], DATA)


# lazy datasets


async def test_operands_outside_are_missing_and_nameless(here: Lab, link: Link, ada: dict[str, str]) -> None:
    target = "@personal/open/outside.b2nd"
    assert (await here.http.get(f"/api/fetch/{target}", headers=ada)).status_code == 200

    read = await here.http.get(f"/api/fetch/{target}", headers=link.bearer)
    info = (await here.http.get(f"/api/info/{target}", headers=link.bearer)).json()

    assert read.status_code == 404
    assert (info["kind"], info["missing_ops"]) == ("broken", {"s": "(not shared)"})
    assert "secret" not in read.text + json.dumps(info)


async def test_link_to_a_lazy_dataset_alone_is_refused(here: Lab, ada: dict[str, str]) -> None:
    answer = await here.http.post("/api/shares", json={"path": "@personal/open/inside.b2nd"}, headers=ada)

    assert answer.status_code == 400
    assert "@personal/open/a.b2nd" in answer.json()["detail"]


# what a guest may not do


@pytest.mark.parametrize(
    ("name", "method"),
    [
        (r.name, m)
        for r in routes_of(Role.SUBSCRIBER)
        for m in r.methods
        if r.auth in {Auth.USER, Auth.SUPERUSER}
    ],
)
async def test_guest_does_nothing_but_read(here: Lab, of_root: Link, name: str, method: str) -> None:
    (route,) = [r for r in routes_of(Role.SUBSCRIBER) if r.name == name]
    target = route.path.replace("{path}", "@personal/x").replace("{", "").replace("}", "")

    answer = await here.http.request(method, target, headers=of_root.bearer)

    assert (answer.status_code, answer.json()["code"]) == (403, "not-permitted")


async def test_guest_subscribes_to_nothing_else(here: Lab, link: Link) -> None:
    answer = await here.http.post("/api/subscribe/@shared", headers=link.bearer)

    assert answer.status_code == 404


async def test_session_does_not_add_to_a_link(here: Lab, link: Link, ada: dict[str, str]) -> None:
    answer = await here.http.get(f"{link.prefix}/api/info/@personal/secret.b2nd", headers=ada)

    assert answer.status_code == 404


# how it ends


async def test_revoked_link_opens_nothing(here: Lab, ada: dict[str, str]) -> None:
    link = await share(here, ada, "@personal/open")
    target = "/api/list/@personal/open"
    before = await here.http.get(target, headers=link.bearer)

    await here.http.delete(f"/api/shares/{link.info['id']}", headers=ada)
    after = [
        await here.http.get(target, headers=link.bearer),
        await here.http.get(f"{link.prefix}{target}"),
        await here.http.get(f"/api/roots?share={link.token}"),
    ]

    assert before.status_code == 200
    assert [answer.status_code for answer in after] == [401, 401, 401]


async def test_ended_link_opens_nothing(here: Lab, ada: dict[str, str]) -> None:
    link = await share(here, ada, "@personal/open", days=0.05 / 86400)
    await asyncio.sleep(0.06)

    answer = await here.http.get("/api/list/@personal/open", headers=link.bearer)

    assert answer.status_code == 401


async def test_link_reads_no_more_than_its_maker_now(here: Lab) -> None:
    accounts = here.accounts
    assert accounts is not None
    link = await share(here, await here.log_in(BOB), "@shared/bob.b2nd")
    target = "/api/info/@shared/bob.b2nd"
    before = await here.http.get(target, headers=link.bearer)

    bob = accounts._db.by_email(BOB)
    accounts._db.set_groups(bob.id, frozenset())
    accounts.forget()
    after = await here.http.get(target, headers=link.bearer)
    accounts._db.set_groups(bob.id, frozenset({"staff"}))
    accounts.forget()

    assert (before.status_code, after.status_code) == (200, 404)


async def test_link_of_a_removed_user_opens_nothing(here: Lab) -> None:
    await here.add("eve@example.org")
    eve = await here.log_in("eve@example.org")
    await put(here, eve, "@public/eve.b2nd", frame(DATA))
    link = await share(here, eve, "@public/eve.b2nd")

    await here.http.get("/api/deluser/eve@example.org", headers=await here.log_in(ROOT))
    answer = await here.http.get("/api/info/@public/eve.b2nd", headers=link.bearer)

    assert answer.status_code == 401


@pytest.mark.parametrize("change", ["id", "signature", "cut", "other secret"])
async def test_forged_link_opens_nothing(here: Lab, link: Link, change: str) -> None:
    token = link.token
    forged = {
        "id": token.replace(link.info["id"], "0" * 16),
        "signature": token[:-8] + "A" * 8,
        "cut": token[:-1],
        "other secret": f"c2s_{link.info['id']}.{'A' * 43}",
    }[change]

    answer = await here.http.get(f"/share/{forged}/api/list/@public")

    assert answer.status_code == 401


@pytest.mark.parametrize("target", ["/share/{}/api/me", "/api/roots?share={}"])
async def test_token_is_not_taken_from_an_address(here: Lab, ada: dict[str, str], target: str) -> None:
    token = (await here.token(ada, "read"))["Authorization"].partition(" ")[2]

    answer = await here.http.get(target.format(token))

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "target",
    [
        "/share/",
        "/share//api/roots",
        "/share/%00/api/roots",
        "/share/c2s_%FF/api/roots",
        "/share/c2s_%C3%A9.x/api/roots",
        "/api/roots?share=",
        "/api/roots?share=%FF",
        "/api/roots?share=c2s_a&share=c2s_b",
        "/api/roots?limit=1&share=c2s_" + "9" * 5000,
    ],
)
async def test_hostile_link_is_refused(here: Lab, target: str) -> None:
    answer = await here.http.get(target)

    assert answer.status_code in {401, 404}


# making and listing


async def test_link_is_shown_to_its_owner_and_listed_for_superusers(
    here: Lab, link: Link, ada: dict[str, str]
) -> None:
    mine = (await here.http.get("/api/shares", headers=ada)).json()
    root = await here.log_in(ROOT)
    everybody = (await here.http.get("/api/shares?everybody=true", headers=root)).json()

    (shown,) = [s for s in mine if s["id"] == link.info["id"]]
    (seen,) = [s for s in everybody if s["id"] == link.info["id"]]
    assert (shown["url"], shown["name"], shown["path"]) == (link.info["url"], "run 7", "@personal/open")
    assert shown["last_used"] is not None
    assert (seen["owner"], seen["url"]) == (ADA, None)
    assert {s["owner"] for s in mine} == {ADA}


async def test_links_are_not_shown_to_a_token_that_only_reads(
    here: Lab, link: Link, ada: dict[str, str]
) -> None:
    token = await here.token(ada, "read")

    listed = (await here.http.get("/api/shares", headers=token)).json()

    assert {s["url"] for s in listed} == {None}


async def test_links_of_everybody_are_for_superusers(here: Lab, link: Link) -> None:
    bob = await here.log_in(BOB)

    listed = await here.http.get("/api/shares?everybody=true", headers=bob)
    ended = await here.http.delete(f"/api/shares/{link.info['id']}", headers=bob)

    assert (listed.status_code, ended.status_code) == (403, 404)


async def test_superuser_ends_the_link_of_another(here: Lab, ada: dict[str, str]) -> None:
    link = await share(here, ada, "@personal/open")

    ended = await here.http.delete(f"/api/shares/{link.info['id']}", headers=await here.log_in(ROOT))
    answer = await here.http.get("/api/list/@personal/open", headers=link.bearer)

    assert (ended.status_code, answer.status_code) == (200, 401)


async def test_guest_is_told_what_a_link_opens(here: Lab, link: Link) -> None:
    answer = await here.http.get(f"{link.prefix}/api/shared")
    without = await here.http.get("/api/shared")

    assert answer.json() == {"path": "@personal/open", "name": "run 7", "expires": link.info["expires"]}
    assert without.status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"path": "@personal/nothing"}, 404),
        ({"path": "nowhere"}, 404),
        ({"path": "@personal/../x"}, 400),
        ({"path": ""}, 400),
        ({"path": "@personal", "days": 0}, 400),
        ({"path": "@personal", "days": -1}, 400),
        ({"path": "@personal", "days": 400}, 400),
        ({"path": "@personal", "name": "x" * 101}, 400),
        ({"path": "@personal", "name": "a\nb"}, 400),
        ({}, 422),
    ],
)
async def test_link_that_makes_no_sense_is_refused(
    here: Lab, ada: dict[str, str], body: dict[str, Any], status: int
) -> None:
    answer = await here.http.post("/api/shares", json=body, headers=ada)

    assert answer.status_code == status, answer.text


async def test_number_of_links_is_limited(here: Lab) -> None:
    await here.add("many@example.org")
    many = await here.log_in("many@example.org")
    db = here.accounts._db
    user = db.by_email("many@example.org").id
    for i in range(MAX_SHARES):
        made = StoredShare(id=f"{i:016x}", user=user, path="@public", name="", created=0, expires=1e12)
        db.add_share(made, 0, limit=MAX_SHARES)

    answer = await here.http.post("/api/shares", json={"path": "@public"}, headers=many)

    assert (answer.status_code, answer.json()["hint"]) == (400, "revoke one of them")


async def test_reset_link_ends_share_links(here: Lab) -> None:
    await here.add("lost@example.org")
    lost = await here.log_in("lost@example.org")
    link = await share(here, lost, "@public")
    db = here.accounts._db
    db.set_password(db.by_email("lost@example.org").id, "hash", revoke_tokens=True)
    here.accounts.forget()

    answer = await here.http.get("/api/list/@public", headers=link.bearer)

    assert answer.status_code == 401


# events


async def test_guest_follows_only_what_is_inside(here: Lab, link: Link, ada: dict[str, str]) -> None:
    socket = await websocket_connect(
        HTTPRequest(f"{here.url.replace('http', 'ws', 1)}{link.prefix}/api/events")
    )
    await put(here, ada, "@personal/quiet.b2nd", frame(DATA))
    await put(here, ada, "@shared/quiet.b2nd", frame(DATA))
    await put(here, ada, "@personal/open/new.b2nd", frame(DATA))

    seen = []
    while "@personal/open/new.b2nd" not in seen:
        message = json.loads(await asyncio.wait_for(socket.read_message(), 10))
        event = message["event"]
        if event["type"] == "dataset-changed":
            seen.append(f"{event['root']}/{event['entry']['path']}")
    socket.close()
    while await asyncio.wait_for(socket.read_message(), 10) is not None:
        pass  # the goodbye

    assert seen == ["@personal/open/new.b2nd"]


async def test_events_end_with_the_link(here: Lab, ada: dict[str, str]) -> None:
    link = await share(here, ada, "@personal/open")
    url = f"{here.url.replace('http', 'ws', 1)}/api/events?share={link.token}"
    socket = await websocket_connect(HTTPRequest(url))
    await here.http.delete(f"/api/shares/{link.info['id']}", headers=ada)
    await put(here, ada, "@personal/open/later.b2nd", frame(DATA))

    message: Any = ""
    while message is not None:
        message = await asyncio.wait_for(socket.read_message(), 10)
        assert message is None or "later" not in message
    socket.close()

    assert socket.close_code == 1008


# addresses


async def test_link_stays_out_of_the_log(here: Lab, link: Link, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    await here.http.get(f"{link.prefix}/api/list/@personal/open")
    await here.http.get(f"/api/list/@personal/open?limit=1&share={link.token}")
    await here.http.get(f"{link.prefix}/nothing")

    ours = [r.getMessage() for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]
    assert any("/api/list/@personal/open?limit=1 200" in text for text in ours)
    assert not any(link.token in text for text in ours)


async def test_links_are_unknown_without_users(tmp_path: Any) -> None:
    async with lab(tmp_path, login=False, register=False) as alone:
        prefixed = await alone.http.get("/share/c2s_x/api/roots")
        parameter = await alone.http.get("/api/list/@public?share=c2s_x")

    assert (prefixed.status_code, parameter.status_code) == (404, 200)  # unknown parameters are ignored


async def test_guest_gets_no_cookie(here: Lab, link: Link) -> None:
    answer = await here.http.get(f"{link.prefix}/api/list/@personal/open")

    assert "Set-Cookie" not in answer.headers


async def test_tree_of_a_guest_has_no_roots(here: Lab, link: Link) -> None:
    answer = await here.http.get("/api/tree", headers=link.bearer)

    assert answer.json()["entries"] == []
