"""Computing windows of lazy datasets: chunk by chunk, in processes with limits, with results kept."""

from __future__ import annotations

import asyncio
import collections
import functools
import itertools
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from caterva2.compute.assemble import Array, empty
from caterva2.compute.frames import ArrayMeta
from caterva2.compute.joining import Join
from caterva2.compute.lowering import Plan, Source, Stage, source_window, window_nbytes
from caterva2.compute.nodes import Leaf
from caterva2.compute.planning import Touched, chunk_count, chunk_window, touched_chunks
from caterva2.compute.windows import (
    cast_items,
    cut_out,
    finished,
    halves,
    inner_window,
    joined,
    load,
    merged,
    near_chunks,
    plain_copy,
    put,
    reduced_nothing,
    reduction_pieces,
    source_items,
    unload,
)
from caterva2.errors import BadExpression
from caterva2.model.slicing import Axis, Window
from caterva2.runtime.processes import ProcessLane
from caterva2.runtime.singleflight import SingleFlight
from caterva2.runtime.workers import Lane, Workers

if TYPE_CHECKING:
    from caterva2.roles.subscriber.opened import OpenedFile

T = TypeVar("T")

CACHE_BYTES = 64 << 20
PIECE = 16 << 20
"""Bytes that are computed with at a time: inputs and result."""
SMALL = 512 << 10
"""Windows of at most so many bytes are computed by themselves, if their chunk is not at hand."""
TIMEOUT_S = 30.0
LONGEST_S = 600.0
"""Seconds for a window, however many pieces it has; a client that leaves ends it before."""
MAX_WEIGHT = 4096
"""How many times one item may read stored data; levels multiply, and each piece has a time limit only."""


class Reader(Protocol):
    """Reads windows of open files."""

    async def array(self, file: OpenedFile, window: Window) -> Array:
        """Return the items of a window, of ``window.full_shape``."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """A plan over open operands.

    Attributes
    ----------
    key
        Names definition and generations: what was computed under it stays valid.
    level
        How many lazy datasets lie on top of each other below this one.
    weight
        How many times an item of it reads stored data, through all levels.
    """

    key: str
    plan: Plan | Join
    operands: Mapping[str, OpenedFile]
    level: int
    weight: int = 1


class ResultCache:
    """Recently computed chunks, in memory of bounded size. For one event loop."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._chunks: OrderedDict[tuple[str, int, int], Array] = OrderedDict()
        self._nbytes = 0

    def __contains__(self, key: tuple[str, int, int]) -> bool:
        return key in self._chunks

    def find(self, key: tuple[str, int, int]) -> Array | None:
        """Return a chunk, or None."""
        items = self._chunks.get(key)
        if items is not None:
            self._chunks.move_to_end(key)
        return items

    def keep(self, key: tuple[str, int, int], items: Array) -> None:
        """Keep a chunk; it may not be changed afterwards."""
        if key in self._chunks or items.nbytes > self._limit // 4:
            return
        self._chunks[key] = items
        self._nbytes += items.nbytes
        while self._nbytes > self._limit:
            _, oldest = self._chunks.popitem(last=False)
            self._nbytes -= oldest.nbytes


