"""The units of ``contrib/systemd``: systemd takes them, and the programs take what they say."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from caterva2.config.load import load_broker, load_publisher, load_subscriber
from tests.support.proxies import CONTRIB

UNITS = {"cat2bro": "cat2bro.service", "cat2pub": "cat2pub@.service", "cat2sub": "cat2sub.service"}
LOADERS = {"cat2bro": load_broker, "cat2pub": load_publisher, "cat2sub": load_subscriber}
SECRETS = {"CATERVA2_BROKER_SECRET": "b" * 32, "CATERVA2_SECRET": "s" * 32}
PROGRAMS = "/opt/caterva2/bin"
MOST_EXPOSED = 20
"""Of 100, by what ``systemd-analyze security`` counts."""


def service(program: str, instance: str = "lab") -> dict[str, str]:
    """Return the section ``[Service]`` of a unit."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read_string(
        (CONTRIB / "systemd" / UNITS[program]).read_text(encoding="utf-8").replace("%i", instance)
    )
    return dict(unit["Service"])


def analyzer() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("needs systemd-analyze")
    return found


@pytest.fixture
def units(tmp_path: Path) -> dict[str, Path]:
    """Return the units, with programs that are here, as files with names that they can have."""
    found = {}
    for program, name in UNITS.items():
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
        found[program] = tmp_path / name.replace("@", "@lab")
        text = (CONTRIB / "systemd" / name).read_text(encoding="utf-8")
        found[program].write_text(text.replace(PROGRAMS, str(tmp_path)))
    return found


@pytest.mark.parametrize("program", UNITS)
def test_systemd_finds_nothing_wrong(units: dict[str, Path], program: str) -> None:
    done = subprocess.run(
        [analyzer(), "verify", "--man=no", str(units[program])], capture_output=True, text=True, check=False
    )

    # Units of the machine itself may be wrong as they like.
    assert [line for line in done.stderr.splitlines() if program in line] == []


@pytest.mark.parametrize("program", UNITS)
def test_unit_leaves_little_to_an_attacker(units: dict[str, Path], program: str) -> None:
    done = subprocess.run(
        [analyzer(), "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(units[program])],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("program", UNITS)
def test_program_takes_its_command_line(program: str) -> None:
    unit = service(program)
    words = shlex.split(unit["ExecStart"])
    words[words.index("--conf") + 1] = str(CONTRIB / "systemd" / "caterva2.toml")

    config = LOADERS[program](words[1:], environ=SECRETS)

    assert words[0] == f"{PROGRAMS}/{program}"
    assert str(config.statedir) == f"/var/lib/{unit['StateDirectory']}" == unit["WorkingDirectory"]
    assert config.secret == SECRETS["CATERVA2_BROKER_SECRET"]


def test_secrets_are_those_that_the_programs_read() -> None:
    text = (CONTRIB / "systemd" / "secrets.env").read_text(encoding="utf-8")
    names = {line.partition("=")[0] for line in text.splitlines() if line and not line.startswith("#")}

    assert names == set(SECRETS)


def test_services_find_each_other_by_the_file() -> None:
    conf = ["--conf", str(CONTRIB / "systemd" / "caterva2.toml")]
    broker = load_broker(conf, environ=SECRETS)
    publisher = load_publisher([*conf, "--id", "lab"], environ=SECRETS)
    subscriber = load_subscriber(conf, environ=SECRETS)

    assert publisher.broker == subscriber.broker == broker.http
    assert subscriber.login
    assert subscriber.urlbase == "https://data.example.org"
