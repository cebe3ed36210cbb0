"""How long a person waits for the subscriber's web page, and what it costs him; in headless Chromium."""

from __future__ import annotations

from typing import Any

from benchmarks import data
from benchmarks.bench_browser import publish
from benchmarks.network import REPOSITORY
from benchmarks.report import median
from benchmarks.settings import Settings
from tests.support.chromium import launch_arguments

BUILT = REPOSITORY / "caterva2" / "static" / "index.html"
N, MANY = 5_000, 100_000
MOST_FIRST_MS, MOST_KB, MOST_LIST_MS, MOST_OPEN_MS = 1000.0, 250.0, 300.0, 500.0
SIZE = {"width": 1280, "height": 860}

# Notes, frame by frame, when the rows of the tree are drawn first.
_WATCH = """
const look = () => {
    if (document.querySelector('.jp-Caterva2-row[data-path="flat"]')) {
        requestAnimationFrame(() => setTimeout(() => { window.usableAt = performance.now(); }));
    } else {
        requestAnimationFrame(look);
    }
};
requestAnimationFrame(look);
"""
_USABLE = """async () => {
    while (!window.usableAt) await new Promise(requestAnimationFrame);
    return window.usableAt;
}"""
# Each waits, frame by frame, until what is asked for has been drawn; a frame more is for the screen.
_UNTIL = """
const until = async (seen) => {
    const begun = performance.now();
    while (!seen()) {
        if (performance.now() - begun > 60000) throw new Error('not seen');
        await new Promise(requestAnimationFrame);
    }
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
};
const row = path => document.querySelector(`.jp-Caterva2-row[data-path="${path}"]`);
const tree = document.querySelector('.jp-Caterva2-tree');
const begun = performance.now();
"""
_UNFOLD = (
    "async ([root, count]) => {"
    + _UNTIL
    + """
    row(root).click();
    await until(() => document.querySelector(`[data-path^="${root}/"][aria-setsize="${count}"]`));
    return performance.now() - begun;
}"""
)
_END = (
    "async path => {"
    + _UNTIL
    + """
    tree.scrollTop = tree.scrollHeight;
    await until(() => row(path));
    return performance.now() - begun;
}"""
)
_FILTER = (
    "async ([text, path]) => {"
    + _UNTIL
    + """
    const field = document.querySelector('.jp-Caterva2-Sidebar input');
    const put = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
    put.call(field, text);
    field.dispatchEvent(new Event('input', {bubbles: true}));
    if (text) {
        await until(() => row(path) && !document.querySelector('[data-path="cube"]'));
    } else {
        await until(() => row('cube'));
    }
    return performance.now() - begun;
}"""
)
_FOLD = (
    "async ([root, next]) => {"
    + _UNTIL
    + """
    tree.scrollTop = 0;
    await until(() => row(root));
    row(root).click();
    await until(() => row(next));
}"""
)
_OPEN = (
    "async path => {"
    + _UNTIL
    + """
    row(path).click();
    await until(() => document.querySelector(
        `.jp-Caterva2-Viewer[data-path="${path}"] [data-state="ready"] canvas`));
    return performance.now() - begun;
}"""
)


def run(bench: Settings) -> None:
    from playwright.sync_api import sync_playwright

    arguments = launch_arguments()
    if arguments is None or not BUILT.exists():
        missing = "chromium is not installed" if arguments is None else "the page is not built: make web"
        bench.report.add("the web page in Chromium", None, "", note=missing)
        return
    network, subscriber = bench.warm()
    publish(network, subscriber, "flat", data.flat_files(bench.work, N), N)
    publish(network, subscriber, "wide", data.flat_files(bench.work, MANY), MANY)
    with sync_playwright() as p:
        browser = p.chromium.launch(**arguments)
        rounds = [Round(browser, subscriber.url) for _ in range(bench.rounds)]
        for one in rounds:
            one.measure()
        browser.close()
    _tell(bench, rounds)


