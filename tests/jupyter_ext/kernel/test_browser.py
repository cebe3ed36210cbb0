"""The browser without a browser: looking around in a directory, and choosing what is in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from caterva2 import Client, Directory
from caterva2.errors import ConnectFailed
from caterva2.model.trees import TreePage
from caterva2_jupyter.widgets import browser as browser_module
from caterva2_jupyter.widgets.browser import Browser
from caterva2_jupyter.widgets.viewer import Viewer
from tests.jupyter_ext.kernel.conftest import CUBE, Lab

Make = Callable[[], Browser]


@pytest.fixture
def public(lab: Lab) -> Iterator[Directory]:
    with Client(lab.url) as client:
        found = client.get("@public")
        assert isinstance(found, Directory)
        yield found


@pytest.fixture
def browse(public: Directory) -> Iterator[Make]:
    made: list[Browser] = []

    def make() -> Browser:
        made.append(Browser(public))
        assert made[-1].wait()
        return made[-1]

    yield make
    for browser in made:
        browser.close()


def choose(browser: Browser, name: str) -> None:
    browser.choose(name)
    assert browser.wait()


def test_directories_come_first_with_shapes_behind_names(browse: Make) -> None:
    browser = browse()

    assert browser.names[0] == "dir1"
    labels = [label for label, _ in browser._list.options]
    assert "▸ dir1/" in labels
    assert "  plane.b2nd  (10, 20) int32" in labels


def test_a_directory_is_entered_and_left(browse: Make) -> None:
    browser = browse()

    choose(browser, "dir1")
    assert browser.names == ["cube.b2nd"]
    browser._up.click()
    assert browser.wait()

    assert "plane.b2nd" in browser.names


def test_a_dataset_is_shown_below(browse: Make) -> None:
    browser = browse()
    choose(browser, "dir1")

    choose(browser, "cube.b2nd")

    assert isinstance(browser.shown, Viewer)
    assert browser.shown.value == CUBE[3, 20, 25]
    assert browser._stage.children == (browser.shown,)


def test_another_file_is_described(browse: Make) -> None:
    browser = browse()

    choose(browser, "notes.txt")

    assert "@public/notes.txt" in browser._stage.children[0].value


def test_filter_is_applied_by_the_server(browse: Make) -> None:
    browser = browse()

    browser._filter.set_state({"value": "PLA"})
    assert browser.wait()

    assert browser.names == ["plane.b2nd"]


def test_long_directories_come_in_pages(browse: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_module, "PAGE", 2)
    browser = browse()
    assert len(browser.names) == 2

    browser._more.click()
    assert browser.wait()

    assert len(set(browser.names)) == 4
    assert "4 of 7 shown" in browser._status.value


def test_failure_is_shown_and_can_be_tried_again(
    browse: Make, public: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Directory, "page", _refuse)
        browser = browse()
        assert browser.error == "cannot reach it"

    browser._again.click()
    assert browser.wait()

    assert browser.error is None
    assert "plane.b2nd" in browser.names


def _refuse(*args: object, **how: object) -> None:
    raise ConnectFailed("cannot reach it")


def test_kernel_is_free_while_a_server_is_slow(public: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    page = Directory.page

    def slow(*args: Any, **how: Any) -> TreePage:
        assert go.wait(20)
        return page(*args, **how)

    monkeypatch.setattr(Directory, "page", slow)

    browser = Browser(public)  # returns although nothing was listed

    assert browser.names == []
    go.set()
    assert browser.wait()
    browser.close()


def test_saved_notebook_keeps_the_first_rows(browse: Make) -> None:
    bundle = browse()._repr_mimebundle_()

    assert "plane.b2nd" in bundle["text/html"]
    assert "(10, 20) int32" in bundle["text/html"]


def test_row_that_is_not_there_can_not_be_chosen(browse: Make) -> None:
    with pytest.raises(ValueError, match="lists no 'nothing'"):
        browse().choose("nothing")
