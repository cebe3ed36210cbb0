"""``cat2cli list``: the files below a path."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "list"
ALIASES = ("ls",)
HELP = "List all files of a root or directory, one per line."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the path."""
    add_path(parser, "a root, directory or file")


def run(context: Context) -> None:
    """List the files."""
    names = context.client.get_list(context.args.path)
    if context.output.as_json:
        context.output.document(names)
        return
    for name in names:
        context.output.line(name)
