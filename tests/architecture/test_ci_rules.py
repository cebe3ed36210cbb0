"""In CI a skipped test is a failed one; elsewhere it is a skipped one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

SKIPS = {
    "inside": "import pytest\ndef test_it():\n    pytest.skip('no server')\n",
    "mark": "import pytest\n@pytest.mark.skip(reason='no server')\ndef test_it():\n    pass\n",
    "module": "import pytest\npytest.importorskip('no_such_server')\n",
}
ALLOWED = {
    "may_skip": "import pytest\n@pytest.mark.may_skip('why')\ndef test_it():\n    pytest.skip('why')\n",
    "xfail": "import pytest\n@pytest.mark.xfail\ndef test_it():\n    assert False\n",
}


def _exit_status(directory: Path, test: str, *, ci: str) -> int:
    shutil.copy(TESTS / "conftest.py", directory)
    (directory / "pytest.ini").write_text("[pytest]\nmarkers = may_skip(reason)\n")
    (directory / "test_it.py").write_text(test + "\ndef test_other():\n    pass\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=directory,
        env={**os.environ, "CI": ci},
        capture_output=True,
        timeout=60,
        check=False,
    ).returncode


@pytest.mark.parametrize("test", SKIPS.values(), ids=SKIPS)
def test_skip_fails_in_ci(tmp_path: Path, test: str) -> None:
    assert _exit_status(tmp_path, test, ci="true") != 0


@pytest.mark.parametrize("test", ALLOWED.values(), ids=ALLOWED)
def test_expected_outcome_passes_in_ci(tmp_path: Path, test: str) -> None:
    assert _exit_status(tmp_path, test, ci="true") == 0


def test_skip_passes_elsewhere(tmp_path: Path) -> None:
    assert _exit_status(tmp_path, SKIPS["mark"], ci="") == 0
