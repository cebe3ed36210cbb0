"""What a command is, and what it is given."""

from __future__ import annotations

import argparse
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, Self

from caterva2.cli.output import Output

if TYPE_CHECKING:
    from caterva2.client.api import Client
    from caterva2.config.schema import ClientConfig


class Command(Protocol):
    """A module with one command."""

    @property
    def NAME(self) -> str:
        """Its name on the command line."""
        ...

    @property
    def ALIASES(self) -> tuple[str, ...]:
        """Other names."""
        ...

    @property
    def HELP(self) -> str:
        """What it does, in a sentence."""
        ...

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        ...

    def run(self, context: Context) -> None:
        """Do it; failures raise."""
        ...


class Context:
    """Arguments, output, and the subscriber: connected to when first used.

    Parameters
    ----------
    args
        Parsed command line; its own arguments and the global ones.
    """

    def __init__(self, args: argparse.Namespace, output: Output) -> None:
        self.args = args
        self.output = output
        self._opened: Client | None = None

    @cached_property
    def config(self) -> ClientConfig:
        """What file and environment say, and over it the command line."""
        from caterva2.config.load import load_client
        from caterva2.config.schema import ClientConfig

        found = load_client(self.args.conf)
        username = self.args.username or found.username
        # A password that belongs to another user is of no use.
        kept = found.password if self.args.username in {None, found.username} else None
        return ClientConfig(
            urlbase=self.args.subscriber or found.urlbase,
            username=username,
            password=self.args.password if self.args.password is not None else kept,
        )

    @property
    def client(self) -> Client:
        """The subscriber, as the configured user."""
        if self._opened is None:
            from caterva2.client.api import Client
            from caterva2.errors import ConfigError

            config = self.config
            auth = None
            if config.username and (config.password is not None or not self._has_token(config)):
                if config.password is None:
                    raise ConfigError(
                        f"there is no password for {config.username}",
                        hint="use --password, CATERVA2_CLIENT_PASSWORD, or client.password in caterva2.toml",
                    )
                auth = (config.username, config.password)
            self._opened = Client(config.urlbase, auth)
        return self._opened

    @staticmethod
    def _has_token(config: ClientConfig) -> bool:
        """Whether a token of this user is kept."""
        from caterva2.client.tokenfile import kept_token
        from caterva2.client.urlbase import Urlbase

        kept = kept_token(str(Urlbase.parse(config.urlbase)))
        return kept is not None and kept.username == config.username

    def ask(self, prompt: str) -> str:
        """Ask a person for a line.

        Raises
        ------
        ConfigError
            There is nobody to ask.
        """
        from caterva2.errors import ConfigError

        try:
            return input(prompt)
        except EOFError as exc:
            raise ConfigError(f"expected an answer to {prompt.strip()!r}, found none") from exc

    def ask_secret(self, prompt: str) -> str:
        """Ask for a line that is not shown: at the terminal, or from a pipe; raises as `ask`."""
        import getpass
        import sys

        if not sys.stdin.isatty():
            line = sys.stdin.readline()
            if line:
                return line.rstrip("\n")
        from caterva2.errors import ConfigError

        try:
            return getpass.getpass(prompt)
        except EOFError as exc:
            raise ConfigError(f"expected an answer to {prompt.strip()!r}, found none") from exc

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def add_path(parser: argparse.ArgumentParser, what: str, *, optional: bool = False) -> None:
    """Declare the argument ``path``."""
    action = parser.add_argument("path", metavar="PATH", nargs="?" if optional else None, help=what)
    action.completer = "path"  # type: ignore[attr-defined]
