"""Text of a dtype, as Blosc2 stores it, to ``numpy.dtype`` and back; nothing is evaluated."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np

from caterva2.errors import BrokenDataset

MAX_TEXT = 65_536
MAX_ITEMSIZE = 1 << 27
_SIMPLE = re.compile(
    r"[<>|=]?(?:[biufcSUVO][0-9]{0,9}|[mM]8?(?:\[[0-9]{0,6}[A-Za-z]{1,2}\])?|[?])|[a-z]{3,11}[0-9]{0,3}"
    r"|(?:datetime|timedelta)64\[[0-9]{0,6}[A-Za-z]{1,2}\]"
)
_KINDS = frozenset("biufcSUmMV")


def parse_dtype(text: str) -> np.dtype[Any]:
    """Parse the text of a dtype that came from a file or over the wire.

    Raises
    ------
    BrokenDataset
        It is not a dtype, is too large, or holds Python objects.
    """
    if len(text) > MAX_TEXT:
        raise BrokenDataset(f"the dtype has {len(text)} characters; at most {MAX_TEXT} are read")
    try:
        if _SIMPLE.fullmatch(text):
            dtype = np.dtype(text)
        elif text[:1] in {"[", "{", "("}:
            dtype = np.dtype(ast.literal_eval(text))
        else:
            raise ValueError("unknown spelling")
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, KeyError, OverflowError) as exc:
        raise BrokenDataset(f"the dtype {text[:60]!r} is not understood") from exc
    _check_kinds(dtype)
    if dtype.itemsize > MAX_ITEMSIZE:
        raise BrokenDataset(f"the dtype has {dtype.itemsize} bytes an item; at most {MAX_ITEMSIZE} are read")
    return dtype


def _check_kinds(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject or dtype.kind not in _KINDS:
        raise BrokenDataset(f"the dtype {str(dtype)[:60]!r} holds Python objects, which are not served")
    if dtype.subdtype is not None:
        _check_kinds(dtype.subdtype[0])
    for name in dtype.names or ():
        _check_kinds(dtype.fields[name][0])  # type: ignore[index]
