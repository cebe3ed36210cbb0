"""Expressions as people write them in a cell: which datasets, paths and numbers stand in them. No I/O.

Names of the notebook and quoted paths are operands; numbers of the notebook
are written out. What is left is an expression of the server's grammar, which
checks it.
"""

from __future__ import annotations

import keyword
import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from caterva2.client.tree import Dataset, File
from caterva2.errors import BadExpression

_TOKEN = re.compile(
    r"""(?P<blank>\s+|\#[^\n]*)
      | (?P<text>'[^'\\\n]*'|"[^"\\\n]*")
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)*)
      | (?P<other>\*\*|//|<<|>>|<=|>=|==|!=|.)""",
    re.VERBOSE,
)
_GOOD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_PREFIXES = ("np.", "numpy.", "blosc2.")
MAX_NAME = 64
LARGEST = sys.float_info.max


@dataclass
class Expression:
    """An expression, and what its names stand for.

    Attributes
    ----------
    text
        In the server's grammar, on one line.
    operands
        Paths by variable.
    urlbases
        Addresses of the servers where operands that are datasets lie.
    """

    text: str = ""
    operands: dict[str, str] = field(default_factory=dict)
    urlbases: set[str] = field(default_factory=set)


def read_expression(text: str, namespace: Mapping[str, object]) -> Expression:
    """Find the operands of an expression.

    A name is an operand if it stands for a dataset or a path in `namespace`; a number
    there is written out. Quoted text is the path of an operand, unless it follows ``[``
    (it names a field) or is the type in ``astype(x, "float32")``. ``np.`` in front of a
    function is dropped, and so are comments and line ends.

    Raises
    ------
    BadExpression
        A name stands for nothing, or for nothing that the server could compute with.
    """
    found = Expression()
    parts: list[str] = []
    tokens = list(_tokens(text))
    names = {token for kind, token in tokens if kind == "name"}
    for at, (kind, token) in enumerate(tokens):
        before = tokens[at - 1][1] if at else ""
        after = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "text":
            parts.append(_quoted(token, before, found, names))
        elif kind == "name":
            parts.append(_named(token, after, namespace, found, names))
        else:
            parts.append(token)
    found.text = " ".join(parts)
    if not found.text:
        raise BadExpression("the expression is empty", hint='write one, such as a + 2*sin("foo/b.b2nd")')
    return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind != "blank":
            yield kind, re.sub(r"\s", "", match[0]) if kind == "name" else match[0]


def _quoted(token: str, before: str, found: Expression, names: set[str]) -> str:
    inner = token[1:-1]
    is_path = "/" in inner
    if before == "[" or (before == "," and not is_path):
        return token
    if not is_path:
        raise BadExpression(f"expected the path of a dataset, such as 'foo/ds.b2nd', found {token}")
    return _variable(inner, None, found, names)


def _named(
    token: str, after: str, namespace: Mapping[str, object], found: Expression, names: set[str]
) -> str:
    prefix = next((p for p in _PREFIXES if token.startswith(p)), "")
    name = token.removeprefix(prefix)
    if prefix and after != "(":
        constant = {"pi": math.pi, "e": math.e}.get(name)
        if constant is None:
            raise BadExpression(f"expected a function behind {prefix!r}, found {name!r}")
        return repr(constant)
    if "." in name:
        raise BadExpression(
            f"{token!r} has a dot in it, which expressions do not know",
            hint="give the dataset a name of its own in the notebook",
        )
    if after in {"(", "="} or name in {"True", "False", "None"}:
        return name
    if keyword.iskeyword(name):
        hint = {"and": "write &", "or": "write |", "not": "write ~"}.get(name)
        raise BadExpression(f"expressions do not know the word {name!r}", hint=hint)
    if name not in namespace:
        raise BadExpression(
            f"there is no variable {name!r} in this notebook",
            hint='a dataset can also be written as its quoted path, such as "foo/ds.b2nd"',
        )
    return _value(name, namespace[name], found, names)


def _value(name: str, value: object, found: Expression, names: set[str]) -> str:
    if isinstance(value, Dataset):
        found.urlbases.add(value.urlbase)
        return _variable(str(value.path), name, found, names)
    if isinstance(value, File):
        raise BadExpression(f"{name!r} is {value!r}, which is no array")
    if isinstance(value, str | PurePath):
        path = value if isinstance(value, str) else value.as_posix()
        if "/" not in path:
            raise BadExpression(f"expected {name!r} to be the path of a dataset, found {path!r}")
        return _variable(path, name, found, names)
    number = _number(value)
    if number is None:
        raise BadExpression(
            f"expected {name!r} to be a dataset, a path or a number, found {type(value).__name__}",
            hint="%caterva2 put stores an array in an area",
        )
    return number


def _number(value: object) -> str | None:
    """Return a number as it is written in an expression."""
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value
    # More digits than any of the server's numbers has are none; Python would refuse to write some of them.
    if not isinstance(plain, bool | int | float) or not abs(plain) <= LARGEST:
        return None
    text = repr(plain)
    return f"({text})" if text.startswith("-") else text


def _variable(path: str, wanted: str | None, found: Expression, names: set[str]) -> str:
    """Return the variable of an operand: its own name if the grammar takes it."""
    for variable, other in found.operands.items():
        if other == path:
            return variable
    if wanted is not None and _is_good(wanted):
        name = wanted
    else:
        n = len(found.operands)
        while (name := f"d{n}") in names or name in found.operands:
            n += 1
    found.operands[name] = path
    return name


def _is_good(name: str) -> bool:
    return bool(_GOOD_NAME.fullmatch(name)) and "__" not in name and len(name) <= MAX_NAME
