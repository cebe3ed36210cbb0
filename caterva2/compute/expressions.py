"""The grammar of expressions: from text to `nodes`, by allow-list. Nothing is evaluated.

Two sieves, one behind the other. The first takes the text apart into numbers,
names, quoted words and operators, and refuses all other characters and the
neighbourhoods that only tricks need. Only then does Python's own parser see
it, and of the tree that it returns each node must be one that is known here.
"""

from __future__ import annotations

import ast
import keyword
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from caterva2.compute.nodes import (
    ARITY,
    DTYPE_SPELLINGS,
    DTYPES,
    ELSEWHERE,
    INDEXING,
    REDUCTIONS,
    SPELLINGS,
    Apply,
    Cast,
    Constant,
    Field,
    Name,
    Node,
    Part,
    Reduce,
)
from caterva2.errors import BadExpression, BadSlice

MAX_TEXT = 2048
MAX_NODES = 256
MAX_DEPTH = 32
MAX_NAME = 64
MAX_INT = 2**63
MAX_EXPONENT = 1024
MAX_AXES = 16
MAX_UNARY_RUN = 8

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![A-Za-z0-9_.'"])
      | (?P<name>[A-Za-z][A-Za-z0-9_]*)(?!['"])
      | (?P<text>'[^'"\\\n]*'|"[^'"\\\n]*")(?!['"A-Za-z0-9_])
      | (?P<dots>\.\.\.)
      | (?P<op>\*\*|//|<<|>>|<=|>=|==|!=|[-+*/%&|^~<>()\[\],:=])
    )""",
    re.VERBOSE | re.ASCII,
)

_IMAGINARY = re.compile(r"\s*[0-9.]+(?:[eE][+-]?[0-9]+)?[jJ](?![A-Za-z0-9_])", re.ASCII)

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide",
    ast.FloorDiv: "floor_divide", ast.Mod: "remainder", ast.Pow: "power", ast.BitAnd: "bitwise_and",
    ast.BitOr: "bitwise_or", ast.BitXor: "bitwise_xor", ast.LShift: "left_shift", ast.RShift: "right_shift",
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], str] = {ast.UAdd: "positive", ast.USub: "negative", ast.Invert: "invert"}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "equal", ast.NotEq: "not_equal", ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater",
    ast.GtE: "greater_equal",
}  # fmt: skip
_FOLD: dict[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "floor_divide": operator.floordiv, "remainder": operator.mod, "positive": operator.pos,
    "negative": operator.neg, "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt,
    "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
}  # fmt: skip


def parse(text: str) -> Node:
    """Parse an expression.

    Raises
    ------
    BadExpression
        It is not in the grammar, or beyond a limit.
    """
    _sieve(text)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as exc:
        raise BadExpression(f"expression {_short(text)} is malformed") from exc
    return _Builder(text).node(tree.body, 0)


def check_name(name: str) -> str:
    """Return `name` if it can name an operand.

    Raises
    ------
    BadExpression
        It can not.
    """
    if (
        not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name, re.ASCII)
        or len(name) > MAX_NAME
        or "__" in name
        or keyword.iskeyword(name)
    ):
        raise BadExpression(
            f"{_short(name)} can not name an operand",
            hint="use letters, digits and _, beginning with a letter",
        )
    return name


def _sieve(text: str) -> None:
    """Refuse characters, words and neighbourhoods that no expression needs."""
    if not text.strip():
        raise BadExpression("the expression is empty")
    if len(text) > MAX_TEXT:
        raise BadExpression(f"the expression has {len(text)} characters; at most {MAX_TEXT} are read")
    if not text.isascii():
        raise BadExpression(f"expression {_short(text)} holds characters that are not ASCII")
    at, end, depth, nodes, run, before = 0, len(text.rstrip()), 0, 0, 0, ""
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or "\n" in found[0] or "\r" in found[0]:
            where = text[at : at + 12].strip()
            if _IMAGINARY.match(text, at):
                raise BadExpression(
                    f"expression {_short(text)} holds an imaginary number at {_short(where)}",
                    hint="there are none; astype(x, complex128) makes items complex",
                )
            raise BadExpression(f"expression {_short(text)} is malformed at {_short(where)}")
        at = found.end()
        token = found[0].strip()
        nodes += token not in {",", ")", "]", ":"}
        run = run + 1 if token in {"-", "+", "~"} else 0
        depth += (token in {"(", "["}) - (token in {")", "]"})
        if depth > MAX_DEPTH or nodes > MAX_NODES or run > MAX_UNARY_RUN:
            raise BadExpression(f"expression {_short(text)} is too long or nested too deeply")
        if found["text"] and before != "[" and before != ",":
            raise BadExpression(f"expression {_short(text)} holds quoted text where none may stand")
        before = token
        if found["name"]:
            _check_word(token, text)
        if found["number"] and len(token) > 40:
            raise BadExpression(f"expression {_short(text)} holds a number of {len(token)} characters")


def _check_word(word: str, text: str) -> None:
    if word in {"True", "False", "None"}:
        return
    if keyword.iskeyword(word):
        hint = {"and": "write &", "or": "write |", "not": "write ~"}.get(word)
        raise BadExpression(f"expression {_short(text)} holds the word {word!r}", hint=hint)
    if "__" in word or len(word) > MAX_NAME:
        raise BadExpression(f"expression {_short(text)} holds the name {_short(word)}")


class _Builder:
    """Makes nodes from Python's tree, each kind by its own method; others are refused."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._count = 0

    def _refuse(self, what: str, hint: str | None = None) -> BadExpression:
        return BadExpression(f"expression {_short(self._text)}: {what}", hint=hint)

    def node(self, tree: ast.expr, depth: int) -> Node:
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_NODES:
            raise self._refuse("it is too long or nested too deeply")
        deeper = depth + 1
        if isinstance(tree, ast.Constant):
            return self._constant(tree)
        if isinstance(tree, ast.Name):
            return Name(check_name(tree.id))
        if isinstance(tree, ast.BinOp) and type(tree.op) in _BINARY:
            return self._binary(_BINARY[type(tree.op)], tree.left, tree.right, deeper)
        if isinstance(tree, ast.UnaryOp) and type(tree.op) in _UNARY:
            return self._apply(_UNARY[type(tree.op)], [self.node(tree.operand, deeper)])
        if isinstance(tree, ast.Compare):
            if len(tree.ops) != 1 or type(tree.ops[0]) not in _COMPARE:
                raise self._refuse("comparisons have two sides", hint="join them by &, in parentheses")
            return self._binary(_COMPARE[type(tree.ops[0])], tree.left, tree.comparators[0], deeper)
        if isinstance(tree, ast.Call):
            return self._call(tree, deeper)
        if isinstance(tree, ast.Subscript):
            return self._subscript(tree, deeper)
        raise self._refuse(f"{type(tree).__name__} is not in the grammar")

    def _constant(self, tree: ast.Constant) -> Node:
        value = tree.value
        if isinstance(value, bool | int | float):
            return self._number(value)
        raise self._refuse(f"{_short(repr(value))} may not stand here")

    def _number(self, value: bool | int | float) -> Constant:
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refuse("a number is too large")
        if not isinstance(value, float) and not -MAX_INT <= value < 2 * MAX_INT:
            raise self._refuse("a number is too large")
        return Constant(value)

    def _binary(self, function: str, left: ast.expr, right: ast.expr, depth: int) -> Node:
        return self._apply(function, [self.node(left, depth), self.node(right, depth)])

    def _apply(self, function: str, args: Sequence[Node]) -> Node:
        if function == "power" and isinstance(args[1], Constant) and abs(args[1].value) > MAX_EXPONENT:
            raise self._refuse(f"an exponent is larger than {MAX_EXPONENT}")
        if not args or not all(isinstance(arg, Constant) for arg in args):
            return Apply(function, tuple(args))
        values = [arg.value for arg in args if isinstance(arg, Constant)]
        if function in {"left_shift", "right_shift", "bitwise_and", "bitwise_or", "bitwise_xor", "invert"}:
            raise self._refuse("numbers alone have no bits", hint="use an operand on one side")
        try:
            if function == "power":
                return self._number(_small_power(*values))
            if function in _FOLD:
                return self._number(_FOLD[function](*values))
        except (ArithmeticError, ValueError) as exc:
            raise self._refuse("numbers that can not be computed with") from exc
        return Apply(function, tuple(args))

    def _call(self, tree: ast.Call, depth: int) -> Node:
        if not isinstance(tree.func, ast.Name):
            raise self._refuse("only functions of the grammar can be called")
        name = SPELLINGS.get(tree.func.id, tree.func.id)
        if name == "astype":
            return self._cast(tree, depth)
        if name in REDUCTIONS:
            return self._reduce(name, tree, depth)
        if name == "count_nonzero":
            return self._reduce(name, tree, depth)
        if name in ELSEWHERE:
            raise self._refuse(f"there is no function {name}", hint=ELSEWHERE[name])
        if name not in ARITY:
            raise self._refuse(f"there is no function {tree.func.id!r}")
        if tree.keywords or len(tree.args) != ARITY[name]:
            raise self._refuse(f"{tree.func.id} takes {ARITY[name]} arguments")
        return self._apply(name, [self.node(arg, depth) for arg in tree.args])

    def _cast(self, tree: ast.Call, depth: int) -> Node:
        if tree.keywords or len(tree.args) != 2:
            raise self._refuse("astype takes an array and a dtype")
        arg, goal = tree.args
        dtype: object = None
        if isinstance(goal, ast.Name):
            dtype = goal.id
        elif isinstance(goal, ast.Constant):
            dtype = goal.value
        if isinstance(dtype, str):
            dtype = DTYPE_SPELLINGS.get(dtype.removeprefix("<").removeprefix("="), dtype)
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise self._refuse("astype needs a dtype", hint=f"one of {', '.join(sorted(DTYPES))}")
        return Cast(self._array(arg, depth), dtype)

    def _array(self, tree: ast.expr, depth: int) -> Node:
        node = self.node(tree, depth)
        if isinstance(node, Constant):
            raise self._refuse("a number stands where an array is needed")
        return node

    def _reduce(self, name: str, tree: ast.Call, depth: int) -> Node:
        found: dict[str, object] = {}
        if not 1 <= len(tree.args) <= 2:
            raise self._refuse(f"{name} takes an array, axis and keepdims")
        if len(tree.args) == 2:
            found["axis"] = self._axis(tree.args[1])
        allowed = {"axis", "keepdims", "ddof"} if name in {"std", "var"} else {"axis", "keepdims"}
        for given in tree.keywords:
            if given.arg not in allowed or given.arg in found:
                raise self._refuse(f"{name} has no argument {given.arg!r} here")
            found[given.arg] = self._axis(given.value) if given.arg == "axis" else self._plain(given.value)
        keepdims, ddof, axis = found.get("keepdims", False), found.get("ddof", 0), found.get("axis")
        if not isinstance(keepdims, bool) or isinstance(ddof, bool) or not isinstance(ddof, int):
            raise self._refuse("keepdims is True or False, ddof an integer")
        if not 0 <= ddof <= 16:
            raise self._refuse("ddof is too large")
        assert axis is None or isinstance(axis, tuple)
        array = self._array(tree.args[0], depth)
        if name == "count_nonzero":
            return Reduce("sum", Apply("not_equal", (array, Constant(0))), axis, keepdims)
        if name in INDEXING and axis is not None and len(axis) != 1:
            raise self._refuse(f"{name} takes one axis, or none")
        return Reduce(name, array, axis, keepdims, ddof)

    def _plain(self, tree: ast.expr) -> object:
        if isinstance(tree, ast.Constant) and isinstance(tree.value, bool | int):
            return tree.value
        raise self._refuse("keepdims is True or False, ddof an integer")

    def _axis(self, tree: ast.expr) -> tuple[int, ...] | None:
        if isinstance(tree, ast.Constant) and tree.value is None:
            return None
        parts = tree.elts if isinstance(tree, ast.Tuple) else [tree]
        if len(parts) > MAX_AXES:
            raise self._refuse("too many axes")
        return tuple(self._index(part) for part in parts)

    def _index(self, tree: ast.expr) -> int:
        sign = 1
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            sign, tree = -1, tree.operand
        if isinstance(tree, ast.Constant) and type(tree.value) is int and tree.value < MAX_INT:
            return sign * tree.value
        raise self._refuse("an index or axis is an integer, written out")

    def _subscript(self, tree: ast.Subscript, depth: int) -> Node:
        if isinstance(tree.slice, ast.Constant) and isinstance(tree.slice.value, str):
            node = self.node(tree.value, depth)
            if not isinstance(node, Name | Field | Part) or not tree.slice.value:
                raise self._refuse("only operands have fields")
            return Field(node, tree.slice.value)
        node = self._array(tree.value, depth)
        items = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
        if not 0 < len(items) <= MAX_AXES:
            raise self._refuse("too many axes in a slice")
        text = ",".join(self._item(item) for item in items)
        part = Part(node, text)
        try:
            _ = part.items
        except BadSlice as exc:
            raise self._refuse(exc.message, exc.hint) from exc
        return part

    def _item(self, tree: ast.expr) -> str:
        if isinstance(tree, ast.Constant) and tree.value is Ellipsis:
            return "..."
        if isinstance(tree, ast.Slice):
            bounds = [
                "" if bound is None else str(self._index(bound))
                for bound in (tree.lower, tree.upper, tree.step)
            ]
            return ":".join(bounds if bounds[2] else bounds[:2])
        return str(self._index(tree))


def _small_power(base: float, exponent: float) -> float:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and abs(base) > 1 and abs(exponent) * int(base).bit_length() > 1024:
        raise OverflowError
    result = base**exponent
    if isinstance(result, complex):
        raise ArithmeticError("a root of a negative number")  # noqa: TRY004 (of the value, not of the caller)
    return float(result) if isinstance(result, float) else int(result)


def _short(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else text[: limit - 1] + "\u2026")
