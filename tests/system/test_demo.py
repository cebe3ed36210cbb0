"""The demo runner: starting, watching and ending processes. Small stand-ins play the services."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import demo
import demolab
import make_example_root
from caterva2 import Client
from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.ports import free_port, free_ports
from tests.support.serverthread import RoleThread
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
    return free_port()


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

    play(page, directory, prelude=f"{sys.executable} {demo.__file__} --directory _demo --no-lab")


# JupyterLab


@pytest.fixture
def lab(tmp_path: Path, port: int) -> demolab.Lab:
    return demolab.prepare(tmp_path, subscriber="http://localhost:8002", port=port, opens_browser=False)


def test_lab_works_on_a_copy_of_the_notebooks(tmp_path: Path, lab: demolab.Lab) -> None:
    originals = {path.name: path.read_bytes() for path in demolab.EXAMPLES.glob("*.ipynb")}

    copies = {path.name: path.read_bytes() for path in (tmp_path / "notebooks").iterdir()}

    assert demolab.FIRST_NOTEBOOK in originals
    assert copies == originals


def test_changed_notebook_stays(tmp_path: Path, lab: demolab.Lab) -> None:
    changed = tmp_path / "notebooks" / demolab.FIRST_NOTEBOOK
    changed.write_text("{}")

    demolab.copy_notebooks(tmp_path / "notebooks")

    assert changed.read_text() == "{}"


def test_lab_is_configured_for_its_subscriber_and_only_its_owner_reads_that(
    tmp_path: Path, port: int, lab: demolab.Lab
) -> None:
    file = tmp_path / "jupyter" / "config" / "jupyter_server_config.json"

    config = json.loads(file.read_text())

    assert file.stat().st_mode & 0o777 == 0o600
    assert config["Caterva2App"]["subscribers"] == {"demo": "http://localhost:8002"}
    assert config["ServerApp"]["port"] == port
    assert lab.url.endswith(f"/lab/tree/tour.ipynb?token={config['IdentityProvider']['token']}")


def test_secrets_are_not_on_the_command_line_of_lab(lab: demolab.Lab) -> None:
    token = lab.url.rpartition("=")[2]

    assert token not in " ".join(lab.command)
    assert token not in " ".join(lab.environment.values())


def test_each_start_of_lab_has_another_token(tmp_path: Path, port: int, lab: demolab.Lab) -> None:
    again = demolab.prepare(tmp_path, subscriber="http://localhost:8002", port=port, opens_browser=False)

    assert again.url != lab.url


def test_usual_port_is_not_insisted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(demolab, "USUAL_PORT", listener.getsockname()[1])

        assert demolab.free_port() != demolab.USUAL_PORT


@pytest.mark.parametrize(
    ("display", "arguments", "opens"),
    [(":0", [], True), (":0", ["--no-browser"], False), ("", [], False)],
    ids=["display", "not wanted", "no display"],
)
def test_browser_is_opened_where_there_is_a_display(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, display: str, arguments: list[str], opens: bool
) -> None:
    monkeypatch.setattr(demolab, "is_installed", lambda: True)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    assert _wish(monkeypatch, tmp_path, *arguments).opens_browser is opens


def test_lab_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _wish(monkeypatch, tmp_path, "--no-lab") is None


def test_missing_lab_is_told_and_the_demo_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demolab, "is_installed", lambda: False)

    assert _wish(monkeypatch, tmp_path) is None
    assert capsys.readouterr().err == (
        'demo: JupyterLab is not installed; pip install "caterva2[jupyter]" brings it\n'
    )


def test_taken_port_of_lab_is_told_before_anything_starts(
    tmp_path: Path, port: int, stop: threading.Event, started: list[demo.Running]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wish = demo.LabWish(port=listener.getsockname()[1], opens_browser=False)

        with pytest.raises(
            demo.DemoError, match=f"port {wish.port}, which the Jupyter server needs, is taken"
        ):
            demo.run([_service(HEALTHY, port)], tmp_path, stop, roots=(), lab=wish)

    assert started == []


def test_token_for_lab_is_kept_and_made_anew_when_it_has_ended(tmp_path: Path) -> None:
    account = demo.make_account(tmp_path)
    secret = (tmp_path / ".env").read_text().strip().partition("=")[2]
    config = SubscriberConfig(
        http=Address("127.0.0.1", 0), statedir=tmp_path / "state" / "sub", login=True, auth_secret=secret
    )
    with RoleThread(run_subscriber, config) as role:
        url = f"http://{role.address}"
        who = {"subscriber": url, "user": account.user, "password": account.password}
        file = demolab.keep_token(tmp_path, **who)
        first = file.read_bytes()

        kept = demolab.keep_token(tmp_path, **who).read_bytes()
        with Client(url, (account.user, account.password)) as client:
            client.revoke_token(client.list_tokens()[0]["id"])
            renewed = demolab.keep_token(tmp_path, **who).read_bytes()
            tokens = client.list_tokens()

    assert kept == first
    assert renewed != first
    assert [token["name"] for token in tokens] == [demolab.TOKEN_NAME]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_whole_demo_ends_its_output_with_the_url_of_lab(tmp_path: Path, ports: list[int]) -> None:
    names = ("broker", "foo", "bar", "subscriber", "lab")
    options = [f"--{name}-port={port}" for name, port in zip(names, ports, strict=True)]
    command = [
        sys.executable,
        demo.__file__,
        "--directory",
        str(tmp_path / "_demo"),
        "--no-browser",
        *options,
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{demo.REPOSITORY}{os.pathsep}{demo.REPOSITORY / 'jupyter_ext'}",
    }
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            lines = list(itertools.takewhile(lambda line: line != LAST_WORDS, map(str.strip, process.stdout)))
            assert process.stdout.readline() == "\n"
            url = process.stdout.readline().strip()
            base, _, token = url.partition("/lab/tree/tour.ipynb?token=")
            request = urllib.request.Request(
                f"{base}/caterva2/api/status", headers={"Authorization": f"token {token}"}
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                status = json.loads(answer.read())
        finally:
            process.send_signal(signal.SIGINT)
            last = process.communicate(timeout=60)[0]

    assert "Ctrl+C ends it." in lines
    assert (status["current"], status["subscribers"][0]["user"]) == ("demo", "demo@example.org")
    assert status["subscribers"][0]["connected"]
    assert (last, process.returncode) == ("The demo has ended.\n", 0)
    assert [port for port in ports if not _is_free(port)] == []


# Commands beside the services

ACCOUNT = demo.Account(password="", kept_in=Path("password"))

# Kills the process whose id is in a file, and ends when nobody listens at its port any more.
KILLER = """
import os, signal, socket, sys
os.kill(int(open(sys.argv[1]).read()), signal.SIGKILL)
while socket.socket().connect_ex(("127.0.0.1", int(sys.argv[2]))) == 0:
    pass
