"""Many small requests over kept-alive connections: ``wrk`` if it is there, else a small client here."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Load:
    """What a server answered: median seconds of a request, and requests a second."""

    p50_s: float
    rate: float


def load(base: str, targets: Sequence[str], *, connections: int, seconds: float, script: Path) -> Load:
    """Ask for `targets` in turn. `script` is where a script for wrk may be written."""
    program = shutil.which("wrk")
    if program is None:
        command = [
            sys.executable, "-m", "benchmarks.load", base, str(connections), str(seconds), str(script)
        ]  # fmt: skip
        script.write_text("\n".join(targets))
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        p50, rate = map(float, text.split())
        return Load(p50, rate)
    listed = ",".join(f'"{target}"' for target in targets)
    script.write_text(
        f"local t = {{{listed}}}\nlocal r, i = {{}}, 0\n"
        "init = function() for k, v in ipairs(t) do r[k] = wrk.format('GET', v) end end\n"
        "request = function() i = i % #r + 1 return r[i] end\n"
    )
    command = [
        program, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}", "--latency",
        "-s", str(script), base,
    ]  # fmt: skip
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return _parsed(text)


def _parsed(text: str) -> Load:
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"requests failed:\n{text}")
    fields = {words[0]: words[1] for line in text.splitlines() if len(words := line.split()) == 2}
    p50 = fields["50%"]
    unit = next(unit for unit in UNITS if p50.endswith(unit))
    return Load(float(p50.removesuffix(unit)) * UNITS[unit], float(fields["Requests/sec:"]))


class _Asker(asyncio.Protocol):
    """One connection that asks for the next as soon as the last answer is whole."""

    def __init__(self, requests: Sequence[bytes], deadline: float, done: asyncio.Future[None]) -> None:
        self._requests, self._deadline, self._done = requests, deadline, done
        self.times: list[float] = []
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, mark, body = self._data.partition(b"\r\n\r\n")
        if not mark:
            return
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        if len(body) < length:
            return
        if b" 200 " not in head[:16]:
            self._done.set_exception(RuntimeError(f"a request failed: {head[:40]!r}"))
            return
        now = time.perf_counter()
        self.times.append(now - self._began)
        self._data = b""
        if now < self._deadline:
            self._ask()
        elif not self._done.done():
            self._transport.close()
            self._done.set_result(None)

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._requests[len(self.times) % len(self._requests)])


async def _load(base: str, connections: int, seconds: float, targets: Sequence[str]) -> Load:
    parts = urlsplit(base)
    requests = [f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode() for target in targets]
    loop = asyncio.get_running_loop()
    deadline = time.perf_counter() + seconds
    askers, ends = [], [loop.create_future() for _ in range(connections)]
    for end in ends:
        _, asker = await loop.create_connection(
            lambda end=end: _Asker(requests, deadline, end), parts.hostname, parts.port
        )
        askers.append(asker)
    await asyncio.gather(*ends)
    times = [value for asker in askers for value in asker.times]
    return Load(statistics.median(times), len(times) / seconds)


if __name__ == "__main__":
    _base, _connections, _seconds, _file = sys.argv[1:]
    _found = asyncio.run(
        _load(_base, int(_connections), float(_seconds), Path(_file).read_text().split("\n"))
    )
    print(_found.p50_s, _found.rate)
