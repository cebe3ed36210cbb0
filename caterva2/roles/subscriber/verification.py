"""Having uploads verified in throw-away processes; see `caterva2.storage.verifier`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
from typing import Any

from caterva2.errors import InternalError, Overloaded, error_class
from caterva2.storage.names import StoredKind

MEMORY = 2 << 30
"""Address space that a task may take; an upload of larger chunks is refused."""
SECONDS = 600
AT_ONCE = 2
MAX_WAITING = 200
MAX_LINE = 4 << 20


class Verifier:
    """Gives tasks to the verification program, which is started when first needed."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids = itertools.count(1)

    async def frame(self, location: str, kind: StoredKind) -> None:
        """Verify a frame; does nothing for a plain file.

        Raises
        ------
        BrokenDataset
            It is not what it claims to be.
        """
        if kind is not StoredKind.PLAIN:
            await self._ask(task="frame", location=location, kind=kind.value, nbytes=0)

    async def append(self, location: str, rows: str, room: int) -> list[int]:
        """Append the rows of one array to another in place, and return its new shape."""
        shape: list[int] = await self._ask(task="append", location=location, rows=rows, nbytes=room)
        return shape

    async def unpack(self, location: str, target: str, room: int) -> list[str]:
        """Unpack an archive into a new directory, and return the paths of its files."""
        names: list[str] = await self._ask(
            task="unpack", location=location, target=target, room=room, nbytes=room
        )
        return names

    async def stop(self) -> None:
        """End the program; safe to call twice."""
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        if self._reading is not None:
            await self._reading
            self._reading = None

    async def _ask(self, **request: object) -> Any:  # noqa: ANN401 - what the task gives
        if self._waiting >= MAX_WAITING:
            raise Overloaded("too many uploads wait to be verified", retry_after_s=1)
        self._waiting += 1
        try:
            async with self._slots:
                answer = await self._exchange(request)
        finally:
            self._waiting -= 1
        if "error" in answer:
            raise error_class(answer["error"], 400)(answer["message"])
        return answer.get("value")

    async def _exchange(self, request: dict[str, object]) -> dict[str, Any]:
        child = await self._running()
        id_ = next(self._ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[id_] = future
        try:
            assert child.stdin is not None
            line = json.dumps({"id": id_, "memory": MEMORY, "seconds": SECONDS, **request})
            child.stdin.write(line.encode() + b"\n")
            async with asyncio.timeout(SECONDS * 3):
                return await future
        finally:
            del self._asked[id_]

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._child is None or self._child.returncode is not None:
                if self._reading is not None:
                    await self._reading
                self._child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "caterva2.storage.verifier",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    limit=MAX_LINE,
                    start_new_session=True,
                    env={
                        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path) or ".",
                        "OPENBLAS_NUM_THREADS": "1",
                        "OMP_NUM_THREADS": "1",
                        "BLOSC_NTHREADS": "1",
                    },
                    cwd="/",
                )
                self._reading = asyncio.create_task(self._read(self._child), name="verifier: read")
            return self._child

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        with contextlib.suppress(ValueError):
            while line := await child.stdout.readline():
                answer = json.loads(line)
                future = self._asked.get(answer["id"])
                if future is not None and not future.done():
                    future.set_result(answer)
        for future in self._asked.values():
            if not future.done():
                future.set_exception(InternalError("the verification of uploads has ended"))
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
