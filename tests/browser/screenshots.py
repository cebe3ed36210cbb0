"""Take the pictures of the documentation, each by day and by night: ``make screenshots``.

JupyterLab as a new user sees it, with a subscriber of its own; and JupyterLab
over a subscriber of another host, with users; and the web page. They go to ``docs/images``, with
few colours, so that they stay small.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.picture import save
from tests.browser.webshots import web
from tests.support.chromium import launch_arguments
from tests.support.jupyterlab import JupyterLab, running_lab
from tests.support.labpage import LATE_MS, LabPage

SIZE = {"width": 1280, "height": 760}
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
EXPOSED = "--LabApp.expose_app_in_browser=True"


def main() -> None:
    arguments = launch_arguments()
    if arguments is None:
        sys.exit("screenshots need chromium")
    with tempfile.TemporaryDirectory() as text, sync_playwright() as p:
        browser = p.chromium.launch(**arguments)
        home = Path(text)
        alone(browser, home / "alone")
        far_away(browser, home)
        web(browser, home / "web")
        browser.close()


def alone(browser: Browser, home: Path) -> None:
    """A new user: nothing is configured, files of his own lie beside his notebooks."""
    import make_example_root

    make_example_root.make_measured_root(home / "notebooks" / "data")
    make_example_root.make_simulated_root(home / "notebooks" / "data")
    with running_lab(home, EXPOSED) as lab, opened(browser) as page:
        lab.add_notebook("Untitled.ipynb", "")
        page.open(lab.lab_url("alone"))
        page.show_sidebar()
        page.expand("@public", "@public/data", "@public/data/tomography", "@public/data/weather")
        page.open_dataset("@public/data/weather/temperature.b2nd")
        rest(page)
        shoot(page, "lab-alone")

        page.open(lab.lab_url("alone-2", "Untitled.ipynb"))
        page.wait_kernel()
        page.show_sidebar()
        page.expand("@public", "@public/data", "@public/data/tomography")
        page.row("@public/data/tomography/phantom.b2nd").click()
        page.choose("@public/data/tomography/phantom.b2nd", "Insert Code")
        output = page.run_cell(0)
        expect(output.locator("img:visible").first).to_be_visible(timeout=LATE_MS)
        rest(page)
        shoot(page, "lab-notebook")


def far_away(browser: Browser, home: Path) -> None:
    """The subscriber of an institute, on another host, with users."""
    from tests.support.accounts import PASSWORD
    from tests.support.demonet import ADA, demo_network

    (home / "network").mkdir()
    with demo_network(home / "network") as network:
        url = f"http://localhost:{urlsplit(network.url).port}"
        options = (
            EXPOSED,
            f"--Caterva2App.subscribers=institute={url}",
            f"--Caterva2App.token_file={home / 'tokens.json'}",
        )
        with running_lab(home / "lab", *options) as lab, opened(browser) as page:
            page.open(lab.lab_url("far"))
            page.show_sidebar()
            page.row("bar").wait_for()
            page.sidebar.get_by_role("button", name="Log in").click()
            form = page.page.locator(".jp-Dialog")
            form.get_by_label("User").fill(ADA)
            form.get_by_label("Password").fill(PASSWORD)
            shoot(page, "lab-login")

            page.page.keyboard.press("Enter")
            page.row("@personal").wait_for()
            page.expand("bar", "bar/tomography", "bar/weather")
            viewer = page.open_dataset("bar/tomography/phantom.b2nd")
            viewer.get_by_role("button", name="Histogram and summary").click()
            rest(page)
            shoot(page, "lab-far")

            page.open_dataset("bar/weather/temperature.b2nd")
            page.expand("foo")
            page.open_dataset("foo/ds-1d-fields.b2nd")
            rest(page)
            shoot(page, "lab-table")
            notebook_7(browser, lab)


def notebook_7(browser: Browser, lab: JupyterLab) -> None:
    """The same in Notebook 7."""
    name = lab.add_notebook("Field trip.ipynb", "")
    with opened(browser) as page:
        page.open(lab.notebook_url(name))
        page.wait_kernel()
        page.run("Datasets (Caterva2)")
        page.expand("bar", "bar/weather")
        page.choose("bar/weather/temperature.b2nd", "Insert Code")
        output = page.run_cell(0)
        expect(output.locator("img:visible").first).to_be_visible(timeout=LATE_MS)
        rest(page)
        save(page.page, "notebook-7.png")


@contextmanager
def opened(browser: Browser) -> Iterator[LabPage]:
    context = browser.new_context(viewport=SIZE, reduced_motion="reduce")
    yield LabPage(context.new_page())
    context.close()


def rest(page: LabPage) -> None:
    """Take the pointer away, and wait until nothing is asked for any more."""
    page.page.mouse.move(SIZE["width"] / 2, SIZE["height"] - 2)
    page.page.wait_for_load_state("networkidle")


def shoot(page: LabPage, name: str) -> None:
    """Take a picture in each theme."""
    for suffix, theme in THEMES.items():
        page.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
        page.page.locator(f'body[data-jp-theme-name="{theme}"]').wait_for(state="attached")
        page.page.wait_for_load_state("networkidle")
        save(page.page, f"{name}-{suffix}.png")
    page.page.evaluate(
        "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", THEMES["light"]
    )


if __name__ == "__main__":
    main()
