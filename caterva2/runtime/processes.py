"""A lane of processes for work that must be stoppable: each has limits, and is killed and replaced.

A process runs a program that takes requests from a socket and answers them,
with one piece of memory shared between it and us. What a request means is the
business of whoever asks.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import mmap
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence

from caterva2.errors import BadExpression, InternalError, Overloaded
from caterva2.runtime.workers import Lane, Workers

logger = logging.getLogger(__name__)

MAX_MESSAGE = 64 << 20
START_S = 30.0


class Process:
    """A running process.

    Attributes
    ----------
    memory
        Bytes that it shares with us.
    """

    def __init__(self, child: subprocess.Popen[bytes], sock: socket.socket, memory: mmap.mmap) -> None:
        self._child = child
        self._sock = sock
        self._memory = memory
        self.memory = memoryview(memory)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._child.poll() is None

    async def exchange(self, request: bytes) -> bytes:
        """Send a request and return the answer; EOFError if the process ends instead."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._sock, len(request).to_bytes(4, "little") + request)
        size = int.from_bytes(await self._receive(4), "little")
        if size > MAX_MESSAGE:
            raise EOFError
        return await self._receive(size)

    async def _receive(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        parts = []
        while size:
            part = await loop.sock_recv(self._sock, size)
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def kill(self) -> None:
        """End it at once; blocks for as long as the system needs for that."""
        self._child.kill()
        self._child.wait()
        self._sock.close()
        self.memory.release()
        with contextlib.suppress(BufferError):  # an array still looks at it: goes with the array
            self._memory.close()


class ProcessLane:
    """A bounded number of processes, started when first needed or by `start`.

    Parameters
    ----------
    module
        The program: run as ``python -m module SOCKET MEMORY ARENA LIMIT``, the numbers of two
        inherited descriptors, the bytes that are shared, and the bytes that it may allocate.
    size
        Processes at most.
    arena
        Bytes of shared memory of each.
    limit
        Bytes that a process may allocate beyond what it needs to start.
    queue
        How many may wait for a process.
    """

    def __init__(
        self,
        workers: Workers,
        module: str,
        *,
        size: int | None = None,
        arena: int = 64 << 20,
        limit: int = 512 << 20,
        queue: int = 500,
    ) -> None:
        self._workers = workers
        self._module = module
        self.size = size or max(1, min(4, os.cpu_count() or 1))
        self.arena = arena
        self._limit = limit
        self._queue = queue
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._started = 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self._stopping = False
        self._starting: set[asyncio.Task[None]] = set()

    @property
    def pids(self) -> list[int]:
        """Ids of the running processes."""
        return [process.pid for process in self._all]

    async def start(self) -> None:
        """Start all processes."""
        self._stopping = False
        while self._started < self.size:
            self._launch()
        # Who is cancelled here leaves them to `stop`, which knows them when they have started.
        await asyncio.gather(*map(asyncio.shield, self._starting))

    async def stop(self) -> None:
        """Kill all processes; safe to call twice."""
        self._stopping = True
        for future in self._waiting:
            if not future.done():
                future.set_exception(Overloaded("the service stops", retry_after_s=1))
        self._waiting.clear()
        await asyncio.gather(*self._starting, return_exceptions=True)
        self._idle.clear()
        gone, self._all = self._all, set()
        self._started = 0
        for process in gone:
            process.kill()

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[Process]:
        """Give a process to the block; nobody else talks to it meanwhile.

        Raises
        ------
        Overloaded
            Too many wait already.
        """
        process = await self._take()
        healthy = False
        try:
            yield process
            healthy = True
        except Exception:
            healthy = process in self._all
            raise
        finally:
            # A cancelled exchange leaves half an answer behind: that process is of no use any more.
            if healthy and process in self._all and process.is_alive:
                self._put(process)
            elif not self._stopping:
                self._drop(process)

    async def call(self, process: Process, request: bytes, timeout_s: float) -> bytes:
        """Have a leased process answer; kill it when it does not in time.

        Raises
        ------
        BadExpression
            The work takes too long, or more memory than is allowed.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await process.exchange(request)
        except TimeoutError:
            self._drop(process, wake=False)
            raise BadExpression(
                f"the evaluation was stopped: it took longer than {timeout_s:g} s",
                hint="ask for a smaller part",
            ) from None
        except (EOFError, OSError):
            self._drop(process, wake=False)
            raise BadExpression("the evaluation was stopped: it went beyond its limits") from None

    async def _take(self) -> Process:
        while not self._stopping:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive:
                    return process
                self._drop(process)
            if self._started < self.size:
                self._launch()
            if len(self._waiting) >= self._queue:
                raise Overloaded(f"{self._queue} evaluations wait already", retry_after_s=1)
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            try:
                await future
            except asyncio.CancelledError:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(future)
                if future.done() and not future.cancelled():
                    self._wake()
                raise
        raise Overloaded("the service stops", retry_after_s=1)

    def _put(self, process: Process) -> None:
        if self._stopping:
            return
        self._idle.append(process)
        self._wake()

    def _drop(self, process: Process, *, wake: bool = True) -> None:
        if process not in self._all:
            if wake:
                self._wake()
            return
        self._all.discard(process)
        process.kill()
        self._started -= 1
        if wake:
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return

    def _launch(self) -> None:
        """Start a process, whoever then takes it: one who is cancelled meanwhile leaves it to others."""
        self._started += 1
        task = asyncio.create_task(self._spawn(), name="start an evaluating process")
        self._starting.add(task)
        task.add_done_callback(self._launched)

    def _launched(self, task: asyncio.Task[None]) -> None:
        self._starting.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        self._started -= 1
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(InternalError("a process for evaluations could not be started"))
                return

    async def _spawn(self) -> None:
        process = await self._workers.run(Lane.DISK, _spawn, self._module, self.arena, self._limit)
        self._all.add(process)
        try:
            async with asyncio.timeout(START_S):
                await process.exchange(b"")
        except BaseException:
            self._all.discard(process)
            process.kill()
            raise
        self._put(process)


def _spawn(module: str, arena: int, limit: int) -> Process:
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() if not hasattr(os, "memfd_create") else _memory_file() as file:
        os.ftruncate(file.fileno(), arena)
        memory = mmap.mmap(file.fileno(), arena)
        ours.setblocking(False)
        numbers: Sequence[int] = (theirs.fileno(), file.fileno(), arena, limit)
        environment = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path) or ".",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        child = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", module, *map(str, numbers)],
            pass_fds=numbers[:2],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,  # Ctrl-C in a terminal is for the service, which ends its processes
        )
    theirs.close()
    return Process(child, ours, memory)


def _memory_file() -> tempfile._TemporaryFileWrapper[bytes]:
    return os.fdopen(os.memfd_create("caterva2"), "r+b")  # type: ignore[return-value]
