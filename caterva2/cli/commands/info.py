"""``cat2cli info``: the description of a file or directory."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "info"
ALIASES = ()
HELP = "Describe a file: shape, dtype, chunks, compression, attributes."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the path."""
    add_path(parser, "a file or directory")


def run(context: Context) -> None:
    """Describe the file."""
    info = context.client.get_info(context.args.path)
    if context.output.as_json:
        context.output.document(info)
        return
    import pprint

    context.output.line(f"Getting info for {context.args.path}")
    context.output.line(pprint.pformat(info, sort_dicts=False, width=100))
