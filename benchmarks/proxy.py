"""A TCP proxy in a thread that counts bytes and connections."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

STEP = 1 << 18


class CountingProxy:
    """Passes everything on to `target`, ``host:port``; counts both directions, headers included.

    Attributes
    ----------
    down, up
        Bytes from and to the target.
    most
        Most connections that were open at once.
    """

    def __init__(self) -> None:
        self.target = ""
        self.reset()
        self._open = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def reset(self) -> None:
        self.down = self.up = self.most = 0

    @property
    def moved(self) -> int:
        return self.down + self.up

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=STEP)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self.target.rsplit(":", 1)
        there, back = await asyncio.open_connection(host, int(port), limit=STEP)
        self._open += 1
        self.most = max(self.most, self._open)
        try:
            await asyncio.gather(self._pass(reader, back, "up"), self._pass(there, writer, "down"))
        finally:
            self._open -= 1
            writer.close()
            back.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(STEP):
                setattr(self, way, getattr(self, way) + len(data))
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
