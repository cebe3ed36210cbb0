"""A Jupyter server with the extension, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.processes import until

REPOSITORY = Path(__file__).parents[2]
WAIT_S = 60.0
TOKEN = "a-token-of-the-tests"


@dataclass
class Jupyter:
    """A running server."""

    url: str
    pid: int
    token: str = TOKEN

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def client(self) -> httpx.Client:
        """Return a client that is logged in; close it."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=60, trust_env=False)

    def forget_peak(self) -> int:
        """Begin to look for the peak of memory anew; return what is resident now, in bytes."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self._status("VmRSS")

    @property
    def peak_bytes(self) -> int:
        """Most memory that was resident since."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024


@contextlib.contextmanager
def running_jupyter(
    home: Path, *options: str, base_url: str = "/user/x/", module: str = "jupyter_server"
) -> Iterator[Jupyter]:
    """Run a Jupyter server until the block ends; it shows ``home/notebooks``.

    Parameters
    ----------
    options
        More of its command line.
    module
        Which application of Jupyter it is.
    """
    notebooks, runtime = home / "notebooks", home / "runtime"
    notebooks.mkdir(parents=True, exist_ok=True)
    environ = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jupyter_ext")]),
    }
    environ.pop("CATERVA2_JUPYTER", None)
    command = [
        sys.executable, "-m", module, "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.base_url={base_url}",
        "--ServerApp.allow_unauthenticated_access=False",
        "--ServerApp.jpserver_extensions=caterva2_jupyter=True", *options,
    ]  # fmt: skip
    with (home / "jupyter.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=notebooks, env=environ, stdout=log, stderr=log)
    try:
        url = _wait_for_url(process, runtime, home / "jupyter.log")
        yield Jupyter(url.rstrip("/"), process.pid)
    finally:
        process.terminate()
        process.wait(WAIT_S)


def _wait_for_url(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    def find() -> str | None:
        assert process.poll() is None, f"Jupyter did not start:\n{log.read_text()[-4000:]}"
        with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
            found = json.loads((runtime / f"jpserver-{process.pid}.json").read_text())
            url = f"http://127.0.0.1:{found['port']}{found['base_url']}"
            headers = {"Authorization": f"token {TOKEN}"}
            answer = httpx.get(f"{url}caterva2/api/status", headers=headers, trust_env=False)
            if answer.is_success and all(each["connected"] for each in answer.json()["subscribers"]):
                return url
        return None

    found: str = until(find, "a Jupyter server that is connected", within_s=WAIT_S)
    return found
