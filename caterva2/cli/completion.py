"""Shell completion of ``cat2cli``: commands and options by argcomplete, roots and paths by the subscriber."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from caterva2.errors import Caterva2Error

TIMEOUT_S = 2.0


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end the program, if a shell asks; needs argcomplete."""
    try:
        import argcomplete
    except ImportError:
        return
    _attach(parser)
    argcomplete.autocomplete(parser)


def _attach(parser: argparse.ArgumentParser) -> None:
    completers: dict[object, Callable[..., list[str]]] = {"path": paths, "root": roots}
    for action in parser._actions:
        wanted = getattr(action, "completer", None)
        if isinstance(wanted, str):
            action.completer = completers[wanted]  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _attach(sub)


def roots(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the roots that begin with `prefix`."""
    return [name for name in _ask(parsed_args, None) if name.startswith(prefix)]


def paths(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the roots, or directories and files one level down, that begin with `prefix`."""
    parent, slash, _name = prefix.rpartition("/")
    if not slash:
        return [f"{name}/" for name in roots(prefix, parsed_args)]
    found: dict[str, None] = {}
    for name in _ask(parsed_args, parent):
        first, more, _rest = name.partition("/")
        found[f"{parent}/{first}{more}"] = None
    return [name for name in found if name.startswith(prefix)]


def _ask(args: argparse.Namespace, path: str | None) -> list[str]:
    from caterva2.client.api import Client
    from caterva2.config.load import load_client

    try:
        config = load_client(getattr(args, "conf", None))
        auth = (config.username, config.password) if config.username and config.password else None
        with Client(getattr(args, "subscriber", None) or config.urlbase, auth, timeout=TIMEOUT_S) as client:
            return sorted(client.get_roots()) if path is None else client.get_list(path)
    except (Caterva2Error, OSError):
        return []
