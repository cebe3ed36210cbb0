"""Readers of Zarr that know nothing of us, as their users call them, beside NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import dask.array
import numpy as np
import pytest
import xarray
import zarr

from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.app import run as run_subscriber
from make_example_root import elevation, head_volume, make_measured_root, phantom_volume
from tests.support.samples import SUBARRAYS, arrays, fill
from tests.support.served import DirectoryServed
from tests.support.serverthread import RoleThread

LEFT_OUT = {"dtypes/10.b2nd", SUBARRAYS}
READABLE = sorted(set(arrays()) - LEFT_OUT)
SMALL = ["ds-1d.b2nd", "ds-1d-b.b2nd", "ds-sc-attr.b2nd", "ds-1d-fields.b2nd", "ds-2d-fields.b2nd"]
MEASURED = {"volume/head": head_volume, "volume/phantom": phantom_volume, "elevation/jacksboro": elevation}


ODD_NAMES = ["odd/100%", "odd/a%20b c", "odd/q?x=1#y&z+;", "c/0/zarr.json", "odd/\u65e5\u672c 'x'"]


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the Zarr view of a subscriber whose ``@public`` holds the samples and measured data."""
    state = tmp_path_factory.mktemp("zarr")
    fill(state / "public")
    make_measured_root(state / "public")
    served = DirectoryServed("@public", state / "public", "")
    for name, dims in (("lat", ["lat"]), ("lon", ["lon"]), ("temperature", ["lat", "lon"])):
        shape = tuple({"lat": 3, "lon": 4}[dim] for dim in dims)
        array = np.arange(np.prod(shape), dtype="f4").reshape(shape)
        attributes = {"dims": dims, "units": "K", "_FillValue": 2.0}
        served.add_array(f"weather/{name}.b2nd", array, vlmeta=attributes)
    for name in ODD_NAMES:
        served.add_array(f"{name}.b2nd", np.arange(12.0).reshape(3, 4), chunks=(2, 3))
    hostile = {
        "_FillValue": {"a": 1}, "dims": ["made-up.b2nd", "x"], "units": ["days since", 5],
        "scale_factor": "x", "coordinates": [1], "calendar": {}, "_ARRAY_DIMENSIONS": 7, "dtype": "O",
        "": None, "nan": float("nan"),
    }  # fmt: skip
    served.add_array("hostile/made-up.b2nd", np.arange(6.0).reshape(2, 3), vlmeta=hostile)
    config = SubscriberConfig(http=Address("127.0.0.1", 0), statedir=state, cache=1 << 30)
    with RoleThread(run_subscriber, config) as role:
        yield f"http://{role.address}/zarr/v3/@public"


@pytest.fixture(autouse=True)
def _warnings_of_readers() -> Iterator[None]:
    with warnings.catch_warnings():
        # Types beyond the core, and consolidated metadata, are not in the specification yet.
        warnings.filterwarnings("ignore", module="zarr")
        warnings.filterwarnings("ignore", category=UserWarning, module="xarray")
        yield


def same(found: Any, wanted: np.ndarray[Any, Any]) -> bool:
    """Tell whether arrays are the same but for byte order, which Zarr readers make that of the machine."""
    found = np.asarray(found)
    assert found.shape == wanted.shape
    assert found.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
    return found.tobytes() == wanted.astype(found.dtype).tobytes()


@pytest.mark.parametrize("name", READABLE)
def test_zarr_reads_every_array_by_its_address(view: str, name: str) -> None:
    found = zarr.open(f"{view}/{name}", mode="r")

    assert isinstance(found, zarr.Array)
    assert same(found[...], arrays()[name])


@pytest.mark.parametrize("name", ODD_NAMES)
def test_zarr_reads_arrays_of_any_name_by_their_encoded_address(view: str, name: str) -> None:
    found: Any = zarr.open(f"{view}/{quote(name)}.b2nd", mode="r")

    assert same(found[...], np.arange(12.0).reshape(3, 4))


def test_zarr_reads_every_array_of_a_group(view: str) -> None:
    group = zarr.open_group(view, mode="r")

    found = {name: node for name, node in group.members(max_depth=None) if isinstance(node, zarr.Array)}

    assert set(READABLE) <= set(found)
    assert not LEFT_OUT & set(found)
    assert [name for name in READABLE if not same(found[name][...], arrays()[name])] == []


