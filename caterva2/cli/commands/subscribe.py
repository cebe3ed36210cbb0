"""``cat2cli subscribe``: make the subscriber keep a root."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "subscribe"
ALIASES = ()
HELP = "Subscribe to a root."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the name of the root."""
    action = parser.add_argument("root", metavar="ROOT", help="name of the root")
    action.completer = "root"  # type: ignore[attr-defined]


def run(context: Context) -> None:
    """Subscribe."""
    answer = context.client.subscribe(context.args.root)
    context.output.both(answer, answer)
