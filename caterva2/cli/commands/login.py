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
    from caterva2.client.login import keep_login

    args, config = context.args, context.config
    user = args.user or config.username or context.ask("E-mail: ")
    kept = config.password if user == config.username else args.password
    password = kept if kept is not None else context.ask_secret(f"Password of {user}: ")
    made = keep_login(config.urlbase, user, password, program="cat2cli", scope=args.scope, days=args.days)
    context.output.both(
        f"Logged in as {user} until {made.expires}; the token is in {made.file}",
        {"user": user, "expires": made.expires, "id": made.id, "file": str(made.file)},
    )
