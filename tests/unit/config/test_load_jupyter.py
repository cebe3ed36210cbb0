"""What the Jupyter server extension finds in the file and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from caterva2.config.load import load_jupyter
from caterva2.config.schema import JupyterConfig
from caterva2.config.units import Address
from caterva2.errors import ConfigError


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str) -> None:
    Path("caterva2.toml").write_text(text)


def test_nothing_at_all_is_fine() -> None:
    assert load_jupyter(environ={}) == JupyterConfig()


def test_every_key_is_read() -> None:
    write(
        """
        [broker]
        secret = "shared"
        [jupyter]
        url = "http://lab.example.org:8002/"
        token_file = "tokens.json"
        timeout = "5 s"
        max_upload = "2 GiB"
        read_only = true
        public_dir = "data"
        statedir = "state"
        broker = "localhost:8000"
        cache = "1G"
        [jupyter.subscribers]
        local = "unix:/run/cat2sub.sock"
        """
    )

    assert load_jupyter(environ={}) == JupyterConfig(
        url="http://lab.example.org:8002",
        subscribers={"local": "unix:/run/cat2sub.sock"},
        token_file=Path("tokens.json"),
        timeout=5.0,
        max_upload=2 << 30,
        read_only=True,
        public_dir=Path("data"),
        statedir=Path("state"),
        broker=Address("localhost", 8000),
        cache=1 << 30,
        secret="shared",
    )


def test_the_environment_goes_before_the_file() -> None:
    write('[jupyter]\nurl = "http://file:1"\n')
    environ = {
        "CATERVA2_JUPYTER_URL": "http://env:1",
        "CATERVA2_JUPYTER_SUBSCRIBERS": "a=http://a:1; b=unix:/b",
    }

    config = load_jupyter(environ=environ)

    assert (config.url, config.subscribers) == ("http://env:1", {"a": "http://a:1", "b": "unix:/b"})


def test_the_file_of_the_kernels_is_no_setting() -> None:
    assert load_jupyter(environ={"CATERVA2_JUPYTER": "/run/caterva2-1.json"}) == JupyterConfig()


def test_the_subscriber_of_the_same_file_is_taken() -> None:
    write('[subscriber]\nhttp = "*:9000"\n')

    assert load_jupyter(environ={}).url == "http://localhost:9000"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('url = "lab.example.org"', "jupyter.url: expected a URL"),
        ('urls = "x"', "jupyter.urls: unknown key"),
        ('timeout = "soon"', "jupyter.timeout: expected a duration"),
        ("read_only = 1", "jupyter.read_only: expected true or false"),
        ('subscribers = {"a/b" = "http://x:1"}', "jupyter.subscribers: expected a name"),
        ('subscribers = {".." = "http://x:1"}', "jupyter.subscribers: expected a name"),
    ],
)
def test_what_is_wrong_is_named(line: str, message: str) -> None:
    write(f"[jupyter]\n{line}\n")

    with pytest.raises(ConfigError, match=message):
        load_jupyter(environ={})
