"""The address of a server as users write it: scheme, host, port, and the prefix of a reverse proxy."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

from caterva2.errors import BadRequest

DEFAULT_URLBASE = "http://localhost:8002"

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[\w.:-]+")
_EXPECTED = f"expected an address such as {DEFAULT_URLBASE}"


@dataclass(frozen=True, slots=True)
class Urlbase:
    """A server, and the path below which its API lies.

    Attributes
    ----------
    scheme
        ``http`` or ``https``.
    host, port
        Without brackets; ``localhost`` for a Unix socket.
    prefix
        Percent-encoded path in front of ``/api``; empty, or with a leading and no trailing slash.
    unix_path
        Filesystem path of a Unix socket; empty for TCP.

    Examples
    --------
    >>> str(Urlbase.parse("https://example.org/data/"))
    'https://example.org/data'
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""
    unix_path: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read a URL, ``host:port``, or ``unix:PATH``; None is the default address.

        Raises
        ------
        BadRequest
            It is none of these.
        """
        if text is None:
            text = DEFAULT_URLBASE
        if not isinstance(text, str) or not text or not text.isprintable() or text != text.strip():
            raise BadRequest(f"{_EXPECTED}, found {text!r}")
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path:
                raise BadRequest(f"{_EXPECTED}, found {text!r}, which names no socket")
            return cls("http", "localhost", 80, unix_path=path)
        return cls._from_url(text if "://" in text else f"http://{text}", text)

    @classmethod
    def _from_url(cls, url: str, text: str) -> Self:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as exc:
            raise BadRequest(f"{_EXPECTED}, found {text!r}") from exc
        host = parts.hostname or ""
        if parts.scheme not in _PORTS or not _HOST.fullmatch(host):
            raise BadRequest(f"{_EXPECTED}, found {text!r}")
        if parts.username is not None or parts.query or parts.fragment:
            raise BadRequest(f"{_EXPECTED}, found {text!r} with a user, query or fragment in it")
        prefix = quote(parts.path.rstrip("/"), safe="/@%:+,;=~")
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], prefix)

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        return bool(self.unix_path) or self.host in {"localhost", "::1"} or self.host.startswith("127.")

    @property
    def netloc(self) -> str:
        """Host and port as a URL spells them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def uses_proxy(self) -> bool:
        """Whether the environment (``http_proxy`` and its kin) names a proxy for this server."""
        if self.is_loopback or not any(name.lower().endswith("_proxy") for name in os.environ):
            return False
        import urllib.request

        proxies = urllib.request.getproxies()
        named = proxies.get(self.scheme) or proxies.get("all")
        return bool(named) and not urllib.request.proxy_bypass(self.host)

    def __str__(self) -> str:
        if self.unix_path:
            return f"unix:{self.unix_path}"
        return f"{self.scheme}://{self.netloc}{self.prefix}"

    @property
    def url(self) -> str:
        """The URL without a trailing slash; for a Unix socket its host means nothing."""
        return f"{self.scheme}://{self.netloc}{self.prefix}"
