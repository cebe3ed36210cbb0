"""Run the whole network on this machine, until Ctrl+C: what ``make demo`` starts.

A broker, two publishers and a subscriber as separate processes on loopback,
over two example roots in ``_demo/``, and JupyterLab with a tour. Their state and logs stay
there, so the next run finds what this one left: also the secret that signs sessions, in
``_demo/.env``, the account of a person to try with, and his copy of the notebooks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import demolab
import make_example_root
from caterva2.errors import Caterva2Error

REPOSITORY = Path(__file__).resolve().parent.parent

ROOTS = ("foo", "bar")

START_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
POLL_EVERY_S = 0.1


class DemoError(Exception):
    """The demo can not go on; the message is one line for the person at the terminal."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the four services listen."""

    broker: int = 8000
    foo: int = 8001
    bar: int = 8003
    subscriber: int = 8002


@dataclass(frozen=True, kw_only=True)
class Service:
    """One program to run."""

    title: str
    command: tuple[str, ...]
    port: int
    what: str
    health: str = "/healthz"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The URL it answers at."""
        return f"http://localhost:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who may log in to the subscriber, and the file that keeps his password."""

    password: str
    kept_in: Path
    user: str = "demo@example.org"


@dataclass(frozen=True, kw_only=True)
class LabWish:
    """Where JupyterLab is to listen, and whether it opens a browser."""

    port: int
    opens_browser: bool


@dataclass(kw_only=True)
class Running:
    """A started service; `stopping` is set once the demo itself ends it."""

    service: Service
    process: subprocess.Popen[bytes]
    log: Path
    stopping: bool = field(default=False)

    def require_alive(self) -> None:
        """Raise `DemoError` when the process has ended by itself."""
        status = self.process.poll()
        if status is not None and not self.stopping:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
            last = _last_line(self.log)
            raise DemoError(
                f"{self.service.title} {how}{': ' + last if last else ''} (log: {_shown(self.log)})"
            )


def services(ports: Ports, state: Path) -> list[Service]:
    """Describe the four programs, in the order of their start."""
    broker = ("--broker", f"localhost:{ports.broker}")
    # A file that does not exist: neither caterva2.toml of this directory nor anything else has a say.
    conf = ("--conf", str(state / "caterva2.toml"))

    def service(title: str, entry: str, port: int, what: str, *arguments: str) -> Service:
        program = Path(sys.executable).with_name(entry)
        listen = ("--http", f"localhost:{port}")
        return Service(title=title, command=(str(program), *conf, *listen, *arguments), port=port, what=what)

    def at(name: str) -> tuple[str, str]:
        return ("--statedir", str(state / "state" / name))

    foo, bar = str(state / "foo"), str(state / "bar")
    return [
        service("broker", "cat2bro", ports.broker, "knows which roots exist", *at("bro")),
        service(
            "publisher foo", "cat2pub", ports.foo, "small data sets", *broker, *at("pub.foo"), "foo", foo
        ),
        service(
            "publisher bar",
            "cat2pub",
            ports.bar,
            "measured and simulated data",
            *broker,
            *at("pub.bar"),
            "bar",
            bar,
        ),
        service("subscriber", "cat2sub", ports.subscriber, "where you read all of them", *broker, *at("sub")),
    ]


def make_account(state: Path) -> Account:
    """Switch users on for the subscriber below `state`, and give it one; what is there stays.

    Raises
    ------
    DemoError
        There is such a user, and his password is lost.
    """
    # Every service of the demo runs in this directory, and the subscriber reads its .env.
    _kept(state / ".env", lambda: f"CATERVA2_SECRET={secrets.token_urlsafe(32)}")
    file = state / "password"
    lost = not file.exists()
    # Hexadecimal: a password that begins with a dash would be taken for an option.
    account = Account(password=_kept(file, lambda: secrets.token_hex(8)), kept_in=file)
    users = json.loads(_admin(state, "--json", "users", "list"))
    if account.user not in {user["email"] for user in users}:
        _admin(state, "users", "add", account.user, account.password)
    elif lost:
        file.unlink()
        raise DemoError(
            f"the password of {account.user} is no longer in {_shown(file)};"
            f" remove {_shown(state)} to begin anew"
        )
    return account


