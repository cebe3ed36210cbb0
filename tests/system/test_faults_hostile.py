"""Files that are damaged, that lie, or that are no files: told as such, and nobody falls over."""

from __future__ import annotations

import json
import os
import random
import socket
import stat

import numpy as np
import pytest

from caterva2.errors import Caterva2Error
from caterva2.storage.describe import describe_frame, read_stored
from caterva2.storage.pinned import BytesFrame
from tests.support import hostile
from tests.support.processes import Network, contents, until

ROOTS = ("foo", "@public")
MEMORY = 200 << 20
BROKEN = sorted(hostile.broken())
ODD = sorted(hostile.odd())
NAMES = [
    "plain.txt",
    "with blank.txt",
    "per%2e%2ecent.txt",
    "que?stion.txt",
    "ha#sh.txt",
    "plus+and&.txt",
    "quote'\".txt",
    "semi;colon,comma.txt",
    "bär-日本語.txt",
    "emoji-🦊.txt",
    "combining-e\u0301.txt",
    "right-to-left-\u202e.txt",
    "almost..",
    "a" * 251 + ".txt",
    "<script>.txt",
    "{path}.txt",
    "%",
    "-rf",
]
UNNAMEABLE = [b"new\nline.txt", b"bell\x07.txt", b"not-utf8-\xff.txt", b"back\\slash.txt", b"del\x7f.txt"]


def special_files(directory):
    """Make what is no file in a directory of its own."""
    directory.mkdir(parents=True)
    os.mkfifo(directory / "fifo.b2nd")
    with socket.socket(socket.AF_UNIX) as sock:
        here = os.getcwd()
        os.chdir(directory)  # the whole path may be too long for a socket
        try:
            sock.bind("socket.b2nd")
        finally:
            os.chdir(here)
    if os.geteuid() == 0:
        os.mknod(directory / "device.b2nd", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    (directory / "directory.b2nd").mkdir()
    (directory / "directory.b2nd" / "inside.txt").write_text("inside")
    (directory / "loop").symlink_to("loop")
    (directory / "ping").symlink_to("pong")
    (directory / "pong").symlink_to("ping")
    (directory / "up").symlink_to("..")
    (directory / "self").symlink_to(".")
    (directory / "passwd").symlink_to("/etc/passwd")
    (directory / "etc").symlink_to("/etc")
    (directory / "proc").symlink_to("/proc/self")
    (directory / "gone").symlink_to("nowhere")
    (directory / "inside").symlink_to("directory.b2nd")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network whose roots are full of traps, and of one honest file each."""
    home = tmp_path_factory.mktemp("hostile")
    network = Network(home)
    for root in ROOTS:
        for name, frame in {**hostile.broken(), **hostile.odd()}.items():
            network.add(f"{root}/{name}.b2nd", frame)
            network.add(f"{root}/as/{name}.b2frame", frame)
        network.add(f"{root}/honest.b2nd", hostile.honest())
        directory = network.public if root == "@public" else home / root
        for name in NAMES:
            (directory / "names").mkdir(exist_ok=True)
            (directory / "names" / name).write_text(name)
        for raw in UNNAMEABLE:
            (directory / "names" / os.fsdecode(raw)).write_text("?")
        special_files(directory / "special")
    with network:
        network.subscribe("foo")
        yield network
        assert all(service.is_running for service in network.services)
        assert "Traceback" not in network.log, network.log


def told(answer):
    """Check that a refusal is of the client's kind and says why."""
    assert 400 <= answer.status_code < 500 or answer.status_code in {502, 503}, (
        answer.status_code,
        answer.text,
    )
    assert answer.json()["detail"]
    return True


@pytest.mark.parametrize("root", ROOTS)
class TestRoot:
    @pytest.mark.parametrize("name", BROKEN)
    @pytest.mark.parametrize("form", ["{}.b2nd", "as/{}.b2frame"])
    def test_a_broken_file_is_described_as_such_and_refused(self, network, root, form, name):
        path = f"{root}/{form.format(name)}"

        info = network.get(f"/api/info/{path}")
        answers = [
            network.get(f"/api/fetch/{path}"),
            network.get(f"/api/fetch/{path}", params={"slice_": "0:2"}),
            network.get(f"/api/chunk/{path}", params={"nchunk": 0}),
            network.get(f"/api/download/{path}"),
        ]

        assert info.status_code == 200
        assert info.json()["kind"] == "broken"
        assert info.json()["error"]
        assert {answer.status_code for answer in answers} == {400}
        assert all(info.json()["error"] in answer.json()["detail"] for answer in answers)

    @pytest.mark.parametrize("name", ODD)
    @pytest.mark.parametrize("form", ["{}.b2nd", "as/{}.b2frame"])
    def test_damage_is_answered_or_refused_with_a_reason(self, network, root, form, name):
        path = f"{root}/{form.format(name)}"

        info = network.get(f"/api/info/{path}")
        answers = [
            network.get(f"/api/fetch/{path}", params={"slice_": text})
            for text in ("0", "0:2", "5:30", "30:", ":", "1:", "::7")
        ]
        answers += [network.get(f"/api/chunk/{path}", params={"nchunk": n}) for n in (0, 5)]
        answers += [network.get(f"/api/download/{path}", headers={"Range": "bytes=0-99"})]
        answers += [network.get(f"/api/fetch/{path}", params={"indices": "[0, [1, 2]]"})]

        assert info.status_code == 200
        assert all(answer.status_code in {200, 206} or told(answer) for answer in answers)

    def test_all_are_listed_and_the_honest_file_is_served(self, network, root):
        names = set(network.get(f"/api/list/{root}").json())

        assert {f"{name}.b2nd" for name in BROKEN + ODD} <= names
        np.testing.assert_array_equal(network.fetch(f"{root}/honest.b2nd"), contents(hostile.honest()))

    @pytest.mark.parametrize("name", NAMES)
    def test_any_name_can_be_read(self, network, root, name):
        shown = network.get(f"/api/list/{root}/names").json()

        answer = network.get(f"/api/download/{root}/names/{percent(name)}")

        assert name in shown
        assert answer.status_code == 200, answer.text
        assert answer.text == name

    def test_names_that_no_client_can_say_are_left_out(self, network, root):
        assert sorted(network.get(f"/api/list/{root}/names").json()) == sorted(NAMES)

    def test_what_is_no_file_is_left_out_and_not_opened(self, network, root):
        listed = network.get(f"/api/list/{root}/special").json()
        asked = [
            "fifo.b2nd",
            "socket.b2nd",
            "device.b2nd",
            "loop",
            "ping",
            "passwd",
            "etc/passwd",
            "proc/environ",
            "gone",
        ]

        answers = [network.get(f"/api/fetch/{root}/special/{name}") for name in asked]

        assert sorted(listed) == ["directory.b2nd/inside.txt", "inside/inside.txt"]
        assert {answer.status_code for answer in answers} == {404}

    @pytest.mark.parametrize(
        "path",
        [
            "%2e%2e/x",
            "..%2fx",
            "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
            "a/%2e%2e/%2e%2e/x",
            "a%00b",
            "%2fetc%2fpasswd",
            "a//b",
        ],
    )
    def test_paths_that_leave_are_refused(self, network, root, path):
        statuses = {
            network.http.send(raw_request(network, f"/api/{what}/{root}/{path}")).status_code
            for what in ("info", "fetch", "download", "list", "chunk")
        }

        assert statuses <= {400, 404, 422}
        assert 400 in statuses


def raw_request(network, target):
    """Make a request whose path is not normalised."""
    request = network.http.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=target.encode())
    return request


