"""Requests as they are built, and answers as they are read; nothing is sent."""

from __future__ import annotations

import json

import pytest

from caterva2 import errors
from caterva2.client import calls
from caterva2.client.calls import Reply
from caterva2.model.requests import BlocksRequest, CatalogPage, CatalogQuery
from caterva2.model.routes import ROUTES, Role, route
from caterva2.model.wire import to_msgpack

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("call", "method", "target"),
    [
        (calls.roots(), "GET", "/api/roots"),
        (calls.subscribe("foo"), "POST", "/api/subscribe/foo"),
        (calls.subscribe("@public"), "POST", "/api/subscribe/@public"),
        (calls.list_files("foo/"), "GET", "/api/list/foo"),
        (calls.list_files("foo", limit=2, after="a b"), "GET", "/api/list/foo?limit=2&after=a%20b"),
        (calls.info("foo/a b/ü%?#.b2nd"), "GET", "/api/info/foo/a%20b/%C3%BC%25%3F%23.b2nd"),
        (calls.fetch("foo/a"), "GET", "/api/fetch/foo/a"),
        (calls.fetch("foo/a", "0:5,:"), "GET", "/api/fetch/foo/a?slice_=0%3A5%2C%3A"),
        (calls.fetch("foo/a", "1", column="x y"), "GET", "/api/fetch/foo/a?slice_=1&field=x%20y"),
        (calls.chunk("foo/a", 0), "GET", "/api/chunk/foo/a?nchunk=0"),
        (calls.download("foo/a"), "GET", "/api/download/foo/a"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_call_has_method_and_target(call: calls.Call[object], method: str, target: str) -> None:
    assert (call.method, call.target) == (method, target)
    assert call.idempotent


def test_fetch_says_what_it_can_read() -> None:
    headers = calls.fetch("foo/a").headers

    assert headers["Accept"] == "application/vnd.caterva2.chunks, application/octet-stream"


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.roles[0]} {row.name}")
def test_every_row_of_the_table_can_be_called(row: object) -> None:
    call = calls.call(row, path="foo/a", root="foo", part="x")  # type: ignore[arg-type]

    assert call.target.startswith("/")
    assert "{" not in call.target


def test_services_call_by_the_table() -> None:
    row = route(Role.PUBLISHER, "catalog")
    page = CatalogPage(entries=[], next=None, epoch="e", seq=3)

    call = calls.call(row, query=CatalogQuery(after="x"))

    assert call.target == "/api/catalog?after=x&limit=1000"
    assert call.result(Reply(200, {}, to_msgpack(page))) == page


def test_body_is_json_and_post_is_not_repeated() -> None:
    call = calls.call(route(Role.PUBLISHER, "blocks"), path="a", body=BlocksRequest(skeleton=True))

    assert json.loads(call.body or b"") == {"skeleton": True, "chunks": [], "ranges": []}
    assert call.headers["Content-Type"] == "application/json"
    assert not call.idempotent


@pytest.mark.parametrize("path", ["", "/", "/a", "a/../b", "a//b", "a\\b", "a\x00"])
def test_path_that_names_nothing_is_refused(path: str) -> None:
    with pytest.raises(errors.BadPath):
        calls.info(path)


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"detail": "x", "code": "dataset-not-found"}, 404, errors.DatasetNotFound),
        ({"detail": "x", "code": "bad-slice"}, 400, errors.BadSlice),
        ({"detail": "x", "code": "later-invention"}, 409, errors.AlreadyExists),
        ({"detail": "x"}, 404, errors.NotFound),
        ({"detail": "x"}, 401, errors.NotAuthenticated),
        ({"detail": "x"}, 418, errors.RequestError),
        ({"detail": "x"}, 503, errors.Overloaded),
        ({"detail": "x"}, 599, errors.ServiceError),
        (
            {"detail": [{"type": "missing", "loc": ["query", "nchunk"], "msg": "x"}]},
            422,
            errors.ValidationFailed,
        ),
        ({}, 500, errors.InternalError),
        ("x", 400, errors.BadRequest),
    ],
    ids=str,
)
def test_error_is_the_class_of_its_code_or_status(
    body: object, status: int, expected: type[errors.Caterva2Error]
) -> None:
    with pytest.raises(errors.Caterva2Error) as caught:
        calls.check(Reply(status, JSON, json.dumps(body).encode()))

    assert type(caught.value) is expected


def test_error_keeps_hint_fields_and_request_id() -> None:
    body = {
        "detail": "d",
        "code": "overloaded",
        "hint": "h",
        "fields": {"retry_after_s": 3},
        "request_id": "r",
    }

    error = calls.error_of(Reply(503, JSON, json.dumps(body).encode()))

    assert (str(error), error.fields, error.request_id) == ("d (h)", {"retry_after_s": 3}, "r")


def test_error_without_body_says_the_status() -> None:
    error = calls.error_of(Reply(504, {"x-request-id": "r"}, b"<html>"))

    assert str(error) == "the server answered 504 Gateway Timeout"
    assert error.request_id == "r"


@pytest.mark.parametrize(
    "text",
    ["c2subauth=a.b-c_d; HttpOnly; Path=/; SameSite=lax", "c2subauth=a.b-c_d", 'c2subauth="a.b"; Path=/'],
)
def test_login_keeps_the_first_cookie_as_it_is(text: str) -> None:
    call = calls.login("jane@example.org", "a b&c")

    assert call.body == b"username=jane%40example.org&password=a+b%26c"
    assert call.result(Reply(204, {"set-cookie": text}, b"")) == text.partition(";")[0]


def test_login_without_a_cookie_is_an_error() -> None:
    with pytest.raises(errors.ProtocolMismatch):
        calls.login("a", "b").result(Reply(204, {}, b""))
