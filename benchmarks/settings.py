"""What every benchmark gets: the report, a directory to work in, and the services that they share."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import data
from benchmarks.network import Network, Process, curl, request
from benchmarks.report import Report

FETCH = f"/api/fetch/cube/{data.CUBE}"


@dataclass
class Settings:
    """
    Attributes
    ----------
    work
        Where data sets are kept between runs.
    rounds
        How often a comparison is repeated.
    """

    report: Report
    work: Path
    rounds: int
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _warm: tuple[Network, Process] | None = None

    @property
    def cube(self) -> Path:
        return data.cube(self.work) / data.CUBE

    def warm(self) -> tuple[Network, Process]:
        """Return a subscriber that holds every block of the array."""
        if self._warm is None:
            network = self.stack.enter_context(Network(self.work))
            network.publish("cube", data.cube(self.work))
            subscriber = self.stack.enter_context(network.subscriber("cube"))
            request("POST", f"{subscriber.url}/api/subscribe/cube")
            curl(subscriber.url + FETCH)
            self._warm = network, subscriber
        return self._warm
