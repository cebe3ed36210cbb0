"""Reading ``multipart/form-data`` as it arrives: the one part that matters, piece by piece."""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

from caterva2.errors import BadRequest, ValidationFailed

MAX_HEAD = 16 << 10
"""Longest header of a part, in bytes."""
MAX_PARTS = 32

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;,"]{1,200}))', re.IGNORECASE)
_NAME = re.compile(r';\s*name="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_FILENAME = re.compile(r';\s*filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_EXTENDED = re.compile(r";\s*filename\*=utf-8''([^;\s]+)", re.IGNORECASE)


class _At(enum.Enum):
    """Where a body is."""

    PREAMBLE, HEAD, WANTED, OTHER, END = range(5)


class Piece(NamedTuple):
    """Something of the wanted part: its file name first, then its bytes, then the end."""

    filename: str | None = None
    data: bytes | None = None
    is_end: bool = False


class MultipartReader:
    """Takes a body apart; memory for one boundary and one header.

    Parameters
    ----------
    content_type
        Header of the request.
    name
        Of the part that is wanted; all others are passed over.

    Raises
    ------
    ValidationFailed
        The body is not multipart.
    """

    def __init__(self, content_type: str, name: str = "file") -> None:
        found = _BOUNDARY.search(content_type)
        if not content_type.lower().startswith("multipart/form-data") or found is None:
            raise missing(f"the body is {content_type or 'nothing'!r}, not multipart/form-data", name)
        self._name = name
        self._delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
        self._held = bytearray(b"\r\n")
        self._at = _At.PREAMBLE
        self._nparts = 0
        self.found = False
        """The wanted part has begun."""
        self.complete = False
        """The wanted part has ended."""

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes, and return what they bring.

        Raises
        ------
        BadRequest
            The body is malformed.
        """
        self._held += data
        pieces: list[Piece] = []
        while self._step(pieces):
            pass
        return pieces

    def _step(self, pieces: list[Piece]) -> bool:
        held = self._held
        if self._at is _At.END:
            held.clear()
            return False
        if self._at is _At.HEAD:
            return self._read_head(pieces)
        at = held.find(self._delimiter)
        if at < 0:
            ready = max(0, len(held) - len(self._delimiter) - 4)
            if ready and self._at is _At.WANTED:
                pieces.append(Piece(data=bytes(held[:ready])))
            del held[:ready]
            return False
        end = at + len(self._delimiter)
        if len(held) < end + 2:
            return False
        if self._at is _At.WANTED:
            if at:
                pieces.append(Piece(data=bytes(held[:at])))
            pieces.append(Piece(is_end=True))
            self.complete = True
        follows = bytes(held[end : end + 2])
        del held[:end]
        self._at = _At.END if follows == b"--" else _At.HEAD
        return True

    def _read_head(self, pieces: list[Piece]) -> bool:
        held = self._held
        at = held.find(b"\r\n\r\n")
        if at < 0:
            if len(held) > MAX_HEAD:
                raise BadRequest(f"a part of the body has a header of more than {MAX_HEAD} bytes")
            return False
        head = bytes(held[:at]).decode("utf-8", "replace")
        del held[: at + 4]
        self._nparts += 1
        if self._nparts > MAX_PARTS:
            raise BadRequest(f"the body has more than {MAX_PARTS} parts")
        name = _NAME.search(head)
        if name is None or name[1] != self._name or self.found:
            self._at = _At.OTHER
        else:
            self.found = True
            self._at = _At.WANTED
            pieces.append(Piece(filename=_filename(head)))
        return True


def missing(message: str, name: str = "file") -> ValidationFailed:
    """Return the error for a body without the wanted part."""
    return ValidationFailed(message, problems=((("body", name), message, None),))


def _filename(head: str) -> str:
    from urllib.parse import unquote

    extended = _EXTENDED.search(head)
    if extended is not None:
        return unquote(extended[1])
    plain = _FILENAME.search(head)
    if plain is None:
        return ""
    # Browsers and httpx encode quotes as %22; others use a backslash.
    return re.sub(r"\\(.)", r"\1", plain[1]).replace("%22", '"')
