"""The reference pages are made from the code, so they leave nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import caterva2
from caterva2.config.settings import SETTINGS
from program_reference import PROGRAMS, filled

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.fixture(scope="module")
def configuration() -> str:
    return filled((REFERENCE / "configuration.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_setting_is_documented(configuration: str, setting) -> None:
    row = re.escape(f"| `{setting.key}` |") + r".*" + re.escape(f"| `{setting.variable}` |")

    assert re.search(row, configuration)


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_is_documented_with_every_option(configuration: str, program: str) -> None:
    text = configuration + filled((REFERENCE / "cat2cli.md").read_text(encoding="utf-8"))
    options = {o for action in PROGRAMS[program]()._actions for o in action.option_strings} - {"-h", "--help"}

    section = text.partition(f"{program} [-h]")[2].partition("\n## ")[0]
    assert options
    assert {option for option in options if f"`{option}" not in section} == set()


@pytest.mark.parametrize("name", [name for name in caterva2.__all__ if not name.startswith("_")])
def test_public_name_is_documented(name: str) -> None:
    page = (REFERENCE / "api.md").read_text(encoding="utf-8")

    assert re.search(rf"^\.\. auto\w+:: caterva2\.(errors$|{name}$)", page, re.MULTILINE)
