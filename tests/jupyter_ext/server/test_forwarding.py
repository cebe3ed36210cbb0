"""What the Jupyter server forwards, what it adds and leaves out, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from caterva2.client.tokenfile import KeptToken, keep_token
from caterva2.compute.codec import stored_frame
from caterva2.model.routes import Media, Role, routes_of
from tests.jupyter_ext.server.conftest import Page, Recorder

ROWS = [row for row in routes_of(Role.SUBSCRIBER) if Media.WEBSOCKET not in row.media]
CASES = [(row, method) for row in ROWS for method in row.methods]


def address(path: str) -> str:
    for name, value in (("{path}", "foo/x.b2nd"), ("{root}", "foo")):
        path = path.replace(name, value)
    return path.partition("{")[0] + "abc" if "{" in path else path


@pytest.fixture
def traits(recorder: Recorder) -> dict[str, Any]:
    return {"subscribers": {"lab": recorder.url}}


def error(answer: Any) -> tuple[int, str]:
    return answer.code, json.loads(answer.body)["code"]


# who is let in


@pytest.mark.parametrize(
    "path",
    ["caterva2/api/status", "caterva2/s/lab/api/roots", "caterva2/s/lab/api/events", "caterva2/s/none/x"],
)
async def test_nobody_is_let_in_without_a_login_to_jupyter(page: Page, recorder: Recorder, path: str) -> None:
    answer = await page(path, known=False)

    assert answer.code == 403
    assert recorder.seen() == []


@pytest.mark.parametrize(
    "path", ["caterva2/api/current", "caterva2/api/login", "caterva2/api/logout", "caterva2/s/lab/api/move/"]
)
async def test_nobody_changes_anything_without_a_login_to_jupyter(
    page: Page, recorder: Recorder, path: str
) -> None:
    assert (await page(path, "POST", known=False, json={"name": "lab"})).code == 403
    assert recorder.seen() == []


async def test_a_page_of_another_site_can_not_make_a_browser_write(page: Page, recorder: Recorder) -> None:
    jar = await page.cookies()
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}

    answer = await page("caterva2/s/lab/api/remove/@public/x", "POST", known=False, headers=headers)

    assert error(answer) == (403, "not-permitted")
    assert recorder.seen() == []


async def test_our_own_page_may_write(page: Page, recorder: Recorder) -> None:
    jar = await page.cookies()
    headers = {
        "Cookie": "; ".join(f"{name}={value}" for name, value in jar.items()),
        "X-XSRFToken": jar["_xsrf"],
    }

    answer = await page("caterva2/s/lab/api/remove/@public/x", "POST", known=False, headers=headers)

    assert answer.code == 200
    assert recorder.seen() == ["POST /api/remove/@public/x"]


async def test_jupyters_authorizer_is_asked(page: Page, recorder: Recorder, jp_web_app: Any) -> None:
    class Readers:
        def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
            return (action, resource) == ("read", "caterva2")

    jp_web_app.settings["authorizer"] = Readers()

    assert (await page("caterva2/s/lab/api/roots")).code == 200
    assert (await page("caterva2/s/lab/api/fetch/foo/x", "POST", json={})).code == 200
    assert error(await page("caterva2/s/lab/api/remove/@public/x", "POST")) == (403, "not-permitted")
    assert (await page("caterva2/api/status")).code == 200
    assert (await page("caterva2/api/current", "POST", json={"name": "lab"})).code == 403


# what is forwarded


@pytest.mark.parametrize(("row", "method"), CASES, ids=[f"{row.name}-{method}" for row, method in CASES])
async def test_rows_are_forwarded_if_the_table_says_so(
    page: Page, recorder: Recorder, row: Any, method: str
) -> None:
    answer = await page(f"caterva2/s/lab{address(row.path)}", method)

    assert answer.code == 200 if row.proxied else answer.code in {404, 405}
    assert recorder.seen() == ([f"{method} {address(row.path)}"] if row.proxied else [])


@pytest.mark.parametrize(
    "path",
    [
        "s/other/api/roots",
        "s/127.0.0.1:80/api/roots",
        "s/http:%2F%2Fexample.org/api/roots",
        "s/..%2F..%2Fapi/contents",
        "s/lab/metrics",
        "s/lab/healthz",
        "s/lab//example.org/api/roots",
        "s/lab/http://example.org/api/roots",
        "s/lab/api/roots@example.org/",
        "s/lab/api/../metrics",
        "s/lab/api/%2e%2e/metrics",
        "s/lab/api",
        "s/lab/",
        "s/lab/api/adduser/",
        "s/lab/auth/jwt/login",
        "s/lab/api/tokens",
    ],
)
async def test_no_address_leads_elsewhere(page: Page, recorder: Recorder, path: str) -> None:
    answer = await page(f"caterva2/{path}")

    assert answer.code == 404
    assert recorder.seen() == []


@pytest.mark.parametrize(
    "path",
    [
        "foo/../bar",
        "foo/%2e%2e/bar",
        "foo%2F..%2Fbar",
        "foo/%00",
        "/etc/passwd",
        "foo/a%5Cb",
        "foo//bar",
        "foo/%0d%0aX-Evil:%201",
        "foo/%ff",
    ],
)
async def test_no_path_leaves_its_root(page: Page, recorder: Recorder, path: str) -> None:
    answer = await page(f"caterva2/s/lab/api/info/{path}")

    assert answer.code in {400, 404}
    assert recorder.seen() == []


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("api/info/foo/a%20b%23%3F%25.b2nd", "/api/info/foo/a%20b%23%3F%25.b2nd"),
        ("api/info/foo/%C3%A4.b2nd", "/api/info/foo/%C3%A4.b2nd"),
        ("api/list/foo/", "/api/list/foo"),
        ("api/fetch/foo/x?slice_=0:10,%20::2", "/api/fetch/foo/x?slice_=0%3A10%2C%20%3A%3A2"),
        ("api/fetch/foo/x?slice_=1&token=TOKEN&_xsrf=y", "/api/fetch/foo/x?slice_=1"),
        ("api/fetch/foo/x?slice_=a%26b%3D1", "/api/fetch/foo/x?slice_=a%26b%3D1"),
        ("api/roots/", "/api/roots"),
    ],
)
async def test_address_is_spelled_anew(page: Page, recorder: Recorder, path: str, sent: str) -> None:
    await page(f"caterva2/s/lab/{path.replace('TOKEN', page.token)}")

    assert recorder.seen() in ([f"GET {sent}"], [f"GET {sent}/"])


async def test_nothing_of_jupyter_reaches_the_subscriber(page: Page, recorder: Recorder) -> None:
    jar = await page.cookies()
    headers = {
        "Cookie": "; ".join(f"{name}={value}" for name, value in jar.items()),
        "X-XSRFToken": jar["_xsrf"],
        "Origin": "http://127.0.0.1",
        "Referer": "http://127.0.0.1/lab",
        "X-Forwarded-For": "10.0.0.1",
        "Caterva2-Secret": "guess",
        "User-Agent": "browser",
    }

    await page("caterva2/s/lab/api/fetch/foo/x?slice_=1", headers=headers)

    (request,) = (each for each in recorder.requests if "fetch" in each.uri)
    assert set(request.headers) <= {"Host", "Accept", "Accept-Encoding", "Connection", "User-Agent"}
    assert request.headers["User-Agent"] != "browser"
    assert recorder.url.endswith(request.headers["Host"])


async def test_our_credentials_are_added_here(
    page: Page, recorder: Recorder, extension: Any, jp_asyncio_loop: Any
) -> None:
    keep_token(recorder.url, KeptToken("c2t_mine", "ada", "1"))
    await extension.settings["caterva2_subscribers"].upstreams["lab"].load_token()

    await page("caterva2/s/lab/api/list/foo", headers={"X-Caterva2": "x"})

    (request,) = (each for each in recorder.requests if "list" in each.uri)
    assert request.headers["Authorization"] == "Bearer c2t_mine"


async def test_what_a_page_needs_to_know_is_sent_on_and_back(page: Page, recorder: Recorder) -> None:
    def answer(handler: Any) -> None:
        for name, value in {
            "ETag": '"1"', "Content-Range": "bytes 0-1/9", "Accept-Ranges": "bytes",
            "Caterva2-Shape": "1,2", "Set-Cookie": "c2subauth=x", "WWW-Authenticate": "Bearer",
            "Location": "http://elsewhere.example/", "Content-Type": "text/html",
            "Access-Control-Allow-Origin": "*", "Content-Security-Policy": "default-src *",
        }.items():  # fmt: skip
            handler.set_header(name, value)
        handler.set_status(206)
        handler.finish(b"<b")

    recorder.answer = answer
    sent = {
        "Range": "bytes=0-1",
        "If-None-Match": '"2"',
        "If-Match": '"1"',
        "If-Range": '"1"',
        "Accept": "a/b",
    }

    found = await page("caterva2/s/lab/api/download/foo/x.html", headers=sent)

    (request,) = (each for each in recorder.requests if "download" in each.uri)
    assert {name: request.headers[name] for name in sent} == sent
    assert (found.code, found.body) == (206, b"<b")
    headers = found.headers
    assert (headers["ETag"], headers["Content-Range"], headers["Caterva2-Shape"]) == (
        '"1"',
        "bytes 0-1/9",
        "1,2",
    )
    assert not {"Location", "Www-Authenticate"} & set(headers)
    assert "c2subauth" not in str(headers.get_list("Set-Cookie"))
    assert headers.get("Access-Control-Allow-Origin", "") == ""


async def test_a_file_of_somebody_can_not_act_as_the_user(page: Page, recorder: Recorder) -> None:
    recorder.answer = lambda handler: (
        handler.set_header("Content-Type", "text/html"),
        handler.finish("<script>"),
    )

    found = await page("caterva2/s/lab/api/download/foo/x.html")

    assert found.headers.get_list("Content-Security-Policy") == [
        "frame-ancestors 'self'; default-src 'none'; sandbox"
    ]
    assert found.headers["X-Content-Type-Options"] == "nosniff"


# what is written


async def test_errors_of_the_subscriber_arrive_as_they_are(page: Page, recorder: Recorder) -> None:
    def answer(handler: Any) -> None:
        handler.set_status(503)
        handler.set_header("Retry-After", "7")
        handler.finish(b'{"detail":"too much","code":"overloaded"}')

    recorder.answer = answer

    found = await page("caterva2/s/lab/api/roots")

    assert (found.code, found.body, found.headers["Retry-After"]) == (
        503, b'{"detail":"too much","code":"overloaded"}', "7",
    )  # fmt: skip


class TestReadOnly:
    @pytest.fixture
    def traits(self, recorder: Recorder) -> dict[str, Any]:
        return {"subscribers": {"lab": recorder.url}, "read_only": True}

    @pytest.mark.parametrize(
        ("path", "method"),
        [
            ("upload/@public/x", "POST"),
            ("uploads/abc", "PATCH"),
            ("uploads/abc", "DELETE"),
            ("move/", "POST"),
        ],
    )
    async def test_what_writes_is_refused(
        self, page: Page, recorder: Recorder, path: str, method: str
    ) -> None:
        answer = await page(f"caterva2/s/lab/api/{path}", method)

        assert error(answer) == (403, "not-permitted")
        assert json.loads(answer.body)["hint"] == "it is configured with read_only"
        assert recorder.seen() == []

    async def test_reading_by_post_is_not(self, page: Page, recorder: Recorder) -> None:
        assert (await page("caterva2/s/lab/api/fetch/foo/x", "POST", json={"slice_": "1"})).code == 200
        assert recorder.requests[-1].body == b'{"slice_": "1"}'


class TestLimit:
    @pytest.fixture
    def traits(self, recorder: Recorder) -> dict[str, Any]:
        return {"subscribers": {"lab": recorder.url}, "max_upload": "1K"}

    async def test_an_announced_upload_beyond_it_is_refused(self, page: Page, recorder: Recorder) -> None:
        answer = await page("caterva2/s/lab/api/upload/@public/x", "POST", body=b"x" * 1025)

        assert error(answer) == (413, "request-too-large")
        assert recorder.seen() == []

    async def test_one_that_announces_nothing_is_refused_on_the_way(self, page: Page) -> None:
        async def produce(write: Any) -> None:
            for _ in range(200):
                await write(b"x" * 1000)

        answer = await page("caterva2/s/lab/api/upload/@public/x", "POST", body_producer=produce)

        assert error(answer) == (413, "request-too-large")

    async def test_one_in_parts_is_refused_when_it_is_announced(self, page: Page, recorder: Recorder) -> None:
        answer = await page("caterva2/s/lab/api/uploads", "POST", json={"path": "@public/x", "size": 1025})

        assert error(answer) == (413, "request-too-large")
        assert recorder.seen() == []

    async def test_one_in_parts_can_not_grow_beyond_it(self, page: Page, recorder: Recorder) -> None:
        headers = {"Upload-Offset": "1000"}

        fits = await page("caterva2/s/lab/api/uploads/abc", "PATCH", headers=headers, body=b"x" * 24)
        answer = await page("caterva2/s/lab/api/uploads/abc", "PATCH", headers=headers, body=b"x" * 25)

        assert fits.code == 200
        assert error(answer) == (413, "request-too-large")

    async def test_a_malformed_announcement_is_for_the_subscriber(
        self, page: Page, recorder: Recorder
    ) -> None:
        await page("caterva2/s/lab/api/uploads", "POST", json={"path": 5})

        assert recorder.requests[-1].body == b'{"path": 5}'

    async def test_one_within_it_arrives(self, page: Page, recorder: Recorder) -> None:
        assert (await page("caterva2/s/lab/api/upload/@public/x", "POST", body=b"x" * 1024)).code == 200
        assert recorder.requests[-1].body == b"x" * 1024


# against a subscriber


class TestSubscriber:
    @pytest.fixture
    def traits(self, open_subscriber: str) -> dict[str, Any]:
        return {"subscriber_url": open_subscriber}

    @pytest.fixture
    def lab(self, extension: Any) -> str:
        return f"caterva2/s/{extension.settings['caterva2_subscribers'].current}/api"

    async def test_writing_is_refused_by_the_subscriber(self, page: Page, lab: str) -> None:
        answer = await page(f"{lab}/upload/@public/x.bin", "POST", body=b"x" * (1 << 20))

        assert error(answer) == (401, "not-authenticated")

    @pytest.mark.parametrize("mebibytes", [48, 100])
    async def test_an_early_error_of_a_large_upload_is_seen(
        self, page: Page, lab: str, mebibytes: int
    ) -> None:
        async def produce(write: Any) -> None:
            for _ in range(mebibytes):
                await write(b"x" * (1 << 20))

        answer = await page(f"{lab}/upload/@public/x.bin", "POST", body_producer=produce)

        assert error(answer) == (401, "not-authenticated")

    async def test_unknown_paths_are_told_by_the_subscriber(self, page: Page, lab: str) -> None:
        assert error(await page(f"{lab}/info/@public/none")) == (404, "dataset-not-found")
        assert error(await page(f"{lab}/list/none")) == (404, "root-not-found")


class TestEmbedded:
    """Nothing is configured."""

    @pytest.fixture
    def traits(self) -> dict[str, Any]:
        return {}

    async def test_a_file_goes_in_and_comes_out(self, page: Page, jp_root_dir: Any) -> None:
        frame = stored_frame(np.arange(1000))
        body = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.b2nd"\r\n\r\n'
            + frame
            + b"\r\n--b--\r\n"
        )
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        path = "caterva2/s/local/api/upload/@public/dir/x.b2nd"

        stored = await page(path, "POST", headers=headers, body=body)
        again = await page(path, "POST", headers={**headers, "If-None-Match": "*"}, body=body)
        read = await page("caterva2/s/local/api/download/@public/dir/x.b2nd")

        assert (stored.code, json.loads(stored.body)) == (200, "@public/dir/x.b2nd")
        assert again.code == 412
        assert read.body == frame == (jp_root_dir / "dir" / "x.b2nd").read_bytes()

    @pytest.mark.parametrize("mebibytes", [3, 70])
    async def test_a_large_file_that_is_there_already_is_told(
        self, page: Page, jp_root_dir: Any, mebibytes: int
    ) -> None:
        (jp_root_dir / "x.bin").write_bytes(b"old")
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.bin"\r\n\r\n'
        body = head + bytes(mebibytes << 20) + b"\r\n--b--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        path = "caterva2/s/local/api/upload/@public/x.bin"

        refused = await page(path, "POST", headers={**headers, "If-None-Match": "*"}, body=body)
        kept = (jp_root_dir / "x.bin").read_bytes()
        stored = await page(path, "POST", headers=headers, body=body)

        assert error(refused) == (412, "dataset-changed")
        assert kept == b"old"
        assert stored.code == 200
        assert (jp_root_dir / "x.bin").stat().st_size == mebibytes << 20

    async def test_ranges_and_generations_pass(self, page: Page, jp_root_dir: Any) -> None:
        (jp_root_dir / "x.bin").write_bytes(bytes(range(100)))
        path = "caterva2/s/local/api/download/@public/x.bin"

        whole = await page(path)
        part = await page(path, headers={"Range": "bytes=10-19"})
        known = await page(path, headers={"If-None-Match": whole.headers["ETag"]})
        head = await page(path, "HEAD")
        outside = await page(path, headers={"Range": "bytes=1000-"})

        assert (part.code, part.body) == (206, bytes(range(10, 20)))
        assert part.headers["Content-Range"] == "bytes 10-19/100"
        assert (known.code, known.body) == (304, b"")
        assert (head.code, head.headers["Content-Length"], head.body) == (200, "100", b"")
        assert outside.code == 416

    async def test_a_resumable_upload_goes_through(self, page: Page, jp_root_dir: Any) -> None:
        begun = await page("caterva2/s/local/api/uploads", "POST", json={"path": "@public/y.bin", "size": 6})
        upload = f"caterva2/s/local/api/uploads/{json.loads(begun.body)['id']}"
        first = await page(upload, "PATCH", headers={"Upload-Offset": "0"}, body=b"abc")
        second = await page(upload, "PATCH", headers={"Upload-Offset": "3"}, body=b"def")
        done = await page(upload, "POST")

        assert [first.headers["Upload-Offset"], second.headers["Upload-Offset"]] == ["3", "6"]
        assert json.loads(done.body) == "@public/y.bin"
        assert (jp_root_dir / "y.bin").read_bytes() == b"abcdef"

    async def test_hidden_files_stay_hidden(self, page: Page, jp_root_dir: Any) -> None:
        (jp_root_dir / ".ipynb_checkpoints").mkdir()
        (jp_root_dir / ".ipynb_checkpoints" / "x.ipynb").write_text("{}")
        (jp_root_dir / "x.ipynb").write_text("{}")

        assert json.loads((await page("caterva2/s/local/api/list/@public")).body) == ["x.ipynb"]
        assert (await page("caterva2/s/local/api/info/@public/.ipynb_checkpoints/x.ipynb")).code == 404
