"""Heads that are written by us are those that Tornado would write."""

from __future__ import annotations

import pytest

from caterva2.transport.handler import BaseHandler
from caterva2.transport.security import HEADERS, Policy
from tests.support.serving import application, connected, request, serving

pytestmark = pytest.mark.asyncio


class Roots(BaseHandler):
    """Answers with headers of its own."""

    async def get(self) -> None:
        self.set_header("Referrer-Policy", "origin")
        self.send_json({})


class Page(BaseHandler):
    """A page of our own."""

    policy = Policy.PAGE

    async def get(self) -> None:
        self.send_bytes(b"<p>", "text/html")


class Split(BaseHandler):
    """Tries to send two answers."""

    async def get(self) -> None:
        self._headers["X-Name"] = "a\r\nX-Evil: b"
        self.send_json({})


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("GET /api/list/x HTTP/1.0", {}),
        ("GET /api/list/x HTTP/1.0", {"Connection": "keep-alive"}),
        ("GET /api/list/x HTTP/1.1", {"Connection": "close"}),
        ("HEAD /api/list/x HTTP/1.1", {}),
    ],
    ids=["1.0", "1.0 keep-alive", "close", "head"],
)
async def test_answers_of_all_ways_have_the_same_headers(line: str, headers: dict[str, str]) -> None:
    sent = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    async with serving(application()) as server:
        async with connected(server) as client:
            await client.send(request("/api/list/x"))
            status, common, body = await client.answer()
        async with connected(server) as client:
            await client.send(f"{line}\r\nHost: x\r\n{sent}\r\n".encode())
            other_status, other, other_body = await client.answer(head=line.startswith("HEAD"))

    changing = {"date", "x-request-id", "connection"}
    assert (other_status, status) == (200, 200)
    assert {k: v for k, v in other.items() if k not in changing} == {
        k: v for k, v in common.items() if k not in changing
    }
    assert set(common) == set(other) - {"connection"}
    assert other_body in {body, b""}


async def test_requests_on_one_connection_are_answered_in_turn() -> None:
    async with serving(application()) as server, connected(server) as client:
        await client.send(request("/api/list/a") + request("/api/list/b") + request("/api/list/c"))
        answers = [(await client.answer())[2] for _ in range(3)]

    assert answers == [b'"list a"', b'"list b"', b'"list c"']


async def test_header_of_a_handler_goes_before_the_common_one() -> None:
    async with serving(application(handlers={"roots": Roots})) as server, connected(server) as client:
        await client.send(request("/api/roots"))
        head = (await client.reader.readuntil(b"\r\n\r\n")).lower()

    assert head.count(b"referrer-policy:") == 1
    assert b"referrer-policy: origin\r\n" in head
    assert b"x-content-type-options: nosniff\r\n" in head


async def test_page_says_what_it_may_load() -> None:
    async with serving(application(handlers={"roots": Page})) as server, connected(server) as client:
        await client.send(request("/api/roots"))
        _, headers, _ = await client.answer()

    expected = {name.lower(): value for name, value in HEADERS[Policy.PAGE].items()}
    assert {name: headers[name] for name in expected} == expected


async def test_line_break_in_a_header_ends_the_connection_or_fails() -> None:
    async with serving(application(handlers={"roots": Split})) as server, connected(server) as client:
        await client.send(request("/api/roots"))
        text = await client.rest()

    assert b"X-Evil" not in text
