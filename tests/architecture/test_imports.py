"""Who imports whom: the contracts of ``pyproject.toml``, and what an import costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PRODUCT = sorted((REPOSITORY / "caterva2").rglob("*.py"))

# The environment of a fresh interpreter that finds the two packages, installed or not.
FRESH = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'jupyter_ext'}"}


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=REPOSITORY, env=FRESH, capture_output=True, text=True, timeout=60, check=False
    )


def _imported_modules(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    from_nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    named = {f"{node.module}.{alias.name}" for node in from_nodes for alias in node.names}
    return plain | named | {node.module for node in from_nodes if node.module}


def test_import_contracts_hold() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")

    result = _run(str(lint_imports), "--no-cache", "--no-logo")

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("module", ["caterva2", "caterva2.client", "caterva2.errors", "caterva2.model"])
@pytest.mark.parametrize("heavy", ["tornado", "blosc2"])
def test_import_stays_light(module: str, heavy: str) -> None:
    result = _run(sys.executable, "-c", f"import sys, {module}; print({heavy!r} in sys.modules)")

    assert result.stdout == "False\n", result.stderr


def test_only_the_data_channel_speaks_http_client() -> None:
    # import-linter sees `http` as one library, and its tables of status names are for everybody.
    speakers = {
        path.relative_to(REPOSITORY).as_posix()
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"HTTPConnection", "HTTPSConnection"}
    }

    assert speakers <= {"caterva2/client/datachannel.py"}


def test_nothing_of_the_product_imports_the_tests_or_examples() -> None:
    strangers = {"tests", "make_example_root", "demo", "pytest", "hypothesis"}
    imported = {module.partition(".")[0] for path in PRODUCT for module in _imported_modules(path)}

    assert not imported & strangers
