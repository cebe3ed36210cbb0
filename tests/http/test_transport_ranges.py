"""Byte ranges: what is asked for, how several are framed, and the answers over HTTP."""

from __future__ import annotations

import email
import email.policy
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterva2.errors import RangeNotSatisfiable
from caterva2.transport.answers import attachment
from caterva2.transport.ranges import (
    MAX_RANGES,
    ByteRange,
    Multipart,
    etag_matches,
    http_date,
    if_range_holds,
    not_modified_since,
    parse_range,
)
from tests.support.serving import Silent, application, connected, request, serving

BODY = bytes(i % 251 for i in range(10_000))
MTIME_NS = 1_700_000_000_123_456_789
MTIME = "Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        ("bytes=0-9", [(0, 10)]),
        ("bytes=0-0", [(0, 1)]),
        ("bytes=90-", [(90, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("bytes=50-1000", [(50, 100)]),
        ("BYTES=0-9", [(0, 10)]),
        ("bytes=0-9, 20-29", [(0, 10), (20, 30)]),
        ("bytes=20-29,0-9", [(20, 30), (0, 10)]),
        ("bytes= 0-9 ,\t,20-29,", [(0, 10), (20, 30)]),
        ("bytes=0-9,500-", [(0, 10)]),
        ("bytes=0-9,-0", [(0, 10)]),
        ("bytes=0-9,5-14", [(0, 10), (5, 15)]),
    ],
)
def test_ranges_are_found_in_their_order(header, ranges):
    assert parse_range(header, 100) == ranges


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=a-b",
        "bytes=9-0",
        "bytes=--5",
        "bytes=0x1-2",
        "bytes=1",
        "items=0-9",
        "bytes=0-9,x",
        "bytes=0-9 10-19",
        "bytes=+1-2",
        "bytes=1-2-3",
        "0-9",
        "bytes=-",
    ],
)
def test_malformed_range_counts_as_none(header):
    assert parse_range(header, 100) == []


@pytest.mark.parametrize(
    "header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=100-,200-", f"bytes={10**29}-"]
)
def test_range_outside_the_body_is_refused(header):
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_range(header, 100)

    assert caught.value.fields == {"size": 100}


def test_more_bytes_than_the_body_has_are_the_whole_body():
    assert parse_range("bytes=0-,0-0", 100) == []


def test_many_ranges_are_served_and_far_too_many_are_the_whole_body():
    many = "bytes=" + ",".join(f"{i}-{i}" for i in range(MAX_RANGES))

    assert len(parse_range(many, 10_000)) == MAX_RANGES
    assert parse_range(many + ",9999-9999", 10_000) == []


@given(size=st.integers(1, 300), text=st.text("0123456789-, ", max_size=20))
def test_ranges_always_lie_in_the_body(size, text):
    try:
        ranges = parse_range(f"bytes={text}", size)
    except RangeNotSatisfiable:
        return

    assert all(0 <= start < stop <= size for start, stop in ranges)


@pytest.mark.parametrize(
    ("header", "holds"),
    [
        (None, True),
        ('"v1"', True),
        ('"v2"', False),
        ('W/"v1"', False),
        (MTIME, True),
        ("Tue, 14 Nov 2023 22:13:21 GMT", False),
        ("nonsense", False),
    ],
)
def test_if_range_compares_strongly(header, holds):
    assert if_range_holds(header, etag="v1", last_modified=MTIME) is holds


def test_if_range_does_not_trust_the_time_of_a_file_that_changed_now():
    now = http_date(int(time.time()) * 10**9)

    assert not if_range_holds(now, etag=None, last_modified=now)


@pytest.mark.parametrize(
    ("header", "found"),
    [('"a"', True), ('W/"a"', True), ("a", True), ("*", True), ('"b", "a"', True), ('"b"', False)],
)
def test_etag_is_compared_weakly(header, found):
    assert etag_matches(header, "a") is found


@pytest.mark.parametrize(
    ("header", "old"),
    [
        (MTIME, True),
        ("Tue, 14 Nov 2023 22:13:19 GMT", False),
        ("Wed, 15 Nov 2023 00:00:00 GMT", True),
        ("x", False),
    ],
)
def test_time_of_change_is_compared_in_seconds(header, old):
    assert not_modified_since(header, MTIME_NS) is old


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("README.md.b2", 'attachment; filename="README.md.b2"'),
        ("été.b2", "attachment; filename=\"_t_.b2\"; filename*=UTF-8''%C3%A9t%C3%A9.b2"),
        ('a"b\\c\r\n', "attachment; filename=\"a_b_c__\"; filename*=UTF-8''a%22b%5Cc%0D%0A"),
        ("..%2Fx;y.txt", "attachment; filename=\".._2Fx;y.txt\"; filename*=UTF-8''..%252Fx%3By.txt"),
    ],
)
def test_filename_can_not_break_out_of_its_header(name, header):
    assert attachment(name) == header


