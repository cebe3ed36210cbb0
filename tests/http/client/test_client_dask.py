"""Dask arrays of datasets: what they compute, where their tasks run, and what travels with them."""

from __future__ import annotations

import concurrent.futures
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import dask
import dask.array as da
import numpy as np
import pytest

from caterva2 import Client, Dataset
from caterva2.cli import admin
from caterva2.client.daskarray import WindowSource
from caterva2.client.reading import Reader
from caterva2.client.tokenfile import KeptToken, keep_token
from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.errors import BadSlice, DatasetChanged, MissingPackage, NotFound
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.accounts import PASSWORD, SECRET
from tests.support.served import Served
from tests.support.serverthread import RoleThread

ADA = "ada@example.org"

CUBE = np.arange(20 * 30 * 17, dtype="<f4").reshape(20, 30, 17)
FIELDS = np.zeros(50, dtype=[("a", "<i4"), ("b", "<f8")])
FIELDS["a"] = np.arange(50)
FIELDS["b"] = np.arange(50) / 8

SAMPLES: dict[str, np.ndarray] = {
    "scalar": np.array(3.5),
    "line": np.arange(101, dtype=np.int64),
    "cube": CUBE,
    "empty": np.empty((0, 4), dtype=np.int16),
    "complex": np.arange(12).reshape(3, 4) * (1 + 2j),
    "text": np.array(["ab", "c", ""]),
    "fields": FIELDS,
    "big-endian": np.arange(9, dtype=">i4"),
}


@pytest.fixture
def cube(served: Served, client: Client) -> Dataset:
    served.add_array("cube.b2nd", CUBE, chunks=(7, 10, 17), blocks=(3, 5, 17))
    return _dataset(client, f"{served.root}/cube.b2nd")


@pytest.fixture
def windows_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read: list[str] = []
    window = Reader.window

    def remembered(self: Reader, described: Any, wanted: Any, **how: Any) -> Any:
        read.append(str([(axis.start, axis.stop) for axis in wanted.axes]))
        return window(self, described, wanted, **how)

    monkeypatch.setattr(Reader, "window", remembered)
    return read


def _dataset(client: Client, path: str) -> Dataset:
    found = client.get(path)
    assert isinstance(found, Dataset)
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_computes_what_numpy_has(served: Served, client: Client, name: str) -> None:
    served.add_array(f"{name}.b2nd", SAMPLES[name])

    lazy = _dataset(client, f"{served.root}/{name}.b2nd").to_dask()

    assert (lazy.shape, lazy.dtype) == (SAMPLES[name].shape, SAMPLES[name].dtype)
    np.testing.assert_array_equal(np.asarray(lazy.compute()), SAMPLES[name], strict=True)


@pytest.mark.parametrize(
    "chunks", ["auto", None, 8, (7, -1, 5), {0: 4}, "4 KiB", ((5, 15), 30, (1, 16))], ids=str
)
def test_any_chunks_of_dask_give_the_same(cube: Dataset, chunks: Any) -> None:
    np.testing.assert_array_equal(cube.to_dask(chunks).compute(), CUBE, strict=True)


@pytest.mark.parametrize("slice_", [np.s_[3], np.s_[::2, 5:, -1], np.s_[::-1, [4, 1]], np.s_[..., None, 2:2]])
def test_indexing_is_numpys(cube: Dataset, slice_: Any) -> None:
    np.testing.assert_array_equal(cube.to_dask(8)[slice_].compute(), CUBE[slice_], strict=True)


def test_arithmetic_and_reductions_are_numpys(cube: Dataset) -> None:
    lazy = cube.to_dask(None)

    result = ((lazy - lazy.mean(axis=0)) ** 2).sum(axis=(1, 2))

    np.testing.assert_allclose(
        result.compute(), ((CUBE - CUBE.mean(axis=0)) ** 2).sum(axis=(1, 2)), rtol=1e-5
    )


def test_nothing_is_read_before_it_is_computed(cube: Dataset, windows_read: list[str]) -> None:
    lazy = (cube.to_dask() + 1).sum()

    assert lazy.dtype == np.float32
    assert windows_read == []


def test_one_task_reads_one_stored_chunk(cube: Dataset, windows_read: list[str]) -> None:
    lazy = cube.to_dask(None)

    lazy.compute(scheduler="synchronous")

    assert lazy.chunks == ((7, 7, 6), (10, 10, 10), (17,))
    assert len(windows_read) == lazy.npartitions == 9


def test_slice_reads_only_the_windows_that_it_touches(cube: Dataset, windows_read: list[str]) -> None:
    cube.to_dask(None)[0, :10].compute(scheduler="synchronous")

    assert len(windows_read) == 1


@pytest.mark.parametrize("size", ["1 KiB", "6 KiB", "20 KiB", "1 GiB"])
def test_windows_that_dask_may_choose_begin_at_stored_chunks(cube: Dataset, size: str) -> None:
    with dask.config.set({"array.chunk-size": size}):
        lazy = cube.to_dask()

    starts = [
        np.cumsum((0, *lengths))[:-1] % chunk for lengths, chunk in zip(lazy.chunks, cube.chunks, strict=True)
    ]
    assert not np.concatenate(starts).any()


