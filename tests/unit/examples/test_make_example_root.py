"""The example root holds what its description says, byte for byte."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import blosc2
import numpy as np
import pytest

import make_example_root

COUNT = np.arange(1000)


def _fields(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    array = np.empty(a.shape, dtype=[("a", "<f4"), ("b", "<f8")])
    array["a"] = a
    array["b"] = b
    return array


# Written out once more, not taken from the program: name, data, chunks, blocks.
ARRAYS = {
    "ds-1d": ("ds-1d.b2nd", np.arange(1000, dtype=np.int64), (100,), (10,)),
    "strings": ("ds-1d-b.b2nd", np.full(1000, b"foobar", dtype="S6"), (100,), (10,)),
    "scalar": ("ds-sc-attr.b2nd", np.array("foobar"), (), ()),
    "1d-fields": ("ds-1d-fields.b2nd", _fields(COUNT / 8, 1000.0 - COUNT), (100,), (10,)),
    "2d-fields": (
        "ds-2d-fields.b2nd",
        _fields(np.arange(200).reshape(10, 20) / 4, np.arange(200).reshape(10, 20) * 1e6),
        (5, 10),
        (2, 5),
    ),
    "2d": ("dir1/ds-2d.b2nd", np.arange(200, dtype=np.uint16).reshape(10, 20), (5, 5), (2, 3)),
    "3d": ("dir1/ds-3d.b2nd", np.arange(60, dtype=np.float32).reshape(3, 4, 5), (2, 3, 4), (1, 2, 2)),
    "4d": (
        "dir2/ds-4d.b2nd",
        np.arange(120).reshape(2, 3, 4, 5) + 1j * np.arange(120).reshape(2, 3, 4, 5)[::-1],
        (1, 2, 3, 4),
        (1, 1, 2, 2),
    ),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("root")
    assert make_example_root.main([str(directory)]) == 0
    return directory


def _package_file(package: str, name: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], name)


def test_root_holds_exactly_the_described_files(root: Path) -> None:
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    assert files == sorted(
        [
            "README.md",
            "ds-hello.b2frame",
            *(name for name, *_ in ARRAYS.values()),
            "measured/elevation/jacksboro.b2nd",
            "measured/volume/head.b2nd",
            "measured/volume/phantom.b2nd",
            *(f"simulated/tomography/{name}.b2nd" for name in ("exposures", "phantom")),
            *(f"simulated/weather/{name}.b2nd" for name in ("lat", "lon", "rain", "temperature", "time")),
        ]
    )


@pytest.mark.parametrize(("name", "data", "chunks", "blocks"), ARRAYS.values(), ids=ARRAYS)
def test_small_array_equals_numpy(
    root: Path, name: str, data: np.ndarray, chunks: tuple, blocks: tuple
) -> None:
    stored = blosc2.open(str(root / name), mode="r")

    np.testing.assert_array_equal(stored[()], data, strict=True)
    assert (stored.chunks, stored.blocks) == (chunks, blocks)


def test_hello_frame_holds_twelve_chunks_of_a_hundred_bytes(root: Path) -> None:
    frame = blosc2.open(str(root / "ds-hello.b2frame"), mode="r")

    assert (frame.nchunks, frame.chunksize, frame.nbytes, frame.typesize) == (12, 100, 1200, 1)
    assert frame[:] == b"Hello world!" * 100


def test_scalar_carries_its_attributes(root: Path) -> None:
    scalar = blosc2.open(str(root / "ds-sc-attr.b2nd"), mode="r")

    assert scalar.vlmeta[:] == {"a": 1, "b": "foo", "c": 123.456}


def test_elevation_equals_the_data_in_its_package(root: Path) -> None:
    stored = blosc2.open(str(root / "measured/elevation/jacksboro.b2nd"), mode="r")

    with np.load(_package_file("matplotlib", "mpl-data/sample_data/jacksboro_fault_dem.npz")) as archive:
        np.testing.assert_array_equal(stored[:], archive["elevation"], strict=True)
    assert stored.shape == (344, 403)


def test_head_volume_equals_the_data_in_its_package(root: Path) -> None:
    stored = blosc2.open(str(root / "measured/volume/head.b2nd"), mode="r")

    raw = gzip.decompress(_package_file("nibabel", "tests/data/example4d.nii.gz").read_bytes())
    # The NIfTI header of this file puts the voxels at byte 416, x fastest.
    voxels = np.frombuffer(raw, dtype="<i2", offset=416).reshape((128, 96, 24, 2), order="F")
    np.testing.assert_array_equal(stored[:], voxels, strict=True)


def test_phantom_volume_equals_the_data_in_its_package(root: Path) -> None:
    stored = blosc2.open(str(root / "measured/volume/phantom.b2nd"), mode="r")

    raw = _package_file("nibabel", "tests/data/phantom_EPI_asc_CLEAR_2_1.REC").read_bytes()
    images = np.frombuffer(raw, dtype="<i2").reshape(3, 9, 64, 64)
    np.testing.assert_array_equal(stored[:], images.transpose(), strict=True)


@pytest.mark.parametrize(
    "name",
    [
        "measured/elevation/jacksboro",
        "measured/volume/head",
        "measured/volume/phantom",
        "simulated/tomography/exposures",
        "simulated/tomography/phantom",
        "simulated/weather/rain",
        "simulated/weather/temperature",
    ],
)
def test_data_name_their_source_and_licence(root: Path, name: str) -> None:
    stored = blosc2.open(str(root / f"{name}.b2nd"), mode="r")

    assert stored.vlmeta["source"]
    assert stored.vlmeta["license"]


def test_exposures_are_the_shadow_of_the_phantom(root: Path) -> None:
    phantom = blosc2.open(str(root / "simulated/tomography/phantom.b2nd"), mode="r")
    exposures = blosc2.open(str(root / "simulated/tomography/exposures.b2nd"), mode="r")

    # The first exposure looks along y, the middle one along x; a pixel is 2 / 128 long.
    absorbed = -np.log(exposures[:][[0, 60]] / exposures.vlmeta["flat_field"])

    inside = np.s_[8:56, 24:104]
    np.testing.assert_allclose(absorbed[0][inside], phantom[:].sum(axis=1)[inside] / 64, atol=0.2)
    np.testing.assert_allclose(absorbed[1][inside], phantom[:].sum(axis=2)[inside] / 64, atol=0.2)


def test_weather_has_its_seasons(root: Path) -> None:
    stored = blosc2.open(str(root / "simulated/weather/temperature.b2nd"), mode="r")

    celsius = stored[:] * stored.vlmeta["scale_factor"]

    # July against January, north against south.
    assert celsius[190, -8:].mean() > celsius[10, -8:].mean() + 20
    assert celsius[190, :8].mean() < celsius[10, :8].mean() - 20


def test_second_run_leaves_every_file_untouched(tmp_path: Path) -> None:
    make_example_root.main([str(tmp_path)])
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*")}

    make_example_root.main([str(tmp_path)])

    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == before


def test_damaged_file_is_written_again(tmp_path: Path) -> None:
    make_example_root.main([str(tmp_path), "--small"])
    damaged = tmp_path / "dir1" / "ds-2d.b2nd"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:50])

    make_example_root.main([str(tmp_path), "--small"])

    assert damaged.read_bytes() == whole


def test_directory_that_is_a_file_gives_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")

    status = make_example_root.main([str(tmp_path / "file")])

    assert status == 1
    assert capsys.readouterr().err.count("\n") == 1
