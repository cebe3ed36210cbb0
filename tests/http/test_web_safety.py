"""What makes the web page and its neighbours safe: policies, redirects, and requests that lie about hosts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urljoin

import pytest
import pytest_asyncio

from caterva2.roles.subscriber import app
from tests.support.accounts import PASSWORD, Lab, lab

ADA = "ada@example.org"
PUBLIC = "https://data.example.org/lab"
EVIL = "evil.example"
INDEX = """<!doctype html><head><base href="./"><meta name="caterva2" content="">
<script type="module" src="static/main-0A1B2C3D.js"></script></head>"""
LIES = {
    "Host": EVIL,
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Server": EVIL,
    "Forwarded": f"host={EVIL};proto=http",
    "X-Original-URL": "/admin",
    "X-Rewrite-URL": "/admin",
    "Referer": f"http://{EVIL}/",
}


@pytest_asyncio.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    """A subscriber with users and a page, that people know by another address."""
    static = tmp_path / "static"
    static.mkdir()
    (static / "index.html").write_text(INDEX)
    (static / "main-0A1B2C3D.js").write_text("let x;")
    (tmp_path / "secret.txt").write_text("not to be served")
    monkeypatch.setattr(app, "STATIC", static)
    async with lab(tmp_path, urlbase=PUBLIC) as made:
        await made.add(ADA)
        yield made


class Letterbox:
    """Takes mail."""

    def __init__(self) -> None:
        self.links: list[str] = []
        self.arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def send_reset(self, email: str, link: str) -> None:
        """Take a letter; called in a thread."""
        self.links.append(link)
        self._loop.call_soon_threadsafe(self.arrived.set)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path", ["/", "/roots/foo/x?y=1", "/login", "/admin", "/account", "/share/x/", "/HEAD"]
)
async def test_page_may_do_no_more_than_it_must(here: Lab, path: str) -> None:
    method, path = ("HEAD", "/roots/foo") if path == "/HEAD" else ("GET", path)
    answer = await here.http.request(method, path)

    policy = dict(rule.partition(" ")[::2] for rule in answer.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "frame-src": "blob:",
        "form-action": "'self'",
        "base-uri": "'self'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "dompurify caterva2",
    }
    expected = {
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
    }
    assert {name: answer.headers.get_list(name) for name in expected} == {k: [v] for k, v in expected.items()}


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/static/main-0A1B2C3D.js", "/static/none.js", "/api/roots", "/nothing"])
async def test_what_is_no_page_is_sandboxed(here: Lab, path: str) -> None:
    answer = await here.http.get(path)

    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.asyncio
async def test_link_for_a_new_password_leads_where_the_operator_said(
    here: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Letterbox()
    monkeypatch.setattr(here.accounts, "_mailer", box)

    answer = await here.http.post("/auth/forgot-password", json={"email": ADA}, headers=LIES)
    await asyncio.wait_for(box.arrived.wait(), 20)

    assert answer.status_code == 202
    assert [link.startswith(f"{PUBLIC}/") for link in box.links] == [True]


@pytest.mark.asyncio
async def test_share_link_leads_where_the_operator_said(here: Lab) -> None:
    ada = await here.log_in(ADA)
    await here.http.post("/api/upload/@public/a.txt", files={"file": ("a.txt", b"x")}, headers=ada)

    made = await here.http.post("/api/shares", json={"path": "@public/a.txt"}, headers={**ada, **LIES})

    assert made.json()["url"].startswith(f"{PUBLIC}/share/")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path", ["/", "/roots/foo", "/login", "/api/roots", "/healthz", "/static/none", "/api/uploads"]
)
async def test_no_answer_repeats_a_host_that_a_request_made_up(here: Lab, path: str) -> None:
    ada = await here.log_in(ADA)
    for method in ("GET", "POST"):
        body = {"json": {"path": "@public/x.txt", "size": 1}} if method == "POST" else {}
        answer = await here.http.request(method, path, headers={**ada, **LIES}, **body)

        assert EVIL not in answer.text
        assert EVIL not in str(answer.headers)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "token",
    [
        "//evil.example",
        "\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "..",
        "%2F%2Fevil.example",
        "x\r\nSet-Cookie: a=b",
        "c2s_//evil.example",
        "c2s_\\\\evil.example",
        "c2s_x\r\nX-Evil: 1",
        "c2s_?x",
        "c2s_#x",
    ],
)
async def test_door_of_a_share_link_leads_nowhere_else(here: Lab, token: str) -> None:
    answer = await here.http.get(f"/share/{quote(token, safe='')}")

    assert "X-Evil" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    if "Location" in answer.headers:
        found = urljoin(f"https://host/prefix/share/{quote(token, safe='')}", answer.headers["Location"])
        assert found.startswith("https://host/prefix/share/")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path", ["//evil.example", "//evil.example/roots/x", "/\\evil.example", "/%2F%2Fevil.example"]
)
async def test_odd_addresses_are_no_redirects(here: Lab, path: str) -> None:
    raw = await ask(here, path)

    assert b"\r\nLocation:" not in raw.split(b"\r\n\r\n")[0]
    assert raw.split(b" ", 2)[1] in {b"200", b"400", b"404"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret.txt",
        "/static/..%5csecret.txt",
        "/static/%252e%252e/secret.txt",
        "/static//../secret.txt",
        "/static/..;/secret.txt",
        "/static/.%00./secret.txt",
        "/roots/../static/../secret.txt",
        "/static/%c0%ae%c0%ae/x",
        "http://evil.example/static/../secret.txt",
        "/share/x/static/../../secret.txt",
    ],
)
async def test_no_path_leaves_the_built_files(here: Lab, path: str) -> None:
    assert b"not to be served" not in await ask(here, path)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "name", ["a\r\nSet-Cookie: x=1.txt", 'a"; x="b.txt', "a%0d%0aX-Evil: 1.txt", "a;b=c.txt", "\u202egpj.txt"]
)
async def test_name_of_a_file_adds_no_header(here: Lab, name: str) -> None:
    ada = await here.log_in(ADA)
    path = f"@public/{quote(name, safe='')}"
    stored = await here.http.post(f"/api/upload/{path}", files={"file": ("x", b"text")}, headers=ada)
    answer = await here.http.get(f"/api/download/{path}")

    assert (stored.status_code, answer.status_code) in {(200, 200), (400, 400)}
    assert "Set-Cookie" not in answer.headers
    assert "X-Evil" not in answer.headers
    if answer.status_code == 200:
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="')
        assert answer.headers["Content-Disposition"].count('"') == 2


@pytest.mark.asyncio
async def test_page_tells_nothing_of_who_asks_but_that_he_has_a_session(here: Lab) -> None:
    cookie = await here.log_in(ADA)
    page = (await here.http.get("/account", headers=cookie)).text

    assert ADA not in page
    assert cookie["Cookie"].partition("=")[2] not in page
    assert PASSWORD not in page


async def ask(here: Lab, target: str) -> bytes:
    """Return the answer to a request line that no library would send."""
    host, _, port = here.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {EVIL}\r\nConnection: close\r\n\r\n".encode())
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
        await writer.wait_closed()
