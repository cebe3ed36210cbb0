"""What a subscriber refuses, and how: paths that leave a root, unknown addresses, other verbs, writing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.serving import RawClient, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS = ["list", "info", "fetch", "download", "chunk"]
each_call = pytest.mark.parametrize("call", CALLS)
each_root = pytest.mark.parametrize("root", ["foo", "@public"])


async def raw(cluster: Cluster, target: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Send a target as it is: clients tidy it up."""
    address = cluster.subscriber.address
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        client = RawClient(reader, writer)
        await client.send(request(target, method))
        async with asyncio.timeout(10):
            return await client.answer()
    finally:
        writer.close()
        await writer.wait_closed()


# paths

ESCAPES = [
    "{}/../{}/ds-1d.b2nd",
    "{}/..",
    "{}/../../etc/passwd",
    "{}/%2e%2e/x",
    "{}/%2E%2E%2Fx",
    "{}/.%2e/x",
    "{}/%2e./x",
    "{}/dir1/../ds-1d.b2nd",
    "{}/dir1/%2e%2e/ds-1d.b2nd",
    "..",
    "%2e%2e",
    "%2e%2e/{}",
    ".",
    "{}/.",
    "{}/./ds-1d.b2nd",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "{}//etc/passwd",
    "{}/%2fetc/passwd",
    "{}//ds-1d.b2nd",
    "{}/ds-1d.b2nd%00",
    "{}/ds-1d.b2nd%00.txt",
    "%00",
    "{}/..%00/x",
    "{}\\..\\x",
    "{}/..%5c..%5cx",
    "{}%5cds-1d.b2nd",
    "{}/%252e%252e/x",
    "{}/%c0%ae%c0%ae/x",
    "{}/\xff\xfe",
    "{}/%ff",
    "{}/a%0ab",
    "{}/%0d%0aX-Injected:%201",
    "{}/%e2%80%a5/x",
    "{}/" + "a" * 300,
    "{}/" + "a/" * 2500,
    "{}/.hidden",
    "{}/~",
    "{}/ds-1d.b2nd/x",
    "%",
    "{}/%",
    "{}/%zz",
]


@each_root
@each_call
@pytest.mark.parametrize("path", ESCAPES)
async def test_odd_path_finds_nothing(filled: Cluster, root: str, call: str, path: str) -> None:
    query = "?nchunk=0" if call == "chunk" else ""

    status, headers, body = await raw(filled, f"/api/{call}/{path.format(root, root)}{query}")

    assert status in {400, 404}, body
    assert headers["content-type"] == "application/json"
    assert "x-injected" not in headers
    assert b"root:" not in body
    assert str(filled.home).encode() not in body


def make_links(root: Path, outside: Path) -> None:
    """Put links that lead out of a root, in circles, or nowhere into it."""
    outside.mkdir(exist_ok=True)
    (outside / "secret.txt").write_text("root: secret")
    (outside / "ds-1d.b2nd").write_bytes((root / "ds-1d.b2nd").read_bytes())
    links = {
        "link.b2nd": outside / "ds-1d.b2nd",
        "link.txt": outside / "secret.txt",
        "linkdir": outside,
        "loop": "loop",
        "gone": outside / "gone",
    }
    for link, target in links.items():
        if not (root / link).is_symlink():
            (root / link).symlink_to(target)


@each_root
@each_call
@pytest.mark.parametrize("name", ["link.b2nd", "link.txt", "linkdir/ds-1d.b2nd", "linkdir", "loop", "gone"])
async def test_link_out_of_a_root_is_not_followed(filled: Cluster, root: str, call: str, name: str) -> None:
    make_links(filled.root(root), filled.home / "outside")

    answer = await filled.get(f"/api/{call}/{root}/{name}", params={"nchunk": 0} if call == "chunk" else {})

    assert answer.status_code == 404
    assert "secret" not in answer.text


@each_root
async def test_links_out_of_a_root_are_not_listed(filled: Cluster, root: str) -> None:
    (filled.root(root) / "out.txt").symlink_to("/etc/passwd")

    names = (await filled.get(f"/api/list/{root}")).json()

    assert not [name for name in names if name.startswith(("out", "link", "loop", "gone"))]


# addresses and verbs


