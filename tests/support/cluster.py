"""A whole network in one event loop: a broker, publishers, a subscriber, and a client of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import blosc2
import httpx
import numpy as np
import numpy.typing as npt

from caterva2.config.schema import BrokerConfig, PublisherConfig, SubscriberConfig
from caterva2.config.units import Address
from caterva2.model import events
from caterva2.model.events import Event
from caterva2.roles.broker import app as broker_app
from caterva2.roles.publisher import app as publisher_app
from caterva2.roles.subscriber import app as subscriber_app

WAIT_S = 20.0
SETTLE_S = 0.05


class Role:
    """A service that can be stopped and started again: same address, same state.

    Parameters
    ----------
    running
        Makes the context in which it runs, at an address.
    """

    def __init__(self, running: Callable[[Address], contextlib.AbstractAsyncContextManager[Any]]) -> None:
        self._running = running
        self._stack = contextlib.AsyncExitStack()
        self.address = Address("127.0.0.1", 0)
        self.service: Any = None

    @property
    def url(self) -> str:
        return self.address.url

    async def start(self) -> None:
        self.service = await self._stack.enter_async_context(self._running(self.address))
        self.address = self.service.server.address

    async def stop(self) -> None:
        self.service = None
        await self._stack.aclose()


class Cluster:
    """Broker, publishers and subscriber, with their files below `home`.

    Attributes
    ----------
    publishers
        By root name.
    http
        Client of the subscriber.
    public
        The directory behind ``@public``.
    """

    http: httpx.AsyncClient

    def __init__(self, home: Path, *, roots: tuple[str, ...] = ("foo",), **subscriber: Any) -> None:
        self.home = home
        self.public = home / "sub" / "public"
        self.public.mkdir(parents=True)
        self.broker = Role(
            lambda address: broker_app.running(BrokerConfig(http=address, statedir=home / "bro", lease_s=0.6))
        )
        self.publishers = {name: Role(self._publisher(name)) for name in roots}
        self.subscriber = Role(
            lambda address: subscriber_app.running(
                SubscriberConfig(
                    http=address, statedir=home / "sub", broker=self.broker.address, **subscriber
                )
            )
        )

    def _publisher(self, name: str) -> Callable[[Address], contextlib.AbstractAsyncContextManager[Any]]:
        self.root(name).mkdir()
        return lambda address: publisher_app.running(
            PublisherConfig(
                name=name,
                root=str(self.root(name)),
                broker=self.broker.address,
                http=address,
                statedir=self.home / f"pub.{name}",
            ),
            settle_s=SETTLE_S,
        )

    def root(self, name: str) -> Path:
        """Return the directory behind a root."""
        return self.public if name == "@public" else self.home / name

    async def __aenter__(self) -> Self:
        try:
            await self.broker.start()
            for publisher in self.publishers.values():
                await publisher.start()
            await self.subscriber.start()
            self.http = httpx.AsyncClient(base_url=self.subscriber.url, timeout=WAIT_S)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.http.aclose()
        await self._stop()

    async def _stop(self) -> None:
        for role in (self.subscriber, *self.publishers.values(), self.broker):
            await role.stop()

    # files

    def add(self, path: str, data: bytes) -> None:
        """Write a file beside and rename it, as everybody should; `path` begins with a root."""
        root, _, below = path.partition("/")
        target = self.root(root) / below
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new")
        new.write_bytes(data)
        new.replace(target)

    def add_array(self, path: str, array: npt.ArrayLike, **how: Any) -> None:
        """Write an array; `how` goes to ``blosc2.asarray``."""
        self.add(path, blosc2.asarray(np.asarray(array), **how).to_cframe())

    # requests

    async def get(self, path: str, **kwargs: Any) -> httpx.Response:
        return await self.http.get(path, **kwargs)

    async def subscribe(self, root: str) -> None:
        answer = await self.http.post(f"/api/subscribe/{root}")
        assert answer.status_code == 200, answer.text

    async def fetch(self, path: str, slice_: str | None = None, **kwargs: Any) -> Any:
        """Read what `path` holds, as clients do: an array, or bytes."""
        params = {} if slice_ is None else {"slice_": slice_}
        answer = await self.http.get(f"/api/fetch/{path}", params=params, **kwargs)
        assert answer.status_code == 200, answer.text
        return contents(answer.content)

    # waiting

    @contextlib.asynccontextmanager
    async def event(self, seen: Callable[[Event], bool]) -> AsyncIterator[None]:
        """Wait, at the end of the block, until the subscriber tells an event like this."""
        with self.subscriber.service.subscriber.hub.subscribe() as subscription:
            yield
            async with asyncio.timeout(WAIT_S):
                async for envelope in subscription:
                    if seen(envelope.event):
                        return

    def changed(self, path: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Wait, at the end of the block, until the subscriber knows that a file is new or has changed."""
        root, _, below = path.partition("/")

        def seen(event: Event) -> bool:
            return (
                isinstance(event, events.DatasetChanged) and event.root == root and event.entry.path == below
            )

        return self.event(seen)

    def removed(self, path: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Wait, at the end of the block, until the subscriber knows that a file is gone."""
        root, _, below = path.partition("/")
        return self.event(lambda event: event == events.DatasetRemoved(root=root, path=below))


def contents(frame: bytes) -> Any:
    """Return what a frame holds, as the clients of 2025 read it."""
    try:
        array = blosc2.ndarray_from_cframe(frame)
        return np.asarray(array[...] if array.ndim else array[()], array.dtype).reshape(array.shape)
    except RuntimeError:
        schunk = blosc2.schunk_from_cframe(frame)
        return schunk[:] if schunk.nbytes else b""
