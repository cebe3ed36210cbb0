"""Files that change while many read them: every answer is of one generation, in the end of the last."""

from __future__ import annotations

import contextlib
import os
import random
import threading

import blosc2
import httpx
import numpy as np
import pytest

from tests.support.processes import WAIT_S, Crowd, Network, contents, until

SHAPE = (48, 128, 128)
RAW = {"chunks": (16, 64, 64), "blocks": (4, 16, 16), "cparams": {"clevel": 0}}
PACKED = {**RAW, "cparams": {"codec": blosc2.Codec.LZ4}}
BASE = np.random.default_rng(9).integers(0, 2**20, SHAPE, dtype="<i4")
PAUSE = threading.Event()


def frame(generation, **how):
    """Return a frame in which every item tells its generation, of the same size for each if `how` is RAW."""
    data: bytes = blosc2.asarray(BASE + generation, **how).to_cframe()
    return data


def generation_of(answer, window):
    """Return the generation that an answer is of, and check that it is of one only."""
    difference = contents(answer) - BASE[window]
    assert (difference == difference.flat[0]).all(), f"a mixture of {np.unique(difference)}"
    return int(difference.flat[0])


@contextlib.contextmanager
def readers(url, path, seen):
    """Read all the time in three threads; note the generations that were seen, and the failures by status."""
    clients = [httpx.Client(base_url=url, timeout=WAIT_S) for _ in range(3)]

    def one_read(number, turn):
        rng = random.Random(number * 1_000_003 + turn)
        window = tuple(slice(a := rng.randrange(n), rng.randint(a + 1, n)) for n in SHAPE)
        params = {"slice_": ",".join(f"{s.start}:{s.stop}" for s in window)}
        if rng.random() < 0.3:
            window, params = (slice(None),) * 3, {}
        try:
            answer = clients[number].get(f"/api/fetch/{path}", params=params)
        except httpx.RemoteProtocolError:
            seen.setdefault("cut", set()).add(bool(params))
            return
        if answer.status_code == 200:
            seen.setdefault(200, set()).add(generation_of(answer.content, window))
        else:
            seen.setdefault(answer.status_code, set()).add(answer.json()["detail"])

    with contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
        with Crowd(one_read, len(clients)) as crowd:
            yield crowd


def after_rounds(crowd, count):
    goal = crowd.rounds + count
    until(lambda: crowd.failures or crowd.rounds > goal, f"{count} more reads", within_s=60)
    crowd.check()


def replace(path, generation):
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(frame(generation, **PACKED))
    new.replace(path)


def rewrite(path, generation):
    """Write over a file in place, in pieces, as fast as that goes."""
    data = frame(generation, **RAW)
    assert len(data) == path.stat().st_size
    with path.open("r+b", buffering=0) as file:
        for at in range(0, len(data), 100_000):
            os.pwrite(file.fileno(), data[at : at + 100_000], at)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    network = Network(tmp_path_factory.mktemp("replaced"))
    for name, how in (("replaced", PACKED), ("rewritten", RAW), ("once", PACKED), ("other", PACKED)):
        network.add(f"foo/{name}.b2nd", frame(0, **how))
        network.add(f"@public/{name}.b2nd", frame(0, **how))
    with network:
        network.subscribe("foo")
        yield network
        assert "Traceback" not in network.log, network.log


@pytest.mark.parametrize("root", ["foo", "@public"])
@pytest.mark.parametrize(("name", "change"), [("replaced", replace), ("rewritten", rewrite)])
def test_every_answer_is_of_one_generation(network, root, name, change):
    path = f"{root}/{name}.b2nd"
    file = (network.public if root == "@public" else network.home / root) / f"{name}.b2nd"
    seen = {}
    with readers(network.subscriber.url, path, seen) as crowd:
        after_rounds(crowd, 10)
        for generation in range(1, 13):
            change(file, generation)
            after_rounds(crowd, 6)
            if generation % 4 == 0:
                until(lambda n=generation: crowd.failures or n in seen[200], "this generation")
        crowd.check()

    assert set(seen) <= {200, 400, 412, "cut"}, seen
    assert all("is being written" in detail for detail in seen.get(400, ())), seen
    assert seen[200] >= {0, 4, 8, 12}
    assert generation_of(network.get(f"/api/fetch/{path}", params={"slice_": ":,:,:"}).content, ...) == 12
    assert generation_of(network.get(f"/api/fetch/{path}").content, ...) == 12


def test_only_the_blocks_of_the_changed_file_are_fetched_again(network):
    for name in ("once", "other"):
        network.fetch(f"foo/{name}.b2nd", "0:48,0:128,0:100")
    until(lambda: network.is_fresh("foo"), "it is fresh")
    replace(network.home / "foo" / "once.b2nd", 7)
    until(lambda: generation_of_item(network, "once") == 7, "the new generation")
    fetched = network.metric("publisher_bytes")

    network.fetch("foo/other.b2nd", "0:48,0:128,0:100")
    of_the_other = network.metric("publisher_bytes") - fetched
    data = network.fetch("foo/once.b2nd", "0:48,0:128,0:100")
    of_the_changed = network.metric("publisher_bytes") - fetched

    assert of_the_other == 0
    assert of_the_changed > 100_000
    np.testing.assert_array_equal(data, BASE[:, :, :100] + 7)


def generation_of_item(network, name):
    return network.fetch(f"foo/{name}.b2nd", "0,0,0") - BASE[0, 0, 0]
