"""Every setting an operator can write: section, key, form, meaning. The documentation reads this too."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from caterva2.config.schema import LOGLEVELS
from caterva2.config.units import Address, parse_duration, parse_size
from caterva2.errors import BadPath, ConfigError
from caterva2.model.paths import check_root_name

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}

Form: TypeAlias = Callable[[object], Any]
"""Turns a TOML value, or a text from elsewhere, into the setting's value; raises `ConfigError`."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One key of one section.

    Attributes
    ----------
    section, key
        Where it stands in ``caterva2.toml``.
    form
        Reads the TOML value.
    default
        Default as a person would write it; empty for none.
    meaning
        What it does, as the help text.
    metavar
        Placeholder of the value in the help text.
    option
        Long option of the command line; empty if it has none.
    field
        Attribute of the configuration struct; empty if it is `key`.
    """

    section: str
    key: str
    form: Form
    meaning: str
    default: str = ""
    metavar: str = "TEXT"
    option: str = ""
    field: str = ""

    @property
    def name(self) -> str:
        """Section and key, ``broker.http``."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """Environment variable of the setting, ``CATERVA2_BROKER_HTTP``."""
        return f"CATERVA2_{self.section}_{self.key}".upper()

    @property
    def target(self) -> str:
        """Attribute of the configuration struct that the value goes to."""
        return self.field or self.key


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"expected a text, found {value!r}")
    if not value.strip() or "\0" in value:
        raise ConfigError(f"expected a text that is not empty, found {value!r}")
    return value


def _path(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ConfigError(f"expected a path, found {value!r}")
    return os.path.expanduser(value)


def _directory(value: object) -> Path:
    return Path(_path(value))


def _address(value: object) -> Address:
    if not isinstance(value, str):
        raise ConfigError(f'expected an address such as "localhost:8000", found {value!r}')
    return Address.parse(value)


def _peer_address(value: object) -> Address:
    address = _address(value)
    if not address.is_unix and address.port == 0:
        raise ConfigError(f"expected an address that others can connect to, found {value!r} with port 0")
    return address


def _broker_address(value: object) -> Address:
    # The broker's own "*:8000", read from a file that its publishers share, means this machine.
    address = _peer_address(value)
    return address.with_host("localhost") if address.is_wildcard else address


def _loglevel(value: object) -> str:
    if not isinstance(value, str) or value.lower() not in LOGLEVELS:
        raise ConfigError(f"expected one of {', '.join(LOGLEVELS)}, found {value!r}")
    return value.lower()


def _secret(value: object) -> str:
    # It travels in a header: printable ASCII. The value itself stays out of the message.
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        raise ConfigError("expected a text of printable ASCII without blanks, found something else")
    return value


def _root_name(value: object) -> str:
    try:
        return check_root_name(_text(value))
    except BadPath as exc:
        raise ConfigError(f"expected the name of a root, found {value!r}: {exc.message}") from exc


def _url(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
        raise ConfigError(f'expected a URL such as "http://localhost:8002", found {value!r}')
    return value.rstrip("/")


def _subscriber_url(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"unix:\S.*", value):
        return value
    return _url(value)


def _subscribers(value: object) -> dict[str, str]:
    if isinstance(value, str):  # the environment: "lab=http://lab.example.org; here=http://localhost:8002"
        pairs = [part.partition("=") for part in value.split(";") if part.strip()]
        value = {name.strip(): url.strip() for name, _, url in pairs}
    if not isinstance(value, dict):
        raise ConfigError(f'expected a table such as lab = "http://lab.example.org:8002", found {value!r}')
    for name in value:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise ConfigError(f"expected a name of letters, digits, dots, _ and -, found {name!r}")
    return {name: _subscriber_url(url) for name, url in value.items()}


def _duration(value: object) -> float:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ConfigError(f'expected a duration such as "30 s", found {value!r}')
    return parse_duration(value)


def _origin(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/?#]+", value):
        raise ConfigError(f'expected origins such as "https://lab.example.org", found {value!r}')
    return value


def _origins(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        raise ConfigError(f'expected a list of origins such as ["https://lab.example.org"], found {value!r}')
    return tuple(_origin(part) for part in value)


def _proxies(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        raise ConfigError(f'expected a list of addresses such as ["10.0.0.0/8"], found {value!r}')
    for part in value:
        try:
            ipaddress.ip_network(part if isinstance(part, str) else "")
        except ValueError as exc:
            raise ConfigError(f'expected addresses or networks such as "10.0.0.0/8", found {part!r}') from exc
    return tuple(value)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ConfigError(f"expected true or false, found {value!r}")


def _size(value: object) -> int:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ConfigError(f'expected a size such as "8 GiB", found {value!r}')
    return parse_size(value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"expected a whole number, 0 or more, found {value!r}")
    return value


def _access(value: object) -> dict[str, str | tuple[str, ...]]:
    if isinstance(value, str):  # the environment: "lab=users; secret=ada@example.org group:staff"
        pairs = [part.partition("=") for part in value.split(";") if part.strip()]
        value = {root.strip(): _access_words(rule) for root, _, rule in pairs}
    if not isinstance(value, dict):
        raise ConfigError(f'expected a table of roots such as lab = "users", found {value!r}')
    return {_access_root(root): _access_rule(root, rule) for root, rule in value.items()}


def _access_words(text: str) -> str | list[str]:
    words = text.split()
    return words[0] if len(words) == 1 and words[0] in {"all", "users"} else words


def _access_root(root: str) -> str:
    if root in {"*", "@public", "@shared"}:
        return root
    try:
        return check_root_name(root)
    except BadPath as exc:
        raise ConfigError(
            f'expected the name of a root, "*", "@public" or "@shared", found {root!r}'
        ) from exc


def _access_rule(root: str, rule: object) -> str | tuple[str, ...]:
    if rule in ("all", "users"):
        return str(rule)
    if isinstance(rule, list) and all(
        isinstance(who, str) and ("@" in who or _GROUP.fullmatch(who)) for who in rule
    ):
        return tuple(who.strip().lower() if not who.startswith("group:") else who for who in rule)
    raise ConfigError(
        f'{root}: expected "all", "users", or a list of e-mails and "group:NAME", found {rule!r}'
    )


_GROUP = re.compile(r"group:[\w.-]+")


def _sender(value: object) -> str:
    text = _text(value)
    if "@" not in text or not text.isprintable():
        raise ConfigError(f"expected an e-mail address, found {value!r}")
    return text


def _tls(value: object) -> str:
    if value not in ("starttls", "tls", "none"):
        raise ConfigError(f"expected starttls, tls or none, found {value!r}")
    return str(value)


def _limited(form: Form) -> Form:
    """Make 0 mean no limit, which is None."""
    return lambda value: form(value) or None


_quota = _limited(_size)
_maxusers = _limited(_count)


def from_text(setting: Setting, text: str) -> Any:  # noqa: ANN401 - the setting knows the type
    """Read a setting's value from the command line or the environment.

    Raises
    ------
    ConfigError
        It does not have the setting's form; says what was expected and found.
    """
    if setting.form is _flag:
        return _flag(_WORDS.get(text.lower(), text))
    if setting.form is _maxusers and text.isascii() and text.isdigit():
        return _maxusers(int(text))
    return setting.form(text)


def _service(section: str, role: str, port: int, state: str) -> tuple[Setting, ...]:
    return (
        Setting(
            section=section,
            key="http",
            form=_address,
            default=f"localhost:{port}",
            metavar="HOST:PORT",
            option="--http",
            meaning=f"where the {role} listens: HOST:PORT, *:PORT, [IPV6]:PORT, unix:PATH or a path "
            "with a slash; port 0 takes a free one",
        ),
        Setting(
            section=section,
            key="statedir",
            form=_directory,
            default=f"_caterva2/{state}",
            metavar="DIR",
            option="--statedir",
            meaning="directory of what it remembers between runs",
        ),
        Setting(
            section=section,
            key="loglevel",
            form=_loglevel,
            default="warning",
            metavar="LEVEL",
            option="--loglevel",
            meaning=f"how much it logs: {', '.join(LOGLEVELS)}",
        ),
    )


NETWORK_SECRET = Setting(
    section="broker",
    key="secret",
    form=_secret,
    meaning="shared secret of the broker, its publishers and its subscribers; without one "
    "everybody who reaches the broker can register a root",
)

BROKER = (*_service("broker", "broker", 8000, "bro"), NETWORK_SECRET)

PEER_BROKER = Setting(
    section="broker",
    key="http",
    form=_broker_address,
    default="localhost:8000",
    metavar="HOST:PORT",
    option="--broker",
    field="broker",
    meaning="where the broker is",
)

PUBLISHER = (
    *_service("publisher", "publisher", 8001, "pub"),
    Setting(
        section="publisher",
        key="name",
        form=_root_name,
        metavar="NAME",
        meaning="name of the root to publish",
    ),
    Setting(
        section="publisher",
        key="root",
        form=_path,
        default="data",
        metavar="ROOT",
        meaning="what to publish: a directory of Blosc2 and other files",
    ),
    Setting(
        section="publisher",
        key="advertise",
        form=_peer_address,
        metavar="HOST:PORT",
        option="--advertise",
        meaning="address under which the others reach this publisher, if it is not the one of --http",
    ),
)

SUBSCRIBER = (
    *_service("subscriber", "subscriber", 8002, "sub"),
    Setting(
        section="subscriber",
        key="urlbase",
        form=_url,
        default="http://localhost:8002",
        metavar="URL",
        option="--urlbase",
        meaning="URL of the subscriber as its users see it",
    ),
    Setting(
        section="subscriber",
        key="url",
        form=_url,
        metavar="URL",
        meaning="another name for urlbase; clients look here first",
    ),
    Setting(
        section="subscriber",
        key="cache",
        form=_size,
        default="20G",
        metavar="SIZE",
        option="--cache",
        meaning="most bytes that cached roots may take on disk, with K, M, G or T as powers of 1024",
    ),
    Setting(
        section="subscriber",
        key="origins",
        form=_origins,
        metavar="LIST",
        meaning="origins, such as https://lab.example.org, whose pages may open websockets and "
        "read the Zarr view; separated by commas in the environment",
    ),
    Setting(
        section="subscriber",
        key="proxies",
        form=_proxies,
        metavar="LIST",
        meaning="addresses or networks, such as 10.0.0.0/8, of reverse proxies whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed; those on this machine always are; separated by commas in the "
        "environment",
    ),
    Setting(
        section="subscriber",
        key="login",
        form=_flag,
        metavar="BOOL",
        meaning="whether there are users; on if CATERVA2_SECRET is set",
    ),
    Setting(
        section="subscriber",
        key="register",
        form=_flag,
        metavar="BOOL",
        meaning="whether people can register themselves; on with login",
    ),
    Setting(
        section="subscriber",
        key="quota",
        form=_quota,
        metavar="SIZE",
        meaning="most bytes that all areas may take; 0 for no limit",
    ),
    Setting(
        section="subscriber",
        key="userquota",
        form=_quota,
        metavar="SIZE",
        meaning="most bytes that the personal area of a user may take; 0 for no limit",
    ),
    Setting(
        section="subscriber",
        key="maxusers",
        form=_maxusers,
        metavar="NUMBER",
        meaning="most users; 0 for no limit",
    ),
    Setting(
        section="subscriber",
        key="access",
        form=_access,
        metavar="TABLE",
        meaning='who sees which root, a table: ROOT = "all", "users", or a list of e-mails and '
        '"group:NAME"; "*" stands for the roots without a line, which all may see otherwise; in the '
        'environment "ROOT=users; ROOT=ada@example.org group:staff"',
    ),
)

MAIL = (
    Setting(
        section="mail",
        key="server",
        form=_peer_address,
        metavar="HOST:PORT",
        meaning="SMTP server that sends the links to set a new password; without one the operator "
        "prints them with cat2admin",
    ),
    Setting(section="mail", key="sender", form=_sender, meaning="address that mail comes from"),
    Setting(section="mail", key="username", form=_text, meaning="user of the SMTP server"),
    Setting(section="mail", key="password", form=_text, meaning="password of that user"),
    Setting(
        section="mail",
        key="tls",
        form=_tls,
        default="starttls",
        meaning="how the connection is encrypted: starttls, tls or none",
    ),
)

CLIENT = (
    Setting(section="client", key="username", form=_text, meaning="who logs in at the subscriber"),
    Setting(section="client", key="password", form=_text, meaning="password of that user"),
)

JUPYTER = (
    Setting(
        section="jupyter",
        key="url",
        form=_subscriber_url,
        metavar="URL",
        meaning="the subscriber that JupyterLab shows: a URL, or unix:PATH; without it that of [subscriber], "
        "and without any the one that Jupyter itself runs",
    ),
    Setting(
        section="jupyter",
        key="subscribers",
        form=_subscribers,
        metavar="TABLE",
        meaning="more subscribers to choose from, a table: NAME = URL; in the environment "
        '"NAME=URL; NAME=URL"',
    ),
    Setting(
        section="jupyter",
        key="token_file",
        form=_directory,
        metavar="FILE",
        meaning="where tokens for subscribers are kept; without it where cat2cli login keeps them",
    ),
    Setting(
        section="jupyter",
        key="timeout",
        form=_duration,
        default="30 s",
        metavar="SECONDS",
        meaning="how long a subscriber may be silent",
    ),
    Setting(
        section="jupyter",
        key="max_upload",
        form=_quota,
        default="0",
        metavar="SIZE",
        meaning="most bytes of one upload through Jupyter; 0 for no limit",
    ),
    Setting(
        section="jupyter",
        key="read_only",
        form=_flag,
        default="false",
        metavar="BOOL",
        meaning="whether nothing may be written through Jupyter",
    ),
    Setting(
        section="jupyter",
        key="public_dir",
        form=_directory,
        metavar="DIR",
        meaning="the directory behind @public of the subscriber that Jupyter runs; without it the one that "
        "Jupyter shows",
    ),
    Setting(
        section="jupyter",
        key="statedir",
        form=_directory,
        metavar="DIR",
        meaning="what the subscriber that Jupyter runs remembers; without it a directory beside the data of "
        "Jupyter",
    ),
    Setting(
        section="jupyter",
        key="broker",
        form=_broker_address,
        metavar="HOST:PORT",
        meaning="the broker that the subscriber that Jupyter runs joins; without it none",
    ),
    Setting(
        section="jupyter",
        key="cache",
        form=_size,
        default="10G",
        metavar="SIZE",
        meaning="most bytes that roots cached by the subscriber that Jupyter runs may take on disk",
    ),
)

SETTINGS: tuple[Setting, ...] = (*BROKER, *PUBLISHER, *SUBSCRIBER, *MAIL, *CLIENT, *JUPYTER)
"""All settings, by section."""
