"""What a page asks for: a directory of 5,000 files, a cached plane, and planes of 1 GB and of 1 TB."""

from __future__ import annotations

import time
from urllib.parse import quote

from benchmarks import data
from benchmarks.network import Network, Process, request, wait_until
from benchmarks.report import median, ratio
from benchmarks.settings import Settings

N = 5_000
MOST_LIST_MS = 300.0
MOST_RATIO = 1.3
POINTS = 1024


def run(bench: Settings) -> None:
    directory(bench)
    planes(bench)


def directory(bench: Settings) -> None:
    """List one directory of 5,000 files, as one and page by page, first after a start and again."""
    with Network(bench.work) as network, network.subscriber_of("flat", data.flat_files(bench.work, N)) as at:
        wait_until(lambda: at.get("/api/tree/flat?limit=1")["total"] == N, f"a list of {N} files")
        first, again, pages = [], [], []
        for _ in range(bench.rounds):
            with network.subscriber("flat") as subscriber:
                request("POST", f"{subscriber.url}/api/subscribe/flat")
                wait_until(lambda s=subscriber: len(s.get("/api/list/flat")) == N, f"a list of {N} files")
                first.append(listed(subscriber, pages))
                again.append(listed(subscriber, pages))
    bench.report.add(
        f"directory of {N} files listed, the first time", median(first) * 1e3, "ms", most=MOST_LIST_MS,
        note=f"again {median(again) * 1e3:.0f} ms; a page of 200 p50 {median(pages) * 1e3:.1f} ms",
    )  # fmt: skip


def listed(subscriber: Process, pages: list[float]) -> float:
    """Return how long it takes to list all, in pages of 1,000; append the times of some pages of 200."""
    began = time.perf_counter()
    nrows, after = 0, ""
    while True:
        page = subscriber.get(f"/api/tree/flat?limit=1000{after}")
        nrows += len(page["entries"])
        if page["next"] is None:
            break
        after = f"&after={quote(page['next'])}"
    took = time.perf_counter() - began
    assert nrows == N, f"{nrows} of {N} files"
    for _ in range(5):
        began = time.perf_counter()
        subscriber.get("/api/tree/flat")
        pages.append(time.perf_counter() - began)
    return took


def planes(bench: Settings) -> None:
    """Look at a plane that is cached: of 4 MiB, whole; of 64 MiB in arrays of 1 GB and 1 TB, thinned out."""
    root = data.sparse_cubes(bench.work)
    with Network(bench.work) as network, network.subscriber_of("look", root) as subscriber:
        small, gb, tb = (_target(name) for name in (data.SMALL, data.GB, data.TB))
        times: dict[str, list[float]] = {target: [] for target in (small, gb, tb)}
        for number in range(4 * bench.rounds):
            for target, taken in times.items():
                began = time.perf_counter()
                body = request("GET", f"{subscriber.url}{target}")
                if number:
                    taken.append(time.perf_counter() - began)
                assert len(body) == 4 * POINTS**2, len(body)
    bench.report.add("cached plane of 4 MiB as raw items, p50", median(times[small]) * 1e3, "ms")
    bench.report.add(
        "64 MiB plane thinned to 1024 x 1024: of 1 TB, to that of 1 GB", ratio(times[tb], times[gb]), "x",
        most=MOST_RATIO, note=f"{median(times[tb]) * 1e3:.0f} ms, {median(times[gb]) * 1e3:.0f} ms",
    )  # fmt: skip


def _target(name: str) -> str:
    return f"/api/window/look/{name}?slice_={data.PLANE[name]}&points={POINTS}"
