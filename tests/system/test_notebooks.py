"""The example notebooks: clean in the repository, and each runs against a real network of the demo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.demonet import DemoNetwork, demo_network
from tests.support.entrypoints import write_entry_points

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "examples").glob("*.ipynb"))

# Whatever warns in our code, or because of it, is an error here too.
STRICT = """\
import warnings
warnings.simplefilter("error")
warnings.filterwarnings("default", module="ipykernel")
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoNetwork]:
    with demo_network(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="module")
def kernel_environment(network: DemoNetwork, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a kernel of JupyterLab sees: where our packages are, and the file of the server extension."""
    home = tmp_path_factory.mktemp("home")
    entries = write_entry_points(tmp_path_factory.mktemp("installed"))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CATERVA2_")},
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "jupyter_ext", entries))),
        "CATERVA2_JUPYTER": str(network.handover),
    }


def _read(notebook: Path) -> Any:
    return nbformat.read(notebook, as_version=4)


def test_there_is_a_notebook_for_each_subject() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["dask_xarray", "expressions", "tomography", "tour"]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(
    notebook: Path, network: DemoNetwork, kernel_environment: dict[str, str], tmp_path: Path
) -> None:
    read = _read(notebook)
    read.cells.insert(0, nbformat.v4.new_code_cell(STRICT))

    done = NotebookClient(read, timeout=100, resources={"metadata": {"path": str(tmp_path)}}).execute(
        env=kernel_environment
    )

    streams = [out for cell in done.cells for out in cell.get("outputs", ()) if out.output_type == "stream"]
    assert [out.text for out in streams if out.name == "stderr"] == []
    with network.client() as client:
        assert client.get_list("@personal") == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_clean(notebook: Path) -> None:
    read = _read(notebook)

    nbformat.validate(read)
    code = [cell for cell in read.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [None] * len(code)
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert [cell.metadata for cell in read.cells] == [{}] * len(read.cells)
    assert set(read.metadata) == {"kernelspec", "language_info"}
    assert dict(read.metadata.language_info) == {"name": "python"}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_holds_no_address_and_no_password(notebook: Path) -> None:
    code = "\n".join(cell.source for cell in _read(notebook).cells if cell.cell_type == "code")

    assert "://" not in code
    assert "password" not in code
    assert "token" not in code


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_explains_more_than_it_computes(notebook: Path) -> None:
    cells = _read(notebook).cells

    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert sum(cell.cell_type == "markdown" for cell in cells) >= len(cells) / 3
