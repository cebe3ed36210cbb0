"""What happens when one of both sides leaves in the middle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from caterva2_jupyter import proxy
from caterva2_jupyter.upstream import MAX_REQUESTS
from tests.jupyter_ext.server.conftest import Page, Recorder
from tests.support.serving import RawClient, request


@pytest.fixture
def traits(recorder: Recorder) -> dict[str, Any]:
    return {"subscribers": {"lab": recorder.url}, "timeout": "2 s"}


class Slow:
    """Answers piece by piece, and knows when nobody listens any more."""

    def __init__(self, recorder: Recorder, *, nbytes: int = 1 << 16) -> None:
        self.left = asyncio.Event()
        self.began = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._piece = b"x" * nbytes
        recorder.answer = self.answer

    async def answer(self, handler: Any) -> None:
        handler.request.connection.set_close_callback(lambda: self._loop.call_soon_threadsafe(self.left.set))
        self._loop.call_soon_threadsafe(self.began.set)
        while True:
            handler.write(self._piece)
            await handler.flush()
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def raw(page: Page) -> AsyncIterator[RawClient]:
    """Connect to Jupyter; leave at the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", page.client.get_http_port())
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def head(page: Page, path: str, method: str = "GET", **headers: str) -> bytes:
    sent = {"Authorization": f"token {page.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return request(f"{page.base}{path}", method, sent)


async def test_a_page_that_leaves_ends_the_request_upstream(page: Page, recorder: Recorder) -> None:
    slow = Slow(recorder)
    async with raw(page) as client:
        await client.send(head(page, "caterva2/s/lab/api/download/foo/x"))
        await client.reader.readexactly(1 << 18)

    async with asyncio.timeout(10):
        await slow.left.wait()


async def test_a_page_that_reads_no_more_is_given_up(
    page: Page, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "STALLED_S", 0.5)
    ended = asyncio.Event()
    forward = proxy.ProxyHandler._forward

    async def forward_and_tell(*args: Any) -> None:
        try:
            await forward(*args)
        finally:
            ended.set()

    monkeypatch.setattr(proxy.ProxyHandler, "_forward", forward_and_tell)
    Slow(recorder, nbytes=1 << 20)
    async with raw(page) as client:
        await client.send(head(page, "caterva2/s/lab/api/download/foo/x"))

        async with asyncio.timeout(30):
            await ended.wait()


async def test_a_page_that_leaves_before_the_answer_ends_the_request_too(
    page: Page, recorder: Recorder
) -> None:
    began, left = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def never(handler: Any) -> None:
        handler.request.connection.set_close_callback(lambda: loop.call_soon_threadsafe(left.set))
        loop.call_soon_threadsafe(began.set)
        await asyncio.sleep(60)

    recorder.answer = never
    async with asyncio.timeout(10):
        async with raw(page) as client:
            await client.send(head(page, "caterva2/s/lab/api/fetch/foo/x"))
            await began.wait()
        await left.wait()


async def test_an_upload_that_breaks_off_ends_upstream(page: Page, recorder: Recorder) -> None:
    async with raw(page) as client:
        await client.send(head(page, "caterva2/s/lab/api/upload/@public/x", "POST", Content_Length="1000000"))
        await client.send(b"x" * 1000)

    assert (await page("caterva2/s/lab/api/roots")).code == 200
    assert "POST /api/upload/@public/x" not in recorder.seen()  # never whole


async def test_a_page_that_does_not_read_holds_the_subscriber_back(page: Page, recorder: Recorder) -> None:
    sent = 0
    loop = asyncio.get_running_loop()
    stalled = asyncio.Event()

    async def answer(handler: Any) -> None:
        nonlocal sent
        for _ in range(2000):
            handler.write(b"x" * (1 << 16))
            try:
                async with asyncio.timeout(1):
                    await handler.flush()
            except TimeoutError:
                break
            sent += 1 << 16
        loop.call_soon_threadsafe(stalled.set)

    recorder.answer = answer
    async with raw(page) as client:
        await client.send(head(page, "caterva2/s/lab/api/download/foo/x"))
        async with asyncio.timeout(30):
            await stalled.wait()

    assert sent < 40 << 20


async def test_an_answer_that_is_cut_can_not_be_taken_for_a_whole_one(page: Page, recorder: Recorder) -> None:
    async def answer(handler: Any) -> None:
        handler.set_header("Content-Length", "1000")
        handler.write(b"x" * 10)
        await handler.flush()
        handler.request.connection.stream.close()

    recorder.answer = answer
    async with raw(page) as client:
        await client.send(head(page, "caterva2/s/lab/api/download/foo/x"))
        text = await client.rest()

    assert b"Content-Length: 1000" in text
    assert len(text.partition(b"\r\n\r\n")[2]) < 1000


async def test_a_subscriber_that_says_nothing_is_given_up(page: Page, recorder: Recorder) -> None:
    recorder.answer = lambda handler: asyncio.sleep(60)

    answer = await page("caterva2/s/lab/api/roots")

    assert answer.code == 504
    assert b'"timed-out"' in answer.body


async def test_requests_go_on_beside_ones_that_hang(page: Page, recorder: Recorder) -> None:
    async def answer(handler: Any) -> None:
        if "slow" in handler.request.uri:
            await asyncio.sleep(60)
        handler.finish(b'"Ok"')

    recorder.answer = answer
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(12):
            client = await stack.enter_async_context(raw(page))
            await client.send(head(page, "caterva2/s/lab/api/info/foo/slow"))

        assert (await page("caterva2/s/lab/api/roots")).code == 200


async def test_pages_that_leave_use_nothing_up(page: Page, recorder: Recorder) -> None:
    Slow(recorder)
    for _ in range(MAX_REQUESTS + 6):
        async with raw(page) as client:
            await client.send(head(page, "caterva2/s/lab/api/download/foo/x"))
            await client.reader.readexactly(1000)
    recorder.answer = lambda handler: handler.finish(b'"Ok"')

    assert (await page("caterva2/s/lab/api/roots")).code == 200
