"""A warm 10x10 slice over kept-alive connections, beside a bare Tornado handler."""

from __future__ import annotations

import random
from collections.abc import Sequence

from benchmarks.data import SHAPE
from benchmarks.load import Load, load
from benchmarks.peers import bare_tornado
from benchmarks.report import median, percent, ratio
from benchmarks.settings import FETCH, Settings

SECONDS = 2.0
MOST_P50, LEAST_RATE = 1.7, 45.0


def window(plane: int, y: int, x: int) -> str:
    return f"{FETCH}?slice_={plane},{y}:{y + 10},{x}:{x + 10}"


def windows() -> dict[str, list[str]]:
    rng = random.Random(7)
    same = [window(37, 100, 100)]
    region = [
        window(rng.randrange(36, 40), rng.randrange(64, 200), rng.randrange(64, 200)) for _ in range(500)
    ]
    anywhere = [
        window(rng.randrange(SHAPE[0]), rng.randrange(SHAPE[1] - 10), rng.randrange(SHAPE[2] - 10))
        for _ in range(5000)
    ]
    return {"same window": same, "windows of a region": region, "windows anywhere": anywhere}


def run(bench: Settings) -> None:
    network, subscriber = bench.warm()
    script = network.directory / "script"
    with bare_tornado(network.directory) as bare:
        kinds = {"bare": (bare.url, ["/bare"])}
        kinds |= {name: (subscriber.url, targets) for name, targets in windows().items()}
        found: dict[tuple[str, int], list[Load]] = {}
        for _ in range(bench.rounds):
            for connections in (1, 16):
                for name, (url, targets) in kinds.items():
                    result = load(url, targets, connections=connections, seconds=SECONDS, script=script)
                    found.setdefault((name, connections), []).append(result)
    bare_p50, bare_rate = _p50(found["bare", 1]), _rate(found["bare", 16])
    for name in windows():
        limited = name == "same window"
        p50, rate = _p50(found[name, 1]), _rate(found[name, 16])
        bench.report.add(
            f"{name}: p50, to bare Tornado", ratio(p50, bare_p50), "x", most=MOST_P50 if limited else None,
            note=f"{median(p50) * 1e6:.0f} us, bare {median(bare_p50) * 1e6:.0f} us",
        )  # fmt: skip
        bench.report.add(
            f"{name}: requests/s at 16, to bare Tornado", percent(rate, bare_rate), "%",
            least=LEAST_RATE if limited else None,
            note=f"{median(rate):.0f}/s, bare {median(bare_rate):.0f}/s",
        )  # fmt: skip


def _p50(loads: Sequence[Load]) -> list[float]:
    return [found.p50_s for found in loads]


def _rate(loads: Sequence[Load]) -> list[float]:
    return [found.rate for found in loads]
