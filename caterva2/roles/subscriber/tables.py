"""Rows of structured arrays by a condition, sorted: read and judged piece by piece."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING

from caterva2.compute.gather import Gathering
from caterva2.compute.tables import (
    TABLE,
    Ordering,
    Rows,
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
from caterva2.runtime.singleflight import SingleFlight
from caterva2.runtime.workers import Lane, Workers

if TYPE_CHECKING:
    from caterva2.compute.assemble import Array
    from caterva2.compute.frames import ArrayMeta


MAX_BYTES = 256 << 20
"""Bytes of rows that are selected at once."""
SMALL = 16 << 20
LARGE_AT_ONCE = 1
"""So many requests hold more than `SMALL` bytes of rows; others wait with what they have."""
PIECE = 4 << 20
WHOLE = 4 << 20
"""A table of at most so many bytes is read whole for some of its rows."""
ORDERS = 32 << 20
"""Bytes of row numbers that are kept."""


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
        self._orders: OrderedDict[tuple[str, str, str | None, str | None], Rows] = OrderedDict()
        self._ordering: SingleFlight[tuple[str, str, str | None, str | None], Rows] = SingleFlight()

    async def stop(self) -> None:
        """Give up what is being sorted."""
        await self._ordering.close()

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
        if condition is None:
            check_rows(array.shape[0] * array.dtype.itemsize)
        parts: list[Array] = []
        nbytes = 0
        async with contextlib.AsyncExitStack() as stack:
            for start, stop in _pieces(array):
                part = await self._part(file, evaluation, start, stop)
                if part is None:
                    continue
                if nbytes <= SMALL < nbytes + part.nbytes:  # who holds it waits for nobody who holds rows
                    await stack.enter_async_context(self._large)
                parts.append(part)
                nbytes += part.nbytes
                check_rows(nbytes)
            yield await self._workers.run(Lane.CPU, collected, parts, array, keys)

    async def order(self, file: OpenedFile, condition: str | None, sortby: str | None) -> Rows:
        """Return which rows `rows` would give, by number, in their order; kept for who asks again.

        Parameters
        ----------
        sortby
            As `sort_keys` reads it.

        Raises
        ------
        BadExpression, BadRequest
            The condition or the column makes no sense for this dataset.
        ResponseTooLarge
            Numbers and keys of the rows have more than `MAX_BYTES` bytes.
        """
        key = (str(file.path), file.entry.etag, condition, sortby)
        found = self._orders.get(key)
        if found is not None:
            self._orders.move_to_end(key)
            return found
        found = await self._ordering.run(key, lambda: self._order(file, condition, sortby))
        self._orders[key] = found
        while sum(rows.nbytes for rows in self._orders.values()) > ORDERS and len(self._orders) > 1:
            self._orders.popitem(last=False)
        return found

    async def _order(self, file: OpenedFile, condition: str | None, sortby: str | None) -> Rows:
        array = file.skeleton.array
        check_table(array, "filter" if condition is not None else "sortby")
        ordering = Ordering(array, () if sortby is None else sort_keys(array, sortby))
        evaluation = None if condition is None else self._evaluation(file, condition)
        for start, stop in _pieces(array):
            window = Window((Axis(start, stop),))
            mask = None if evaluation is None else await self._evaluator.window(evaluation, window)
            items = None if sortby is None else await self._slices.array(file, window)
            await self._workers.run(Lane.CPU, ordering.add, start, stop, mask, items)
            if ordering.nbytes > MAX_BYTES:
                raise ResponseTooLarge(
                    "there are too many rows to be sorted or selected at once",
                    hint="ask for fewer rows with a filter",
                )
        return await self._workers.run(Lane.CPU, ordering.rows)

    async def taken(self, file: OpenedFile, rows: Rows) -> Array:
        """Return some rows, by number; at most as many bytes as are gathered at once."""
        array = file.skeleton.array
        if array.shape[0] * array.dtype.itemsize <= WHOLE:
            items = await self._slices.array(file, Window((Axis(0, array.shape[0]),)))
            return await self._workers.run(Lane.CPU, items.take, rows)
        gathering = await self._workers.run(Lane.CPU, Gathering, array, (rows,))
        boxes = gathering.boxes()
        while (box := await self._workers.run(Lane.CPU, next, boxes, None)) is not None:
            async with self._slices.items(file, box.window) as items:
                await self._workers.run(Lane.CPU, gathering.put, box, items)
        return await self._workers.run(Lane.CPU, gathering.result)

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


def _pieces(array: ArrayMeta) -> Iterator[tuple[int, int]]:
    """Cut all rows into pieces that follow the chunks."""
    step = max(1, PIECE // max(1, array.dtype.itemsize))
    step = max(step - step % max(1, array.chunks[0]), min(step, array.chunks[0]), 1)
    for start in range(0, array.shape[0], step):
        yield start, min(array.shape[0], start + step)


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
