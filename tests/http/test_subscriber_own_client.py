"""Our own client at a network: stored chunks travel as they are, and are what NumPy has."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caterva2
from caterva2.compute.extents import piece_from_record, read_records
from caterva2.compute.frames import skeleton_from_parts
from caterva2.model import wire
from tests.support.cluster import Cluster
from tests.support.samples import HELLO, PACKED, PLAIN, arrays

pytestmark = pytest.mark.asyncio(loop_scope="module")

each_root = pytest.mark.parametrize("root", ["foo", "@public"])
KEYS = [
    np.s_[:],
    np.s_[1:99],
    np.s_[5:95, 3:97, 10:190],
    np.s_[::2],
    np.s_[:, 7],
    np.s_[3],
    np.s_[3, 4, 5],
    np.s_[0:0],
    np.s_[..., -1],
    np.s_[::3, ::5, ::7],
]


def dataset(client: caterva2.Client, path: str) -> Any:
    return client.get(path)


@each_root
@pytest.mark.parametrize("key", KEYS, ids=str)
async def test_slices_are_those_of_numpy(filled: Cluster, root: str, key: Any) -> None:
    def read() -> Any:
        with caterva2.Client(filled.subscriber.url) as client:
            return dataset(client, f"{root}/big.b2nd")[key]

    found = await asyncio.to_thread(read)

    expected = arrays()["big.b2nd"][key]
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_array_equal(found, expected)


@each_root
async def test_every_array_is_equal_to_its_source(filled: Cluster, root: str) -> None:
    def read() -> dict[str, Any]:
        with caterva2.Client(filled.subscriber.url) as client:
            return {path: dataset(client, f"{root}/{path}")[...] for path in arrays()}

    found = await asyncio.to_thread(read)

    for path, expected in arrays().items():
        if "uninit" not in path:  # sent as it is stored: what was never written is undefined
            np.testing.assert_array_equal(found[path], expected, err_msg=path)
            assert np.asarray(found[path]).dtype == expected.dtype or not expected.ndim


@each_root
async def test_files_are_downloaded_as_they_are(filled: Cluster, root: str, tmp_path: Path) -> None:
    expected = {**PLAIN, "packed.txt": PACKED}

    def download() -> None:
        with caterva2.Client(filled.subscriber.url) as client:
            for path in (*expected, "big.b2nd", "ds-hello.b2frame"):
                client.download(f"{root}/{path}", tmp_path / path.replace("/", "_"))

    await asyncio.to_thread(download)

    for path, data in expected.items():
        assert (tmp_path / path.replace("/", "_")).read_bytes() == data, path
    for path in ("big.b2nd", "ds-hello.b2frame"):
        assert (tmp_path / path).read_bytes() == (filled.root(root) / path).read_bytes()


@each_root
async def test_bytes_are_read_as_bytes(filled: Cluster, root: str) -> None:
    def read() -> tuple[Any, Any]:
        with caterva2.Client(filled.subscriber.url) as client:
            file = dataset(client, f"{root}/ds-hello.b2frame")
            return file[:], file[3:9]

    assert await asyncio.to_thread(read) == (HELLO, HELLO[3:9])


@each_root
async def test_stored_chunks_are_sent_to_who_can_decode_them(filled: Cluster, root: str) -> None:
    answer = await filled.get(
        f"/api/fetch/{root}/big.b2nd", params={"slice_": "1:99"}, headers={"Accept": wire.EXTENTS}
    )

    assert answer.headers["Content-Type"] == wire.EXTENTS
    assert "Accept" in answer.headers["Vary"]
    left = memoryview(answer.content)

    def readinto(buffer: memoryview) -> None:
        nonlocal left
        buffer[:] = left[: len(buffer)]
        left = left[len(buffer) :]

    first, *records = read_records(readinto, total=len(answer.content))
    before, behind = (bytes(part) for part in first.parts())
    skeleton = skeleton_from_parts(before, behind, (filled.root(root) / "big.b2nd").stat().st_size)
    assert sorted(record.units.nchunk for record in records) == list(range(skeleton.nchunks))
    assert all(piece_from_record(record, skeleton).layout for record in records)


@each_root
@pytest.mark.parametrize("slice_", ["1:5", "0:0", "3, 4, 5"])
async def test_small_windows_are_frames_for_everybody(filled: Cluster, root: str, slice_: str) -> None:
    answer = await filled.get(
        f"/api/fetch/{root}/big.b2nd", params={"slice_": slice_}, headers={"Accept": wire.EXTENTS}
    )

    assert answer.headers["Content-Type"] == wire.BINARY
