"""What we believe of requests, and the headers that answers begin with."""

from __future__ import annotations

import pytest

from caterva2.transport.security import HEADERS, Policy, Proxies, is_foreign


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("", True),  # a Unix socket
        ("10.1.2.3", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("fe80::1%eth0", False),
        ("no address", False),
    ],
)
def test_proxies_that_are_named_are_believed(address: str, trusted: bool) -> None:
    proxies = Proxies(["10.0.0.0/8", "192.0.2.7"])

    assert proxies.trusts(address) is trusted
    assert proxies.is_secure(address, {"X-Forwarded-Proto": "https"}) is trusted
    assert proxies.client(address, {"X-Forwarded-For": "a, b"}) == ("b" if trusted else address)


def test_client_without_a_proxy_is_who_connects() -> None:
    assert Proxies().client("127.0.0.1", {}) == "127.0.0.1"
    assert not Proxies().is_secure("127.0.0.1", {})


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"Host": "a:1", "Origin": "http://a:1"}, False),
        ({"Host": "A:1", "Origin": "http://a:1"}, False),
        ({"Host": "proxied", "Origin": "https://site"}, False),
        ({"Host": "a:1", "Origin": "http://a:2"}, True),
        ({"Host": "a:1", "Origin": "http://a:1.evil"}, True),
        ({"Host": "", "Origin": "null"}, True),
        ({"Origin": "http://"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Host": "proxied", "Origin": "https://else"}, False),
    ],
)
def test_foreign_pages_are_told_from_own_ones(headers: dict[str, str], foreign: bool) -> None:
    assert is_foreign(headers, "site") is foreign


def test_page_policy_runs_no_inline_script() -> None:
    policy = HEADERS[Policy.PAGE]["Content-Security-Policy"]
    rules = {name: value for name, _, value in (rule.partition(" ") for rule in policy.split("; "))}

    assert rules["script-src"] == "'self'"
    assert rules["style-src"] == rules["base-uri"] == rules["form-action"] == "'self'"
    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in policy
