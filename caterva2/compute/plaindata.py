"""Items as others than NumPy can read them: raw little-endian bytes, or cells of a table in JSON."""

from __future__ import annotations

import json
import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Cell: TypeAlias = Any
"""What JSON can say: a number, a text, true or false, or a list of such."""

SAFE = 2**53
"""Whole numbers beyond are not exact in JavaScript, and go as text."""
SURROGATES = 0xD800
_REAL = {"f": "<f8", "c": "<c16"}


def plain_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which items leave: little-endian, packed, with sizes that others know.

    float16 becomes float32, long double float64; all else keeps its size.
    """
    if dtype.names is not None:
        return np.dtype([(name, plain_dtype(dtype[name])) for name in dtype.names])
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((plain_dtype(base), shape))
    if dtype.kind == "f" and dtype.itemsize == 2:
        return np.dtype("<f4")
    if dtype.kind in _REAL and dtype.itemsize > np.dtype(_REAL[dtype.kind]).itemsize:
        return np.dtype(_REAL[dtype.kind])
    return dtype.newbyteorder("<")


def dtype_text(dtype: np.dtype[Any]) -> str:
    """Return a plain dtype as text: ``<f4``, or the JSON list of its fields."""
    return json.dumps(descr(dtype)) if dtype.names is not None else dtype.str


def descr(dtype: np.dtype[Any]) -> Any:  # noqa: ANN401
    """Return a plain dtype as JSON can say it: ``<f4``, or a list of name, type and perhaps shape."""
    if dtype.names is None:
        return dtype.str
    fields = []
    for name in dtype.names:
        base, shape = dtype[name].subdtype or (dtype[name], ())
        fields.append([name, descr(base), list(shape)] if shape else [name, descr(base)])
    return fields


def dtype_of(text: str) -> np.dtype[Any]:
    """Return the dtype of `dtype_text`; `ValueError` or `TypeError` if there is none."""
    return _dtype_of(json.loads(text)) if text.startswith("[") else np.dtype(text)


def _dtype_of(given: Any) -> np.dtype[Any]:  # noqa: ANN401
    if isinstance(given, str):
        return np.dtype(given)
    return np.dtype([(name, _dtype_of(base), *map(tuple, shape)) for name, base, *shape in given])


def raw_bytes(items: Array) -> memoryview:
    """Return items as bytes of their `plain_dtype`, in C order; a view if they are that already."""
    with np.errstate(all="ignore"):  # what does not fit becomes infinite
        plain = np.ascontiguousarray(items, plain_dtype(items.dtype))
    return plain.reshape(-1).view(np.uint8).data if plain.nbytes else memoryview(b"")


def cell_count(dtype: np.dtype[Any]) -> int:
    """Return how many cells an item has."""
    if dtype.names is not None:
        return sum(cell_count(dtype[name]) for name in dtype.names)
    if dtype.subdtype is not None:
        return math.prod(dtype.subdtype[1]) * cell_count(dtype.subdtype[0])
    return 1


def cells(items: Array) -> Cell:
    """Return items as nested lists for a table: what a person reads, without loss.

    Numbers that JSON or JavaScript can not hold (large integers, NaN, infinities, complex ones) are
    texts; bytes are text as far as they are UTF-8; dates ISO 8601; a structured item is the list of
    its fields.
    """
    flat = items.reshape(-1)
    return _nested(_flat_cells(flat), items.shape)


def _nested(flat: list[Cell], shape: tuple[int, ...]) -> Cell:
    if not shape:
        return flat[0]
    for n in reversed(shape[1:]):
        flat = [flat[i : i + n] for i in range(0, len(flat), n)] if n else [[] for _ in range(len(flat) or 1)]
    if 0 in shape:
        return _empty(shape)
    return flat


def _empty(shape: tuple[int, ...]) -> Cell:
    return [_empty(shape[1:]) for _ in range(shape[0])] if shape else None


def _flat_cells(flat: Array) -> list[Cell]:
    dtype = flat.dtype
    if dtype.names is not None:
        columns = [_column(flat[name]) for name in dtype.names]
        return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in flat]
    kind = dtype.kind
    if kind == "b":
        return list(flat.tolist())
    if kind in "iu":
        return [x if -SAFE <= x <= SAFE else str(x) for x in flat.tolist()]
    if kind == "f":
        return [_real(text) for text in flat.astype("U32").tolist()]
    if kind == "c":
        return [str(x).strip("()") for x in flat]
    if kind == "S":
        return [x.decode("utf-8", "backslashreplace") for x in flat.tolist()]
    if kind == "U":
        return _texts(flat)
    if kind in "Mm":
        return [str(x) for x in flat]
    return [bytes(x).hex() for x in flat]


def _column(column: Array) -> list[Cell]:
    """Return a field of all items, which may be an array in each."""
    inner = column.shape[1:]
    if not inner:
        return _flat_cells(column)
    return [cells(item) for item in column]


def _texts(flat: Array) -> list[Cell]:
    """Return texts; what is no character in them, as a file may hold it, is replaced."""
    if not flat.dtype.itemsize:
        return [""] * len(flat)
    units = np.ascontiguousarray(flat, flat.dtype.newbyteorder("<"))
    if units.view("<u4").max(initial=0) < SURROGATES:
        return list(flat.tolist())
    return [
        bytes(x).decode("utf-32-le", "replace").rstrip("\0") for x in units.view(f"V{flat.dtype.itemsize}")
    ]


def _real(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text
