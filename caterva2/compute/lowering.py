"""From an expression to a plan: stages, each a kernel over windows of operands and of earlier stages.

Shape, dtype and cost of every stage are known here, before any item is read:
dtypes by evaluating the kernel on arrays without items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caterva2.compute.codec import Geometry, answer_geometry
from caterva2.compute.frames import ArrayMeta
from caterva2.compute.kernels import Array, evaluate
from caterva2.compute.nodes import Apply, Cast, Constant, Field, Leaf, Name, Node, Part, Reduce
from caterva2.errors import BadExpression, BadSlice
from caterva2.model.slicing import Axis, NDSlice, Window

MAX_NDIM = 16
MAX_RESULT = 1 << 40
"""Bytes that a result may have."""
MAX_STAGE = 1 << 42
"""Bytes that may be computed for a result, reductions and all."""
MAX_ITEMSIZE = 64 << 10
KEPT_CHUNK = 16 << 20
"""A result has the chunks of an operand of its shape, if they have at most so many bytes."""

STATED_NUMERIC = frozenset("biufc")


@dataclass(frozen=True)
class Source:
    """What a leaf reads: a window of an operand (by name) or of an earlier stage (by number)."""

    origin: str | int
    fields: tuple[str, ...]
    window: Window


@dataclass(frozen=True)
class Reduction:
    """A reduction over `axes` (normalised) at the end of a stage."""

    function: str
    axes: tuple[int, ...]
    keepdims: bool
    ddof: int


@dataclass(frozen=True)
class Stage:
    """A kernel over sources, perhaps reduced.

    Attributes
    ----------
    inner
        Shape (n,) of the kernel's result, before it is reduced.
    inner_dtype
        Its dtype.
    array
        Shape, chunks, blocks and dtype of the stage's result.
    """

    kernel: Node
    sources: tuple[Source, ...]
    source_dtypes: tuple[np.dtype[Any], ...]
    source_itemsizes: tuple[int, ...]
    inner: tuple[int, ...]
    inner_dtype: np.dtype[Any]
    reduction: Reduction | None
    array: ArrayMeta


@dataclass(frozen=True)
class Plan:
    """Stages in the order in which they depend on one another; the last is the result."""

    stages: tuple[Stage, ...]

    @property
    def array(self) -> ArrayMeta:
        """Shape, chunks, blocks and dtype of the result."""
        return self.stages[-1].array


def lower(node: Node, operands: Mapping[str, ArrayMeta]) -> Plan:
    """Plan an expression over operands.

    Raises
    ------
    BadExpression
        A name has no operand; shapes or types do not fit; the result is beyond a limit.
    """
    lowering = _Lowering(operands)
    lowering.finish(lowering.typed(node))
    return Plan(tuple(lowering.stages))


@dataclass(frozen=True)
class _Typed:
    """An element-wise tree over sources, with its shape."""

    node: Node
    sources: tuple[Source, ...]
    shape: tuple[int, ...]


class _Lowering:
    def __init__(self, operands: Mapping[str, ArrayMeta]) -> None:
        self._operands = operands
        self.stages: list[Stage] = []

    def typed(self, node: Node) -> _Typed:
        if isinstance(node, Constant):
            return _Typed(node, (), ())
        if isinstance(node, Name):
            array = self._operand(node.name)
            whole = Window(tuple(Axis(0, n) for n in array.shape))
            return _Typed(Leaf(0), (Source(node.name, (), whole),), array.shape)
        if isinstance(node, Field):
            return self._field(node)
        if isinstance(node, Cast):
            inner = self.typed(node.arg)
            return _Typed(Cast(inner.node, node.dtype), inner.sources, inner.shape)
        if isinstance(node, Part):
            return _sliced(self.typed(node.arg), node.items)
        if isinstance(node, Apply):
            return self._apply(node)
        if isinstance(node, Reduce):
            return self._reduce(node)
        raise BadExpression(f"{type(node).__name__} can not be planned")

    def finish(self, typed: _Typed, reduction: Reduction | None = None) -> int:
        """Make a stage of a tree; return its number."""
        dtypes = tuple(self._dtype(source) for source in typed.sources)
        itemsizes = tuple(self._source_array(source).dtype.itemsize for source in typed.sources)
        empties = [np.empty((0,), dtype) for dtype in dtypes]
        inner_dtype = _result_dtype(typed.node, empties)
        ones = [np.zeros((1,), dtype) if dtype.names else np.ones((1,), dtype) for dtype in dtypes]
        evaluate(typed.node, ones)  # what NumPy refuses only when it sees an item: 2 ** -1
        _check_shape(typed.shape, inner_dtype, MAX_STAGE)
        shape, dtype = typed.shape, inner_dtype
        if reduction is not None:
            shape, dtype = _reduced(typed.shape, inner_dtype, reduction)
        _check_shape(shape, dtype, MAX_RESULT)
        array = self._geometry(typed, shape, dtype, reduction)
        self.stages.append(
            Stage(typed.node, typed.sources, dtypes, itemsizes, typed.shape, inner_dtype, reduction, array)
        )
        return len(self.stages) - 1

    def _operand(self, name: str) -> ArrayMeta:
        array = self._operands.get(name)
        if array is None:
            raise BadExpression(f"there is no operand {name!r}", hint="name its dataset among the operands")
        if array.dtype.itemsize > MAX_ITEMSIZE:
            raise BadExpression(f"the items of operand {name!r} are too large to compute with")
        return array

    def _source_array(self, source: Source) -> ArrayMeta:
        if isinstance(source.origin, int):
            return self.stages[source.origin].array
        return self._operand(source.origin)

    def _dtype(self, source: Source) -> np.dtype[Any]:
        dtype = self._source_array(source).dtype
        for field in source.fields:
            dtype = dtype[field]
        return dtype

    def _field(self, node: Field) -> _Typed:
        inner = self.typed(node.arg)
        (source,) = inner.sources
        dtype = self._dtype(source)
        if node.name not in (dtype.names or ()):
            known = ", ".join(dtype.names or ()) or "none"
            raise BadExpression(f"there is no field {node.name!r}", hint=f"the fields: {known}")
        if dtype[node.name].shape:
            raise BadExpression(f"field {node.name!r} holds an array in each item")
        return _Typed(
            Leaf(0), (Source(source.origin, (*source.fields, node.name), source.window),), inner.shape
        )

    def _apply(self, node: Apply) -> _Typed:
        parts = [self.typed(arg) for arg in node.args]
        sources: dict[Source, int] = {}
        args = []
        for part in parts:
            moved = [sources.setdefault(source, len(sources)) for source in part.sources]
            args.append(_renumbered(part.node, moved))
        try:
            shape = np.broadcast_shapes(*(part.shape for part in parts))
        except ValueError as exc:
            shapes = ", ".join(str(part.shape) for part in parts)
            raise BadExpression(f"{node.function}: the shapes {shapes} do not go together") from exc
        return _Typed(Apply(node.function, tuple(args)), tuple(sources), shape)

    def _reduce(self, node: Reduce) -> _Typed:
        inner = self.typed(node.arg)
        ndim = len(inner.shape)
        asked = range(ndim) if node.axis is None else node.axis
        if any(not -ndim <= axis < ndim for axis in asked) or len({a % ndim for a in asked}) < len(asked):
            raise BadExpression(f"{node.function}: axis {node.axis} does not fit {ndim} dimensions")
        axes = tuple(sorted(axis % ndim for axis in asked))
        number = self.finish(inner, Reduction(node.function, axes, node.keepdims, node.ddof))
        shape = self.stages[number].array.shape
        return _Typed(Leaf(0), (Source(number, (), Window(tuple(Axis(0, n) for n in shape))),), shape)

    def _geometry(
        self, typed: _Typed, shape: tuple[int, ...], dtype: np.dtype[Any], reduction: Reduction | None
    ) -> ArrayMeta:
        """Choose chunks: those of an operand, so that each of its chunks is read once."""
        near: tuple[int, ...] | None = None
        for source in typed.sources:
            array = self._source_array(source)
            if array.shape != typed.shape or not source.window.covers(array.shape):
                continue
            if (
                reduction is None
                and 0 < math.prod(array.chunks) * max(dtype.itemsize, array.dtype.itemsize) <= KEPT_CHUNK
            ):
                return ArrayMeta(shape, array.chunks, array.blocks, dtype)
            near = near or array.chunks
        if near is None:
            near = typed.shape
        if reduction is not None:
            kept = [1 if i in reduction.axes else c for i, c in enumerate(near)]
            near = tuple(c for i, c in enumerate(kept) if reduction.keepdims or i not in reduction.axes)
        chosen: Geometry = answer_geometry(shape, near, dtype.itemsize)
        return ArrayMeta(shape, chosen.chunks, chosen.blocks, dtype)


def _result_dtype(node: Node, leaves: Sequence[Array]) -> np.dtype[Any]:
    dtype = np.asarray(evaluate(node, leaves)).dtype
    if dtype.hasobject:
        raise BadExpression("the result would hold Python objects")
    return dtype


def _reduced(
    shape: tuple[int, ...], dtype: np.dtype[Any], reduction: Reduction
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and dtype of a reduction."""
    function = reduction.function
    if dtype.kind not in STATED_NUMERIC:
        raise BadExpression(f"{function}: items of {dtype} can not be reduced")
    empty = any(shape[axis] == 0 for axis in reduction.axes)
    if function in {"min", "max", "argmin", "argmax"} and empty:
        raise BadExpression(f"{function}: there are no items to choose from")
    result = np.asarray(getattr(np, function)(np.ones((1,), dtype))).dtype
    kept = tuple(
        1 if i in reduction.axes else n
        for i, n in enumerate(shape)
        if reduction.keepdims or i not in reduction.axes
    )
    return kept, result


