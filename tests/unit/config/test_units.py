"""Sizes, durations and addresses, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterva2.config.units import Address, parse_duration, parse_size
from caterva2.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8 GiB", 8 * 1024**3),
        ("20G", 20 * 1024**3),
        ("500M", 500 * 1024**2),
        ("1.5 K", 1536),
        ("10GB", 10 * 1024**3),
        ("2TiB", 2 * 1024**4),
        ("7 kb", 7 * 1024),
        (" 12 B ", 12),
        (".5k", 512),
        ("0", 0),
        (123, 123),
        (1024**4 + 1, 1024**4 + 1),
    ],
    ids=str,
)
def test_a_size_is_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["8 gigs", "", "G", "-1", "1 2", "1e3", "5 iB", "5 PB", "٣K", True, -5, "99999999T"], ids=repr
)
def test_what_is_no_size_is_refused_with_what_was_found(text):
    with pytest.raises(ConfigError, match="expected a size such as"):
        parse_size(text)


@given(st.integers(0, 2**53), st.sampled_from(["", "K", "M", "G"]))
def test_a_whole_number_of_units_is_exact(number, unit):
    factor = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}[unit]
    if number * factor < 2**63:
        assert parse_size(f"{number}{unit}") == number * factor


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30 s", 30.0),
        ("5 min", 300.0),
        ("250ms", 0.25),
        ("2h", 7200.0),
        ("1d", 86400.0),
        (1.5, 1.5),
        ("3", 3.0),
    ],
    ids=str,
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["soon", "5 weeks", "-1 s", "", True], ids=repr)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigError, match="expected a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:8002", Address("localhost", 8002)),
        ("lab-1.example.org:80", Address("lab-1.example.org", 80)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("*:8002", Address("*", 8002)),
        ("[::1]:8002", Address("::1", 8002)),
        ("unix:/run/x", Address(unix_path="/run/x")),
        ("unix:here", Address(unix_path="here")),
        ("/run/x.sock", Address(unix_path="/run/x.sock")),
        ("run/x:1", Address(unix_path="run/x:1")),
    ],
    ids=str,
)
def test_an_address_is_read_and_written_back(text, address):
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "localhost",
        "8002",
        ":8002",
        "localhost:",
        "localhost:x",
        "localhost:70000",
        "localhost:-1",
        "::1:8002",
        "[::g]:1",
        "http://localhost:8002",
        "a b:1",
        "unix:",
        "",
        " localhost:1",
        "localhost:\u0661",
        "x\n:1",
        "[]:1",
    ],
    ids=repr,
)
def test_what_is_no_address_is_refused_with_what_was_found(text):
    with pytest.raises(ConfigError) as caught:
        Address.parse(text)

    assert caught.value.message.startswith("expected an address such as")
    assert repr(text) in caught.value.message


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:8002", "http://localhost:8002"),
        ("*:8002", "http://localhost:8002"),
        ("0.0.0.0:8002", "http://localhost:8002"),
        ("[::1]:8002", "http://[::1]:8002"),
        ("unix:/run/x", "http://localhost"),
    ],
)
def test_an_address_has_a_url(text, url):
    assert Address.parse(text).url == url


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("localhost:1", True),
        ("127.0.0.9:1", True),
        ("[::1]:1", True),
        ("/run/x", True),
        ("a.localhost:1", True),
        ("*:1", False),
        ("0.0.0.0:1", False),
        ("10.0.0.1:1", False),
        ("example.org:1", False),
    ],
)
def test_an_address_knows_whether_others_can_reach_it(text, loopback):
    assert Address.parse(text).is_loopback is loopback


def test_the_chosen_port_goes_into_the_address():
    assert str(Address.parse("[::1]:0").with_port(5)) == "[::1]:5"
