"""``cat2cli deluser``: remove a user, as a superuser."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "deluser"
ALIASES = ()
HELP = "Remove a user and his personal area."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the name."""
    parser.add_argument("user", metavar="USER", help="e-mail of the user")


def run(context: Context) -> None:
    """Remove the user."""
    answer = context.client.deluser(context.args.user)
    context.output.both(answer, answer)
