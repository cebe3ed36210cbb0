"""A service as a real process, started as an operator starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from caterva2.config.units import Address

REPOSITORY = Path(__file__).resolve().parents[2]
WAIT_S = 30.0

_LISTENS = re.compile(r"listens on (\S+)$")


class Daemon:
    """One of the three services; ended by force when the block ends, if it still runs.

    Parameters
    ----------
    role
        ``broker``, ``publisher`` or ``subscriber``.
    args
        Its command line; ``--http`` and ``--loglevel`` are added.
    cwd
        Where it runs; state goes there.
    http
        Where it listens.
    env
        Variables that it gets besides those of the tests, such as ``CATERVA2_SECRET``.
    """

    def __init__(
        self,
        role: str,
        *args: str,
        cwd: Path,
        http: str = "127.0.0.1:0",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.command = [
            sys.executable, "-m", "caterva2.cli.serve", role, "--http", http, "--loglevel", "info", *args
        ]  # fmt: skip
        self.cwd = cwd
        self.env = dict(env or {})
        self.address = Address()
        self._lines: list[str] = []
        self._settled = threading.Event()

    def start(self) -> Self:
        """Start it and return when it listens, or has ended."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("CATERVA2_")}
        environ.update(self.env, PYTHONPATH=str(REPOSITORY))
        self.process = subprocess.Popen(
            self.command,
            cwd=self.cwd,
            env=environ,
            text=True,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._settled.wait(WAIT_S), f"{self.command} does not listen:\n{self.log}"
        return self

    @property
    def url(self) -> str:
        """Base URL."""
        return self.address.url

    @property
    def log(self) -> str:
        """What it wrote to stderr so far; everything, once it has ended."""
        return "".join(self._lines)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self.stop(signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        status = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return status

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line)
            found = _LISTENS.search(line.rstrip("\n"))
            if found is not None:
                self.address = Address.parse(found[1])
                self._settled.set()
        self._settled.set()
