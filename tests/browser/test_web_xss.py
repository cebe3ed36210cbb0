"""Whatever people store and send, the page of a subscriber shows it and runs none of it.

Each test runs twice: as users have it, and in a browser that ignores the page's Content-Security-Policy,
so that the page itself must make things harmless.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import blosc2
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, expect

from caterva2.cli import admin
from tests.support.hostilemarkup import (
    CODE,
    ELSEWHERE,
    HTML,
    MARKDOWN,
    MARKUP,
    NAMES,
    SVG,
    UNSEEN_NAMES,
    notebook_bytes,
)
from tests.support.processes import Network
from tests.support.webpage import BUILT, PASSWORD, WebPage

pytestmark = pytest.mark.slow
EVIL = f"<img src=x onerror={CODE}>"
BOSS = "boss@example.org"

# Elements and attributes that must not come out of what others wrote.
_ACTIVE = """
() => [...document.querySelectorAll('*')].flatMap(node => {
    const found = [];
    const tag = node.localName;
    if (tag === 'iframe' && node.src.startsWith('blob:') && node.closest('.jp-Caterva2-View-pdf')) {
        return [];
    }
    if (['iframe', 'embed', 'object', 'base', 'meta', 'link', 'style', 'script', 'template'].includes(tag)) {
        if (node.closest('head') === null) {
            found.push(`<${tag}>`);
        }
    }
    const isText = node.closest('.jp-Caterva2-View-prose') !== null;
    if (isText && (tag === 'form' || tag === 'input' || node.style.length > 0)) {
        found.push(`<${tag}> in a text`);
    }
    for (const { name, value } of node.attributes) {
        if (name.startsWith('on') || name === 'srcdoc' || name === 'ping') {
            found.push(`${tag} ${name}=${value}`);
        }
        const isAddress = /^(href|src|action|formaction|xlink:href|data|poster)$/.test(name);
        if (isAddress && /^[\\s\\x00-\\x20]*(javascript|vbscript|data:text)/i.test(value)) {
            found.push(`${tag} ${name}=${value}`);
        }
    }
    return found;
})
"""
_SETTLED = """
() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => requestIdleCallback(done))))
"""
_GO = """
address => {
    history.pushState(null, '', address);
    dispatchEvent(new PopStateEvent('popstate'));
}
"""
OF_PARSING = ("Executing inline event handler", "Applying inline style", "Setting the document's base URI")
SHOWN = '.jp-Caterva2-View[data-state]:not([data-state="loading"])'


class Watched(WebPage):
    """A page of which everything is noted that it must not do."""

    def __init__(self, page: Page, base: str) -> None:
        super().__init__(page, base)
        self._host = urlsplit(base).netloc
        page.on("dialog", self._note_dialog)
        page.on("popup", lambda other: self.problems.append(f"a window for {other.url}"))
        page.on("download", lambda file: self.problems.append(f"a download of {file.url}"))
        page.on("request", self._note_request)

    def _note_dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _note_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        # The browser's viewer of PDF files is an extension.
        inside = {"data", "blob", "chrome", "chrome-extension"}
        if address.scheme not in inside and address.netloc != self._host:
            self.problems.append(f"a request to {request.url}")

    def _note_refusal(self, message: ConsoleMessage) -> None:
        # Chromium says so of what is parsed into a document that runs nothing, to be made harmless there.
        if not message.text.startswith(OF_PARSING):
            super()._note_refusal(message)

    def check(self) -> None:
        """Fail if anything has run, or could run when somebody clicks or moves."""
        self.page.evaluate(_SETTLED)
        assert self.page.evaluate("window.c2taken") == 0
        assert self.page.evaluate(_ACTIVE) == []
        assert urlsplit(self.page.url).netloc == self._host
        assert self.problems == []

    def open_path(self, path: str, query: str = "") -> None:
        self.open(f"roots/{quote(path, safe='/@')}{query}")
        expect(self.page.locator("article.c2-path")).to_have_attribute("data-path", path)

    def go(self, path: str) -> None:
        """Come to a path as by the way back: without loading the page again."""
        self.page.evaluate(_GO, f"{self.base}/roots/{quote(path, safe='/@')}")
        expect(self.page.locator("article.c2-path")).to_have_attribute("data-path", path)
        self.page.locator(SHOWN).first.wait_for()

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network whose files were written by somebody who wishes others no good."""
    if not BUILT.exists():
        pytest.skip("the page is not built: make web")
    home = tmp_path_factory.mktemp("xss")
    with Network(home, roots=("foo",), secret="correct horse battery staple") as network:
        for name in (*NAMES, *UNSEEN_NAMES):
            network.add(f"foo/names/{name}", name.encode())
            network.add(f"@public/names/{name}", name.encode())
        network.add(f"foo/dirs/{EVIL}/{EVIL}.txt", b"text")
        network.add("foo/doc.md", "\n\n".join(MARKDOWN).encode())
        network.add("foo/book.ipynb", notebook_bytes())
        network.add("foo/broken.ipynb", json.dumps({"cells": EVIL, "nbformat": EVIL}).encode())
        network.add("foo/picture.svg", SVG.encode())
        network.add("foo/page.html", HTML.encode())
        network.add("foo/page.xhtml", HTML.encode())
        network.add("foo/paper.pdf", HTML.encode())
        network.add("foo/photo.png", HTML.encode())
        for number, piece in enumerate(MARKUP):
            network.add(f"foo/markup/{number}.md", f"before\n\n{piece}".encode())
        network.add("foo/meta.b2nd", with_metadata())
        fields = np.dtype([(EVIL, "S60"), (f"{EVIL}2", "f8")])
        rows = np.array([(EVIL.encode(), 1.0), (MARKUP[0].encode()[:60], 2.0)], dtype=fields)
        network.add_array("foo/table.b2nd", rows)
        network.subscribe("foo")
        admin.adduser(["--statedir", str(network.state), "--superuser", BOSS, PASSWORD])
        yield network


