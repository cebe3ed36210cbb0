"""What a person does on the web page of a subscriber, by what he sees; each wait is for a state."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, expect

from tests.support.jupyter import REPOSITORY

BUILT = REPOSITORY / "caterva2" / "static" / "index.html"
AXE = REPOSITORY / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
SOON_MS = 15_000
PASSWORD = "a good password"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]

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


class WebPage:
    """A page of a subscriber.

    Attributes
    ----------
    problems
        Exceptions that nobody caught, and what the policy of the page has refused.
    """

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.problems: list[str] = []
        page.set_default_timeout(SOON_MS)
        page.on("pageerror", self._note)
        page.on("console", self._note_refusal)

    def _note(self, error: Error) -> None:
        self.problems.append(str(error))

    def _note_refusal(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.problems.append(message.text)

    def open(self, place: str = "") -> None:
        """Load a place of the page, and wait until the page is there."""
        self.page.goto(f"{self.base}/{place}")
        self.page.get_by_role("banner").wait_for()

    # the account

    def register(self, email: str) -> None:
        self.open("register")
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_label("Password once more").fill(PASSWORD)
        self.button("Register").click()
        self.row("@personal").wait_for()

    def log_in(self, email: str, password: str = PASSWORD) -> None:
        self.open("login")
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.keyboard.press("Enter")

    def log_out(self) -> None:
        self.button("Log out").click()
        self.page.get_by_role("link", name="Log in").first.wait_for()

    # the tree

    def row(self, path: str) -> Locator:
        return self.page.locator(f'.jp-Caterva2-row[data-path="{path}"]')

    def expand(self, *paths: str) -> None:
        for path in paths:
            row = self.row(path)
            row.wait_for()
            if row.get_attribute("aria-expanded") == "false":
                row.click()
            expect(row).to_have_attribute("aria-expanded", "true")

    def drop_file(self, path: str, name: str, content: bytes) -> None:
        """Drop a file of the person's computer on a row."""
        self.row(path).evaluate(_DROP, [name, base64.b64encode(content).decode()])

    def drop_paths(self, path: str, *paths: Path) -> None:
        """Drop files and folders of this computer on a row of the tree."""
        self.drop_on(self.row(path), *paths)

    def drop_on(self, place: Locator, *paths: Path) -> None:
        """Drop files and folders of this computer somewhere, as the browser does it itself."""
        place.wait_for()
        box = place.bounding_box()
        assert box is not None
        session = self.page.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(each) for each in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send(
                "Input.dispatchDragEvent",
                {"type": kind, "x": box["x"] + 60, "y": box["y"] + 8, "data": data},
            )

    # what is shown

    def shown(self, path: str, state: str = "ready") -> Locator:
        """Wait until the viewer of a path shows what it should; give the viewer."""
        viewer = self.page.locator(f'.jp-Caterva2-Viewer[data-path="{path}"]')
        viewer.locator(f'[data-state="{state}"]').first.wait_for()
        return viewer

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def flaws(self) -> list[str]:
        """Return what axe-core finds wrong for those who see or move little."""
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate(
            "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES
        )
        return [
            f"{flaw['id']}: {node['html'][:200]}" for flaw in found["violations"] for node in flaw["nodes"]
        ]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def screenshot(self, file: Path) -> None:
        """Take a picture when nothing moves any more."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=file, animations="disabled", caret="hide")


OpenPage = Callable[..., WebPage]
