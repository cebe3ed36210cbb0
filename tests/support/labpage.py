"""What a person does in JupyterLab, by what he sees; every wait is for a state, with an end."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

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


class LabPage:
    """A page with JupyterLab in it.

    Attributes
    ----------
    problems
        Exceptions that nobody caught in it, and errors that it logged of ours.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.set_default_timeout(SOON_MS)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

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
        self.page.keyboard.press("ControlOrMeta+Shift+C")
        box = self.page.locator("#modal-command-palette input")
        expect(box).to_be_focused()
        box.fill(label)
        first = self.page.locator(".lm-CommandPalette-item.lm-mod-active")
        expect(first).to_contain_text(label)
        self.page.keyboard.press("Enter")
        expect(box).to_be_hidden()

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
        self.page.locator(".lm-Menu-item").filter(has_text=label).first.click()

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

    def run_cell(self, number: int) -> Locator:
        """Run a cell, and wait until it is done; give its output."""
        cell = self.cell(number)
        cell.locator(".cm-content").click()
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

