"""File, environment and command line, made into one frozen configuration.

A setting is looked up in this order; the first that has it wins:

1. the command line (``--http localhost:9000``);
2. the environment, in a variable made of section and key (``CATERVA2_BROKER_HTTP``);
   a file ``.env`` in the current directory adds variables that the environment lacks;
3. with ``--id ID``, the section ``[publisher.ID]`` or ``[subscriber.ID]`` of the file;
4. the section ``[broker]``, ``[publisher]``, ``[subscriber]`` or ``[client]`` of the file;
5. the default.

The file is ``caterva2.toml`` in the current directory, or that of ``--conf``; it
may be missing. An ID section stands over its plain section, except for
``statedir``: two services never share one by accident. Relative paths start at
the current directory. A section that a program does not use is not looked into.
"""

from __future__ import annotations

import argparse
import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caterva2._version import __version__
from caterva2.config import settings
from caterva2.config.schema import (
    BrokerConfig,
    ClientConfig,
    JupyterConfig,
    MailConfig,
    PublisherConfig,
    SubscriberConfig,
)
from caterva2.config.units import Address
from caterva2.errors import ConfigError

if TYPE_CHECKING:
    from caterva2.config.settings import Setting

CONF = "caterva2.toml"
SECRET_VARIABLE = "CATERVA2_SECRET"  # noqa: S105 - the name of the variable
_SECTIONS = ("broker", "publisher", "subscriber", "mail", "client", "jupyter")
_TABLES = ("access", "subscribers")
"""Keys of a service's section whose value is a table; every other table there is an ID."""


def broker_parser() -> argparse.ArgumentParser:
    """Return the command line of ``cat2bro``."""
    parser = _parser("cat2bro", "Tell publishers and subscribers of a network about each other.")
    _add_options(parser, settings.BROKER)
    return parser


def publisher_parser() -> argparse.ArgumentParser:
    """Return the command line of ``cat2pub``."""
    parser = _parser("cat2pub", "Publish a directory of datasets as a root.")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="name of the root; needed here or in the file"
    )
    parser.add_argument(
        "root", nargs="?", metavar="ROOT", help='what to publish, a directory (default: "data")'
    )
    _add_id(parser, "publisher")
    _add_options(parser, (settings.PEER_BROKER, *settings.PUBLISHER))
    return parser


def subscriber_parser() -> argparse.ArgumentParser:
    """Return the command line of ``cat2sub``."""
    parser = _parser("cat2sub", "Give users one place to read every root, and keep what they read.")
    _add_id(parser, "subscriber")
    parser.add_argument(
        "--broker",
        metavar="HOST:PORT",
        help="where the broker is (default: broker.http of the file; without it, or with an empty text, "
        "the subscriber runs standalone)",
    )
    _add_options(parser, settings.SUBSCRIBER)
    return parser


