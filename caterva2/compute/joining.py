"""Joining arrays, along an axis that they have or a new one: which part of a window comes from which."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from caterva2.compute.frames import ArrayMeta
from caterva2.compute.lowering import MAX_RESULT
from caterva2.errors import BadExpression
from caterva2.model.slicing import Window

MAX_NDIM = 16


class JoinedPart(NamedTuple):
    """What one operand gives of a window.

    Attributes
    ----------
    window
        In the operand.
    target
        Where it goes in the result of the window.
    shape
        Shape of that place.
    """

    operand: str
    window: Window
    target: tuple[slice, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Join:
    """Operands one behind the other along `axis`; with `new`, each is one index of that axis."""

    names: tuple[str, ...]
    lengths: tuple[int, ...]
    axis: int
    new: bool
    array: ArrayMeta

    def parts(self, window: Window) -> Iterator[JoinedPart]:
        """Yield what each operand gives of a window without dropped axes."""
        along = window.axes[self.axis]
        start = 0
        for name, length in zip(self.names, self.lengths, strict=True):
            box = Window((along,))
            (local,), (target,) = box.within([start], [length])
            start += length
            if not len(local):
                continue
            axes = list(window.axes)
            if self.new:
                del axes[self.axis]
            else:
                axes[self.axis] = local
            targets = [slice(0, len(axis)) for axis in window.axes]
            targets[self.axis] = target
            shape = [len(axis) for axis in window.axes]
            shape[self.axis] = len(local)
            yield JoinedPart(name, Window(tuple(axes)), tuple(targets), tuple(shape))


def concat(operands: Mapping[str, ArrayMeta], axis: int) -> Join:
    """Plan joining arrays along an axis that they have.

    Raises
    ------
    BadExpression
        Their shapes or types do not go together.
    """
    arrays = _checked(operands)
    ndim = len(arrays[0].shape)
    where = _axis(axis, ndim)
    rests = {(*a.shape[:where], *a.shape[where + 1 :]) for a in arrays}
    if any(len(a.shape) != ndim for a in arrays) or len(rests) > 1:
        raise BadExpression(f"the shapes {_shapes(arrays)} do not go together along axis {axis}")
    lengths = tuple(a.shape[where] for a in arrays)
    shape = (*arrays[0].shape[:where], sum(lengths), *arrays[0].shape[where + 1 :])
    meta = _sized(ArrayMeta(shape, arrays[0].chunks, arrays[0].blocks, _dtype(arrays)))
    return Join(tuple(operands), lengths, where, False, meta)


def stack(operands: Mapping[str, ArrayMeta], axis: int) -> Join:
    """Plan joining arrays along a new axis.

    Raises
    ------
    BadExpression
        Their shapes or types do not go together.
    """
    arrays = _checked(operands)
    where = _axis(axis, len(arrays[0].shape) + 1)
    if len(arrays[0].shape) >= MAX_NDIM:
        raise BadExpression(f"the result would have more than {MAX_NDIM} dimensions")
    if len({a.shape for a in arrays}) > 1:
        raise BadExpression(f"the shapes {_shapes(arrays)} are not equal")

    def grown(lengths: tuple[int, ...], n: int) -> tuple[int, ...]:
        return (*lengths[:where], n, *lengths[where:])

    first = arrays[0]
    meta = _sized(
        ArrayMeta(
            grown(first.shape, len(arrays)), grown(first.chunks, 1), grown(first.blocks, 1), _dtype(arrays)
        )
    )
    return Join(tuple(operands), (1,) * len(arrays), where, True, meta)


def _checked(operands: Mapping[str, ArrayMeta]) -> list[ArrayMeta]:
    arrays = list(operands.values())
    if not arrays:
        raise BadExpression("there is nothing to join")
    return arrays


def _sized(array: ArrayMeta) -> ArrayMeta:
    nbytes = math.prod(array.shape) * array.dtype.itemsize
    if nbytes > MAX_RESULT:
        raise BadExpression(
            f"shape {array.shape} of {array.dtype} has {nbytes} bytes; at most {MAX_RESULT} can be joined"
        )
    return array


def _axis(axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise BadExpression(f"axis {axis} does not fit {ndim} dimensions")
    return axis % ndim


def _dtype(arrays: list[ArrayMeta]) -> np.dtype[np.generic]:
    try:
        return np.result_type(*(array.dtype for array in arrays))
    except TypeError as exc:
        raise BadExpression("the types of the items do not go together") from exc


def _shapes(arrays: list[ArrayMeta]) -> str:
    return ", ".join(str(array.shape) for array in arrays[:4])
