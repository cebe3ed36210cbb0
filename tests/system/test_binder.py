"""Binder: the steps of ``binder/`` in a fresh virtual environment, as far as they go without a container."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port, free_ports

REPOSITORY = Path(__file__).parents[2]
BINDER = REPOSITORY / "binder"

START = str(BINDER / "start")

READY_WITHIN_S = 90.0

# Nothing of these is in a clean clone, or of use in one.
NOT_IN_A_CLONE = shutil.ignore_patterns(
    ".git",
    ".venv",
    "_demo",
    "_bench",
    "_build",
    "_caterva2",
    ".*_cache",
    "node_modules",
    "lib",
    "__pycache__",
    ".hypothesis",
    "results",
)


def _pip_part() -> list[str]:
    """Read the pip part of environment.yml: the only list of lists in it."""
    lines = (BINDER / "environment.yml").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("      - ") for line in lines if line.startswith("      - ")]


def _requirements() -> set[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return {*project["dependencies"], *(each for extra in extras.values() for each in extra)}


def test_early_layer_asks_for_what_our_package_asks_for() -> None:
    assert _pip_part()
    assert set(_pip_part()) <= _requirements()


def test_early_layer_has_what_notebooks_import() -> None:
    cells = [
        "".join(cell["source"])
        for path in (REPOSITORY / "examples").glob("*.ipynb")
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]

    imported = set(re.findall(r"^(?:import|from) (\w+)", "\n".join(cells), re.MULTILINE))

    # The distributions have the names of their modules; numpy comes with all of them.
    early = {re.split(r"[\[>]", requirement)[0] for requirement in _pip_part()}
    assert imported - {"caterva2", "caterva2_jupyter", "numpy", "pickle"} <= early


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_script_can_be_run_and_is_well_formed(name: str) -> None:
    assert os.access(BINDER / name, os.X_OK)
    assert subprocess.run(["bash", "-n", str(BINDER / name)], check=False).returncode == 0


class Visitor:
    """Somebody with a home directory, a current directory, and programs; nothing else of the machine's.

    Parameters
    ----------
    home
        His home directory.
    directory
        Where he works.
    programs
        Where python and our programs are.
    """

    def __init__(self, home: Path, directory: Path, programs: Path) -> None:
        self.home = home
        self.directory = directory
        self.programs = programs

    @property
    def environment(self) -> dict[str, str]:
        passed = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "UV_", "npm_", "NPM_", "SSL_", "LANG", "LC_", "YARN_"))
            or name.lower().endswith("_proxy")
        }
        return {
            **passed,
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "PIP_CONSTRAINT": str(REPOSITORY / "constraints.txt"),
        }

    def build(self, *command: str) -> None:
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.directory,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    @contextlib.contextmanager
    def started(self, *command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command; end it, if it has not ended, with the block."""
        process = subprocess.Popen(
            command,
            cwd=self.directory,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=60)
            finally:
                process.kill()


@pytest.fixture
def demo_args() -> str:
    """Options of ports that are free: in a container nobody else has the usual ones, here somebody may."""
    names = ("broker", "foo", "bar", "subscriber")
    return " ".join(f"--{name}-port {port}" for name, port in zip(names, free_ports(4), strict=True))


@pytest.fixture
def port() -> int:
    return free_port()


def _fetch(url: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Authorization": "token of-the-test"})
    with opener.open(request, timeout=20) as answer:
        return json.loads(answer.read())


def _wait_for(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        assert process.poll() is None, process.stdout.read()
        try:
            _fetch(url)
            return
        except OSError:
            assert time.monotonic() < deadline, "Jupyter does not answer"
            time.sleep(0.2)


@pytest.fixture
def visitor(tmp_path: Path) -> Visitor:
    """Somebody in an environment where everything is installed already: the one of the tests."""
    home, directory = tmp_path / "home", tmp_path / "directory"
    home.mkdir()
    directory.mkdir()
    return Visitor(home, directory, Path(sys.executable).parent)


@pytest.mark.slow
def test_start_ends_with_the_status_of_its_command(visitor: Visitor, demo_args: str) -> None:
    done = visitor.run(START, "sh", "-c", "echo $JUPYTER_CONFIG_PATH; exit 3", DEMO_ARGS=demo_args)

    assert done.returncode == 3, done.stderr
    assert done.stdout == f"{visitor.directory / '_demo' / 'jupyter' / 'beside'}\n"


@pytest.mark.slow
def test_start_finds_a_place_to_write(visitor: Visitor, demo_args: str) -> None:
    # Where a directory is wanted lies a file, as root can write everywhere.
    (visitor.directory / "_demo").write_text("")

    done = visitor.run(START, "true", DEMO_ARGS=demo_args)

    assert done.returncode == 0, done.stderr
    assert (visitor.home / ".caterva2-demo" / "foo" / "README.md").is_file()


@pytest.mark.slow
def test_start_with_a_port_that_is_taken_says_so(visitor: Visitor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        done = visitor.run(START, "true", DEMO_ARGS=f"--broker-port {port}")

    assert done.returncode == 1
    assert f"port {port}, which the broker needs, is taken" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_steps_of_binder_bring_up_a_jupyterlab_that_is_connected(
    tmp_path: Path, demo_args: str, port: int
) -> None:
    visitor = Visitor(tmp_path, tmp_path / "checkout", tmp_path / "venv" / "bin")
    shutil.copytree(REPOSITORY, visitor.directory, ignore=NOT_IN_A_CLONE)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    quiet = ["--disable-pip-version-check", "-qq"]
    visitor.build("python", "-m", "pip", "install", *quiet, *_pip_part())
    visitor.build(str(visitor.directory / "binder" / "postBuild"))
    # As Binder does: on all interfaces there, below a path, with a token of the hub.
    jupyter = ["jupyter", "lab", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", "--ServerApp.base_url=/user/visitor/",
               "--IdentityProvider.token=of-the-test"]  # fmt: skip
    if os.geteuid() == 0:
        jupyter.append("--allow-root")

    with visitor.started(
        str(visitor.directory / "binder" / "start"), *jupyter, DEMO_ARGS=demo_args
    ) as process:
        base = f"http://127.0.0.1:{port}/user/visitor"
        _wait_for(f"{base}/api", process)
        status = _fetch(f"{base}/caterva2/api/status")
        roots = _fetch(f"{base}/caterva2/s/demo/api/roots")
        notebook = _fetch(f"{base}/api/contents/examples/tour.ipynb?content=0")

    assert status["current"] == "demo"
    assert [each["user"] for each in status["subscribers"]] == ["demo@example.org"]
    assert {"foo", "bar"} <= roots.keys()
    assert notebook["type"] == "notebook"
    assert process.returncode in {0, 128 + signal.SIGTERM}
