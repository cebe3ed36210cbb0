"""What a Jupyter server hands over to its kernels: where the subscribers are, and tokens."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from caterva2 import AsyncClient, Client, EventStream
from caterva2.client.handover import VARIABLE, Handover
from caterva2.client.session import Session
from caterva2.errors import ConfigError

LAB, OTHER = "http://lab:1/data", "unix:/run/x.sock"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "caterva2-1.json"
    write(path, token="first")
    monkeypatch.setenv(VARIABLE, str(path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return path


def write(path: Path, *, token: str | None, url: str = LAB, mode: int = 0o600) -> None:
    values = {
        "current": "lab",
        "subscribers": {
            "lab": {"url": url, "token": token, "expires": 1.0},
            "own": {"url": OTHER, "token": None},
        },
    }
    beside = path.with_name("beside")
    beside.write_text(json.dumps(values))
    beside.chmod(mode)
    beside.replace(path)


def test_client_without_an_address_is_one_of_the_current_subscriber(file: Path) -> None:
    assert Client().urlbase == LAB
    assert Session().headers == {"Authorization": "Bearer first"}


def test_asynchronous_clients_and_event_streams_go_there_too(file: Path) -> None:
    assert AsyncClient().urlbase == LAB
    assert str(EventStream().urlbase) == LAB


def test_another_address_of_the_file_gets_its_token(file: Path) -> None:
    assert Session(LAB + "/").headers == {"Authorization": "Bearer first"}
    assert Session(OTHER).headers == {}


def test_another_server_gets_no_token(file: Path) -> None:
    assert Session("http://lab:2/data").headers == {}


def test_given_credentials_win(file: Path) -> None:
    assert Session(token="mine").headers == {"Authorization": "Bearer mine"}
    assert Session(auth_cookie="c=1").headers == {"Cookie": "c=1"}


def test_renewed_token_is_taken_over(file: Path) -> None:
    session = Session()

    write(file, token="second")

    assert session.headers == {"Authorization": "Bearer second"}


def test_given_token_is_never_replaced(file: Path) -> None:
    session = Session(token="mine")

    write(file, token="second")

    assert session.headers == {"Authorization": "Bearer mine"}


def test_moved_subscriber_is_followed(file: Path) -> None:
    session = Session()

    write(file, token=None, url="unix:/run/y.sock")

    assert session.headers == {}
    assert str(session.urlbase) == "unix:/run/y.sock"


def test_file_that_is_gone_changes_nothing(file: Path) -> None:
    session = Session()

    file.unlink()

    assert session.headers == {"Authorization": "Bearer first"}


def test_without_the_file_the_default_address_holds(file: Path) -> None:
    file.unlink()

    assert Client().urlbase == "http://localhost:8002"


@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
def test_file_that_others_may_read_is_refused(file: Path) -> None:
    write(file, token="first", mode=0o644)

    with pytest.raises(ConfigError, match="others may read"):
        Client()


@pytest.mark.parametrize("text", ["", "[]", '{"current": "x"}', '{"subscribers": {"a": 1}}'])
def test_broken_file_is_a_sentence(file: Path, text: str) -> None:
    file.write_text(text)

    with pytest.raises(ConfigError, match="expected the subscribers of a Jupyter server"):
        Handover(file).refresh()
