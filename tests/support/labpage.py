"""What a person does in JupyterLab, by what he sees; every wait is for a state, with an end."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from pathlib import Path

from playwright.sync_api import Error, Locator, Page, expect

from tests.support.jupyterlab import JupyterLab
from tests.support.processes import until

SIDEBAR = "#caterva2-sidebar"
SOON_MS = 15_000
# A kernel starts, and a page of several megabytes is read, on two cores that others use too.
LATE_MS = 60_000

_DROP = """
(row, [name, text]) => {
    const files = new DataTransfer();
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    files.items.add(new File([bytes], name));
    for (const type of ['dragenter', 'dragover', 'drop']) {
        row.dispatchEvent(new DragEvent(type, {dataTransfer: files, bubbles: true, cancelable: true}));
    }
}
"""

# Relative luminance, as WCAG defines it, of the text and of the first ground behind it that is not clear.
_COLORS = """
place => {
    const numbers = color => color.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => {
        const part = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    };
    let behind = place;
    while (behind && (numbers(getComputedStyle(behind).backgroundColor)[3] ?? 1) < 0.5) {
        behind = behind.parentElement;
    }
    return [place, behind ?? document.body].map((element, n) =>
        luminance(numbers(getComputedStyle(element)[n ? 'backgroundColor' : 'color'])));
}
"""


class LabPage:
    """A page with JupyterLab in it.

    Attributes
    ----------
    problems
        Exceptions of our code that nobody caught.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.set_default_timeout(SOON_MS)
        page.on("pageerror", self._note)

    def _note(self, error: Error) -> None:
        if "@caterva2" in (error.stack or ""):
            self.problems.append(str(error))

    # JupyterLab

    def open(self, url: str) -> None:
        """Load JupyterLab, and wait until it is there."""
        self.page.goto(url, timeout=LATE_MS)
        self.wait_loaded()

    def reload(self) -> None:
        self.page.reload(timeout=LATE_MS)
        self.wait_loaded()

    def wait_loaded(self) -> None:
        self.page.locator(SIDEBAR).wait_for(state="attached", timeout=LATE_MS)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=LATE_MS)

    def show_sidebar(self) -> Locator:
        """Bring the sidebar up by its tab, if it is not seen yet."""
        sidebar = self.page.locator(SIDEBAR)
        if not sidebar.is_visible():
            self.page.locator(f'.jp-SideBar [data-id="{SIDEBAR[1:]}"]').click()
        expect(sidebar).to_be_visible()
        return sidebar

    def run(self, label: str) -> None:
        """Run a command by the palette, with the keyboard."""
        box = self.page.locator("#modal-command-palette input")
        first = self.page.locator("#modal-command-palette .lm-CommandPalette-item.lm-mod-active")

        def is_found() -> bool:
            # What takes the focus while a page is still busy closes the palette.
            self.page.keyboard.press("ControlOrMeta+Shift+C")
            with contextlib.suppress(Error, AssertionError):
                box.fill(label, timeout=2_000)
                expect(first).to_contain_text(label, timeout=2_000)
                return True
            return False

        until(is_found, "the command")
        self.page.keyboard.press("Enter")
        expect(box).to_be_hidden()

    def use_theme(self, name: str) -> None:
        """Change the theme by the palette, and wait until all of it is there."""
        self.run(f"Use Theme: {name}")
        self.page.locator(f'body[data-jp-theme-name="{name}"]').wait_for(state="attached")
        expect(self.page.locator("#jupyterlab-splash")).to_be_hidden()

    def colors(self, place: Locator) -> tuple[float, float]:
        """Return the relative luminance of a text, and of what is behind it."""
        text, ground = place.evaluate(_COLORS)
        return text, ground

    def wait_saved(self, lab: JupyterLab, workspace: str, **parts: str) -> None:
        """Wait until the server keeps this of a workspace: of what it keeps by a key, a part of its text."""
        url = f"{lab.server.url}/lab/api/workspaces/{workspace}"

        def is_saved() -> bool:
            with lab.server.client() as client:
                data = client.get(url).json().get("data", {})
            return all(
                any(key in known and part in json.dumps(value) for known, value in data.items())
                for key, part in parts.items()
            )

        until(is_saved, f"{parts} in the workspace")

    def clipboard(self) -> str:
        text: str = self.page.evaluate("navigator.clipboard.readText()")
        return text

    def notification(self, text: str) -> Locator:
        return self.page.locator(".Toastify__toast").filter(has_text=text)

    # the tree

    @property
    def sidebar(self) -> Locator:
        return self.page.locator(SIDEBAR)

    @property
    def tree(self) -> Locator:
        return self.sidebar.get_by_role("tree")

    def row(self, path: str) -> Locator:
        return self.sidebar.locator(f'.jp-Caterva2-row[data-path="{path}"]')

    def rows(self) -> list[str]:
        """Return the paths of the rows that are drawn."""
        found: list[str] = self.sidebar.locator("[data-path]").evaluate_all(
            "rows => rows.map(row => row.dataset.path)"
        )
        return found

    def expand(self, *paths: str) -> None:
        """Click on rows until their content is shown."""
        for path in paths:
            row = self.row(path)
            row.wait_for()
            if row.get_attribute("aria-expanded") == "false":
                row.click()
            expect(row).to_have_attribute("aria-expanded", "true")

    def choose(self, path: str, label: str) -> None:
        """Take an entry of a row's context menu."""
        self.row(path).click(button="right")
        begins = re.compile(f"^{re.escape(label)}")
        self.page.locator(".lm-Menu-itemLabel").filter(has_text=begins).click()

    def drop_file(self, path: str, name: str, content: bytes) -> None:
        """Drop a file of the person's computer on a row."""
        self.row(path).evaluate(_DROP, [name, base64.b64encode(content).decode()])

    def filter(self, text: str) -> None:
        self.sidebar.get_by_role("textbox", name="Find datasets and files by name").fill(text)

    # viewers

    def open_dataset(self, path: str) -> Locator:
        """Double-click on a row, and wait for what it shows."""
        self.row(path).dblclick()
        return self.shown(path)

    def viewer(self, path: str) -> Locator:
        return self.page.locator(f'.jp-Caterva2-Viewer[data-path="{path}"]')

    def shown(self, path: str, state: str = "ready") -> Locator:
        """Wait until a viewer shows what it should; give the viewer."""
        viewer = self.viewer(path)
        viewer.locator(f'.jp-Caterva2-View[data-state="{state}"]').wait_for(timeout=LATE_MS)
        return viewer

    # notebooks

    @property
    def notebook(self) -> Locator:
        return self.page.locator(".jp-NotebookPanel:visible")

    def cell(self, number: int) -> Locator:
        return self.notebook.locator(".jp-Notebook .jp-Cell").nth(number)

    def wait_kernel(self) -> None:
        """Wait until the notebook's kernel has nothing to do."""
        self.notebook.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=LATE_MS)
        status = self.page.locator("#jp-main-statusbar")
        if status.is_visible():
            expect(status).to_contain_text("| Idle", timeout=LATE_MS)

    def source(self, number: int) -> Locator:
        """Return where the code of a cell is written."""
        return self.cell(number).locator(".cm-content")

    def run_cell(self, number: int) -> Locator:
        """Run a cell, and wait until it is done; give its output."""
        cell = self.cell(number)
        self.source(number).click()
        self.page.keyboard.press("Shift+Enter")
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=LATE_MS)
        return cell.locator(".jp-OutputArea")

    def screenshot(self, file: Path, **options: object) -> None:
        """Take a picture when nothing moves any more."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=file, animations="disabled", caret="hide", **options)  # type: ignore[arg-type]


def drag(page: Page, source: Locator, target: Locator) -> None:
    """Drag with the mouse, as a hand does it: not in one step."""
    begin, end = source.bounding_box(), target.bounding_box()
    assert begin is not None
    assert end is not None
    page.mouse.move(begin["x"] + 40, begin["y"] + begin["height"] / 2)
    page.mouse.down()
    page.mouse.move(begin["x"] + 60, begin["y"] + begin["height"] / 2 + 4, steps=4)
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=10)
    page.mouse.up()
