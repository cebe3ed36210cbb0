"""The subscriber that Jupyter runs when it is told of none; the only module that knows a role."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from caterva2.roles.subscriber.embedded import running_embedded
from caterva2_jupyter.config import Embedding


@contextlib.asynccontextmanager
async def run_embedded(embedding: Embedding, socket: Path) -> AsyncIterator[None]:
    """Serve inside the block."""
    async with running_embedded(
        socket=socket,
        statedir=embedding.statedir,
        public=embedding.public,
        user=embedding.user,
        broker=embedding.broker,
        secret=embedding.secret,
        cache=embedding.cache,
    ):
        yield
