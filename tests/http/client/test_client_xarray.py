"""Datasets and directories opened by xarray: names, coordinates, attributes, and what is read."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from caterva2 import Client, Dataset
from caterva2.client.reading import Reader
from caterva2.client.xarraybackend import Caterva2Backend, read_address
from caterva2.errors import BadPath, DatasetNotFound, NotADataset
from tests.support.entrypoints import write_entry_points
from tests.support.served import Served

CUBE = np.arange(12 * 30 * 17, dtype="<f4").reshape(12, 30, 17)
GRID = {"chunks": (5, 10, 17), "blocks": (5, 5, 17)}
FIELDS = np.zeros(50, dtype=[("a", "<i4"), ("b", "<f8")])
FIELDS["a"] = np.arange(50)
FIELDS["b"] = np.arange(50) / 8

KEYS = {
    "integer": (3,),
    "negative": (-1, slice(-5, None)),
    "steps": (slice(1, 11, 3), slice(None, None, 7)),
    "reverse": (slice(None, None, -2), slice(20, 3, -4), 1),
    "nothing": (slice(4, 4),),
    "list": ([0, 11, 3],),
    "two lists": ([0, 11, 3, 3], slice(None), [16, 0]),
    "list and integer": (2, [29, 0], slice(3, 9)),
    "empty list": ([],),
    "mask": (slice(None), CUBE[0, :, 0] % 3 == 0),
}


@pytest.fixture(scope="module", autouse=True)
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let xarray find the entry point, whether the checkout is installed or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(write_entry_points(tmp_path_factory.mktemp("installed"))))
        xarray.backends.plugins.refresh_engines()
        yield
    xarray.backends.plugins.refresh_engines()


@pytest.fixture
def opened(served: Served) -> Iterator[xarray.DataArray]:
    """A cube without any attributes."""
    served.add_array("cube.b2nd", CUBE, **GRID)
    with xarray.open_dataset(f"{served.root}/cube.b2nd", engine="caterva2", urlbase=served.urlbase) as found:
        yield found["cube"]


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    read: list[int] = []
    window = Reader.window

    def remembered(self: Reader, *args: Any, **how: Any) -> Any:
        found = window(self, *args, **how)
        read.append(found[0].nbytes)
        return found

    monkeypatch.setattr(Reader, "window", remembered)
    return read


def test_engine_is_known_by_its_name() -> None:
    assert isinstance(xarray.backends.list_engines()["caterva2"], Caterva2Backend)


def test_dataset_is_one_variable_of_its_name(opened: xarray.DataArray) -> None:
    assert (opened.dims, opened.shape, opened.dtype) == (("dim_0", "dim_1", "dim_2"), CUBE.shape, CUBE.dtype)
    np.testing.assert_array_equal(opened.values, CUBE, strict=True)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_indexing_equals_xarrays_own(opened: xarray.DataArray, key: tuple) -> None:
    expected = xarray.DataArray(CUBE, dims=opened.dims)[key]

    xarray.testing.assert_equal(opened[key].load(), expected)


def test_points_are_selected_as_by_xarray(opened: xarray.DataArray) -> None:
    points = {
        "dim_0": xarray.DataArray([0, 5, 11], dims="p"),
        "dim_1": xarray.DataArray([29, 3, 3], dims="p"),
    }

    found = opened.isel(points).load()

    xarray.testing.assert_equal(found, xarray.DataArray(CUBE, dims=opened.dims).isel(points))


def test_nothing_is_read_until_values_are_wanted(served: Served, read_bytes: list[int]) -> None:
    served.add_array("cube.b2nd", CUBE, **GRID)

    with xarray.open_dataset(f"{served.root}/cube.b2nd", engine="caterva2", urlbase=served.urlbase) as found:
        repr(found)
        found["cube"][0].isel(dim_1=slice(3, 9))
        assert read_bytes == []


def test_only_what_is_selected_is_read(opened: xarray.DataArray, read_bytes: list[int]) -> None:
    opened[2, 10:20, ::4].load()

    assert read_bytes == [CUBE[2, 10:20, ::4].nbytes]


def test_far_items_are_read_apart(served: Served, read_bytes: list[int]) -> None:
    line = np.arange(100_000)
    served.add_array("line.b2nd", line, chunks=(1000,), blocks=(100,))

    with xarray.open_dataset(f"{served.root}/line.b2nd", engine="caterva2", urlbase=served.urlbase) as found:
        values = found["line"][[5, 99_999, 7, 50_000]].values

    np.testing.assert_array_equal(values, line[[5, 99_999, 7, 50_000]], strict=True)
    assert sum(read_bytes) == (3 + 1 + 1) * 8


def test_many_scattered_items_are_read_in_few_windows(served: Served, read_bytes: list[int]) -> None:
    plane = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    served.add_array("plane.b2nd", plane, chunks=(3, 3), blocks=(3, 3))
    picked = np.arange(0, 300, 9)

    with xarray.open_dataset(f"{served.root}/plane.b2nd", engine="caterva2", urlbase=served.urlbase) as found:
        values = found["plane"].isel(dim_0=picked, dim_1=picked[::-1]).values

    np.testing.assert_array_equal(values, plane[np.ix_(picked, picked[::-1])], strict=True)
    assert len(read_bytes) <= 256


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("dims", ["z", "y", "x"]),
        ("_ARRAY_DIMENSIONS", ["z", "y", "x"]),
        ("axes", "z, y, x"),
        ("dimension_names", ["z", "y", "x"]),
    ],
)
def test_attribute_names_the_dimensions(served: Served, attribute: str, value: object) -> None:
    served.add_array("cube.b2nd", CUBE, vlmeta={attribute: value, "title": "A cube"}, **GRID)

    with xarray.open_dataarray(
        f"{served.root}/cube.b2nd", engine="caterva2", urlbase=served.urlbase
    ) as found:
        assert found.dims == ("z", "y", "x")
        assert attribute not in found.attrs


@pytest.mark.parametrize("value", [["z", "y"], ["x", "x", "y"], "z", 3, ["z", "y", 1]], ids=str)
def test_names_that_do_not_fit_are_passed_over(served: Served, value: object) -> None:
    served.add_array("cube.b2nd", CUBE, vlmeta={"dims": value}, **GRID)

    with xarray.open_dataarray(
        f"{served.root}/cube.b2nd", engine="caterva2", urlbase=served.urlbase
    ) as found:
        assert found.dims == ("dim_0", "dim_1", "dim_2")


def test_coordinates_in_the_attributes(served: Served) -> None:
    vlmeta = {
        "dims": ["t", "y", "x"],
        "coords": {
            "t": list(range(12)),
            "x": {"data": [i / 2 for i in range(17)], "attrs": {"units": "mm"}},
            "run": 7,
            "height": {"dims": ["y"], "data": [i * 10 for i in range(30)]},
            "wrong": [1, 2, 3],
        },
    }
    served.add_array("cube.b2nd", CUBE, vlmeta=vlmeta, **GRID)

    with xarray.open_dataarray(
        f"{served.root}/cube.b2nd", engine="caterva2", urlbase=served.urlbase
    ) as found:
        assert set(found.coords) == {"t", "x", "run", "height"}
        assert found.coords["x"].attrs == {"units": "mm"}
        np.testing.assert_array_equal(found.sel(x=slice(1, 2), t=4).values, CUBE[4, :, 2:5])


@pytest.mark.parametrize(
    "wrong",
    [
        {"dims": 3, "data": [1]},
        {"dims": [["t"]], "data": list(range(12))},
        {"dims": None, "data": list(range(12))},
        {"dims": ["t"], "data": list(range(12)), "attrs": "mm"},
        {"data": [[1], [2, 3]]},
        {"data": None},
    ],
    ids=str,
)
def test_coordinates_of_another_form_do_not_matter(served: Served, wrong: Any) -> None:
    vlmeta = {"dims": ["t", "y", "x"], "coords": {"w": wrong, "t": list(range(12))}}
    served.add_array("cube.b2nd", CUBE, vlmeta=vlmeta, **GRID)

    with xarray.open_dataarray(
        f"{served.root}/cube.b2nd", engine="caterva2", urlbase=served.urlbase
    ) as found:
        assert set(found.coords) - {"w"} == {"t"}
        np.testing.assert_array_equal(found.sel(t=4).values, CUBE[4])


@pytest.mark.parametrize("name", ["coordinates", "units", "scale_factor"])
@pytest.mark.parametrize("value", [[1, 2], 3, None], ids=str)
def test_attributes_of_another_form_do_not_matter(served: Served, name: str, value: Any) -> None:
    served.add_array("cube.b2nd", CUBE, vlmeta={name: value}, **GRID)

    with xarray.open_dataset(
        f"{served.root}/cube.b2nd", engine="caterva2", urlbase=served.urlbase, mask_and_scale=False
    ) as found:
        assert found["cube"].shape == CUBE.shape


def test_attributes_follow(served: Served) -> None:
    vlmeta = {"title": "A cube", "long_name": "temperature", "units": "K", "flags": [1, 2]}
    served.add_array("cube.b2nd", CUBE, vlmeta=vlmeta, **GRID)

    with xarray.open_dataset(f"{served.root}/cube.b2nd", engine="caterva2", urlbase=served.urlbase) as found:
        assert found["cube"].attrs == vlmeta
        assert found.attrs == {"title": "A cube", "flags": [1, 2]}


def test_packed_values_are_decoded(served: Served) -> None:
    packed = np.array([0, 10, -1, 30], dtype=np.int16)
    served.add_array("t.b2nd", packed, vlmeta={"scale_factor": 0.5, "add_offset": 100.0, "_FillValue": -1})

    with xarray.open_dataarray(f"{served.root}/t.b2nd", engine="caterva2", urlbase=served.urlbase) as found:
        np.testing.assert_array_equal(found.values, [100.0, 105.0, np.nan, 115.0])


def test_table_is_a_variable_for_each_field(served: Served) -> None:
    served.add_array("table.b2nd", FIELDS, chunks=(20,), blocks=(5,))

    with xarray.open_dataset(f"{served.root}/table.b2nd", engine="caterva2", urlbase=served.urlbase) as found:
        assert list(found) == ["a", "b"]
        np.testing.assert_array_equal(found["b"][10:30:2].values, FIELDS["b"][10:30:2], strict=True)


def test_scalar_opens(served: Served) -> None:
    served.add_array("scalar.b2nd", np.array(2.5))

    with xarray.open_dataset(
        f"{served.root}/scalar.b2nd", engine="caterva2", urlbase=served.urlbase
    ) as found:
        assert found["scalar"].item() == 2.5


@pytest.fixture
def climate(served: Served) -> str:
    """A directory of variables, and of coordinates."""
    served.add_array("climate/t.b2nd", CUBE, vlmeta={"dims": ["time", "lat", "lon"], "units": "K"}, **GRID)
    served.add_array("climate/p.b2nd", CUBE[0] + 1000, vlmeta={"dims": ["lat", "lon"]})
    served.add_array(
        "climate/time.b2nd", np.arange(12), vlmeta={"units": "days since 2026-01-01", "calendar": "standard"}
    )
    served.add_array("climate/lat.b2nd", np.linspace(-90, 90, 30))
    served.add_array("climate/lon.b2nd", np.linspace(0, 160, 17))
    served.add_array("climate/log.b2nd", np.arange(3))
    served.add_array("climate/deep/more.b2nd", np.arange(4))
    served.add_file("climate/README.md", b"# Text\n")
    served.add_broken("climate/broken.b2nd")
    return f"{served.root}/climate"


def test_directory_is_a_dataset_of_variables(served: Served, climate: str) -> None:
    with xarray.open_dataset(climate, engine="caterva2", urlbase=served.urlbase) as found:
        assert set(found.data_vars) == {"t", "p", "log"}
        assert set(found.coords) == {"time", "lat", "lon"}
        assert dict(found.sizes) == {"time": 12, "lat": 30, "lon": 17, "log_dim_0": 3}


def test_siblings_are_coordinates_to_select_by(served: Served, climate: str) -> None:
    with xarray.open_dataset(climate, engine="caterva2", urlbase=served.urlbase) as found:
        day = found.sel(time="2026-01-03", lat=slice(0, None))["t"]

        np.testing.assert_array_equal(day.values, CUBE[2, 15:], strict=True)


def test_variables_can_be_dropped(served: Served, climate: str) -> None:
    with xarray.open_dataset(
        climate, engine="caterva2", urlbase=served.urlbase, drop_variables=["p", "log"]
    ) as found:
        assert set(found.data_vars) == {"t"}


def test_group_is_a_directory_below(served: Served, climate: str) -> None:
    with xarray.open_dataset(climate, engine="caterva2", urlbase=served.urlbase, group="deep") as found:
        assert list(found) == ["more"]


def test_directory_without_arrays_says_so(served: Served) -> None:
    served.add_file("texts/README.md", b"# Text\n")

    with pytest.raises(NotADataset, match="there is no array in"):
        xarray.open_dataset(f"{served.root}/texts", engine="caterva2", urlbase=served.urlbase)


def test_file_that_is_no_array_says_so(served: Served) -> None:
    served.add_file("README.md", b"# Text\n")

    with pytest.raises(NotADataset, match=r"README.md is a file, not an array"):
        xarray.open_dataset(f"{served.root}/README.md", engine="caterva2", urlbase=served.urlbase)


def test_missing_dataset_is_told(served: Served) -> None:
    served.add_array("here.b2nd", CUBE)

    with pytest.raises(DatasetNotFound):
        xarray.open_dataset(f"{served.root}/not.b2nd", engine="caterva2", urlbase=served.urlbase)


def test_url_of_the_command_line_opens_without_naming_the_engine(served: Served, client: Client) -> None:
    served.add_array("a b.b2nd", CUBE)
    url = client.get_download_url(f"{served.root}/a b.b2nd")

    with xarray.open_dataset(url) as found:
        np.testing.assert_array_equal(found["a b"][0].values, CUBE[0], strict=True)


def test_short_url_opens_without_naming_the_engine(served: Served) -> None:
    served.add_array("cube.b2nd", CUBE)
    url = served.urlbase.replace("http://", "caterva2://")

    with xarray.open_dataset(f"{url}/{served.root}/cube.b2nd") as found:
        np.testing.assert_array_equal(found["cube"][0].values, CUBE[0], strict=True)


def test_dataset_and_directory_objects_open_without_naming_the_engine(
    served: Served, client: Client, climate: str
) -> None:
    dataset = client.get(f"{climate}/p.b2nd")
    assert isinstance(dataset, Dataset)

    np.testing.assert_array_equal(xarray.open_dataset(dataset)["p"].values, dataset[:], strict=True)
    assert "t" in xarray.open_dataset(client.get(climate))


def test_files_of_others_are_not_claimed() -> None:
    backend = Caterva2Backend()

    assert not any(
        backend.guess_can_open(other)
        for other in ("x.nc", "foo/x.b2nd", "https://example.org/x.nc", "s3://bucket/x.zarr", 3, Path("x"))
    )


@pytest.mark.parametrize(
    ("url", "server", "path"),
    [
        ("foo/x.b2nd", None, "foo/x.b2nd"),
        ("@personal/x.b2nd", None, "@personal/x.b2nd"),
        ("https://h.org/api/info/foo/x.b2nd", "https://h.org", "foo/x.b2nd"),
        ("https://h.org/a/b/api/download/foo/x.b2nd", "https://h.org/a/b", "foo/x.b2nd"),
        ("http://[::1]:80/api/list/foo", "http://[::1]:80", "foo"),
        ("caterva2+https://h.org/%40public/a%2520b.b2nd", "https://h.org", "@public/a%20b.b2nd"),
        ("caterva2://h:1/foo/a b.b2nd", "http://h:1", "foo/a b.b2nd"),
    ],
)
def test_addresses_are_read(url: str, server: str | None, path: str) -> None:
    assert read_address(url) == (server, read_address(path)[1])


@pytest.mark.parametrize(
    "wrong", ["http://h/foo/x.b2nd", "caterva2://h", "ftp://h/x", 3, "foo/../x", "http://h/api/fetch/"]
)
def test_wrong_address_is_told(wrong: object) -> None:
    with pytest.raises(BadPath):
        read_address(wrong)


def test_second_server_besides_a_url_is_refused() -> None:
    with pytest.raises(BadPath, match="and a server besides"):
        read_address("http://h/api/fetch/foo/x.b2nd", "http://other")


def test_chunks_follow_the_stored_ones(served: Served) -> None:
    served.add_array("cube.b2nd", CUBE, **GRID)

    with xarray.open_dataarray(
        f"{served.root}/cube.b2nd", engine="caterva2", urlbase=served.urlbase, chunks={}
    ) as found:
        assert found.chunks == ((5, 5, 2), (10, 10, 10), (17,))
        xarray.testing.assert_equal(
            found.mean("dim_0").compute(), xarray.DataArray(CUBE, dims=found.dims).mean("dim_0")
        )


def test_object_opens_in_chunks(served: Served, client: Client) -> None:
    served.add_array("cube.b2nd", CUBE, **GRID)

    found = xarray.open_dataarray(client.get(f"{served.root}/cube.b2nd"), chunks={"dim_0": 5})

    assert (found.chunks or ())[0] == (5, 5, 2)
    np.testing.assert_array_equal(found.sum("dim_1").values, CUBE.sum(axis=1))


def test_chunked_array_travels(served: Served) -> None:
    served.add_array("cube.b2nd", CUBE, **GRID)
    with xarray.open_dataarray(
        f"{served.root}/cube.b2nd", engine="caterva2", urlbase=served.urlbase, chunks={}
    ) as found:
        again = pickle.loads(pickle.dumps(found))

    np.testing.assert_array_equal(again.values, CUBE, strict=True)


def test_opened_dataset_can_be_saved_as_another_kind(served: Served, climate: str, tmp_path: Path) -> None:
    with xarray.open_dataset(climate, engine="caterva2", urlbase=served.urlbase) as found:
        again = xarray.Dataset.from_dict(found.to_dict())

        xarray.testing.assert_equal(again, found.load())
