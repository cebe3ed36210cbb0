"""Files of every kind that a root can hold, and what is in them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import numpy.typing as npt

from make_example_root import README, make_example_root, small_arrays

Array = npt.NDArray[Any]

DTYPES: list[Any] = [
    "bool", "int8", "uint8", "<i2", "<u4", "int64", "uint64", "float16", "float32", "float64", "longdouble",
    ">f8", ">i4", "complex64", "complex128", "S6", "U4", "S300", "U80", "M8[ns]", "m8[s]",
    [("a", "<f4"), ("b", "<f8")], [("a", "<i4"), ("s", [("x", ">f8"), ("y", "S3")])],
    [("p", "<i4", (2, 3)), ("q", "U2")],
]  # fmt: skip

NESTED, SUBARRAYS = f"dtypes/{len(DTYPES) - 2}.b2nd", f"dtypes/{len(DTYPES) - 1}.b2nd"

HELLO = b"Hello world!" * 100
PLAIN = {
    "README.md": README.encode(),
    "data.bin": np.random.default_rng(1).bytes(200_000),
    "empty.txt": b"",
    "dir1/notes.html": b"<p>hello</p>" * 10,
    "dir1/table.csv": b"a,b\n1,2\n",
    "sp ace/\u00fcn\u00ef+.txt": b"blanks and letters",
}


def random_array(shape: tuple[int, ...], dtype: npt.DTypeLike, seed: int = 0) -> Array:
    """Return items with few different bytes in them; valid for every dtype."""
    dtype = np.dtype(dtype)
    n = int(np.prod(shape))
    raw = np.random.default_rng(seed).integers(0, 2, n * dtype.itemsize, dtype=np.uint8)
    return raw.view(dtype).reshape(shape) if n else np.empty(shape, dtype)


@cache
def arrays() -> dict[str, Array]:
    """Return the arrays of `fill`, by path; do not change them."""
    found = dict(small_arrays())
    for i, dtype in enumerate(DTYPES):
        found[f"dtypes/{i:02}.b2nd"] = random_array((7, 10), dtype, i)
    found |= {
        "special/zeros.b2nd": np.zeros((30, 20), "<f4"),
        "special/full.b2nd": np.full((30, 20), 3.5),
        "special/nans.b2nd": np.full((30, 20), np.nan, "<f4"),
        "special/uninit.b2nd": np.zeros((30, 20), "<i8"),
        "empty.b2nd": np.empty((0, 3), "<i4"),
        "tiny.b2nd": np.arange(3000, dtype="<u2"),
        "one.b2nd": np.array([5], "<i2"),
        "big.b2nd": np.arange(2_000_000, dtype="<i4").reshape(100, 100, 200),
        "sp ace/\u00fcn\u00ef.b2nd": np.arange(12).reshape(3, 4),
    }
    return found


def fill(directory: Path) -> None:
    """Write `arrays`, `PLAIN`, a frame of bytes and a broken file; the names of the example root included."""
    make_example_root(directory)
    small = small_arrays()
    for name, data in PLAIN.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    for name, array in arrays().items():
        path = str(directory / name)
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        if name in small:
            continue
        if name == "big.b2nd":
            blosc2.asarray(array, urlpath=path, chunks=(30, 40, 200), blocks=(10, 20, 100))
        elif name == "special/zeros.b2nd":
            blosc2.zeros(array.shape, array.dtype, urlpath=path, chunks=(10, 8), blocks=(5, 4))
        elif name == "special/full.b2nd":
            blosc2.full(array.shape, 3.5, array.dtype, urlpath=path, chunks=(10, 8), blocks=(5, 4))
        elif name == "special/nans.b2nd":
            blosc2.nans(array.shape, array.dtype, urlpath=path, chunks=(10, 8), blocks=(5, 4))
        elif name == "special/uninit.b2nd":
            blosc2.uninit(array.shape, array.dtype, urlpath=path, chunks=(10, 8), blocks=(5, 4))
        else:
            chunks = {"dtypes": (3, 4), "sp ace": (2, 3), "tiny.b2nd": (1000,)}.get(name.partition("/")[0])
            blocks = {"dtypes": (2, 3), "sp ace": (1, 2), "tiny.b2nd": (1,)}.get(name.partition("/")[0])
            blosc2.asarray(array, urlpath=path, mode="w", chunks=chunks, blocks=blocks)
    blosc2.SChunk(
        chunksize=800, data=np.arange(1000, dtype="<i8"), cparams={"typesize": 8},
        urlpath=str(directory / "packed.txt.b2"), mode="w",
    )  # fmt: skip
    (directory / "broken.b2nd").write_bytes(b"\x9e\xa8b2frame\x00 and no more")


PACKED = np.arange(1000, dtype="<i8").tobytes()
"""What ``packed.txt`` holds: kept as a frame with items of eight bytes."""
