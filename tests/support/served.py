"""A subscriber to test clients against: one face, several implementations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from tests.support.fakesub import FakeSubscriber
from tests.support.serverthread import ServerThread


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


IMPLEMENTATIONS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Served]]] = {
    "fake": serve_fake,
}
"""By name; each gets an empty directory of its own."""
