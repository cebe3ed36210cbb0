"""Plays a tutorial page word by word, on a network of its own.

Pages use the default ports, and other tests may run beside. So `play` starts
this module again in a new network namespace, which has nothing but a loopback:
there every port is free, and nothing outside is reachable.

What a page may hold, by the language of its code block:

- ``console``: a line that begins with ``$`` is a command, and the lines up to
  the next one are its output, where ``...`` stands for anything. A command that
  ends in ``&`` is a service: it is started and, if it is ours, awaited.
- ``python``: a doctest session; the blocks of a page share their names.
- ``{admonition} In the browser``: a numbered list of what a person does there, see
  `tests.support.browsing`.
- ``{code-block}`` with a ``:caption:``: a file of that name, written.
- all else is read by people only.

A command that only reads is tried again for some seconds until it prints what
the page says: a person at a terminal also comes a moment later.
"""

from __future__ import annotations

import contextlib
import doctest
import fcntl
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.browsing import Person

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent

READY_WITHIN_S = 20.0
SETTLE_WITHIN_S = 10.0
COMMAND_WITHIN_S = 60.0

_BLOCK = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_CAPTION = re.compile(r"\A:caption: (?P<name>\S+)\n\s*\n?")
_ITEM = re.compile(r"^\d+\. ", re.MULTILINE)
_DEFAULT_PORTS = {"cat2bro": 8000, "cat2pub": 8001, "cat2sub": 8002}
_ELLIPSIS = doctest.ELLIPSIS


@dataclass(frozen=True)
class Command:
    """A command of a ``console`` block, and the output that the page promises."""

    text: str
    output: str

    @property
    def is_service(self) -> bool:
        return self.text.endswith("&")


@dataclass(frozen=True)
class File:
    """A file that the page tells to write."""

    name: str
    text: str


@dataclass(frozen=True)
class Session:
    """A ``python`` block."""

    text: str


@dataclass(frozen=True)
class Browsing:
    """What a person does in a browser, sentence by sentence."""

    sentences: tuple[str, ...]


Step = Command | File | Session | Browsing


