"""Values that people write: sizes, durations, addresses."""

from __future__ import annotations

import ipaddress
import re
from typing import Self

import msgspec

from caterva2.errors import ConfigError

_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]*)\s*")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_WILDCARDS = ("*", "0.0.0.0", "::")  # noqa: S104 - recognised here, never bound
_MAX_SIZE = 2**63 - 1


def parse_size(value: str | int | float) -> int:
    """Read a size in bytes: ``20G``, ``8 GiB``, ``1.5 K``, ``500``.

    K, M, G and T are powers of 1024, with or without ``B`` or ``iB`` after them.

    Raises
    ------
    ConfigError
        It is not a size.

    Examples
    --------
    >>> parse_size("1.5 K"), parse_size("8 GiB"), parse_size(500)
    (1536, 8589934592, 500)
    """
    text = str(value)
    found = _QUANTITY.fullmatch(text)
    unit = "" if found is None else found[2].upper().removesuffix("B").removesuffix("I")
    if found is None or isinstance(value, bool) or unit not in _POWERS or found[2].upper() in {"I", "IB"}:
        raise ConfigError(f'expected a size such as "8 GiB", found {value!r}')
    factor: int = 1024 ** _POWERS[unit]
    size = int(float(found[1]) * factor) if "." in found[1] else int(found[1]) * factor
    if size > _MAX_SIZE:
        raise ConfigError(f'expected a size such as "8 GiB", found {value!r}, which is too large')
    return size


def parse_duration(value: str | int | float) -> float:
    """Read a duration in seconds: ``30 s``, ``5 min``, ``2h``, ``1.5``.

    Raises
    ------
    ConfigError
        It is not a duration.

    Examples
    --------
    >>> parse_duration("5 min"), parse_duration("250ms"), parse_duration(2)
    (300.0, 0.25, 2.0)
    """
    found = _QUANTITY.fullmatch(str(value))
    if found is None or isinstance(value, bool) or found[2].lower() not in _SECONDS:
        raise ConfigError(f'expected a duration such as "30 s", found {value!r}')
    return float(found[1]) * _SECONDS[found[2].lower()]


class Address(msgspec.Struct, frozen=True):
    """Where a service listens, or is found: a host and a port, or a Unix socket.

    Attributes
    ----------
    host
        Name or number, without brackets; ``*`` for all interfaces; empty for a Unix socket.
    port
        TCP port; 0 lets the system choose one to listen on.
    unix_path
        Filesystem path of a Unix socket; empty for TCP.

    Examples
    --------
    >>> str(Address.parse("[::1]:8002")), Address.parse("*:8002").url
    ('[::1]:8002', 'http://localhost:8002')
    """

    host: str = ""
    port: int = 0
    unix_path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``host:port``, ``[v6]:port``, ``*:port``, ``unix:PATH`` or a path that holds a slash.

        Raises
        ------
        ConfigError
            It is none of these.
        """
        wanted = 'an address such as "localhost:8000", "*:8000", "[::1]:8000" or "unix:/run/caterva2.sock"'
        if not isinstance(text, str) or not text.isprintable() or text != text.strip() or "://" in text:
            raise ConfigError(f"expected {wanted}, found {text!r}")
        if text.startswith("unix:") or "/" in text:
            path = text.removeprefix("unix:")
            if not path:
                raise ConfigError(f"expected {wanted}, found {text!r}, which names no socket")
            return cls(unix_path=path)
        host, colon, digits = text.rpartition(":")
        if not colon or not digits.isascii() or not digits.isdigit():
            raise ConfigError(f"expected {wanted}, found {text!r}, which has no port")
        if len(digits) > 5 or int(digits) > 65535:
            raise ConfigError(f"expected {wanted}, found {text!r}, whose port is above 65535")
        return cls(host=_parse_host(host, text, wanted), port=int(digits))

    @property
    def is_unix(self) -> bool:
        """Whether this is a Unix socket."""
        return bool(self.unix_path)

    @property
    def is_wildcard(self) -> bool:
        """Whether this means all interfaces of a machine."""
        return self.host in _WILDCARDS

    @property
    def is_loopback(self) -> bool:
        """Whether only processes of the same machine can reach it."""
        if self.is_unix or self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        """Base URL for a client, without a trailing slash; a wildcard becomes ``localhost``.

        For a Unix socket the host of the URL means nothing: connect to `unix_path`.
        """
        if self.is_unix:
            return "http://localhost"
        host = "localhost" if self.is_wildcard else self.host
        return f"http://{_bracketed(host)}:{self.port}"

    def with_port(self, port: int) -> Address:
        """Return the address with the port that the system chose."""
        return Address(host=self.host, port=port)

    def with_host(self, host: str) -> Address:
        """Return the address with another host, given without brackets."""
        return Address(host=host, port=self.port)

    def __str__(self) -> str:
        """Return the text that parses to this address."""
        if self.is_unix:
            return f"unix:{self.unix_path}"
        return f"{_bracketed(self.host)}:{self.port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _parse_host(host: str, text: str, wanted: str) -> str:
    if host == "*":
        return host
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise ConfigError(f"expected {wanted}, found {text!r}, which holds no IPv6 address") from None
        return host[1:-1]
    if ":" in host:
        raise ConfigError(f"expected {wanted}, found {text!r}", hint="write an IPv6 address in brackets")
    if not re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})", host):
        raise ConfigError(f"expected {wanted}, found {text!r}, which has no host name")
    return host