def run(
    started: Sequence[Service],
    state: Path,
    stop: threading.Event,
    *,
    roots: Sequence[str],
    account: Account | None = None,
    lab: LabWish | None = None,
) -> None:
    """Start the services and JupyterLab, wait until they answer, and stay until `stop` is set.

    Blocks. Every process that was started is ended before this returns.

    Parameters
    ----------
    lab
        Start JupyterLab like this, as the user of `account`; None for none.

    Raises
    ------
    DemoError
        A port is taken, a service does not come up, or one ends by itself.
    """
    if lab is not None:
        _require_free(Service(title="Jupyter server", command=(), port=lab.port, what=""))
    with _network(started, state, stop, roots) as running:
        url = None
        if lab is not None and account is not None and not stop.is_set():
            url = _start_lab(lab, running, state, account, stop)
        if not stop.is_set():
            _announce(started, account)
            if url is not None:
                print(f"\nJupyterLab, with a tour to begin with:\n\n  {url}", flush=True)
        while not stop.wait(0.5):
            for child in running:
                child.require_alive()


def run_beside(
    command: Sequence[str],
    started: Sequence[Service],
    state: Path,
    stop: threading.Event,
    *,
    roots: Sequence[str],
    account: Account,
) -> int:
    """Start the services, run a command that finds them if it is a Jupyter server, and end with it.

    Blocks. A service that ends by itself is told, and does not end the command: people may be at work.

    Returns
    -------
    int
        Its exit status; 128 and the number of the signal that killed it, as shells say it.

    Raises
    ------
    DemoError
        A port is taken, or a service does not come up.
    """
    with _network(started, state, stop, roots) as running:
        if stop.is_set():
            return 1
        subscriber = running[-1].service.address
        demolab.keep_token(state, subscriber=subscriber, user=account.user, password=account.password)
        environment = {**os.environ, **demolab.settings_beside(state, subscriber=subscriber)}
        process = subprocess.Popen(command, env=environment)
        told: set[str] = set()
        while (status := process.poll()) is None:
            if stop.wait(POLL_EVERY_S):
                status = _ended(process)
                break
            _tell_of_ended(running, told)
        _tell_of_ended(running, told)
    return status if status >= 0 else 128 - status


