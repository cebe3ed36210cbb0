"""Single items by lists of indices."""

from __future__ import annotations

from collections.abc import Sequence

from caterva2.compute.answers import Selection, whole_frame
from caterva2.compute.frames import Buffer
from caterva2.compute.gather import Gathering, Indices
from caterva2.model.slicing import Axis, Window
from caterva2.roles.subscriber.opened import OpenedFile
from caterva2.roles.subscriber.slices import SliceReader
from caterva2.runtime.workers import Lane, Workers


class Gatherer:
    """Reads items by lists of indices.

    Parameters
    ----------
    slices
        Reads the windows that hold them.
    """

    def __init__(self, slices: SliceReader, workers: Workers) -> None:
        self._slices = slices
        self._workers = workers

    async def frame(
        self, file: OpenedFile, indices: Indices, field: str | None, *, local: bool
    ) -> Sequence[Buffer]:
        """Return the selected items as a frame.

        Raises
        ------
        ResponseTooLarge
            They are more than can be gathered at once.
        """
        gathering = await self._workers.run(Lane.CPU, Gathering, file.skeleton.array, indices)
        boxes = gathering.boxes()
        while (box := await self._workers.run(Lane.CPU, next, boxes, None)) is not None:
            items = await self._slices.array(file, box.window)
            await self._workers.run(Lane.CPU, gathering.put, box, items)
        out = await self._workers.run(Lane.CPU, gathering.result)
        selection = Selection(Window(tuple(Axis(0, n) for n in out.shape)), field, local)
        return await self._workers.run(
            Lane.CPU, whole_frame, out, selection, plain=file.skeleton.meta is None
        )
