"""The page under its strict policy: all is still shown, and pages of other sites get nothing out of it."""

from __future__ import annotations

import contextlib
import http.server
import json
import struct
import threading
import zlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.processes import Network
from tests.support.webpage import BUILT, PASSWORD, WebPage

pytestmark = pytest.mark.slow
ADA = "ada@example.org"
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><style>rect{fill:red}</style>'
    b'<rect width="9" height="9"/></svg>'
)
PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>endobj
trailer<</Root 1 0 R>>
%%EOF
"""


def picture() -> bytes:
    """Return a PNG of 30 x 20 pixels."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(range(30)) for _ in range(20))
    head = struct.pack(">IIBBBBB", 30, 20, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network with a file of every kind that the page can show."""
    if not BUILT.exists():
        pytest.skip("the page is not built: make web")
    with Network(tmp_path_factory.mktemp("policy"), secret="correct horse battery staple") as network:
        network.add("foo/photo.png", picture())
        network.add("foo/drawing.svg", SVG)
        network.add("foo/paper.pdf", PDF)
        network.add("foo/notes.md", b"# Notes\n\n![photo](photo.png)\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n")
        outputs = [
            {"output_type": "display_data", "data": data, "metadata": {}}
            for data in (
                {"image/png": b64encode(picture()).decode()},
                {"image/svg+xml": SVG.decode()},
                {"text/html": "<table><tr><td>cell of a table</td></tr></table>"},
            )
        ]
        cell = {"cell_type": "code", "source": "1", "outputs": outputs, "execution_count": 1}
        book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
        network.add("foo/book.ipynb", json.dumps(book).encode())
        network.add_array("foo/stack.b2nd", np.arange(24 * 32 * 48, dtype="f4").reshape(24, 32, 48))
        network.add_array("foo/line.b2nd", np.sin(np.linspace(0, 20, 1000)))
        network.add_array("foo/table.b2nd", np.zeros(50, dtype=[("name", "S8"), ("energy", "<f8")]))
        network.subscribe("foo")
        yield network


@pytest.fixture
def web(network: Network, page: Any) -> Iterator[WebPage]:
    """A page; its policy has refused nothing in the end."""
    web = WebPage(page, network.subscriber.url)
    yield web
    assert web.problems == []


@pytest.mark.parametrize("path", ["foo/photo.png", "foo/drawing.svg", "foo/notes.md"])
def test_pictures_are_shown(web: WebPage, path: str) -> None:
    web.open(f"roots/{path}")
    image = web.shown(path).locator("img")
    expect(image).to_have_js_property("naturalWidth", 30)


def test_a_pdf_is_shown_by_the_browser(web: WebPage) -> None:
    with web.page.expect_event("frameattached"):
        web.open("roots/foo/paper.pdf")
        web.shown("foo/paper.pdf")

    frame = web.page.locator(".jp-Caterva2-View-pdf iframe")
    expect(frame).to_have_attribute("title", "paper.pdf")
    expect(frame).to_have_js_property("contentDocument.contentType", "application/pdf")


def test_a_notebook_is_shown_with_its_outputs(web: WebPage) -> None:
    web.open("roots/foo/book.ipynb")
    shown = web.shown("foo/book.ipynb")

    expect(shown.get_by_role("cell", name="cell of a table")).to_be_visible()
    for number in range(2):
        expect(shown.locator("img").nth(number)).to_have_js_property("naturalWidth", 30)


@pytest.mark.parametrize("file", ["stack.b2nd", "line.b2nd", "table.b2nd"])
def test_every_view_of_an_array_is_shown(web: WebPage, file: str) -> None:
    web.open(f"roots/foo/{file}")
    shown = web.shown(f"foo/{file}")
    views = shown.get_by_role("toolbar").first.get_by_role("radio")
    assert views.count() > 1
    for number in range(views.count()):
        views.nth(number).check(force=True)
        web.shown(f"foo/{file}")


@pytest.fixture
def elsewhere(browser: Browser, network: Network) -> Iterator[Page]:
    """A page of another origin at the same site, so that its requests bring Ada's cookie along."""
    context = browser.new_context()
    web = WebPage(context.new_page(), network.subscriber.url)
    network.http.post("/auth/register", json={"email": ADA, "password": PASSWORD})
    web.log_in(ADA)
    web.row("@personal").wait_for()
    web.drop_file("@personal", "mine.txt", b"mine")
    web.row("@personal/mine.txt").wait_for()
    with other_site() as address:
        page = context.new_page()
        page.goto(address)
        yield page
        web.page.reload()
        web.expand("@personal")
        web.row("@personal/mine.txt").wait_for()
        assert web.page.locator('[data-path="@personal/taken"]').count() == 0
    context.close()


@contextlib.contextmanager
def other_site() -> Iterator[str]:
    """Serve an empty page at another port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title><body>")

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)


def test_another_site_writes_nothing_for_who_is_logged_in(elsewhere: Page, network: Network) -> None:
    answers = elsewhere.evaluate(
        """async base => {
            const how = {method: 'POST', credentials: 'include', mode: 'no-cors'};
            const wishes = [['remove/@personal/mine.txt', how], ['mkdir/@personal/taken', how],
                ['tokens', {...how, mode: 'cors', body: '{"name":"x"}'}]];
            return Promise.all(wishes.map(([endpoint, how]) =>
                fetch(`${base}/api/${endpoint}`, how).then(() => 'read', () => 'refused')));
        }""",
        network.subscriber.url,
    )
    assert answers == ["refused"] * 3

    elsewhere.evaluate(
        """base => {
            const form = document.createElement('form');
            form.method = 'POST';
            form.action = `${base}/api/remove/@personal/mine.txt`;
            document.body.append(form);
            form.submit();
        }""",
        network.subscriber.url,
    )
    elsewhere.wait_for_url("**/api/remove/**")
    assert "a page of another site may not do this here" in elsewhere.content()


def test_another_site_reads_follows_and_frames_nothing(elsewhere: Page, network: Network) -> None:
    got = elsewhere.evaluate(
        """async base => {
            const told = (node, name, value) => new Promise(done => {
                node.onload = () => done('loaded');
                node.onerror = () => done('refused');
                node[name] = value;
                document.body.append(node);
            });
            const make = tag => document.createElement(tag);
            return {
                me: await fetch(`${base}/api/me`, {credentials: 'include'})
                    .then(() => 'read', () => 'refused'),
                events: await new Promise(done => {
                    const socket = new WebSocket(`${base.replace('http', 'ws')}/api/events`);
                    socket.onopen = () => done('open');
                    socket.onerror = () => done('refused');
                }),
                image: await told(make('img'), 'src', `${base}/api/download/foo/photo.png`),
                script: await told(make('script'), 'src', `${base}/api/me`),
            };
        }""",
        network.subscriber.url,
    )
    assert got == dict.fromkeys(["me", "events", "image", "script"], "refused")

    elsewhere.set_content(f"<iframe src='{network.subscriber.url}/'></iframe>")
    framed = elsewhere.frames[1]
    framed.wait_for_load_state()
    assert framed.locator("#caterva2").count() == 0
