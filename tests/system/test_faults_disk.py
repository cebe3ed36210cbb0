"""A cache that is small, and a disk that is full: every answer is right, and nothing outgrows its room."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess

import blosc2
import httpx
import numpy as np
import pytest

from tests.support.processes import WAIT_S, Crowd, Network, contents, until

DISK = 8 << 20
SHAPE = (48, 128, 128)


def array(seed):
    return np.random.default_rng(seed).integers(0, 2**30, SHAPE, dtype="<i4")


def add_arrays(network, count, **how):
    """Write arrays of 3 MB that do not compress."""
    how = {"chunks": (16, 64, 64), "blocks": (4, 16, 16), "cparams": {"codec": blosc2.Codec.LZ4}, **how}
    arrays = {f"foo/{n}.b2nd": array(n) for n in range(count)}
    frames = {path: network.add_array(path, data, **how) for path, data in arrays.items()}
    return arrays, frames


@contextlib.contextmanager
def readers(network, arrays, frames, size=3):
    """Read slices and whole files at random and compare them; nothing may fail."""
    clients = [httpx.Client(base_url=network.subscriber.url, timeout=WAIT_S) for _ in range(size)]

    def one_read(number, turn):
        rng = random.Random(number * 1_000_003 + turn)
        path = rng.choice(sorted(arrays))
        data = arrays[path]
        if rng.random() < 0.2:
            answer = clients[number].get(f"/api/fetch/{path}")
            assert (answer.status_code, answer.content == frames[path]) == (200, True), answer.text[:300]
            return
        window = tuple(slice(a := rng.randrange(n), rng.randint(a + 1, n)) for n in data.shape)
        text = ",".join(f"{s.start}:{s.stop}" for s in window)
        answer = clients[number].get(f"/api/fetch/{path}", params={"slice_": text})
        assert answer.status_code == 200, answer.text
        np.testing.assert_array_equal(contents(answer.content), data[window], f"{path}[{text}]")

    with contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
        with Crowd(one_read, size) as crowd:
            yield crowd


def after_rounds(crowd, count):
    goal = crowd.rounds + count
    until(lambda: crowd.failures or crowd.rounds > goal, f"{count} more reads", within_s=60)
    crowd.check()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB, or the test is skipped: only root may mount one."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(directory)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"may not mount: {done.stderr.strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def free_bytes(directory):
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def fill_up(directory):
    """Leave no byte on a file system; return the file that took the room."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return filler


