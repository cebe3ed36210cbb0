"""JupyterLab of the demo: a copy of the notebooks, a token for the subscriber, and settings of its own.

All of it lies below the directory of the demo, so neither the checkout nor the
person's own Jupyter is touched.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent

FIRST_NOTEBOOK = "tour.ipynb"
USUAL_PORT = 8888
TOKEN_NAME = "JupyterLab of the demo"  # noqa: S105 - what it is called, not what it is
TOKEN_DAYS = 30.0

# No question about news of the Jupyter project over the first notebook.
_LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}


@dataclass(frozen=True, kw_only=True)
class Lab:
    """How JupyterLab is started, and the URL that lets a person in."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    url: str


def is_installed() -> bool:
    """Tell whether JupyterLab and our extension are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("jupyterlab", "caterva2_jupyter"))


def free_port() -> int:
    """Return Jupyter's usual port, or any free one if it is taken."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise OSError("there is no free port")


def has_display() -> bool:
    """Tell whether a browser could open a window here."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def prepare(state: Path, *, subscriber: str, port: int, opens_browser: bool) -> Lab:
    """Copy the notebooks and write the settings below `state`.

    Parameters
    ----------
    subscriber
        Address of the subscriber; `keep_token` has kept a token for it.
    """
    home, notebooks = state / "jupyter", state / "notebooks"
    token = secrets.token_hex(24)
    first = f"/lab/tree/{FIRST_NOTEBOOK}"
    copy_notebooks(notebooks)
    server = {
        "ip": "localhost",
        "port": port,
        "port_retries": 0,
        "root_dir": str(notebooks),
        "default_url": first,
        "open_browser": opens_browser,
        # In a container there is often nobody else.
        "allow_root": os.geteuid() == 0,
        "jpserver_extensions": {"caterva2_jupyter": True},
    }
    _write(
        home / "config" / "jupyter_server_config.json",
        {
            "ServerApp": server,
            "IdentityProvider": {"token": token},
            "Caterva2App": _extension_settings(state, subscriber),
        },
    )
    _write(home / "config" / "labconfig" / "default_setting_overrides.json", _LAB_SETTINGS)
    environment = {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        # Terminals of JupyterLab find cat2cli.
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
    }
    command = (sys.executable, "-m", "jupyterlab")
    url = f"http://localhost:{port}{first}?token={token}"
    return Lab(command=command, environment=environment, port=port, url=url)


def settings_beside(state: Path, *, subscriber: str) -> dict[str, str]:
    """Write settings for a Jupyter server that somebody else configures; give the environment to find them.

    Parameters
    ----------
    subscriber
        Address of the subscriber; `keep_token` has kept a token for it.
    """
    home = state / "jupyter" / "beside"
    server = {"jpserver_extensions": {"caterva2_jupyter": True}}
    caterva2 = _extension_settings(state, subscriber)
    _write(home / "jupyter_server_config.json", {"ServerApp": server, "Caterva2App": caterva2})
    _write(home / "labconfig" / "default_setting_overrides.json", _LAB_SETTINGS)
    others = os.environ.get("JUPYTER_CONFIG_PATH")
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join((str(home), others) if others else (str(home),))}


def copy_notebooks(directory: Path) -> None:
    """Copy the example notebooks that are not there yet; what a person has changed stays."""
    directory.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(EXAMPLES.glob("*.ipynb")):
        target = directory / notebook.name
        if not target.exists():
            shutil.copyfile(notebook, target)


def keep_token(state: Path, *, subscriber: str, user: str, password: str) -> Path:
    """Let JupyterLab be a user of the subscriber: keep a token of his, which only its owner can read.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    Caterva2Error
        The subscriber does not answer, or does not know the user.
    """
    from caterva2 import Client
    from caterva2.client.tokenfile import KeptToken, keep_token, kept_token
    from caterva2.errors import NotAuthenticated

    file = _token_file(state)
    kept = kept_token(subscriber, file)
    if kept is not None:
        try:
            with Client(subscriber, token=kept.token) as client:
                client.me()
                return file
        except NotAuthenticated:
            pass  # It has ended, or was another demo's.
    with Client(subscriber, (user, password)) as client:
        for old in client.list_tokens():
            if old["name"] == TOKEN_NAME:
                client.revoke_token(old["id"])
        token = client.create_token(TOKEN_NAME, "write", days=TOKEN_DAYS)
        made = next(each for each in client.list_tokens() if each["name"] == TOKEN_NAME)
    return keep_token(subscriber, KeptToken(token, user, made["id"]), file)


def _extension_settings(state: Path, subscriber: str) -> dict[str, Any]:
    return {"subscribers": {"demo": subscriber}, "token_file": str(_token_file(state))}


def _token_file(state: Path) -> Path:
    return state / "jupyter" / "tokens.json"


def _write(file: Path, values: Mapping[str, Any]) -> None:
    """Write JSON that only its owner can read, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as output:
        json.dump(values, output, indent=1)
    new.replace(file)