def load_broker(argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> BrokerConfig:
    """Build the configuration of ``cat2bro`` from its arguments.

    Parameters
    ----------
    argv
        The command line without the name of the program.
    environ
        Environment; None for that of the process.

    Raises
    ------
    ConfigError
        A value has the wrong form, or a key is unknown.
    SystemExit
        The command line asks for help, or is wrong.
    """
    layers = _Layers(vars(broker_parser().parse_args(argv)), environ, section="broker")
    return BrokerConfig(announce=layers.announce, **layers.collect(settings.BROKER))


def load_publisher(argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> PublisherConfig:
    """Build the configuration of ``cat2pub`` from its arguments; see `load_broker`."""
    layers = _Layers(vars(publisher_parser().parse_args(argv)), environ, section="publisher")
    values = layers.collect((settings.PEER_BROKER, settings.NETWORK_SECRET, *settings.PUBLISHER))
    if "name" not in values:
        raise ConfigError(
            f"expected the name of the root, as NAME or {layers.label('name')} in {layers.conf}; found none",
            hint="run: cat2pub NAME ROOT",
        )
    values.setdefault("statedir", Path(f"_caterva2/pub{layers.suffix}"))
    return PublisherConfig(id=layers.id, announce=layers.announce, **values)


def load_subscriber(argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> SubscriberConfig:
    """Build the configuration of ``cat2sub`` from its arguments; see `load_broker`."""
    args = vars(subscriber_parser().parse_args(argv))
    standalone = args["broker"] == ""
    layers = _Layers(args, environ, section="subscriber")
    broker = () if standalone else (settings.PEER_BROKER,)
    values = layers.collect((*broker, settings.NETWORK_SECRET, *settings.SUBSCRIBER))
    url = values.pop("url", None)
    if url is not None:
        values.setdefault("urlbase", url)
    values.setdefault("statedir", Path(f"_caterva2/sub{layers.suffix}"))
    auth_secret = layers.environ.get(SECRET_VARIABLE) or None
    values["login"] = _decide_login(layers, values.get("login"), auth_secret)
    values["register"] = values["login"] and values.get("register", True)
    if not values["login"] and any(rule != "all" for rule in values.get("access", {}).values()):
        # Nobody must believe that a root is protected when it is not.
        raise ConfigError(
            f"{layers.label('access')}: roots for users need users, and there are none",
            hint=f"set {SECRET_VARIABLE}",
        )
    values["mail"] = _read_mail(layers)
    return SubscriberConfig(id=layers.id, announce=layers.announce, auth_secret=auth_secret, **values)


def load_client(
    conf: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None
) -> ClientConfig:
    """Build what a client finds in the environment and in the file.

    The address of the subscriber is ``subscriber.url``, or else ``subscriber.urlbase``,
    or else made from ``subscriber.http``.

    Parameters
    ----------
    conf
        Path of the file; None for ``caterva2.toml`` in the current directory. It may be missing.
    environ
        Environment; None for that of the process.

    Raises
    ------
    ConfigError
        A value has the wrong form, or a key is unknown.
    """
    layers = _Layers({"conf": None if conf is None else os.fspath(conf)}, environ, section="client")
    values = layers.collect(settings.CLIENT)
    urlbase = _subscriber_url(layers)
    if urlbase is not None:
        values["urlbase"] = urlbase
    return ClientConfig(**values)


def load_jupyter(
    conf: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None
) -> JupyterConfig:
    """Build what the Jupyter server extension finds in the environment and in the file; see `load_client`."""
    layers = _Layers({"conf": None if conf is None else os.fspath(conf)}, environ, section="jupyter")
    values = layers.collect((*settings.JUPYTER, settings.NETWORK_SECRET))
    values.setdefault("url", _subscriber_url(layers))
    return JupyterConfig(**values)


def _subscriber_url(layers: _Layers) -> str | None:
    """Return the address of the subscriber, if something tells it."""
    by_key = {setting.key: setting for setting in settings.SUBSCRIBER}
    found = layers.first([by_key[key] for key in ("url", "urlbase", "http")])
    if isinstance(found, Address):
        return str(found) if found.is_unix else found.url
    return found


def _read_mail(layers: _Layers) -> MailConfig | None:
    found = layers.collect(settings.MAIL)
    if not found:
        return None
    for key in ("server", "sender"):
        if key not in found:
            raise ConfigError(f"expected mail.{key} in {layers.conf}, for there are others of its section")
    return MailConfig(**found)


def _decide_login(layers: _Layers, login: bool | None, secret: str | None) -> bool:
    if login is False or (login is None and secret is None):
        return False
    if secret is None:
        raise ConfigError(
            f"{layers.label('login')}: true needs a secret in {SECRET_VARIABLE}, found none",
            hint="set it in the environment or in .env",
        )
    return True


class _Layers:
    """Where values come from, in order of precedence."""

    def __init__(self, args: Mapping[str, Any], environ: Mapping[str, str] | None, *, section: str) -> None:
        self.environ = {**_read_env_file(Path(".env")), **(os.environ if environ is None else environ)}
        self.conf: str = args.get("conf") or CONF
        self.section = section
        self.id = _check_id(args.get("id"))
        announce = args.get("announce")
        self.announce = None if announce is None else Path(announce)
        self._args = args
        self._file = _read_toml(self.conf)
        _check_keys(self._file, _SECTIONS, self.conf, "", what="section")

    @property
    def suffix(self) -> str:
        """Ending of the state directory's default name."""
        return f".{self.id}" if self.id else ""

    def label(self, key: str) -> str:
        """Return the name of a key of the program's own section, as one would write it."""
        return ".".join((self.section, self.id, key) if self.id else (self.section, key))

    def collect(self, wanted: Iterable[Setting]) -> dict[str, Any]:
        """Return the values that are written somewhere, by field of the configuration struct."""
        wanted = tuple(wanted)
        for section in {setting.section for setting in wanted}:
            self._check_section(section)
        values: dict[str, Any] = {}
        for setting in wanted:
            found = self._find(setting)
            if found is not None:
                values[setting.target] = found[0]
        return values

    def first(self, wanted: Sequence[Setting]) -> Address | str | None:
        """Return the value of the first of some settings: any variable goes before any line of the file."""
        self._check_section(wanted[0].section)
        for look in (self._in_environment, self._in_file):
            for setting in wanted:
                found = look(setting)
                if found is not None:
                    value: Address | str = found[0]
                    return value
        return None

    def _find(self, setting: Setting) -> tuple[Any] | None:
        for look in (self._in_arguments, self._in_environment, self._in_file):
            found = look(setting)
            if found is not None:
                return found
        return None

    def _in_arguments(self, setting: Setting) -> tuple[Any] | None:
        positional = setting.key in {"name", "root"}
        text = self._args.get(setting.option.removeprefix("--") or (setting.key if positional else ""))
        if text is None:
            return None
        with _Origin(setting.key.upper() if positional else setting.option):
            return (settings.from_text(setting, text),)

    def _in_environment(self, setting: Setting) -> tuple[Any] | None:
        text = self.environ.get(setting.variable)
        if not text:
            return None
        with _Origin(setting.variable):
            return (settings.from_text(setting, text),)

    def _in_file(self, setting: Setting) -> tuple[Any] | None:
        for name, table in self._tables(setting.section):
            inherited = self.id is not None and name == self.section
            value = table.get(setting.key)
            if value is None or _is_section(setting.key, value) or (inherited and setting.key == "statedir"):
                continue
            with _Origin(f"{self.conf}: {name}.{setting.key}"):
                return (setting.form(value),)
        return None

    def _tables(self, section: str) -> list[tuple[str, dict[str, Any]]]:
        plain = self._file.get(section, {})
        tables = [(section, plain)]
        if self.id is not None and section == self.section and self.id in plain:
            tables.insert(0, (f"{section}.{self.id}", plain[self.id]))
        return tables

    def _check_section(self, section: str) -> None:
        known = [setting.key for setting in settings.SETTINGS if setting.section == section]
        for name, table in self._tables(section):
            if not isinstance(table, dict):
                raise ConfigError(f"{self.conf}: {name}: expected a section [{name}], found {table!r}")
            has_ids = section in {"publisher", "subscriber"} and name == section
            keys = [key for key, value in table.items() if not (has_ids and _is_section(key, value))]
            _check_keys(keys, known, self.conf, f"{name}.", what="key")


def _is_section(key: str, value: object) -> bool:
    return isinstance(value, dict) and key not in _TABLES


class _Origin:
    """Put in front of a `ConfigError` where the value came from."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ConfigError):
            raise ConfigError(f"{self._origin}: {error.message}", hint=error.hint) from error


def _parser(prog: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog="Each setting can also be written in the file, or in the environment as CATERVA2_SECTION_KEY; "
        "the command line goes before the environment, the environment before the file.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{prog} {__version__}")
    parser.add_argument(
        "--conf", metavar="PATH", help=f"configuration file (default: {CONF} in the current directory)"
    )
    parser.add_argument(
        "--announce", metavar="FILE", help="write the actual address to this file once the service listens"
    )
    return parser


def _add_id(parser: argparse.ArgumentParser, section: str) -> None:
    parser.add_argument(
        "--id", metavar="ID", help=f"use the section [{section}.ID] of the file, and its own state directory"
    )


def _add_options(parser: argparse.ArgumentParser, wanted: Iterable[Setting]) -> None:
    for setting in wanted:
        if not setting.option:
            continue
        default = f" (default: {setting.default})" if setting.default else ""
        text = f"{setting.meaning}{default}".replace("%", "%%")
        parser.add_argument(setting.option, metavar=setting.metavar, help=text)


def _check_id(text: str | None) -> str | None:
    if not text:
        return None
    if "." in text or "/" in text or not text.isprintable() or text in _TABLES:
        raise ConfigError(f'--id: expected a name without "." and "/", found {text!r}')
    return text


def _check_keys(found: Iterable[str], known: Sequence[str], conf: str, prefix: str, *, what: str) -> None:
    for key in found:
        if key in known:
            continue
        close = difflib.get_close_matches(key, known, n=1)
        raise ConfigError(
            f"{conf}: {prefix}{key}: unknown {what}, expected one of {', '.join(sorted(known))}",
            hint=f"did you mean {close[0]}?" if close else None,
        )


def _read_toml(conf: str) -> dict[str, Any]:
    try:
        with open(conf, "rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{conf}: expected TOML, found a syntax error: {exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{conf}: expected UTF-8, found other bytes at position {exc.start}") from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise ConfigError(f"{conf}: expected a readable file, found: {reason}") from exc


def _read_env_file(path: Path) -> dict[str, str]:
    """Read the ``CATERVA2_…=value`` lines of a ``.env`` file; other lines are somebody else's."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: expected UTF-8, found other bytes at position {exc.start}") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: expected a readable file, found: {exc.strerror}") from exc
    values: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        key, value = key.strip(), value.strip()
        if equals and key.startswith("CATERVA2_"):
            quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
            values[key] = value[1:-1] if quoted else value
    return values
