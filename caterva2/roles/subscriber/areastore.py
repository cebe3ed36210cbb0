"""What the subscriber itself makes, put into areas: definitions of lazy datasets, and computed results."""

from __future__ import annotations

from collections.abc import AsyncIterator

from caterva2.compute.answers import Selection
from caterva2.compute.frames import Buffer
from caterva2.compute.windows import whole_window
from caterva2.errors import BadPath
from caterva2.model.paths import DatasetPath
from caterva2.model.users import Principal
from caterva2.roles.subscriber.files import Files
from caterva2.roles.subscriber.opened import OpenedFile
from caterva2.roles.subscriber.slices import Answer, SliceReader


class AreaStore:
    """Puts files into areas, whole or not at all.

    Parameters
    ----------
    files
        Counts quotas, and tells what changes.
    slices
        Computes what is stored as an array.
    """

    def __init__(self, files: Files, slices: SliceReader) -> None:
        self._files = files
        self._slices = slices

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
        await self._files.area(principal, path.root)
        answer = await self._slices.frame(file, whole)
        await self._put(principal, path, _buffers(answer))

    async def _put(self, principal: Principal, path: DatasetPath, data: AsyncIterator[Buffer]) -> None:
        incoming = await self._files.begin(principal, path)
        if incoming.path != path:
            await self._files.drop(incoming)
            raise BadPath(f"{path} is a directory")
        try:
            async for part in data:
                await self._files.write(incoming, bytes(part) if isinstance(part, memoryview) else part)
            await self._files.finish(incoming, verify=False)
        finally:
            await self._files.drop(incoming)


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
