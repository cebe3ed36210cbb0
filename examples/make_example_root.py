"""Write an example root: small data sets of every kind, measured data, and simulated ones.

Run it with ``python examples/make_example_root.py DIR``. The small and the
simulated data sets need only Caterva2; the measured ones come out of the packages of the
extra ``caterva2[examples]``, nothing is downloaded. A second run changes nothing.
"""

from __future__ import annotations

import argparse
import filecmp
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import blosc2
import numpy as np
import numpy.typing as npt

import simulate

README = """\
# An example root

Small data sets of every kind that Caterva2 serves: a text, a frame of bytes,
and arrays of one to four dimensions with numbers, strings and fields.
"""

MEASURED = "measured"
"""Where the measured data lie below an example root."""

SIMULATED = "simulated"
"""Where the simulated data lie below an example root."""

# One thread, so that the same data always give the same bytes.
CPARAMS = blosc2.CParams(codec=blosc2.Codec.ZSTD, clevel=5, filters=[blosc2.Filter.SHUFFLE], nthreads=1)

FIELDS = np.dtype([("a", "<f4"), ("b", "<f8")])

Maker: TypeAlias = Callable[[Path], None]
"""Writes one file to the path it is given."""


class MissingPackage(Exception):
    """A package that carries measured data is not installed."""


def make_example_root(directory: Path) -> list[str]:
    """Write the small data sets.

    Parameters
    ----------
    directory
        The root; made when missing. Other files in it are left alone.

    Returns
    -------
    list of str
        The names written, relative to `directory`.
    """
    return _write(directory, _small_files())


def make_measured_root(directory: Path) -> list[str]:
    """Write the measured data: an elevation model and two volumes.

    Parameters
    ----------
    directory
        The root; made when missing. Other files in it are left alone.

    Returns
    -------
    list of str
        The names written, relative to `directory`.

    Raises
    ------
    MissingPackage
        The extra ``caterva2[examples]`` is not installed.
    """
    return _write(directory, _measured_files())


def make_simulated_root(directory: Path) -> list[str]:
    """Write the simulated data: a tomography scan with its answer, and a year of weather.

    Parameters
    ----------
    directory
        The root; made when missing. Other files in it are left alone.

    Returns
    -------
    list of str
        The names written, relative to `directory`.
    """
    return _write(directory, _simulated_files())


def small_arrays() -> dict[str, npt.NDArray[Any]]:
    """Give the arrays of the example root by name, to compare with what is served."""
    count = np.arange(1000)
    fields_1d = np.empty(1000, dtype=FIELDS)
    fields_1d["a"] = count / 8
    fields_1d["b"] = 1000.0 - count
    fields_2d = np.empty((10, 20), dtype=FIELDS)
    fields_2d["a"] = np.arange(200).reshape(10, 20) / 4
    fields_2d["b"] = np.arange(200).reshape(10, 20) * 1e6
    real = np.arange(120, dtype=np.float64).reshape(2, 3, 4, 5)
    return {
        "ds-1d.b2nd": np.arange(1000, dtype=np.int64),
        "ds-1d-b.b2nd": np.array([b"foobar"] * 1000),
        "ds-sc-attr.b2nd": np.array("foobar"),
        "ds-1d-fields.b2nd": fields_1d,
        "ds-2d-fields.b2nd": fields_2d,
        "dir1/ds-2d.b2nd": np.arange(200, dtype=np.uint16).reshape(10, 20),
        "dir1/ds-3d.b2nd": np.arange(60, dtype=np.float32).reshape(3, 4, 5),
        "dir2/ds-4d.b2nd": real + 1j * real[::-1],
    }


def elevation() -> npt.NDArray[np.int16]:
    """Read the elevation model of the Jacksboro fault, in metres, (344, 403)."""
    with np.load(_package_file("matplotlib", "mpl-data/sample_data/jacksboro_fault_dem.npz")) as archive:
        return np.ascontiguousarray(archive["elevation"], dtype=np.int16)


