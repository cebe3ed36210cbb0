"""What runs in kernels, against a real subscriber with users; no browser and no Jupyter server is needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import blosc2
import httpx
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from caterva2 import Client
from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.accounts import PASSWORD, SECRET
from tests.support.serverthread import RoleThread

ADA = "ada@example.org"

PLANE = np.arange(200, dtype="<i4").reshape(10, 20)
CUBE = np.random.default_rng(2).normal(size=(6, 40, 50)).astype("<f4")
WIDE = np.arange(3 * 700 * 1500, dtype="<i4").reshape(3, 700, 1500)
PEOPLE = np.array([(i, i / 3, b"n%d" % i) for i in range(60)], [("id", "<i4"), ("x", "<f8"), ("name", "S4")])


class Lab(NamedTuple):
    """A subscriber, and a token of its user."""

    url: str
    token: str
    public: Path


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    state: Path = tmp_path_factory.mktemp("sub")
    public = state / "public"
    (public / "dir1").mkdir(parents=True)
    arrays = {"plane": PLANE, "dir1/cube": CUBE, "wide": WIDE, "people": PEOPLE}
    for name, array in arrays.items():
        blosc2.asarray(array, urlpath=str(public / f"{name}.b2nd"), mode="w")
    (public / "README.md").write_text("# Hello\n")
    (public / "notes.txt").write_text("plain\n")
    (public / "raw.bin").write_bytes(bytes(range(256)))
    config = SubscriberConfig(
        http=Address("127.0.0.1", 0), statedir=state, login=True, register=True, auth_secret=SECRET
    )
    with RoleThread(run_subscriber, config) as role:
        url = f"http://{role.address}"
        answer = httpx.post(f"{url}/auth/register", json={"email": ADA, "password": PASSWORD})
        answer.raise_for_status()
        with Client(url, (ADA, PASSWORD)) as client:
            token = client.create_token("lab", "write", days=1)
        yield Lab(url, token, public)


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep tokens, history and files of a test in its own directory; returns the current one."""
    for name, value in {"XDG_CONFIG_HOME": "config", "IPYTHONDIR": "ipython"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.delenv("CATERVA2_JUPYTER", raising=False)
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    monkeypatch.chdir(cwd)
    return cwd


@pytest.fixture
def hand_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return what writes the file that a Jupyter server keeps for its kernels."""

    def write(**subscribers: tuple[str, str | None]) -> Path:
        path = tmp_path / "caterva2-1.json"
        values = {
            "current": next(iter(subscribers)),
            "subscribers": {name: {"url": url, "token": token} for name, (url, token) in subscribers.items()},
        }
        beside = path.with_name("beside.json")
        beside.touch(mode=0o600)
        beside.write_text(json.dumps(values))
        beside.replace(path)
        monkeypatch.setenv("CATERVA2_JUPYTER", str(path))
        return path

    return write


@pytest.fixture
def handed(lab: Lab, hand_over: Callable[..., Path]) -> Lab:
    """A kernel of a JupyterLab that is connected to `lab`, as its user."""
    hand_over(lab=(lab.url, lab.token))
    return lab


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    made = InteractiveShell(config=config)
    made.run_line_magic("load_ext", "caterva2_jupyter")
    yield made
    made.restore_sys_module_state()


@pytest.fixture
def run(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Any]:
    """Return what runs a cell and gives its value; an error in it is raised, what it printed is kept."""

    def execute(code: str) -> Any:
        result = shell.run_cell(code)
        result.raise_error()
        return result.result

    return execute
