"""``cat2cli mkdir``: make a directory in an area."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "mkdir"
ALIASES = ()
HELP = "Make a directory in an area, and those above it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where."""
    add_path(parser, "the new directory, such as @personal/results")


def run(context: Context) -> None:
    """Make it."""
    made = context.client.mkdir(context.args.path.rstrip("/"))
    context.output.both(f"Directory made: {made}", str(made))
