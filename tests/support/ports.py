"""Ports for programs that must be told one, where binding to port 0 will not do."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
BELOW = range(20_000, 32_768)
"""Below the ports that Linux gives to whoever asks for any, so that nobody gets one in the meantime."""


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody has."""
    found: list[int] = []
    for port in random.SystemRandom().sample(BELOW, len(BELOW)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"there are not {count} free ports")


def free_port() -> int:
    """Return a port that nobody has."""
    return free_ports(1)[0]


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Hold a port at which connections are refused, so that nobody else takes it."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        yield held.getsockname()[1]
