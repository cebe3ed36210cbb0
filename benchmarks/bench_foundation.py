"""What the foundation costs: one hop to a worker, and one request through `BaseHandler`.

Compared, in interleaved rounds of one run, with the standard executor and with
a bare Tornado handler. Read the ratios; the digits are those of the machine.

    python -m benchmarks foundation
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from benchmarks.report import Report, ratio
from benchmarks.settings import Settings
from caterva2.model.routes import Role, routes_of
from caterva2.runtime.workers import Lane, Workers
from caterva2.transport.app import make_application
from caterva2.transport.handler import BaseHandler

BODY = os.urandom(400)
REQUEST = (
    b"GET /api/fetch/foo/ds.b2nd?slice_=0:10,0:10 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
    b"Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nUser-Agent: bench\r\n\r\n"
)
ROUNDS = 9
NREQUESTS = 1500


class Bare(RequestHandler):
    async def get(self, path: str) -> None:
        self.set_header("Content-Type", "application/octet-stream")
        self.write(BODY)


class Ours(BaseHandler[None]):
    async def get(self, path: str = "") -> None:
        self.send_bytes(BODY)

    async def post(self, path: str = "") -> None:
        self.send_bytes(BODY)


def same(value: int) -> int:
    return value


async def hops(run: Callable[..., Awaitable[int]], ncallers: int, ncalls: int) -> float:
    """Return microseconds of processor time a call."""

    async def caller() -> None:
        for i in range(ncalls // ncallers):
            await run(same, i)

    began = time.process_time()
    await asyncio.gather(*(caller() for _ in range(ncallers)))
    return (time.process_time() - began) / ncalls * 1e6


async def bench_hops(report: Report) -> None:
    loop = asyncio.get_running_loop()
    executor, workers = ThreadPoolExecutor(8), Workers(disk=8)
    workers.start()

    def standard(fn: Callable[[int], int], value: int) -> Awaitable[int]:
        return loop.run_in_executor(executor, fn, value)

    def ours(fn: Callable[[int], int], value: int) -> Awaitable[int]:
        return workers.run(Lane.DISK, fn, value)

    for ncallers in (1, 16):
        found: dict[str, list[float]] = {"executor": [], "workers": []}
        for _ in range(ROUNDS):
            found["executor"].append(await hops(standard, ncallers, 4000))
            found["workers"].append(await hops(ours, ncallers, 4000))
        added(report, f"hop, {ncallers} callers", found)
    await workers.stop()
    executor.shutdown()


async def bench_handlers(report: Report) -> None:
    every = {route.name: Ours for route in routes_of(Role.SUBSCRIBER)}
    applications = {
        "bare": Application([(r"/api/fetch/(.*)", Bare)], log_function=lambda handler: None),
        "BaseHandler": make_application(Role.SUBSCRIBER, every, None),
    }
    ports = {}
    for name, application in applications.items():
        sockets = bind_sockets(0, "127.0.0.1")
        HTTPServer(application).add_sockets(sockets)
        ports[name] = sockets[0].getsockname()[1]
    found: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(ROUNDS):
        for name, port in ports.items():
            began = time.thread_time()
            client = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT, str(port), str(NREQUESTS), stdout=subprocess.DEVNULL
            )
            await client.wait()
            found[name].append((time.thread_time() - began) / NREQUESTS * 1e6)
    added(report, "request for 400 bytes", found)


CLIENT = f"""
import socket, sys
request = {REQUEST!r}
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(int(sys.argv[2])):
    sock.sendall(request)
    data = sock.recv(65536)
    while (end := data.find(b"\\r\\n\\r\\n")) < 0 or len(data) < end + 404:
        data += sock.recv(65536)
"""


def added(report: Report, what: str, found: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in found.items()}
    base, ours = found.values()
    text = ", ".join(f"{name} {value:.1f} us" for name, value in medians.items())
    report.add(f"{what}: processor time", ratio(ours, base), "x", note=text)


def run(bench: Settings) -> None:
    async def both() -> None:
        await bench_hops(bench.report)
        await bench_handlers(bench.report)

    asyncio.run(both())
