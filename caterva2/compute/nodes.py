"""What an expression consists of, and the functions that it may call. Data only: nothing here evaluates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from caterva2.model.slicing import NDSlice


class Constant(msgspec.Struct, frozen=True, tag="c"):
    """A number or truth value written in the text; it adapts to the arrays that it meets."""

    value: bool | int | float


class Name(msgspec.Struct, frozen=True, tag="n"):
    """An operand."""

    name: str


class Apply(msgspec.Struct, frozen=True, tag="a"):
    """An element-wise function of `FUNCTIONS`."""

    function: str
    args: tuple[Node, ...]


class Cast(msgspec.Struct, frozen=True, tag="t"):
    """Items converted to another type."""

    arg: Node
    dtype: str


class Field(msgspec.Struct, frozen=True, tag="f"):
    """One field of a structured operand."""

    arg: Node
    name: str


class Part(msgspec.Struct, frozen=True, tag="s"):
    """A slice; `text` is the form of `NDSlice`."""

    arg: Node
    text: str

    @property
    def items(self) -> NDSlice:
        """The slice."""
        return NDSlice.parse(self.text, allow_ellipsis=True)


class Reduce(msgspec.Struct, frozen=True, tag="r"):
    """A reduction over some axes (None: all)."""

    function: str
    arg: Node
    axis: tuple[int, ...] | None = None
    keepdims: bool = False
    ddof: int = 0


class Leaf(msgspec.Struct, frozen=True, tag="l"):
    """Input number `index` of a kernel; takes the place of names, fields, slices and reductions."""

    index: int


Node: TypeAlias = Constant | Name | Apply | Cast | Field | Part | Reduce | Leaf


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNARY = _words(
    "sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh exp expm1 log log2 log10 log1p"
    " sqrt square reciprocal absolute negative positive sign signbit floor ceil trunc rint round conjugate"
    " real imag isnan isinf isfinite logical_not invert"
)
BINARY = _words(
    "add subtract multiply divide floor_divide remainder power minimum maximum fmin fmax arctan2 hypot"
    " copysign nextafter logaddexp equal not_equal less less_equal greater greater_equal logical_and"
    " logical_or logical_xor bitwise_and bitwise_or bitwise_xor left_shift right_shift"
)
TERNARY = frozenset({"where", "clip"})
REDUCTIONS = frozenset({"sum", "prod", "min", "max", "mean", "std", "var", "any", "all", "argmin", "argmax"})
INDEXING = frozenset({"argmin", "argmax"})
"""Reductions whose result is where an item lies."""

SPELLINGS = {
    "abs": "absolute", "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh",
    "atan": "arctan", "atanh": "arctanh", "atan2": "arctan2", "conj": "conjugate",
    "pow": "power", "mod": "remainder", "bitwise_invert": "invert", "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift", "true_divide": "divide", "amin": "min", "amax": "max",
}  # fmt: skip
"""Other names of functions, as the array API and older NumPy have them."""

ARITY = {**dict.fromkeys(UNARY, 1), **dict.fromkeys(BINARY, 2), **dict.fromkeys(TERNARY, 3)}
"""Arguments of each element-wise function."""

DTYPES = frozenset({
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
})  # fmt: skip
"""What items may be cast to."""

DTYPE_SPELLINGS = {
    "?": "bool", "b1": "bool", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "u1": "uint8",
    "u2": "uint16", "u4": "uint32", "u8": "uint64", "f2": "float16", "f4": "float32", "f8": "float64",
    "c8": "complex64", "c16": "complex128",
}  # fmt: skip
"""Their short names."""

ELSEWHERE = {
    **dict.fromkeys(
        ("cumulative_sum", "cumulative_prod", "cumsum", "cumprod"),
        "each item of a running total needs all before it, so that no slice could be computed alone",
    ),
    **dict.fromkeys(("contains", "startswith", "endswith", "lower", "upper"), "text is not computed with"),
    "broadcast_to": "arrays are broadcast where they meet others",
    "concat": "make the joined dataset with /api/concat/, and use it as an operand",
    "stack": "make the joined dataset with /api/stack/, and use it as an operand",
}
"""Functions that people know from Blosc2 and look for in vain, and why there are none."""


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes right below a node."""
    if isinstance(node, Apply):
        return node.args
    if isinstance(node, Cast | Field | Part | Reduce):
        return (node.arg,)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(children(node))


def names(node: Node) -> list[str]:
    """Return the names of the operands that are used, sorted."""
    return sorted({found.name for found in walk(node) if isinstance(found, Name)})
