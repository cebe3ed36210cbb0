"""Hypothesis strategies for arrays: shapes, how they are cut, what is asked of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import blosc2
import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Array = npt.NDArray[Any]

DTYPES: list[Any] = [
    "bool", "int8", "uint16", "<i4", "int64", "float16", "float32", "float64", "longdouble", ">f8", ">u2",
    "complex64", "complex128", "S6", "U3", "S300", "U80", "M8[ns]", "m8[s]",
    [("a", "<f4"), ("b", "<f8")], [("a", "<i4"), ("s", [("x", ">f8"), ("y", "S3")])], [("p", "<i2", (2, 3))],
]  # fmt: skip
CODECS = [
    blosc2.Codec.BLOSCLZ,
    blosc2.Codec.LZ4,
    blosc2.Codec.LZ4HC,
    blosc2.Codec.ZLIB,
    blosc2.Codec.ZSTD,
]
FILTERS: list[tuple[list[Any], list[int]]] = [
    ([blosc2.Filter.NOFILTER], [0]),
    ([blosc2.Filter.SHUFFLE], [0]),
    ([blosc2.Filter.BITSHUFFLE], [0]),
    ([blosc2.Filter.DELTA, blosc2.Filter.SHUFFLE], [0, 0]),
]

dtypes = st.sampled_from(DTYPES)


def shapes(
    max_dims: int = 4, max_side: int = 12, *, min_dims: int = 0, min_side: int = 0
) -> st.SearchStrategy:
    """Shapes of small arrays."""
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


def boxes_in(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of boxes no larger than `shape`; for chunks of arrays, and blocks of chunks."""
    return st.tuples(*(st.integers(1, max(1, n)) for n in shape))


def keys(shape: tuple[int, ...], *, in_bounds: bool = True) -> st.SearchStrategy[tuple[Any, ...]]:
    """Basic indices of an array, with positive steps."""
    bound = 0 if in_bounds else 2
    items = []
    for n in shape:
        ends = st.none() | st.integers(-n - 2, n + 2)
        parts = [st.builds(slice, ends, ends, st.none() | st.integers(1, n + 1))]
        if n or not in_bounds:
            parts.append(st.integers(-n - bound, n - 1 + bound))  # type: ignore[arg-type]
        items.append(st.one_of(parts))
    return st.tuples(*items).flatmap(
        lambda key: st.integers(0, len(key)).map(lambda n: key[:n])  # trailing axes may be left out
    )


class Stored(NamedTuple):
    """An array, and a frame that holds it."""

    array: Array
    frame: bytes


@st.composite
def stored(draw: st.DrawFn, *, min_side: int = 1) -> Stored:
    """Arrays of any dtype, cut and compressed in any way, or of one value only."""
    shape = draw(shapes(min_side=min_side))
    dtype = np.dtype(draw(dtypes))
    chunks = draw(boxes_in(shape))
    blocks = draw(boxes_in(chunks))
    kind = draw(st.sampled_from(["data", "data", "data", "zeros", "nans", "full", "uninit", "mixed"]))
    array = items(shape, dtype, draw(st.integers(0, 5)))
    plain = dtype.kind in "biufc" and dtype.isnative and dtype.itemsize <= 8 and array.size > 0
    cut = {"chunks": chunks, "blocks": blocks}
    if kind == "nans" and dtype in (np.dtype("f4"), np.dtype("f8")) and array.size:
        return Stored(np.full(shape, np.nan, dtype), blosc2.nans(shape, dtype, **cut).to_cframe())
    if kind == "zeros" and plain:
        return Stored(np.zeros(shape, dtype), blosc2.zeros(shape, dtype, **cut).to_cframe())
    if kind == "uninit" and plain:  # read as zeros: what lies there is memory of nobody's business
        return Stored(np.zeros(shape, dtype), blosc2.uninit(shape, dtype, **cut).to_cframe())
    if kind == "full" and plain:
        return Stored(np.full(shape, 1, dtype), blosc2.full(shape, 1, dtype, **cut).to_cframe())
    if kind == "mixed" and array.ndim:
        array[: len(array) // 2] = np.zeros((), dtype)
    codec = draw(st.sampled_from(CODECS))
    filters, meta = draw(st.sampled_from(FILTERS))
    cparams: dict[str, Any] = {
        "codec": codec,
        "clevel": draw(st.sampled_from([0, 1, 5, 9])),
        "filters": filters,
        "filters_meta": meta,
        "splitmode": draw(st.sampled_from(list(blosc2.SplitMode))),
        "nthreads": draw(st.sampled_from([1, 2])),
    }
    return Stored(array, blosc2.asarray(array, cparams=cparams, **cut).to_cframe())


def items(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int) -> Array:
    """Return valid items of any dtype: few different bytes, in runs."""
    n = int(np.prod(shape))
    raw = np.random.default_rng(seed).integers(0, 2, n * dtype.itemsize, dtype=np.uint8)
    return raw.view(dtype).reshape(shape) if n else np.empty(shape, dtype)
