"""What a browser is told, and what pages of other sites can not make it do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from caterva2.model.routes import Role, routes_of
from tests.support.accounts import PASSWORD, Lab, lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA = "ada@example.org"
PUBLIC = "https://data.example.org"
EVIL = "https://evil.example"
SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"
STORED = {
    "page.html": b"<script>alert(1)</script>",
    "page.xhtml": b"<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "data.xml": b"<?xml version='1.0'?><a/>",
    "book.ipynb": b"{}",
    "notes.md": b"<script>alert(1)</script>",
    "paper.pdf": b"%PDF-1.4",
    "code.js": b"alert(1)",
    "code.mjs": b"alert(1)",
    "looks.css": b"* { display: none }",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with lab(tmp_path_factory.mktemp("lab")) as made:
        keep_no_cookies(made)
        await made.add(ADA)
        ada = await made.log_in(ADA)
        for name, data in STORED.items():
            answer = await made.http.post(
                f"/api/upload/@public/{name}", files={"file": (name, data)}, headers=ada
            )
            assert answer.status_code == 200, answer.text
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind_tls(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A subscriber whose users come over https, by a proxy that does not pass ``Host`` on."""
    async with lab(tmp_path_factory.mktemp("tls"), urlbase=f"{PUBLIC}/lab") as made:
        keep_no_cookies(made)
        await made.add(ADA)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(here: Lab) -> dict[str, str]:
    return await here.log_in(ADA)


def keep_no_cookies(there: Lab) -> None:
    there.http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))


# headers

ANSWERS = {
    "json": ("GET", "/api/roots", {}, 200),
    "head": ("HEAD", "/api/roots", {}, 200),
    "text": ("GET", "/metrics", {}, 200),
    "health": ("GET", "/healthz", {}, 200),
    "file": ("GET", "/api/download/@public/page.html", {}, 200),
    "part of a file": ("GET", "/api/download/@public/page.html", {"Range": "bytes=0-3"}, 206),
    "whole fetch": ("GET", "/api/fetch/@public/drawing.svg", {}, 200),
    "not there": ("GET", "/api/info/@public/none", {}, 404),
    "no endpoint": ("GET", "/<script>", {}, 404),
    "not allowed": ("PUT", "/api/roots", {}, 405),
    "refused": ("POST", "/api/mkdir/@public/x", {}, 401),
    "malformed": ("POST", "/auth/register", {}, 422),
    "too large": ("POST", "/auth/register", {}, 413),
}


@pytest.mark.parametrize("kind", list(ANSWERS))
async def test_every_answer_keeps_the_browser_from_acting(here: Lab, kind: str) -> None:
    method, target, headers, status = ANSWERS[kind]

    content = b"x" * (17 << 20) if status == 413 else None

    answer = await here.http.request(method, target, headers=headers, content=content)

    assert answer.status_code == status
    expected = {
        "Content-Security-Policy": [SANDBOX],
        "X-Content-Type-Options": ["nosniff"],
        "Cross-Origin-Resource-Policy": ["same-origin"],
        "Referrer-Policy": ["no-referrer"],
    }
    assert {name: answer.headers.get_list(name) for name in expected} == expected


async def test_unchanged_answer_has_them_too(here: Lab) -> None:
    first = await here.http.get("/api/download/@public/page.html")
    again = await here.http.get(
        "/api/download/@public/page.html", headers={"If-None-Match": first.headers["ETag"]}
    )

    assert (again.status_code, again.headers["Content-Security-Policy"]) == (304, SANDBOX)


@pytest.mark.parametrize("endpoint", ["download", "fetch"])
@pytest.mark.parametrize("name", list(STORED))
async def test_stored_file_is_saved_and_not_shown(here: Lab, name: str, endpoint: str) -> None:
    for headers in ({}, {"Range": "bytes=0-1"}):
        answer = await here.http.get(f"/api/{endpoint}/@public/{name}", headers=headers)

        assert answer.headers["Content-Disposition"].startswith("attachment; ")
        assert answer.headers["Content-Security-Policy"] == SANDBOX


@pytest.mark.parametrize("name", ["code.js", "code.mjs", "looks.css"])
async def test_stored_script_or_style_is_not_what_a_page_could_load(here: Lab, name: str) -> None:
    answer = await here.http.get(f"/api/download/@public/{name}")

    assert answer.headers["Content-Type"].partition(";")[0] == "text/plain"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_answers_do_not_share_headers(here: Lab, ada: dict[str, str]) -> None:
    await here.http.get("/api/download/@public/page.html")
    answer = await here.http.get("/api/roots")

    assert "Content-Disposition" not in answer.headers
    assert answer.headers["Server"].startswith("Caterva2/")


# cookies


async def log_in(there: Lab, **headers: str) -> str:
    answer = await there.http.post(
        "/auth/jwt/login", data={"username": ADA, "password": PASSWORD}, headers=headers
    )
    return str(answer.headers["Set-Cookie"]).partition("; ")[2]


async def test_cookie_is_secure_where_users_come_over_https(behind_tls: Lab) -> None:
    assert await log_in(behind_tls) == "HttpOnly; Path=/; SameSite=lax; Secure"


async def test_cookie_of_logout_is_secure_too(behind_tls: Lab) -> None:
    answer = await behind_tls.http.post("/auth/jwt/logout", headers=await behind_tls.log_in(ADA))

    assert answer.headers["Set-Cookie"].endswith("; Secure")


async def test_proxy_on_this_machine_is_believed(here: Lab) -> None:
    assert (await log_in(here, **{"X-Forwarded-Proto": "https"})).endswith("; Secure")
    assert not (await log_in(here, **{"X-Forwarded-Proto": "http"})).endswith("; Secure")


