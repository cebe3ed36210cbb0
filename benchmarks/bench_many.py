"""Roots of very many small files: indexing, subscribing, listing, and the memory for it."""

from __future__ import annotations

import time
from urllib.parse import quote

from benchmarks import data
from benchmarks.network import Network, Process, request, wait_until
from benchmarks.report import median
from benchmarks.settings import Settings

PAGE = 1000
MOST_INDEX_S, MOST_SUBSCRIBE_S = 5.0, 2.0
MANY_SUBSCRIBE_S, MANY_MIB = 20.0, 300.0


def run(bench: Settings) -> None:
    few_files(bench, 5_000)
    many_files(bench, 100_000)


def few_files(bench: Settings, n: int) -> None:
    root = data.small_files(bench.work, n)
    indexed, listed = [], []
    for _ in range(3):
        with Network(bench.work) as network:
            publisher = network.publish("many", root)
            wait_until(lambda p=publisher: len(p.get("/api/list")) == n, f"an index of {n} files")
            indexed.append(time.perf_counter() - publisher.began)
            with network.subscriber("many") as subscriber:
                began = time.perf_counter()
                request("POST", f"{subscriber.url}/api/subscribe/many")
                found = wait_until(
                    lambda s=subscriber: len(s.get("/api/list/many")) == n, f"a list of {n} files"
                )
                assert found >= 0
                listed.append(time.perf_counter() - began)
    bench.report.add(f"{n} files: indexed, process start included", median(indexed), "s", most=MOST_INDEX_S)
    bench.report.add(f"{n} files: subscribed and listed", median(listed), "s", most=MOST_SUBSCRIBE_S)


def many_files(bench: Settings, n: int) -> None:
    root = data.small_files(bench.work, n)
    with Network(bench.work) as network:
        publisher = network.publish("many", root)
        wait_until(lambda: len(publisher.get("/api/list")) == n, f"an index of {n} files", every_s=0.2)
        bench.report.add(f"{n} files: indexed", time.perf_counter() - publisher.began, "s")
        with network.subscriber("many") as subscriber:
            began = time.perf_counter()
            request("POST", f"{subscriber.url}/api/subscribe/many")
            answered = time.perf_counter() - began
            wait_until(lambda: _complete(subscriber, n), f"a list of {n} files", every_s=0.1)
            bench.report.add(
                f"{n} files: subscribed", time.perf_counter() - began, "s", most=MANY_SUBSCRIBE_S,
                note=f"POST answered after {answered:.2f} s",
            )  # fmt: skip
            names, pages = list_paged(subscriber)
            assert len(names) == n, f"listed {len(names)} of {n} files"
            bench.report.add(
                f"{n} files: a page of {PAGE} names, p50", median(pages) * 1e3, "ms",
                note=f"worst {max(pages) * 1e3:.1f} ms, all {len(pages)} pages {sum(pages):.2f} s",
            )  # fmt: skip
            bench.report.add(
                f"{n} files: most memory of the subscriber", subscriber.peak_mib, "MiB", most=MANY_MIB
            )
        bench.report.add(f"{n} files: most memory of the publisher", publisher.peak_mib, "MiB", most=MANY_MIB)


def _complete(subscriber: Process, n: int) -> bool:
    """Say whether the last file is listed; files arrive in order."""
    last = f"d{(n - 1) // 500:04}/array-{n - 1:06}.b2nd"
    return bool(subscriber.get(f"/api/list/many?limit=1&after={quote(last[:-1])}") == [last])


def list_paged(subscriber: Process) -> tuple[list[str], list[float]]:
    names: list[str] = []
    times = []
    while True:
        after = f"&after={quote(names[-1])}" if names else ""
        began = time.perf_counter()
        page = subscriber.get(f"/api/list/many?limit={PAGE}{after}")
        times.append(time.perf_counter() - began)
        names += page
        if len(page) < PAGE:
            return names, times