@pytest.mark.parametrize(
    "target",
    [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/fetch2/foo",
        "/nothing/at/all",
        "/metrics2",
        "/api/roots/x",
        "/api/subscribe",
        "/api/subscribe/foo/bar",
        "/auth/jwt/login",
        "/auth/register",
        "/login",
        "/api/adduser/",
        "/api/deluser/x",
        "/api/listusers/",
        "/auth/jwt/logout",
        "/auth/forgot-password",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_address_is_404(filled: Cluster, target: str, method: str) -> None:
    answer = await filled.http.request(method, target)

    assert (answer.status_code, answer.reason_phrase) == (404, "Not Found")
    assert answer.json()["detail"] == "Not Found"


@pytest.mark.parametrize(
    ("target", "method", "allowed"),
    [
        ("/api/roots", "POST", "GET, HEAD"),
        ("/api/roots/", "DELETE", "GET, HEAD"),
        ("/api/list/foo", "POST", "GET, HEAD"),
        ("/api/info/foo/ds-1d.b2nd", "PUT", "GET, HEAD"),
        ("/api/fetch/foo/ds-1d.b2nd", "DELETE", "GET, HEAD, POST"),
        ("/api/fetch/foo/ds-1d.b2nd", "OPTIONS", "GET, HEAD, POST"),
        ("/api/download/foo/README.md", "POST", "GET, HEAD"),
        ("/api/chunk/foo/ds-1d.b2nd", "POST", "GET, HEAD"),
        ("/api/subscribe/foo", "GET", "POST"),
        ("/api/openapi.json", "POST", "GET, HEAD"),
        ("/metrics", "POST", "GET, HEAD"),
        ("/healthz", "PATCH", "GET, HEAD"),
    ],
)
async def test_other_verb_is_405_and_names_the_right_ones(
    filled: Cluster, target: str, method: str, allowed: str
) -> None:
    answer = await filled.http.request(method, target)

    assert (answer.status_code, answer.reason_phrase) == (405, "Method Not Allowed")
    assert answer.json()["detail"] == "Method Not Allowed"
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize(
    "target", ["/api/roots", "/api/list/foo", "/api/info/foo/ds-1d.b2nd", "/healthz", "/metrics"]
)
async def test_both_spellings_are_served_without_a_redirect(filled: Cluster, target: str) -> None:
    bare, slashed = await filled.get(target), await filled.get(target + "/")

    assert (bare.status_code, slashed.status_code) == (200, 200)


async def test_post_without_a_body_is_fine(filled: Cluster) -> None:
    status, _, body = await raw(filled, "/api/subscribe/foo", "POST")

    assert (status, body) == (200, b'"Ok"')


async def test_nothing_sets_a_cookie(filled: Cluster) -> None:
    for target in ("/api/roots", "/api/fetch/foo/ds-1d.b2nd", "/nothing"):
        assert "Set-Cookie" not in (await filled.get(target)).headers


async def test_cookies_of_others_do_not_matter(filled: Cluster) -> None:
    answer = await filled.get(
        "/api/roots", headers={"Cookie": "c2subauth=expired; x=1; \xff".encode("latin-1")}
    )

    assert answer.status_code == 200


# writing, with nobody logged in

WRITES: list[tuple[str, Any]] = [
    ("/api/upload/@public/x.b2nd", {"files": {"file": ("x.b2nd", b"x")}}),
    ("/api/upload/foo/x.b2nd", {}),
    ("/api/remove/@public/README.md", {}),
    ("/api/remove/foo/README.md", {}),
    ("/api/remove/@public", {}),
    ("/api/move/", {"json": {"src": "@public/README.md", "dst": "@public/x"}}),
    ("/api/copy/", {"json": {"src": "@public/README.md", "dst": "@public/x"}}),
    ("/api/copy", {"json": {"src": "@public/README.md", "dst": "@public/x"}}),
    ("/api/lazyexpr/", {"json": {"name": "x", "expression": "a", "operands": {"a": "foo/ds-1d.b2nd"}}}),
    ("/api/append/@public/ds-1d.b2nd", {"files": {"file": ("x.b2nd", b"x")}}),
    ("/api/addnotebook/@public/x.ipynb", {}),
]


@pytest.mark.parametrize(("target", "what"), WRITES, ids=[write[0] for write in WRITES])
async def test_writing_needs_a_login(filled: Cluster, target: str, what: Any) -> None:
    answer = await filled.http.post(target, **what)

    assert (answer.status_code, answer.reason_phrase) == (401, "Unauthorized")
    assert isinstance(answer.json()["detail"], str)


async def test_refused_writes_change_nothing(filled: Cluster) -> None:
    before = sorted(filled.public.rglob("*"))

    for target, what in WRITES:
        await filled.http.post(target, **what)

    assert sorted(filled.public.rglob("*")) == before
