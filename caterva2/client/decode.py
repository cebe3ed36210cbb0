"""The body of an answer with data, to a NumPy array or bytes, while it arrives."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, TypeAlias

from caterva2.errors import CorruptChunk, ProtocolMismatch
from caterva2.model import wire

if TYPE_CHECKING:
    from concurrent.futures import Future

    import blosc2
    import numpy.typing as npt

    from caterva2.client.datachannel import Answer
    from caterva2.compute.assemble import ScratchPool
    from caterva2.compute.extents import Payloads, Record
    from caterva2.compute.frames import Skeleton
    from caterva2.model.slicing import NDSlice

    Data: TypeAlias = npt.NDArray[Any] | bytes


THREADS = 2
"""Threads that decode one answer; more gain nothing, for one reads and all share the memory bus."""


class Workspace:
    """Memory that one reader's answers use again, up to some 30 MiB: fresh pages are dear."""

    def __init__(self) -> None:
        self._pools: tuple[Payloads, ScratchPool] | None = None

    @property
    def pools(self) -> tuple[Payloads, ScratchPool]:
        """Buffers for what arrives, and for what is decoded on the way."""
        if self._pools is None:
            from caterva2.compute.assemble import ScratchPool
            from caterva2.compute.extents import Payloads

            self._pools = Payloads(), ScratchPool()
        return self._pools


def items_from_answer(answer: Answer) -> tuple[npt.NDArray[Any], tuple[int, ...]]:
    """Read raw items, and how far apart they are along each axis.

    Raises
    ------
    ProtocolMismatch
        The answer is no such items.
    """
    import numpy as np

    from caterva2.compute.plaindata import dtype_of

    body = answer.read()
    try:
        dtype = dtype_of(answer.headers[wire.DTYPE.lower()])
        shape, step = (
            tuple(int(n) for n in answer.headers[name.lower()].split(",") if n)
            for name in (wire.SHAPE, wire.STEP)
        )
        items: npt.NDArray[Any] = np.frombuffer(bytearray(body), dtype).reshape(shape)
    except (KeyError, ValueError, TypeError) as exc:
        raise ProtocolMismatch(f"the server sent no items as they should be: {exc}") from exc
    return items, step


def data_from_answer(answer: Answer, wanted: NDSlice, workspace: Workspace | None = None) -> Data:
    """Read the body of an answer; blocking, CPU-bound.

    Parameters
    ----------
    answer
        Without error, and its body unread.
    wanted
        What was asked for: stored chunks hold more than that.
    workspace
        Memory to be used again.

    Returns
    -------
    ndarray or bytes
        An array of its own memory for an n-d array, of shape () if every axis was indexed;
        bytes for a sequence of bytes.

    Raises
    ------
    CorruptChunk
        The body is damaged.
    ProtocolMismatch
        It is of a kind that was not asked for.
    """
    media = _media(answer)
    if media == wire.EXTENTS:
        return _from_chunks(answer, wanted, workspace or Workspace())
    if media != wire.BINARY:
        raise ProtocolMismatch(f"expected {wire.BINARY}, found {media}")
    from caterva2.compute.framedata import frame_contents, receive_frame

    if answer.length is None:
        return frame_contents(memoryview(answer.read()))
    return receive_frame(answer.readinto, answer.length)


def holder_from_answer(answer: Answer) -> blosc2.NDArray | blosc2.SChunk:
    """Read the body of an answer as a Blosc2 object in memory; raises as `data_from_answer`."""
    media = _media(answer)
    if media != wire.BINARY:
        raise ProtocolMismatch(f"expected {wire.BINARY}, found {media}")
    from caterva2.compute.framedata import frame_holder

    return frame_holder(memoryview(answer.read()))


def _media(answer: Answer) -> str:
    return answer.headers.get("content-type", wire.BINARY).partition(";")[0].strip()


def _from_chunks(answer: Answer, wanted: NDSlice, workspace: Workspace) -> npt.NDArray[Any]:
    """Decode stored chunks in threads while the next ones arrive."""
    from concurrent.futures import ThreadPoolExecutor

    from caterva2.compute import assemble, codec, extents

    payloads, scratches = workspace.pools
    records = extents.read_records(answer.readinto, total=_length(answer), allocate=payloads.take)
    first = next(records, None)
    if first is None:
        raise CorruptChunk("the answer holds no chunks and no description")
    skeleton = _skeleton(first)
    array = skeleton.meta
    if array is None:
        raise CorruptChunk("the answer holds chunks that belong to no array")
    window = wanted.bind(array.shape)
    missing = dict(window.chunks_touched(array.shape, array.chunks))
    out = assemble.empty(window, array)

    def put(record: Record, coords: tuple[int, ...]) -> None:
        record.verify()
        piece = extents.piece_from_record(record, skeleton)
        with scratches.borrow() as scratch:
            assemble.fill(out, piece, array, window, coords, scratch)
        payloads.give(record.payload)

    codec.release_gil()
    pending: collections.deque[Future[None]] = collections.deque()
    with ThreadPoolExecutor(THREADS, "caterva2-decode") as pool:
        while missing:
            record = next(records, None)
            if record is None:
                raise CorruptChunk(f"the answer lacks {len(missing)} of the chunks that were asked for")
            coords = missing.pop(record.units.nchunk, None)
            if coords is None:
                continue
            pending.append(pool.submit(put, record, coords))
            if len(pending) > 2 * THREADS:
                pending.popleft().result()
        while pending:
            pending.popleft().result()
    answer.read()
    return out.reshape(window.shape)


def _length(answer: Answer) -> int:
    from caterva2.compute.extents import UNBOUNDED

    return UNBOUNDED if answer.length is None else answer.length


def _skeleton(record: Record) -> Skeleton:
    from caterva2.compute.frames import skeleton_from_parts
    from caterva2.errors import BrokenDataset

    record.verify()
    if record.units.nchunk >= 0 or record.units.numbers.tolist() != [0, 1]:
        raise CorruptChunk("the answer does not begin with the description of its frame")
    head, tail = record.parts()
    size = int(record.units.offsets[1] + record.units.lengths[1])
    try:
        return skeleton_from_parts(bytes(head), bytes(tail), size)
    except BrokenDataset as exc:
        raise CorruptChunk(f"the answer is damaged: {exc.message}") from exc


def as_result(data: Data, wanted: NDSlice) -> Any:  # noqa: ANN401  (as NumPy: array or scalar)
    """Return what NumPy would: a scalar if every axis was indexed by an integer."""
    if isinstance(data, bytes) or data.shape != () or Ellipsis in wanted.items:
        return data
    return data[()]
