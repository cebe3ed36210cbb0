"""Large bodies are sent when the server wants them, and an early answer is seen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from caterva2.client.calls import Call
from caterva2.client.connection import AsyncConnection

pytestmark = pytest.mark.asyncio

PIECE, PIECES = 1 << 16, 400
REFUSAL = b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 3\r\nConnection: close\r\n\r\nold"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOk"
GO_ON = b"HTTP/1.1 100 (Continue)\r\n\r\n"


@dataclass
class Body:
    """Knows how much of it was asked for."""

    npieces: int = 0
    all: int = field(default=PIECES)

    async def pieces(self) -> AsyncIterator[bytes]:
        for _ in range(self.all):
            self.npieces += 1
            yield bytes(PIECE)


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def upload(answer: Answer, body: Body, *, ask: bool = True) -> tuple[int, bytes, bytes]:
    """Send a body to a server that answers like this; return status and body of that, and the header."""
    header = b""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal header
        header = await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        call = Call("POST", "/api/x", bytes, {"Content-Length": str(PIECE * body.all)})
        async with (
            AsyncConnection(f"http://127.0.0.1:{port}") as connection,
            connection.stream(call, body=body.pieces(), ask=ask) as got,
        ):
            found = got.status, await got.read()
        async with asyncio.timeout(20):
            await ended.wait()
    return (*found, header)


async def test_a_body_that_is_refused_is_not_sent() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(REFUSAL)

    body = Body()

    assert (await upload(answer, body))[:2] == (412, b"old")
    assert body.npieces == 0


async def test_a_body_that_is_wanted_is_sent_whole() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GO_ON)
        await reader.readexactly(PIECE * PIECES)
        writer.write(FINE)

    status, text, header = await upload(answer, Body())

    assert (status, text) == (200, b"Ok")
    assert b"Expect: 100-continue" in header


async def test_a_server_that_does_not_know_the_question_gets_the_body() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(PIECE * PIECES)
        writer.write(FINE)

    assert (await upload(answer, Body()))[:2] == (200, b"Ok")


async def test_an_answer_in_the_middle_ends_the_body() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GO_ON)
        await reader.readexactly(PIECE * 10)
        writer.write(REFUSAL)
        await writer.drain()
        while await reader.read(PIECE):  # a server that lingers, as it should
            pass

    body = Body()

    assert (await upload(answer, body))[:2] == (412, b"old")
    assert body.npieces < PIECES


async def test_small_bodies_ask_nothing() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(PIECE)
        writer.write(FINE)

    status, _, header = await upload(answer, Body(all=1), ask=False)

    assert status == 200
    assert b"Expect" not in header