def head_volume() -> npt.NDArray[np.int16]:
    """Read a magnetic-resonance scan of a head, twice in time, (128, 96, 24, 2)."""
    path = _package_file("nibabel", "tests/data/example4d.nii.gz")
    # Imported here, so that the small data sets need no further package.
    import nibabel

    return np.ascontiguousarray(nibabel.Nifti1Image.from_filename(path).dataobj, dtype=np.int16)


def phantom_volume() -> npt.NDArray[np.int16]:
    """Read a magnetic-resonance scan of a phantom, three times, (64, 64, 9, 3)."""
    path = _package_file("nibabel", "tests/data/phantom_EPI_asc_CLEAR_2_1.REC")
    # A REC file holds the scanner's integers alone, x fastest and the repetition slowest.
    values = np.fromfile(path, dtype="<i2").reshape((64, 64, 9, 3), order="F")
    return np.ascontiguousarray(values, dtype=np.int16)


def _small_files() -> Iterator[tuple[str, Maker]]:
    arrays = small_arrays()
    geometry: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "ds-1d.b2nd": ((100,), (10,)),
        "ds-1d-b.b2nd": ((100,), (10,)),
        "ds-sc-attr.b2nd": ((), ()),
        "ds-1d-fields.b2nd": ((100,), (10,)),
        "ds-2d-fields.b2nd": ((5, 10), (2, 5)),
        "dir1/ds-2d.b2nd": ((5, 5), (2, 3)),
        "dir1/ds-3d.b2nd": ((2, 3, 4), (1, 2, 2)),
        "dir2/ds-4d.b2nd": ((1, 2, 3, 4), (1, 1, 2, 2)),
    }
    vlmeta = {"ds-sc-attr.b2nd": {"a": 1, "b": "foo", "c": 123.456}}
    yield "README.md", _text(README)
    yield "ds-hello.b2frame", _frame(b"Hello world!" * 100, chunksize=100)
    for name, array in arrays.items():
        chunks, blocks = geometry[name]
        yield name, _array(array, chunks, blocks, vlmeta.get(name, {}))


def _measured_files() -> Iterator[tuple[str, Maker]]:
    yield (
        "elevation/jacksboro.b2nd",
        _array(
            elevation(),
            (128, 128),
            (32, 32),
            {
                "title": "Elevation around the Jacksboro fault, Tennessee, USA",
                "units": "m",
                "spacing": "3 arc seconds",
                "source": "package matplotlib, mpl-data/sample_data/jacksboro_fault_dem.npz",
                "license": "Matplotlib license (BSD compatible)",
            },
        ),
    )
    yield (
        "volume/head.b2nd",
        _array(
            head_volume(),
            (64, 48, 12, 1),
            (32, 24, 6, 1),
            {
                "title": "Magnetic-resonance scan of a head, two repetitions",
                "axes": "x, y, z, t",
                "spacing": "2 mm, 2 mm, 2.2 mm",
                "source": "package nibabel, nibabel/tests/data/example4d.nii.gz",
                "license": "MIT",
            },
        ),
    )
    yield (
        "volume/phantom.b2nd",
        _array(
            phantom_volume(),
            (32, 32, 9, 1),
            (16, 16, 3, 1),
            {
                "title": "Magnetic-resonance scan of a phantom, three repetitions",
                "axes": "x, y, z, t",
                "source": "package nibabel, nibabel/tests/data/phantom_EPI_asc_CLEAR_2_1.REC",
                "license": "PDDL-1.0",
            },
        ),
    )


