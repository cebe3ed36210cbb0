"""What ``import caterva2`` offers is what its ``__all__`` says."""

from __future__ import annotations
import __future__

import re
from pathlib import Path
from types import ModuleType

import pytest

import caterva2
import caterva2_jupyter

REPOSITORY = Path(__file__).parents[2]


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


def test_jupyter_shell_registers_nothing_yet() -> None:
    assert caterva2_jupyter._jupyter_server_extension_points() == []