def percent(name):
    return "".join(f"%{byte:02x}" for byte in name.encode())


def test_memory_stays_bounded_whatever_is_read(network):
    until(lambda: network.status("foo/honest.b2nd") == 200, "it serves")

    peaks = {service.role: service.peak_bytes() >> 20 for service in network.services}

    assert all(peak < MEMORY >> 20 for peak in peaks.values()), peaks


def test_damaged_frames_never_raise_what_is_not_ours():
    rng = random.Random(7)
    frames = [hostile.honest(), *hostile.odd().values()]
    values = [0, 1, 8, 31, 32, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63]
    outcomes = set()
    for _ in range(5000):
        data = bytearray(rng.choice(frames))
        for _ in range(rng.choice((1, 1, 3))):
            at = rng.randrange(min(len(data), 400)) if rng.random() < 0.7 else rng.randrange(len(data))
            width = rng.choice((1, 4, 8))
            data[at : at + width] = (rng.choice(values) % 2 ** (8 * width)).to_bytes(
                width, rng.choice(("big", "little"))
            )
        if rng.random() < 0.5:
            data[16:24] = len(data).to_bytes(8, "big")
        try:
            described = describe_frame(read_stored(BytesFrame(bytes(data), "x", etag="x")))
            outcomes.add(type(described).__name__)
            json.dumps(described.schunk.vlmeta)
        except Caterva2Error as exc:
            outcomes.add(type(exc).__name__)

    assert outcomes == {"ArrayInfo", "FrameInfo", "BrokenDataset"}
