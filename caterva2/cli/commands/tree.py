"""``cat2cli tree``: the files below a path, as a tree."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from caterva2.cli.commands.base import add_path

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "tree"
ALIASES = ()
HELP = "Show the files of a root or directory, or of all roots, as a tree."

Tree: TypeAlias = "dict[str, Tree | None]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the path."""
    add_path(parser, "a root or directory; all roots without one", optional=True)


def run(context: Context) -> None:
    """Show the tree."""
    client, output = context.client, context.output
    paths = [context.args.path] if context.args.path else sorted(client.get_roots())
    trees = {path: grow(client.get_list(path)) for path in paths}
    if output.as_json:
        output.document(trees)
        return
    for path, tree in trees.items():
        output.line(path)
        for line in draw(tree):
            output.line(line)


def grow(names: Iterable[str]) -> Tree:
    """Return nested mappings of paths; files are None."""
    tree: Tree = {}
    for name in names:
        *parents, last = name.split("/")
        branch = tree
        for parent in parents:
            below = branch.get(parent)
            if below is None:
                below = branch[parent] = {}
            branch = below
        branch.setdefault(last, None)
    return tree


def draw(tree: Tree, indent: str = "") -> Iterator[str]:
    """Yield the lines of a tree."""
    for at, (name, below) in enumerate(tree.items(), 1):
        is_last = at == len(tree)
        yield f"{indent}{'└── ' if is_last else '├── '}{name}"
        if below is not None:
            yield from draw(below, indent + ("    " if is_last else "│   "))
