"""What was measured: rows with a value and, where the project set one, a limit."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; `most` and `least` are limits, `note` holds the absolute figures."""

    bench: str
    what: str
    value: float | None
    unit: str
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "skipped"
        if self.most is None and self.least is None:
            return ""
        passed = (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )
        return "pass" if passed else "FAIL"

    @property
    def limit(self) -> str:
        if self.most is not None:
            return f"<= {shown(self.most)}"
        return f">= {shown(self.least)}" if self.least is not None else ""


@dataclass
class Report:
    """Collects rows, and says each as soon as it is there."""

    bench: str = ""
    rows: list[Row] = field(default_factory=list)

    def add(
        self,
        what: str,
        value: float | None,
        unit: str,
        *,
        most: float | None = None,
        least: float | None = None,
        note: str = "",
    ) -> None:
        row = Row(bench=self.bench, what=what, value=value, unit=unit, most=most, least=least, note=note)
        self.rows.append(row)
        print(line(row), flush=True)

    @property
    def missed(self) -> list[Row]:
        return [row for row in self.rows if row.verdict == "FAIL"]

    def save(self, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        at = time.strftime("%Y-%m-%dT%H%M%S")
        file = directory / f"{at}.json"
        machine = {
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "machine": platform.machine(),
            "python": platform.python_version(),
        }
        rows = [{**asdict(row), "verdict": row.verdict} for row in self.rows]
        file.write_text(
            json.dumps({"at": at, "argv": sys.argv[1:], "machine": machine, "rows": rows}, indent=1)
        )
        return file


def line(row: Row) -> str:
    value = "-" if row.value is None else f"{shown(row.value)} {row.unit}".rstrip()
    return f"{row.bench:<10} {row.what:<58} {value:>12}  {row.limit:>8}  {row.verdict:<7} {row.note}".rstrip()


def shown(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """Return the median of the ratios of rounds that ran next to one another."""
    return statistics.median(a / b for a, b in zip(ours, peer, strict=True))


def percent(ours: Sequence[float], peer: Sequence[float]) -> float:
    return 100 * ratio(ours, peer)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