class Evaluator:
    """Computes windows.

    Parameters
    ----------
    reader
        Reads the operands.
    lane
        Processes that run `caterva2.compute.evaluator`.
    longest_s
        How long computing a window may take, reading of operands and all.
    """

    def __init__(
        self, reader: Reader, lane: ProcessLane, workers: Workers, *, longest_s: float = LONGEST_S
    ) -> None:
        self._longest_s = longest_s
        self._reader = reader
        self._lane = lane
        self._workers = workers
        self.results = ResultCache()
        self._flights: SingleFlight[tuple[str, int, int], Array] = SingleFlight()
        self._slots: dict[tuple[int, int], asyncio.Semaphore] = {}
        self._width = 2 * lane.size

    async def stop(self) -> None:
        """End what is being computed."""
        await self._flights.close()

    async def window(self, evaluation: Evaluation, window: Window) -> Array:
        """Return the items of a window of the result, of ``window.full_shape``.

        Raises
        ------
        BadExpression
            The expression can not be evaluated, or not within its limits.
        """
        kept = Window(tuple(Axis(axis.start, axis.stop, axis.step) for axis in window.axes))
        limit = asyncio.timeout(self._longest_s)
        try:
            async with limit:
                if isinstance(evaluation.plan, Join):
                    return await self._join(evaluation, evaluation.plan, kept)
                return await self._stage(evaluation, len(evaluation.plan.stages) - 1, kept)
        except TimeoutError as exc:
            if not limit.expired():
                raise
            raise BadExpression(
                f"the evaluation was stopped: it took longer than {self._longest_s:g} s in all",
                hint="ask for a smaller part",
            ) from exc

    async def mask(self, plan: Plan, operands: Mapping[str, Array], window: Window) -> Array:
        """Evaluate a plan of one stage on items that are at hand; the window is of all of them."""
        stage = plan.stages[-1]
        inputs = [
            source_items(operands[str(source.origin)], source, source_window(source, window))
            for source in stage.sources
        ]
        return (await self._process(stage, window, inputs))[0]

    # joins

    async def _join(self, evaluation: Evaluation, join: Join, window: Window) -> Array:
        out = empty(window, join.array)
        for part in join.parts(window):
            items = await self._reader.array(evaluation.operands[part.operand], part.window)
            await self._workers.run(
                Lane.CPU, put, out, part.target, cast_items(items.reshape(part.shape), join.array.dtype)
            )
        return out

    # stages

    async def _stage(self, evaluation: Evaluation, number: int, window: Window) -> Array:
        assert isinstance(evaluation.plan, Plan)
        stage = evaluation.plan.stages[number]
        array = stage.array
        if window.size == 0:
            return empty(window, array)
        if not stage.reduction and self._is_small(evaluation.key, number, array, window):
            return await self._compute(evaluation, stage, window)
        if chunk_count(array, window) == 1:
            ((nchunk, coords),) = window.chunks_touched(array.shape, array.chunks)
            return await self._of_chunk(evaluation, number, window, Touched(nchunk, coords, None))
        out = empty(window, array)

        async def fill(touched: Touched) -> None:
            local, target = window.within(_origin(array, touched), array.chunks)
            part = Window(
                tuple(Axis(a.start + o, a.stop + o, a.step)
                for a, o in zip(local, _origin(array, touched), strict=True))
            )  # fmt: skip
            items = await self._of_chunk(evaluation, number, part, touched)
            await self._workers.run(Lane.CPU, put, out, target, items)

        for batch in touched_chunks(array, window, 1024):
            async for _ in in_flight((functools.partial(fill, touched) for touched in batch), self._width):
                pass
        return out

    def _is_small(self, key: str, number: int, array: ArrayMeta, window: Window) -> bool:
        if window.size * array.dtype.itemsize > SMALL:
            return False
        touched = [nchunk for nchunk, _ in window.chunks_touched(array.shape, array.chunks)]
        if 4 * window.size >= sum(chunk_window(array, nchunk).size for nchunk in touched):
            return False
        return not all((key, number, nchunk) in self.results for nchunk in touched)

    async def _of_chunk(self, evaluation: Evaluation, number: int, window: Window, touched: Touched) -> Array:
        """Return a window that lies in one chunk."""
        assert isinstance(evaluation.plan, Plan)
        stage = evaluation.plan.stages[number]
        whole = chunk_window(stage.array, touched.nchunk)
        key = (evaluation.key, number, touched.nchunk)
        items = self.results.find(key)
        if items is None:
            if stage.reduction is None and 4 * window.size < whole.size:
                return await self._compute(evaluation, stage, window)
            items = await self._flights.run(key, lambda: self._compute(evaluation, stage, whole))
            self.results.keep(key, items)
        if window == whole:
            return items
        local, _ = window.within(_origin(stage.array, touched), stage.array.chunks)
        return await self._workers.run(Lane.CPU, cut_out, items, local)

    async def _compute(self, evaluation: Evaluation, stage: Stage, window: Window) -> Array:
        """Compute a window of a stage."""
        if stage.reduction is not None:
            return await self._reduce(evaluation, stage, window)
        if window_nbytes(stage, window) > PIECE and window.size > 1:
            parts, axis = halves(window)
            done = [await self._compute(evaluation, stage, part) for part in parts]
            return await self._workers.run(Lane.CPU, joined, done, axis)
        return (await self._map(evaluation, stage, window))[0]

    async def _map(self, evaluation: Evaluation, stage: Stage, window: Window) -> list[Array]:
        async with self._slot(evaluation, stage):
            inputs = await gathered(
                [self._input(evaluation, source, source_window(source, window)) for source in stage.sources]
            )
            if isinstance(stage.kernel, Leaf) and stage.reduction is None:
                return [await self._workers.run(Lane.CPU, plain_copy, stage, inputs[0])]
            return await self._process(stage, window, inputs)

    async def _process(self, stage: Stage, window: Window, inputs: Sequence[Array]) -> list[Array]:
        async with self._lane.lease() as process:
            request = await self._workers.run(
                Lane.CPU, load, process.memory, self._lane.arena, stage, window, inputs
            )
            answer = await self._lane.call(process, request, TIMEOUT_S)
            return await self._workers.run(Lane.CPU, unload, process.memory, answer)

    async def _input(self, evaluation: Evaluation, source: Source, window: Window) -> Array:
        if isinstance(source.origin, int):
            items = await self._stage(evaluation, source.origin, window)
        else:
            items = await self._reader.array(evaluation.operands[source.origin], window)
        return source_items(items, source, window)

    async def _reduce(self, evaluation: Evaluation, stage: Stage, window: Window) -> Array:
        inner = inner_window(stage, window)
        if inner.size == 0:
            return reduced_nothing(stage, window)
        assert isinstance(evaluation.plan, Plan)
        arrays: dict[str | int, ArrayMeta] = {
            name: file.skeleton.array for name, file in evaluation.operands.items()
        }
        arrays.update({i: earlier.array for i, earlier in enumerate(evaluation.plan.stages)})
        pieces = reduction_pieces(stage, inner, near_chunks(stage, arrays), PIECE // 2)
        first = next(pieces)
        if window_nbytes(stage, first) > 2 * PIECE and window.size > 1:
            parts, axis = halves(window)
            done = [await self._reduce(evaluation, stage, part) for part in parts]
            return await self._workers.run(Lane.CPU, joined, done, axis)

        async def part_of(piece: Window) -> tuple[list[Array], Window]:
            return await self._map(evaluation, stage, piece), piece

        def starts() -> Iterable[Callable[[], Coroutine[None, None, tuple[list[Array], Window]]]]:
            for piece in itertools.chain([first], pieces):
                yield functools.partial(part_of, piece)

        total: list[Array] | None = None
        async for part, piece in in_flight(starts(), self._width):
            total = await self._workers.run(Lane.CPU, merged, stage, total, part, piece)
        assert total is not None
        return await self._workers.run(Lane.CPU, finished, stage, total, window)

    def _slot(self, evaluation: Evaluation, stage: Stage) -> asyncio.Semaphore:
        """Return what bounds the windows under way; by level, for a level waits on lower ones only."""
        assert isinstance(evaluation.plan, Plan)
        key = (evaluation.level, evaluation.plan.stages.index(stage))
        if key not in self._slots:
            self._slots[key] = asyncio.Semaphore(self._width)
        return self._slots[key]


async def in_flight(starts: Iterable[Callable[[], Coroutine[None, None, T]]], width: int) -> AsyncIterator[T]:
    """Yield results in order, with at most `width` coroutines under way."""
    pending: collections.deque[asyncio.Task[T]] = collections.deque()
    try:
        for start in starts:
            pending.append(asyncio.create_task(start()))
            if len(pending) >= width:
                yield await pending[0]
                pending.popleft()
        while pending:
            yield await pending[0]
            pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def gathered(coroutines: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Run coroutines at the same time; the first failure ends the others."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _origin(array: ArrayMeta, touched: Touched) -> list[int]:
    return [i * c for i, c in zip(touched.coords, array.chunks, strict=True)]


def weigh(plan: Plan | Join, weights: Mapping[str, int]) -> int:
    """Return how many times computing an item reads stored data, through levels that multiply.

    Parameters
    ----------
    weights
        Of the operands: 1 for those that are stored.

    Raises
    ------
    BadExpression
        More than `MAX_WEIGHT` times.
    """
    if isinstance(plan, Join):
        weight = sum(weights[name] for name in plan.names)
    else:
        stages: list[int] = []
        for stage in plan.stages:
            stages.append(
                sum(
                    stages[source.origin] if isinstance(source.origin, int) else weights[source.origin]
                    for source in stage.sources
                )
            )
        weight = stages[-1]
    return check_weight(weight)


def check_weight(weight: int) -> int:
    """Return `weight` if one item may read stored data so many times.

    Raises
    ------
    BadExpression
        It may not.
    """
    if weight > MAX_WEIGHT:
        raise BadExpression(
            f"through the expressions below it, this would read stored data {weight} times over;"
            f" at most {MAX_WEIGHT} can be",
            hint="store the result of one of them (compute)",
        )
    return weight


def check_level(level: int) -> int:
    """Return `level` if lazy datasets may lie so deep on top of each other.

    Raises
    ------
    BadExpression
        They may not.
    """
    if level > 8:
        raise BadExpression("more than 8 lazy datasets lie on top of each other")
    return level
