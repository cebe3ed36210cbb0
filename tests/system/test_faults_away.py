"""Services that are down, hung, or back again: what is known stays readable, and says how old it is."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
from http.client import HTTPConnection
from queue import Queue
from typing import NamedTuple

import httpx
import numpy as np
import pytest

from tests.support.daemon import Daemon
from tests.support.processes import Network, contents, timed, until

STALE = re.compile(r"stale; age=\d+")
SHAPE = (64, 256, 64)
FAST_S = 1.0
"""What is at hand is answered within this; a loaded machine needs some of it."""


def array(seed):
    return np.random.default_rng(seed).integers(0, 10_000, SHAPE, dtype="<i4")


ARRAY = array(1)


def add(network, path, data):
    network.add_array(path, data, chunks=(16, 64, 64), blocks=(4, 16, 16))


class Data(NamedTuple):
    """An array that is in both roots, and of which the first quarter was read."""

    array: np.ndarray
    foo: str
    bar: str


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Processes that the tests here share, for starting them takes longer than most tests."""
    network = Network(tmp_path_factory.mktemp("network"), roots=("foo", "bar"))
    for root in ("foo", "bar"):
        for n in range(20):
            add(network, f"{root}/{n}.b2nd", ARRAY)
    with network:
        for root in ("foo", "bar"):
            network.subscribe(root)
        yield network
        assert "Traceback" not in network.log, network.log


@pytest.fixture
def network(running):
    """A network in which everybody runs and knows each other, now and at the end."""
    yield running
    for service in (running.broker, *running.publishers.values(), running.subscriber):
        if not service.is_running:
            service.start()


@pytest.fixture(scope="module")
def numbers():
    return itertools.count()


@pytest.fixture
def data(network, numbers):
    n = next(numbers)
    found = Data(ARRAY, f"foo/{n}.b2nd", f"bar/{n}.b2nd")
    for root in ("foo", "bar"):
        until(lambda root=root: network.is_fresh(root), f"{root} is fresh")
        network.fetch(f"{root}/{n}.b2nd", "0:16")
    return found


