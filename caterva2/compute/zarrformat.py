"""Arrays and directories in the words of Zarr version 3: metadata, and the bytes of chunks.

Only what readers of Zarr take from a server. Nothing here reads data, and nothing of ours is
needed to read what comes out. Sources: the Zarr core specification, version 3.1, and for types
beyond it and for consolidated metadata the documents that zarr-python 3.1 writes.
"""

from __future__ import annotations

import base64
import math
import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np

from caterva2.compute.assemble import Array
from caterva2.compute.dtypes import parse_dtype
from caterva2.compute.frames import ArrayMeta
from caterva2.errors import BrokenDataset
from caterva2.model.datasets import ArrayInfo, VlMeta
from caterva2.model.lazy import Lazy
from caterva2.model.slicing import Axis, Window

Json: TypeAlias = dict[str, Any]

MAX_CHUNK = 4 << 20
"""Chunks of more bytes are cut along their blocks: what is put together in memory for one answer."""
MAX_BLOCK = 8 << 20
"""Blocks of more bytes are cut too, though each part costs decoding the whole block."""
MAX_ITEM = 64 << 10
"""Items of more bytes are left out: the fill value, which has to be given, would be as long."""
MAX_DEPTH = 16
MAX_DOCUMENT = 16 << 20
"""Most bytes of a document that consolidates others."""
MAX_REASONS = 100

DIMENSIONS = ("_ARRAY_DIMENSIONS", "dims", "dimension_names", "axes")
"""User attributes that name the axes: a list, or text with commas; the first that fits."""

_ENDIAN = frozenset("iufcUMm")
_NAMES = {
    ("b", 1): "bool",
    **{(kind, 1 << n): f"{name}{8 << n}" for kind, name in (("i", "int"), ("u", "uint")) for n in range(4)},
    **{("f", n): f"float{8 * n}" for n in (2, 4, 8)},
    **{("c", n): f"complex{8 * n}" for n in (8, 16)},
}


class NotInZarr(Exception):
    """Zarr has no words for it; the text says why."""


