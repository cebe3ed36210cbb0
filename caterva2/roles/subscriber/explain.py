"""What an answer would cost, told before anything is fetched or computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from caterva2.compute.answers import result_dtype
from caterva2.compute.joining import Join
from caterva2.compute.lowering import Plan, source_window
from caterva2.compute.planning import chunk_count, touched_chunks
from caterva2.compute.tables import check_table, plan_condition, sort_column
from caterva2.compute.windows import inner_window
from caterva2.errors import BadRequest, NotADataset
from caterva2.model.datasets import LazyInfo
from caterva2.model.paths import DatasetPath
from caterva2.model.requests import Explanation, FetchQuery, OperandCost
from caterva2.model.slicing import Axis, NDSlice, Window
from caterva2.model.users import Principal
from caterva2.roles.subscriber.evaluation import Evaluation, Evaluator
from caterva2.roles.subscriber.library import Library
from caterva2.roles.subscriber.opened import LazyFile, OpenedFile, RemoteFile, StoredFile
from caterva2.runtime.workers import Lane, Workers

if TYPE_CHECKING:
    from caterva2.compute.frames import ArrayMeta

MAX_WINDOWS = 256
MAX_CHUNKS = 1 << 18
BATCH = 1024


class _Demand(NamedTuple):
    """Windows of a stored file."""

    file: StoredFile
    windows: list[Window]


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
        BadSlice, BadRequest
            The query could not be answered.
        """
        if query.indices is not None:
            raise BadRequest("only slices, fields and rows can be explained")
        file = await self._library.open(principal, path)
        array = file.skeleton.array
        if file.skeleton.meta is None and query.field is not None:
            raise NotADataset(f"{path} has no fields")
        asked = NDSlice.parse(query.slice_)
        if query.filter is None and query.sortby is None:
            window = asked.bind(array.shape)
        else:  # to select rows or to sort them, all of them are read
            _check_rows(array, query)
            window = NDSlice().bind(array.shape)
        dtype = result_dtype(array, query.field)
        demands: dict[int, _Demand] = {}
        self._demand(file, window, demands)
        return await self._workers.run(
            Lane.DISK, self._explanation, path, file, window, str(dtype), dtype.itemsize, demands
        )

    def _explanation(
        self,
        path: DatasetPath,
        file: OpenedFile,
        window: Window,
        dtype: str,
        itemsize: int,
        demands: dict[int, _Demand],
    ) -> Explanation:
        reads = [_cost(demand) for demand in demands.values()]
        stored, cached = sum(r.stored_bytes for r in reads), sum(r.cached_bytes for r in reads)
        array = file.skeleton.array
        nchunks = chunk_count(array, window)
        blocks = math.prod(map(len, window.grid(array.blocks))) if window.size else 0
        computed, expression = 0, None
        if isinstance(file, LazyFile):
            assert isinstance(file.entry.info, LazyInfo)
            expression = file.entry.info.lazy.expression
            computed = nchunks
            plan = file.evaluation.plan
            if isinstance(plan, Plan) and nchunks <= MAX_CHUNKS:
                last = len(plan.stages) - 1
                touched = window.chunks_touched(array.shape, array.chunks)
                computed = sum(
                    (file.evaluation.key, last, n) not in self._evaluator.results for n, _ in touched
                )
        return Explanation(
            path=str(path), shape=window.shape, dtype=dtype, bytes=window.size * itemsize, chunks=nchunks,
            blocks=blocks, computed_chunks=computed, stored_bytes=stored, cached_bytes=cached,
            missing_bytes=max(0, stored - cached), reads=reads, expression=expression,
        )  # fmt: skip

    def _demand(self, file: OpenedFile, window: Window, demands: dict[int, _Demand]) -> None:
        if not window.size:
            return
        if not isinstance(file, LazyFile):
            found = demands.setdefault(file.serial, _Demand(file, []))
            if window not in found.windows and len(found.windows) < MAX_WINDOWS:
                found.windows.append(window)
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
        if stage.reduction is not None:
            window = inner_window(stage, window)
        for source in stage.sources:
            needed = source_window(source, window)
            if isinstance(source.origin, int):
                undropped = Window(tuple(Axis(a.start, a.stop, a.step) for a in needed.axes))
                self._demand_stage(evaluation, source.origin, undropped, demands)
            else:
                self._demand(evaluation.operands[source.origin], needed, demands)


def _check_rows(array: ArrayMeta, query: FetchQuery) -> None:
    check_table(array, "filter" if query.filter is not None else "sortby")
    if query.filter is not None:
        plan_condition(query.filter, array)
    if query.sortby is not None:
        sort_column(array, query.sortby)


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
                break
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
