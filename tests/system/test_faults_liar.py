"""A publisher that answers garbage, or lies: nothing wrong is told, nothing wrong is kept."""

from __future__ import annotations

import json

import blosc2
import httpx
import msgspec
import numpy as np
import pytest

from tests.support.frames import array_frame
from tests.support.liar import GARBAGE, Liar, impossible_entries, lies
from tests.support.processes import Network, contents, until

DATA = np.random.default_rng(4).integers(0, 10_000, (40, 60), dtype="<i4")
FRAME = array_frame(
    DATA, chunks=(16, 20), blocks=(4, 10), cparams={"codec": blosc2.Codec.LZ4}, vlmeta={"a": 1}
)
NAMES = sorted(lies())
MEMORY = 200 << 20


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with Network(tmp_path_factory.mktemp("liars"), roots=()) as network:
        yield network
        assert network.subscriber.peak_bytes() < MEMORY
        assert "Traceback" not in network.log, network.log


def registered(network, liar, root):
    answer = httpx.post(
        f"{network.broker.url}/api/roots", json={"name": root, "http": f"127.0.0.1:{liar.port}"}
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def liar(network):
    """A publisher whose files can all be listed."""
    with Liar(FRAME, lies()) as liar:
        registered(network, liar, "lies")
        network.subscribe("lies")
        yield liar


def refused(answer):
    assert answer.status_code in {502, 503}, (answer.status_code, answer.text[:300])
    assert answer.json()["detail"]


@pytest.mark.parametrize("name", NAMES)
def test_a_lie_is_refused_and_nothing_of_it_is_kept(network, liar, name):
    path = f"lies/{name}.b2nd"
    liar.honest = False
    try:
        refused(network.get(f"/api/fetch/{path}", params={"slice_": "3:9"}))
        refused(network.get(f"/api/fetch/{path}", params={"slice_": "3,4"}))
        refused(network.get(f"/api/chunk/{path}", params={"nchunk": 2}))
        whole_or_refused(network, path)
    finally:
        liar.honest = True

    np.testing.assert_array_equal(network.fetch(path, "3:9"), DATA[3:9])
    np.testing.assert_array_equal(network.fetch(path, ":,:"), DATA)
    assert network.get(f"/api/fetch/{path}").content == FRAME


def whole_or_refused(network, path):
    """A whole file begins to leave before all of it is here: what is wrong cuts it, or is refused."""
    try:
        answer = network.get(f"/api/fetch/{path}")
    except httpx.RemoteProtocolError:
        return
    refused(answer)


def test_a_lie_about_blocks_that_are_missing_leaves_those_that_are_here(network, liar):
    path = "lies/wrong-digest.b2nd"
    network.fetch(path, "0:4,0:10")
    liar.honest = False
    try:
        here = network.get(f"/api/fetch/{path}", params={"slice_": "0:4,0:10"})
    finally:
        liar.honest = True

    np.testing.assert_array_equal(contents(here.content), DATA[:4, :10])


class TestCatalog:
    def test_impossible_entries_are_left_out_and_the_others_shown(self, network):
        with Liar(FRAME, {}) as liar:
            liar.catalog = lambda after: liar.page(
                [*impossible_entries(liar), msgspec.to_builtins(liar.entry("good"))]
            )
            registered(network, liar, "impossible")
            network.subscribe("impossible")

            names = network.get("/api/list/impossible").json()
            data = network.fetch("impossible/good.b2nd", "0")

        assert names == ["good.b2nd"]
        np.testing.assert_array_equal(data, DATA[0])

    @pytest.mark.parametrize(
        ("name", "body"),
        [
            ("garbage", lambda liar, after: GARBAGE),
            ("nothing", lambda liar, after: b""),
            ("other-type", lambda liar, after: msgspec.msgpack.encode([1, 2, 3])),
            ("nested", lambda liar, after: b"\x91" * 100_000),
            ("too-long", lambda liar, after: bytes(40 << 20)),
            ("no-end", lambda liar, after: liar.page([liar.entry("a")], "same")),
        ],
    )
    def test_one_that_can_not_be_read_is_a_publisher_that_does_not_answer(self, network, name, body):
        with Liar(FRAME, {}) as liar:
            liar.catalog = lambda after: body(liar, after)
            registered(network, liar, name)
            answer = until(
                lambda: (found := network.get(f"/api/list/{name}")).status_code != 404 and found,
                "it is known",
            )

        refused(answer)


class TestEvents:
    def test_garbage_is_ignored_and_of_other_roots_nothing_is_believed(self, network, liar):
        entry = msgspec.to_builtins(liar.entry("wrong-digest", etag="2"))

        def envelope(event):
            return json.dumps({"epoch": "e", "seq": 1, "at": 0.0, "event": event})

        def changed(entry):
            return envelope({"type": "dataset-changed", "root": "other", "entry": entry})

        with Liar(FRAME, {"x": lambda *_: None}) as other:
            other.greeting = [
                "", "null", "[]", "{", GARBAGE, "x" * 100_000, "[" * 50_000,
                envelope({"type": "unknown"}),
                envelope({"type": "dataset-changed", "root": "lies", "entry": entry}),
                envelope({"type": "dataset-removed", "root": "lies", "path": "html.b2nd"}),
                changed({**entry, "path": "../x"}),
                changed({**entry, "path": "told.b2nd"}),
            ]  # fmt: skip
            registered(network, other, "other")
            network.subscribe("other")
            until(lambda: network.get("/api/list/other").json() == ["told.b2nd", "x.b2nd"], "the last event")

            info = network.get("/api/info/lies/html.b2nd")
            data = network.fetch("lies/wrong-digest.b2nd", "0")

        assert info.status_code == 200
        np.testing.assert_array_equal(data, DATA[0])
