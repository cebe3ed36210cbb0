"""The address of a server, read and spelled."""

from __future__ import annotations

import pytest

from caterva2.client.urlbase import Urlbase
from caterva2.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "http://localhost:8002"),
        ("http://localhost:8002", "http://localhost:8002"),
        ("http://localhost:8002/", "http://localhost:8002"),
        ("localhost:8002", "http://localhost:8002"),
        ("lab.example.org", "http://lab.example.org"),
        ("HTTPS://Lab.Example.org:443/data//", "https://lab.example.org/data"),
        ("http://[::1]:8002/x", "http://[::1]:8002/x"),
        ("https://h/a b/é", "https://h/a%20b/%C3%A9"),
        ("unix:/run/sub.sock", "unix:/run/sub.sock"),
    ],
)
def test_address_has_one_spelling(text: str | None, expected: str) -> None:
    assert str(Urlbase.parse(text)) == expected
    assert str(Urlbase.parse(expected)) == expected


@pytest.mark.parametrize(
    "text",
    ["", " http://x", "http://x\n", "ftp://x", "http://", "http://u:p@x", "http://x?y", "http://x#y", "unix:",
     "http://x:99999", "http://x:y", "http://a b", "http://<x>"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="expected an address such as http://localhost:8002"):
        Urlbase.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("http://data.example.org", True), ("http://in.example.org", False), ("http://localhost:1", False),
     ("http://127.0.0.1:1", False), ("unix:/x", False), ("https://data.example.org", False)],
)  # fmt: skip
def test_proxy_of_the_environment_is_noticed(
    text: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "in.example.org")

    assert Urlbase.parse(text).uses_proxy is expected


def test_without_a_proxy_in_the_environment_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    assert not Urlbase.parse("http://data.example.org").uses_proxy
