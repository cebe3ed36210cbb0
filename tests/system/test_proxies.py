"""A subscriber behind nginx, Caddy and Apache, by the files of ``contrib/``: TLS, at / and under a prefix."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin

import blosc2
import httpx
import numpy as np
import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from tests.support.daemon import Daemon
from tests.support.ports import free_ports
from tests.support.processes import contents, until
from tests.support.proxies import PREFIX, PROXIES, Place, Proxy, running_proxy
from tests.support.webpage import BUILT, PASSWORD

pytestmark = pytest.mark.slow

BIG = 110 << 20
FIRST = 8 << 20
LINE = np.arange(100_000, dtype="i8")
ODD = "a b%2B+c;d#e?f=é&'g.txt"


@dataclass
class Front:
    """A subscriber as its users see it, and from behind.

    Attributes
    ----------
    http
        Somebody without an account.
    ada
        A user.
    direct
        Goes to the subscriber itself.
    home
        Where the proxy keeps what it keeps.
    """

    url: str
    place: Place
    http: httpx.Client
    ada: httpx.Client
    direct: httpx.Client
    tls: ssl.SSLContext
    state: Path
    home: Path

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.place.port}"


CASES = [(proxy, prefix) for proxy in PROXIES.values() for prefix in (False, True)]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0].name}{'-prefix' * case[1]}")
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    proxy: Proxy
    proxy, prefix = request.param
    if proxy.find() is None:
        pytest.skip(f"needs {proxy.program}")
    home = tmp_path_factory.mktemp(proxy.name)
    port, plain = free_ports(2)
    url = f"https://localhost:{port}{PREFIX if prefix else ''}"
    public = home / "state" / "public"
    public.mkdir(parents=True)
    blosc2.asarray(LINE, urlpath=str(public / "line.b2nd"), mode="w")
    (public / ODD).write_bytes(b"odd")
    with Daemon(
        "subscriber", "--statedir", "state", "--urlbase", url, cwd=home, env={"CATERVA2_SECRET": "x" * 32}
    ) as subscriber:
        place = Place(port, plain, str(subscriber.address))
        with running_proxy(proxy, home / "proxy", place, prefix=prefix) as authority:
            tls = ssl.create_default_context(cafile=str(authority))
            how = {"timeout": 60, "trust_env": False}
            with (
                httpx.Client(base_url=url, verify=tls, **how) as http,
                httpx.Client(base_url=url, verify=tls, **how) as ada,
                httpx.Client(base_url=subscriber.url, **how) as direct,
            ):
                ada.post("/auth/register", json={"email": "ada@example.org", "password": PASSWORD})
                ada.post("/auth/jwt/login", data={"username": "ada@example.org", "password": PASSWORD})
                yield Front(url, place, http, ada, direct, tls, home / "state", home / "proxy")


def test_page_loads_with_all_that_it_names(front: Front) -> None:
    if not BUILT.exists():
        pytest.skip("the page is not built: make web")
    page = front.http.get("/")
    (base,) = re.findall(r'<base href="([^"]+)"', page.text)
    named = re.findall(r'(?:src|href)="([^"]*static/[^"]+)"', page.text)

    found = [front.http.get(urljoin(urljoin(f"{front.url}/", base), name)) for name in named]

    assert len(found) > 1
    assert {answer.status_code for answer in found} == {200}


def test_script_comes_as_it_was_compressed_by_the_build(front: Front) -> None:
    if not BUILT.exists():
        pytest.skip("the page is not built: make web")
    (name,) = re.findall(r'src="[^"]*(static/[^"]+\.js)"', front.http.get("/").text)
    accept = {"Accept-Encoding": "br, gzip"}

    answer = front.http.head(f"/{name}", headers=accept)
    wanted = front.direct.head(f"/{name}", headers=accept)

    kept = ("Content-Encoding", "Content-Length", "ETag", "Cache-Control", "Vary")
    assert {key: answer.headers[key] for key in kept} == {key: wanted.headers[key] for key in kept}
    assert answer.headers["Content-Encoding"] == "br"


def test_slice_equals_numpy(front: Front) -> None:
    answer = front.http.get("/api/fetch/@public/line.b2nd", params={"slice_": "10:99999:7"})

    np.testing.assert_array_equal(contents(answer.content), LINE[10:99999:7])


@pytest.mark.parametrize("path", ["/api/list/@public", "/api/info/@public/line.b2nd", "/"])
def test_etag_is_kept_and_answers_304(front: Front, path: str) -> None:
    accept = {"Accept-Encoding": "gzip, br"}
    wanted = front.direct.get(path, headers=accept).headers.get("ETag")
    answer = front.http.get(path, headers=accept)

    assert answer.headers.get("ETag") == wanted
    again = front.http.get(path, headers={**accept, "If-None-Match": wanted or '"none"'})
    assert again.status_code == (304 if wanted else 200)


def test_range_is_answered_in_part(front: Front) -> None:
    whole = front.http.get("/api/download/@public/line.b2nd")
    part = front.http.get("/api/download/@public/line.b2nd", headers={"Range": "bytes=100-299"})

    assert part.status_code == 206
    assert part.headers["Content-Range"] == f"bytes 100-299/{len(whole.content)}"
    assert part.content == whole.content[100:300]


def test_odd_name_goes_through(front: Front) -> None:
    path = quote(f"@public/{ODD}", safe="@/")

    assert front.http.get(f"/api/download/{path}").content == b"odd"
    assert ODD in front.http.get("/api/list/@public").json()


def test_login_cookie_is_for_https_only(front: Front) -> None:
    answer = front.http.post("/auth/jwt/login", data={"username": "ada@example.org", "password": PASSWORD})
    front.http.cookies.clear()

    assert answer.status_code == 204
    assert "; Secure" in answer.headers["Set-Cookie"]


def test_page_of_ours_may_write_and_of_another_site_not(front: Front) -> None:
    statuses = [
        front.ada.post(
            "/api/upload/@personal/x", files={"file": ("x", b"x")}, headers={"Origin": origin}
        ).status_code
        for origin in (front.origin, "https://evil.example.org")
    ]

    assert statuses == [200, 403]


@pytest.mark.asyncio
async def test_event_arrives_over_the_websocket(front: Front) -> None:
    url = f"{front.url.replace('https:', 'wss:')}/api/events"
    socket = await websocket_connect(
        HTTPRequest(url, ssl_options=front.tls, headers={"Origin": front.origin})
    )
    await asyncio.to_thread(
        front.ada.post, "/api/upload/@public/told.txt", files={"file": ("told.txt", b"told")}
    )

    async def told() -> None:
        while "told.txt" not in str(await socket.read_message()):
            pass

    await asyncio.wait_for(told(), 20)
    socket.close()


@pytest.mark.asyncio
async def test_websocket_of_another_site_is_refused(front: Front) -> None:
    url = f"{front.url.replace('https:', 'wss:')}/api/events"

    with pytest.raises(HTTPClientError, match="403"):
        await websocket_connect(
            HTTPRequest(url, ssl_options=front.tls, headers={"Origin": "https://evil.example.org"})
        )


class Watched(io.BytesIO):
    """A big file; after its first bytes it waits until the subscriber has some of them."""

    def __init__(self, state: Path) -> None:
        super().__init__()
        self._state = state
        self._block = os.urandom(1 << 20)
        self._at = 0
        self.digest = hashlib.sha256()

    def read(self, size: int | None = -1) -> bytes:
        if self._at == FIRST:
            until(self._has_arrived, "the first bytes arrive before the last are sent")
        size = min(len(self._block) if size is None or size < 0 else size, len(self._block), BIG - self._at)
        if self._at < FIRST:
            size = min(size, FIRST - self._at)
        data = self._block[:size]
        self._at += size
        self.digest.update(data)
        return data

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = {0: 0, 1: self._at, 2: BIG}[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def _has_arrived(self) -> bool:
        return any(file.stat().st_size for file in self._state.rglob(".incoming/*"))


def test_big_file_streams_up_and_down(front: Front) -> None:
    big = Watched(front.state)
    answer = front.ada.post("/api/upload/@personal/big.bin", files={"file": ("big.bin", big)})
    assert answer.status_code == 200, answer.text

    digest, kept = hashlib.sha256(), []
    with front.ada.stream("GET", "/api/download/@personal/big.bin") as down:
        for data in down.iter_raw(1 << 20):
            if not kept:
                kept.append(_tree_bytes(front.home))
            digest.update(data)

    assert digest.digest() == big.digest.digest()
    assert kept[0] < FIRST


def test_upload_is_resumed_where_it_ended(front: Front) -> None:
    data = os.urandom(3 << 20)
    wanted = {"path": "@personal/parts.bin", "size": len(data)}
    where = f"/api/uploads/{front.ada.post('/api/uploads', json=wanted).json()['id']}"

    arrived = []
    for offset in (0, 1 << 20):
        part = data[offset : (1 << 20) if offset == 0 else None]
        front.ada.patch(where, content=part, headers={"Upload-Offset": str(offset)})
        arrived.append(int(front.ada.head(where).headers["Upload-Offset"]))
    done = front.ada.post(where)

    assert (arrived, done.status_code) == ([1 << 20, len(data)], 200)
    assert front.ada.get("/api/download/@personal/parts.bin").content == data


def _tree_bytes(top: Path) -> int:
    return sum(file.stat().st_size for file in top.rglob("*") if file.is_file())


def test_share_link_leads_through_the_proxy(front: Front) -> None:
    made = front.ada.post("/api/shares", json={"path": "@public/line.b2nd"}).json()

    assert made["url"].startswith(f"{front.url}/share/")
    read = front.http.get(f"{made['url']}/api/fetch/@public/line.b2nd", params={"slice_": "3:6"})
    np.testing.assert_array_equal(contents(read.content), LINE[3:6])


@pytest.mark.parametrize("path", ["metrics", "metrics/", "%6Detrics", "/metrics", "api/../metrics"])
def test_counters_are_kept_from_users(front: Front, path: str) -> None:
    target = f"{httpx.URL(front.url).path.rstrip('/')}/{path}".encode()
    request = front.http.build_request("GET", front.url, extensions={"target": target})

    answer = front.http.send(request)

    assert answer.status_code in {301, 400, 403, 404, 503}
    assert "caterva2_" not in answer.text


def test_plain_http_is_sent_to_https(front: Front) -> None:
    answer = httpx.get(f"http://localhost:{front.place.plain}/api/list/@public", trust_env=False)

    assert answer.status_code in {301, 308}
    assert answer.headers["Location"].startswith("https://localhost")
    assert answer.headers["Location"].endswith("/api/list/@public")
