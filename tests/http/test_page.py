"""The web page of a subscriber over HTTP: its files, its addresses, and what browsers are told about them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin

import httpx
import pytest
import pytest_asyncio

from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber import app

INDEX = """<!doctype html><head><base href="./"><meta name="caterva2" content="">
<script type="module" src="static/main-0A1B2C3D.js"></script></head>"""
BROTLI = b"as brotli"
SCRIPT = b"console.log('a page');" * 50


@pytest.fixture
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page as a build leaves it, in the place of the real one."""
    static = tmp_path / "static"
    static.mkdir()
    (static / "index.html").write_text(INDEX)
    (static / "main-0A1B2C3D.js").write_bytes(SCRIPT)
    (static / "main-0A1B2C3D.js.gz").write_bytes(gzip.compress(SCRIPT))
    (static / "main-0A1B2C3D.js.br").write_bytes(BROTLI)
    for name in ("worker-0A1B2C3D.mjs", "codec-0A1B2C3D.wasm", "icon-0A1B2C3D.svg", "text-0A1B2C3D.woff2",
                 "odd-0A1B2C3D.xyz"):  # fmt: skip
        (static / name).write_bytes(b"anything")
    (static / "main-0A1B2C3D.js.LEGAL.txt").write_text("all rights granted")
    (tmp_path / "secret.txt").write_text("not to be served")
    monkeypatch.setattr(app, "STATIC", static)
    return static


