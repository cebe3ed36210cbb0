"""Pictures of the web page for its guide: ``make screenshots``, or ``-m tests.browser.webshots`` alone."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect, sync_playwright

from caterva2.cli import admin
from tests.browser.picture import save
from tests.support.accounts import PASSWORD
from tests.support.chromium import launch_arguments
from tests.support.demonet import ADA, demo_network
from tests.support.webpage import BUILT, WebPage

SIZE = {"width": 1280, "height": 760}
PHONE = {"width": 390, "height": 760}
SCHEMES = ("light", "dark")
BOSS = "operator@example.org"
PHANTOM, TEMPERATURE = "bar/tomography/phantom.b2nd", "bar/weather/temperature.b2nd"
NBYTES = 48 << 20
"""Of a file whose upload is seen under way."""
SLOW = 6 << 20
"""Bytes a second."""


def web(browser: Browser, home: Path) -> None:
    """All pictures of the page, from the network of the demo."""
    home.mkdir()
    with demo_network(home, register=True) as network:
        url = f"http://localhost:{urlsplit(network.url).port}"
        assert admin.adduser(["--statedir", str(home / "sub"), "--superuser", BOSS, PASSWORD]) == 0
        _fill(network.client())
        for scheme in SCHEMES:
            looking(browser, url, scheme)
            on_a_phone(browser, url, scheme)
        with opened(browser, url, "light") as page:
            an_account(page)
            working(page, home)
        with opened(browser, url, "light") as page:
            managing(page)


def looking(browser: Browser, url: str, scheme: str) -> None:
    with opened(browser, url, scheme) as page:
        page.log_in(ADA)
        page.row("bar").wait_for()
        rest(page)
        save(page.page, f"web-home-{scheme}.png")

        page.expand("bar", "bar/tomography", "bar/weather")
        page.row(PHANTOM).click()
        viewer = page.shown(PHANTOM)
        viewer.get_by_role("button", name="Histogram and summary").click()
        rest(page)
        save(page.page, f"web-array-{scheme}.png")

        page.expand("foo")
        page.row("foo/ds-1d-fields.b2nd").click()
        page.shown("foo/ds-1d-fields.b2nd")
        rest(page)
        save(page.page, f"web-table-{scheme}.png")


def on_a_phone(browser: Browser, url: str, scheme: str) -> None:
    with opened(browser, url, scheme, viewport=PHONE, has_touch=True) as page:
        page.open()
        page.expand("bar", "bar/tomography")
        if scheme == "light":
            rest(page)
            save(page.page, "web-phone-tree.png")
        page.row(TEMPERATURE.rpartition("/")[0]).click()
        page.row(TEMPERATURE).click()
        page.shown(TEMPERATURE)
        rest(page)
        save(page.page, f"web-phone-{scheme}.png")


def an_account(page: WebPage) -> None:
    page.open("login")
    page.page.get_by_label("E-mail").fill(ADA)
    page.page.get_by_label("Password", exact=True).fill(PASSWORD)
    rest(page)
    save(page.page, "web-login.png")
    page.open("register")
    page.page.get_by_label("E-mail").fill("emmy@example.org")
    page.page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.page.get_by_label("Password once more").fill(PASSWORD)
    rest(page)
    save(page.page, "web-register.png")


def working(page: WebPage, home: Path) -> None:
    files = [home / "projections.b2nd", home / "dark-field.b2nd"]
    for number, file in enumerate(files, 1):
        file.write_bytes(bytes(NBYTES // number))
    page.log_in(ADA)
    page.expand("@personal", "@personal/run 7")
    page.row("@personal/run 7").click()
    with slowly(page):
        page.page.locator("aside input[type=file]").first.set_input_files(files)
        expect(page.page.locator("aside")).to_contain_text(re.compile(r"[2-9]\d %"))
        page.page.mouse.move(SIZE["width"] / 2, SIZE["height"] - 2)
        save(page.page, "web-upload.png")
        for file in files:
            page.page.get_by_role("button", name=f"Cancel {file.name}").click()
        expect(page.page.get_by_role("button", name=re.compile("^Cancel "))).to_have_count(0)
    page.page.reload()
    page.row("@personal").wait_for()

    page.expand("bar", "bar/weather")
    page.row(TEMPERATURE).click()
    page.shown(TEMPERATURE)
    page.button("Compute with it").click()
    page.dialog.get_by_label("Name", exact=True).fill("fahrenheit")
    page.dialog.get_by_label("Expression", exact=True).fill("a / 100 * 1.8 + 32")
    save(page.page, "web-expression.png")
    page.dialog.get_by_role("button", name="Create").click()
    page.dialog.get_by_role("heading", name="is ready").wait_for()
    save(page.page, "web-cost.png")
    page.dialog.get_by_role("button", name="Open").click()
    page.shown("@personal/fahrenheit.b2nd")

    page.row("@personal/run 7").click()
    page.button("Share").click()
    page.dialog.get_by_label("For whom").fill("the other group")
    save(page.page, "web-share.png")
    page.dialog.get_by_role("button", name="Make a link").click()
    page.dialog.get_by_test_id("share").wait_for()
    page.button("Close").click()

    page.open("account")
    page.page.get_by_text("the other group").wait_for()
    rest(page)
    save(page.page, "web-account.png")


def managing(page: WebPage) -> None:
    page.log_in(BOSS)
    page.row("bar").wait_for()
    page.page.get_by_role("link", name="Manage").click()
    page.page.get_by_role("cell", name=ADA).first.wait_for()
    rest(page)
    save(page.page, "web-manage.png")
    page.page.get_by_role("link", name="Service", exact=True).click()
    page.page.get_by_role("cell", name="bar", exact=True).wait_for()
    rest(page)
    save(page.page, "web-service.png")


@contextmanager
def opened(browser: Browser, url: str, scheme: str, **how: Any) -> Iterator[WebPage]:
    context = browser.new_context(
        **{"viewport": SIZE, "color_scheme": scheme, "reduced_motion": "reduce", **how}
    )
    yield WebPage(context.new_page(), url)
    context.close()


@contextmanager
def slowly(page: WebPage) -> Iterator[None]:
    """Let the network be that of a hotel."""
    session = page.page.context.new_cdp_session(page.page)
    session.send("Network.enable")
    slow = {"offline": False, "latency": 20, "downloadThroughput": SLOW, "uploadThroughput": SLOW}
    session.send("Network.emulateNetworkConditions", slow)
    yield
    session.detach()


def rest(page: WebPage) -> None:
    """Take the pointer away, and wait until nothing is asked for any more."""
    page.page.mouse.move(2, 2)
    expect(page.page.locator('[data-state="loading"]')).to_have_count(0)
    page.page.wait_for_load_state("networkidle")


def _fill(client: Any) -> None:
    with client:
        for name in ("projections-0.b2nd", "projections-1.b2nd"):
            client.copy("foo/dir1/ds-3d.b2nd", f"@personal/run 7/{name}")
        client.create_token("beamline script", "write")


def main() -> None:
    arguments = launch_arguments()
    if arguments is None or not BUILT.exists():
        sys.exit("screenshots of the page need chromium, and the page: make web")
    with tempfile.TemporaryDirectory() as text, sync_playwright() as p:
        browser = p.chromium.launch(**arguments)
        web(browser, Path(text) / "network")
        browser.close()


if __name__ == "__main__":
    main()