def _check_shape(shape: Sequence[int], dtype: np.dtype[Any], limit: int) -> None:
    if len(shape) > MAX_NDIM:
        raise BadExpression(f"the result has {len(shape)} dimensions; at most {MAX_NDIM} can be")
    if math.prod(shape) * dtype.itemsize > limit:
        raise BadExpression(
            f"shape {tuple(shape)} of {dtype} has {math.prod(shape) * dtype.itemsize} bytes;"
            f" at most {limit} can be computed"
        )


def _renumbered(node: Node, numbers: Sequence[int]) -> Node:
    if isinstance(node, Leaf):
        return Leaf(numbers[node.index])
    if isinstance(node, Apply):
        return Apply(node.function, tuple(_renumbered(arg, numbers) for arg in node.args))
    if isinstance(node, Cast):
        return Cast(_renumbered(node.arg, numbers), node.dtype)
    return node


def _sliced(typed: _Typed, items: NDSlice) -> _Typed:
    """Push a slice down to the sources."""
    try:
        window = items.bind(typed.shape)
    except BadSlice as exc:
        raise BadExpression(exc.message) from exc
    sources = tuple(
        Source(s.origin, s.fields, composed(s.window, broadcast_window(window, s.window.shape)))
        for s in typed.sources
    )
    return _Typed(typed.node, sources, window.shape)


