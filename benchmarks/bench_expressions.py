"""An expression over two slabs of 64 MiB: computed by a subscriber and fetched, beside blosc2's own."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from pathlib import Path

import blosc2
import httpx
import numpy as np

from benchmarks.report import median, ratio
from benchmarks.settings import Settings
from caterva2 import Client, Dataset
from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.app import run as run_subscriber

MOST = 1.5
SHAPE = (64, 512, 256)
USER = ("bench@example.org", "a good password")


def run(bench: Settings) -> None:
    """Compute ``a + 2*sin(b)``, with another constant in each round, so that no result is kept."""
    with tempfile.TemporaryDirectory() as home:
        state = Path(home)
        (state / "public").mkdir()
        rng = np.random.default_rng(5)
        files = {}
        for name in ("a", "b"):
            data = np.round(rng.normal(size=SHAPE), 3)
            files[name] = str(state / "public" / f"{name}.b2nd")
            cparams = {"codec": blosc2.Codec.LZ4, "clevel": 1}
            blosc2.asarray(data, urlpath=files[name], mode="w", chunks=(4, 512, 256), cparams=cparams)
        with _Serving(state) as url, Client(url, USER) as client:
            ours: list[float] = []
            local: list[float] = []
            for number in range(bench.rounds + 1):
                text = f"a + {number + 2}*sin(b)"
                path = client.lazyexpr(f"e{number}", text, {name: f"@public/{name}.b2nd" for name in files})
                dataset = client.get(path)
                assert isinstance(dataset, Dataset)
                began = time.perf_counter()
                found = dataset[:]
                middle = time.perf_counter()
                operands = {name: blosc2.open(file) for name, file in files.items()}
                wanted = blosc2.lazyexpr(text, operands).compute()[:]
                end = time.perf_counter()
                np.testing.assert_allclose(found, wanted)
                if number:
                    ours.append(middle - began)
                    local.append(end - middle)
    bench.report.add(
        "a + 2*sin(b) of two 64 MiB slabs: time, to blosc2 locally", ratio(ours, local), "x", most=MOST,
        note=f"{median(ours) * 1e3:.0f} ms, local {median(local) * 1e3:.0f} ms",
    )  # fmt: skip


class _Serving:
    """A subscriber with one user, in a thread; its work is done in processes of its own anyway."""

    def __init__(self, state: Path) -> None:
        self._config = SubscriberConfig(
            http=Address("127.0.0.1", 0), statedir=state, login=True, register=True, auth_secret="x" * 32
        )
        self._ready = threading.Event()
        self._url = ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()

        def announce(address: str) -> None:
            self._url = f"http://{address}"
            self._ready.set()

        await run_subscriber(self._config, announce=announce, stop=self._stop)

    def __enter__(self) -> str:
        self._thread.start()
        self._ready.wait(30)
        body = {"email": USER[0], "password": USER[1]}
        httpx.post(f"{self._url}/auth/register", json=body).raise_for_status()
        return self._url

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