"""


@pytest.fixture
def without_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for services have no users."""
    monkeypatch.setattr(demolab, "keep_token", lambda *_, **__: None)


@pytest.mark.usefixtures("without_token")
@pytest.mark.parametrize(("script", "status"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_status_of_the_command_is_given(
    tmp_path: Path, port: int, stop: threading.Event, started: list[demo.Running], script: str, status: int
) -> None:
    command = [sys.executable, "-c", f"import os, sys; {script}"]

    given = demo.run_beside(command, [_service(HEALTHY, port)], tmp_path, stop, roots=(), account=ACCOUNT)

    assert given == status
    assert [child.process.returncode for child in started] == [-signal.SIGTERM]


@pytest.mark.usefixtures("without_token")
def test_service_that_ends_is_told_once_and_the_command_goes_on(
    tmp_path: Path,
    port: int,
    stop: threading.Event,
    started: list[demo.Running],
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = f"import os\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n" + HEALTHY
    command = [sys.executable, "-c", KILLER, str(tmp_path / "pid"), str(port)]

    status = demo.run_beside(command, [_service(script, port)], tmp_path, stop, roots=(), account=ACCOUNT)

    assert status == 0
    assert capsys.readouterr().err.count("subscriber was killed by signal 9") == 1


@pytest.mark.usefixtures("started")
def test_command_is_ended_when_the_demo_is_stopped(
    tmp_path: Path, port: int, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demolab, "keep_token", lambda *_, **__: stop.set())

    status = demo.run_beside(
        [sys.executable, "-c", MUTE], [_service(HEALTHY, port)], tmp_path, stop, roots=(), account=ACCOUNT
    )

    assert status == 128 + signal.SIGTERM


# The whole of it

LAST_WORDS = "JupyterLab, with a tour to begin with:"


@pytest.fixture
def ports() -> list[int]:
    return free_ports(5)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _wish(monkeypatch: pytest.MonkeyPatch, directory: Path, *arguments: str) -> demo.LabWish | None:
    """Return what JupyterLab the demo would start, with nothing of it started."""
    wishes: list[demo.LabWish | None] = []
    monkeypatch.setattr(demo, "run", lambda *_, lab, **__: wishes.append(lab))

    assert demo.main(["--directory", str(directory), *arguments]) == 0
    return wishes[0]
