"""Small requests beside one that pulls slabs; memory of the subscriber when much is pulled at once."""

from __future__ import annotations

import contextlib
import http.client
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.network import REPOSITORY, Process, environment
from benchmarks.settings import FETCH, Settings
from caterva2.model import wire

SECONDS = 8.0
MOST_P99_MS, MOST_MIB = 25.0, 200.0
AT_ONCE = 8
STEP = 1 << 20

PULL = """
import sys
from caterva2 import Client
with Client(sys.argv[1]) as client:
    array = client.get("cube/cube.b2nd")
    print("ready", flush=True)
    while True:
        for at in range(0, 256, 16):
            array[at:at + 16]
"""


def run(bench: Settings) -> None:
    _, subscriber = bench.warm()
    pulls = {
        "our client pulls slabs": [sys.executable, "-c", PULL, subscriber.url],
        "curl pulls slabs as frames": _curl_forever(f"{subscriber.url}{FETCH}?slice_=32:48"),
        "curl pulls whole files": _curl_forever(subscriber.url + FETCH),
    }
    idle = latencies(subscriber)
    bench.report.add("GET /api/roots: p99, nobody else", p99(idle) * 1e3, "ms", note=_note(idle))
    for name, command in pulls.items():
        with running(command):
            busy = latencies(subscriber)
        bench.report.add(
            f"GET /api/roots: p99, {name}", p99(busy) * 1e3, "ms", most=MOST_P99_MS, note=_note(busy)
        )
    run_memory(bench)


def run_memory(bench: Settings) -> None:
    """Pull everything, eight at a time."""
    _, subscriber = bench.warm()
    before = subscriber.peak_mib
    slabs = [f"{FETCH}?slice_={at}:{at + 16}" for at in range(0, 256, 16)]
    jobs = {
        "frames": [(target, wire.BINARY) for target in slabs],
        "stored chunks": [(target, f"{wire.EXTENTS}, {wire.BINARY}") for target in slabs],
        "whole files": [(FETCH, wire.BINARY)] * AT_ONCE,
    }
    peaks = []
    for name, requests in jobs.items():
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda asked: pull(subscriber, *asked), requests))
        peaks.append(f"{name} {subscriber.peak_mib:.0f}")
    bench.report.add(
        f"most memory of the subscriber, {AT_ONCE} at a time", subscriber.peak_mib, "MiB", most=MOST_MIB,
        note=f"before {before:.0f}; after {', '.join(peaks)}",
    )  # fmt: skip


def pull(server: Process, target: str, accept: str) -> None:
    host, port = server.address.rsplit(":", 1)
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
        connection.request("GET", target, headers={"Accept": accept})
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        buffer = bytearray(STEP)
        while answer.readinto(buffer):
            pass


def latencies(server: Process) -> list[float]:
    """Ask for the roots one after the other, on one connection."""
    host, port = server.address.rsplit(":", 1)
    found = []
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
        deadline = time.perf_counter() + SECONDS
        while (began := time.perf_counter()) < deadline:
            connection.request("GET", "/api/roots")
            connection.getresponse().read()
            found.append(time.perf_counter() - began)
            time.sleep(0.001)
    return found


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment(), stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "what pulls has ended"
        yield
        assert process.poll() is None, "what pulls has ended"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _curl_forever(url: str) -> list[str]:
    # The range in the fragment is a glob: curl asks again and again on one connection.
    return ["sh", "-c", f"echo ready; exec curl -sS --fail -o /dev/null '{url}#[1-100000]'"]


def _note(values: list[float]) -> str:
    return f"p50 {statistics.median(values) * 1e3:.2f} ms, worst {max(values) * 1e3:.1f} ms, n={len(values)}"