class Round:
    """A browser with an empty cache that comes to the page, and does some things there."""

    def __init__(self, browser: Any, url: str) -> None:  # noqa: ANN401
        self.browser = browser
        self.url = url
        self.ms: dict[str, float] = {}
        self.memory: dict[str, float] = {}
        self.traffic = Traffic()

    def measure(self) -> None:
        context = self.browser.new_context(viewport=SIZE)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.add_init_script(_WATCH)
        session = context.new_cdp_session(page)
        self.traffic.watch(session)
        page.goto(self.url, wait_until="commit")
        self.ms["first"] = page.evaluate(_USABLE)
        page.locator('[data-state="open"]').first.wait_for()
        self.traffic.end()
        paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        self.ms["paint"] = page.evaluate(paint)
        self.memory["first"] = heap_mib(session)
        self.ms["again"] = _again(page)

        self.ms["unfold"] = page.evaluate(_UNFOLD, ["flat", N])
        self.ms["end"] = page.evaluate(_END, f"flat/run-{N - 1}.b2nd")
        self.ms["filter"] = page.evaluate(_FILTER, ["4321", "flat/run-4321.b2nd"])
        page.evaluate(_FILTER, ["", ""])
        page.evaluate(_FOLD, ["flat", "wide"])
        self.ms["wide"] = page.evaluate(_UNFOLD, ["wide", MANY])
        self.ms["wide end"] = page.evaluate(_END, f"wide/run-{MANY - 1}.b2nd")
        self.memory["wide"] = heap_mib(session)

        page.evaluate(_FOLD, ["wide", "flat"])
        page.evaluate(_UNFOLD, ["cube", 1])
        path = f"cube/{data.CUBE}"
        self.ms["open first"] = page.evaluate(_OPEN, path)
        page.go_back()
        page.locator(".jp-Caterva2-Viewer").wait_for(state="detached")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        self.ms["open"] = page.evaluate(_OPEN, path)
        self.memory["open"] = heap_mib(session)
        context.close()


class Traffic:
    """Bytes that come over the network, as they are transferred: heads, and bodies as they are encoded."""

    def __init__(self) -> None:
        self.nbytes: dict[str, int] = {}
        self.ended = False
        self._kinds: dict[str, str] = {}

    def watch(self, session: Any) -> None:  # noqa: ANN401
        session.on("Network.responseReceived", self._begun)
        session.on("Network.loadingFinished", self._finished)
        session.on("Network.webSocketFrameReceived", self._frame)
        session.send("Network.enable")

    def end(self) -> None:
        self.ended = True

    @property
    def kb(self) -> float:
        return sum(self.nbytes.values()) / 1e3

    def _begun(self, event: dict[str, Any]) -> None:
        self._kinds[event["requestId"]] = event["type"]

    def _finished(self, event: dict[str, Any]) -> None:
        self._add(self._kinds.get(event["requestId"], "Other"), int(event["encodedDataLength"]))

    def _frame(self, event: dict[str, Any]) -> None:
        self._add("WebSocket", len(event["response"]["payloadData"]))

    def _add(self, kind: str, nbytes: int) -> None:
        if not self.ended:
            self.nbytes[kind] = self.nbytes.get(kind, 0) + nbytes


def heap_mib(session: Any) -> float:  # noqa: ANN401
    """Return what the page's script holds, after a collection."""
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 2**20


def _again(page: Any) -> float:  # noqa: ANN401
    page.reload(wait_until="commit")
    return float(page.evaluate(_USABLE))


def _tell(bench: Settings, rounds: list[Round]) -> None:
    def add(what: str, key: str, most: float | None = None, note: str = "") -> None:
        took = [one.ms[key] for one in rounds]
        span = f"{min(took):.0f} to {max(took):.0f} ms, {len(took)} times{note}"
        bench.report.add(what, median(took), "ms", most=most, note=span)

    painted = median([one.ms["paint"] for one in rounds])
    add("page, empty cache: address to rows of the tree", "first", MOST_FIRST_MS, f"; text {painted:.0f} ms")
    kinds = sorted(rounds[0].traffic.nbytes.items(), key=lambda item: -item[1])
    bench.report.add(
        "page: all that is transferred until then, compressed",
        max(one.traffic.kb for one in rounds), "kB", most=MOST_KB,
        note=", ".join(f"{kind} {nbytes / 1e3:.1f}" for kind, nbytes in kinds),
    )  # fmt: skip
    add("page again, from the browser's cache", "again")
    add(f"page: {N} entries, click to rows", "unfold", MOST_LIST_MS)
    add(f"page: scrolled to the last of {N}", "end", MOST_LIST_MS)
    add(f"page: one of {N} found by its name", "filter", MOST_LIST_MS)
    add(f"page: {MANY} entries, click to rows", "wide", MOST_LIST_MS)
    add(f"page: scrolled to the last of {MANY}", "wide end", MOST_LIST_MS)
    add("page: click to the first picture, code of the viewer included", "open first", MOST_OPEN_MS)
    add("page: click to picture of a cached 4 MiB plane", "open", MOST_OPEN_MS)

    def held(key: str) -> float:
        return median([one.memory[key] for one in rounds])

    bench.report.add(
        "page: memory of its script, a plane shown", held("open"), "MiB",
        note=f"first page {held('first'):.1f}, {MANY} rows known {held('wide'):.1f} MiB",
    )  # fmt: skip
