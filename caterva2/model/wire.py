"""Encoders, decoders and media types; the only ones."""

from __future__ import annotations

import datetime
from typing import Any, TypeVar

import msgspec

from caterva2.errors import ProtocolMismatch, ValidationFailed

JSON = "application/json"
MSGPACK = "application/vnd.msgpack"
BINARY = "application/octet-stream"
EXTENTS = "application/vnd.caterva2.chunks"
"""Parts of stored chunks, see `caterva2.compute.extents`."""

DTYPE, SHAPE, STEP = "Caterva2-Dtype", "Caterva2-Shape", "Caterva2-Step"
"""Headers of raw items: their type, the lengths of the axes, and how far apart items are along each."""

ROWS = "Caterva2-Rows"
"""Header of a window of selected rows: how many are selected."""

GENERATION = "Caterva2-Generation"
"""Header of every answer about one file: the token of its generation, whatever part was asked for."""

T = TypeVar("T")


def to_json(value: Any) -> bytes:
    """Encode as JSON."""
    return msgspec.json.encode(value)


def plain(value: object) -> dict[str, Any]:
    """Return a struct as a dict of lists, numbers and text."""
    fields: dict[str, Any] = msgspec.to_builtins(value)
    return fields


def to_msgpack(value: Any) -> bytes:
    """Encode as MessagePack."""
    return msgspec.msgpack.encode(value)


def from_json(data: bytes | str, type_: type[T], *, where: str = "body") -> T:
    """Decode what a client sent.

    Raises
    ------
    ValidationFailed
        The data are not JSON, or not of this type; names the field.
    """
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _invalid(exc, where) from exc


def from_msgpack(data: bytes | memoryview, type_: type[T], *, where: str = "body") -> T:
    """Decode what a client sent; raises as `from_json`."""
    try:
        return msgspec.msgpack.decode(data, type=type_)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _invalid(exc, where) from exc


def to_query(values: Any) -> dict[str, str]:
    """Return the text values of a query struct; parameters that are None are left out."""
    pairs = msgspec.to_builtins(values)
    return {name: str(value) for name, value in pairs.items() if value is not None}


def from_query(values: dict[str, str], type_: type[T]) -> T:
    """Build a query struct from text values.

    Raises
    ------
    ValidationFailed
        A parameter is unknown, missing, or not of its type.
    """
    try:
        return msgspec.convert(values, type=type_, strict=False)
    except msgspec.ValidationError as exc:
        raise _invalid(exc, "query") from exc


def answer_from_json(data: bytes, type_: type[T]) -> T:
    """Decode what a server answered.

    Raises
    ------
    ProtocolMismatch
        It is not of this type.
    """
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ProtocolMismatch(f"unexpected answer: {exc}") from exc


def answer_from_msgpack(data: bytes | memoryview, type_: type[T]) -> T:
    """Decode what a server answered; raises as `answer_from_json`."""
    try:
        return msgspec.msgpack.decode(data, type=type_)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ProtocolMismatch(f"unexpected answer: {exc}") from exc


def _invalid(exc: Exception, where: str) -> ValidationFailed:
    text = str(exc)
    message, _, at = text.partition(" - at `$")
    loc = (where, *[p for p in at.rstrip("`").replace("[", ".").replace("]", "").split(".") if p])
    if len(loc) == 1 and "`" in message:
        loc = (where, message.split("`")[1])
    return ValidationFailed(f"{where}: {text}", problems=((loc, message, None),))


def iso_time(seconds: float, timespec: str = "seconds") -> str:
    """Return a time in seconds since 1970 as ISO 8601, in UTC, with ``Z``.

    Parameters
    ----------
    timespec
        Down to what it is told, as `datetime.datetime.isoformat` calls it.
    """
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")
