"""Uploading a large file, by our client in parts and by curl in one, beside writing it with fsync."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import data
from benchmarks.network import Network, Process
from benchmarks.report import median, percent
from benchmarks.settings import Settings
from caterva2 import Client

NBYTES = 1 << 30
STEP = 8 << 20
LEAST_PERCENT, MOST_MIB = 60.0, 200.0
MOST_ROUNDS = 3
MIB = 1 << 20
USER = ("bench@example.org", "a good password")


def run(bench: Settings) -> None:
    with Network(bench.work) as network, with_users(network) as subscriber:
        register(subscriber, *USER)
        with Client(subscriber.url, USER) as client:
            _measure(bench, network, subscriber, client)


def _measure(bench: Settings, network: Network, subscriber: Process, client: Client) -> None:
    plain = network.directory / "plain.bin"
    step = os.urandom(STEP)
    _write(plain, step)
    header = f"Authorization: Bearer {client.create_token('bench', 'write')}"
    disk: list[float] = []
    parts: list[float] = []
    whole: list[float] = []
    before = subscriber.peak_mib
    for _ in range(min(bench.rounds, MOST_ROUNDS)):
        copy = network.directory / "copy.bin"
        disk.append(NBYTES / _write(copy, step))
        copy.unlink()
        began = time.perf_counter()
        client.upload(plain, "@personal/parts.bin")
        parts.append(NBYTES / (time.perf_counter() - began))
        client.remove("@personal/parts.bin")
        command = [
            "curl", "-sS", "--fail", "-o", os.devnull, "-w", "%{time_total}", "-H", header,
            "-F", f"file=@{plain}", f"{subscriber.url}/api/upload/@personal/whole.bin",
        ]  # fmt: skip
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        whole.append(NBYTES / float(done.stdout))
        client.remove("@personal/whole.bin")
    after_plain = subscriber.peak_mib
    for name, ours in (("our client", parts), ("curl", whole)):
        bench.report.add(
            f"1 GiB uploaded by {name}: rate, to the disk's", percent(ours, disk), "%", least=LEAST_PERCENT,
            note=f"{median(ours) / MIB:.0f} MiB/s, disk with fsync {median(disk) / MIB:.0f} MiB/s",
        )  # fmt: skip
    frame = data.cube(bench.work) / data.CUBE
    began = time.perf_counter()
    client.upload(frame, "@personal/cube.b2nd")
    rate = frame.stat().st_size / (time.perf_counter() - began)
    bench.report.add("array uploaded and verified: rate, to the disk's", 100 * rate / median(disk), "%",
                     note=f"{rate / MIB:.0f} MiB/s")  # fmt: skip
    bench.report.add(
        "most memory of the subscriber", subscriber.peak_mib, "MiB", most=MOST_MIB,
        note=f"before {before:.0f}, after plain files {after_plain:.0f}; checks run elsewhere",
    )  # fmt: skip


@contextlib.contextmanager
def with_users(network: Network) -> Iterator[Process]:
    """Start a subscriber that has users; anybody may register."""
    secret = network.directory / ".env"
    secret.touch(0o600)
    secret.write_text(f"CATERVA2_SECRET={os.urandom(24).hex()}\n")
    with network.service("subscriber") as subscriber:
        yield subscriber


def register(server: Process, email: str, password: str) -> None:
    post(server, "/auth/register", json.dumps({"email": email, "password": password}), "application/json")


def post(server: Process, target: str, body: str, kind: str) -> float:
    """Return the seconds that a request took on a connection of its own."""
    began = time.perf_counter()
    with contextlib.closing(http.client.HTTPConnection(server.address, timeout=120)) as connection:
        connection.request("POST", target, body, {"Content-Type": kind})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"POST {target}: {answer.status} {text[:200]!r}")
    return time.perf_counter() - began


def _write(file: Path, step: bytes) -> float:
    """Write `NBYTES` one after the other, and return when the disk has them; in seconds."""
    began = time.perf_counter()
    with file.open("wb", buffering=0) as out:
        for _ in range(NBYTES // STEP):
            out.write(step)
        os.fsync(out.fileno())
    return time.perf_counter() - began
