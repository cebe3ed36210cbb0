"""What ``import caterva2`` offers is what its ``__all__`` says."""

from __future__ import annotations
import __future__

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import caterva2
import caterva2_jupyter

REPOSITORY = Path(__file__).parents[2]
FRESH = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'jupyter_ext'}"}


def test_no_public_name_is_missing_from_all() -> None:
    public = {
        name
        for name, value in vars(caterva2).items()
        if not name.startswith("_") and not isinstance(value, ModuleType | __future__._Feature)
    }

    assert public - {"TYPE_CHECKING"} <= set(caterva2.__all__)


@pytest.mark.parametrize("name", caterva2.__all__)
def test_name_in_all_exists_and_is_listed_by_dir(name: str) -> None:
    getattr(caterva2, name)

    assert name in dir(caterva2)


def test_all_names_each_thing_once() -> None:
    assert len(caterva2.__all__) == len(set(caterva2.__all__))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(caterva2, "no_such_name")  # noqa: B009 - mypy knows that the name does not exist


def test_both_packages_have_one_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", caterva2.__version__)
    assert caterva2_jupyter.__version__ == caterva2.__version__


def test_jupyter_is_given_its_server_extension() -> None:
    (point,) = caterva2_jupyter._jupyter_server_extension_points()

    assert point["module"] == "caterva2_jupyter"
    assert point["app"].name == "caterva2"


def test_a_kernel_does_not_load_the_server() -> None:
    code = (
        "import sys, caterva2_jupyter; "
        "print(sorted({'jupyter_server', 'tornado', 'blosc2', 'httpx'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=FRESH)

    assert done.stdout.strip() == "[]"
