"""The first read: what moves from the publisher, in how many connections, how fast."""

from __future__ import annotations

import time

from benchmarks import data
from benchmarks.network import Network, curl, request
from benchmarks.report import median, percent
from benchmarks.settings import FETCH, Settings

MIB = 1 << 20
PLANE = 37
MOST_SMALL, MOST_PLANE, MOST_FILE, MOST_CONNECTIONS, LEAST_RATE = 64.0, 1.3, 1.05, 16, 60.0
MOST_MEMORY = 200.0


def run(bench: Settings) -> None:
    """Count in between: everything that passes, from the first request of a new subscriber on."""
    size = bench.cube.stat().st_size
    peaks = []
    with Network(bench.work) as network, network.counted("cube", bench.cube.parent) as proxy:
        with network.subscriber("cube") as subscriber:
            proxy.reset()
            began = time.perf_counter()
            request("GET", f"{subscriber.url}{FETCH}?slice_={PLANE},100:110,100:110")
            took = time.perf_counter() - began
            bench.report.add(
                "cold 10x10 slice: moved, catalog and headers included", proxy.moved / 1024, "KiB",
                most=MOST_SMALL, note=f"{took * 1e3:.0f} ms",
            )  # fmt: skip
        with network.subscriber("cube") as subscriber:
            proxy.reset()
            began = time.perf_counter()
            request("GET", f"{subscriber.url}{FETCH}?slice_={PLANE}")
            took = time.perf_counter() - began
            blocks = data.plane_nbytes(bench.cube, PLANE)
            bench.report.add(
                "cold plane: moved, to the blocks it touches", proxy.moved / blocks, "x", most=MOST_PLANE,
                note=f"{proxy.moved / MIB:.2f} MiB of {blocks / MIB:.2f} MiB, {took * 1e3:.0f} ms",
            )  # fmt: skip
        with network.subscriber("cube") as subscriber:
            proxy.reset()
            curl(subscriber.url + FETCH)
            bench.report.add(
                "cold whole file: moved, to its size", proxy.moved / size, "x", most=MOST_FILE,
                note=f"{proxy.moved / MIB:.0f} MiB",
            )  # fmt: skip
            bench.report.add("cold whole file: connections at once", proxy.most, "", most=MOST_CONNECTIONS)
    cold, warm = [], []
    with Network(bench.work) as network:
        network.publish("cube", bench.cube.parent)
        for _ in range(max(3, bench.rounds // 2)):
            with network.subscriber("cube") as subscriber:
                rate, nbytes = curl(subscriber.url + FETCH)
                assert nbytes == size, f"{nbytes} of {size} bytes"
                cold.append(rate)
                warm.append(curl(subscriber.url + FETCH)[0])
                peaks.append(subscriber.peak_mib)
    bench.report.add(
        "cold whole file: rate, to the warm rate", percent(cold, warm), "%", least=LEAST_RATE,
        note=f"{median(cold) / MIB:.0f} MiB/s, warm {median(warm) / MIB:.0f} MiB/s",
    )  # fmt: skip
    bench.report.add("cold whole file: most memory of the subscriber", max(peaks), "MiB", most=MOST_MEMORY)
