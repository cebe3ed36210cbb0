"""zarrita.js reads the Zarr view; needs Node, and zarrita in ``labextension`` or the directory ZARRITA_HOME.

``npm install zarrita`` in any empty directory makes one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.samples import arrays, fill
from tests.support.serverthread import RoleThread

HOME = Path(os.environ.get("ZARRITA_HOME", Path(__file__).parents[2] / "labextension"))
READABLE = ["ds-1d.b2nd", "dir1/ds-2d.b2nd", "dir1/ds-3d.b2nd", "dtypes/00.b2nd", "dtypes/03.b2nd",
            "dtypes/06.b2nd", "dtypes/12.b2nd", "special/full.b2nd", "tiny.b2nd", "big.b2nd"]  # fmt: skip
PROGRAM = """
import * as zarr from "zarrita";
const [base, ...names] = process.argv.slice(1);
const store = await zarr.withConsolidatedMetadata(new zarr.FetchStore(base), { format: "v3" });
const group = await zarr.open(store, { kind: "group" });
const found = {};
for (const name of names) {
  const array = await zarr.open(group.resolve(name), { kind: "array" });
  const { data, shape } = await zarr.get(array);
  found[name] = { shape, data: Array.from(data, (value) => Number(value)) };
}
console.log(JSON.stringify({ found, contents: store.contents().length }));
"""

pytestmark = pytest.mark.may_skip(reason="zarrita is installed on purpose only")


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the Zarr view of ``@public`` with the samples."""
    state = tmp_path_factory.mktemp("zarr")
    fill(state / "public")
    config = SubscriberConfig(http=Address("127.0.0.1", 0), statedir=state, cache=1 << 30)
    with RoleThread(run_subscriber, config) as role:
        yield f"http://{role.address}/zarr/v3/@public"


def test_zarrita_reads_numbers(view: str) -> None:
    node = shutil.which("node")
    if node is None or not (HOME / "node_modules" / "zarrita").is_dir():
        pytest.skip("needs Node and zarrita")
    command = [node, "--input-type=module", "-e", PROGRAM, view, *READABLE]

    told = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=60, check=False)

    assert told.returncode == 0, told.stderr
    found: Any = json.loads(told.stdout)["found"]
    for name in READABLE:
        assert tuple(found[name]["shape"]) == arrays()[name].shape
        np.testing.assert_array_equal(found[name]["data"], arrays()[name].astype("f8").ravel())
