"""JupyterLab, and Notebook 7, in a process of their own, with the extension of this checkout."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.jupyter import REPOSITORY, Jupyter, running_jupyter

BUILT = REPOSITORY / "jupyter_ext" / "caterva2_jupyter" / "labextension"

# No question about news over the first page, no look at other hosts.
_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": False,
    },
    "@jupyterlab/extensionmanager-extension:plugin": {"enabled": False},
}


@dataclass(frozen=True)
class JupyterLab:
    """A running server, and the files below `home`."""

    server: Jupyter
    home: Path

    @property
    def notebooks(self) -> Path:
        """The directory that it shows."""
        return self.home / "notebooks"

    def lab_url(self, workspace: str, document: str = "") -> str:
        """Return the address of a workspace, with a document to open; nothing else is in it yet."""
        tree = f"/tree/{quote(document)}" if document else ""
        return f"{self.server.url}/lab/workspaces/{quote(workspace)}{tree}?token={self.server.token}"

    def notebook_url(self, document: str) -> str:
        """Return the address of a document in Notebook 7."""
        return f"{self.server.url}/notebooks/{quote(document)}?token={self.server.token}"

    def add_notebook(self, name: str, *cells: str) -> str:
        """Write a notebook with cells of code; give its name."""
        content = {
            "cells": [_cell(n, code) for n, code in enumerate(cells)],
            "metadata": {
                "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                "language_info": {"name": "python"},
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (self.notebooks / name).write_text(json.dumps(content))
        return name

    def end_kernels(self) -> None:
        """End all kernels, as if they had been shut down from the list of what runs."""
        with self.server.client() as client:
            for kernel in client.get("api/kernels").raise_for_status().json():
                client.delete(f"api/kernels/{kernel['id']}").raise_for_status()


def _cell(number: int, code: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": f"cell-{number}",
        "source": code,
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }


@contextlib.contextmanager
def running_lab(home: Path, *options: str, settings: Mapping[str, Any] | None = None) -> Iterator[JupyterLab]:
    """Run JupyterLab below ``/user/x/`` until the block ends.

    Parameters
    ----------
    options
        More of its command line.
    settings
        Settings of JupyterLab's plugins that differ from their defaults.
    """
    home.mkdir(parents=True, exist_ok=True)
    overrides = home / "jupyter" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(json.dumps({**_SETTINGS, **(settings or {})}))
    # A copy: whoever builds it again meanwhile would take its pieces away.
    shutil.copytree(BUILT, home / "data" / "labextensions" / "@caterva2" / "jupyterlab")
    with running_jupyter(home, *options, module="jupyterlab") as server:
        yield JupyterLab(server, home)
