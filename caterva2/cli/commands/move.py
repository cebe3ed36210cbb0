"""``cat2cli move``: move a file or directory."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "move"
ALIASES = ("mv",)
HELP = "Move a file or directory inside the areas."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare from where, and where to."""
    add_path(parser, "a file or directory")
    parser.add_argument(
        "dst", metavar="DST", help="the new path; an existing directory or a name without suffix takes PATH"
    )


def run(context: Context) -> None:
    """Do it."""
    path = context.args.path.rstrip("/")
    new = context.client.move(path, context.args.dst.rstrip("/"))
    context.output.both(f"Dataset {path} moved to {new}", str(new))