def broadcast_window(window: Window, shape: Sequence[int]) -> Window:
    """Return what a window of a broadcast result takes from an input of `shape` (ndim,)."""
    axes = []
    for axis, n in zip(window.axes[len(window.axes) - len(shape) :], shape, strict=True):
        if n == 1 and (axis.start, axis.stop) != (0, 1):
            axes.append(Axis(0, min(1, len(axis)) if not axis.drop else 1, 1, axis.drop))
        else:
            axes.append(axis)
    return Window(tuple(axes))


def composed(outer: Window, inner: Window) -> Window:
    """Return the window that selects `inner` from what `outer` selects."""
    rest = iter(inner.axes)
    axes = []
    for axis in outer.axes:
        if axis.drop:
            axes.append(axis)
            continue
        chosen = next(rest)
        start = axis.start + chosen.start * axis.step
        step = axis.step * chosen.step
        stop = start + (len(chosen) - 1) * step + 1 if len(chosen) else start
        axes.append(Axis(start, stop, step, chosen.drop))
    return Window(tuple(axes))


def source_window(source: Source, window: Window) -> Window:
    """Return the window of a source's origin for a window (no dropped axes) of the stage's kernel."""
    return composed(source.window, broadcast_window(window, source.window.shape))


def source_shape(source: Source, window: Window) -> tuple[int, ...]:
    """Return the shape in which a source enters the kernel for a window of it."""
    return tuple(
        len(axis) for axis, outer in zip(window.axes, source.window.axes, strict=True) if not outer.drop
    )


def window_nbytes(stage: Stage, window: Window) -> int:
    """Return the bytes that evaluating a window of the kernel moves: all inputs, and the result."""
    total = window.size * stage.inner_dtype.itemsize
    for source, itemsize in zip(stage.sources, stage.source_itemsizes, strict=True):
        total += source_window(source, window).size * itemsize
    return total
