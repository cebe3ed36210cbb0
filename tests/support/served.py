"""A subscriber to test clients against: one face, several implementations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import blosc2
import numpy as np
import numpy.typing as npt

from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.fakesub import FakeSubscriber
from tests.support.serverthread import RoleThread, ServerThread


class Served(Protocol):
    """A running subscriber with one root that a test can fill.

    Attributes
    ----------
    urlbase
        Where it answers.
    root
        Name of the root that holds what is added; paths below are relative to it.
    """

    urlbase: str
    root: str

    def add_array(self, path: str, array: npt.ArrayLike, **how: Any) -> None:
        """Add or replace an array; `how`: ``chunks``, ``blocks``, ``vlmeta``."""

    def add_frame(self, path: str, data: bytes, **how: Any) -> None:
        """Add or replace a sequence of bytes; `how`: ``typesize``, ``chunksize``."""

    def add_file(self, path: str, data: bytes) -> None:
        """Add or replace a plain file."""

    def add_broken(self, path: str) -> None:
        """Add a file that claims to be an array and is none."""


class FakeServed:
    """`Served` by the fake."""

    def __init__(self, fake: FakeSubscriber, urlbase: str) -> None:
        self.urlbase = urlbase
        self.root = "foo"
        self._fake = fake

    def add_array(self, path: str, array: npt.ArrayLike, **how: Any) -> None:
        self._fake.add_array(f"{self.root}/{path}", array, **how)

    def add_frame(self, path: str, data: bytes, **how: Any) -> None:
        self._fake.add_frame(f"{self.root}/{path}", data, **how)

    def add_file(self, path: str, data: bytes) -> None:
        self._fake.add_file(f"{self.root}/{path}", data)

    def add_broken(self, path: str) -> None:
        self._fake.add_broken(f"{self.root}/{path}", "the frame is truncated")


@contextlib.contextmanager
def serve_fake(_directory: Path) -> Iterator[Served]:
    fake = FakeSubscriber()
    fake.add_root("foo")
    with ServerThread(fake.application) as server:
        yield FakeServed(fake, server.urlbase)


class DirectoryServed:
    """`Served` by a real subscriber that reads a directory."""

    def __init__(self, root: str, directory: Path, urlbase: str) -> None:
        self.urlbase = urlbase
        self.root = root
        self._directory = directory

    def add_array(self, path: str, array: npt.ArrayLike, **how: Any) -> None:
        vlmeta = how.pop("vlmeta", {})
        with self._replacing(path) as new:
            stored = blosc2.asarray(np.asarray(array), urlpath=str(new), mode="w", **how)
            for name, value in vlmeta.items():
                stored.schunk.vlmeta[name] = value

    def add_frame(self, path: str, data: bytes, **how: Any) -> None:
        cparams = {"typesize": how.get("typesize", 1)}
        with self._replacing(path) as new:
            blosc2.SChunk(
                chunksize=how.get("chunksize", 100), data=data, cparams=cparams, urlpath=str(new), mode="w"
            )

    def add_file(self, path: str, data: bytes) -> None:
        with self._replacing(path) as new:
            new.write_bytes(data)

    def add_broken(self, path: str) -> None:
        self.add_file(path, b"\x9e\xa8b2frame\x00 and no more")

    @contextlib.contextmanager
    def _replacing(self, path: str) -> Iterator[Path]:
        """Write beside and rename, as everybody should."""
        target = self._directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new")
        yield new
        new.replace(target)


@contextlib.contextmanager
def serve_public(directory: Path) -> Iterator[Served]:
    """Run a subscriber without a network; its area ``@public`` is filled."""
    public = directory / "state" / "public"
    public.mkdir(parents=True)
    config = SubscriberConfig(http=Address("127.0.0.1", 0), statedir=directory / "state", cache=1 << 30)
    with RoleThread(run_subscriber, config) as role:
        yield DirectoryServed("@public", public, f"http://{role.address}")


IMPLEMENTATIONS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Served]]] = {
    "fake": serve_fake,
    "public": serve_public,
}
"""By name; each gets an empty directory of its own."""
