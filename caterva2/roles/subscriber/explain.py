"""What an answer would cost, told before anything is fetched or computed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from caterva2.compute.answers import result_dtype
from caterva2.compute.frames import ArrayMeta
from caterva2.compute.gather import Gathering, parse_indices
from caterva2.compute.joining import Join
from caterva2.compute.lowering import Plan, source_window
from caterva2.compute.planning import chunk_count, touched_chunks
from caterva2.compute.tables import check_table, plan_condition, sort_keys
from caterva2.compute.windows import inner_window, whole_window
from caterva2.errors import BadRequest, NotADataset, ResponseTooLarge
from caterva2.model.datasets import LazyInfo
from caterva2.model.paths import DatasetPath
from caterva2.model.requests import Explanation, FetchQuery, OperandCost
from caterva2.model.slicing import Axis, NDSlice, Window
from caterva2.model.users import Principal
from caterva2.roles.subscriber.evaluation import Evaluation, Evaluator
from caterva2.roles.subscriber.library import Library
from caterva2.roles.subscriber.opened import LazyFile, OpenedFile, RemoteFile, StoredFile
from caterva2.roles.subscriber.tables import check_rows
from caterva2.runtime.workers import Lane, Workers

if TYPE_CHECKING:
    import numpy as np

MAX_CHUNKS = 1 << 18
MAX_READS = 1 << 16
"""Windows of stored data that are counted one by one; of more, all is counted."""
BATCH = 1024


class _Demand(NamedTuple):
    """Windows of a stored file."""

    file: StoredFile
    windows: dict[Window, None]


class _Answer(NamedTuple):
    """What an answer would be, and the windows of its dataset that are read for it.

    Attributes
    ----------
    shape, dtype
        Of the answer; with `at_most`, it may have fewer items along its first axis.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    windows: list[Window]
    at_most: bool = False


class Explainer:
    """Explains fetches."""

    def __init__(self, library: Library, evaluator: Evaluator, workers: Workers) -> None:
        self._library = library
        self._evaluator = evaluator
        self._workers = workers

    async def fetch(self, principal: Principal, path: DatasetPath, query: FetchQuery) -> Explanation:
        """Tell what ``/api/fetch`` with this query would be and cost; of rows by a condition, at the most.

        Raises
        ------
        BadSlice, BadRequest, BadExpression
            The query could not be answered.
        ResponseTooLarge
            Its answer is beyond a limit, or it touches too many chunks to count them.
        """
        check_query(query)
        file = await self._library.open(principal, path)
        if file.skeleton.meta is None and query.field is not None:
            raise NotADataset(f"{path} has no fields")
        return await self._workers.run(Lane.DISK, self._explanation, path, file, query)

    def _explanation(self, path: DatasetPath, file: OpenedFile, query: FetchQuery) -> Explanation:
        """Count what an answer needs; blocking."""
        answer = _answer(file, query)
        demands: dict[int, _Demand] = {}
        for window in answer.windows:
            self._demand(file, window, demands)
        reads = [_cost(demand) for demand in demands.values()]
        stored, cached = sum(r.stored_bytes for r in reads), sum(r.cached_bytes for r in reads)
        array = file.skeleton.array
        touched = _chunks(array, answer.windows)
        computed, expression = 0, None
        if isinstance(file, LazyFile):
            assert isinstance(file.entry.info, LazyInfo)
            expression = file.entry.info.lazy.expression
            computed = len(touched)
            plan = file.evaluation.plan
            if isinstance(plan, Plan):
                key, last = file.evaluation.key, len(plan.stages) - 1
                computed = sum((key, last, nchunk) not in self._evaluator.results for nchunk in touched)
        return Explanation(
            path=str(path), shape=answer.shape, dtype=str(answer.dtype),
            bytes=math.prod(answer.shape) * answer.dtype.itemsize, at_most=answer.at_most,
            chunks=len(touched), blocks=_blocks(array, answer.windows), computed_chunks=computed,
            stored_bytes=stored, cached_bytes=cached, missing_bytes=max(0, stored - cached), reads=reads,
            expression=expression,
        )  # fmt: skip

    def _demand(self, file: OpenedFile, window: Window, demands: dict[int, _Demand]) -> None:
        if not window.size:
            return
        if not isinstance(file, LazyFile):
            demands.setdefault(file.serial, _Demand(file, {})).windows[window] = None
            return
        kept = Window(tuple(Axis(axis.start, axis.stop, axis.step) for axis in window.axes))
        plan = file.evaluation.plan
        if isinstance(plan, Join):
            for part in plan.parts(kept):
                self._demand(file.operands[part.operand], part.window, demands)
            return
        self._demand_stage(file.evaluation, len(plan.stages) - 1, kept, demands)

    def _demand_stage(
        self, evaluation: Evaluation, number: int, window: Window, demands: dict[int, _Demand]
    ) -> None:
        assert isinstance(evaluation.plan, Plan)
        stage = evaluation.plan.stages[number]
        if not window.size or self._is_at_hand(evaluation.key, number, stage.array, window):
            return
        if stage.reduction is not None:
            window = inner_window(stage, window)
        for source in stage.sources:
            needed = source_window(source, window)
            if isinstance(source.origin, int):
                undropped = Window(tuple(Axis(a.start, a.stop, a.step) for a in needed.axes))
                self._demand_stage(evaluation, source.origin, undropped, demands)
            else:
                self._demand(evaluation.operands[source.origin], needed, demands)

    def _is_at_hand(self, key: str, number: int, array: ArrayMeta, window: Window) -> bool:
        if chunk_count(array, window) > BATCH:
            return False
        touched = window.chunks_touched(array.shape, array.chunks)
        return all((key, number, nchunk) in self._evaluator.results for nchunk, _ in touched)


