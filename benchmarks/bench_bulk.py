"""Slabs and planes through our client into NumPy, beside a local read; whole files beside nginx."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import blosc2
import numpy as np

from benchmarks.network import curl
from benchmarks.peers import nginx, nginx_program
from benchmarks.report import median, percent, ratio
from benchmarks.settings import FETCH, Settings
from caterva2 import Client, Dataset

MIB = 1 << 20
LEAST_SLAB, MOST_PLANE, LEAST_FILE = 75.0, 2.0, 85.0


def run(bench: Settings) -> None:
    """Read a slab of 64 MiB and a plane of 4 MiB that lies in 16 chunks."""
    _, subscriber = bench.warm()
    file = str(bench.cube)
    with Client(subscriber.url) as client:
        remote = client.get("cube/cube.b2nd")
        assert isinstance(remote, Dataset)
        reads: dict[str, Callable[[int], Any]] = {
            "local": lambda i: blosc2.open(file)[i : i + 16],
            "ours": lambda i: remote[i : i + 16],
        }
        local, ours = compare(reads, bench.rounds * 2, [32, 48, 64, 80])
        bench.report.add(
            "64 MiB slab: speed, to a local read", percent(local, ours), "%", least=LEAST_SLAB,
            note=f"{64 / median(ours):.0f} MiB/s, local {64 / median(local):.0f} MiB/s",
        )  # fmt: skip
        reads = {"local": lambda i: blosc2.open(file)[i], "ours": lambda i: remote[i]}
        local, ours = compare(reads, bench.rounds * 6, [37, 90, 141, 203])
        bench.report.add(
            "4 MiB plane in 16 chunks: time, to a local read", ratio(ours, local), "x", most=MOST_PLANE,
            note=f"{median(ours) * 1e3:.1f} ms, local {median(local) * 1e3:.1f} ms",
        )  # fmt: skip


def compare(
    reads: dict[str, Callable[[int], Any]], rounds: int, planes: list[int]
) -> tuple[list[float], ...]:
    """Return the seconds of each reader, one value a round; the data must agree."""
    for plane in planes:
        first, *others = (read(plane) for read in reads.values())
        for other in others:
            np.testing.assert_array_equal(other, first, strict=True)
    found: dict[str, list[float]] = {name: [] for name in reads}
    for number in range(rounds):
        plane = planes[number % len(planes)]
        for name, read in reads.items():
            began = time.perf_counter()
            read(plane)
            found[name].append(time.perf_counter() - began)
    return tuple(found.values())


def run_files(bench: Settings) -> None:
    """Load the whole stored file with curl."""
    _, subscriber = bench.warm()
    what = "whole file by curl: rate, to nginx with sendfile"
    program = nginx_program()
    if program is None:
        bench.report.add(
            what, None, "%", least=LEAST_FILE, note="nginx is not installed (apt-get install nginx-light)"
        )
        return
    rates: dict[str, list[float]] = {"nginx": [], "fetch": []}
    with nginx(program, bench.cube.parent) as url:
        urls = {"nginx": f"{url}/cube.b2nd", "fetch": subscriber.url + FETCH}
        size = bench.cube.stat().st_size
        for number in range(bench.rounds + 1):
            for name, target in urls.items():
                rate, nbytes = curl(target)
                assert nbytes == size, f"{name} sent {nbytes} of {size} bytes"
                if number:  # the first round fills the page cache
                    rates[name].append(rate)
    bench.report.add(
        what, percent(rates["fetch"], rates["nginx"]), "%", least=LEAST_FILE,
        note=f"{median(rates['fetch']) / MIB:.0f} MiB/s, nginx {median(rates['nginx']) / MIB:.0f} MiB/s",
    )  # fmt: skip
