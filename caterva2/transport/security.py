"""What tells a browser how far to trust an answer, and tells us how far to trust a browser.

Clients that are no browser send neither ``Origin`` nor ``Sec-Fetch-Site``, and
ignore these headers.
"""

from __future__ import annotations

import enum
import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Policy(enum.Enum):
    """What kind of answer a handler gives."""

    DATA = "data"
    """Whatever users have stored, and JSON: nothing of it may act in a browser."""
    PAGE = "page"
    """Pages of our own, and what belongs to them."""


_EVERY = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
HEADERS: Mapping[Policy, Mapping[str, str]] = {
    # A stored HTML or SVG file that is shown all the same has an origin of its own, and runs nothing.
    Policy.DATA: {"Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'", **_EVERY},
    # Styles that are set by scripts, as components do, count as inline. Stored files are shown in
    # sandboxed frames from blobs.
    Policy.PAGE: {
        "Content-Security-Policy": "; ".join(
            [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob:",
                "font-src 'self' data:",
                "media-src 'self' blob:",
                "connect-src 'self'",
                "worker-src 'self' blob:",
                "frame-src blob:",
                "manifest-src 'self'",
                "form-action 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            ]
        ),
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        **_EVERY,
    },
}
"""Headers of every answer, by its kind."""


class FirstHeaders:
    """Makes the headers with which answers begin: prepared once a second, then copied.

    Setting them one by one would take longer than a small answer can afford.

    Parameters
    ----------
    server
        Value of ``Server``.
    """

    def __init__(self, server: str, policy: Policy, *, clock: Callable[[], float] = time.time) -> None:
        self._fixed = {"Server": server, **HEADERS[policy]}
        self._clock = clock
        self._second = 0
        self._parts: list[tuple[str, dict[str, Any]]] = []
        self._rest: dict[str, Any] = {}

    def __call__(self) -> HTTPHeaders:
        """Return headers of one's own."""
        now = int(self._clock())
        if now != self._second:
            self._prepare(now)
        made = HTTPHeaders.__new__(HTTPHeaders)
        attributes = made.__dict__
        attributes.update(self._rest)
        for name, part in self._parts:
            attributes[name] = part.copy()
        return made

    def _prepare(self, now: int) -> None:
        made = vars(HTTPHeaders({"Date": formatdate(now, usegmt=True), **self._fixed}))
        parts = [(name, part) for name, part in made.items() if isinstance(part, dict)]
        self._second = now
        # The lists of values are shared, so they can not grow: `add` of such a header fails.
        self._parts = [(name, {k: _frozen(v) for k, v in part.items()}) for name, part in parts]
        self._rest = {name: value for name, value in made.items() if not isinstance(value, dict)}


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Proxies:
    """The reverse proxies whose word about a request is believed; those on this machine always are.

    Parameters
    ----------
    networks
        Addresses and networks of others, such as ``10.0.0.0/8``.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(text) for text in networks]

    def trusts(self, address: str) -> bool:
        """Whether what comes from an address is believed."""
        # So Tornado shows a Unix socket.
        if address.startswith("127.") or address in {"", "::1", "0.0.0.0"}:  # noqa: S104
            return True
        if not self._networks:
            return False
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def client(self, address: str, headers: Mapping[str, str]) -> str:
        """Return the address of the client: what the proxy says if there is one."""
        forwarded = headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        return forwarded[:64] if forwarded and self.trusts(address) else address

    def is_secure(self, address: str, headers: Mapping[str, str]) -> bool:
        """Whether a proxy says that the client came over https."""
        proto = headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
        return proto == "https" and self.trusts(address)


def is_foreign(headers: Mapping[str, str], site: str) -> bool:
    """Whether a browser tells that a page of another site makes a request.

    Parameters
    ----------
    site
        Host and port of the server as users see it: behind a proxy ``Host`` may be another.
    """
    fetched_by = headers.get("Sec-Fetch-Site")
    if fetched_by is not None:
        return fetched_by not in {"same-origin", "none"}
    origin = headers.get("Origin")
    return origin is not None and not is_own(origin, headers, site)


def is_own(origin: str, headers: Mapping[str, str], site: str) -> bool:
    """Whether an origin is that of our own pages."""
    found = urlsplit(origin).netloc.lower()
    return bool(found) and found in {headers.get("Host", "").lower(), site}
