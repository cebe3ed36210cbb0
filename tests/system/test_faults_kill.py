"""Fifty kills in the middle of a fill: reads go on, and no array is ever wrong."""

from __future__ import annotations

import contextlib
import random
import threading
from typing import Any

import blosc2
import httpx
import numpy as np
import pytest

from tests.support.processes import Crowd, Network, contents, until

KILLS = 50
PAUSE = threading.Event()
MAY_HAPPEN = frozenset({502, 503, 504})
"""What a client may be told while somebody is dead."""


def make_sources(network):
    """Fill both roots; return what each path holds, and the stored bytes."""
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {}
    frames: dict[str, bytes] = {}
    for root in ("foo", "bar"):
        for n in range(3):
            path = f"{root}/dir/{n}.b2nd"
            data = (
                np.arange(40 * 160 * 160).reshape(40, 160, 160) // 7 + rng.integers(0, 9000, (40, 160, 160))
            ).astype("<i4")
            frames[path] = network.add_array(
                path, data, chunks=(16, 64, 64), blocks=(4, 16, 16), cparams={"codec": blosc2.Codec.LZ4}
            )
            arrays[path] = data
    text = rng.integers(0, 256, 700_000, dtype="u1").tobytes()
    network.add("foo/notes.bin", text)
    arrays["foo/notes.bin"] = text
    return arrays, frames


@contextlib.contextmanager
def readers(arrays, frames, url):
    """Read at random and compare, in three threads; failures that may happen are skipped."""
    clients = [httpx.Client(base_url=url, timeout=30) for _ in range(3)]

    def one_read(number, turn):
        rng = random.Random(number * 100_000 + turn)
        path = rng.choice(sorted(arrays))
        try:
            check_one(clients[number], path, arrays[path], frames.get(path), rng)
        except httpx.TransportError:
            PAUSE.wait(0.01)

    with contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
        with Crowd(one_read, len(clients)) as crowd:
            yield crowd


def check_one(client, path, data, frame, rng):
    if isinstance(data, bytes):
        answer = client.get(f"/api/download/{path}")
        if usable(answer):
            assert answer.content == data, f"{path} differs"
        return
    if rng.random() < 0.1:
        answer = client.get(f"/api/fetch/{path}")
        if usable(answer):
            assert answer.content == frame, f"the frame of {path} differs"
        return
    window = tuple(slice(a := rng.randrange(n), rng.randint(a + 1, n)) for n in data.shape)
    text = ",".join(f"{s.start}:{s.stop}" for s in window)
    answer = client.get(f"/api/fetch/{path}", params={"slice_": text})
    if usable(answer):
        np.testing.assert_array_equal(contents(answer.content), data[window], f"{path}[{text}]")


def usable(answer):
    if answer.status_code in MAY_HAPPEN:
        assert answer.json()["detail"]
        PAUSE.wait(0.01)
        return False
    assert answer.status_code == 200, (answer.status_code, answer.request.url, answer.text)
    return True


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fifty_kills_in_the_middle_of_a_fill_lose_nothing(tmp_path):
    with Network(tmp_path, roots=("foo", "bar")) as network:
        rng = random.Random(20)
        arrays, frames = make_sources(network)
        total = sum(map(len, frames.values()))
        victims = {
            "subscriber": network.subscriber,
            "foo": network.publishers["foo"],
            "bar": network.publishers["bar"],
            "broker": network.broker,
        }
        network.subscribe("foo")
        network.subscribe("bar")
        until(lambda: all(network.status(path, "0") == 200 for path in frames), "the first reads")
        with readers(arrays, frames, network.subscriber.url) as crowd:
            for _ in range(KILLS):
                name = rng.choices(sorted(victims), (6, 9, 9, 24))[0]
                PAUSE.wait(rng.uniform(0.0, 0.15))
                victims[name].kill()
                PAUSE.wait(rng.uniform(0.0, 0.1))
                # room for all, or for less than half: then what is read once has to be filled in again
                cache = rng.choice((1 << 30, total // 3))
                victims[name].start(*(["--cache", str(cache)] if name == "subscriber" else []))
                crowd.check()
                path, at = rng.choice(sorted(frames)), rng.randrange(40)
                until(lambda path=path, at=at: network.status(path, f"{at}") == 200, f"{path} after {name}")
            done = crowd.rounds
            until(lambda: crowd.failures or crowd.rounds > done + 20, "reads go on")

        for path, data in arrays.items():
            answer = network.get(f"/api/{'fetch' if path in frames else 'download'}/{path}")
            assert answer.status_code == 200, answer.text
            assert answer.content == frames.get(path, data)
            if path in frames:
                np.testing.assert_array_equal(network.fetch(path, ":,:,:"), data)
                np.testing.assert_array_equal(network.fetch(path, "1:,1:,1:"), data[1:, 1:, 1:])
        network.subscriber.stop()

        names = [path.name for path in network.cache_files()]
        assert not [name for name in names if not name.endswith((".units", ".frame"))]
        assert len([n for n in names if n.endswith(".units")]) == len(
            [n for n in names if n.endswith(".frame")]
        )
        assert not [*(network.state / "spool").iterdir(), *(network.state / "made").rglob("*.tmp")]
        assert "Traceback" not in network.log, network.log
