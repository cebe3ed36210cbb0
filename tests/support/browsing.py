"""A person at a browser, who does what a page of the documentation tells: one sentence, one action."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Playwright

    from tests.support.webpage import WebPage

ACTION_WITHIN_S = 60.0


class Person:
    """Somebody with a Chromium that nobody has used before.

    Sentences are ``Open <ADDRESS>.``, ``Fill in *LABEL* with `TEXT`.``, ``Press *BUTTON*.``,
    ``Follow *LINK*.``, ``Choose `PATH`.`` in the tree, ``Drop `FILE` on `PATH`.``, ``See `TEXT`.``

    Parameters
    ----------
    directory
        Where the files lie that are dropped.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # Playwright has an event loop of its own, which may not be that of others.
        self._thread = ThreadPoolExecutor(1)
        self._playwright: Playwright | None = None
        self._web: WebPage | None = None

    def do(self, sentence: str) -> None:
        """Do what a sentence says; raise `AssertionError` if that can not be done, or is not seen."""
        for pattern, act in _ACTIONS.items():
            found = re.fullmatch(pattern, sentence)
            if found is not None:
                self._thread.submit(self._act, act, sentence, found.groups()).result(ACTION_WITHIN_S)
                return
        raise AssertionError(f"nobody knows how to: {sentence}")

    def close(self) -> None:
        """Close the browser, and see whether everything that happened in it was caught."""
        problems = self._thread.submit(self._close).result(ACTION_WITHIN_S)
        self._thread.shutdown()
        assert not problems, f"in the browser: {problems}"

    def _act(self, act: Callable[..., None], sentence: str, words: tuple[str, ...]) -> None:
        from playwright.sync_api import Error

        try:
            act(self._web or self._begin(), self._directory, *words)
        except Error as exc:
            text = self._web.page.locator("body").inner_text() if self._web is not None else ""
            raise AssertionError(f"{sentence}\n{exc.message}\nThe page shows:\n{text}") from None

    def _begin(self) -> WebPage:
        from playwright.sync_api import sync_playwright

        from tests.support.chromium import launch_arguments
        from tests.support.webpage import WebPage

        arguments = launch_arguments()
        assert arguments is not None, "there is no chromium"
        self._playwright = sync_playwright().start()
        # The person lets the warning about the unknown authority pass; the commands of pages do not.
        context = self._playwright.chromium.launch(**arguments).new_context(ignore_https_errors=True)
        self._web = WebPage(context.new_page(), "")
        return self._web

    def _close(self) -> list[str]:
        if self._playwright is not None:
            self._playwright.stop()
        return [] if self._web is None else self._web.problems


def _fill(web: WebPage, directory: Path, label: str, text: str) -> None:
    del directory
    web.page.get_by_label(label, exact=True).fill(text)


def _drop(web: WebPage, directory: Path, name: str, path: str) -> None:
    web.row(path).wait_for()
    web.drop_file(path, name, (directory / name).read_bytes())


def _choose(web: WebPage, directory: Path, path: str) -> None:
    """Click what is in the tree, after opening the directories above it."""
    del directory
    parts = path.split("/")
    web.expand(*("/".join(parts[:depth]) for depth in range(1, len(parts))))
    web.row(path).click()


_ACTIONS: dict[str, Callable[..., None]] = {
    r"Open <(\S+)>\.": lambda web, _, url: web.page.goto(url),
    r"Fill in \*(.+)\* with `(.+)`\.": _fill,
    r"Press \*(.+)\*\.": lambda web, _, name: web.button(name).click(),
    r"Follow \*(.+)\*\.": lambda web, _, name: web.page.get_by_role("link", name=name).first.click(),
    r"Choose `(.+)`\.": _choose,
    r"Drop `(.+)` on `(.+)`\.": _drop,
    r"See `(.+)`\.": lambda web, _, text: web.page.get_by_text(text).first.wait_for(),
}
