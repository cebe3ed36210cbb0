"""What Jupyter's configuration and caterva2.toml together mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from caterva2.client.urlbase import Urlbase
from caterva2.errors import ConfigError
from caterva2_jupyter.config import ExtensionConfig, Places, build_config
from caterva2_jupyter.sockets import MAX_SOCKET_PATH, make_socket_path, remove_socket

LAB, OTHER = "http://lab.example.org:8002", "http://other.example.org"


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(runtime=tmp_path / "run", data=tmp_path / "data", notebooks=tmp_path / "nb")


def build(places: Places, environ: dict[str, str] | None = None, **traits: Any) -> ExtensionConfig:
    return build_config(traits, places, environ=environ or {})


def test_with_nothing_configured_a_subscriber_of_our_own_shows_the_notebooks(places: Places) -> None:
    config = build(places, subscriber_url="", subscribers={}, embedded=None, timeout=None)

    assert config.current == "local"
    assert config.subscribers == {}
    assert config.embedding is not None
    assert config.embedding.public == places.notebooks
    assert config.embedding.statedir == places.data / "caterva2" / "subscriber"
    assert (config.timeout_s, config.max_upload, config.read_only) == (30.0, None, False)


def test_one_subscriber_is_called_by_its_host_and_there_is_none_of_our_own(places: Places) -> None:
    config = build(places, subscriber_url=LAB)

    assert config.subscribers == {"lab.example.org": Urlbase.parse(LAB)}
    assert (config.current, config.embedding) == ("lab.example.org", None)


def test_one_of_several_is_the_current_one(places: Places) -> None:
    config = build(places, subscriber_url=OTHER, subscribers={"lab": LAB, "other": OTHER})

    assert (config.current, list(config.subscribers)) == ("other", ["lab", "other"])


def test_the_first_is_current_if_none_is_named(places: Places) -> None:
    assert build(places, subscribers={"lab": LAB, "other": OTHER}).current == "lab"


def test_our_own_may_run_beside_others(places: Places) -> None:
    config = build(places, subscribers={"lab": LAB}, embedded=True)

    assert config.embedding is not None
    assert config.current == "lab"


def test_jupyter_goes_before_the_environment_before_the_file(places: Places) -> None:
    Path("caterva2.toml").write_text('[jupyter]\nurl = "http://file:1"\ntimeout = "1 s"\nmax_upload = "1K"\n')
    environ = {"CATERVA2_JUPYTER_TIMEOUT": "2 s", "CATERVA2_JUPYTER_MAX_UPLOAD": "2K"}

    config = build(places, environ, max_upload="3K")

    assert (config.current, config.timeout_s, config.max_upload) == ("file", 2.0, 3072)


def test_zero_is_no_limit(places: Places) -> None:
    Path("caterva2.toml").write_text('[jupyter]\nmax_upload = "1K"\n')

    assert build(places, max_upload=0).max_upload is None


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"subscriber_url": "ftp://x"}, "subscriber_url: expected an address"),
        ({"subscribers": {"a/b": LAB}}, "subscribers: expected a name"),
        ({"subscribers": {"..": LAB}}, "subscribers: expected a name"),
        ({"subscribers": {"local": LAB}, "embedded": True}, "choose another"),
        ({"subscribers": {"lab": "http://user:pw@x"}}, "with a user"),
        ({"timeout": "soon"}, "timeout: expected a duration"),
        ({"max_upload": "big"}, "max_upload: expected a size"),
        ({"embedded": False}, "there is no subscriber"),
        ({"broker": "nowhere"}, "broker: expected an address"),
    ],
)
def test_what_is_wrong_is_named(places: Places, traits: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(places, **traits)


def test_a_socket_lies_in_the_runtime_directory(tmp_path: Path) -> None:
    runtime = Path("/tmp/x") if len(str(tmp_path)) > 70 else tmp_path

    assert make_socket_path(runtime, 12) == runtime / "caterva2-12.sock"


def test_a_path_that_is_too_long_for_a_socket_gives_way(tmp_path: Path) -> None:
    socket = make_socket_path(tmp_path / ("x" * MAX_SOCKET_PATH), 12)

    assert len(str(socket)) < MAX_SOCKET_PATH
    assert socket.parent.stat().st_mode & 0o077 == 0
    remove_socket(socket)
    assert not socket.parent.exists()
