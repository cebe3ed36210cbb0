"""The web page behind nginx, Caddy and Apache, with TLS and a prefix that the subscriber knows nothing of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.support.ports import free_ports
from tests.support.processes import Network
from tests.support.proxies import PREFIX, PROXIES, Place, Proxy, running_proxy
from tests.support.webpage import BUILT, WebPage

pytestmark = pytest.mark.slow


@pytest.fixture(params=PROXIES.values(), ids=list(PROXIES))
def web(request: pytest.FixtureRequest, tmp_path: Path, browser: Browser) -> Iterator[WebPage]:
    """A page under a prefix; nothing uncaught may have happened in it."""
    proxy: Proxy = request.param
    if proxy.find() is None:
        pytest.skip(f"needs {proxy.program}")
    if not BUILT.exists():
        pytest.skip("the page is not built: make web")
    port, plain = free_ports(2)
    url = f"https://localhost:{port}{PREFIX}"
    secret = "correct horse battery staple"
    with Network(tmp_path, subscriber=("--urlbase", url), secret=secret) as network:
        network.add_array("foo/dir/line.b2nd", np.sin(np.linspace(0, 20, 1000)))
        network.subscribe("foo")
        place = Place(port, plain, network.subscriber.http)
        with running_proxy(proxy, tmp_path / "proxy", place, prefix=True):
            context = browser.new_context(ignore_https_errors=True)
            web = WebPage(context.new_page(), url)
            yield web
            context.close()
    assert web.problems == []


def test_register_look_reload_and_share_under_a_prefix(web: WebPage) -> None:
    web.register("ada@example.org")
    (cookie,) = web.page.context.cookies()
    assert cookie["secure"]
    assert cookie["httpOnly"]
    expect(web.page.get_by_role("banner")).to_contain_text("live")

    web.expand("foo", "foo/dir")
    web.row("foo/dir/line.b2nd").click()
    web.shown("foo/dir/line.b2nd")
    expect(web.page).to_have_url(f"{web.base}/roots/foo/dir/line.b2nd")
    web.page.reload()
    web.shown("foo/dir/line.b2nd")
    web.drop_file("@personal", "mine.txt", b"mine")
    web.row("@personal/mine.txt").wait_for()

    web.page.goto(web.base)  # the bare prefix, as people type it
    web.row("@personal").wait_for()
    made = web.page.request.post(f"{web.base}/api/shares", data={"path": "foo/dir"})
    link = made.json()["url"]
    web.log_out()
    web.page.goto(link)
    web.row("foo/dir/line.b2nd").click()
    web.shown("foo/dir/line.b2nd")
    expect(web.page).to_have_url(f"{link}/roots/foo/dir/line.b2nd")


def test_pages_of_other_sites_do_nothing_through_a_proxy(web: WebPage) -> None:
    web.register("eve@example.org")
    ask = web.page.request
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    evil = {"Origin": "https://evil.example"}
    own = {"Origin": web.base.removesuffix(PREFIX)}

    assert ask.post(f"{web.base}/api/mkdir/@personal/taken", headers=evil).status == 403
    assert ask.get(f"{web.base}/api/events", headers={**upgrade, **evil}).status == 403
    assert ask.post(f"{web.base}/api/mkdir/@personal/made", headers=own).status == 200
    assert [cookie["sameSite"] for cookie in web.page.context.cookies()] == ["Lax"]
