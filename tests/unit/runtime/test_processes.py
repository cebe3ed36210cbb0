"""The lane of processes: none is left behind."""

from __future__ import annotations

import asyncio
import gc

import pytest

from caterva2.runtime.processes import ProcessLane
from caterva2.runtime.workers import Workers


@pytest.mark.asyncio
async def test_start_that_is_cancelled_leaves_no_process_behind() -> None:
    workers = Workers()
    workers.start()
    lane = ProcessLane(workers, "caterva2.compute.evaluator", size=2)
    starting = asyncio.create_task(lane.start())
    await asyncio.sleep(0)

    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await lane.stop()

    await workers.stop()
    gc.collect()  # a process that nobody has waited for would warn here
    assert lane.pids == []
