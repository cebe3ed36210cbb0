"""How long a person waits in JupyterLab for a directory, a picture, the next one; in headless Chromium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.network import Network, Process, request, wait_until
from benchmarks.report import median
from benchmarks.settings import Settings
from tests.support.chromium import launch_arguments
from tests.support.jupyterlab import BUILT, JupyterLab, running_lab

N = 5_000
STEPS = 24
MOST_LIST_MS, MOST_OPEN_MS, MOST_STEP_MS, MOST_KB = 300.0, 500.0, 150.0, 150.0

# Each waits, frame by frame, until what is asked for has been drawn; a frame more is for the screen.
_UNTIL = """
const until = async (seen) => {
    const begun = performance.now();
    while (!seen()) {
        if (performance.now() - begun > 20000) throw new Error('not seen');
        await new Promise(requestAnimationFrame);
    }
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
};
const row = path => document.querySelector(`#caterva2-sidebar [data-path="${path}"]`);
"""
_LIST = (
    "async ([root, count]) => {"
    + _UNTIL
    + """
    const begun = performance.now();
    row(root).click();
    await until(() => document.querySelector(`[data-path^="${root}/"][aria-setsize="${count}"]`));
    return performance.now() - begun;
}"""
)
_OPEN = (
    "async path => {"
    + _UNTIL
    + """
    const begun = performance.now();
    row(path).dispatchEvent(new MouseEvent('dblclick', {bubbles: true}));
    await until(() => document.querySelector(
        `.jp-Caterva2-Viewer[data-path="${path}"] [data-state="ready"] canvas`));
    return performance.now() - begun;
}"""
)
_STEP = (
    "async ([path, count]) => {"
    + _UNTIL
    + """
    const viewer = document.querySelector(`.jp-Caterva2-Viewer[data-path="${path}"]`);
    const slider = viewer.querySelector('input[type=range]');
    const put = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
    const took = [];
    for (let n = 0; n < count; n += 1) {
        const index = Number(slider.value) + 1;
        const begun = performance.now();
        put.call(slider, index);
        slider.dispatchEvent(new Event('input', {bubbles: true}));
        await until(() => viewer.querySelector('.jp-Caterva2-View-place').textContent.startsWith(`[${index},`)
            && viewer.querySelector('[data-state="ready"]'));
        took.push(performance.now() - begun);
    }
    return took;
}"""
)


def run(bench: Settings) -> None:
    from playwright.sync_api import sync_playwright

    bench.report.add(
        "script before the first viewer opens",
        bundle_bytes() / 1e3,
        "kB",
        most=MOST_KB,
        note="not compressed",
    )
    arguments = launch_arguments()
    if arguments is None:
        bench.report.add("JupyterLab in Chromium", None, "", note="chromium is not installed")
        return
    network, subscriber = bench.warm()
    publish(network, subscriber, "flat", data.flat_files(bench.work, N), N)
    home = network.directory / "lab"
    with (
        running_lab(home, f"--Caterva2App.subscribers=bench={subscriber.url}") as lab,
        sync_playwright() as p,
    ):
        browser = p.chromium.launch(**arguments)
        listed, opened, stepped = [], [], []
        for n in range(bench.rounds):
            context = browser.new_context(viewport={"width": 1280, "height": 860})
            page = _ready(context.new_page(), lab, f"round-{n}")
            listed.append(page.evaluate(_LIST, ["flat", N]))
            page.evaluate(_LIST, ["cube", 1])
            # The code of the viewer is loaded by another file; the subscriber's answers are not kept.
            page.locator('#caterva2-sidebar [data-path^="flat/"]').first.dblclick()
            page.locator('.jp-Caterva2-View[data-state="ready"]').wait_for()
            context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
            path = f"cube/{data.CUBE}"
            page.locator(f'#caterva2-sidebar [data-path="{path}"]').scroll_into_view_if_needed()
            opened.append(page.evaluate(_OPEN, path))
            stepped += page.evaluate(_STEP, [path, STEPS])
            context.close()
        browser.close()
    bench.report.add(
        f"sidebar: {N} entries, click to rows", median(listed), "ms", most=MOST_LIST_MS, note=_span(listed)
    )
    bench.report.add(
        "viewer: click to picture of a cached 4 MiB plane", median(opened), "ms", most=MOST_OPEN_MS,
        note=_span(opened),
    )  # fmt: skip
    bench.report.add(
        "viewer: one step of the slider, median",
        median(stepped),
        "ms",
        most=MOST_STEP_MS,
        note=_span(stepped),
    )


def bundle_bytes() -> int:
    """Return the size of what a page loads before the first viewer: all that the sidebar needs."""
    entry = json.loads((BUILT / "package.json").read_text())["jupyterlab"]["_build"]["load"]
    static = BUILT / "static"
    early = [
        file
        for file in static.glob("*.js")
        if file.name == Path(entry).name
        or file.name == "style.js"
        or b"jp-Caterva2-tree" in file.read_bytes()
    ]
    return sum(file.stat().st_size for file in early)


def publish(network: Network, subscriber: Process, name: str, root: Path, count: int) -> None:
    """Publish a root of `count` files, unless that was done, and wait until the subscriber lists them."""
    if name not in subscriber.get("/api/roots"):
        network.publish(name, root)
        wait_until(lambda: name in subscriber.get("/api/roots"), f"the subscriber to know {name}")
    wait_until(lambda: _is_subscribed(subscriber, name), f"{name} to be listed by its publisher")
    wait_until(
        lambda: subscriber.get(f"/api/tree/{name}?limit=1")["total"] == count, f"a list of {count} files"
    )


def _is_subscribed(subscriber: Process, name: str) -> bool:
    try:
        request("POST", f"{subscriber.url}/api/subscribe/{name}")
    except RuntimeError as exc:
        if "overloaded" in str(exc):  # a long root takes its publisher a while
            return False
        raise
    return True


def _ready(page: Any, lab: JupyterLab, workspace: str) -> Any:  # noqa: ANN401
    page.set_default_timeout(60_000)
    page.goto(lab.lab_url(workspace))
    page.locator("#caterva2-sidebar").wait_for(state="attached")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.locator('.jp-SideBar [data-id="caterva2-sidebar"]').click()
    page.locator('#caterva2-sidebar [data-path="flat"]').wait_for()
    return page


def _span(values: list[float]) -> str:
    return f"{min(values):.0f} to {max(values):.0f} ms, {len(values)} times"
