"""What Jupyter's server extension costs: a small slice through it and without it, and 300 MB."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from benchmarks.bench_small import window
from benchmarks.network import curl, request, wait_until
from benchmarks.report import median
from benchmarks.settings import Settings
from tests.support.jupyter import Jupyter, running_jupyter

REQUESTS = 300
LARGE = 300_000_000
PIECE = 1 << 16
MOST_MS, MOST_MIB = 5.0, 20.0
NONE: Mapping[str, str] = {}


def run(bench: Settings) -> None:
    network, subscriber = bench.warm()
    home = network.directory / "jupyter"
    large = network.directory / "large"
    home.mkdir()
    large.mkdir()
    with (large / "large.bin").open("wb") as file:
        file.truncate(LARGE)
    network.publish("large", large)
    wait_until(lambda: "large" in subscriber.get("/api/roots"), "the subscriber to know large")
    request("POST", f"{subscriber.url}/api/subscribe/large")
    curl(f"{subscriber.url}/api/download/large/large.bin")
    options = (f"--Caterva2App.subscriber_url={subscriber.url}", "--Caterva2App.embedded=True")
    with running_jupyter(home, *options, f"--Caterva2App.public_dir={large}") as jupyter:
        _slices(bench, subscriber.url, jupyter)
        for what, path, most in (
            ("300 MB through Jupyter: more memory", "127.0.0.1/api/download/large/large.bin", MOST_MIB),
            ("300 MB of its own subscriber: more memory", "local/api/download/@public/large.bin", None),
        ):
            before = jupyter.forget_peak()
            took = _load(jupyter, f"/caterva2/s/{path}")
            more = (jupyter.peak_bytes - before) / (1 << 20)
            bench.report.add(what, more, "MiB", most=most, note=f"{LARGE / took / (1 << 20):.0f} MiB/s")


def _slices(bench: Settings, direct: str, jupyter: Jupyter) -> None:
    target = window(37, 100, 100)
    forwarded = f"/caterva2/s/127.0.0.1{target}"
    plain, through = [], []
    for _ in range(bench.rounds):
        plain.append(_p50(direct, target, NONE))
        through.append(_p50(jupyter.url, forwarded, jupyter.headers))
    more = median([a - b for a, b in zip(through, plain, strict=True)])
    bench.report.add(
        "small slice: p50 through Jupyter less direct", more * 1e3, "ms", most=MOST_MS,
        note=f"direct {median(plain) * 1e3:.2f} ms, through {median(through) * 1e3:.2f} ms",
    )  # fmt: skip


def _p50(url: str, target: str, headers: Mapping[str, str]) -> float:
    parts = urlsplit(url)
    times = []
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    with contextlib.closing(connection):
        for _ in range(REQUESTS):
            began = time.perf_counter()
            connection.request("GET", parts.path + target, headers=dict(headers))
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{url}{target}: {answer.status}")
            times.append(time.perf_counter() - began)
    return median(times)


def _load(jupyter: Jupyter, target: str) -> float:
    """Load and throw away; return the seconds."""
    parts = urlsplit(jupyter.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    began = time.perf_counter()
    with contextlib.closing(connection):
        connection.request("GET", parts.path + target, headers=jupyter.headers)
        answer = connection.getresponse()
        nbytes = 0
        while piece := answer.read(PIECE):
            nbytes += len(piece)
    if nbytes != LARGE:
        raise RuntimeError(f"{target}: {answer.status}, {nbytes} bytes")
    return time.perf_counter() - began
