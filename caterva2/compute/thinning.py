"""Every k-th item of a window: as many as are shown, and so few that reading them has an end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from caterva2.model.slicing import Axis, Window

if TYPE_CHECKING:
    from caterva2.compute.frames import ArrayMeta


class Limits(NamedTuple):
    """What a thinned window may be and cost.

    Attributes
    ----------
    points
        Most items along each axis.
    nbytes
        Most bytes of all items.
    blocks, decoded
        Most blocks that hold any of them, and most uncompressed bytes of these.
    """

    points: int
    nbytes: int
    blocks: int
    decoded: int


def thinned(array: ArrayMeta, window: Window, limits: Limits) -> Window:
    """Return every k-th item of a window, with a k for each axis that keeps the limits.

    Notes
    -----
    A larger k saves blocks only when it steps over whole ones: then each item is in a block of its own.
    What is too much is taken from the longest axes, so that all of them get about as many items.
    """
    itemsize = max(1, array.dtype.itemsize)
    counts = [min(n, max(1, limits.points)) for n in window.full_shape]
    counts = lowered(counts, limits.nbytes // itemsize)
    block_nbytes = max(1, math.prod(array.blocks) * itemsize)
    touched = [
        _touched(_every(axis, n), c, b)
        for axis, n, c, b in zip(window.axes, counts, array.chunks, array.blocks, strict=True)
    ]
    fewer = lowered(touched, min(limits.blocks, limits.decoded // block_nbytes))
    counts = [min(n, f) if f < t else n for n, f, t in zip(counts, fewer, touched, strict=True)]
    return Window(tuple(_every(axis, n) for axis, n in zip(window.axes, counts, strict=True)))


def lowered(counts: Sequence[int], most: int) -> list[int]:
    """Lower the largest of some counts to one common number, the largest for which their product is `most`.

    Examples
    --------
    >>> lowered([1000, 3, 200], 1200)
    [20, 3, 20]
    """
    if math.prod(counts) <= most:
        return list(counts)
    low, high = 1, max(counts)
    while high - low > 1:
        level = (low + high) // 2
        if math.prod(min(n, level) for n in counts) <= most:
            low = level
        else:
            high = level
    return [min(n, low) for n in counts]


def _every(axis: Axis, count: int) -> Axis:
    """Return every k-th of an axis' items, at most `count`."""
    n = len(axis)
    if n <= count:
        return axis
    step = axis.step * -(-n // count)
    return Axis(axis.start, axis.stop, step, axis.drop)


def _touched(axis: Axis, chunk: int, block: int) -> int:
    """Return how many blocks along one axis hold items, or a little more."""
    if not len(axis) or not chunk or not block:
        return 1
    per_chunk = -(-chunk // block)
    low = axis.start // chunk * per_chunk + axis.start % chunk // block
    high = axis.last // chunk * per_chunk + axis.last % chunk // block
    return min(high - low + 1, len(axis))