def test_zarr_walks_groups_in_groups(view: str) -> None:
    group: Any = zarr.open_group(view, mode="r")["dir1"]

    assert same(group["ds-2d.b2nd"][2:4, ::3], arrays()["dir1/ds-2d.b2nd"][2:4, ::3])


def test_zarr_walks_from_the_group_of_all_roots_by_names_alone(view: str) -> None:
    roots: Any = zarr.open_group(view.removesuffix("/@public"), mode="r")

    assert roots.attrs["caterva2"]["roots"] == ["@public"]
    assert list(roots.members()) == []
    assert same(roots["@public"]["dir1"]["ds-2d.b2nd"][...], arrays()["dir1/ds-2d.b2nd"])
    assert same(roots["@public/tiny.b2nd"][...], arrays()["tiny.b2nd"])


def test_zarr_reads_windows(view: str) -> None:
    found: Any = zarr.open_array(f"{view}/big.b2nd", mode="r")

    assert same(found[17:93, 3, 150:], arrays()["big.b2nd"][17:93, 3, 150:])
    assert same(found.oindex[[1, 99], :, 7], arrays()["big.b2nd"][[1, 99], :, 7])


def test_zarr_reads_user_attributes(view: str) -> None:
    assert dict(zarr.open_array(f"{view}/ds-sc-attr.b2nd", mode="r").attrs) == {
        "a": 1,
        "b": "foo",
        "c": 123.456,
    }


@pytest.mark.parametrize("name", sorted(LEFT_OUT | {"nothing.b2nd", "README.md", "broken.b2nd"}))
def test_zarr_says_that_there_is_nothing(view: str, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        zarr.open(f"{view}/{name}", mode="r")


@pytest.mark.parametrize("directory", ["dir1", "dir2", "dtypes", "special", "sp ace"])
def test_xarray_reads_every_array_of_a_directory(view: str, directory: str) -> None:
    with xarray.open_zarr(f"{view}/{directory}", decode_times=False) as found:
        wanted = {name for name in READABLE if name.startswith(f"{directory}/")}

        assert {f"{directory}/{name}" for name in found.variables} == wanted
        assert [n for n in wanted if not same(found[n.partition("/")[2]].values, arrays()[n])] == []


def test_xarray_reads_the_example_root(view: str) -> None:
    with xarray.open_dataset(view, engine="zarr") as found:
        assert [name for name in SMALL if not same(found[name].values, arrays()[name])] == []


def test_xarray_opens_all_directories_as_a_tree(view: str) -> None:
    with xarray.open_datatree(view, engine="zarr", decode_cf=False) as tree:
        assert same(tree["dir2"]["ds-4d.b2nd"].values, arrays()["dir2/ds-4d.b2nd"])


def test_xarray_takes_names_of_axes_units_and_missing_values(view: str) -> None:
    with xarray.open_zarr(f"{view}/weather") as found:
        temperature = found["temperature.b2nd"]

        assert dict(temperature.sizes) == {"lat": 3, "lon": 4}
        assert temperature.attrs["units"] == "K"
        np.testing.assert_array_equal(
            temperature.values, np.where(np.arange(12) == 2, np.nan, np.arange(12)).reshape(3, 4)
        )


def test_xarray_reads_arrays_whose_axes_have_the_same_names_and_other_lengths(view: str) -> None:
    with xarray.open_zarr(f"{view}/volume") as found:
        assert found["head.b2nd"].dims == ("head_x", "head_y", "head_z", "head_t")
        assert same(found["phantom.b2nd"].values, phantom_volume())


def test_attributes_that_somebody_made_up_do_no_harm_to_readers(view: str) -> None:
    array: Any = zarr.open_array(f"{view}/hostile/made-up.b2nd", mode="r")
    with xarray.open_zarr(f"{view}/hostile", decode_cf=False) as found:
        assert same(array[...], np.arange(6.0).reshape(2, 3))
        assert same(found["made-up.b2nd"].values, np.arange(6.0).reshape(2, 3))
        assert found["made-up.b2nd"].attrs["calendar"] == {}


@pytest.mark.parametrize("name", list(MEASURED))
def test_measured_data_are_read_as_they_were_measured(view: str, name: str) -> None:
    found = zarr.open_array(f"{view}/{name}.b2nd", mode="r")

    assert same(found[...], MEASURED[name]())


def test_dask_computes_over_chunks(view: str) -> None:
    lazy = dask.array.from_zarr(f"{view}/big.b2nd")

    assert lazy.chunksize == (30, 40, 200)
    assert lazy.mean().compute() == arrays()["big.b2nd"].mean()
