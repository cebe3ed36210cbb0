"""``cat2cli reset-password``, or ``passwd``: set a new password."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "reset-password"
ALIASES = ("passwd",)
HELP = "Set a new password: with a reset link, or without one as who is logged in."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the link."""
    parser.add_argument("link", metavar="LINK", nargs="?", help="a reset link, or the token at its end")
    parser.add_argument(
        "--revoke-tokens", action="store_true", help="end all tokens, too; with a reset link they always end"
    )


def run(context: Context) -> None:
    """Ask for the new password, twice, and set it."""
    from caterva2.client import calls
    from caterva2.client.session import Session
    from caterva2.errors import BadPassword

    link = context.args.link
    old = None if link else context.ask_secret("Present password: ")
    new = context.ask_secret("New password: ")
    if context.ask_secret("New password again: ") != new:
        raise BadPassword("the two new passwords differ")
    if link:
        session = Session(context.config.urlbase, token="")
        try:
            session.send(calls.reset_password(link.rstrip("/").rpartition("/")[2], new))
        finally:
            session.close()
    else:
        context.client.change_password(str(old), new, revoke_tokens=context.args.revoke_tokens)
    context.output.both("The password is set; log in anew", {"done": True})
