"""A network of real processes that can be killed, stopped, hung and started again at any moment."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import blosc2
import httpx
import numpy as np
import numpy.typing as npt

from tests.support.daemon import Daemon

WAIT_S = 20.0

_PAUSE = threading.Event()


def until(condition: Callable[[], Any], what: str, *, within_s: float = WAIT_S, every_s: float = 0.02) -> Any:
    """Ask again until `condition` gives something true, and return that.

    Raises
    ------
    AssertionError
        It did not within `within_s` seconds.
    """
    end = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}"
        _PAUSE.wait(every_s)


class Service:
    """One service: after `kill` or `stop` it can be started again at the same address."""

    def __init__(self, role: str, *args: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self.role = role
        self.args = args
        self._env = env
        self.http = "127.0.0.1:0"
        self.past_logs: list[str] = []
        self._cwd = cwd
        self._daemon: Daemon | None = None

    def start(self, *more: str) -> Self:
        """Start it; `more` goes behind its usual arguments."""
        assert self._daemon is None, f"{self.role} runs already"
        self._daemon = Daemon(self.role, *self.args, *more, cwd=self._cwd, http=self.http, env=self._env)
        self._daemon.start()
        assert self._daemon.address.port, f"{self.role} did not start:\n{self._daemon.log}"
        self.http = str(self._daemon.address)
        return self

    @property
    def url(self) -> str:
        return f"http://{self.http}"

    @property
    def pid(self) -> int:
        assert self._daemon is not None
        return self._daemon.process.pid

    @property
    def log(self) -> str:
        """What all its lives have written to stderr."""
        return "".join(self.past_logs) + (self._daemon.log if self._daemon is not None else "")

    @property
    def is_running(self) -> bool:
        return self._daemon is not None and self._daemon.process.poll() is None

    def rss_bytes(self) -> int:
        """Bytes of memory of its own."""
        return self._status("RssAnon")

    def peak_bytes(self) -> int:
        """Most memory that it ever had."""
        return self._status("VmHWM")

    def _status(self, key: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {key}")

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        return self._end(signal.SIGTERM)

    def hang(self) -> None:
        """Let it not run any more, with its sockets open."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """End `hang`."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it if it runs."""
        if self._daemon is not None:
            self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        daemon, self._daemon = self._daemon, None
        assert daemon is not None, f"{self.role} does not run"
        status = daemon.stop(number)
        daemon.__exit__()
        self.past_logs.append(daemon.log)
        return status


