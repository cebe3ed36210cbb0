"""Broker, publishers and subscribers as real processes on loopback, and what they say of themselves."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks.proxy import CountingProxy

REPOSITORY = Path(__file__).resolve().parents[1]
WAIT_S = 120.0
HOST = "127.0.0.1"


def environment() -> dict[str, str]:
    """Return the environment of our programs: this checkout, and no settings of the caller."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CATERVA2_")}
    return {**environ, "PYTHONPATH": str(REPOSITORY)}


class Process:
    """A program that tells by a file where it listens; ended when the block ends."""

    def __init__(self, command: Sequence[str], announce: Path, cwd: Path) -> None:
        self.command = list(command)
        self.announce = announce
        self.cwd = cwd
        self.address = ""

    def __enter__(self) -> Self:
        self.announce.unlink(missing_ok=True)
        self.began = time.perf_counter()
        with (self.cwd / f"{self.announce.name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.cwd, env=environment(), stdin=subprocess.DEVNULL, stderr=log
            )
        try:
            wait_until(self._announced, f"{self.announce.name} to listen")
        except BaseException:
            self.__exit__()
            raise
        self.address = self.announce.read_text().strip()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def peak_mib(self) -> float:
        """Most resident memory so far."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) / 1024

    def get(self, target: str) -> Any:  # noqa: ANN401
        return json.loads(request("GET", self.url + target))

    def _announced(self) -> bool:
        status = self.process.poll()
        if status is not None:
            log = (self.cwd / f"{self.announce.name}.log").read_text()
            raise RuntimeError(f"{self.announce.name} ended with status {status}: {log[-2000:]}")
        return self.announce.exists()


class Network:
    """Starts services in a directory of its own, which ends with it."""

    def __init__(self, work: Path) -> None:
        self._stack = contextlib.ExitStack()
        self._work = work
        self._n = 0

    def __enter__(self) -> Self:
        self._work.mkdir(parents=True, exist_ok=True)
        self.directory = Path(tempfile.mkdtemp(prefix="run-", dir=self._work))
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.broker = self._stack.enter_context(self.service("broker"))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def service(self, role: str, *args: str) -> Process:
        """Return a service that is not started yet, with a new and empty state directory."""
        self._n += 1
        name = f"{role}-{self._n}"
        command = [
            sys.executable, "-m", "caterva2.cli.serve", role, "--http", f"{HOST}:0",
            "--statedir", str(self.directory / f"{name}.state"), "--announce", str(self.directory / name),
            *args,
        ]  # fmt: skip
        if role != "broker":
            command[4:4] = ["--broker", self.broker.address]
        return Process(command, self.directory / name, self.directory)

    def publish(self, name: str, root: Path, *args: str) -> Process:
        """Start a publisher, which lives as long as the network, and wait until its root is known."""
        publisher = self._stack.enter_context(self.service("publisher", *args, name, str(root)))
        wait_until(lambda: name in self.broker.get("/api/roots"), f"the broker to know {name}")
        return publisher

    @contextlib.contextmanager
    def counted(self, name: str, root: Path) -> Iterator[CountingProxy]:
        """Publish a root behind a proxy that counts what goes to and from the publisher."""
        with contextlib.ExitStack() as stack:
            proxy = stack.enter_context(CountingProxy())
            service = self.service("publisher", "--advertise", proxy.address, name, str(root))
            proxy.target = stack.enter_context(service).address
            wait_until(lambda: name in self.broker.get("/api/roots"), f"the broker to know {name}")
            yield proxy

    @contextlib.contextmanager
    def subscriber_of(self, name: str, root: Path) -> Iterator[Process]:
        """Publish a root, and start a subscriber that is subscribed to it."""
        self.publish(name, root)
        with self.subscriber(name) as subscriber:
            request("POST", f"{subscriber.url}/api/subscribe/{name}")
            yield subscriber

    @contextlib.contextmanager
    def subscriber(self, root: str) -> Iterator[Process]:
        """Start a subscriber with an empty cache, and wait until it knows of a root."""
        service = self.service("subscriber")
        try:
            with service:
                wait_until(lambda: root in service.get("/api/roots"), f"the subscriber to know {root}")
                yield service
        finally:
            shutil.rmtree(self.directory / f"{service.announce.name}.state", ignore_errors=True)


def request(method: str, url: str, headers: dict[str, str] | None = None) -> bytes:
    """Send one request and return the body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_S)
    with contextlib.closing(connection):
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {url}: {answer.status} {body[:300]!r}")
        return body


def wait_until(condition: object, what: str, *, every_s: float = 0.01) -> float:
    """Return the seconds it took until `condition()` was true."""
    assert callable(condition)
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > WAIT_S:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(every_s)
    return time.perf_counter() - began


def curl(url: str) -> tuple[float, float]:
    """Load a URL to nowhere; return bytes a second, and bytes."""
    done = subprocess.run(
        ["curl", "-sS", "--fail", "-o", os.devnull, "-w", "%{size_download} %{time_total}", url],
        check=True,
        capture_output=True,
        text=True,
    )
    nbytes, seconds = map(float, done.stdout.split())
    return nbytes / seconds, nbytes
