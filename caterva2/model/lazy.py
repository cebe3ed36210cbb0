"""Lazy datasets as they are stored: a definition in words of our own; reading one runs nothing."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from caterva2.errors import BrokenDataset

MARK = b'{"caterva2":"lazy-1"'
"""How the file of a lazy dataset begins."""
MAX_BYTES = 256 << 10
"""Longest file of a lazy dataset."""

Operation: TypeAlias = Literal["expression", "concat", "stack"]


class Lazy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Definition of a dataset that is computed when it is read.

    Attributes
    ----------
    operation
        ``expression``: evaluate `expression`; ``concat``, ``stack``: join all operands along `axis`.
    operands
        Paths, in the spelling of clients, by their names in the expression; in the order of joining.
    owner
        Id of the user whose ``@personal`` the operands mean; None if there is no user.
    shape, chunks, blocks
        Lengths (ndim,) in items, when this was defined.
    dtype
        Text of the items' type, when this was defined.
    """

    caterva2: Literal["lazy-1"] = "lazy-1"
    operation: Operation
    expression: str = ""
    operands: dict[str, str]
    axis: int = 0
    owner: str | None = None
    shape: tuple[int, ...] = ()
    chunks: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    dtype: str = "float64"


def sized(
    lazy: Lazy, *, shape: tuple[int, ...], chunks: tuple[int, ...], blocks: tuple[int, ...], dtype: str
) -> Lazy:
    """Return a definition that says what comes of it."""
    return msgspec.structs.replace(lazy, shape=shape, chunks=chunks, blocks=blocks, dtype=dtype)


def encode_lazy(lazy: Lazy) -> bytes:
    """Return the bytes of a definition's file."""
    return msgspec.json.encode(lazy)


def decode_lazy(data: bytes) -> Lazy:
    """Read a definition.

    Raises
    ------
    BrokenDataset
        It is none.
    """
    if not data.startswith(MARK) or len(data) > MAX_BYTES:
        raise BrokenDataset("the file is not the definition of a lazy dataset")
    try:
        return msgspec.json.decode(data, type=Lazy)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise BrokenDataset(f"the definition of the lazy dataset can not be read: {exc}") from exc