def _tell_of_ended(running: Sequence[Running], told: set[str]) -> None:
    """Tell of services that have ended by themselves, once of each."""
    for child in running:
        try:
            child.require_alive()
        except DemoError as exc:
            if child.service.title not in told:
                told.add(child.service.title)
                print(f"demo: {exc}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _network(
    started: Sequence[Service], state: Path, stop: threading.Event, roots: Sequence[str]
) -> Iterator[list[Running]]:
    """Run the services until the block ends; give them when they answer. What is added is ended too."""
    for service in started:
        _require_free(service)
    running: list[Running] = []
    try:
        for service in started:
            running.append(_start(service, state / "log"))
            _wait_until_healthy(running, stop)
        _wait_until_roots_are_known(running, roots, stop)
        yield running
    finally:
        _end(running)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; give the exit status."""
    defaults = Ports()
    parser = argparse.ArgumentParser(
        description="Run a broker, two publishers, a subscriber and JupyterLab until Ctrl+C."
    )
    parser.add_argument("--directory", type=Path, default=REPOSITORY / "_demo", help="state, logs and roots")
    for name in ("broker", "foo", "bar", "subscriber"):
        port = getattr(defaults, name)
        parser.add_argument(f"--{name}-port", type=int, default=port, help=f"default {port}", metavar="PORT")
    parser.add_argument(
        "--lab-port",
        type=int,
        help=f"of JupyterLab; default {demolab.USUAL_PORT}, or a free one if that is taken",
        metavar="PORT",
    )
    parser.add_argument("--no-lab", action="store_true", help="do not start JupyterLab")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--run",
        nargs=argparse.REMAINDER,
        help="instead of JupyterLab: run this command, and end with it; a Jupyter server finds the demo",
        metavar="COMMAND",
    )
    options = parser.parse_args(arguments)
    ports = Ports(
        broker=options.broker_port,
        foo=options.foo_port,
        bar=options.bar_port,
        subscriber=options.subscriber_port,
    )
    state: Path = options.directory.resolve()
    stop = threading.Event()
    with _signals_set(stop):
        try:
            make_example_root.make_example_root(state / "foo")
            make_example_root.make_measured_root(state / "bar")
            make_example_root.make_simulated_root(state / "bar")
            account = make_account(state)
            if options.run:
                return run_beside(
                    options.run, services(ports, state), state, stop, roots=ROOTS, account=account
                )
            lab = None if options.no_lab else _wished_lab(options)
            run(services(ports, state), state, stop, roots=ROOTS, account=account, lab=lab)
        except (DemoError, Caterva2Error, make_example_root.MissingPackage, OSError) as exc:
            print(f"demo: {exc}", file=sys.stderr, flush=True)
            return 1
    print("The demo has ended.", flush=True)
    return 0


def _wished_lab(options: argparse.Namespace) -> LabWish | None:
    if not demolab.is_installed():
        print('demo: JupyterLab is not installed; pip install "caterva2[jupyter]" brings it', file=sys.stderr)
        return None
    opens_browser = demolab.has_display() and not options.no_browser
    return LabWish(port=options.lab_port or demolab.free_port(), opens_browser=opens_browser)


def _require_free(service: Service) -> None:
    for host in ("127.0.0.1", "::1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
            # A machine without IPv6 refuses here, and then nobody listens there.
            probe.settimeout(1.0)
            if probe.connect_ex((host, service.port)) == 0:
                raise DemoError(
                    f"port {service.port}, which the {service.title} needs, is taken;"
                    f" end the program that listens there, or choose others: make demo DEMO_ARGS=--help"
                )


def _kept(file: Path, make: Callable[[], str]) -> str:
    """Read the line in `file`, which only its owner can read; make it the first time."""
    with contextlib.suppress(FileNotFoundError):
        return file.read_text(encoding="utf-8").strip()
    line = make()
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as output:
        output.write(f"{line}\n")
    new.replace(file)
    return line


def _admin(state: Path, *arguments: str) -> str:
    """Run ``cat2admin`` on the subscriber's state and give what it prints."""
    where = ("--conf", str(state / "caterva2.toml"), "--statedir", str(state / "state" / "sub"))
    done = subprocess.run(
        [sys.executable, "-m", "caterva2.cli.admin", *where, *arguments],
        cwd=state,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise DemoError(f"can not make the account: {done.stderr.strip() or 'cat2admin failed'}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Give the environment of what the demo starts: settings of the person's shell do not reach into it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CATERVA2_")}
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _start(service: Service, logs: Path) -> Running:
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{service.title.replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            service.command,
            cwd=logs.parent,
            env={**_environment(), **service.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl+C in the terminal reaches this program only, which then ends the others in order.
            start_new_session=True,
        )
    return Running(service=service, process=process, log=log)


def _start_lab(
    wish: LabWish, running: list[Running], state: Path, account: Account, stop: threading.Event
) -> str:
    """Start JupyterLab as the user of `account`, and give the URL that lets a person in."""
    subscriber = running[-1].service.address
    demolab.keep_token(state, subscriber=subscriber, user=account.user, password=account.password)
    lab = demolab.prepare(state, subscriber=subscriber, port=wish.port, opens_browser=wish.opens_browser)
    service = Service(
        title="Jupyter server",
        command=lab.command,
        port=lab.port,
        what="notebooks",
        health="/api",
        environment=lab.environment,
    )
    running.append(_start(service, state / "log"))
    _wait_until_healthy(running, stop)
    return lab.url


def _wait_until_healthy(running: Sequence[Running], stop: threading.Event) -> None:
    newest = running[-1].service
    _wait(
        running,
        stop,
        lambda: _answer(f"{newest.address}{newest.health}") is not None,
        f"{newest.title} to answer",
    )


def _wait_until_roots_are_known(
    running: Sequence[Running], roots: Sequence[str], stop: threading.Event
) -> None:
    subscriber = running[-1].service

    def known() -> bool:
        body = _answer(f"{subscriber.address}/api/roots")
        return body is not None and set(roots) <= json.loads(body).keys()

    _wait(running, stop, known, f"{subscriber.title} to know the roots {', '.join(roots)}")


def _wait(running: Sequence[Running], stop: threading.Event, done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not done():
        for child in running:
            child.require_alive()
        if stop.wait(POLL_EVERY_S):
            return
        if time.monotonic() > deadline:
            raise DemoError(f"waited {START_WITHIN_S:.0f} s for the {what}; log: {_shown(running[-1].log)}")


def _answer(url: str) -> bytes | None:
    """Fetch `url` from this machine; None when nobody answers, or not with success."""
    # No proxy: the address is on this machine, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2.0) as response:
            body: bytes = response.read()
            return body
    except OSError:
        return None


def _announce(started: Sequence[Service], account: Account | None) -> None:
    print("\nCaterva2 is running:\n")
    for service in started:
        print(f"  {service.title:<14} {service.address}   {service.what}")
    print("\nTry in a second terminal, from the same directory:\n")
    for command in commands_to_try(started[-1]):
        print(f"  {command}")
    if account is not None:
        print(f"\nOr as a user, {account.user} with the password {account.password}:\n")
        for command in commands_of_a_user(started[-1], account):
            print(f"  {command}")
        print("\nIf a command says that a token is unknown, it is of an earlier demo: log in again.")
    print("\nCtrl+C ends it.", flush=True)


def commands_to_try(subscriber: Service) -> list[str]:
    """Give the three shell commands that a newcomer can paste; they need no account."""
    keyword = f', urlbase="{subscriber.address}"' if _is_elsewhere(subscriber) else ""
    program = (
        f'import caterva2; print(caterva2.Root("bar"{keyword})["elevation/jacksboro.b2nd"][100:103, 200:206])'
    )
    return [
        f"{_cat2cli(subscriber)} roots",
        f"{_cat2cli(subscriber)} show 'foo/dir1/ds-2d.b2nd[0:3, 0:5]'",
        f"{_tools()}/python -c {shlex.quote(program)}",
    ]


def commands_of_a_user(subscriber: Service, account: Account) -> list[str]:
    """Give the shell commands that log in, store an array, and compute with it and a published one."""
    cat2cli = _cat2cli(subscriber)
    array = account.kept_in.with_name("foo") / "dir1" / "ds-2d.b2nd"
    return [
        f'{cat2cli} --password "$(cat {shlex.quote(_shown(account.kept_in))})" login {account.user}',
        f"{cat2cli} put {shlex.quote(_shown(array))} @personal/mine.b2nd",
        f"{cat2cli} expr total 'mine + 10 * foo' mine=@personal/mine.b2nd foo=foo/dir1/ds-2d.b2nd",
        f"{cat2cli} show '@personal/total.b2nd[0:3, 0:5]'",
    ]


def _is_elsewhere(subscriber: Service) -> bool:
    return subscriber.port != Ports().subscriber


def _cat2cli(subscriber: Service) -> str:
    option = f" --subscriber {subscriber.address}" if _is_elsewhere(subscriber) else ""
    return f"{_tools()}/cat2cli{option}"


def _tools() -> Path:
    tools = Path(sys.executable).parent
    return tools.relative_to(Path.cwd()) if tools.is_relative_to(Path.cwd()) else tools


def _end(running: Sequence[Running]) -> None:
    """End every child, last started first, and reap it."""
    for child in reversed(running):
        child.stopping = True
        if _ended(child.process) == -signal.SIGKILL:
            print(
                f"demo: the {child.service.title} did not end in {STOP_WITHIN_S:.0f} s; killed",
                file=sys.stderr,
            )


def _ended(process: subprocess.Popen[bytes]) -> int:
    """End a process, reap it, and return its status."""
    if process.poll() is None:
        process.terminate()
        try:
            return process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


@contextlib.contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl+C, a terminal that closes, and SIGTERM set `stop`."""

    def handle(signum: int, frame: FrameType | None) -> None:
        stop.set()

    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, handle) for signum in watched}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
