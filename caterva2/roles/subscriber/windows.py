"""Looking at parts of datasets: items as a page or a widget shows them, thinned out where they are many."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from caterva2.compute.answers import result_dtype
from caterva2.compute.plaindata import cell_count, cells, descr, dtype_text, plain_dtype, raw_bytes
from caterva2.compute.tables import window_of
from caterva2.compute.thinning import Limits, thinned
from caterva2.errors import BadRequest, ResponseTooLarge
from caterva2.model import wire
from caterva2.model.paths import DatasetPath
from caterva2.model.requests import Encoding, WindowCells, WindowQuery
from caterva2.model.slicing import NDSlice, Window
from caterva2.model.users import Principal
from caterva2.roles.subscriber.library import Library
from caterva2.roles.subscriber.reads import Reply, labelled
from caterva2.roles.subscriber.slices import SliceReader
from caterva2.roles.subscriber.tables import Tables
from caterva2.runtime.workers import Lane, Workers

if TYPE_CHECKING:
    import numpy as np

    from caterva2.compute.assemble import Array
    from caterva2.compute.frames import ArrayMeta, Buffer

MAX_BYTES = 32 << 20
MAX_CELLS = 200_000
BLOCKS, MOST_BLOCKS = 4096, 65536
DECODED = 256 << 20
"""Uncompressed bytes of the blocks that are read for `BLOCKS`: a quarter of a second on two cores."""
NOW = 64 << 10
"""Items of at most so many bytes are written out at once; more of them in a lane."""


class _Form(NamedTuple):
    """How items leave."""

    field: str | None
    encoding: Encoding


class Windows:
    """The service behind ``/api/window``.

    Parameters
    ----------
    slices, tables
        From windows to items, and to rows by a condition.
    """

    def __init__(self, library: Library, slices: SliceReader, tables: Tables, workers: Workers) -> None:
        self._library = library
        self._slices = slices
        self._tables = tables
        self._workers = workers

    async def look(self, principal: Principal, path: DatasetPath, query: WindowQuery) -> Reply:
        """Answer a part of a dataset; its items are read when `Reply.make` is called.

        Raises
        ------
        BadSlice, BadRequest
            The query makes no sense for this dataset.
        ResponseTooLarge
            It is more than is sent at once, and no `points` say how much would do.
        """
        limits = _limits(query)
        asked = NDSlice.parse(query.slice_, allow_ellipsis=True)
        file = await self._library.open(principal, path)
        array = file.skeleton.array
        dtype = result_dtype(array, query.field)
        selects = query.filter is not None or query.sortby is not None
        window = None if selects else _fitted(asked.bind(array.shape), array, dtype, query, limits)
        reply = Reply(
            etag=_etag(file.entry.etag, query),
            freshness=self._library.freshness(path),
            media=wire.JSON if query.encoding is Encoding.JSON else wire.BINARY,
            mtime_ns=file.entry.mtime_ns,
        )

        async def make() -> Sequence[Buffer]:
            form = _Form(query.field, query.encoding)
            if window is not None:
                async with self._slices.items(file, window) as items:
                    return await self._written(reply, items, window, form)
            rows = await self._tables.order(file, query.filter, query.sortby)
            reply.headers[wire.ROWS] = str(len(rows))
            part = _fitted(asked.bind(rows.shape), array, dtype, query, limits)
            chosen = await self._workers.run(Lane.CPU, window_of, rows, part)
            return await self._written(reply, await self._tables.taken(file, chosen), part, form)

        reply.make = make
        return labelled(reply, file.entry)

    async def _written(self, reply: Reply, items: Array, window: Window, form: _Form) -> list[Buffer]:
        step = tuple(axis.step for axis in window.axes if not axis.drop)
        if form.encoding is Encoding.JSON:
            if items.nbytes <= NOW:
                return [_as_json(items, window, step, form.field)]
            return [await self._workers.run(Lane.CPU, _as_json, items, window, step, form.field)]
        dtype = plain_dtype(items.dtype if form.field is None else items.dtype[form.field])
        reply.headers[wire.DTYPE] = dtype_text(dtype)
        reply.headers[wire.SHAPE] = ",".join(map(str, window.shape))
        reply.headers[wire.STEP] = ",".join(map(str, step))
        if items.nbytes <= NOW:
            return [_as_raw(items, form.field)]
        return [await self._workers.run(Lane.CPU, _as_raw, items, form.field)]


def _limits(query: WindowQuery) -> Limits | None:
    """Return how far to thin out; None: not at all."""
    if query.blocks is not None and not 1 <= query.blocks <= MOST_BLOCKS:
        raise BadRequest(f"blocks: expected 1 to {MOST_BLOCKS}, found {query.blocks}")
    if query.points is None:
        return None
    if query.points < 1:
        raise BadRequest(f"points: expected a positive number, found {query.points}")
    blocks = query.blocks or BLOCKS
    return Limits(query.points, MAX_BYTES, blocks, DECODED * max(1, blocks // BLOCKS))


def _fitted(
    window: Window, array: ArrayMeta, dtype: np.dtype[np.generic], query: WindowQuery, limits: Limits | None
) -> Window:
    """Return a window of a size that can be sent.

    Raises
    ------
    ResponseTooLarge
        It has another one, and may not be thinned out.
    """
    ncells = cell_count(dtype) if query.encoding is Encoding.JSON else 0
    most = max(1, MAX_CELLS // ncells if ncells else MAX_BYTES // max(1, dtype.itemsize))
    if limits is not None:
        itemsize = max(1, array.dtype.itemsize)
        window = thinned(array, window, limits._replace(nbytes=min(limits.nbytes, most * itemsize)))
    if window.size > most or window.size * array.dtype.itemsize > 2 * MAX_BYTES:
        what = f"{MAX_CELLS} cells" if ncells else f"{MAX_BYTES} bytes"
        raise ResponseTooLarge(
            f"the window has {window.size} items; at most {what} are sent at once",
            hint="ask for a smaller part, or say with points how many items are enough",
        )
    return window


def _as_raw(items: Array, field: str | None) -> memoryview:
    return raw_bytes(items if field is None else items[field])


def _as_json(items: Array, window: Window, step: tuple[int, ...], field: str | None) -> bytes:
    if field is not None:
        items = items[field]
    inner = items.shape[len(window.axes) :]
    items = items.reshape((*window.shape, *inner))
    return wire.to_json(
        WindowCells(
            dtype=descr(plain_dtype(items.dtype)),
            shape=window.shape,
            step=step,
            names=items.dtype.names,
            data=cells(items),
        )
    )


def _etag(generation: str, query: WindowQuery) -> str:
    text = repr(
        (query.slice_, query.field, query.filter, query.sortby, query.points, query.blocks, query.encoding)
    )
    return f"{generation}-w{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
