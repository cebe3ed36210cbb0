"""``cat2cli login``: make a token for this machine and keep it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "login"
ALIASES = ()
HELP = "Log in: keep a token for this server, so that scripts and notebooks need no password."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the user, the scope and the time."""
    parser.add_argument("user", metavar="USER", nargs="?", help="e-mail (default: --username)")
    parser.add_argument(
        "--scope", default="write", choices=("read", "write", "admin"),
        help="what the token is good for: read, write or admin (default: write)",
    )  # fmt: skip
    parser.add_argument(
        "--days", metavar="DAYS", type=float, default=90.0, help="how long it is good (default: 90)"
    )


def run(context: Context) -> None:
    """Log in."""
    import platform

    from caterva2.client import calls
    from caterva2.client.api import Client
    from caterva2.client.session import Session
    from caterva2.client.tokenfile import KeptToken, keep_token

    config = context.config
    user = context.args.user or config.username or context.ask("E-mail: ")
    kept = config.password if user == config.username else context.args.password
    password = kept if kept is not None else context.ask_secret(f"Password of {user}: ")
    with Client(config.urlbase, (user, password)) as client:
        cookie = client.auth_cookie
        urlbase = client.urlbase
    session = Session(config.urlbase, auth_cookie=cookie)
    try:
        name = f"cat2cli on {platform.node() or 'this machine'}"[:100]
        made = session.send(calls.create_token(name, context.args.scope, context.args.days))
    finally:
        session.close()
    where = keep_token(urlbase, KeptToken(made.token, user, made.info.id))
    context.output.both(
        f"Logged in as {user} until {made.info.expires}; the token is in {where}",
        {"user": user, "expires": made.info.expires, "id": made.info.id, "file": str(where)},
    )
