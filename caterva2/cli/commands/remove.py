"""``cat2cli remove``: remove a file or directory of an area."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "remove"
ALIASES = ("rm",)
HELP = "Remove a file, or a directory with all that is in it; of an area only what is in it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to remove."""
    add_path(parser, "a file, directory or area")


def run(context: Context) -> None:
    """Remove it."""
    removed = context.client.remove(context.args.path.rstrip("/"))
    context.output.both(f"Dataset (or directory contents) removed: {removed}", str(removed))
