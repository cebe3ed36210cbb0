"""What tells a browser how far to trust an answer, and tells us how far to trust a browser.

Clients that are no browser send neither ``Origin`` nor ``Sec-Fetch-Site``, and
ignore these headers.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

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
    # Styles that scripts set through the object model are no inline ones. A PDF is shown by the browser's
    # own viewer, from a blob. Text becomes markup by way of DOMPurify, or of constants of ours, and no other.
    Policy.PAGE: {
        "Content-Security-Policy": "; ".join(
            [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' data: blob:",
                "font-src 'self'",
                "connect-src 'self'",
                "frame-src blob:",
                "form-action 'self'",
                "base-uri 'self'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types dompurify caterva2",
            ]
        ),
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        **_EVERY,
        # None at all would take the origin from what the page's own forms send.
        "Referrer-Policy": "same-origin",
    },
}
"""Headers of every answer, by its kind."""


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