def play(page: Path, directory: Path, *, prelude: str = "", setup: str = "") -> None:
    """Play `page` in `directory`; raise `AssertionError` where the page is wrong.

    Parameters
    ----------
    page
        A Markdown file.
    directory
        Where its commands run; empty. Sees ``contrib`` and ``examples`` of the checkout.
    prelude
        A command to start before the page, as if it ended in ``&``; it is awaited
        until a subscriber answers at the default port.
    setup
        Commands to run then, which the page takes for granted.
    """
    me = [sys.executable, "-m", "tests.support.tutorial", str(page), str(directory), prelude, setup]
    result = subprocess.run(
        [*_isolation(), *me],
        cwd=REPOSITORY,
        env={**_environment(), "XDG_CONFIG_HOME": str(directory / ".config")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    if result.returncode:
        raise AssertionError(f"{page.name}: {result.stdout}{result.stderr}")


def steps(text: str) -> Iterator[Step]:
    """Read the steps of a page, in their order."""
    for block in _BLOCK.finditer(text):
        info, body = block["info"].strip(), block["body"]
        caption = _CAPTION.match(body)
        if info == "console":
            yield from _commands(body)
        elif info == "python":
            yield Session(body)
        elif info == "{admonition} In the browser":
            yield Browsing(tuple(" ".join(item.split()) for item in _ITEM.split(body)[1:]))
        elif info.startswith("{code-block}") and caption:
            yield File(caption["name"], body[caption.end() :])


def matches(promised: str, printed: str) -> bool:
    """Tell whether a command printed what the page promises, but for blanks at the ends of lines."""
    check = doctest.OutputChecker().check_output
    return check(_trimmed(promised), _trimmed(printed), _ELLIPSIS)


def _commands(body: str) -> Iterator[Command]:
    command = ""
    output: list[str] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            if command:
                yield Command(command, "\n".join(output))
            command, output = line[2:].strip(), []
        elif command.endswith("\\"):
            command = command[:-1] + line.strip()
        else:
            output.append(line)
    if command:
        yield Command(command, "\n".join(output))


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


def _isolation() -> list[str]:
    """Give the command prefix that makes a network namespace: as root, or with one's own user namespace."""
    for prefix in (["unshare", "--net"], ["unshare", "--user", "--net", "--map-root-user"]):
        with contextlib.suppress(OSError):
            if (
                subprocess.run([*prefix, "true"], capture_output=True, timeout=10, check=False).returncode
                == 0
            ):
                return prefix
    raise AssertionError("this machine allows no network namespace, so no tutorial can be played")


def _environment() -> dict[str, str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CATERVA2_")}
    path = [str(PROGRAMS), environment.get("PATH", os.defpath), "/usr/sbin"]
    environment["PATH"] = os.pathsep.join(path)
    return environment


class _Player:
    """Inside the namespace: does the steps, and ends what it started."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[subprocess.Popen[bytes]] = []
        self._names: dict[str, Any] = {}
        self._person = Person(directory)

    def __enter__(self) -> _Player:
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._person.close()
        finally:
            self._end_services()

    def _end_services(self) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def do(self, step: Step) -> None:
        if isinstance(step, File):
            (self._directory / step.name).write_text(step.text, encoding="utf-8")
        elif isinstance(step, Session):
            self._session(step)
        elif isinstance(step, Browsing):
            for sentence in step.sentences:
                self._person.do(sentence)
        elif step.is_service:
            command = step.text.removesuffix("&").strip()
            self.start(command, self._address(command))
        else:
            self._command(step)

    def start(self, command: str, address: str | None) -> None:
        """Start a service and wait until `address`, if there is one, answers ``/healthz``."""
        log = self._directory / f"service-{len(self._started)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        deadline = time.monotonic() + READY_WITHIN_S
        while address and not _answers(f"http://{address}/healthz"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"$ {command} &\ndoes not serve {address}; it printed:\n{log.read_text()}"
                )
            time.sleep(0.05)

    def _command(self, step: Command) -> None:
        # Without a service there is nothing that could still settle.
        deadline = time.monotonic() + (SETTLE_WITHIN_S if self._started else 0.0)
        while True:
            printed = subprocess.run(
                ["bash", "-c", step.text],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=COMMAND_WITHIN_S,
                check=False,
            ).stdout
            if matches(step.output, printed):
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"$ {step.text}\npromised:\n{step.output}\nprinted:\n{printed}")
            time.sleep(0.2)

    def _session(self, step: Session) -> None:
        # One set of names for the page, as in one interpreter.
        test = doctest.DocTestParser().get_doctest(step.text, self._names, "page", "page", 0)
        test.globs = self._names
        runner = doctest.DocTestRunner(optionflags=_ELLIPSIS, verbose=False)
        with contextlib.chdir(self._directory):
            result = runner.run(test, clear_globs=False)
        if result.failed:
            raise AssertionError("a Python session prints something else than the page")

    def _address(self, command: str) -> str | None:
        """Find out where a service of ours will listen; None for other programs."""
        words = shlex.split(command)
        program = words[0]
        if program not in _DEFAULT_PORTS:
            return None
        if "--http" in words:
            return words[words.index("--http") + 1].replace("*", "localhost")
        section = {"cat2bro": "broker", "cat2pub": "publisher", "cat2sub": "subscriber"}[program]
        conf = self._directory / (words[words.index("--conf") + 1] if "--conf" in words else "caterva2.toml")
        if conf.is_file():
            values: dict[str, Any] = tomllib.loads(conf.read_text(encoding="utf-8")).get(section, {})
            if "--id" in words:
                values = {**values, **values.get(words[words.index("--id") + 1], {})}
            if "http" in values:
                return str(values["http"]).replace("*", "localhost")
        return f"localhost:{_DEFAULT_PORTS[program]}"


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2.0):
            return True
    except OSError:
        return False


def _loopback_up() -> None:
    """Switch the namespace's loopback on: SIOCSIFFLAGS with IFF_UP, see netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 1))


def _main(page: Path, directory: Path, prelude: str, setup: str) -> None:
    _loopback_up()
    for name in ("contrib", "examples"):
        (directory / name).symlink_to(REPOSITORY / name)
    with _Player(directory) as player:
        if prelude:
            player.start(prelude, "localhost:8002")
        if setup:
            player.do(Command(setup, "..."))
        for step in steps(page.read_text(encoding="utf-8")):
            player.do(step)


if __name__ == "__main__":
    try:
        _main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    except AssertionError as exc:
        sys.exit(str(exc))
