"""Reading data: one slice is one request, or several if it is too large for one; generations never mix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caterva2.client import calls, decode
from caterva2.errors import DatasetChanged
from caterva2.model import wire
from caterva2.model.slicing import Axis, NDSlice, Window

if TYPE_CHECKING:
    import blosc2
    import numpy.typing as npt

    from caterva2.client.calls import PathLike
    from caterva2.client.datachannel import Answer, Channel
    from caterva2.client.decode import Data
    from caterva2.client.description import Description
    from caterva2.model.requests import FetchQuery, WindowQuery

MAX_PIECE_BYTES = 512 << 20
"""A slice with more bytes is read in pieces of at most so many, unless a chunk is larger."""


_GENERATION = wire.GENERATION.lower()


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a window.

    Attributes
    ----------
    window
        The part, in the dataset.
    target
        Where it goes in an array of the whole window's ``full_shape``.
    """

    window: Window
    target: tuple[slice, ...]


class Reader:
    """Reads data of one server; may be used by many threads. Every method blocks."""

    def __init__(self, channel: Channel, *, max_piece_bytes: int = MAX_PIECE_BYTES) -> None:
        self._channel = channel
        self._max_piece_bytes = max_piece_bytes
        self._workspace = decode.Workspace()

    def slice(
        self, path: PathLike, wanted: NDSlice, *, column: str | None = None, generation: str | None = None
    ) -> tuple[Data, str | None]:
        """Read a slice in one request.

        Parameters
        ----------
        wanted
            Without ``...``.
        column
            One field of a structured array.
        generation
            What it must belong to; None for any.

        Returns
        -------
        ndarray or bytes, str or None
            The data, and their generation if the server told.

        Raises
        ------
        DatasetChanged
            It is another generation.
        """
        call = calls.fetch(path, str(wanted), column=column)
        headers = {**call.headers, "Accept": wire.BINARY} if column is not None else call.headers
        with self._channel.request(call.method, call.target, headers=headers) as answer:
            _check(answer)
            found = answer.headers.get(_GENERATION)
            if None not in {found, generation} and found != generation:
                raise DatasetChanged(f"{path} changed while it was read")
            return decode.data_from_answer(answer, wanted, self._workspace), found

    def look(self, path: PathLike, query: WindowQuery) -> tuple[npt.NDArray[Any], tuple[int, ...]]:
        """Read a part of a dataset that may be thinned out, and the steps along its axes."""
        call = calls.window(path, query)
        with self._channel.request(call.method, call.target, headers=call.headers) as answer:
            _check(answer)
            return decode.items_from_answer(answer)

    def rows(self, path: PathLike, query: FetchQuery) -> npt.NDArray[Any]:
        """Read rows of a structured array by a condition, or sorted, as an array in memory."""
        call = calls.rows(path, query)
        with self._channel.request(call.method, call.target, headers=call.headers, body=call.body) as answer:
            _check(answer)
            holder = decode.holder_from_answer(answer)
        found: npt.NDArray[Any] = holder[()]
        return found

    def holder(
        self, path: PathLike, wanted: NDSlice, *, column: str | None = None
    ) -> blosc2.NDArray | blosc2.SChunk:
        """Read a slice as a Blosc2 object in memory."""
        call = calls.fetch(path, str(wanted), column=column)
        headers = {**call.headers, "Accept": wire.BINARY}
        with self._channel.request(call.method, call.target, headers=headers) as answer:
            _check(answer)
            return decode.holder_from_answer(answer)

    def window(
        self, described: Description, window: Window, *, generation: str | None = None
    ) -> tuple[npt.NDArray[Any], str | None]:
        """Read a window of an array.

        Parameters
        ----------
        described
            What the window was made for.
        generation
            What all of it must belong to; None for any single one.

        Raises
        ------
        DatasetChanged
            The dataset has another shape or dtype now, or changed between two pieces.
        """
        import numpy as np

        if window.size == 0:
            return np.empty(window.shape, described.dtype), generation
        pieces = list(split(window, described.chunks, described.itemsize, self._max_piece_bytes))
        if len(pieces) == 1:
            return self._piece(described, window, generation)
        out = np.empty(window.full_shape, described.dtype)
        for piece in pieces:
            data, found = self._piece(described, piece.window, generation)
            out[piece.target] = data.reshape(piece.window.full_shape)
            generation = generation or found
        return out.reshape(window.shape), generation

    def bytes(self, described: Description, window: Window) -> bytes:
        """Read a window (1 axis) of a sequence of bytes: its items one after the other."""
        (axis,) = window.axes
        if len(axis) == 0:
            return b""
        whole = axis.start == 0 and axis.stop == described.shape[0]
        dense = NDSlice() if whole else NDSlice((slice(axis.start, axis.stop),))
        data, _ = self.slice(described.path, dense)
        n = described.itemsize
        if not isinstance(data, bytes) or len(data) != (axis.stop - axis.start) * n:
            raise DatasetChanged(f"{described.path} changed since it was described", hint="read it again")
        if axis.step == 1:
            return data
        return b"".join(data[at : at + n] for at in range(0, len(data), n * axis.step))

    def _piece(
        self, described: Description, window: Window, generation: str | None
    ) -> tuple[npt.NDArray[Any], str | None]:
        data, found = self.slice(described.path, as_slice(window, described.shape), generation=generation)
        if isinstance(data, bytes) or data.shape != window.shape or data.dtype != described.dtype:
            raise DatasetChanged(f"{described.path} changed since it was described", hint="read it again")
        return data, found


