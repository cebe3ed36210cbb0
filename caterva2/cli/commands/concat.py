"""``cat2cli concat``: make a dataset that is others one behind the other along an axis."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "concat"
ALIASES = ()
HELP = "Make a dataset that is others one behind the other along an axis; nothing is copied."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare from what, where to, and along which axis."""
    parser.add_argument("srcs", metavar="PATH", nargs="+", help="the datasets, in their order")
    parser.add_argument("dst", metavar="DST", help="path of the new dataset, such as @personal/all.b2nd")
    parser.add_argument(
        "--axis", type=int, default=0, metavar="N", help="axis along which they are joined (default: 0)"
    )


def run(context: Context) -> None:
    """Do it."""
    args = context.args
    path = context.client.concat(args.srcs, args.dst, args.axis)
    context.output.both(f"Datasets concatenated in {path}", str(path))
