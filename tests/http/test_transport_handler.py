"""What every endpoint does alike: routes, errors, decoding, conditional requests, streams."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from caterva2 import errors
from caterva2.model.paths import DatasetPath
from caterva2.model.requests import BlocksRequest, ChunkQuery, FetchQuery
from caterva2.model.routes import Role, routes_of
from caterva2.transport.app import make_application
from caterva2.transport.handler import BaseHandler
from tests.support.serving import Silent, application, connected, request, serving

pytestmark = pytest.mark.asyncio


class PathHandler(Silent):
    async def get(self, path: str) -> None:
        self.send_json(str(DatasetPath.from_url(path)))


class GetHandler(BaseHandler):
    async def get(self, path: str) -> None:
        self.send_json(path)


async def ask(app, target, method="GET", headers=None, body=b"", *, head=False):
    async with serving(app) as server, connected(server) as client:
        await client.send(request(target, method, headers, body))
        return await client.answer(head=head)


# Routes


def without(name: str) -> dict[str, type[BaseHandler]]:
    return {route.name: Silent for route in routes_of(Role.PUBLISHER) if route.name != name}


async def test_route_without_handler_refuses_to_start():
    with pytest.raises(RuntimeError, match="route 'catalog' has no handler"):
        make_application(Role.PUBLISHER, without("catalog"), None)


async def test_handler_without_route_refuses_to_start():
    with pytest.raises(RuntimeError, match="handler 'fetch' has no route"):
        make_application(Role.PUBLISHER, without("") | {"fetch": Silent}, None)


async def test_handler_without_method_refuses_to_start():
    with pytest.raises(RuntimeError, match="GetHandler of route 'blocks' has no POST"):
        make_application(Role.PUBLISHER, without("") | {"blocks": GetHandler}, None)


@pytest.mark.parametrize(("method", "name"), [("GET", "broker-roots"), ("POST", "register")])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_two_rows_of_one_path_are_told_apart_by_method(method, name, slash):
    status, _, body = await ask(application(Role.BROKER), "/api/roots" + slash, method)

    assert (status, json.loads(body)) == (200, f"{name} ")


async def test_unknown_address_is_404_with_the_known_detail():
    status, headers, body = await ask(application(), "/api/nothing")

    answer = json.loads(body)
    assert (status, headers["content-type"]) == (404, "application/json")
    assert (answer["detail"], answer["code"]) == ("Not Found", "route-not-found")
    assert answer["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize("method", ["DELETE", "PUT", "OPTIONS", "BREW"])
async def test_wrong_method_is_405_with_allow(method):
    status, headers, body = await ask(application(), "/api/fetch/foo", method)

    assert (status, headers["allow"]) == (405, "GET, HEAD, POST")
    assert json.loads(body)["detail"] == "Method Not Allowed"


@pytest.mark.parametrize("method", ["DELETE", "BREW"])
async def test_unknown_address_is_404_whatever_the_method(method):
    assert (await ask(application(), "/api/nothing", method))[0] == 404


async def test_bytes_that_should_have_been_encoded_are_read_as_utf8():
    target = "/api/info/foo/é".encode().decode("latin-1")

    assert json.loads((await ask(application(handlers={"info": PathHandler}), target))[2]) == "foo/é"


async def test_usual_reason_phrases_are_on_the_status_line():
    async with serving(application()) as server, httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.get("/nothing")

    assert answer.reason_phrase == "Not Found"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/api/info/foo/dir%201/%C3%A9t%C3%A9.b2nd", "foo/dir 1/été.b2nd"),
        ("/api/info/foo/a;b=c,d@e!$&'()*+=:~", "foo/a;b=c,d@e!$&'()*+=:~"),
        ("http://example.org:80/api/info/foo/x", "foo/x"),
        ("/api/info/foo/100%2525", "foo/100%25"),
        ("/api/info/foo/dir/", "foo/dir"),
        ("/api/info/@public/x", "@public/x"),
        ("/api/info/foo/a%3Fb?x=1", "foo/a?b"),
    ],
)
async def test_path_is_decoded_once(target, path):
    status, _, body = await ask(application(handlers={"info": PathHandler}), target)

    assert (status, json.loads(body)) == (200, path)


@pytest.mark.parametrize(
    "rest",
    [
        "foo/%2e%2e/x",
        "%2e%2e",
        "foo/../x",
        "foo/%FF",
        "foo/%00",
        "foo/a%5Cb",
        "foo//x",
        "%2Ffoo",
        "foo/..%2Fx",
        "",
    ],
)
async def test_bad_path_is_400(rest):
    status, _, body = await ask(application(handlers={"info": PathHandler}), f"/api/info/{rest}")

    assert (status, json.loads(body)["code"]) == (400, "bad-path")


async def test_prefix_without_slash_is_the_empty_path():
    status, _, body = await ask(application(handlers={"info": PathHandler}), "/api/info")

    assert (status, json.loads(body)["code"]) == (400, "bad-path")


async def test_root_is_one_part():
    app = application()

    assert (await ask(app, "/api/subscribe/foo", "POST"))[2] == b'"subscribe foo"'
    assert (await ask(application(), "/api/subscribe/foo/", "POST"))[2] == b'"subscribe foo"'
    assert (await ask(application(), "/api/subscribe/foo/bar", "POST"))[0] == 404


async def test_post_without_anything_is_fine():
    status, headers, body = await ask(application(), "/api/subscribe/foo", "POST", {"Content-Length": "0"})

    assert (status, body) == (200, b'"subscribe foo"')
    assert "set-cookie" not in headers


async def test_head_answers_like_get_without_body():
    async with serving(application()) as server, connected(server) as client:
        await client.send(request("/api/roots", "HEAD"))
        status, headers, _ = await client.answer(head=True)
        await client.send(request("/api/roots"))
        again = await client.answer()

    assert (status, headers["content-length"]) == (200, str(len(again[2])))
    assert again[2] == b'"roots "'


# Request ids and service secret


async def test_sane_request_id_is_kept():
    _, headers, _ = await ask(application(), "/api/roots", headers={"X-Request-Id": "abc-1.2"})

    assert headers["x-request-id"] == "abc-1.2"


@pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>"])
async def test_other_request_id_is_replaced(given):
    _, headers, _ = await ask(application(), "/api/roots", headers={"X-Request-Id": given})

    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", headers["x-request-id"])


@pytest.mark.parametrize("given", [{}, {"Caterva2-Secret": "wrong"}, {"Caterva2-Secret": "sech"}])
async def test_service_route_without_the_secret_is_401(given):
    app = application(Role.PUBLISHER, secret="sesame")

    status, _, body = await ask(app, "/api/list", headers=given)

    assert (status, json.loads(body)["code"]) == (401, "not-authenticated")
    assert b"sesame" not in body


async def test_service_route_with_the_secret_is_served():
    app = application(Role.PUBLISHER, secret="sesame")

    assert (await ask(app, "/api/list", headers={"Caterva2-Secret": "sesame"}))[0] == 200


async def test_public_route_needs_no_secret():
    assert (await ask(application(Role.PUBLISHER, secret="sesame"), "/healthz"))[0] == 200


# Decoding


class QueryHandler(Silent):
    async def get(self, path: str = "") -> None:
        query = self.query(FetchQuery)
        self.send_json([query.slice_, query.field])

    async def post(self, path: str = "") -> None:
        self.send_json(self.json_body(FetchQuery))


class ChunkHandler(Silent):
    async def get(self, path: str = "") -> None:
        self.send_json(self.query(ChunkQuery).nchunk)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("slice_=0:10,%205", ["0:10, 5", None]),
        ("slice_=", [None, None]),
        ("slice_=1+2", ["1 2", None]),
        ("field=%C3%A9", [None, "é"]),
        ("", [None, None]),
    ],
)
async def test_query_is_decoded(query, found):
    _, _, body = await ask(application(handlers={"fetch": QueryHandler}), f"/api/fetch/foo?{query}")

    assert json.loads(body) == found


@pytest.mark.parametrize(
    ("query", "loc"),
    [
        ("slices=1", ["query", "slices"]),
        ("slice_=1&slice_=2", ["query", "slice_"]),
        ("slice_=%FF", ["query", "slice_"]),
        ("unknown=", ["query", "unknown"]),
    ],
)
async def test_bad_query_is_422_and_names_the_parameter(query, loc):
    status, _, body = await ask(application(handlers={"fetch": QueryHandler}), f"/api/fetch/foo?{query}")

    assert (status, json.loads(body)["detail"][0]["loc"]) == (422, loc)


@pytest.mark.parametrize("query", ["", "nchunk=", "nchunk=x", "nchunk=1.5"])
async def test_missing_or_mistyped_number_is_422(query):
    status, _, body = await ask(application(handlers={"chunk": ChunkHandler}), f"/api/chunk/foo?{query}")

    assert (status, json.loads(body)["detail"][0]["loc"]) == (422, ["query", "nchunk"])


async def test_unknown_parameter_is_ignored_where_the_contract_says_so():
    _, _, body = await ask(application(handlers={"chunk": ChunkHandler}), "/api/chunk/foo?nchunk=3&x=1&x=2")

    assert json.loads(body) == 3


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"slice_": 3}', b'{"unknown": "x"}', b""])
async def test_bad_json_body_is_422(body):
    status, _, answer = await ask(
        application(handlers={"fetch": QueryHandler}), "/api/fetch/x", "POST", body=body
    )

    assert (status, json.loads(answer)["detail"][0]["loc"][0]) == (422, "body")


class BlocksHandler(BaseHandler):
    async def post(self, path: str = "") -> None:
        self.send_json(self.msgpack_or_json_body(BlocksRequest).ranges)


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("application/json", b'{"ranges": [[1, 2]]}'),
        ("application/json; charset=utf-8", b'{"ranges": [[1, 2]]}'),
        ("application/vnd.msgpack", b"\x81\xa6ranges\x91\x92\x01\x02"),
    ],
)
async def test_body_is_messagepack_or_json_by_its_type(media, body):
    app = application(Role.PUBLISHER, {"blocks": BlocksHandler})

    assert (await ask(app, "/api/blocks/x", "POST", {"Content-Type": media}, body))[2] == b"[[1,2]]"


async def test_malformed_form_is_400_in_the_usual_shape():
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    status, _, body = await ask(application(), "/api/subscribe/foo", "POST", headers, b"nonsense")

    assert (status, json.loads(body)["code"]) == (400, "bad-request")


async def test_large_body_is_413_in_the_usual_shape_and_the_connection_goes_on():
    async with serving(application(max_body_size=1000)) as server, connected(server) as client:
        await client.send(request("/api/fetch/x", "POST", body=b"x" * 1_000_000))
        status, _, body = await client.answer()
        await client.send(request("/api/roots"))
        again = await client.answer()

    assert (status, json.loads(body)["code"], again[0]) == (413, "request-too-large", 200)


async def test_large_body_that_waits_for_a_go_is_refused_before_it_is_sent():
    async with serving(application(max_body_size=1000)) as server, connected(server) as client:
        await client.send(
            request("/api/fetch/x", "POST", {"Content-Length": "100000000000", "Expect": "100-continue"})
        )
        status, _, _ = await client.answer()
        rest = await client.rest()

    assert (status, rest) == (413, b"")


# Errors


class FailingHandler(Silent):
    async def get(self, path: str = "") -> None:
        raise self.service


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.DatasetNotFound("no such file: foo/x"), 404),
        (errors.BadSlice("slice 'x' is malformed"), 400),
        (errors.DatasetChanged("changed", etag="1-2"), 412),
        (errors.PublisherUnavailable("foo does not answer"), 503),
        (errors.TimedOut("no answer in 5 s"), 504),
    ],
)
async def test_error_of_a_service_is_its_status_and_body(error, status):
    found, _, body = await ask(application(handlers={"fetch": FailingHandler}, service=error), "/api/fetch/x")

    answer = json.loads(body)
    assert (found, answer["detail"], answer["code"]) == (status, error.message, error.code)
    assert answer.get("fields", {}) == error.fields


async def test_overload_tells_when_to_come_back():
    error = errors.Overloaded("too much", retry_after_s=3)

    status, headers, _ = await ask(
        application(handlers={"fetch": FailingHandler}, service=error), "/api/fetch/x"
    )

    assert (status, headers["retry-after"]) == (503, "3")


async def test_range_outside_tells_the_size():
    error = errors.RangeNotSatisfiable("outside", size=10)

    _, headers, _ = await ask(application(handlers={"fetch": FailingHandler}, service=error), "/api/fetch/x")

    assert headers["content-range"] == "bytes */10"


async def test_defect_is_500_without_internals_and_logged_with_the_id(caplog):
    error = KeyError("/secret/path")

    status, headers, body = await ask(
        application(handlers={"fetch": FailingHandler}, service=error), "/api/fetch/x"
    )

    assert (status, json.loads(body)["code"]) == (500, "internal-error")
    assert b"secret" not in body
    [record] = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert json.loads(body)["request_id"] == headers["x-request-id"]


async def test_cancelled_work_is_503():
    error = asyncio.CancelledError()

    status, _, body = await ask(
        application(handlers={"fetch": FailingHandler}, service=error), "/api/fetch/x"
    )

    assert (status, json.loads(body)["code"]) == (503, "overloaded")


# Conditional requests and timings


class TaggedHandler(Silent):
    async def get(self, path: str = "") -> None:
        self.timing("disk", 0.0015)
        self.timing("cpu", 0.25)
        self.send_bytes(b"body", etag="v1-x")


@pytest.mark.parametrize("wanted", ['"v1-x"', 'W/"v1-x"', '"other", "v1-x"', "*", "v1-x"])
async def test_known_content_is_304(wanted):
    app = application(handlers={"fetch": TaggedHandler})

    status, headers, body = await ask(app, "/api/fetch/x", headers={"If-None-Match": wanted})

    assert (status, body, headers["etag"]) == (304, b"", '"v1-x"')
    assert "content-type" not in headers


@pytest.mark.parametrize("wanted", ['"other"', '"v1"', "", '"v1-x'])
async def test_other_content_is_sent(wanted):
    app = application(handlers={"fetch": TaggedHandler})

    status, headers, body = await ask(app, "/api/fetch/x", headers={"If-None-Match": wanted})

    assert (status, body, headers["etag"]) == (200, b"body", '"v1-x"')


async def test_timings_are_told_in_milliseconds():
    _, headers, _ = await ask(application(handlers={"fetch": TaggedHandler}), "/api/fetch/x")

    assert headers["server-timing"] == "disk;dur=1.500, cpu;dur=250.000"


@pytest.mark.parametrize("size", [0, 400, 70_000, 5_000_000])
@pytest.mark.parametrize("view", [False, True], ids=["bytes", "view"])
async def test_bytes_arrive_whole(size, view):
    data = bytes(i * i % 251 for i in range(1000)) * (size // 1000) + b"x" * (size % 1000)

    class Handler(Silent):
        async def get(self, path: str = "") -> None:
            self.send_bytes(memoryview(data) if view else data)

    app = application(handlers={"fetch": Handler})
    async with serving(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.get("/api/fetch/x")

    assert answer.content == data
    assert answer.headers["content-length"] == str(size)


# Streams


class Pieces:
    """A body in pieces that remembers how it ended."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces
        self.nasked = 0
        self.closed = asyncio.Event()

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                self.nasked += 1
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed.set()


