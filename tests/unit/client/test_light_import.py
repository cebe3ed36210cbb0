"""What an import brings along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
FRESH = {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def _loaded(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], env=FRESH, capture_output=True, text=True, check=True, timeout=60
    )
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import caterva2", {"numpy", "httpx", "msgspec", "tornado", "blosc2", "asyncio"}),
        ("import caterva2.client", {"numpy", "httpx", "tornado", "blosc2", "asyncio"}),
        ("from caterva2 import Client, Root", {"numpy", "httpx", "tornado", "blosc2", "asyncio"}),
        ("from caterva2.cli.main import build_parser; build_parser()", {"numpy", "httpx", "tornado", "rich"}),
        ("import caterva2.client.connection", {"numpy", "tornado", "blosc2", "asyncio"}),
    ],
    ids=["caterva2", "client", "Client", "cat2cli", "connection"],
)
def test_import_brings_nothing_heavy(statement: str, absent: set[str]) -> None:
    assert _loaded(statement) & absent == set()
