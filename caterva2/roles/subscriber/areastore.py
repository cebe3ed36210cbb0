"""What the subscriber itself makes, put into areas: definitions of lazy datasets, and computed results."""

from __future__ import annotations

from collections.abc import AsyncIterator

from caterva2.compute.answers import Selection
from caterva2.compute.frames import Buffer
from caterva2.compute.windows import whole_window
from caterva2.model.paths import DatasetPath
from caterva2.model.users import Principal
from caterva2.roles.subscriber.areas import Areas
from caterva2.roles.subscriber.library import Library
from caterva2.roles.subscriber.opened import OpenedFile
from caterva2.roles.subscriber.slices import Answer, SliceReader
from caterva2.runtime.workers import Lane, Workers


class AreaStore:
    """Puts files into areas, whole or not at all.

    Parameters
    ----------
    slices
        Computes what is stored as an array.
    """

    def __init__(self, areas: Areas, library: Library, slices: SliceReader, workers: Workers) -> None:
        self._areas = areas
        self._library = library
        self._slices = slices
        self._workers = workers

    async def put_bytes(self, principal: Principal, path: DatasetPath, data: bytes) -> None:
        """Store a file.

        Raises
        ------
        NotAuthenticated, BadPath
            It can not be stored there.
        """
        await self._put(principal, path, _once(data))

    async def put_array(self, principal: Principal, path: DatasetPath, file: OpenedFile) -> None:
        """Store the items of an opened file as an array.

        Raises
        ------
        NotAuthenticated, BadPath
            It can not be stored there.
        """
        whole = Selection(whole_window(file.skeleton.array.shape))
        self._areas.writable(principal, path.root)
        answer = await self._slices.frame(file, whole)
        await self._put(principal, path, _buffers(answer))

    async def _put(self, principal: Principal, path: DatasetPath, data: AsyncIterator[Buffer]) -> None:
        area = self._areas.writable(principal, path.root)
        run = self._workers.run
        staged = await run(Lane.DISK, area.files.stage)
        try:
            async for part in data:
                await run(Lane.DISK, staged.write, part)
            await run(Lane.DISK, area.files.commit, staged, path.relative)
        finally:
            await run(Lane.DISK, staged.close)
        self._library.forget_below(area.key, path.relative)
        await self._areas.changed(area, [path.relative])


async def _once(data: bytes) -> AsyncIterator[Buffer]:
    yield data


async def _buffers(answer: Answer) -> AsyncIterator[Buffer]:
    if answer.buffers is not None:
        for buffer in answer.buffers:
            yield buffer
    elif answer.stream is not None:
        try:
            async for buffer in answer.stream:
                yield buffer
        finally:
            await answer.stream.aclose()