class StreamHandler(Silent):
    length: int | None = None

    async def get(self, path: str = "") -> None:
        await self.send_stream(self.service(), self.length)


def streaming(pieces, length):
    handler = type("Handler", (StreamHandler,), {"length": length})
    return application(handlers={"fetch": handler}, service=pieces)


async def test_stream_arrives_whole():
    pieces = Pieces(b"a" * 10, b"", b"b" * 100_000, b"c")

    status, _, body = await ask(streaming(pieces, 100_011), "/api/fetch/x")

    assert (status, body) == (200, b"a" * 10 + b"b" * 100_000 + b"c")


async def test_stream_of_unknown_length_arrives_whole():
    app = streaming(Pieces(b"a" * 10, b"b" * 100_000), None)
    async with serving(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.get("/api/fetch/x")

    assert answer.content == b"a" * 10 + b"b" * 100_000


async def test_head_of_a_stream_reads_nothing():
    pieces = Pieces(b"abc")

    status, headers, _ = await ask(streaming(pieces, 3), "/api/fetch/x", "HEAD", head=True)

    assert (status, headers["content-length"], pieces.nasked) == (200, "3", 0)


async def test_failure_before_the_first_piece_is_an_ordinary_error():
    status, headers, body = await ask(streaming(Pieces(errors.CorruptChunk("bad")), 3), "/api/fetch/x")

    assert (status, json.loads(body)["code"]) == (502, "corrupt-chunk")
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize("length", [1000, None], ids=["known", "chunked"])
async def test_failure_in_the_middle_ends_the_connection(length):
    app = streaming(Pieces(b"a" * 10, errors.CorruptChunk("bad")), length)

    async with serving(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/api/fetch/x")


@pytest.mark.parametrize("pieces", [(b"a" * 10,), (b"a" * 10, b"b" * 991)], ids=["short", "long"])
async def test_body_of_another_length_than_announced_ends_the_connection(pieces, caplog):
    async with serving(streaming(Pieces(*pieces), 1000)) as server, connected(server) as client:
        await client.send(request("/api/fetch/x"))
        await client.reader.readuntil(b"\r\n\r\n")
        body = await client.rest()

    assert len(body) < 1000
    assert "bytes announced" in caplog.text


class EndlessHandler(Silent):
    async def get(self, path: str = "") -> None:
        await self.send_stream(self.service(), None)


async def test_client_that_leaves_ends_the_stream_without_a_traceback(caplog):
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
        finally:
            closed.set()

    app = application(handlers={"fetch": EndlessHandler}, service=endless)
    async with serving(app) as server:
        async with connected(server) as client:
            await client.send(request("/api/fetch/x"))
            await client.reader.readexactly(1_000_000)
        await asyncio.wait_for(closed.wait(), 5)

    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert app.context.metrics.requests.in_flight == 0


async def test_slow_client_slows_the_stream():
    nmade = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal nmade
        while True:
            nmade += 1
            yield b"x" * 1_000_000
            await asyncio.sleep(0)

    app = application(handlers={"fetch": EndlessHandler}, service=endless)
    async with serving(app) as server, connected(server) as client:
        await client.send(request("/api/fetch/x"))
        await client.reader.readuntil(b"\r\n\r\n")
        for _ in range(1000):
            await asyncio.sleep(0)

    assert nmade < 50


class WaitingHandler(Silent):
    async def get(self, path: str = "") -> None:
        await self.service.wait()

    async def post(self, path: str = "") -> None:
        await self.service.wait()
        self.send_json("Ok")


class Waiting:
    """Work that waits, and tells how it ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.ended = asyncio.Event()
        self.cancelled = False

    async def wait(self) -> None:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.ended.set()


async def test_client_that_leaves_cancels_a_read():
    waiting = Waiting()
    app = application(handlers={"fetch": WaitingHandler}, service=waiting)

    async with serving(app) as server:
        async with connected(server) as client:
            await client.send(request("/api/fetch/x"))
            await waiting.begun.wait()
        await asyncio.wait_for(waiting.ended.wait(), 5)

    assert waiting.cancelled
    assert app.context.metrics.requests.in_flight == 0


async def test_client_that_leaves_does_not_cancel_a_change():
    waiting = Waiting()
    app = application(handlers={"subscribe": WaitingHandler}, service=waiting)

    async with serving(app) as server:
        async with connected(server) as client:
            await client.send(request("/api/subscribe/foo", "POST"))
            await waiting.begun.wait()
        asyncio.get_running_loop().call_later(0.05, waiting.go.set)
        await asyncio.wait_for(waiting.ended.wait(), 5)

    assert not waiting.cancelled
