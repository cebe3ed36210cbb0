"""Jupyter on one host, a subscriber with users on another, known by its name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import REPOSITORY
from tests.support.otherhost import ADA, NAME, THERE

pytestmark = pytest.mark.slow

NAMESPACES = ["unshare", "--map-root-user", "--mount", "--net"]
WITH_NAMES = 'mount --bind "$1" /etc/hosts && exec "$0" -m tests.support.otherhost "$2"'


def test_log_in_read_upload_and_hear_at_another_host(tmp_path: Path) -> None:
    if not shutil.which("ip") or subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode:
        pytest.skip("needs ip, and namespaces of its own")
    hosts, home = tmp_path / "hosts", tmp_path / "home"
    hosts.write_text(f"127.0.0.1 localhost\n{THERE} {NAME}\n")
    home.mkdir()
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jupyter_ext")])

    done = subprocess.run(
        [*NAMESPACES, "sh", "-c", WITH_NAMES, sys.executable, str(hosts), str(home)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    saw = json.loads(done.stdout.splitlines()[-1])
    url = saw.pop("url")
    assert url.startswith(f"http://{NAME}:")
    assert saw == {
        "before": {"name": "far", "url": url, "connected": True, "user": None},
        "after": {"name": "far", "url": url, "connected": True, "user": ADA},
        "names": ["line.b2nd"],
        "upload": 200,
        "read": [40, 41, 42],
        "heard": "new.txt",
    }