def check_query(query: FetchQuery) -> None:
    """Refuse what can not go together.

    Raises
    ------
    BadRequest
        It does not.
    """
    if query.indices is None:
        return
    if query.slice_ is not None:
        raise BadRequest("slice_ and indices exclude one another")
    if query.filter is not None or query.sortby is not None:
        raise BadRequest("indices go together neither with filter nor with sortby")


def _answer(file: OpenedFile, query: FetchQuery) -> _Answer:
    """Tell what a query selects, or the most that it can."""
    array = file.skeleton.array
    dtype = result_dtype(array, query.field)
    if query.filter is not None or query.sortby is not None:
        return _rows(file, query, dtype)
    if query.indices is not None:
        gathering = Gathering(array, parse_indices(query.indices, array.shape))
        shape = gathering.shape
        most = MAX_READS // (file.evaluation.weight if isinstance(file, LazyFile) else 1)
        windows = [box.window for box in itertools.islice(gathering.boxes(), most + 1)]
        if len(windows) > most:
            return _Answer(shape, dtype, [whole_window(array.shape)], True)
        return _Answer(shape, dtype, windows)
    window = NDSlice.parse(query.slice_).bind(array.shape)
    return _Answer(window.shape, dtype, [window])


def _rows(file: OpenedFile, query: FetchQuery, dtype: np.dtype[Any]) -> _Answer:
    """Tell what selecting and sorting needs: all rows, each with all its columns, for so they are stored."""
    array = file.skeleton.array
    check_table(array, "filter" if query.filter is not None else "sortby")
    if query.sortby is not None:
        sort_keys(array, query.sortby)
    if query.filter is not None:
        plan_condition(query.filter, array)
    else:
        check_rows(array.shape[0] * array.dtype.itemsize)
    shape = _most_rows(NDSlice.parse(query.slice_), array.shape[0], exact=query.filter is None)
    return _Answer(shape, dtype, [whole_window(array.shape)], query.filter is not None)


def _most_rows(asked: NDSlice, total: int, *, exact: bool) -> tuple[int, ...]:
    """Return the shape of a slice of `total` rows; the largest of any number up to it, if not `exact`."""
    if exact or len(asked.items) > 1 or not asked.items or isinstance(asked.items[0], int):
        return asked.bind((total,)).shape
    item = asked.items[0]
    if not isinstance(item, slice):
        return (total,)
    start, stop = item.start or 0, item.stop
    span = total
    if start < 0:
        span = min(span, -start)
        if stop is not None:
            span = min(span, stop) if stop >= 0 else min(max(0, total + stop), max(0, stop - start))
    elif stop is not None and stop >= 0:
        span = min(max(0, total - start), max(0, stop - start))
    else:
        span = max(0, total - start + (0 if stop is None else stop))
    return (-(-span // (item.step or 1)),)


def _chunks(array: ArrayMeta, windows: Sequence[Window]) -> set[int]:
    """Return the chunks of a dataset that windows touch.

    Raises
    ------
    ResponseTooLarge
        They are too many to be counted.
    """
    found: set[int] = set()
    for window in windows:
        if not window.size:
            continue
        if chunk_count(array, window) > MAX_CHUNKS or len(found) > MAX_CHUNKS:
            raise _too_many(array)
        found.update(nchunk for nchunk, _ in window.chunks_touched(array.shape, array.chunks))
    return found


def _blocks(array: ArrayMeta, windows: Sequence[Window]) -> int:
    """Count the blocks of a dataset that windows touch; one that several touch counts for each."""
    return sum(math.prod(map(len, window.grid(array.blocks))) for window in windows if window.size)


def _too_many(array: ArrayMeta) -> ResponseTooLarge:
    return ResponseTooLarge(
        f"more than {MAX_CHUNKS} chunks of an array of shape {array.shape} are touched", hint="ask in parts"
    )


def _cost(demand: _Demand) -> OperandCost:
    """Count what is touched of a stored file; blocking."""
    file = demand.file
    skeleton, array = file.skeleton, file.skeleton.array
    per_chunk = math.prod(array.block_grid)
    wanted: dict[int, set[int] | None] = {}
    for window in demand.windows:
        for batch in touched_chunks(array, window, BATCH):
            for nchunk, _, blocks in batch:
                known = wanted.get(nchunk, set())
                wanted[nchunk] = None if blocks is None or known is None else known | set(blocks)
            if len(wanted) > MAX_CHUNKS:
                raise _too_many(array)
    nblocks = stored = cached = 0
    for nchunk, some in wanted.items():
        count = per_chunk if some is None else len(some)
        nblocks += count
        nbytes = max(0, int(skeleton.stops[nchunk] - skeleton.offsets[nchunk]))
        share = nbytes * count // max(1, per_chunk)
        stored += share
        if not isinstance(file, RemoteFile):
            cached += share
        elif file.mirror is not None and nbytes:
            blocks = None if some is None else sorted(some)
            absent = file.mirror.missing(nchunk, blocks)
            if absent is not None and file.mirror.head(nchunk) is not None:
                cached += share * (count - min(len(absent), count)) // max(1, count)
    return OperandCost(
        path=str(file.path), chunks=len(wanted), blocks=nblocks, stored_bytes=stored, cached_bytes=cached
    )
