"""What a widget in a notebook costs on the side of the kernel: from the turn of a slider to the picture."""

from __future__ import annotations

import time

from benchmarks import data
from benchmarks.report import median
from benchmarks.settings import Settings

MOST_OPEN_MS, MOST_STEP_MS = 500.0, 150.0
STEPS = 30


def run(bench: Settings) -> None:
    from caterva2 import Client, Dataset
    from caterva2_jupyter import show

    _, subscriber = bench.warm()
    with Client(subscriber.url) as client:
        dataset = client.get(f"cube/{data.CUBE}")
        assert isinstance(dataset, Dataset)
        show(dataset).wait()  # imports
        opened, steps = [], []
        for _ in range(bench.rounds):
            began = time.perf_counter()
            viewer = show(dataset)
            assert viewer.wait()
            opened.append((time.perf_counter() - began) * 1e3)
            for at in range(STEPS):
                began = time.perf_counter()
                viewer.position = (8 * at % data.SHAPE[0], 1, 1)
                assert viewer.wait()
                steps.append((time.perf_counter() - began) * 1e3)
            viewer.close()
    bench.report.add(
        "widget: from show() to a cached plane of 4 MiB", median(opened), "ms", most=MOST_OPEN_MS,
        note="the side of the kernel",
    )  # fmt: skip
    bench.report.add("widget: step of a slider", median(steps), "ms", most=MOST_STEP_MS)
