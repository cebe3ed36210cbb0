"""``cat2cli url``: where a whole file can be downloaded."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "url"
ALIASES = ()
HELP = "Print the URL from which a file can be downloaded."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the path."""
    add_path(parser, "a file")


def run(context: Context) -> None:
    """Print the URL; the subscriber is not asked."""
    from caterva2.client import calls
    from caterva2.client.urlbase import Urlbase

    url = Urlbase.parse(context.config.urlbase).url + calls.fetch(context.args.path).target
    context.output.both(url, url)
