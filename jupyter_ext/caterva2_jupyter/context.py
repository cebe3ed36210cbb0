"""What the commands of ``%caterva2`` work with: the subscriber, the notebook, and who sits before it."""

from __future__ import annotations

import argparse
import getpass
import keyword
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, NoReturn

from caterva2.client.api import Client
from caterva2.client.tree import Dataset
from caterva2.errors import BadRequest, ConfigError
from caterva2_jupyter.kernel import open_session

if TYPE_CHECKING:
    from caterva2.client.session import Session
    from caterva2_jupyter.operands import Expression


class WrongUsage(BadRequest):
    """A command line that is not understood."""

    code = "wrong-usage"


class Helped(Exception):
    """Help was shown; there is nothing else to do."""


class Parser(argparse.ArgumentParser):
    """Raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong, and what would be right."""
        usage = " ".join(self.format_usage().split()).removeprefix("usage: ")
        raise WrongUsage(message, hint=usage)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raise that help was shown."""
        raise Helped


class Context:
    """What a command works with: the subscriber, and the variables of the notebook.

    Parameters
    ----------
    namespace
        The variables; commands may set some.
    """

    def __init__(self, namespace: MutableMapping[str, Any]) -> None:
        self.namespace = namespace
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The way to the subscriber; opened when first asked for."""
        if self._session is None:
            self._session = open_session()
        return self._session

    @property
    def client(self) -> Client:
        """The subscriber."""
        return Client.of(self.session)

    def connect(self, session: Session | None) -> None:
        """Use another subscriber or user from now on; None for what is found when next asked for."""
        self._session = session

    def lazy(self, name: str, expression: Expression, *, compute: bool = False) -> Dataset:
        """Store an expression and return the dataset that it makes.

        Raises
        ------
        BadRequest
            Its operands lie at another server.
        """
        here = str(self.session.urlbase)
        elsewhere = sorted(expression.urlbases - {here})
        if elsewhere:
            raise BadRequest(
                f"the datasets of an expression must lie at {here}; some lie at {elsewhere[0]}",
                hint=f"%caterva2 connect {elsewhere[0]}",
            )
        path = self.client.lazyexpr(name, expression.text, expression.operands, compute=compute)
        found = self.client.get(path)
        assert isinstance(found, Dataset)
        return found


def variable_name(text: str) -> str:
    """Return `text` if it can name a variable.

    Raises
    ------
    WrongUsage
        It can not.
    """
    if not text.isidentifier() or keyword.iskeyword(text):
        raise WrongUsage(f"expected the name of a variable, found {text!r}")
    return text


def ask(prompt: str) -> str:
    """Ask a person for a line.

    Raises
    ------
    ConfigError
        There is nobody to ask.
    """
    try:
        return input(prompt)
    except (EOFError, RuntimeError, NotImplementedError) as exc:
        raise ConfigError(f"expected an answer to {prompt.strip()!r}, found nobody to ask") from exc


def ask_secret(prompt: str) -> str:
    """Ask for what is not shown; it goes from the front end to here, and into no history. See `ask`."""
    try:
        return getpass.getpass(prompt)
    except (EOFError, RuntimeError, NotImplementedError) as exc:
        raise ConfigError(f"expected an answer to {prompt.strip()!r}, found nobody to ask") from exc