def test_one_field_of_a_structured_array(served: Served, client: Client) -> None:
    served.add_array("fields.b2nd", FIELDS, chunks=(20,), blocks=(5,))

    lazy = _dataset(client, f"{served.root}/fields.b2nd").to_dask(None, field="b")

    np.testing.assert_array_equal(lazy.compute(), FIELDS["b"], strict=True)


def test_unknown_field_is_refused_at_once(served: Served, client: Client) -> None:
    served.add_array("fields.b2nd", FIELDS)

    with pytest.raises(BadSlice, match="no field 'c'; it has a, b"):
        _dataset(client, f"{served.root}/fields.b2nd").to_dask(field="c")


def test_names_are_the_same_in_the_next_session(served: Served, cube: Dataset) -> None:
    with Client(served.urlbase) as other:
        again = _dataset(other, f"{served.root}/cube.b2nd")

        assert again.to_dask().name == cube.to_dask().name
        assert again.to_dask(8).name != cube.to_dask().name


def test_name_changes_with_the_generation(served: Served, client: Client, cube: Dataset) -> None:
    before = cube.to_dask().name
    served.add_array("cube.b2nd", CUBE + 1, chunks=(7, 10, 17), blocks=(3, 5, 17))

    assert cube.refresh().to_dask().name != before


def test_two_generations_are_never_mixed(served: Served, cube: Dataset) -> None:
    lazy = cube.to_dask()
    served.add_array("cube.b2nd", CUBE + 1, chunks=(7, 10, 17), blocks=(3, 5, 17))

    with pytest.raises(DatasetChanged, match="changed since the lazy array was made"):
        lazy.compute()


def test_threads_read_side_by_side(cube: Dataset) -> None:
    lazy = cube.to_dask((1, 10, 17))

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        result = lazy.compute(scheduler="threads", pool=pool)

    np.testing.assert_array_equal(result, CUBE, strict=True)


@pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_graph_travels_to_whoever_reaches_the_server(cube: Dataset, pickler: Any) -> None:
    lazy = pickle.loads(pickler.dumps(cube.to_dask(8) * 2))

    np.testing.assert_array_equal(lazy.compute(), CUBE * 2, strict=True)


@pytest.mark.slow
def test_tasks_run_in_other_processes(served: Served, client: Client) -> None:
    served.add_array("cube.b2nd", CUBE, chunks=(7, 10, 17), blocks=(3, 5, 17))
    lazy = _dataset(client, f"{served.root}/cube.b2nd").to_dask(None)

    result = lazy.sum(axis=0).compute(scheduler="processes", num_workers=2)

    np.testing.assert_array_equal(result, CUBE.sum(axis=0))


def test_dataset_itself_travels(cube: Dataset) -> None:
    again = pickle.loads(pickle.dumps(cube))

    np.testing.assert_array_equal(again[2:5], CUBE[2:5], strict=True)
    assert again.etag == cube.etag


def test_directories_and_clients_travel(served: Served, client: Client, cube: Dataset) -> None:
    again = pickle.loads(pickle.dumps(client))

    assert again.get_list(served.root) == client.get_list(served.root)
    assert "cube.b2nd" in list(pickle.loads(pickle.dumps(client.get(served.root))))


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataset]:
    """A dataset of Ada, who has logged in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert admin.adduser(["--statedir", str(tmp_path / "state"), ADA, PASSWORD]) == 0
    config = SubscriberConfig(
        http=Address("127.0.0.1", 0), statedir=tmp_path / "state", login=True, auth_secret=SECRET
    )
    with (
        RoleThread(run_subscriber, config) as role,
        Client(f"http://{role.address}", (ADA, PASSWORD)) as client,
    ):
        client.upload(CUBE, "@personal/cube.b2nd")
        yield _dataset(client, "@personal/cube.b2nd")


def test_no_secret_travels(guarded: Dataset) -> None:
    assert guarded.auth_cookie is not None
    secret = guarded.auth_cookie.partition("=")[2].encode()

    travelling = [cloudpickle.dumps(thing) for thing in (guarded.to_dask(), guarded)]

    assert secret
    assert not any(secret in data for data in travelling)


def test_other_side_without_credentials_is_refused(guarded: Dataset) -> None:
    lazy = pickle.loads(pickle.dumps(guarded.to_dask()))

    with pytest.raises(NotFound):
        lazy.compute()


def test_other_side_finds_credentials_as_every_client_does(guarded: Dataset) -> None:
    token = Client(guarded.urlbase, auth_cookie=guarded.auth_cookie).create_token("worker")
    keep_token(guarded.urlbase, KeptToken(token, ADA, "worker"))

    lazy = pickle.loads(pickle.dumps(guarded.to_dask()))

    np.testing.assert_array_equal(lazy.compute(), CUBE, strict=True)


def test_missing_dask_says_what_to_install(cube: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask.array", None)

    with pytest.raises(
        MissingPackage, match=r"to_dask needs the package dask \(pip install 'caterva2\[dask\]'\)"
    ):
        cube.to_dask()


def test_source_serves_other_lazy_libraries_too(cube: Dataset) -> None:
    source = WindowSource(cube._session, cube.description)

    lazy = da.from_array(source, chunks=10)

    np.testing.assert_array_equal(lazy.compute(), CUBE, strict=True)
