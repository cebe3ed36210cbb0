"""``cat2cli`` as people and scripts meet it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pytest

from caterva2.cli.main import main
from tests.support.fakesub import USER, FakeSubscriber, close_connection, fail_with
from tests.support.served import Served
from tests.support.serverthread import ServerThread

REPOSITORY = Path(__file__).parents[3]
PLANE = np.arange(200, dtype="uint16").reshape(10, 20)


class Run:
    """Run ``cat2cli`` in this process."""

    def __init__(self, urlbase: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.urlbase = urlbase
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *args: str) -> int:
        status = main(["--subscriber", self.urlbase, *args])
        self.out, self.err = self._capsys.readouterr()
        return status

    def json(self, *args: str) -> Any:
        assert self(*args, "--json") == 0
        assert self.err == ""
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the ``caterva2.toml`` and the downloads of others."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture
def run(served: Served, capsys: pytest.CaptureFixture[str]) -> Run:
    served.add_array("dir1/plane.b2nd", PLANE, chunks=(5, 5), blocks=(2, 3), vlmeta={"a": 1})
    served.add_file("README.md", b"# Title\n")
    return Run(served.urlbase, capsys)


@pytest.fixture
def run_fake(fake_server: ServerThread, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(fake_server.urlbase, capsys)


def test_subscribe_and_roots(served: Served, run: Run) -> None:
    assert run("subscribe", served.root) == 0
    assert run.out == "Ok\n"
    assert run.json("subscribe", served.root) == "Ok"

    assert run("roots") == 0
    assert f"{served.root} (subscribed)\n" in run.out
    assert run.json("roots")[served.root]["subscribed"] is True


def test_root_that_is_not_subscribed_is_a_bare_name(run_fake: Run) -> None:
    run_fake("roots")

    assert run_fake.out == "@public (subscribed)\nfoo\n"


def test_offline_root_is_marked(fake: FakeSubscriber, run_fake: Run) -> None:
    fake.add_root("bar", subscribed=True)
    fake.roots["bar"]["status"] = "offline"

    run_fake("roots")

    assert "bar (subscribed, offline)\n" in run_fake.out


@pytest.mark.parametrize("command", ["list", "ls"])
def test_list(served: Served, run: Run, command: str) -> None:
    assert run(command, served.root) == 0
    assert run.out == "README.md\ndir1/plane.b2nd\n"
    assert run.json(command, f"{served.root}/dir1/") == ["plane.b2nd"]


def test_tree(served: Served, run: Run) -> None:
    assert run("tree", served.root) == 0
    assert run.out == f"{served.root}\n├── README.md\n└── dir1\n    └── plane.b2nd\n"
    assert run.json("tree", served.root) == {served.root: {"README.md": None, "dir1": {"plane.b2nd": None}}}
    assert served.root in run.json("tree")


def test_info(served: Served, run: Run) -> None:
    path = f"{served.root}/dir1/plane.b2nd"

    assert run("info", path) == 0
    first, _, rest = run.out.partition("\n")
    assert first == f"Getting info for {path}"
    assert "'shape': [10, 20]" in rest
    assert run.json("info", path)["shape"] == [10, 20]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", ...),
        ("[0]", 0),
        ("[-1, 3:5]", (-1, slice(3, 5))),
        ("[..., 2]", (..., 2)),
        ("[::3]", slice(None, None, 3)),
    ],
)
def test_show_prints_as_numpy_does(served: Served, run: Run, text: str, key: Any) -> None:
    assert run("show", f"{served.root}/dir1/plane.b2nd{text}") == 0

    assert run.out == f"{PLANE[key]}\n"


def test_show_as_json(served: Served, run: Run) -> None:
    shown = run.json("show", f"{served.root}/dir1/plane.b2nd[1, :3]")

    assert shown == {
        "path": f"{served.root}/dir1/plane.b2nd",
        "slice": "1, :3",
        "shape": [3],
        "dtype": "uint16",
        "data": [20, 21, 22],
    }


def test_show_of_a_text_file(served: Served, run: Run) -> None:
    run("show", f"{served.root}/README.md")
    assert run.out == "# Title\n\n"

    run("show", f"{served.root}/README.md[2:7]")
    assert run.out == "Title\n"

    assert run.json("show", f"{served.root}/README.md")["text"] == "# Title\n"


def test_show_of_binary_data(served: Served, run: Run) -> None:
    served.add_file("x.bin", b"\xff\xfe\x00")

    run("show", f"{served.root}/x.bin")
    assert run.out == "Binary data\n"
    assert run.json("show", f"{served.root}/x.bin")["base64"] == "//4A"


def test_url(served: Served, run: Run) -> None:
    assert run("url", f"{served.root}/a b.b2nd") == 0
    assert run.out == f"{served.urlbase}/api/fetch/{served.root}/a%20b.b2nd\n"


def test_download_of_a_file(served: Served, run: Run) -> None:
    path = f"{served.root}/dir1/plane.b2nd"

    assert run("download", path) == 0
    assert run.out == f"Dataset saved to {path}\n"
    np.testing.assert_array_equal(blosc2.open(path)[:], PLANE)
    assert run.json("download", path, "x.b2nd") == "x.b2nd"
    assert Path("x.b2nd").exists()


def test_download_of_a_directory(served: Served, run: Run) -> None:
    assert run("download", served.root, "copy") == 0

    assert run.out == "Dataset saved to copy/README.md\nDataset saved to copy/dir1/plane.b2nd\n"
    assert Path("copy/README.md").read_bytes() == b"# Title\n"
    assert run.json("download", f"{served.root}/dir1/", "d") == ["d/plane.b2nd"]


def test_download_of_a_directory_goes_on_behind_a_broken_file(served: Served, run: Run) -> None:
    served.add_broken("bad.b2nd")

    assert run("download", served.root, "copy") == 1

    assert run.out == "Dataset saved to copy/README.md\nDataset saved to copy/dir1/plane.b2nd\n"
    first, last = run.err.splitlines()
    assert "bad.b2nd" in first
    assert last == "Error: 1 of 3 files could not be saved"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("info", "{root}/nope"), "nope"),
        (("list", "nope"), "nope"),
        (("show", "{root}/dir1/plane.b2nd[50]"), "out of bounds"),
        (("show", "{root}/dir1/plane.b2nd[::-1]"), "steps must be positive"),
        (("show", "{root}/dir1/plane.b2nd[x]"), "malformed"),
        (("show", "{root}/dir1"), "is a directory"),
        (("info", "../x"), ".."),
        (("subscribe", "nope"), "nope"),
        (("download", "{root}/nope"), "nope"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_refusal_is_one_line_on_stderr(served: Served, run: Run, args: tuple[str, ...], message: str) -> None:
    assert run(*(arg.format(root=served.root) for arg in args)) == 1

    assert run.out == ""
    assert run.err.startswith("Error: ")
    assert message in run.err
    assert run.err.count("\n") == 1


def test_unreachable_subscriber_is_one_line(fake_server: ServerThread, run_fake: Run) -> None:
    fake_server.stop()

    assert run_fake("roots") == 1
    assert run_fake.err == f"Error: cannot reach {run_fake.urlbase}: Connection refused\n"


def test_full_or_forbidden_disk_is_one_line(served: Served, run: Run) -> None:
    Path("file").write_text("")

    assert run("download", f"{served.root}/README.md", "file/x") == 1

    assert run.err == "Error: Not a directory: file\n" or "file" in run.err
    assert run.err.count("\n") == 1


def test_defect_is_one_line_without_a_traceback(run_fake: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("caterva2.client.api.Client.get_roots", broken)

    assert run_fake("roots") == 1
    assert run_fake.err == "Error: unexpected ZeroDivisionError: oops (--loglevel debug tells where)\n"


@pytest.mark.parametrize(
    "args",
    [(), ("nope",), ("show",), ("roots", "x"), ("--loglevel", "loud", "roots"), ("events", "--count", "0"),
     ("events", "--timeout", "x"), ("--nope", "roots")],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_ends_with_status_two(args: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(args)

    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: cat2cli" in err


@pytest.mark.parametrize(
    "args", [("--help",), ("--version",), ("show", "--help"), ("events", "--help")], ids=" ".join
)
def test_help_and_version_always_work(args: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    Path("caterva2.toml").write_text("nonsense")

    with pytest.raises(SystemExit) as caught:
        main(args)

    assert caught.value.code == 0
    assert "cat2cli" in capsys.readouterr().out


def test_configuration_names_the_subscriber(
    served: Served, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("caterva2.toml").write_text(f'[subscriber]\nurlbase = "{served.urlbase}"\n')
    Path("other.toml").write_text(f'[subscriber]\nurl = "{served.urlbase}"\n')

    assert main(["list", served.root]) == 0
    assert main(["--conf", "other.toml", "list", served.root]) == 0
    assert capsys.readouterr().out == "README.md\ndir1/plane.b2nd\n" * 2


def test_wrong_configuration_ends_with_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    Path("caterva2.toml").write_text("[client]\nusernaem = 'x'\n")

    assert main(["roots"]) == 2

    assert "usernaem" in capsys.readouterr().err


def test_user_of_the_configuration_logs_in(fake: FakeSubscriber, run_fake: Run) -> None:
    fake.add_root("@shared")
    Path("caterva2.toml").write_text(
        f'[client]\nusername = "{USER["username"]}"\npassword = "{USER["password"]}"\n'
    )

    run_fake("roots")

    assert "@shared\n" in run_fake.out


def test_user_of_the_command_line_logs_in(fake: FakeSubscriber, run_fake: Run) -> None:
    fake.add_root("@shared")

    assert run_fake("--username", USER["username"], "--password", USER["password"], "roots") == 0
    assert "@shared\n" in run_fake.out
    assert run_fake("--username", USER["username"], "--password", "wrong", "roots") == 1
    assert "password is wrong" in run_fake.err
    assert run_fake("--username", USER["username"], "roots") == 2


def test_json_may_stand_before_the_command(served: Served, run: Run) -> None:
    assert run("--json", "list", served.root) == 0

    assert json.loads(run.out) == ["README.md", "dir1/plane.b2nd"]


def _emit_when_followed(
    fake: FakeSubscriber, server: ServerThread, *events: dict[str, Any]
) -> threading.Thread:
    followed = threading.Event()

    def wait() -> None:
        while not followed.is_set() and not fake.sockets:
            followed.wait(0.005)
        for event in events:
            server.call(fake.emit, event)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


REMOVED = {"type": "dataset-removed", "root": "foo", "path": "a/x.b2nd"}
OTHER = {"type": "dataset-removed", "root": "bar", "path": "y"}
ONLINE = {"type": "root-changed", "root": "foo", "http": "localhost:8001", "status": "offline"}


def test_events_are_followed(fake: FakeSubscriber, fake_server: ServerThread, run_fake: Run) -> None:
    thread = _emit_when_followed(fake, fake_server, REMOVED, ONLINE)

    assert run_fake("events", "--count", "2") == 0

    thread.join()
    first, second = run_fake.out.splitlines()
    assert first.endswith("  removed  foo/a/x.b2nd")
    assert second.endswith("  offline  foo  at localhost:8001")


def test_events_of_a_path_as_json_lines(
    fake: FakeSubscriber, fake_server: ServerThread, run_fake: Run
) -> None:
    thread = _emit_when_followed(fake, fake_server, OTHER, REMOVED, REMOVED)

    assert run_fake("events", "foo/a", "--count", "2", "--json") == 0

    thread.join()
    found = [json.loads(line) for line in run_fake.out.splitlines()]
    assert [(envelope["seq"], envelope["event"]["root"]) for envelope in found] == [(2, "foo"), (3, "foo")]


def test_events_that_do_not_come_are_a_failure(run_fake: Run) -> None:
    assert run_fake("events", "--timeout", "0.1") == 0
    assert run_fake("events", "--timeout", "0.1", "--count", "1") == 1
    assert run_fake.err == "Error: waited 0.1 s for 1 events; 0 came\n"


def test_broken_connection_is_mended(fake: FakeSubscriber, run_fake: Run) -> None:
    fake.faults.append(("/api/list", close_connection))
    fake.add_file("foo/x", b"")

    assert run_fake("ls", "foo") == 0


def test_request_id_is_logged(fake: FakeSubscriber, run_fake: Run, caplog: pytest.LogCaptureFixture) -> None:
    from caterva2.errors import InternalError

    fake.faults.append(("/api/roots", fail_with(InternalError("oops"))))
    caplog.set_level("INFO")

    run_fake("roots")

    assert "the server knows this as request req-1" in caplog.text


@pytest.fixture
def start(fake_server: ServerThread) -> Callable[..., subprocess.Popen[str]]:
    def start(*args: str, **options: Any) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **options.pop("env", {})}
        # What a shell runs in the background ignores Ctrl+C, and so does what that starts.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "caterva2", "--subscriber", fake_server.urlbase, *args],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options,
            )  # fmt: skip
        finally:
            signal.signal(signal.SIGINT, before)

    return start


def test_reader_that_leaves_early_is_no_error(
    fake: FakeSubscriber, start: Callable[..., subprocess.Popen[str]]
) -> None:
    for i in range(3000):
        fake.files[f"foo/{i:0100}"] = fake.files.get("foo/0") or fake.add_file("foo/0", b"")
    process = start("ls", "foo")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(20) == 141
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_interrupt_ends_quietly_with_status_130(
    fake: FakeSubscriber, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start("events")
    waited = threading.Event()
    while not fake.sockets and process.poll() is None:
        waited.wait(0.01)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert (process.returncode, out, err) == (130, "", "")


def test_shell_completes_commands_roots_and_paths(
    fake: FakeSubscriber, fake_server: ServerThread, tmp_path: Path
) -> None:
    fake.add_file("foo/dir1/x.txt", b"")
    fake.add_file("foo/dir1/sub/y.txt", b"")
    answer = tmp_path / "answer"

    def complete(line: str) -> list[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
        }
        program = "from caterva2.cli.main import main; main()"
        subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=20)
        return sorted(word.strip() for word in answer.read_text().split("\n"))

    prefix = f"cat2cli --subscriber {fake_server.urlbase}"
    assert complete("cat2cli sh") == ["share", "show"]
    assert complete(f"{prefix} ls f") == ["foo/"]
    assert complete(f"{prefix} ls foo/dir1/") == ["foo/dir1/sub/", "foo/dir1/x.txt"]
    assert complete(f"{prefix} subscribe f") == ["foo"]


def test_progress_bar_is_for_terminals_only(served: Served, run: Run) -> None:
    run("download", f"{served.root}/README.md")

    assert run.err == ""
