"""The wheel: both packages, the extension for JupyterLab, and nothing of the machine that built it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
BUILT = HERE / "jupyter_ext/caterva2_jupyter/labextension/package.json"
DATA = re.compile(r"caterva2-[^/]+\.data/data/")
LABEXTENSION = "share/jupyter/labextensions/@caterva2/jupyterlab/"
SERVER_CONFIG = "etc/jupyter/jupyter_server_config.d/caterva2_jupyter.json"
REGISTRY = re.compile(rb"registry\.(npmjs|yarnpkg)\.|npmRegistryServer|pythonhosted\.org|/simple/")
# Places of a person's or a builder's files; `/usr/bin/env` and addresses of pages are none.
MACHINE_PATH = re.compile(rb"(?<![\w.:/])/(home|root|tmp|Users|work|build|builds|private)/[\w.-]+/")
MOST_BEFORE_VIEWER = 150_000
"""Bytes of script that a page loads before the first viewer opens."""

pytestmark = pytest.mark.slow


def build(kind: str, target: Path) -> Path:
    """Build from the sources of this tree, with what this environment has, and without a network."""
    assert BUILT.exists(), "the JupyterLab extension is not built; run: make labextension"
    code = f"from hatchling.build import build_{kind} as f; print(f({str(target)!r}))"
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {DATA.sub("", name): archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = build("sdist", tmp_path_factory.mktemp("sdist"))
    with tarfile.open(path) as archive:
        found = {item.name.partition("/")[2]: archive.extractfile(item) for item in archive if item.isfile()}
        return {name: handle.read() for name, handle in found.items() if handle is not None}


def test_wheel_has_both_packages_and_switches_the_server_extension_on(members: dict[str, bytes]) -> None:
    config = json.loads(members[SERVER_CONFIG])

    assert {"caterva2/__init__.py", "caterva2_jupyter/__init__.py"} <= members.keys()
    assert config == {"ServerApp": {"jpserver_extensions": {"caterva2_jupyter": True}}}


def test_wheel_has_the_built_labextension_with_its_settings(members: dict[str, bytes]) -> None:
    package = json.loads(members[LABEXTENSION + "package.json"])
    load = package["jupyterlab"]["_build"]["load"]

    assert package["name"] == "@caterva2/jupyterlab"
    assert LABEXTENSION + load in members
    assert LABEXTENSION + "schemas/@caterva2/jupyterlab/plugin.json" in members


def test_wheel_is_a_production_build(members: dict[str, bytes]) -> None:
    names = [name for name in members if name.startswith(LABEXTENSION)]

    assert not [name for name in names if name.endswith((".map", "build_log.json"))]


def test_page_loads_little_before_the_first_viewer(members: dict[str, bytes]) -> None:
    static = {
        name: data
        for name, data in members.items()
        if name.startswith(LABEXTENSION + "static/") and name.endswith(".js")
    }
    # The sidebar and its style name its class; chunks that only viewers need are loaded when one opens.
    early = [
        name
        for name, data in static.items()
        if "remoteEntry" in name or name.endswith("style.js") or b"jp-Caterva2-tree" in data
    ]

    assert len(early) == 4
    assert sum(len(static[name]) for name in early) <= MOST_BEFORE_VIEWER


@pytest.mark.parametrize("archive", ["members", "sources"])
def test_archive_tells_nothing_of_the_machine_that_built_it(
    archive: str, request: pytest.FixtureRequest
) -> None:
    found: dict[str, bytes] = request.getfixturevalue(archive)
    built = {name: data for name, data in found.items() if "labextension" in name and "/test" not in name}
    own = str(HERE).encode()

    assert built
    assert not [name for name, data in found.items() if own in data]
    assert not [name for name, data in built.items() if MACHINE_PATH.search(data)]


@pytest.mark.parametrize("archive", ["members", "sources"])
def test_archive_has_no_lock_file_with_addresses_of_registries(
    archive: str, request: pytest.FixtureRequest
) -> None:
    found: dict[str, bytes] = request.getfixturevalue(archive)
    locks = {name for name in found if re.search(r"(lock|constraints|yarnrc|npmrc)[^/]*$", name)}

    assert not [name for name in found if name.endswith(("package-lock.json", ".npmrc"))]
    assert not [name for name in locks if REGISTRY.search(found[name])]


def test_source_archive_builds_a_wheel_without_node(sources: dict[str, bytes]) -> None:
    assert "jupyter_ext/caterva2_jupyter/labextension/package.json" in sources
    assert "labextension/yarn.lock" in sources
    assert "labextension/src/lab/index.ts" in sources
    assert not [name for name in sources if "node_modules/" in name or name.startswith("labextension/lib/")]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A new environment that has the wheel, and the packages of this one beside it."""
    target = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(target, with_pip=False)
    place = Path(sysconfig.get_path("purelib", "venv", {"base": str(target), "platbase": str(target)}))
    options = (
        "-q",
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--ignore-installed",
        "--no-warn-script-location",
    )
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options]
    subprocess.run([*command, "--prefix", str(target), str(wheel)], check=True)
    (place / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return target / "bin/python"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("jupyterlab.labextensions", "list"), "@caterva2/jupyterlab"),
        (("jupyter_server.extension.serverextension", "list"), "caterva2_jupyter"),
    ],
    ids=["labextension", "server"],
)
def test_fresh_environment_finds_the_extension_enabled_and_ok(
    fresh: Path, tmp_path: Path, command: tuple[str, str], name: str
) -> None:
    module, verb = command
    code = f"import sys; sys.argv[1:] = [{verb!r}]; from {module} import main; main()"
    home = {name: str(tmp_path / name) for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}

    done = subprocess.run(
        [fresh, "-c", code],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "JUPYTER_PREFER_ENV_PATH": "1", **home},
        capture_output=True,
        text=True,
        check=False,
    )

    told = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert re.search(rf"{re.escape(name)}\b.*\b(enabled)\b", told), told
    assert re.search(rf"{re.escape(name)}.*OK", told), told
