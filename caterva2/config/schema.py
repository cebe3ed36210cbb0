"""What an operator can say, as frozen structs; `caterva2.config.load` builds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from caterva2.config.units import Address

_HIDDEN = frozenset({"secret", "auth_secret", "password"})

LOGLEVELS = ("debug", "info", "warning", "error", "critical")

GIB = 1024**3


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the configurations: shows no secret when printed."""

    def __repr__(self) -> str:
        """Show every field, with ``***`` for a secret that is set."""
        values = ", ".join(f"{name}={self._shown(name)}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({values})"

    def _shown(self, name: str) -> str:
        value: Any = getattr(self, name)
        return "'***'" if name in _HIDDEN and value is not None else repr(value)


class ServiceConfig(Config, frozen=True, kw_only=True):
    """What the three services share.

    Attributes
    ----------
    http
        Where the service listens.
    statedir
        Directory of what it remembers; made if missing.
    loglevel
        One of `LOGLEVELS`.
    secret
        Shared secret of the services of one network; None if there is none.
    announce
        File to write the actual address to, once listening; None for none.
    """

    http: Address
    statedir: Path
    loglevel: str = "warning"
    secret: str | None = None
    announce: Path | None = None


class BrokerConfig(ServiceConfig, frozen=True, kw_only=True):
    """Configuration of ``cat2bro``.

    Attributes
    ----------
    lease_s
        A root counts as gone when nothing was heard from its publisher for so many
        seconds. Not for operators: publishers beat every third of it.
    max_roots
        Refuse to remember more roots than this.
    """

    http: Address = Address("localhost", 8000)
    statedir: Path = Path("_caterva2/bro")
    lease_s: float = 6.0
    max_roots: int = 10_000


class PublisherConfig(ServiceConfig, frozen=True, kw_only=True):
    """Configuration of ``cat2pub``.

    Attributes
    ----------
    name
        Name of the root.
    root
        What is published: a directory.
    id
        Which ``[publisher.ID]`` was chosen; None for the plain section.
    broker
        Where the broker is.
    advertise
        Address under which the broker and the subscribers reach the publisher, if it
        is not `http`; None for `http`.
    """

    name: str
    root: str = "data"
    id: str | None = None
    broker: Address = Address("localhost", 8000)
    http: Address = Address("localhost", 8001)
    statedir: Path = Path("_caterva2/pub")
    advertise: Address | None = None


class MailConfig(Config, frozen=True, kw_only=True):
    """How mail is sent.

    Attributes
    ----------
    server
        The SMTP server.
    sender
        Address that mail comes from.
    username, password
        How to log in there; None does not.
    tls
        ``starttls``, ``tls`` or ``none``.
    """

    server: Address
    sender: str
    username: str | None = None
    password: str | None = None
    tls: str = "starttls"


class SubscriberConfig(ServiceConfig, frozen=True, kw_only=True):
    """Configuration of ``cat2sub``.

    Attributes
    ----------
    id
        Which ``[subscriber.ID]`` was chosen; None for the plain section.
    broker
        Where the broker is; None runs standalone.
    urlbase
        URL of the subscriber as users see it, without a trailing slash.
    cache
        Most bytes that cached roots may take on disk.
    origins
        Origins, such as ``https://lab.example.org``, whose pages may open websockets and read the
        Zarr view.
    proxies
        Addresses and networks of reverse proxies whose ``X-Forwarded-For`` and ``X-Forwarded-Proto``
        are believed; those on this machine always are.
    login
        Whether there are users; needs `auth_secret`.
    register
        Whether people can register themselves.
    quota
        Most bytes that all areas may take; None for no limit.
    userquota
        Most bytes that the personal area of a user may take; None for no limit.
    maxusers
        Most users; None for no limit.
    auth_secret
        ``CATERVA2_SECRET``: signs what logged-in users carry.
    access
        Who sees a root, by its name: ``all``, ``users``, or e-mails and ``group:NAME``.
    mail
        How mail is sent; None sends none.
    """

    id: str | None = None
    broker: Address | None = None
    http: Address = Address("localhost", 8002)
    statedir: Path = Path("_caterva2/sub")
    urlbase: str = "http://localhost:8002"
    cache: int = 20 * GIB
    origins: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    login: bool = False
    register: bool = False
    quota: int | None = None
    userquota: int | None = None
    maxusers: int | None = None
    auth_secret: str | None = None
    access: dict[str, str | tuple[str, ...]] = {}
    mail: MailConfig | None = None


class ClientConfig(Config, frozen=True, kw_only=True):
    """What a client finds in the configuration.

    Attributes
    ----------
    urlbase
        Address of the subscriber: a URL, or ``unix:PATH``.
    username, password
        Who logs in; None for nobody.
    """

    urlbase: str = "http://localhost:8002"
    username: str | None = None
    password: str | None = None


class JupyterConfig(Config, frozen=True, kw_only=True):
    """What the Jupyter server extension finds in the file and the environment.

    Attributes
    ----------
    url
        The subscriber to begin with; None if there is none.
    subscribers
        More of them: address by name.
    token_file
        Where tokens are kept; None for where ``cat2cli login`` keeps them.
    timeout
        How long a subscriber may be silent, in seconds.
    max_upload
        Most bytes of one upload; None for no limit.
    read_only
        Nothing may be written.
    public_dir, statedir, broker, cache
        Of the embedded subscriber: the directory behind ``@public`` (None: what Jupyter shows), what it
        remembers (None: beside Jupyter's data), a broker to join, room for cached roots in bytes.
    secret
        Shared secret of the broker's network.
    """

    url: str | None = None
    subscribers: dict[str, str] = {}
    token_file: Path | None = None
    timeout: float = 30.0
    max_upload: int | None = None
    read_only: bool = False
    public_dir: Path | None = None
    statedir: Path | None = None
    broker: Address | None = None
    cache: int = 10 * GIB
    secret: str | None = None
