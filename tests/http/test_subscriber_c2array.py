"""Stock python-blosc2 as a client: ``blosc2.C2Array`` and ``blosc2.URLPath``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import blosc2
import numpy as np
import pytest

from tests.support.cluster import Cluster
from tests.support.samples import arrays

pytestmark = pytest.mark.asyncio(loop_scope="module")

T = TypeVar("T")
ROOTS = ["foo", "@public"]
PLAIN = [
    p for p in arrays() if arrays()[p].ndim and arrays()[p].size and arrays()[p].dtype.kind in "biufcSUmM"
]


def opened(cluster: Cluster, path: str) -> blosc2.C2Array:
    return blosc2.open(blosc2.URLPath(path, urlbase=cluster.subscriber.url), mode="r")


async def blocking(fn: Callable[[], T]) -> T:
    return await asyncio.to_thread(fn)


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("path", [p for p in PLAIN if " " not in p and "big" not in p and "uninit" not in p])
async def test_arrays_are_equal_to_their_source(filled: Cluster, root: str, path: str) -> None:
    def read() -> tuple[Any, ...]:
        array = opened(filled, f"{root}/{path}")
        return array.shape, array.dtype, array[:]

    shape, dtype, data = await blocking(read)

    expected = arrays()[path]
    assert (shape, dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(data, expected)


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize(
    "key",
    [np.s_[3:60], np.s_[5], np.s_[-1], np.s_[3:60, 5], np.s_[3:60, :, 100:150], np.s_[0:0], np.s_[7, 8, 9],
     np.s_[..., 3], np.s_[90:200, 95:]],
    ids=str,
)  # fmt: skip
async def test_slices_are_those_of_numpy(filled: Cluster, root: str, key: Any) -> None:
    found = await blocking(lambda: opened(filled, f"{root}/big.b2nd")[key])

    np.testing.assert_array_equal(found, arrays()["big.b2nd"][key])


@pytest.mark.parametrize("root", ROOTS)
async def test_geometry_and_attributes_are_those_of_the_file(filled: Cluster, root: str) -> None:
    stored = blosc2.open(str(filled.root(root) / "ds-1d.b2nd"), mode="r")

    def look() -> tuple[Any, ...]:
        array = opened(filled, f"{root}/ds-1d.b2nd")
        return array.chunks, array.blocks, array.meta["schunk"]["nchunks"], array.cparams.codec

    assert await blocking(look) == (stored.chunks, stored.blocks, 10, stored.schunk.cparams.codec)


@pytest.mark.parametrize("root", ROOTS)
async def test_chunks_are_the_stored_ones(filled: Cluster, root: str) -> None:
    stored = blosc2.open(str(filled.root(root) / "big.b2nd"), mode="r")

    chunks = await blocking(lambda: [opened(filled, f"{root}/big.b2nd").get_chunk(n) for n in (0, 3, 11)])

    assert [blosc2.decompress2(c) for c in chunks] == [stored.schunk.decompress_chunk(n) for n in (0, 3, 11)]


@pytest.mark.parametrize("root", ROOTS)
async def test_proxy_fills_a_local_copy(filled: Cluster, root: str, tmp_path: Any) -> None:
    def read() -> tuple[Any, Any]:
        proxy = blosc2.Proxy(opened(filled, f"{root}/big.b2nd"), urlpath=str(tmp_path / "p.b2nd"), mode="w")
        return proxy[3:40, 3:40], proxy[:]

    part, whole = await blocking(read)

    np.testing.assert_array_equal(part, arrays()["big.b2nd"][3:40, 3:40])
    np.testing.assert_array_equal(whole, arrays()["big.b2nd"])


async def test_arrays_of_two_roots_can_be_computed_with(filled: Cluster) -> None:
    def compute() -> Any:
        a, b = opened(filled, "foo/dir1/ds-3d.b2nd"), opened(filled, "@public/dir1/ds-3d.b2nd")
        return (a + b).compute()[:]

    np.testing.assert_allclose(await blocking(compute), 2 * arrays()["dir1/ds-3d.b2nd"])


async def test_what_is_not_there_can_not_be_opened(filled: Cluster) -> None:
    with pytest.raises(Exception, match="404"):
        await blocking(lambda: opened(filled, "foo/nothing.b2nd"))
