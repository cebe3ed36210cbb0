"""``cat2cli append``: append the rows of a local array to one of an area."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "append"
ALIASES = ()
HELP = "Append a local array (.b2nd or .npy) along axis 0 to an array of an area."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what, and to what."""
    parser.add_argument("localpath", metavar="LOCAL", help="a .b2nd or .npy file")
    add_path(parser, "the array that grows")


def run(context: Context) -> None:
    """Append it."""
    from caterva2.client.uploads import read_array

    local = Path(context.args.localpath)
    shape = context.client.append(context.args.path, read_array(local))
    context.output.both(f"Dataset {context.args.path} has now shape {shape}", list(shape))