def ask_plainly(http, target):
    """Return status and JSON of an answer; httpx takes long to begin in many threads at once."""
    connection = HTTPConnection(http, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def lost(network, root="foo"):
    until(lambda: not network.is_fresh(root), f"the subscriber knows that {root} is away")


class TestPublisherDown:
    def test_cached_slices_are_served_and_say_that_they_may_be_old(self, network, data):
        network.publishers["foo"].kill()
        lost(network)

        answer = network.get(f"/api/fetch/{data.foo}", params={"slice_": "3:9"})

        assert answer.status_code == 200
        assert STALE.fullmatch(answer.headers["Caterva2-Freshness"])
        np.testing.assert_array_equal(contents(answer.content), data.array[3:9])

    def test_uncached_slices_are_refused_at_once_with_the_reason(self, network, data):
        network.publishers["foo"].kill()

        with timed() as took:
            answer = network.get(f"/api/fetch/{data.foo}", params={"slice_": "40:50"})

        assert answer.status_code == 503
        assert answer.json()["detail"].startswith(
            "what was asked for is not in the cache, and the publisher of foo"
        )
        assert took() < FAST_S

    def test_roots_show_it_while_lists_and_descriptions_go_on(self, network, data):
        network.publishers["foo"].kill()
        lost(network)

        root = network.get("/api/roots").json()["foo"]
        names = network.get("/api/list/foo")
        info = network.get(f"/api/info/{data.foo}")

        assert STALE.fullmatch(root["freshness"])
        assert root["error"]
        assert data.foo.removeprefix("foo/") in names.json()
        assert STALE.fullmatch(names.headers["Caterva2-Freshness"])
        assert info.json()["shape"] == list(SHAPE)

    def test_back_again_it_is_fresh_without_a_request(self, network, data):
        publisher = network.publishers["foo"]
        publisher.kill()
        lost(network)
        publisher.start()

        with timed() as took:
            until(lambda: network.is_fresh("foo"), "fresh again")

        assert took() < 5
        np.testing.assert_array_equal(network.fetch(data.foo, "40:50"), data.array[40:50])

    def test_changes_while_it_was_down_are_taken_up(self, network, data):
        publisher = network.publishers["foo"]
        publisher.kill()
        lost(network)
        new = array(2)
        add(network, data.foo, new)
        add(network, "foo/c.b2nd", new)
        publisher.start()
        until(lambda: network.is_fresh("foo"), "fresh again")

        assert "c.b2nd" in network.get("/api/list/foo").json()
        np.testing.assert_array_equal(network.fetch(data.foo, "0:16"), new[:16])

    def test_a_download_that_it_leaves_does_not_look_complete(self, network, data):
        big = np.random.default_rng(5).integers(0, 2**30, (64, 512, 512), dtype="<i4")
        add(network, "foo/big.b2nd", big)
        until(lambda: network.status("foo/big.b2nd", "0,0,0") == 200, "the file is there")

        with httpx.stream("GET", f"{network.subscriber.url}/api/fetch/foo/big.b2nd") as answer:
            pieces = answer.iter_raw(1 << 16)
            next(pieces)
            network.publishers["foo"].kill()
            with pytest.raises(httpx.RemoteProtocolError):
                sum(len(piece) for piece in pieces)


class TestSubscriberAlone:
    def test_restarted_without_anybody_it_serves_what_it_has(self, network, data):
        network.publishers["foo"].kill()
        network.publishers["bar"].kill()
        network.broker.kill()
        network.subscriber.kill()
        network.subscriber.start()

        with timed() as took:
            answers = [
                network.get("/api/list/foo"),
                network.get(f"/api/info/{data.foo}"),
                network.get(f"/api/fetch/{data.foo}", params={"slice_": "0:16"}),
            ]
            uncached = network.get(f"/api/fetch/{data.foo}", params={"slice_": "40"})
            unknown = network.get("/api/list/neverheard")

        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert all(STALE.fullmatch(answer.headers["Caterva2-Freshness"]) for answer in answers)
        np.testing.assert_array_equal(contents(answers[2].content), data.array[:16])
        assert (uncached.status_code, unknown.status_code) == (503, 503)
        assert "broker" in unknown.json()["detail"]
        assert took() < 5 * FAST_S


class TestPublisherHung:
    def test_nobody_waits_long_and_all_else_stays_fast(self, network, data):
        publisher = network.publishers["foo"]
        publisher.hang()
        answers = Queue()

        def ask(at):
            with timed() as took:
                status, body = ask_plainly(network.subscriber.http, f"/api/fetch/{data.foo}?slice_={at}")
            answers.put((status, body["detail"], took()))

        waiting = [threading.Thread(target=ask, args=(17 + n,)) for n in range(40)]
        try:
            for thread in waiting:
                thread.start()
            until(lambda: network.metric("requests_in_flight") > 30, "they wait")
            times = []
            for at in range(16, 26):
                with timed() as took:
                    np.testing.assert_array_equal(network.fetch(data.bar, str(at)), data.array[at])
                    np.testing.assert_array_equal(network.fetch(data.foo, str(at - 16)), data.array[at - 16])
                    network.get("/api/roots")
                times.append(took())
            for thread in waiting:
                thread.join(30)
            until(lambda: not network.is_fresh("foo"), "the subscriber notices")
            ask(60)
            with timed() as refused_at_once:
                ask(60)
        finally:
            publisher.go_on()

        assert max(times) < FAST_S
        given = [answers.get_nowait() for _ in range(42)]
        assert {status for status, _, _ in given} == {503}
        assert all("the publisher of foo at" in detail for _, detail, _ in given)
        assert max(took for _, _, took in given) < 5, "clients give up after 5 s"
        assert refused_at_once() < FAST_S
        until(lambda: network.is_fresh("foo"), "fresh again")
        np.testing.assert_array_equal(network.fetch(data.foo, "40:50"), data.array[40:50])


class TestBrokerDown:
    def test_everything_known_goes_on_and_new_files_appear(self, network, data):
        network.broker.kill()

        np.testing.assert_array_equal(network.fetch(data.foo, "40:50"), data.array[40:50])
        add(network, "foo/new.b2nd", data.array)
        until(lambda: "new.b2nd" in network.get("/api/list/foo").json(), "the new file")
        np.testing.assert_array_equal(network.fetch("foo/new.b2nd"), data.array)
        assert network.get("/api/roots").headers["Caterva2-Broker"] == "unreachable"

    def test_a_publisher_that_starts_meanwhile_ends_with_one_line(self, network, data):
        network.broker.kill()

        late = Daemon(
            "publisher",
            "--broker",
            network.broker.http,
            "--statedir",
            "late",
            "late",
            "foo",
            cwd=network.home,
        )
        with late:
            status = late.wait()

        assert status == 1
        assert late.log.splitlines() == [
            f"cat2pub: cannot reach the broker at {network.broker.http}: Connection refused "
            "(start cat2bro first, or check --broker)"
        ]

    def test_running_publishers_register_again_with_one_that_forgot_all(self, network, data):
        network.broker.kill()
        for path in (network.home / "bro").iterdir():
            path.unlink()
        network.broker.start()

        def online():
            roots = httpx.get(f"{network.broker.url}/api/roots").json()
            return {name for name, root in roots.items() if root["status"] == "online"}

        until(lambda: online() >= {"foo", "bar"}, "both are registered again")

    def test_the_subscriber_hears_of_new_roots_again(self, network, data):
        network.broker.kill()
        until(lambda: "Caterva2-Broker" in network.get("/api/roots").headers, "the subscriber notices")
        network.broker.start()
        add(network, "later/a.b2nd", data.array)
        network.publisher("later").start()

        network.subscribe("later")

        np.testing.assert_array_equal(network.fetch("later/a.b2nd", "3"), data.array[3])
        network.publishers.pop("later").stop()


class TestRootName:
    def test_another_publisher_gets_it_only_after_the_first_has_gone(self, network):
        network.add("taken/a.txt", b"a")
        first = network.publisher("taken").start()
        args = ("--broker", network.broker.http, "--statedir", "second", "taken", "bar")
        with Daemon("publisher", *args, cwd=network.home) as refused:
            status = refused.wait()
        first.stop()
        with Daemon("publisher", *args, cwd=network.home) as second:
            roots = httpx.get(f"{network.broker.url}/api/roots").json()
            http = str(second.address)
        del network.publishers["taken"]

        assert status == 1
        last = refused.log.splitlines()[-1]
        assert last.startswith(f"cat2pub: root 'taken' is served by the publisher at {first.http}")
        assert roots["taken"]["http"] == http

    def test_it_is_free_some_seconds_after_the_first_was_killed(self, network):
        network.publisher("killed").start().kill()
        del network.publishers["killed"]
        args = ("--broker", network.broker.http, "--statedir", "third", "killed", "bar")

        def second_starts():
            with Daemon("publisher", *args, cwd=network.home) as second:
                return second.process.poll() is None and second.address.port

        assert not second_starts()
        until(second_starts, "the lease ends", within_s=15, every_s=0.5)
