"""``cat2cli listusers``: the users; who is no superuser sees himself."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "listusers"
ALIASES = ("lsu",)
HELP = "List the users."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the name."""
    parser.add_argument("user", metavar="USER", nargs="?", help="only this one, by e-mail")


def run(context: Context) -> None:
    """List them."""
    users = context.client.listusers(context.args.user)
    if context.output.as_json:
        context.output.document(users)
        return
    for user in users:
        context.output.line(str(user))
