"""The demo runner: starting, watching and ending processes. Small stand-ins play the services."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import demo
import make_example_root
from tests.support.tutorial import play

# Answers every GET with the roots that the runner waits for.
HEALTHY = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"foo": {}, "bar": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HEALTHY
FAILING = "import sys\nprint('reading settings')\nsys.exit('cannot reach the broker')"
MUTE = "import signal\nsignal.pause()"


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
        return free


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def stop_when_announced(stop: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    announce = demo._announce

    def announce_and_stop(started: list[demo.Service], account: demo.Account | None) -> None:
        announce(started, account)
        stop.set()

    monkeypatch.setattr(demo, "_announce", announce_and_stop)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[demo.Running]]:
    """Give what the runner started; whatever a failed test leaves is killed."""
    children: list[demo.Running] = []
    start = demo._start

    def remember(service: demo.Service, logs: Path) -> demo.Running:
        children.append(start(service, logs))
        return children[-1]

    monkeypatch.setattr(demo, "_start", remember)
    yield children
    for child in children:
        child.process.kill()
        child.process.wait()


def _service(script: str, port: int, title: str = "subscriber") -> demo.Service:
    return demo.Service(
        title=title, command=(sys.executable, "-c", script, str(port)), port=port, what="stand-in"
    )


@pytest.mark.usefixtures("stop_when_announced")
def test_children_are_ended_and_reaped_when_stopped(
    tmp_path: Path, port: int, stop: threading.Event, started: list[demo.Running]
) -> None:
    demo.run([_service(HEALTHY, port)], tmp_path, stop, roots=("foo", "bar"))

    assert [child.process.returncode for child in started] == [-signal.SIGTERM]


@pytest.mark.usefixtures("stop_when_announced", "started")
def test_second_run_on_the_same_port_works(tmp_path: Path, port: int, stop: threading.Event) -> None:
    demo.run([_service(HEALTHY, port)], tmp_path, stop, roots=("foo", "bar"))
    stop.clear()

    demo.run([_service(HEALTHY, port)], tmp_path, stop, roots=("foo", "bar"))

    assert stop.is_set()


@pytest.mark.usefixtures("stop_when_announced", "started")
def test_announcement_gives_addresses_and_three_commands(
    tmp_path: Path, port: int, stop: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.run([_service(HEALTHY, port)], tmp_path, stop, roots=("foo", "bar"))

    printed = capsys.readouterr().out
    assert f"http://localhost:{port}" in printed
    assert len(re.findall(r"^  \S*(?:cat2cli|python) ", printed, flags=re.MULTILINE)) == 3


@pytest.mark.usefixtures("started")
def test_taken_port_is_named_in_one_line(tmp_path: Path, stop: threading.Event) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: int = listener.getsockname()[1]

        with pytest.raises(
            demo.DemoError, match=f"port {taken}, which the subscriber needs, is taken"
        ) as caught:
            demo.run([_service(HEALTHY, taken)], tmp_path, stop, roots=())

    assert "\n" not in str(caught.value)


def test_nothing_is_started_when_a_port_is_taken(
    tmp_path: Path, port: int, stop: threading.Event, started: list[demo.Running]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: int = listener.getsockname()[1]
        services = [_service(HEALTHY, port, "broker"), _service(HEALTHY, taken)]

        with pytest.raises(demo.DemoError):
            demo.run(services, tmp_path, stop, roots=())

    assert started == []


def test_child_that_fails_at_start_is_quoted(
    tmp_path: Path, port: int, stop: threading.Event, started: list[demo.Running]
) -> None:
    services = [_service(HEALTHY, port, "broker"), _service(FAILING, port + 1, "publisher foo")]

    with pytest.raises(
        demo.DemoError, match="publisher foo ended with exit status 1: cannot reach the broker"
    ):
        demo.run(services, tmp_path, stop, roots=())

    assert [child.process.returncode for child in started] == [-signal.SIGTERM, 1]


def test_child_that_dies_later_ends_the_demo(
    tmp_path: Path,
    port: int,
    stop: threading.Event,
    started: list[demo.Running],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "_announce", lambda *_: os.kill(started[0].process.pid, signal.SIGKILL))

    with pytest.raises(demo.DemoError, match="subscriber was killed by signal 9"):
        demo.run([_service(HEALTHY, port)], tmp_path, stop, roots=("foo", "bar"))


@pytest.mark.usefixtures("stop_when_announced")
def test_child_that_does_not_end_is_killed(
    tmp_path: Path,
    port: int,
    stop: threading.Event,
    started: list[demo.Running],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "STOP_WITHIN_S", 0.1)

    demo.run([_service(DEAF, port)], tmp_path, stop, roots=("foo", "bar"))

    assert [child.process.returncode for child in started] == [-signal.SIGKILL]


def test_child_that_never_answers_is_given_up(
    tmp_path: Path,
    port: int,
    stop: threading.Event,
    started: list[demo.Running],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "START_WITHIN_S", 0.2)

    with pytest.raises(demo.DemoError, match="for the subscriber to answer"):
        demo.run([_service(MUTE, port)], tmp_path, stop, roots=())

    assert started[0].process.returncode == -signal.SIGTERM


def test_stop_during_start_ends_quietly(
    tmp_path: Path,
    port: int,
    stop: threading.Event,
    started: list[demo.Running],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stop.set()

    demo.run([_service(MUTE, port)], tmp_path, stop, roots=("foo",))

    assert started[0].process.returncode == -signal.SIGTERM
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("stop_when_announced")
def test_settings_of_the_shell_do_not_reach_the_services(
    tmp_path: Path,
    port: int,
    stop: threading.Event,
    started: list[demo.Running],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CATERVA2_SECRET", "of the shell")
    script = "import os\nprint([key for key in os.environ if 'CATERVA2' in key], flush=True)\n" + HEALTHY

    demo.run([_service(script, port)], tmp_path, stop, roots=("foo", "bar"))

    assert started[0].log.read_text().startswith("[]\n")


def test_commands_follow_the_programs_options(tmp_path: Path) -> None:
    broker, foo, bar, subscriber = demo.services(demo.Ports(), tmp_path)

    commands = [
        " ".join(service.command).rpartition("/bin/")[2] for service in (broker, foo, bar, subscriber)
    ]
    conf = f"--conf {tmp_path}/caterva2.toml"
    state = f"--statedir {tmp_path}/state"
    assert commands == [
        f"cat2bro {conf} --http localhost:8000 {state}/bro",
        f"cat2pub {conf} --http localhost:8001 --broker localhost:8000 {state}/pub.foo foo {tmp_path}/foo",
        f"cat2pub {conf} --http localhost:8003 --broker localhost:8000 {state}/pub.bar bar {tmp_path}/bar",
        f"cat2sub {conf} --http localhost:8002 --broker localhost:8000 {state}/sub",
    ]


def test_directory_that_can_not_be_made_gives_exit_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    status = demo.main(["--directory", str(tmp_path / "file")])

    assert status == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_account_is_made_once_and_only_its_owner_reads_the_secrets(tmp_path: Path) -> None:
    made = demo.make_account(tmp_path)
    secret = (tmp_path / ".env").read_text()

    again = demo.make_account(tmp_path)

    assert again == made
    assert (tmp_path / ".env").read_text() == secret
    assert re.fullmatch(r"CATERVA2_SECRET=\S{43}\n", secret)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in (".env", "password")] == [0o600, 0o600]


def test_lost_password_is_told_and_not_replaced(tmp_path: Path) -> None:
    made = demo.make_account(tmp_path)
    made.kept_in.unlink()

    for _ in range(2):
        with pytest.raises(demo.DemoError, match="is no longer in"):
            demo.make_account(tmp_path)


@pytest.mark.usefixtures("stop_when_announced", "started")
def test_announcement_gives_the_account(
    tmp_path: Path, port: int, stop: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    account = demo.Account(password="of the demo", kept_in=tmp_path / "password")

    demo.run([_service(HEALTHY, port)], tmp_path, stop, roots=("foo", "bar"), account=account)

    printed = capsys.readouterr().out
    assert "demo@example.org with the password of the demo" in printed
    assert re.findall(r'cat2cli --subscriber \S+ (?:--password ".*" )?(\w+)', printed) == [
        "roots", "show", "login", "put", "expr", "show"
    ]  # fmt: skip


@pytest.mark.slow
def test_commands_that_it_prints_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    *_, subscriber = demo.services(demo.Ports(), tmp_path)
    account = demo.Account(password="", kept_in=tmp_path / "_demo" / "password")
    small = make_example_root.small_arrays()["dir1/ds-2d.b2nd"]
    commands = {
        "without an account": demo.commands_to_try(subscriber),
        "as a user": demo.commands_of_a_user(subscriber, account),
    }
    outputs = {
        "without an account": [
            "@public (subscribed)\nbar\nfoo",
            small[0:3, 0:5],
            make_example_root.elevation()[100:103, 200:206],
        ],
        "as a user": [
            "Logged in as demo@example.org until ...; the token is in .../tokens.json",
            "Dataset stored in @personal/mine.b2nd",
            "Expression stored in @personal/total.b2nd",
            (small + 10 * small)[0:3, 0:5],
        ],
    }
    page = tmp_path / "page.md"
    page.write_text(
        "".join(
            f"```console\n$ {command}\n{output}\n```\n\n"
            for who in commands
            for command, output in zip(commands[who], outputs[who], strict=True)
        )
    )
    directory = tmp_path / "directory"
    directory.mkdir()

    play(page, directory, prelude=f"{sys.executable} {demo.__file__} --directory _demo")
