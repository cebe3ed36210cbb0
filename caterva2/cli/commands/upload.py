"""``cat2cli upload``: a file, or all files of a directory, into an area."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "upload"
ALIASES = ("put",)
HELP = "Store a file, or all files of a directory, in an area. Interrupted uploads go on where they ended."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to store, and where."""
    parser.add_argument("localpath", metavar="LOCAL", help="a file or directory")
    add_path(parser, "where to, such as @personal/name.b2nd, or a directory that exists")
    parser.add_argument(
        "--unpack", action="store_true", help="LOCAL is a .zip or .tar.gz: store its members below PATH"
    )
    parser.add_argument(
        "--if-match", metavar="ETAG", help='only over the file of this etag; "" only if there is none'
    )


def run(context: Context) -> None:
    """Store it."""
    args = context.args
    with context.output.progress(args.localpath) as progress:
        stored = context.client.upload(
            Path(args.localpath), args.path, if_match=args.if_match, unpack=args.unpack, progress=progress
        )
    context.output.both(f"Dataset stored in {stored}", str(stored))