def _simulated_files() -> Iterator[tuple[str, Maker]]:
    about = {"source": "simulated, examples/simulate.py", "license": "BSD-3-Clause"}
    yield (
        "tomography/phantom.b2nd",
        _array(
            simulate.phantom(),
            (16, 64, 128),
            (4, 32, 64),
            {
                "title": "Phantom: a shell with inclusions",
                "dims": ["z", "y", "x"],
                "units": "absorption per half width of the detector",
                **about,
            },
        ),
    )
    yield (
        "tomography/exposures.b2nd",
        _array(
            simulate.exposures(),
            (30, 16, 128),
            (10, 2, 128),
            {
                "title": "Exposures of the phantom over half a turn",
                "dims": ["angle", "z", "detector"],
                "coords": {"angle": {"data": simulate.angles().tolist(), "attrs": {"units": "radian"}}},
                "units": "photons",
                "flat_field": simulate.FLAT_FIELD,
                **about,
            },
        ),
    )
    grid: dict[str, Any] = {"dims": ["time", "lat", "lon"], **about}
    yield (
        "weather/temperature.b2nd",
        _array(
            simulate.temperature(),
            (73, 37, 72),
            (8, 37, 72),
            {"long_name": "air temperature", "units": "degC", "scale_factor": 0.01, **grid},
        ),
    )
    yield (
        "weather/rain.b2nd",
        _array(
            simulate.rain(), (73, 37, 72), (8, 37, 72), {"long_name": "rain of a day", "units": "mm", **grid}
        ),
    )
    yield (
        "weather/time.b2nd",
        _array(np.arange(simulate.DAYS, dtype=np.int32), (365,), (365,), {"units": "days since 2025-01-01"}),
    )
    yield (
        "weather/lat.b2nd",
        _array(simulate.LATITUDES, (37,), (37,), {"long_name": "latitude", "units": "degrees_north"}),
    )
    yield (
        "weather/lon.b2nd",
        _array(simulate.LONGITUDES, (72,), (72,), {"long_name": "longitude", "units": "degrees_east"}),
    )


def _array(
    array: npt.NDArray[Any],
    chunks: tuple[int, ...],
    blocks: tuple[int, ...],
    vlmeta: Mapping[str, Any],
) -> Maker:
    def make(path: Path) -> None:
        stored = blosc2.asarray(
            array, chunks=chunks, blocks=blocks, urlpath=str(path), mode="w", contiguous=True, cparams=CPARAMS
        )
        for key, value in vlmeta.items():
            stored.vlmeta[key] = value

    return make


def _text(text: str) -> Maker:
    def make(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return make


def _frame(data: bytes, *, chunksize: int) -> Maker:
    def make(path: Path) -> None:
        blosc2.SChunk(
            chunksize=chunksize,
            data=data,
            urlpath=str(path),
            mode="w",
            contiguous=True,
            cparams={"typesize": 1, "codec": blosc2.Codec.ZSTD, "clevel": 5, "nthreads": 1},
        )

    return make


def _write(directory: Path, files: Iterator[tuple[str, Maker]]) -> list[str]:
    """Make each file in a hidden directory and move it into place, whole.

    A file that is there already with the same bytes is not touched, so a
    publisher that watches the directory sees no change.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names = []
    with tempfile.TemporaryDirectory(prefix=".new-", dir=directory) as scratch:
        for name, make in files:
            target = directory / name
            made = Path(scratch, target.name)
            make(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not (target.is_file() and filecmp.cmp(made, target, shallow=False)):
                os.replace(made, target)
            names.append(name)
    return names


def _package_file(package: str, name: str) -> Path:
    """Find a file that a package brings, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage(
            f'the measured data need the package {package}: pip install "caterva2[examples]"'
        )
    return Path(spec.submodule_search_locations[0], name)


def main(arguments: list[str] | None = None) -> int:
    """Run the program; give the exit status."""
    parser = argparse.ArgumentParser(description="Write an example root for a Caterva2 publisher.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="where to write; made when missing")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--small", action="store_true", help="only the small data sets")
    what.add_argument("--measured", action="store_true", help="only the measured data, directly in DIR")
    what.add_argument("--simulated", action="store_true", help="only the simulated data, directly in DIR")
    options = parser.parse_args(arguments)
    directory: Path = options.directory
    try:
        if options.measured:
            names = make_measured_root(directory)
        elif options.simulated:
            names = make_simulated_root(directory)
        elif options.small:
            names = make_example_root(directory)
        else:
            names = make_example_root(directory) + make_measured_root(directory / MEASURED)
            names += make_simulated_root(directory / SIMULATED)
    except (MissingPackage, OSError) as exc:
        print(f"make_example_root: {exc}", file=sys.stderr)
        return 1
    print(f"{len(names)} files in {directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
