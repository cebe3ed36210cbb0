"""A network of real processes with something to look at, and JupyterLab in front of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.support.jupyterlab import JupyterLab, running_lab
from tests.support.processes import Network

MANY = 5_000


class Site(NamedTuple):
    """The network, and JupyterLab in front of it."""

    network: Network
    lab: JupyterLab


@contextlib.contextmanager
def running_site(home: Path) -> Iterator[Site]:
    """Run a broker, publishers, a subscriber of ``foo`` and ``many`` but not of ``other``, and JupyterLab."""
    # All at once, and known from its first look.
    many = home / "many"
    many.mkdir(parents=True)
    for number in range(MANY):
        (many / f"file-{number:05d}.txt").write_bytes(b"%d\n" % number)
    with Network(home, roots=("foo", "many", "other")) as network:
        _fill(network)
        for root in ("foo", "many"):
            network.subscribe(root)
        with running_lab(home / "lab", f"--Caterva2App.subscribers=lab={network.subscriber.url}") as lab:
            yield Site(network, lab)


def _fill(network: Network) -> None:
    x = np.linspace(0, 6, 192, dtype="f4")
    plane = np.sin(x)[None, :] * np.cos(x[:128])[:, None]
    stack = plane[None] + np.arange(64, dtype="f4")[:, None, None]
    network.add_array("foo/stack.b2nd", stack, chunks=(8, 128, 192), blocks=(1, 64, 192))
    table = np.zeros(500, dtype=[("name", "S8"), ("energy", "<f8"), ("hits", "<i4")])
    table["name"] = [f"run{n}" for n in range(500)]
    table["energy"] = np.sqrt(np.arange(500))
    table["hits"] = np.arange(500) * 7
    network.add_array("foo/dir/table.b2nd", table)
    network.add_array("foo/dir/line.b2nd", np.sin(np.linspace(0, 20, 1000)))
    network.add("other/note.txt", b"not subscribed to\n")
    network.add("foo/README.md", b"# About\n\nThese are *measured*.\n")