class Network:
    """A broker, publishers and a subscriber, each a process; files and states below `home`.

    Parameters
    ----------
    secret
        Of the subscriber: with one it has users.
    """

    def __init__(
        self,
        home: Path,
        *,
        roots: tuple[str, ...] = ("foo",),
        subscriber: tuple[str, ...] = (),
        sub_state: str = "sub",
        secret: str | None = None,
    ) -> None:
        self.home = home
        self._env = {} if secret is None else {"CATERVA2_SECRET": secret}
        self.broker = Service("broker", "--statedir", "bro", cwd=home)
        self.publishers: dict[str, Service] = {}
        self._roots = roots
        self._options = ("--statedir", sub_state, *subscriber)
        self.state = home / sub_state
        self.public = self.state / "public"
        for root in roots:
            (home / root).mkdir(exist_ok=True)

    def __enter__(self) -> Self:
        try:
            self.broker.start()
            for root in self._roots:
                self.publisher(root).start()
            self.subscriber = Service(
                "subscriber", "--broker", self.broker.http, *self._options, cwd=self.home, env=self._env
            )
            self.subscriber.start()
            self.http = httpx.Client(base_url=self.subscriber.url, timeout=WAIT_S)
        except BaseException:
            self._close()
            raise
        return self

    def publisher(self, root: str, *, state: str | None = None) -> Service:
        """Return a publisher that has not been started yet."""
        (self.home / root).mkdir(exist_ok=True)
        service = Service(
            "publisher",
            "--broker",
            self.broker.http,
            "--statedir",
            state or f"pub.{root}",
            root,
            root,
            cwd=self.home,
        )
        self.publishers[root] = service
        return service

    def __exit__(self, *exc: object) -> None:
        self.http.close()
        self._close()

    def _close(self) -> None:
        for service in self.services:
            service.close()

    @property
    def services(self) -> list[Service]:
        found = [self.broker, *self.publishers.values()]
        return [*found, self.subscriber] if hasattr(self, "subscriber") else found

    @property
    def log(self) -> str:
        """What all services have written."""
        return "\n".join(f"== {service.role}\n{service.log}" for service in self.services)

    # files

    def add(self, path: str, data: bytes) -> None:
        """Write a file beside and rename it, as everybody should; `path` begins with a root."""
        root, _, below = path.partition("/")
        target = (self.public if root == "@public" else self.home / root) / below
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new"[-200:])
        new.write_bytes(data)
        new.replace(target)

    def add_array(self, path: str, array: npt.ArrayLike, **how: Any) -> bytes:
        """Write an array and return its frame; `how` goes to ``blosc2.asarray``."""
        frame: bytes = blosc2.asarray(np.asarray(array), **how).to_cframe()
        self.add(path, frame)
        return frame

    # requests

    def get(self, path: str, **kwargs: Any) -> httpx.Response:
        return self.http.get(path, **kwargs)

    def fetch(self, path: str, slice_: str | None = None) -> Any:
        """Read what `path` holds."""
        answer = self.get(f"/api/fetch/{path}", params={} if slice_ is None else {"slice_": slice_})
        assert answer.status_code == 200, answer.text
        return contents(answer.content)

    def status(self, path: str, slice_: str | None = None) -> int:
        """Return the status of an attempt to read; 0 if there was no answer."""
        with contextlib.suppress(httpx.TransportError):
            return self.get(
                f"/api/fetch/{path}", params={} if slice_ is None else {"slice_": slice_}
            ).status_code
        return 0

    def is_fresh(self, root: str) -> bool:
        """Whether the subscriber follows a root and its publisher."""
        found = self.get("/api/roots").json().get(root, {})
        return found.get("freshness") == "fresh"

    def subscribe(self, root: str) -> None:
        """Subscribe to a root, as soon as the subscriber knows it."""
        until(
            lambda: self.http.post(f"/api/subscribe/{root}").status_code == 200,
            f"subscribed to {root}",
        )

    def metric(self, name: str) -> float:
        """Return a figure of the subscriber's ``/metrics``."""
        for line in self.get("/metrics").text.splitlines():
            if line.startswith((f"{name} ", f"caterva2_{name} ")):
                return float(line.split()[1])
        raise AssertionError(f"no metric {name}")

    def cache_files(self) -> list[Path]:
        """Return all files in the cache of the subscriber."""
        return [path for path in (self.state / "cache").rglob("*") if path.is_file()]

    def cache_bytes(self) -> int:
        """Return what the files in the cache take on disk."""
        total = 0
        for path in self.cache_files():
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_blocks * 512
        return total


def contents(frame: bytes) -> Any:
    """Return what a frame holds: an array, or bytes."""
    try:
        array = blosc2.ndarray_from_cframe(frame)
    except RuntimeError:
        schunk = blosc2.schunk_from_cframe(frame)
        return schunk[:] if schunk.nbytes else b""
    return np.asarray(array[...] if array.ndim else array[()], array.dtype).reshape(array.shape)


class Crowd:
    """Threads that do something over and over until the block ends; what one of them raises is raised there.

    Parameters
    ----------
    work
        Called with the number of the thread and that of the round.
    size
        How many threads.
    """

    def __init__(self, work: Callable[[int, int], None], size: int) -> None:
        self._work = work
        self._end = threading.Event()
        self.rounds = 0
        self.failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(size)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"
        if self.failures and kind is None:
            raise self.failures[0]

    def check(self) -> None:
        """Raise what a thread has raised, if any."""
        if self.failures:
            raise self.failures[0]

    def _run(self, number: int) -> None:
        for turn in itertools.count():
            if self._end.is_set() or self.failures:
                return
            try:
                self._work(number, turn)
            except BaseException as exc:
                self.failures.append(exc)
            self.rounds += 1


@contextlib.contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Yield what tells the seconds since the block began, or that the block took."""
    began = time.monotonic()
    ended: list[float] = []
    try:
        yield lambda: (ended[0] if ended else time.monotonic()) - began
    finally:
        ended.append(time.monotonic())
