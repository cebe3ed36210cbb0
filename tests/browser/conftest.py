"""JupyterLab in a real Chromium, over a network of real processes.

These tests need the plugin of Playwright, which does not live beside that of
pytest-jupyter: ``pytest -p playwright tests/browser``. A run without it does not
collect them. The extension must have been built: ``make labextension``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.jupyter import REPOSITORY
from tests.support.jupyterlab import BUILT


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave these tests to their own run."""
    return None if config.pluginmanager.has_plugin("playwright") else True


def pytest_configure(config: pytest.Config) -> None:
    """Keep what Playwright writes where git does not look."""
    if config.pluginmanager.has_plugin("playwright"):
        config.option.output = str(REPOSITORY / "_browser")
        config.option.screenshot = "only-on-failure"
        # A fixture of pytest-base-url, which Playwright's plugin brings along.
        config.addinivalue_line(
            "filterwarnings", "ignore:Session-scoped fixtures defined as instance methods"
        )


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    from tests.support.chromium import launch_arguments

    found = launch_arguments()
    if found is None:
        pytest.skip("needs chromium")
    return {**browser_type_launch_args, **found}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {
        **browser_context_args,
        "viewport": {"width": 1280, "height": 860},
        "permissions": ["clipboard-read", "clipboard-write"],
        "reduced_motion": "reduce",
    }


@pytest.fixture(scope="session")
def built() -> None:
    """Need the built extension."""
    if not (BUILT / "package.json").exists():
        pytest.skip("the extension is not built: make labextension")


@pytest.fixture(scope="session")
def site(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Run a network and JupyterLab in front of it, for all tests; see `tests.support.labsite`."""
    from tests.support.labsite import running_site

    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def alone(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Run JupyterLab with nothing configured, as after ``pip install``."""
    from tests.support.jupyterlab import running_lab

    with running_lab(tmp_path_factory.mktemp("alone")) as lab:
        yield lab


@pytest.fixture
def workspace(request: pytest.FixtureRequest) -> str:
    """Return a name for a test's own workspace of JupyterLab, so that none sees what another left."""
    return re.sub(r"\W+", "-", request.node.name).strip("-")


@pytest.fixture
def lab(page: Any) -> Iterator[Any]:
    """Return a page to work in; nothing uncaught may have happened in it."""
    from tests.support.labpage import LabPage

    lab = LabPage(page)
    yield lab
    assert lab.problems == []


@pytest.fixture
def web(network: Any, page: Any) -> Iterator[Any]:
    """Return a page of the subscriber of `network`; nothing uncaught may have happened in it."""
    from tests.support.webpage import WebPage

    web = WebPage(page, network.subscriber.url)
    yield web
    assert web.problems == []


@pytest.fixture
def open_in(network: Any, browser: Any) -> Iterator[Callable[..., Any]]:
    """Open pages of it in browsers of other settings."""
    from tests.support.webpage import WebPage

    opened: list[WebPage] = []

    def open_in(**settings: Any) -> WebPage:
        page = browser.new_context(**settings).new_page()
        opened.append(WebPage(page, network.subscriber.url))
        return opened[-1]

    yield open_in
    for web in opened:
        web.page.context.close()
        assert web.problems == []
