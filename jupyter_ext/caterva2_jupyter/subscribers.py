"""The subscribers that Jupyter is configured for, and the one that is chosen."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from caterva2._version import __version__
from caterva2.client.urlbase import Urlbase
from caterva2.errors import Caterva2Error, NotFound
from caterva2.model.jupyter import Status
from caterva2_jupyter.config import EMBEDDED, Embedding, ExtensionConfig
from caterva2_jupyter.upstream import Upstream

logger = logging.getLogger(__name__)

STOP_S = 5.0


class Subscribers:
    """All of them by name, and the embedded one's life.

    Parameters
    ----------
    config
        What is configured.
    socket
        Where the embedded subscriber listens.
    changed
        Called when another one is chosen, or somebody logged in or out.
    """

    def __init__(
        self, config: ExtensionConfig, socket: Path | None, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.config = config
        self.current = config.current
        self._changed = changed
        self._embedding = config.embedding
        self._socket = socket
        self._running: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self.upstreams: dict[str, Upstream] = {}
        if config.embedding is not None and socket is not None:
            self._add(EMBEDDED, Urlbase.parse(f"unix:{socket}"), embedded=True)
        for name, urlbase in config.subscribers.items():
            self._add(name, urlbase)

    def _add(self, name: str, urlbase: Urlbase, *, embedded: bool = False) -> None:
        config = self.config
        self.upstreams[name] = Upstream(
            name, urlbase, embedded=embedded, token_file=config.token_file, timeout_s=config.timeout_s,
            read_only=config.read_only, started=self.start if embedded else None,
        )  # fmt: skip

    def listen(self, changed: Callable[[], None]) -> None:
        """Have `changed` called when another one is chosen, or somebody logged in or out."""
        self._changed = changed

    # life

    async def start(self) -> None:
        """Start the embedded subscriber, and wait until it serves or has failed; further calls wait too."""
        if self._running is None and not self._stopping.is_set():
            self._running = asyncio.create_task(self._run(), name="embedded subscriber")
            for upstream in self.upstreams.values():
                await upstream.load_token()
        await self._ready.wait()

    async def _run(self) -> None:
        # One task from begin to end: cancel scopes and context variables are not shared between tasks.
        try:
            if self._embedding is not None and self._socket is not None:
                await self._serve(self._embedding, self._socket)
        except Caterva2Error as exc:
            self._fail(str(exc))
        except ImportError as exc:
            self._fail(f"{exc.name} is not installed; it comes with pip install 'caterva2[jupyter]'")
        except OSError as exc:
            self._fail(exc.strerror or str(exc))
        except Exception:
            logger.exception("the embedded subscriber failed")
            self._fail("the log of Jupyter has the details")
        finally:
            self._ready.set()

    async def _serve(self, embedding: Embedding, socket: Path) -> None:
        # Only now, and beside the loop: what a role needs takes a while to import, and may not be there.
        await asyncio.to_thread(importlib.import_module, "caterva2_jupyter.embedded")
        from caterva2_jupyter.embedded import run_embedded

        async with run_embedded(embedding, socket):
            self.upstreams[EMBEDDED].failure = None
            self._ready.set()
            await self._stopping.wait()

    def _fail(self, reason: str) -> None:
        own = self.upstreams[EMBEDDED]
        if own.failure != reason:
            logger.error("the embedded subscriber did not start: %s", reason)
        own.failure = reason

    async def _try_again(self) -> None:
        """Start the embedded subscriber again, if it did not start: the reason may be gone."""
        own = self.upstreams.get(EMBEDDED)
        if own is None or own.failure is None or self._running is None or not self._running.done():
            return
        self._ready.clear()
        self._running = None
        await self.start()

    async def stop(self) -> None:
        """Stop in reverse order; safe to call twice."""
        self._stopping.set()
        self._ready.set()
        for upstream in self.upstreams.values():
            await upstream.close()
        if self._running is not None:
            _, late = await asyncio.wait([self._running], timeout=STOP_S)
            for task in late:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    # choice

    def find(self, name: str) -> Upstream:
        """Return one by its name.

        Raises
        ------
        NotFound
            There is none of this name.
        """
        upstream = self.upstreams.get(name)
        if upstream is None:
            raise NotFound(
                f"no subscriber of the name {name!r} is configured in Jupyter",
                hint=f"there is {', '.join(self.upstreams)}",
            )
        return upstream

    def choose(self, name: str) -> None:
        """Make one the current; raises as `find`."""
        self.current = self.find(name).name
        self._changed()

    async def log_in(self, name: str, user: str, password: str) -> None:
        """Log in at one; raises as `Upstream.log_in`, and as `find`."""
        await self.find(name).log_in(user, password)
        self._changed()

    async def log_out(self, name: str) -> None:
        """Forget who one is at one; raises as `find`."""
        await self.find(name).log_out()
        self._changed()

    async def status(self) -> Status:
        """Return how all of them are; takes at most some seconds."""
        await self._try_again()
        tokens = {name: each.token for name, each in self.upstreams.items()}
        found = await asyncio.gather(*(each.status() for each in self.upstreams.values()))
        if tokens != {name: each.token for name, each in self.upstreams.items()}:
            self._changed()  # somebody used cat2cli login, or a token has ended
        return Status(version=__version__, current=self.current, subscribers=list(found))

    @property
    def urls(self) -> Mapping[str, str]:
        """Addresses by name."""
        return {name: str(each.urlbase) for name, each in self.upstreams.items()}