def as_slice(window: Window, shape: Sequence[int]) -> NDSlice:
    """Return the shortest slice that selects a window of an array of `shape` (ndim,)."""
    items: list[int | slice] = []
    for axis, n in zip(window.axes, shape, strict=True):
        if axis.drop:
            items.append(axis.start)
        elif axis.start == 0 and axis.stop == n and axis.step == 1:
            items.append(slice(None))
        else:
            items.append(slice(axis.start, axis.stop, axis.step if axis.step != 1 else None))
    while items and items[-1] == slice(None):
        items.pop()
    return NDSlice(tuple(items))


def split(window: Window, chunks: Sequence[int], itemsize: int, limit: int) -> Iterator[Piece]:
    """Cut a window at the borders of chunks until no piece has more than `limit` bytes, or a chunk of it.

    Parameters
    ----------
    chunks
        Shape (ndim,) of a chunk, in items.
    """
    yield from _split(
        window.axes, tuple(slice(0, len(axis)) for axis in window.axes), chunks, itemsize, limit
    )


def _split(
    axes: tuple[Axis, ...], target: tuple[slice, ...], chunks: Sequence[int], itemsize: int, limit: int
) -> Iterator[Piece]:
    window = Window(axes)
    at = None
    if window.size * itemsize > limit:
        at = next((i for i, (axis, n) in enumerate(zip(axes, chunks, strict=True)) if _spans(axis, n)), None)
    if at is None:
        yield Piece(window, target)
        return
    axis, n = axes[at], chunks[at]
    first, last = axis.start // n, axis.last // n
    border = (first + last + 1) // 2 * n
    # The first selected item at or behind the border; so many are before it.
    before = -((axis.start - border) // axis.step)
    low = Axis(axis.start, axis.start + (before - 1) * axis.step + 1, axis.step, axis.drop)
    high = Axis(axis.start + before * axis.step, axis.stop, axis.step, axis.drop)
    middle = target[at].start + before
    for part, goal in ((low, slice(target[at].start, middle)), (high, slice(middle, target[at].stop))):
        yield from _split(
            (*axes[:at], part, *axes[at + 1 :]),
            (*target[:at], goal, *target[at + 1 :]),
            chunks,
            itemsize,
            limit,
        )


def _spans(axis: Axis, n: int) -> bool:
    return n > 0 and axis.start // n != axis.last // n


def _check(answer: Answer) -> None:
    if answer.status != 200:
        calls.check(calls.Reply(answer.status, answer.headers, answer.read()))
