"""``cat2cli adduser``: add a user, as a superuser."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "adduser"
ALIASES = ()
HELP = "Add a user; without a password the server makes one and shows it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare name and password."""
    parser.add_argument("-S", "--superuser", action="store_true", help="the new user manages users, too")
    parser.add_argument("user", metavar="USER", help="e-mail of the new user")
    parser.add_argument("new_password", metavar="PASSWORD", nargs="?", help="his password")


def run(context: Context) -> None:
    """Add the user."""
    args = context.args
    answer = context.client.adduser(args.user, args.new_password, args.superuser)
    context.output.both(answer, answer)