@dataclass(frozen=True)
class ZarrArray:
    """An array as readers of Zarr see it.

    Attributes
    ----------
    shape, chunks
        Lengths (ndim,) in items; a chunk at the upper end of an axis is as long as all others.
    dtype
        Of the items in the bytes of a chunk: fields lie without gaps and are little-endian.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def chunk_nbytes(self) -> int:
        """Bytes of each chunk."""
        return math.prod(self.chunks) * self.dtype.itemsize

    def window(self, coords: Sequence[int]) -> Window | None:
        """Return the items in the chunk at `coords`, without its padding; None if there is no such chunk."""
        if len(coords) != len(self.shape):
            return None
        if any(i * c >= n for i, c, n in zip(coords, self.chunks, self.shape, strict=True)):
            return None
        return Window(
            tuple(
                Axis(i * c, min(n, (i + 1) * c))
                for i, c, n in zip(coords, self.chunks, self.shape, strict=True)
            )
        )


class Member(NamedTuple):
    """An array below a group: its path from there, and what is known of it."""

    path: str
    meta: ArrayMeta
    vlmeta: VlMeta


def zarr_array(array: ArrayMeta) -> ZarrArray:
    """Return an array as readers of Zarr see it.

    Raises
    ------
    NotInZarr
        Zarr has no type for its items.
    """
    data_type(array.dtype)
    chunks = _chunks(array.shape, array.chunks, array.blocks, array.dtype.itemsize)
    return ZarrArray(array.shape, chunks, _packed(array.dtype))


def meta_of(info: ArrayInfo | Lazy) -> ArrayMeta:
    """Return the array that a description is of.

    Raises
    ------
    NotInZarr
        It is no array that there can be.
    """
    try:
        return ArrayMeta(info.shape, info.chunks, info.blocks, parse_dtype(info.dtype))
    except BrokenDataset as exc:
        raise NotInZarr(exc.message) from exc


def array_document(array: ZarrArray, name: str, vlmeta: VlMeta, ambiguous: Collection[str] = ()) -> bytes:
    """Return the ``zarr.json`` of an array, encoded.

    Parameters
    ----------
    name
        Of its file; names axes that have no names of their own, so that those of two arrays differ.
    vlmeta
        User attributes.
    ambiguous
        Names of axes that are of another length elsewhere: the name of the file is put in front.
    """
    type_, fill = data_type(array.dtype)
    codec: Json = {"name": "bytes"}
    if array.dtype.kind in _ENDIAN and array.dtype.itemsize > 1:
        codec["configuration"] = {"endian": "big" if array.dtype.str[0] == ">" else "little"}
    document: Json = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": array.shape,
        "data_type": type_,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": array.chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [codec],
        "dimension_names": [
            f"{_stem(name)}_{dim}" if dim in ambiguous else dim
            for dim in _dimension_names(len(array.shape), name, vlmeta)
        ],
        "attributes": _attributes(array.dtype, vlmeta),
    }
    try:
        return encode(document)
    except (TypeError, ValueError, RecursionError):  # attributes that a publisher made up
        return encode({**document, "attributes": {}})


def group_document(attributes: Json | None = None) -> Json:
    """Return the ``zarr.json`` of a group, without what is in it."""
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes or {}}


def group_of(members: Sequence[Member], reasons: Mapping[str, str]) -> bytes | None:
    """Return the ``zarr.json`` of a group together with those of all that is below it.

    Parameters
    ----------
    members
        The arrays. For xarray, which makes one dataset of a directory, axes of the same name are of the
        same length there; what is of another one gets another name.
    reasons
        Why other datasets are left out, by path.

    Returns
    -------
    bytes or None
        None if it would have more than `MAX_DOCUMENT` bytes.
    """
    reasons = dict(reasons)
    views: list[tuple[Member, ZarrArray]] = []
    lengths: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for member in members:
        try:
            array = zarr_array(member.meta)
        except NotInZarr as exc:
            reasons[member.path] = str(exc)
            continue
        views.append((member, array))
        directory, _, name = member.path.rpartition("/")
        names = _dimension_names(len(array.shape), name, member.vlmeta)
        for dim, length in zip(names, array.shape, strict=True):
            lengths[directory][dim].add(length)
    ambiguous = {directory: _ambiguous(directory, lengths) for directory in tuple(lengths)}
    documents = {}
    for member, array in views:
        directory, _, name = member.path.rpartition("/")
        documents[member.path] = array_document(
            array, name, member.vlmeta, ambiguous.get(directory, frozenset())
        )
    return consolidated(documents, reasons)


def consolidated(arrays: Mapping[str, bytes], reasons: Mapping[str, str]) -> bytes | None:
    """Return the ``zarr.json`` of a group together with those of all that is below it.

    Parameters
    ----------
    arrays
        Encoded documents of arrays, by path below the group.
    reasons
        Why datasets are left out, by path.

    Returns
    -------
    bytes or None
        None if it would have more than `MAX_DOCUMENT` bytes.
    """
    groups = {path[:at] for path in arrays for at, char in enumerate(path) if char == "/"}
    within = {path for path in arrays if any(parent in arrays for parent in _parents(path))}
    nodes = {path: document for path, document in arrays.items() if path not in within}
    empty = encode({**group_document(), "consolidated_metadata": _inline()})
    nodes |= {path: empty for path in groups if path not in arrays and not _below(path, arrays)}
    # By depth, then by path: zarr-python takes neighbours of the same depth as one directory.
    ordered = sorted(nodes, key=lambda path: (path.count("/"), path))
    if sum(len(nodes[path]) + len(path) for path in ordered) > MAX_DOCUMENT:
        return None
    left_out = dict(list(reasons.items())[:MAX_REASONS])
    head = group_document({"caterva2": {"left_out": left_out}} if left_out else {})
    marker = encode({**head, "consolidated_metadata": {**_inline(), "metadata": {}}})
    before = marker[: -len(b"{}}}")]
    return b"".join([before, b"{", b",".join(encode(path) + b":" + nodes[path] for path in ordered), b"}}}"])


def encode(value: object) -> bytes:
    """Return JSON."""
    return msgspec.json.encode(value)


def chunk_bytes(items: Array, array: ZarrArray) -> memoryview:
    """Return the bytes of a chunk; CPU-bound.

    Parameters
    ----------
    items
        What is in it, of the shape of its window. May be what the result lies in.
    """
    if items.shape != array.chunks:
        whole = np.zeros(array.chunks, array.dtype)
        whole[tuple(map(slice, items.shape))] = items
        items = whole
    elif items.dtype != array.dtype:
        items = items.astype(array.dtype)
    return np.ascontiguousarray(items).reshape(-1).view(np.uint8).data


def data_type(dtype: np.dtype[Any]) -> tuple[str | Json, object]:
    """Return the type of items, and the fill value: zeros.

    Raises
    ------
    NotInZarr
        There is none.
    """
    if dtype.itemsize > MAX_ITEM:
        raise NotInZarr(f"its items have {dtype.itemsize} bytes; at most {MAX_ITEM} can be told in Zarr")
    type_ = _type(dtype, 0)
    if dtype.kind == "V":
        return type_, base64.b64encode(bytes(dtype.itemsize)).decode("ascii")
    fills: dict[str, object] = {"b": False, "f": 0.0, "c": [0.0, 0.0], "S": "", "U": ""}
    return type_, fills.get(dtype.kind, 0)


def _type(dtype: np.dtype[Any], depth: int) -> str | Json:
    name = _NAMES.get((dtype.kind, dtype.itemsize))
    if name is not None:
        return name
    if dtype.subdtype is not None:
        raise NotInZarr("a field of it is an array, for which Zarr has no type")
    if dtype.names is not None:
        if depth == MAX_DEPTH:
            raise NotInZarr(f"its fields are nested in more than {MAX_DEPTH} levels")
        fields = [[name, _type(dtype.fields[name][0], depth + 1)] for name in dtype.names]  # type: ignore[index]
        if not fields:
            raise NotInZarr("its items have no fields")
        return {"name": "structured", "configuration": {"fields": fields}}
    if dtype.kind in "Mm":
        unit, scale = np.datetime_data(dtype)
        kind = "datetime64" if dtype.kind == "M" else "timedelta64"
        return {"name": f"numpy.{kind}", "configuration": {"unit": unit, "scale_factor": scale}}
    words = {"S": "null_terminated_bytes", "U": "fixed_length_utf32", "V": "raw_bytes"}
    if dtype.kind not in words:
        raise NotInZarr(f"Zarr has no type for {dtype}")
    if dtype.itemsize == 0:
        raise NotInZarr("its items have no bytes")
    return {"name": words[dtype.kind], "configuration": {"length_bytes": dtype.itemsize}}


def _packed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype as it is in the bytes of chunks; only one with fields can differ."""
    if dtype.names is None:
        return dtype
    names = dtype.names
    return np.dtype([(name, _packed(dtype.fields[name][0]).newbyteorder("<")) for name in names])  # type: ignore[index]


