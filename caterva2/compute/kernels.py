"""Evaluating kernels: trees of element-wise functions over arrays, by NumPy's ufuncs; and partial reductions.

CPU-bound; arrays in, arrays out. Only names in `caterva2.compute.nodes` can be
called; there is no text here that could be more.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from caterva2.compute.nodes import BINARY, INDEXING, UNARY, Apply, Cast, Constant, Leaf, Node
from caterva2.errors import BadExpression

Array = npt.NDArray[Any]

TILE_ITEMS = 64 << 10
"""Kernels are evaluated in tiles of about so many items, so that what is between stays in the cache."""

# The operator squares where np.power multiplies; what it does is what people mean by "NumPy's rules".
_SPECIAL: dict[str, Callable[..., Any]] = {
    "power": operator.pow,
    "where": np.where, "clip": np.clip, "real": np.real, "imag": np.imag, "round": np.round,
}  # fmt: skip
CALLS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in UNARY | BINARY if name not in _SPECIAL},
    **_SPECIAL,
}


def evaluate(node: Node, leaves: Sequence[Array]) -> Any:  # noqa: ANN401 (an array or a NumPy scalar)
    """Evaluate a kernel on whole arrays, with NumPy's rules.

    Raises
    ------
    BadExpression
        NumPy has no such operation for these types.
    """
    try:
        with np.errstate(all="ignore"):
            return _evaluate(node, leaves)
    except (TypeError, ValueError, OverflowError, MemoryError) as exc:
        reason = str(exc).partition("\n")[0] or type(exc).__name__
        raise BadExpression(f"the expression can not be evaluated: {reason[:200]}") from exc


def evaluate_into(out: Array, node: Node, leaves: Sequence[Array]) -> None:
    """Evaluate a kernel in tiles along the first axis.

    Parameters
    ----------
    out
        (n, ...) of the result; changed in place.
    leaves
        Arrays that broadcast to the shape of `out`.

    Raises
    ------
    BadExpression
        As `evaluate`.
    """
    if out.ndim == 0 or out.size <= TILE_ITEMS:
        out[...] = evaluate(node, leaves)
        return
    rows = max(1, TILE_ITEMS * len(out) // out.size)
    for at in range(0, len(out), rows):
        tiles = [
            leaf[at : at + rows] if leaf.ndim == out.ndim and len(leaf) != 1 else leaf for leaf in leaves
        ]
        target = out[at : at + rows]
        if rows == 1 and target.size > TILE_ITEMS and out.ndim > 1:
            evaluate_into(target[0], node, [t[0] if t.ndim == out.ndim else t for t in tiles])
        else:
            target[...] = evaluate(node, tiles)


def _evaluate(node: Node, leaves: Sequence[Array]) -> Any:  # noqa: ANN401
    if isinstance(node, Leaf):
        return leaves[node.index]
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Apply):
        return CALLS[node.function](*[_evaluate(arg, leaves) for arg in node.args])
    if isinstance(node, Cast):
        items, dtype = np.asarray(_evaluate(node.arg, leaves)), np.dtype(node.dtype)
        if items.dtype.kind == "c" and dtype.kind in "iuf":
            items = items.real  # what NumPy does, which warns
        return items.astype(dtype)
    raise BadExpression(f"{type(node).__name__} can not stand in a kernel")


# reductions


def partial(function: str, items: Array, axes: tuple[int, ...]) -> list[Array]:
    """Reduce one part of an array over `axes`, which stay with length 1; `merge` joins parts."""
    with np.errstate(all="ignore"):
        if function in {"sum", "prod", "min", "max", "any", "all"}:
            if items.dtype == np.float16 and function in {"sum", "prod"}:  # as NumPy adds up within a call
                items = items.astype(np.float32)
            return [np.asarray(getattr(np, function)(items, axis=axes, keepdims=True))]
        if function in INDEXING:
            return _place(function, items, axes)
        wide = np.complex128 if items.dtype.kind == "c" else np.float64
        count = np.array(_count(items, axes), np.float64)
        if function == "mean":
            return [np.asarray(np.sum(items, axis=axes, keepdims=True, dtype=wide)), count]
        mean = np.asarray(np.mean(items, axis=axes, keepdims=True, dtype=wide))
        spread = items - mean
        square = spread.real**2 + spread.imag**2 if spread.dtype.kind == "c" else spread * spread
        return [mean, count, np.asarray(np.sum(square, axis=axes, keepdims=True, dtype=np.float64))]


def _place(function: str, items: Array, axes: tuple[int, ...]) -> list[Array]:
    """Return the chosen items, and where they lie: flat indices along `axes`."""
    order = [i for i in range(items.ndim) if i not in axes]
    kept = [1 if i in axes else n for i, n in enumerate(items.shape)]
    rows = items.transpose([*order, *axes]).reshape([*(items.shape[i] for i in order), -1])
    places = np.asarray(getattr(np, function)(rows, axis=-1, keepdims=True))
    return [np.take_along_axis(rows, places, -1).reshape(kept), places.reshape(kept).astype(np.int64)]


def moved_places(
    places: Array, lengths: Sequence[int], starts: Sequence[int], totals: Sequence[int]
) -> Array:
    """Return flat indices in a part as those in the whole.

    Parameters
    ----------
    lengths, starts, totals
        (n,) Of the part, where it begins, and of the whole, along the reduced axes.
    """
    inner = np.unravel_index(places, tuple(lengths))
    moved = [index + start for index, start in zip(inner, starts, strict=True)]
    return np.asarray(np.ravel_multi_index(tuple(moved), tuple(totals)), np.int64)


def _first_place(function: str, first: list[Array], second: list[Array]) -> list[Array]:
    """Choose between the items of two parts as NumPy would: NaN before all, then the lower index."""
    a, b = first[0], second[0]
    better = (b < a) if function == "argmin" else (b > a)
    if a.dtype.kind in "fc":
        better = np.where(np.isnan(a) | np.isnan(b), np.isnan(b) & ~np.isnan(a), better)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
    else:
        same = a == b
    better = better | (same & (second[1] < first[1]))
    return [np.where(better, b, a), np.where(better, second[1], first[1])]


def merge(function: str, first: list[Array], second: list[Array]) -> list[Array]:
    """Join the partial reductions of two parts."""
    with np.errstate(all="ignore"):
        joined: dict[str, Callable[[Array, Array], Array]] = {
            "sum": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum,
            "any": np.logical_or, "all": np.logical_and,
        }  # fmt: skip
        if function in joined:
            return [np.asarray(joined[function](first[0], second[0]))]
        if function in INDEXING:
            return _first_place(function, first, second)
        total = first[1] + second[1]
        if function == "mean":
            return [first[0] + second[0], total]
        step = second[0] - first[0]
        # Not mean + step * share: infinities that meet must give what NumPy gives.
        mean = (first[0] * first[1] + second[0] * second[1]) / total
        across = (step * np.conjugate(step)).real * (first[1] * second[1] / total)
        return [mean, total, first[2] + second[2] + across]


def finish(function: str, parts: list[Array], dtype: np.dtype[Any], ddof: int) -> Array:
    """Return the reduction from its joined parts."""
    with np.errstate(all="ignore"):
        if function in {"std", "var"}:
            result = parts[2] / np.maximum(parts[1] - ddof, 0)
            result = np.sqrt(result) if function == "std" else result
        elif function == "mean":
            result = parts[0] / parts[1]
        elif function in INDEXING:
            result = parts[1]
        else:
            result = parts[0]
        return np.asarray(result).astype(dtype)


def _count(items: Array, axes: tuple[int, ...]) -> int:
    count = 1
    for axis in axes:
        count *= items.shape[axis]
    return count
