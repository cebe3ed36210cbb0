"""Our objects at the end of a cell, `show`, and what an import of the package brings along."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

import caterva2
import caterva2_jupyter
from caterva2 import Client
from caterva2.errors import NotADataset
from caterva2_jupyter import bars, showing
from tests.jupyter_ext.kernel.conftest import CUBE, Lab

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def in_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it look as if the shell were one of a kernel, whose front end shows widgets."""
    monkeypatch.setattr(showing, "has_widgets", lambda: True)
    monkeypatch.setattr(bars, "has_widgets", lambda: True)


def test_a_root_is_found_without_an_address(handed: Lab) -> None:
    found: Any = caterva2.Root("@public")["dir1/cube.b2nd"]

    np.testing.assert_array_equal(found[0], CUBE[0])


def test_connect_returns_a_client_of_the_user(handed: Lab) -> None:
    assert caterva2_jupyter.connect().me()["email"] == "ada@example.org"


def test_connect_without_jupyter_reads_the_configuration(lab: Lab, own_surroundings: Path) -> None:
    (own_surroundings / "caterva2.toml").write_text(f'[subscriber]\nurl = "{lab.url}"\n')

    assert caterva2_jupyter.connect().urlbase == lab.url


def test_client_goes_on_when_jupyter_renews_its_token(lab: Lab, hand_over: Any) -> None:
    hand_over(lab=(lab.url, "old-and-no-longer-good"))
    client = caterva2_jupyter.connect()

    hand_over(lab=(lab.url, lab.token))

    assert client.me()["email"] == "ada@example.org"


def test_show_takes_a_path(handed: Lab) -> None:
    viewer = caterva2_jupyter.show("@public/dir1/cube.b2nd", axes=(0, 2), position=(1, 2, 3), colormap="gray")

    assert viewer.wait()
    assert (viewer.axes, viewer.value, viewer.colormap) == ((0, 2), CUBE[1, 2, 3], "gray")


def test_show_takes_an_array(handed: Lab) -> None:
    viewer = caterva2_jupyter.show(CUBE, mode="line")

    assert viewer.wait()
    assert viewer.error is None


@pytest.mark.parametrize("what", ["@public/notes.txt", 5], ids=["file", "number"])
def test_show_of_something_else_is_refused(handed: Lab, what: object) -> None:
    with pytest.raises(NotADataset):
        caterva2_jupyter.show(what)


def test_show_knows_its_options(handed: Lab) -> None:
    with pytest.raises(TypeError, match="no property 'colour'"):
        caterva2_jupyter.show(CUBE, colour="red")


def test_link_knows_what_can_be_linked() -> None:
    one, other = caterva2_jupyter.show(CUBE), caterva2_jupyter.show(CUBE)

    with pytest.raises(ValueError, match="found everything"):
        caterva2_jupyter.link(one, other, "everything")
    caterva2_jupyter.link(one, other, "position")
    one.position = (0, 0, 0)
    assert other.position == (0, 0, 0)


@pytest.mark.usefixtures("in_kernel")
def test_dataset_at_the_end_of_a_cell_is_a_viewer(handed: Lab, shell: InteractiveShell) -> None:
    dataset = caterva2.get("@public/dir1/cube.b2nd")

    bundle, _ = shell.display_formatter.format(dataset)

    assert bundle["text/plain"] == repr(dataset)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "data:image/png;base64," in bundle["text/html"]


def test_dataset_in_a_terminal_is_a_line(handed: Lab, shell: InteractiveShell) -> None:
    bundle, _ = shell.display_formatter.format(caterva2.get("@public/dir1/cube.b2nd"))

    assert "application/vnd.jupyter.widget-view+json" not in bundle
    assert bundle["text/plain"].startswith("<Dataset: @public/dir1/cube.b2nd")


@pytest.mark.usefixtures("in_kernel")
def test_dataset_of_a_server_that_is_away_still_shows_what_is_known(
    lab: Lab, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Client(lab.url).get("@public/dir1/cube.b2nd")
    monkeypatch.setattr(type(dataset), "window", _refuse)

    bundle, _ = shell.display_formatter.format(dataset)

    assert "(6, 40, 50)" in bundle["text/html"]
    assert "<img" not in bundle["text/html"]


def _refuse(*args: object, **how: object) -> None:
    raise caterva2.errors.ConnectFailed("cannot reach it")


@pytest.mark.usefixtures("in_kernel")
@pytest.mark.parametrize("path", ["@public", "@public/dir1"])
def test_directory_at_the_end_of_a_cell_lists_what_is_in_it(
    handed: Lab, shell: InteractiveShell, path: str
) -> None:
    bundle, _ = shell.display_formatter.format(caterva2.get(path))

    assert path in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert handed.url not in str(bundle)  # a saved notebook tells nobody where it was


@pytest.mark.usefixtures("in_kernel")
def test_progress_is_a_bar(handed: Lab, own_surroundings: Path, capsys: Any) -> None:
    with caterva2_jupyter.progress("cube") as bar:
        caterva2.get("@public/dir1/cube.b2nd").download("cube.b2nd", progress=bar)

    assert bar._bar.value == 1
    assert bar._bar.bar_style == "success"
    assert "KiB of" in bar._text.value


@pytest.mark.usefixtures("in_kernel")
def test_progress_that_fails_is_red(capsys: Any) -> None:
    shown: list[Any] = []

    with pytest.raises(OSError, match="disk"):
        _fail(shown)

    assert (shown[0]._bar.bar_style, shown[0]._bar.value) == ("danger", 0.5)
    assert shown[0].still_html(failed=True).endswith("/s, failed")


def _fail(shown: list[Any]) -> None:
    with caterva2_jupyter.progress("x") as bar:
        shown.append(bar)
        bar(5, 10)
        raise OSError("disk")


def test_progress_in_a_terminal_is_none() -> None:
    with caterva2_jupyter.progress("x") as bar:
        assert bar is None


# what an import brings along


def _loaded(statement: str) -> set[str]:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jupyter_ext")])
    code = f"import sys; {statement}; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return set(answer.stdout.split())


HEAVY = {"numpy", "ipywidgets", "blosc2", "httpx", "tornado", "jupyter_server", "caterva2.client", "PIL"}


@pytest.mark.parametrize(
    "statement",
    [
        "import caterva2_jupyter",
        "from IPython.core.interactiveshell import InteractiveShell as S; s = S();"
        " s.run_line_magic('load_ext', 'caterva2_jupyter')",
    ],
    ids=["import", "load_ext"],
)
def test_loading_brings_nothing_heavy(statement: str) -> None:
    assert _loaded(statement) & HEAVY == set()


@pytest.mark.parametrize("name", [name for name in caterva2_jupyter.__all__ if not name.startswith("_")])
def test_public_names_exist(name: str) -> None:
    found: Callable[..., Any] = getattr(caterva2_jupyter, name)

    assert found.__doc__
