"""Byte ranges of a body and the framing of several (RFC 9110, section 14), as pure functions."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from email.utils import formatdate, parsedate_to_datetime
from typing import NamedTuple

from caterva2.errors import RangeNotSatisfiable

MAX_RANGES = 1024
"""More ranges than this in one request are answered with the whole body."""

_SPEC = re.compile(r"[ \t]*(?:([0-9]{1,30})-([0-9]{0,30})|-([0-9]{1,30}))[ \t]*")


class ByteRange(NamedTuple):
    """Bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """Return the value of ``Content-Range`` for a body of `size` bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse_range(header: str | None, size: int) -> list[ByteRange]:
    """Return the ranges asked for, in this order; none means the whole body.

    Parameters
    ----------
    header
        Value of ``Range``; a malformed one, another unit, or ranges that
        together are more than the body, count as none.
    size
        Bytes of the whole body.

    Raises
    ------
    RangeNotSatisfiable
        No range lies in the body.
    """
    if header is None:
        return []
    unit, equals, text = header.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return []
    specs = [spec for spec in text.split(",") if spec.strip()]
    if not specs or len(specs) > MAX_RANGES:
        return []
    ranges: list[ByteRange] = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None:
            return []
        first, last, suffix = match.groups()
        if suffix is not None:
            start, stop = max(0, size - int(suffix)), size
        else:
            start, stop = int(first), min(int(last) + 1 if last else size, size)
            if last and int(last) < start:
                return []
        if start < stop:
            ranges.append(ByteRange(start, stop))
    if not ranges:
        raise RangeNotSatisfiable(f"range {_short(header)} lies outside the {size} bytes", size=size)
    if len(ranges) > 1 and sum(stop - start for start, stop in ranges) > size:
        return []
    return ranges


def if_range_holds(header: str | None, *, etag: str | None, last_modified: str | None) -> bool:
    """Whether ``If-Range`` allows a partial answer: no header, or the content is the one named.

    Parameters
    ----------
    header
        Value of ``If-Range``.
    etag
        Opaque token of the content, without quotes.
    last_modified
        Value of ``Last-Modified``. Names one content only when older than a second.
    """
    if header is None:
        return True
    header = header.strip()
    if header.startswith('"'):
        return etag is not None and header == f'"{etag}"'
    if last_modified is None or header != last_modified:  # weak tags fall through to here
        return False
    return parsedate_to_datetime(last_modified).timestamp() + 1 <= time.time()


def etag_matches(header: str, etag: str) -> bool:
    """Whether ``If-None-Match`` or ``If-Match`` names the content: weak comparison, ``*`` is any.

    A token without quotes is taken as it is: clients of the 2025 publisher send that.
    """
    tokens = [part.strip().removeprefix("W/") for part in header.split(",")]
    return tokens == ["*"] or any(token in {etag, f'"{etag}"'} for token in tokens)


def http_date(mtime_ns: int) -> str:
    """Return a time as the value of ``Last-Modified``."""
    return formatdate(mtime_ns // 1_000_000_000, usegmt=True)


def not_modified_since(header: str, mtime_ns: int) -> bool:
    """Whether content of `mtime_ns` is not newer than ``If-Modified-Since``; False if malformed."""
    try:
        return mtime_ns // 1_000_000_000 <= parsedate_to_datetime(header).timestamp()
    except (ValueError, OverflowError):
        return False


class Multipart:
    """Framing of a ``multipart/byteranges`` body.

    Parameters
    ----------
    ranges
        The parts, in this order.
    size
        Bytes of the whole body.
    media
        Media type of the whole body.
    boundary
        Separator; letters and digits that do not occur in the body by chance.
    """

    def __init__(self, ranges: Sequence[ByteRange], size: int, media: str, boundary: str) -> None:
        self.ranges = ranges
        self.content_type = f"multipart/byteranges; boundary={boundary}"
        self.heads = [
            f"{start}--{boundary}\r\nContent-Type: {media}\r\n"
            f"Content-Range: {part.content_range(size)}\r\n\r\n".encode("latin-1")
            for start, part in zip(itertools.chain([""], itertools.repeat("\r\n")), ranges, strict=False)
        ]
        self.closing = f"\r\n--{boundary}--\r\n".encode("latin-1")

    @property
    def length(self) -> int:
        """Bytes of the framed body."""
        return sum(map(len, self.heads)) + sum(part.nbytes for part in self.ranges) + len(self.closing)


def _short(text: str, limit: int = 80) -> str:
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