@given(st.lists(st.tuples(st.integers(0, 9_999), st.integers(1, 500)), min_size=2, max_size=70))
def test_length_of_several_parts_is_known_in_advance(spans):
    ranges = [ByteRange(start, min(start + n, 10_000)) for start, n in spans]
    parts = Multipart(ranges, 10_000, "application/octet-stream", "b0")

    body = b"".join(head + BODY[start:stop] for head, (start, stop) in zip(parts.heads, ranges, strict=True))

    assert len(body + parts.closing) == parts.length


# Over HTTP


class File:
    """A body with its description, counting what is read."""

    def __init__(self, body: bytes = BODY, *, step: int = 1000) -> None:
        self.body = body
        self.step = step
        self.nread = 0
        self.nopen = 0

    async def read(self, start: int, stop: int):
        self.nopen += 1
        try:
            for i in range(start, stop, self.step):
                piece = self.body[i : min(stop, i + self.step)]
                self.nread += len(piece)
                yield piece
        finally:
            self.nopen -= 1


class FileHandler(Silent):
    async def get(self, path: str = "") -> None:
        file = self.service
        await self.send_ranges(
            file.read, len(file.body), etag="v1", mtime_ns=MTIME_NS, disposition=attachment("x.b2")
        )


async def ask(headers, method="GET", file=None):
    app = application(handlers={"fetch": FileHandler}, service=file or File())
    async with serving(app) as server, connected(server) as client:
        await client.send(request("/api/fetch/x", method, headers))
        return await client.answer(head=method == "HEAD")


def split(headers, body):
    """Take a multipart answer apart with the parser of the standard library."""
    message = email.message_from_bytes(
        f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body, policy=email.policy.HTTP
    )
    return [(part["Content-Range"], part.get_payload(decode=True)) for part in message.iter_parts()]


@pytest.mark.asyncio
async def test_whole_body_says_that_ranges_work():
    status, headers, body = await ask({})

    assert (status, body) == (200, BODY)
    assert headers["accept-ranges"] == "bytes"
    assert headers["etag"] == '"v1"'
    assert headers["last-modified"] == MTIME
    assert headers["content-disposition"] == 'attachment; filename="x.b2"'


@pytest.mark.asyncio
async def test_head_tells_the_whole_size_and_reads_nothing():
    file = File()

    status, headers, _ = await ask({"Range": "bytes=0-9"}, "HEAD", file)

    assert (status, headers["content-length"], file.nread) == (200, "10000", 0)
    assert headers["last-modified"] == MTIME


@pytest.mark.asyncio
async def test_one_range_reads_only_what_it_sends():
    file = File(step=7)

    status, headers, body = await ask({"Range": "bytes=100-199"}, file=file)

    assert (status, body, file.nread) == (206, BODY[100:200], 100)
    assert headers["content-range"] == "bytes 100-199/10000"
    assert headers["content-length"] == "100"


@pytest.mark.asyncio
@pytest.mark.parametrize("step", [7, 1000, 100_000])
async def test_several_ranges_are_parts_in_their_order(step):
    spans = [(i * 100, i * 100 + 30) for i in reversed(range(80))]
    file = File(step=step)

    status, headers, body = await ask(
        {"Range": "bytes=" + ",".join(f"{a}-{b - 1}" for a, b in spans)}, file=file
    )

    assert status == 206
    assert split(headers, body) == [(f"bytes {a}-{b - 1}/10000", BODY[a:b]) for a, b in spans]
    assert file.nopen == 0


@pytest.mark.asyncio
async def test_large_parts_arrive_whole():
    body = BODY * 100
    file = File(body, step=300_000)

    _, headers, found = await ask({"Range": "bytes=0-399999,500000-899999"}, file=file)

    assert [part for _, part in split(headers, found)] == [body[:400_000], body[500_000:900_000]]


@pytest.mark.asyncio
async def test_range_outside_is_416_with_the_size():
    status, headers, body = await ask({"Range": "bytes=10000-"})

    assert (status, headers["content-range"]) == (416, "bytes */10000")
    assert json.loads(body)["code"] == "range-not-satisfiable"


@pytest.mark.asyncio
async def test_range_of_other_content_is_the_whole():
    status, _, body = await ask({"Range": "bytes=0-9", "If-Range": '"v0"'})

    assert (status, body) == (200, BODY)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["If-None-Match", "If-Modified-Since"])
async def test_known_file_is_304_even_for_a_range(name):
    file = File()
    value = '"v1"' if name == "If-None-Match" else MTIME

    status, headers, body = await ask({"Range": "bytes=0-9", name: value}, file=file)

    assert (status, body, file.nread) == (304, b"", 0)
    assert headers["etag"] == '"v1"'


@pytest.mark.asyncio
async def test_etag_goes_before_the_time():
    status, _, _ = await ask({"If-None-Match": '"v0"', "If-Modified-Since": MTIME})

    assert status == 200


@pytest.mark.asyncio
async def test_empty_file_is_sent_whole():
    status, headers, body = await ask({}, file=File(b""))

    assert (status, headers["content-length"], body) == (200, "0", b"")