@pytest_asyncio.fixture
async def http(static: Path, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A subscriber with users and a page."""
    config = SubscriberConfig(
        http=Address("127.0.0.1", 0),
        statedir=tmp_path / "sub",
        login=True,
        register=True,
        auth_secret="x" * 32,
    )
    async with (
        app.running(config) as running,
        httpx.AsyncClient(base_url=running.server.url, headers={"Accept-Encoding": "identity"}) as http,
    ):
        yield http


SCRIPT_URL = "/static/main-0A1B2C3D.js"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path",
    ["/", "/roots", "/roots/", "/roots/foo", "/roots/foo/a%2Fb/c.b2nd?x=1", "/login", "/register",
     "/account", "/admin", "/reset-password/to/ken", "/forgot-password"],
)  # fmt: skip
async def test_every_address_of_the_page_finds_its_files(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    base = re.search('<base href="(.*?)">', answer.text)
    assert base is not None
    for outside in ("http://host", "https://proxy/some/prefix"):
        seen = f"{outside}{path}"
        assert urljoin(urljoin(seen, base[1]), SCRIPT_URL[1:]) == f"{outside}{SCRIPT_URL}"


@pytest.mark.asyncio
async def test_the_page_is_told_what_its_subscriber_has(http: httpx.AsyncClient) -> None:
    assert await _told(http) == {"login": True, "register": True, "session": False}

    who = {"email": "ann@example.org", "password": "a good password"}
    await http.post("/auth/register", json=who)
    await http.post("/auth/jwt/login", data={"username": who["email"], "password": who["password"]})
    assert (await _told(http))["session"]


async def _told(http: httpx.AsyncClient) -> dict[str, bool]:
    settings = re.search('<meta name="caterva2" content="(.*?)">', (await http.get("/")).text)
    assert settings is not None
    told: dict[str, bool] = json.loads(unescape(settings[1]))
    assert told.pop("version")
    return told


@pytest.mark.asyncio
async def test_the_page_may_run_no_script_but_its_own(http: httpx.AsyncClient) -> None:
    answer = await http.get("/roots/foo")

    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.asyncio
async def test_a_file_with_a_hash_in_its_name_is_kept_for_ever(http: httpx.AsyncClient) -> None:
    answer = await http.get(SCRIPT_URL)
    assert answer.content == SCRIPT
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"

    again = await http.get(SCRIPT_URL, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["Cache-Control"] == "public, max-age=31536000, immutable"

    legal = await http.get(f"{SCRIPT_URL}.LEGAL.txt")
    assert legal.headers["Cache-Control"] == "no-cache"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, GZIP;q=0.5", "gzip"),
        ("identity", None),
        ("gzip;q=0.000", None),
        ("br;q=0.1, gzip;q=0.9", "gzip"),
        ("gzip;q=0.5, br;q=0.5", "br"),
        ("*", "br"),
        ("br;q=0, *;q=0.5", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;q=0.1, identity;q=0.9", None),
        ("br;q=0.2, identity;q=0", "br"),
        ("identity;q=0", None),
        ("*;q=0", None),
        ("gzip ; q=1.000,,", "gzip"),
        ("gzip;q=2, br;q=-1, deflate", None),
        ("gzip;q=nan", None),
        ("gzip;x=1", None),
        ("brotli, zstd", None),
        (",;=" * 1000, None),
        ("", None),
    ],
)
async def test_the_best_form_that_the_browser_takes_is_sent(
    http: httpx.AsyncClient, accept: str, encoding: str | None
) -> None:
    answer = await http.head(SCRIPT_URL, headers={"Accept-Encoding": accept})

    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Vary"] == "Accept-Encoding"
    tag = answer.headers["ETag"]
    plain = (await http.head(SCRIPT_URL)).headers["ETag"]
    assert (tag == plain) == (encoding is None)


@pytest.mark.asyncio
async def test_a_packed_file_has_the_content_of_the_file(http: httpx.AsyncClient) -> None:
    answer = await http.get(SCRIPT_URL, headers={"Accept-Encoding": "gzip"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.content == SCRIPT


@pytest.mark.asyncio
async def test_several_lines_of_accept_encoding_are_one(http: httpx.AsyncClient) -> None:
    answer = await http.send(
        httpx.Request(
            "HEAD",
            http.base_url.join(SCRIPT_URL),
            headers=[("Accept-Encoding", "zstd"), ("Accept-Encoding", "br")],
        )
    )

    assert answer.headers["Content-Encoding"] == "br"


@pytest.mark.asyncio
async def test_a_part_is_one_of_the_form_that_is_sent(http: httpx.AsyncClient) -> None:
    whole = await _raw(http, {"Accept-Encoding": "br"})
    part = await _raw(http, {"Accept-Encoding": "br", "Range": "bytes=3-8"})
    assert (part.status_code, part.headers["Content-Range"]) == (206, f"bytes 3-8/{len(BROTLI)}")
    assert part.headers["ETag"] == whole.headers["ETag"]
    assert part.headers["Content-Encoding"] == "br"
    assert part.body == BROTLI[3:9]

    plain = await _raw(http, {"Range": "bytes=-5", "If-Range": whole.headers["ETag"]})
    assert (plain.status_code, plain.body) == (200, SCRIPT), "the tag is that of another form"
    beyond = await _raw(http, {"Range": "bytes=100000-"})
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{len(SCRIPT)}"


@pytest.mark.asyncio
async def test_heads_say_what_get_would(http: httpx.AsyncClient) -> None:
    for path in ("/", SCRIPT_URL):
        head, get = await http.head(path), await http.get(path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control"):
            assert head.headers[name] == get.headers[name]


@pytest.mark.asyncio
async def test_the_page_is_asked_for_each_time_and_sent_when_it_is_another(http: httpx.AsyncClient) -> None:
    tag = (await http.get("/")).headers["ETag"]

    assert (await http.get("/", headers={"If-None-Match": tag})).status_code == 304
    deeper = await http.get("/roots/foo", headers={"If-None-Match": tag})
    assert deeper.status_code == 200, "its base is another"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("worker-0A1B2C3D.mjs", "text/javascript; charset=utf-8"),
        ("codec-0A1B2C3D.wasm", "application/wasm"),
        ("icon-0A1B2C3D.svg", "image/svg+xml"),
        ("text-0A1B2C3D.woff2", "font/woff2"),
        ("odd-0A1B2C3D.xyz", "application/octet-stream"),
    ],
)
async def test_files_say_what_they_are(http: httpx.AsyncClient, name: str, media: str) -> None:
    answer = await http.get(f"/static/{name}")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == media
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in answer.headers["Cache-Control"]


class Raw(NamedTuple):
    """An answer whose body was not decoded."""

    status_code: int
    headers: httpx.Headers
    body: bytes


async def _raw(http: httpx.AsyncClient, headers: dict[str, str]) -> Raw:
    async with http.stream("GET", SCRIPT_URL, headers=headers) as answer:
        return Raw(answer.status_code, answer.headers, b"".join([part async for part in answer.aiter_raw()]))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path",
    ["/static/", "/static/none.js", "/static/%2e%2e/secret.txt", "/static/..%2fsecret.txt",
     "/static/%2Fetc%2Fpasswd", "/static/main-0A1B2C3D.js.gz", "/static/index.html/x", "/static/a%00b",
     "/static/%252e%252e/secret.txt", "/static/..%5csecret.txt", "/static//main-0A1B2C3D.js",
     "/static/./main-0A1B2C3D.js/../../secret.txt", "/static/main-0a1b2c3d.js", "/static/%ff",
     "/static/main-0A1B2C3D.js%00.txt",
     "/static/%c0%ae%c0%ae/secret.txt", f"/static/{'a/' * 2000}"],
)  # fmt: skip
async def test_nothing_but_the_built_files_is_served(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)

    assert answer.status_code in {400, 404, 422}
    assert b"not to be served" not in answer.content


@pytest.mark.asyncio
async def test_the_page_is_only_read(http: httpx.AsyncClient) -> None:
    assert (await http.post("/")).status_code == 405
    assert (await http.delete(SCRIPT_URL)).status_code == 405
    assert (await http.get("/api/nothing")).headers["Content-Type"].startswith("application/json")


@pytest.mark.asyncio
async def test_a_page_that_is_not_built_says_how_to_build_it(static: Path, tmp_path: Path) -> None:
    (static / "index.html").unlink()
    config = SubscriberConfig(http=Address("127.0.0.1", 0), statedir=tmp_path / "sub")

    async with app.running(config) as running, httpx.AsyncClient(base_url=running.server.url) as http:
        answer = await http.get("/")
        assert answer.status_code == 503
        assert "make web" in answer.text
        assert (await http.get("/api/roots")).status_code == 200


@pytest.mark.asyncio
async def test_a_subscriber_without_users_has_no_page_to_log_in(static: Path, tmp_path: Path) -> None:
    config = SubscriberConfig(http=Address("127.0.0.1", 0), statedir=tmp_path / "sub")

    async with app.running(config) as running, httpx.AsyncClient(base_url=running.server.url) as http:
        assert (await http.get("/login")).status_code == 404
        assert (await http.get("/roots/foo")).status_code == 200


@pytest.mark.asyncio
async def test_who_is_logged_in_is_told_his_room(http: httpx.AsyncClient) -> None:
    who = {"email": "ann@example.org", "password": "a good password"}
    await http.post("/auth/register", json=who)
    await http.post("/auth/jwt/login", data={"username": who["email"], "password": who["password"]})
    await http.post("/api/upload/@personal/a.txt", files={"file": ("a.txt", b"12345")})

    me = (await http.get("/api/me")).json()

    assert (me["used"], me["quota"]) == (5, None)


@pytest.mark.asyncio
async def test_a_share_link_leads_to_a_page_of_its_own(http: httpx.AsyncClient) -> None:
    who = {"email": "ann@example.org", "password": "a good password"}
    await http.post("/auth/register", json=who)
    await http.post("/auth/jwt/login", data={"username": who["email"], "password": who["password"]})
    await http.post("/api/upload/@personal/a.txt", files={"file": ("a.txt", b"12345")})
    link = (await http.post("/api/shares", json={"path": "@personal/a.txt"})).json()["url"]
    token = link.rpartition("/")[2]
    http.cookies.clear()

    answer = await http.get(f"/share/{token}")
    assert answer.status_code == 303
    seen = urljoin(f"https://proxy/prefix/share/{token}", answer.headers["Location"])
    assert seen == f"https://proxy/prefix/share/{token}/"
    page = await http.get(f"/share/{token}/roots/@personal/a.txt")
    base = re.search('<base href="(.*?)">', page.text)
    assert base is not None
    assert urljoin(f"{seen}roots/@personal/a.txt", base[1]) == seen
    assert (await http.get(f"/share/{token}{SCRIPT_URL}")).content == SCRIPT
    for nothing in ("/share", "/share/"):
        assert (await http.get(nothing)).status_code == 404
