"""``cat2cli explain``: what showing a dataset would cost."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from caterva2.cli.commands.base import add_path
from caterva2.cli.commands.show import add_rows
from caterva2.model.slicing import split_slice

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "explain"
ALIASES = ()
HELP = 'Tell what a slice such as "foo/ds.b2nd[0:10]" would cost, without fetching it.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the path."""
    add_path(parser, "a dataset, and a slice in brackets if not all of it; quote it for the shell")
    add_rows(parser)


def run(context: Context) -> None:
    """Tell it."""
    path, text = split_slice(context.args.path)
    told = context.client.explain(path, text, condition=context.args.filter, sortby=context.args.sortby)
    if context.output.as_json:
        context.output.document(told)
        return
    for line in _lines(told):
        context.output.line(line)


def _lines(told: dict[str, Any]) -> list[str]:
    most = "at most " if told.get("at_most") else ""
    lines = [
        f"answer  {most}{told['dtype']} {tuple(told['shape'])}, {told['bytes']} bytes",
        f"touches {told['chunks']} chunks, {told['blocks']} blocks",
        f"reads   {told['stored_bytes']} bytes, {told['cached_bytes']} of them cached",
    ]
    if told.get("expression"):
        lines.append(f"computes {told['expression']}: {told['computed_chunks']} chunks not yet computed")
    lines.extend(
        f"  {read['path']}: {read['chunks']} chunks, {read['blocks']} blocks, "
        f"{read['stored_bytes']} bytes, {read['cached_bytes']} cached"
        for read in told["reads"]
    )
    return lines
