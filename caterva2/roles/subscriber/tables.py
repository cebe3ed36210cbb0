"""Rows of structured arrays by a condition, sorted: read and judged piece by piece."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from caterva2.compute.tables import (
    TABLE,
    check_table,
    chosen_rows,
    collected,
    plan_condition,
    sort_keys,
    wanted_range,
)
from caterva2.errors import ResponseTooLarge
from caterva2.model.slicing import Axis, Window
from caterva2.roles.subscriber.evaluation import Evaluation, Evaluator
from caterva2.roles.subscriber.opened import LazyFile, OpenedFile
from caterva2.roles.subscriber.slices import SliceReader
from caterva2.runtime.workers import Lane, Workers

if TYPE_CHECKING:
    from caterva2.compute.assemble import Array

MAX_BYTES = 256 << 20
"""Bytes of rows that are selected at once."""
SMALL = 16 << 20
LARGE_AT_ONCE = 1
"""So many requests hold more than `SMALL` bytes of rows; others wait with what they have."""
PIECE = 4 << 20


class Tables:
    """Selects and sorts rows.

    Parameters
    ----------
    slices
        Reads rows.
    evaluator
        Judges them.
    """

    def __init__(self, slices: SliceReader, evaluator: Evaluator, workers: Workers) -> None:
        self._slices = slices
        self._evaluator = evaluator
        self._workers = workers
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    @contextlib.asynccontextmanager
    async def rows(
        self, file: OpenedFile, condition: str | None, sortby: str | None
    ) -> AsyncGenerator[Array, None]:
        """Give the rows for which `condition` is true (None: all), sorted as `sort_keys` reads it.

        Raises
        ------
        BadExpression, BadRequest
            The condition or the column makes no sense for this dataset.
        ResponseTooLarge
            They have more than `MAX_BYTES` bytes.
        """
        array = file.skeleton.array
        check_table(array, "filter" if condition is not None else "sortby")
        keys = () if sortby is None else sort_keys(array, sortby)
        evaluation = None if condition is None else self._evaluation(file, condition)
        total = array.shape[0]
        if condition is None:
            check_rows(total * array.dtype.itemsize)
        step = max(1, PIECE // max(1, array.dtype.itemsize))
        step = max(step - step % max(1, array.chunks[0]), min(step, array.chunks[0]), 1)
        parts: list[Array] = []
        nbytes = 0
        async with contextlib.AsyncExitStack() as stack:
            for start in range(0, total, step):
                part = await self._part(file, evaluation, start, min(total, start + step))
                if part is None:
                    continue
                if nbytes <= SMALL < nbytes + part.nbytes:  # who holds it waits for nobody who holds rows
                    await stack.enter_async_context(self._large)
                parts.append(part)
                nbytes += part.nbytes
                check_rows(nbytes)
            yield await self._workers.run(Lane.CPU, collected, parts, array, keys)

    def _evaluation(self, file: OpenedFile, condition: str) -> Evaluation:
        plan = plan_condition(condition, file.skeleton.array)
        digest = hashlib.blake2b(f"{file.entry.etag}\0{condition}".encode(), digest_size=12).hexdigest()
        level = file.evaluation.level if isinstance(file, LazyFile) else 0
        return Evaluation(f"{file.path}\0{digest}", plan, {TABLE: file}, level + 1)

    async def _part(
        self, file: OpenedFile, evaluation: Evaluation | None, start: int, stop: int
    ) -> Array | None:
        if evaluation is None:
            return await self._slices.array(file, Window((Axis(start, stop),)))
        mask = await self._evaluator.window(evaluation, Window((Axis(start, stop),)))
        wanted = await self._workers.run(Lane.CPU, wanted_range, mask)
        if wanted is None:
            return None
        first, end = wanted
        items = await self._slices.array(file, Window((Axis(start + first, start + end),)))
        return await self._workers.run(Lane.CPU, chosen_rows, items, mask[first:end])


def check_rows(nbytes: int) -> None:
    """Refuse rows of more than `MAX_BYTES` bytes.

    Raises
    ------
    ResponseTooLarge
        They have more.
    """
    if nbytes > MAX_BYTES:
        raise ResponseTooLarge(
            f"the rows that are selected have more than {MAX_BYTES} bytes, which is the most that"
            " are put together at once",
            hint="narrow the condition, or read slices without filter and sortby",
        )
