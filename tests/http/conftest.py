"""Networks of broker, publishers and subscriber for the tests over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.cluster import Cluster
from tests.support.samples import fill


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A network of one empty root, ``foo``."""
    async with Cluster(tmp_path) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A network whose roots ``foo`` and ``@public`` hold `tests.support.samples`; only to be read."""
    cluster = Cluster(tmp_path_factory.mktemp("filled"), roots=("foo", "other"))
    for root in ("foo", "@public"):
        fill(cluster.root(root))
    async with cluster:
        yield cluster