# pages of other sites

FOREIGN: dict[str, dict[str, str]] = {
    "origin": {"Origin": EVIL},
    "null": {"Origin": "null"},
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same-site": {"Sec-Fetch-Site": "same-site"},
    "both": {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
}
WRITES = [
    (route.name, method, route.path.replace("{path}", "@public/x").replace("{", "").replace("}", ""))
    for route in routes_of(Role.SUBSCRIBER)
    for method in route.methods
    if method not in {"GET", "OPTIONS"} or route.name == "deluser"
]


@pytest.mark.parametrize("how", list(FOREIGN))
async def test_page_of_another_site_writes_nothing_with_a_session(
    here: Lab, ada: dict[str, str], how: str
) -> None:
    answer = await here.http.post("/api/mkdir/@shared/foreign", headers={**ada, **FOREIGN[how]})
    listed = await here.http.get("/api/info/@shared/foreign", headers=ada)

    assert (answer.status_code, listed.status_code) == (403, 404)
    assert answer.json()["detail"] == "a page of another site may not do this here"


@pytest.mark.parametrize(("name", "method", "target"), WRITES, ids=[f"{n}-{m}" for n, m, _ in WRITES])
async def test_no_write_of_the_table_is_open_to_pages_of_other_sites(
    crowd: dict[str, dict[str, str]], here: Lab, name: str, method: str, target: str
) -> None:
    answers = [
        await here.http.request(method, target, headers={**who, "Origin": EVIL}) for who in crowd.values()
    ]

    assert {answer.status_code for answer in answers} <= {401, 403}
    assert answers[-1].status_code == 403


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(here: Lab) -> dict[str, dict[str, str]]:
    await here.add("root@example.org", superuser=True)
    return {"nobody": {}, "superuser": await here.log_in("root@example.org")}


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin", "Origin": PUBLIC}, {"Sec-Fetch-Site": "none"}, {"Origin": "HOST"}],
    ids=["no browser", "own page behind a proxy", "typed", "own page"],
)
async def test_own_pages_and_other_clients_write(
    here: Lab, ada: dict[str, str], headers: dict[str, str]
) -> None:
    sent = {name: here.url if value == "HOST" else value for name, value in headers.items()}
    await here.http.post("/api/remove/@shared/own", headers=ada)

    answer = await here.http.post("/api/mkdir/@shared/own", headers={**ada, **sent})

    assert answer.status_code == 200, answer.text


async def test_page_at_the_public_address_writes_though_the_proxy_hides_it(behind_tls: Lab) -> None:
    cookie = await behind_tls.log_in(ADA)

    own = await behind_tls.http.post("/api/mkdir/@shared/x", headers={**cookie, "Origin": PUBLIC})
    other = await behind_tls.http.post("/api/mkdir/@shared/y", headers={**cookie, "Origin": EVIL})

    assert (own.status_code, other.status_code) == (200, 403)


async def test_link_on_a_page_of_another_site_removes_nobody(
    crowd: dict[str, dict[str, str]], here: Lab
) -> None:
    await here.add("doomed@example.org")
    navigation = {
        "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
    }  # all that an old browser sends

    answer = await here.http.get(
        "/api/deluser/doomed@example.org", headers={**crowd["superuser"], **navigation}
    )

    assert (answer.status_code, here.accounts._db.by_email("doomed@example.org") is None) == (403, False)
    client = await here.http.get("/api/deluser/doomed@example.org", headers=crowd["superuser"])
    assert client.status_code == 200


async def test_token_is_no_session_that_a_browser_would_send(here: Lab, ada: dict[str, str]) -> None:
    token = await here.token(ada, "write")

    answer = await here.http.post("/api/mkdir/@shared/by-token", headers={**token, "Origin": EVIL})

    assert answer.status_code == 200


async def test_page_of_another_site_logs_nobody_in(here: Lab) -> None:
    answer = await here.http.post(
        "/auth/jwt/login", data={"username": ADA, "password": PASSWORD}, headers={"Origin": EVIL}
    )

    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)


@pytest.mark.parametrize("target", ["/api/roots", "/api/download/@public/page.html", "/api/tokens"])
async def test_there_is_no_cors(here: Lab, ada: dict[str, str], target: str) -> None:
    answer = await here.http.get(target, headers={**ada, "Origin": EVIL})
    preflight = await here.http.options(
        target, headers={"Origin": EVIL, "Access-Control-Request-Method": "POST"}
    )

    assert answer.status_code == 200
    assert [name for name in (*answer.headers, *preflight.headers) if name.startswith("access-control")] == []


@pytest.mark.parametrize(("origin", "good"), [(PUBLIC, True), (EVIL, False), ("null", False)])
async def test_events_are_followed_by_own_pages_only(behind_tls: Lab, origin: str, good: bool) -> None:
    url = f"{behind_tls.url.replace('http', 'ws', 1)}/api/events"
    request = HTTPRequest(url, headers={**await behind_tls.log_in(ADA), "Origin": origin})

    async def follow() -> Any:
        socket = await websocket_connect(request)
        socket.close()
        while await socket.read_message() is not None:
            pass

    if good:
        await follow()
        return
    with pytest.raises(HTTPClientError, match="403"):
        await follow()


async def test_subscriber_without_users_is_subscribed_by_own_pages_only(tmp_path: Path) -> None:
    async with lab(tmp_path, login=False, register=False) as alone:
        foreign = await alone.http.post("/api/subscribe/@public", headers={"Origin": EVIL})
        own = await alone.http.post("/api/subscribe/@public")

    assert (foreign.status_code, own.status_code) == (403, 200)