def _chunks(
    shape: Sequence[int], chunks: Sequence[int], blocks: Sequence[int], itemsize: int
) -> tuple[int, ...]:
    """Return the lengths (ndim,) of chunks: those that are stored, or parts of these made of whole blocks."""
    lengths = [max(1, min(n, c)) for n, c in zip(shape, chunks, strict=True)]
    units = [max(1, min(n, b)) for n, b in zip(lengths, blocks, strict=True)]
    lengths = _cut(lengths, units, MAX_CHUNK // max(1, itemsize))
    return tuple(_cut(lengths, [1] * len(lengths), MAX_BLOCK // max(1, itemsize)))


def _cut(lengths: list[int], units: Sequence[int], most: int) -> list[int]:
    """Shorten axes, the first ones first, to multiples of `units`, until there are at most `most` items."""
    lengths = list(lengths)
    for axis, unit in enumerate(units):
        size = math.prod(lengths)
        if size <= most:
            break
        length = lengths[axis]
        longest = max(1, most // (size // length) // unit)
        # One that divides the length makes no chunk reach over the end of a stored one.
        fitting = (n for n in range(longest, longest // 2, -1) if length % (n * unit) == 0)
        lengths[axis] = next(fitting, longest) * unit
    return lengths


def _dimension_names(ndim: int, name: str, vlmeta: VlMeta) -> list[str]:
    for key in DIMENSIONS:
        value = vlmeta.get(key)
        given = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if (
            isinstance(given, list)
            and len(given) == ndim
            and all(isinstance(each, str) and each for each in given)
            and len(set(given)) == ndim
        ):
            return given
    return [f"{_stem(name)}_dim_{axis}" for axis in range(ndim)]


def _stem(name: str) -> str:
    return name.removesuffix(".b2nd")


def _ambiguous(directory: str, lengths: Mapping[str, Mapping[str, set[int]]]) -> frozenset[str]:
    """Return the names of axes that are of several lengths in a directory and those above it."""
    above = [lengths[at] for at in ("", *_parents(directory), directory) if at in lengths]
    own = lengths[directory]
    return frozenset(dim for dim in own if len(set().union(*(each.get(dim, ()) for each in above))) > 1)


def _attributes(dtype: np.dtype[Any], vlmeta: VlMeta) -> Json:
    """Return user attributes; of the one that xarray takes for its own only what xarray can read."""
    found = {name: value for name, value in vlmeta.items() if name not in {"_ARRAY_DIMENSIONS", "_FillValue"}}
    fill = vlmeta.get("_FillValue")
    if isinstance(fill, int | float) and not isinstance(fill, bool) and abs(fill) < 2**64:
        if dtype.kind == "f":
            found["_FillValue"] = base64.b64encode(struct.pack("<d", fill)).decode("ascii")
        elif dtype.kind in "iu" and fill == int(fill):
            info = np.iinfo(dtype)
            if info.min <= fill <= info.max:
                found["_FillValue"] = int(fill)
    elif fill == "nan" and dtype.kind == "f":
        found["_FillValue"] = base64.b64encode(struct.pack("<d", math.nan)).decode("ascii")
    return found


def _inline() -> Json:
    return {"kind": "inline", "must_understand": False, "metadata": {}}


def _parents(path: str) -> Iterable[str]:
    return (path[:at] for at, char in enumerate(path) if char == "/")


def _below(path: str, arrays: Mapping[str, bytes]) -> bool:
    return any(parent in arrays for parent in _parents(path))
