"""A chunk of the Zarr view, beside the same window as a frame; xarray and dask, beside a local read."""

from __future__ import annotations

import http.client
import importlib.util
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import blosc2
import numpy as np

from benchmarks.data import CUBE
from benchmarks.network import Network, request
from benchmarks.report import median, ratio
from benchmarks.settings import Settings

MOST = 2.0
ROUNDS = 20
"""Requests in a round: one takes too short a time."""
GRIDS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "64 KiB": ((1, 128, 128), (1, 64, 64)),
    "1 MiB": ((4, 256, 256), (2, 64, 128)),
    "64 MiB, cut": ((16, 1024, 1024), (4, 128, 128)),
}
SHAPE = (16, 1024, 1024)
TYPES: dict[str, Any] = {
    "bytes": "u1",
    "big-endian f8": ">f8",
    "complex": "c16",
    "text of 8 letters": "U8",
    "three fields": [("a", "<i4"), ("b", "<f8"), ("c", "S4")],
}
"""Types of items, in chunks of 1 MiB."""


def run(bench: Settings) -> None:
    """Read chunks of several sizes, and the mean of 64 MiB."""
    _, subscriber = bench.warm()
    _chunks(bench, subscriber.url, f"cube/{CUBE}", "4 MiB")
    with tempfile.TemporaryDirectory(dir=bench.work) as home:
        root = Path(home)
        data = np.round(np.random.default_rng(0).normal(size=SHAPE), 2).astype("f4")
        for number, (chunks, blocks) in enumerate(GRIDS.values()):
            cparams = {"codec": blosc2.Codec.ZSTD, "clevel": 1}
            file = str(root / f"{number}.b2nd")
            blosc2.asarray(data, urlpath=file, mode="w", chunks=chunks, blocks=blocks, cparams=cparams)
        for number, type_ in enumerate(TYPES.values(), len(GRIDS)):
            dtype = np.dtype(type_)
            typed = np.zeros(4 << 20, "u1")
            typed[:: dtype.itemsize] = np.random.default_rng(1).integers(0, 2, len(typed[:: dtype.itemsize]))
            items = typed[: len(typed) // dtype.itemsize * dtype.itemsize].view(dtype)
            chunks = ((1 << 20) // dtype.itemsize,)
            blosc2.asarray(items, urlpath=str(root / f"{number}.b2nd"), mode="w", chunks=chunks)
        with Network(bench.work) as network:
            network.publish("grids", root)
            with network.subscriber("grids") as other:
                request("POST", f"{other.url}/api/subscribe/grids")
                names = [*GRIDS, *(f"1 MiB of {name}" for name in TYPES)]
                for number, name in enumerate(names):
                    _chunks(bench, other.url, f"grids/{number}.b2nd", name)
    _readers(bench, subscriber.url)


def _chunks(bench: Settings, url: str, path: str, name: str) -> None:
    address = urlsplit(url).netloc
    connection = http.client.HTTPConnection(address)

    def get(target: str) -> bytes:
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body

    document = json.loads(get(f"/zarr/v3/{path}/zarr.json"))
    chunks = document["chunk_grid"]["configuration"]["chunk_shape"]
    window = ",".join(f"0:{n}" for n in chunks)
    targets = {
        "zarr": f"/zarr/v3/{path}/c/{'/'.join('0' for _ in chunks)}",
        "fetch": f"/api/fetch/{path}?slice_={window}",
    }
    items = blosc2.ndarray_from_cframe(get(targets["fetch"]))[:]
    assert get(targets["zarr"]) == items.tobytes()
    found: dict[str, list[float]] = {kind: [] for kind in targets}
    for _ in range(bench.rounds):
        for kind, target in targets.items():
            began = time.perf_counter()
            for _ in range(ROUNDS):
                get(target)
            found[kind].append((time.perf_counter() - began) / ROUNDS)
    connection.close()
    bench.report.add(
        f"a chunk, stored as {name}: time, to the same window of /api/fetch",
        ratio(found["zarr"], found["fetch"]), "x", most=MOST,
        note=f"{median(found['zarr']) * 1e3:.2f} ms, /api/fetch {median(found['fetch']) * 1e3:.2f} ms",
    )  # fmt: skip


def _readers(bench: Settings, url: str) -> None:
    what = "mean of 64 MiB by xarray and dask: time, to a local read"
    if any(importlib.util.find_spec(name) is None for name in ("zarr", "xarray", "dask", "aiohttp")):
        bench.report.add(what, None, "x", note="zarr, xarray, dask or aiohttp is not installed")
        return
    import xarray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        remote = xarray.open_zarr(f"{url}/zarr/v3/cube")[CUBE]
        reads: dict[str, Callable[[], float]] = {
            "xarray": lambda: float(remote[32:48].mean().values),
            "local": lambda: float(blosc2.open(str(bench.cube))[32:48].mean()),
        }
        np.testing.assert_allclose(reads["xarray"](), reads["local"](), rtol=1e-3)
        found: dict[str, list[float]] = {kind: [] for kind in reads}
        for _ in range(bench.rounds * 2):
            for kind, read in reads.items():
                began = time.perf_counter()
                read()
                found[kind].append(time.perf_counter() - began)
    bench.report.add(
        what, ratio(found["xarray"], found["local"]), "x",
        note=f"{median(found['xarray']) * 1e3:.0f} ms, local {median(found['local']) * 1e3:.0f} ms",
    )  # fmt: skip