@pytest.mark.may_skip("only root may mount a file system")
class TestFullDisk:
    @pytest.fixture
    def network(self, tmp_path, small_disk):
        with Network(tmp_path, sub_state="disk") as network:
            yield network
            network.subscriber.stop()
            assert "Traceback" not in network.log, network.log

    def test_all_answers_are_right_and_the_cache_leaves_room_for_others(self, network, small_disk):
        arrays, frames = add_arrays(network, 5)
        network.subscribe("foo")
        until(lambda: len(network.get("/api/list/foo").json()) == 5, "all are listed")

        with readers(network, arrays, frames) as crowd:
            after_rounds(crowd, 150)

        assert network.cache_bytes() < DISK
        assert free_bytes(small_disk) > 256 << 10
        assert network.subscriber.log.count("the cache does not grow") == 1

    def test_a_disk_filled_by_others_turns_no_read_into_a_failure(self, network, small_disk):
        arrays, frames = add_arrays(network, 2)
        network.subscribe("foo")
        until(lambda: len(network.get("/api/list/foo").json()) == 2, "both are listed")
        network.fetch("foo/0.b2nd", "0:8")
        filler = fill_up(small_disk)

        with readers(network, arrays, frames, size=2) as crowd:
            after_rounds(crowd, 30)
        arrays["foo/1.b2nd"] = array(77)
        network.add_array("foo/1.b2nd", arrays["foo/1.b2nd"], chunks=(16, 64, 64), blocks=(4, 16, 16))
        until(lambda: (network.fetch("foo/1.b2nd", "0,0") == array(77)[0, 0]).all(), "the new generation")
        whole = network.fetch("foo/1.b2nd", ":,1:")
        freshness = [network.get(f"/api/info/foo/{n}.b2nd").headers["Caterva2-Freshness"] for n in (0, 1)]
        log = network.subscriber.log
        filler.unlink()
        network.add_array("foo/new.b2nd", arrays["foo/0.b2nd"])
        until(lambda: network.is_fresh("foo"), "all is current again")
        until(lambda: "new.b2nd" in network.get("/api/list/foo").json(), "new files appear again")

        np.testing.assert_array_equal(whole, arrays["foo/1.b2nd"][:, 1:])
        assert all(freshness)
        assert log.count("the cache does not grow") == 1
        assert log.count("can not be remembered") <= 1
        until(lambda: grows(network), "the cache grows again")

    def test_public_files_are_served_from_a_full_disk(self, network, small_disk):
        data = array(5)[:16]
        network.add_array("@public/a.b2nd", data)
        network.add("@public/plain.txt", b"plain " * 1000)
        fill_up(small_disk)

        answers = [
            network.get("/api/fetch/@public/a.b2nd"),
            network.get("/api/download/@public/plain.txt"),
            network.get("/api/list/@public"),
        ]
        part = network.fetch("@public/a.b2nd", "3:5")
        frame = network.get("/api/fetch/@public/plain.txt")

        assert [answer.status_code for answer in answers] == [200, 200, 200]
        np.testing.assert_array_equal(contents(answers[0].content), data)
        assert answers[1].content == b"plain " * 1000
        np.testing.assert_array_equal(part, data[3:5])
        assert frame.status_code == 507
        assert "room" in frame.json()["code"]

    def test_started_on_a_full_disk_it_serves_what_it_has(self, network, small_disk):
        arrays, _ = add_arrays(network, 1)
        network.subscribe("foo")
        until(lambda: network.get("/api/list/foo").json(), "it is listed")
        network.fetch("foo/0.b2nd", "0:8")
        fill_up(small_disk)
        network.subscriber.kill()
        network.subscriber.start()

        np.testing.assert_array_equal(network.fetch("foo/0.b2nd", "0:8"), arrays["foo/0.b2nd"][:8])
        np.testing.assert_array_equal(network.fetch("foo/0.b2nd"), arrays["foo/0.b2nd"])


def grows(network):
    before = network.metric("cache_bytes")
    network.fetch("foo/1.b2nd", "0:48:5")
    return network.metric("cache_bytes") > before


@pytest.mark.parametrize(
    ("cache", "how"),
    [
        ("2M", {}),
        ("2M", {"chunks": SHAPE, "blocks": (48, 128, 128)}),
        ("2M", {"chunks": (2, 32, 32), "blocks": (1, 8, 8)}),
        ("100K", {}),
        ("0", {}),
    ],
    ids=["less-than-a-file", "less-than-a-chunk", "tiny-blocks", "less-than-a-table", "none"],
)
def test_a_small_cache_stays_small_on_disk_while_many_read(tmp_path, cache, how):
    limit = {"2M": 2 << 20, "100K": 100 << 10, "0": 0}[cache]
    with Network(tmp_path, subscriber=("--cache", cache)) as network:
        arrays, frames = add_arrays(network, 4, **how)
        network.subscribe("foo")
        until(lambda: len(network.get("/api/list/foo").json()) == 4, "all are listed")
        sizes = []
        with readers(network, arrays, frames) as crowd:
            for _ in range(10):
                after_rounds(crowd, 5)
                sizes.append(network.cache_bytes())
        evicted = network.metric("cache_evicted_bytes")
        until(lambda: network.cache_bytes() <= limit * 1.05, "it has settled", within_s=5)
        counted, taken = network.metric("cache_bytes"), network.cache_bytes()

        assert max(sizes) <= limit * 1.5 + (64 << 10), "what is being written may be over"
        assert evicted > 0 or cache != "2M" or how.get("chunks") == SHAPE
        assert counted == pytest.approx(taken, abs=64 << 10)
        assert "Traceback" not in network.log, network.log
