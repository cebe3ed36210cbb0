"""The skeleton of a stored frame, in the words of clients: `ArrayInfo`, `FrameInfo`, user attributes."""

from __future__ import annotations

import base64
import datetime
import itertools
import math
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from caterva2.compute.dtypes import parse_dtype
from caterva2.compute.frames import CHUNK_HEADER, Skeleton, decompress, read_skeleton
from caterva2.errors import BrokenDataset
from caterva2.model.datasets import ArrayInfo, CParams, FrameInfo, SChunkInfo, VlMeta

if TYPE_CHECKING:
    from caterva2.storage.source import StoredFrame

MAX_VLMETA_BYTES = 64 << 10
"""User attributes beyond this are named, but their values not shown: they travel in catalogs and events."""

MAX_NAMES = 1000
MAX_DEPTH = 16
MAX_ITEMS_SHOWN = 1000

_SMALL_FRAME = 64 << 10
# Metalayers of python-blosc2; the chunks beside them were never written.
_FOREIGN = {
    "LazyArray": "a stored expression",
    "b2o": "a stored expression or a reference",
    "proxy-source": "a partial copy of another dataset",
}

# Extension types of python-blosc2, see blosc2/msgpack_utils.py.
_EXT_COMPLEX, _EXT_SET, _EXT_NDARRAY = 44, 45, 46


def read_stored(frame: StoredFrame) -> Skeleton:
    """Read the skeleton of a stored frame, and refuse what holds no data of its own. Blocking.

    Raises
    ------
    BrokenDataset
        It is truncated, contradicts itself, or uses what is not served.
    DatasetChanged
        It is being written.
    """
    read = frame.read
    if frame.size <= _SMALL_FRAME:
        data = frame.read(0, frame.size)

        def read(offset: int, length: int) -> bytes:
            return data[offset : offset + length]

    skeleton = read_skeleton(read, frame.size)
    for name, what in _FOREIGN.items():
        if name in skeleton.metalayers:
            raise BrokenDataset(f"the file holds {what}, not data of its own")
    return skeleton


def describe_frame(skeleton: Skeleton) -> ArrayInfo | FrameInfo:
    """Describe a stored frame: an array if it has the ``b2nd`` metalayer."""
    schunk = describe_schunk(skeleton)
    if skeleton.meta is None:
        return FrameInfo(schunk=schunk)
    return ArrayInfo(
        shape=skeleton.meta.shape,
        chunks=skeleton.meta.chunks,
        blocks=skeleton.meta.blocks,
        dtype=str(skeleton.meta.dtype),
        schunk=schunk,
    )


def describe_schunk(skeleton: Skeleton) -> SChunkInfo:
    """Describe the container, with the figures that ``blosc2.open`` would give."""
    return SChunkInfo(
        cbytes=skeleton.cbytes,
        chunkshape=skeleton.chunksize // skeleton.typesize,
        chunksize=skeleton.chunksize,
        contiguous=True,
        cparams=CParams(
            codec=skeleton.codec,
            codec_meta=skeleton.codec_meta,
            clevel=skeleton.clevel,
            filters=skeleton.filters,
            filters_meta=skeleton.filters_meta,
            typesize=skeleton.typesize,
            blocksize=skeleton.blocksize,
            nthreads=skeleton.nthreads,
            splitmode=skeleton.splitmode,
            tuner=0,
            use_dict=skeleton.use_dict,
        ),
        cratio=skeleton.nbytes / skeleton.cbytes if skeleton.cbytes else 0.0,
        nbytes=skeleton.nbytes,
        nchunks=skeleton.nchunks,
        blocksize=skeleton.blocksize,
        vlmeta=describe_vlmeta(skeleton.vlmeta),
    )


def describe_vlmeta(stored: Mapping[str, bytes]) -> VlMeta:
    """Decode user attributes into what JSON can say; what can not be decoded becomes a text that says so.

    Parameters
    ----------
    stored
        By name: a Blosc2 chunk that holds a MessagePack value.
    """
    values: VlMeta = {}
    left = MAX_VLMETA_BYTES
    for name, packed in itertools.islice(stored.items(), MAX_NAMES):
        size = _unpacked_size(packed)
        if size is None:
            values[name] = "(not readable)"
        elif size > left:
            values[name] = f"({size} bytes, too large to show)"
        else:
            left -= size
            values[name] = _decode_value(packed, size)
    return values


def _unpacked_size(chunk: bytes) -> int | None:
    if len(chunk) < CHUNK_HEADER:
        return None
    nbytes, _, cbytes = struct.unpack_from("<iii", chunk, 4)
    return int(nbytes) if nbytes >= 0 and cbytes == len(chunk) else None


def _decode_value(chunk: bytes, size: int) -> object:
    try:
        value = msgspec.msgpack.decode(decompress(chunk, size), ext_hook=_decode_extension)
        return _plain(value, MAX_DEPTH)
    except (BrokenDataset, msgspec.DecodeError, ValueError, TypeError, RecursionError):
        return "(not readable)"


def _decode_extension(code: int, data: memoryview) -> object:
    if code == _EXT_COMPLEX and len(data) == 16:
        return str(complex(*struct.unpack(">dd", data)))
    if code == _EXT_SET:
        return msgspec.msgpack.decode(data, ext_hook=_decode_extension)
    if code == _EXT_NDARRAY:
        return _decode_array(msgspec.msgpack.decode(data, type=dict[str, Any]))
    return f"({len(data)} bytes of MessagePack extension {code})"


def _decode_array(payload: dict[str, Any]) -> object:
    described = payload.get("dtype")
    text = described.get("str") if isinstance(described, dict) else None
    dtype = parse_dtype(text) if isinstance(text, str) else None
    shape = tuple(int(n) for n in payload["shape"])
    if dtype is None or math.prod(shape) > MAX_ITEMS_SHOWN:
        return f"(array of shape {shape})"
    return np.frombuffer(payload["data"], dtype).reshape(shape).tolist()


def _plain(value: object, depth: int) -> object:
    """Reduce a value to what JSON can say."""
    if depth == 0:
        return "(nested too deeply to show)"
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _text(bytes(value))
    if isinstance(value, dict):
        return {_key(key): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = list(value)
        if items and items[0] == "__tuple__":  # how python-blosc2 writes a tuple
            items = items[1:]
        return [_plain(item, depth - 1) for item in items]
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return str(value)


def _key(key: object) -> str:
    return _text(bytes(key)) if isinstance(key, bytes) else str(key)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii")
