"""Jupyter's own configuration over that of ``caterva2.toml``: what the server extension works with."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caterva2.client.urlbase import Urlbase
from caterva2.config.load import load_jupyter
from caterva2.config.units import Address, parse_duration, parse_size
from caterva2.errors import BadRequest, ConfigError

EMBEDDED = "local"
"""Name of the embedded subscriber."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where Jupyter keeps things.

    Attributes
    ----------
    runtime
        Jupyter's runtime directory: for sockets and the file of the kernels.
    data
        Jupyter's data directory of the user: for what is remembered.
    notebooks
        The directory that Jupyter shows.
    """

    runtime: Path
    data: Path
    notebooks: Path


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """How the embedded subscriber is made; see `caterva2.roles.subscriber.embedded.running_embedded`."""

    statedir: Path
    public: Path
    user: str
    broker: str | None
    secret: str | None
    cache: int


@dataclass(frozen=True, kw_only=True)
class ExtensionConfig:
    """What the server extension works with.

    Attributes
    ----------
    subscribers
        Address by name; the embedded one is not among them.
    current
        Name of the one to begin with.
    embedding
        None without an embedded subscriber.
    token_file
        Where tokens are kept; None for where ``cat2cli login`` keeps them.
    timeout_s
        How long a subscriber may be silent.
    max_upload
        Most bytes of one upload; None for no limit.
    read_only
        Nothing may be written.
    """

    subscribers: Mapping[str, Urlbase]
    current: str
    embedding: Embedding | None
    token_file: Path | None
    timeout_s: float
    max_upload: int | None
    read_only: bool


def build_config(
    traits: Mapping[str, Any], places: Places, *, environ: Mapping[str, str] | None = None
) -> ExtensionConfig:
    """Return the configuration.

    Parameters
    ----------
    traits
        What Jupyter's configuration says; a value that is None or empty says nothing.
    environ
        Environment; None for that of the process.

    Raises
    ------
    ConfigError
        A value has the wrong form.
    """
    found = load_jupyter(environ=environ)
    given = {name: value for name, value in traits.items() if value not in (None, "", {})}
    subscribers = {
        name: _parse_url(f"subscribers[{name!r}]", url)
        for name, url in {**found.subscribers, **given.get("subscribers", {})}.items()
    }
    for name in subscribers:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"Caterva2App.subscribers: expected a name of letters, digits, dots, _ and -, found {name!r}"
            )
    url = given.get("subscriber_url", found.url)
    current = next(iter(subscribers), EMBEDDED)
    if url is not None:
        first = _parse_url("subscriber_url", url)
        current = next((name for name, each in subscribers.items() if each == first), "")
        if not current:
            current = _free_name(first, subscribers)
            subscribers = {current: first, **subscribers}
    wants_embedded = given.get("embedded", not subscribers)
    if EMBEDDED in subscribers and wants_embedded:
        raise ConfigError(f"{EMBEDDED!r} is the name of the subscriber that Jupyter runs; choose another")
    if not subscribers and not wants_embedded:
        raise ConfigError("there is no subscriber", hint="set Caterva2App.subscriber_url")
    max_upload = _convert(given, "max_upload", parse_size, found.max_upload)
    embedding = None
    if wants_embedded:
        broker = _convert(given, "broker", Address.parse, found.broker)
        embedding = Embedding(
            statedir=_path(given.get("statedir", found.statedir)) or places.data / "caterva2" / "subscriber",
            public=_path(given.get("public_dir", found.public_dir)) or places.notebooks,
            user=_user_name(),
            broker=None if broker is None else str(broker),
            secret=found.secret,
            cache=_convert(given, "cache", parse_size, found.cache),
        )
    return ExtensionConfig(
        subscribers=subscribers,
        current=current,
        embedding=embedding,
        token_file=_path(given.get("token_file", found.token_file)),
        timeout_s=_convert(given, "timeout", parse_duration, found.timeout),
        max_upload=max_upload or None,
        read_only=bool(given.get("read_only", found.read_only)),
    )


def _convert(given: Mapping[str, Any], name: str, form: Any, otherwise: Any) -> Any:  # noqa: ANN401
    if name not in given:
        return otherwise
    try:
        return form(given[name])
    except ConfigError as exc:
        raise ConfigError(f"Caterva2App.{name}: {exc.message}", hint=exc.hint) from exc


def _parse_url(name: str, url: object) -> Urlbase:
    try:
        return Urlbase.parse(str(url))
    except BadRequest as exc:
        raise ConfigError(f"Caterva2App.{name}: {exc.message}") from exc


def _free_name(url: Urlbase, taken: Mapping[str, Urlbase]) -> str:
    """Return a name for a subscriber that has none: its host."""
    wanted = _NOT_IN_NAMES.sub("-", url.host).strip(".-_")[:60]
    wanted = wanted if wanted and wanted != EMBEDDED else "subscriber"
    name, n = wanted, 1
    while name in taken:
        n += 1
        name = f"{wanted}-{n}"
    return name


def _path(value: object) -> Path | None:
    return None if value is None else Path(str(value)).expanduser().absolute()


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as containers have them
        return f"user {os.getuid()}"
