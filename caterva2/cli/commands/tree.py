"""``cat2cli tree``: the files below a path, as a tree."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "tree"
ALIASES = ()
HELP = "Show the files of a root or directory, or of all roots, as a tree."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the path."""
    add_path(parser, "a root or directory; all roots without one", optional=True)


def run(context: Context) -> None:
    """Show the tree."""
    from caterva2.client.display import draw_tree, grow_tree

    client, output = context.client, context.output
    paths = [context.args.path] if context.args.path else sorted(client.get_roots())
    trees = {path: grow_tree(client.get_list(path)) for path in paths}
    if output.as_json:
        output.document(trees)
        return
    for path, tree in trees.items():
        output.line(path)
        for line in draw_tree(tree):
            output.line(line)
