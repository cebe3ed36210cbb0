"""A Tornado application that runs in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

import tornado.httpserver
import tornado.netutil
import tornado.testing
import tornado.web

WAIT_S = 20.0


class ServerThread:
    """Serve on a free port of the loopback interface until the block ends.

    Parameters
    ----------
    make_app
        Called in the thread's event loop.
    port
        0 for a free one.
    unix_path
        Serve on this socket instead.
    """

    def __init__(
        self, make_app: Callable[[], tornado.web.Application], *, port: int = 0, unix_path: str = ""
    ) -> None:
        self._make_app = make_app
        self._unix_path = unix_path
        self._wanted_port = port
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="test-server", daemon=True)
        self.port = 0

    @property
    def urlbase(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S), "the server did not start"
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        loop, stop = self._loop, self._stop
        if self._thread.is_alive() and loop is not None and stop is not None:
            loop.call_soon_threadsafe(stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the server did not stop"

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the thread of the server and return its result."""
        assert self._loop is not None
        done: asyncio.Future[Any] = asyncio.run_coroutine_threadsafe(_call(function, *args), self._loop)  # type: ignore[assignment]
        return done.result(WAIT_S)  # type: ignore[call-arg]

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:
            self._failure = exc
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = tornado.httpserver.HTTPServer(self._make_app())
        if self._unix_path:
            server.add_sockets([tornado.netutil.bind_unix_socket(self._unix_path)])
        elif self._wanted_port:
            server.listen(self._wanted_port, "127.0.0.1")
            self.port = self._wanted_port
        else:
            sock, self.port = tornado.testing.bind_unused_port()
            server.add_sockets([sock])
        self._ready.set()
        await self._stop.wait()
        server.stop()
        await server.close_all_connections()


class RoleThread:
    """Run a role of ours in a thread until the block ends.

    Parameters
    ----------
    run
        ``roles.*.app.run``.
    config
        Listens on port 0.

    Attributes
    ----------
    address
        Where it serves, ``host:port``.
    """

    def __init__(self, run: Callable[..., Coroutine[Any, Any, None]], config: Any) -> None:
        self.address = ""
        self._run_role = run
        self._config = config
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="test-role", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S), "the role did not start"
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the role did not stop"
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:
            self._failure = exc
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await self._run_role(self._config, announce=self._announce, stop=self._stop)

    def _announce(self, address: str) -> None:
        self.address = address
        self._ready.set()


async def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)
