"""What a Jupyter server hands over to its kernels: the addresses of its subscribers, and tokens for them.

The server keeps a file that only its owner may read, and renews short-lived
tokens in it; the variable ``CATERVA2_JUPYTER`` names the file to the kernels.
No address and no password is typed into a notebook, and none is saved in one.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from caterva2.client.urlbase import Urlbase
from caterva2.errors import BadRequest, ConfigError

VARIABLE = "CATERVA2_JUPYTER"


class Handed(NamedTuple):
    """A subscriber as it was handed over; `token` is None where nobody needs one."""

    name: str
    urlbase: str
    token: str | None


class Handover:
    """The file of a Jupyter server; may be used by many threads.

    Parameters
    ----------
    path
        Where the file is; it may be replaced at any time.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._seen: tuple[int, int, int] | None = None
        self._current = ""
        self._subscribers: Mapping[str, Handed] = {}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self | None:
        """Return the file that the environment names; None if it names none."""
        path = (os.environ if environ is None else environ).get(VARIABLE)
        return cls(path) if path else None

    @property
    def current(self) -> Handed | None:
        """The subscriber that is chosen in Jupyter; None if there is none."""
        self.refresh()
        return self._subscribers.get(self._current)

    @property
    def subscribers(self) -> Mapping[str, Handed]:
        """All subscribers by name."""
        self.refresh()
        return self._subscribers

    def find(self, urlbase: str | None) -> Handed | None:
        """Return the subscriber at an address, the current one for None; None if it is not in the file."""
        if urlbase is None:
            return self.current
        for handed in self.subscribers.values():
            if handed.urlbase == urlbase or _same(handed.urlbase, urlbase):
                return handed
        return None

    def refresh(self) -> bool:
        """Read the file if it is another than the last time; tell whether it is.

        A file that is gone changes nothing: its server has ended, and may come back.

        Raises
        ------
        ConfigError
            The file is broken, or others may read it.
        """
        try:
            found = os.stat(self.path)
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen == self._seen:
                return False
            data = self.path.read_bytes()
        except OSError:
            return False
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise ConfigError(f"others may read {self.path}, which holds tokens", hint="restart JupyterLab")
        self._current, self._subscribers = self._parse(data)
        self._seen = seen
        return True

    def _parse(self, data: bytes) -> tuple[str, Mapping[str, Handed]]:
        try:
            values = json.loads(data)
            subscribers = {
                str(name): Handed(str(name), str(entry["url"]), entry.get("token") or None)
                for name, entry in values["subscribers"].items()
            }
            return str(values.get("current") or ""), subscribers
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise ConfigError(
                f"{self.path}: expected the subscribers of a Jupyter server, found something else",
                hint="restart JupyterLab",
            ) from exc


def _same(one: str, other: str) -> bool:
    try:
        return Urlbase.parse(one) == Urlbase.parse(other)
    except BadRequest:
        return False