def with_metadata() -> bytes:
    """Return a frame whose metadata is markup."""
    array = blosc2.asarray(np.arange(10))
    array.schunk.vlmeta["pieces"] = list(MARKUP[:-2])
    array.schunk.vlmeta[f"<img src onerror={CODE}>"] = {EVIL: [EVIL, {"__proto__": EVIL}]}
    array.schunk.vlmeta["__proto__"] = EVIL
    array.schunk.vlmeta[f"javascript:{CODE}"] = f"javascript:{CODE}"
    frame: bytes = array.to_cframe()
    return frame


@pytest.fixture(params=[False, True], ids=["with its policy", "without"])
def context(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    """A browser that heeds the page's policy, and one that does not."""
    context = browser.new_context(bypass_csp=request.param, viewport={"width": 1280, "height": 2000})
    context.add_init_script("window.c2taken = 0; window.taken = () => { window.c2taken += 1 }")
    yield context
    context.close()


@pytest.fixture
def web(network: Network, context: BrowserContext) -> Watched:
    """A page that nobody is logged in to."""
    return Watched(context.new_page(), network.subscriber.url)


def test_the_watcher_sees_what_runs_and_what_is_asked_for(web: Watched) -> None:
    web.open()
    web.check()
    web.page.evaluate("top.taken()")
    with pytest.raises(AssertionError):
        web.check()
    web.open()
    web.page.evaluate("fetch('http://elsewhere.invalid/x', {mode: 'no-cors'}).catch(() => 0)")
    with pytest.raises(AssertionError):
        web.check()


def test_a_page_that_trusts_the_pieces_is_taken(context: BrowserContext) -> None:
    page = context.new_page()
    for piece in (MARKUP[0], MARKUP[3], MARKUP[10], NAMES[0]):
        page.set_content(piece)
        page.wait_for_function("window.c2taken > 0")


def test_names_are_shown_as_they_are(web: Watched) -> None:
    web.open()
    web.expand("foo", "foo/names", "@public", "@public/names")
    for root in ("foo", "@public"):
        for name in NAMES:
            web.page.wait_for_function(
                "path => [...document.querySelectorAll('[role=treeitem]')]"
                ".some(row => row.dataset.path === path)",
                arg=f"{root}/names/{name}",
            )
    web.check()


def test_files_of_any_name_are_shown(web: Watched) -> None:
    web.open()
    for name in (*NAMES, *UNSEEN_NAMES):
        web.go(f"foo/names/{name}")
        assert web.page.get_by_role("heading", level=1).text_content() == name
        web.check()
        for tab in ("Details", "Code"):
            web.tab(tab)
            web.check()
        web.tab("View")


def test_directories_of_such_names_are_opened(web: Watched) -> None:
    web.open_path(f"foo/dirs/{EVIL}")
    web.page.locator(".jp-Caterva2-row").filter(has_text=f"{EVIL}.txt").click()
    expect(web.page.get_by_role("heading", level=1)).to_have_text(f"{EVIL}.txt")
    web.page.get_by_role("navigation", name="Path").get_by_role("link", name=EVIL).click()
    web.check()


@pytest.mark.parametrize(
    "file",
    [
        "doc.md",
        "book.ipynb",
        "broken.ipynb",
        "picture.svg",
        "page.html",
        "page.xhtml",
        "paper.pdf",
        "photo.png",
    ],
)
def test_documents_do_nothing(web: Watched, file: str) -> None:
    web.open_path(f"foo/{file}")
    web.page.locator(SHOWN).first.wait_for()
    web.page.wait_for_load_state("networkidle")
    web.check()


def test_no_piece_of_markup_in_markdown_does_anything(web: Watched) -> None:
    web.open()
    for number in range(len(MARKUP)):
        web.go(f"foo/markup/{number}.md")
        expect(web.shown(f"foo/markup/{number}.md")).to_contain_text("before")
        web.check()
    web.page.wait_for_load_state("networkidle")
    web.check()


def test_links_and_all_else_can_be_used(web: Watched) -> None:
    for file in ("doc.md", "book.ipynb"):
        web.open_path(f"foo/{file}")
        viewer = web.shown(f"foo/{file}")
        links = viewer.locator("a[href]").evaluate_all(
            "links => links.map(link => [link.protocol, link.rel])"
        )
        assert {tuple(link) for link in links} <= {
            ("http:", "noopener noreferrer"),
            ("https:", "noopener noreferrer"),
        }
        viewer.evaluate(
            "view => { for (const node of view.querySelectorAll('a:not([href]), p, img, td, summary, div')) {"
            "  for (const type of ['click', 'mouseover', 'focus', 'toggle'])"
            "    node.dispatchEvent(new Event(type, {bubbles: true})); } }"
        )
        web.check()


def test_metadata_is_text(web: Watched) -> None:
    web.open_path("foo/meta.b2nd")
    web.shown("foo/meta.b2nd")
    web.tab("Details")
    expect(web.page.get_by_role("tabpanel")).to_contain_text(MARKUP[3])
    expect(web.page.get_by_role("tabpanel")).to_contain_text(f"javascript:{CODE}")
    web.check()


def test_fields_and_cells_are_text(web: Watched) -> None:
    web.open_path("foo/table.b2nd")
    web.shown("foo/table.b2nd")
    web.check()
    web.tab("Details")
    expect(web.page.get_by_role("tabpanel")).to_contain_text(EVIL)
    web.check()


QUERIES = (
    f"?view={quote(EVIL)}&field={quote(EVIL)}&filter={quote(EVIL)}&sortby={quote(EVIL)}&part={quote(EVIL)}",
    f"?at={quote(EVIL)}&zoom={quote(EVIL)}&range={quote(EVIL)}&x={quote(EVIL)}&colorMap={quote(EVIL)}",
    f"?view=javascript:{CODE}&next=javascript:{CODE}&return={quote(ELSEWHERE)}",
    f"?view=table&filter={quote(EVIL)}#{quote(EVIL)}",
    "?__proto__[c2taken]=1&constructor[prototype][c2taken]=1&view=__proto__&colorMap=constructor",
)


@pytest.mark.parametrize("file", ["table.b2nd", "meta.b2nd"])
def test_the_query_of_an_address_does_nothing(web: Watched, file: str) -> None:
    for query in QUERIES:
        web.open_path(f"foo/{file}", query)
        web.page.locator(SHOWN).first.wait_for()
        web.check()


PLACES = (
    f"roots/foo/{quote(EVIL, safe='')}",
    f"roots/{quote(EVIL, safe='')}/x",
    f"roots/foo/{quote(MARKUP[0], safe='')}",
    f"reset-password/{quote(EVIL, safe='')}",
    f"login?next={quote(ELSEWHERE)}",
    f"roots/foo/%00{quote(EVIL)}",
    f"roots/javascript:{CODE}",
    f"?next=javascript:{CODE}",
    "roots/foo/%E0%A4%A",
    f"#{EVIL}",
    f"login#{EVIL}",
)


def test_addresses_of_nothing_do_nothing(web: Watched) -> None:
    for place in PLACES:
        web.open(place)
        web.page.get_by_role("heading", level=1).wait_for()
        web.check()


def test_shared_files_and_links_of_nothing_do_nothing(web: Watched, network: Network) -> None:
    boss = log_in(network)
    shared = network.http.post("/api/shares", json={"path": "foo/doc.md", "name": EVIL}, headers=boss)
    token = shared.json()["url"].rpartition("/")[2]
    web.page.goto(f"{web.base}/share/{token}")
    web.shown("foo/doc.md")
    web.check()

    web.page.goto(f"{web.base}/share/{quote(EVIL)}/")
    expect(web.page.get_by_role("alert")).to_be_visible()
    web.check()


def test_accounts_are_text(web: Watched, network: Network) -> None:
    boss = log_in(network)
    for name in (EVIL, MARKUP[0], f"javascript:{CODE}"):
        network.http.post("/api/tokens", json={"name": name}, headers=boss)
        network.http.post("/api/shares", json={"path": "foo/doc.md", "name": name}, headers=boss)
    odd = f"{{{{{CODE}}}}}&lt;b&gt;`$@example.org"
    network.http.post(
        "/api/adduser/", json={"username": odd, "password": PASSWORD, "superuser": False}, headers=boss
    )
    web.log_in(BOSS)
    web.page.get_by_role("link", name=BOSS).click()
    expect(web.page.get_by_role("cell", name=EVIL, exact=True).first).to_be_visible()
    web.check()

    web.page.get_by_role("link", name="Manage").click()
    web.button("Add user").click()
    email = web.dialog.get_by_label("E-mail")
    email.evaluate("input => { input.type = 'text' }")
    email.fill(f"{EVIL}@example.org")
    web.dialog.get_by_role("button", name="Add", exact=True).click()
    expect(web.dialog.get_by_role("alert")).to_contain_text(EVIL)
    web.check()


def test_reasons_of_refusals_are_text(web: Watched) -> None:
    web.log_in(BOSS)
    web.row("@personal").wait_for()
    web.drop_file("@personal", "x.txt", b"text")
    web.row("@personal/x.txt").wait_for()
    web.button("Expression").click()
    web.dialog.get_by_label("Name", exact=True).fill(EVIL.replace("/", ""))
    web.dialog.get_by_label("Expression", exact=True).fill(f"{EVIL} + a")
    web.dialog.get_by_label("Path of dataset 1").fill(f"foo/{EVIL}")
    web.button("Create").click()
    expect(web.dialog.get_by_role("alert")).to_be_visible()
    web.check()


def log_in(network: Network) -> dict[str, str]:
    answer = network.http.post("/auth/jwt/login", data={"username": BOSS, "password": PASSWORD})
    network.http.cookies.clear()
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


def test_a_stored_file_in_a_tab_of_its_own_is_saved(network: Network, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(network.subscriber.url)
    before = page.url
    # What is fetched is the frame around the file.
    for endpoint, ending in (("download", ""), ("fetch", ".b2")):
        for file in ("page.html", "page.xhtml", "picture.svg", "doc.md", "paper.pdf", "book.ipynb"):
            with page.expect_download() as found:
                page.evaluate("address => { location.href = address }", f"/api/{endpoint}/foo/{file}")

            assert found.value.suggested_filename == f"{file}{ending}"
            assert page.url == before


@pytest.mark.parametrize("tag", ["iframe", "object", "embed"])
def test_a_stored_page_in_a_frame_of_the_page_runs_nothing(
    network: Network, context: BrowserContext, tag: str
) -> None:
    page = context.new_page()
    page.goto(network.subscriber.url)
    address = "/api/download/foo/page.html"
    attribute = "data" if tag == "object" else "src"
    page.evaluate(
        "([tag, name, address]) => { const node = document.createElement(tag);"
        " try { node[name] = address } catch {} document.body.append(node); }",
        [tag, attribute, address],
    )
    page.wait_for_load_state("networkidle")

    assert page.evaluate("window.c2taken") == 0


def test_a_stored_script_or_style_is_not_taken_for_one(network: Network, context: BrowserContext) -> None:
    network.add("@public/evil.js", f"{CODE}".encode())
    network.add("@public/evil.txt", f"{CODE}".encode())
    page = context.new_page()
    for name in ("evil.txt", "evil.js"):
        page.goto(network.subscriber.url)
        page.evaluate(
            "address => new Promise(done => {"
            " const rules = {createScriptURL: text => text};"
            " const trusted = window.trustedTypes?.createPolicy('dompurify', rules);"
            " const node = document.createElement('script');"
            " node.src = trusted?.createScriptURL(address) ?? address;"
            " node.onload = node.onerror = done; document.head.append(node); })",
            f"/api/download/@public/{name}",
        )

        assert page.evaluate("window.c2taken") == 0, name
