"""Fifty logins at once, each a costly hash: what others who read notice of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from benchmarks.bench_busy import p99
from benchmarks.bench_upload import post, register, with_users
from benchmarks.network import REPOSITORY, Network, Process, environment
from benchmarks.report import median
from benchmarks.settings import Settings

LOGINS, READERS = 50, 2
MOST_P99_MS = 50.0
PASSWORD = "a good password"
IDLE_S = 4.0


def run(bench: Settings) -> None:
    """Accounts differ, as logins of one account go one after the other."""
    emails = [f"user{number}@example.org" for number in range(LOGINS)]
    with Network(bench.work) as network, with_users(network) as subscriber:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda email: register(subscriber, email, PASSWORD), emails))
        with _Readers(subscriber) as idle:
            time.sleep(IDLE_S)
        began = time.perf_counter()
        with _Readers(subscriber) as busy, ThreadPoolExecutor(LOGINS) as pool:
            times = list(pool.map(lambda email: _log_in(subscriber, email), emails))
        took = time.perf_counter() - began
    bench.report.add("reads: p99, nobody logs in", p99(idle.times) * 1e3, "ms", note=_note(idle.times))
    bench.report.add(
        f"reads: p99, {LOGINS} log in at once", p99(busy.times) * 1e3, "ms", most=MOST_P99_MS,
        note=_note(busy.times),
    )  # fmt: skip
    bench.report.add(
        "a login of those: p50", median(times), "s", note=f"slowest {max(times):.1f} s, all {took:.1f} s"
    )


def _log_in(server: Process, email: str) -> float:
    form = urlencode({"username": email, "password": PASSWORD})
    return post(server, "/auth/jwt/login", form, "application/x-www-form-urlencoded")


class _Readers:
    """Processes that read, each on one connection, until the block ends; then `times` has the seconds."""

    def __init__(self, server: Process) -> None:
        self._command = [sys.executable, "-m", "benchmarks.bench_login", server.address]
        self.times: list[float] = []

    def __enter__(self) -> _Readers:
        pipe = subprocess.PIPE
        self._processes = [
            subprocess.Popen(
                self._command, cwd=REPOSITORY, env=environment(), stdin=pipe, stdout=pipe, text=True
            )
            for _ in range(READERS)
        ]
        for process in self._processes:
            assert process.stdout is not None
            process.stdout.readline()
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._processes:
            text, _ = process.communicate("\n", timeout=30)
            if process.returncode:
                raise RuntimeError("a reader has ended")
            self.times += json.loads(text)


def _read(address: str) -> None:
    """Read until there is a line on stdin, then write what each read took."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    times = []
    with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        while not ended.wait(0.002):
            began = time.perf_counter()
            connection.request("GET", "/api/roots")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}")
            times.append(time.perf_counter() - began)
    sys.stdout.write(json.dumps(times))


def _note(values: list[float]) -> str:
    return f"p50 {median(values) * 1e3:.2f} ms, worst {max(values) * 1e3:.1f} ms, n={len(values)}"


if __name__ == "__main__":
    _read(sys.argv[1])
