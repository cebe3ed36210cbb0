"""``cat2cli show``: data, as NumPy prints them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path
from caterva2.errors import NotADataset
from caterva2.model.slicing import split_slice

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "show"
ALIASES = ()
HELP = 'Show a dataset or a slice of it, such as "foo/ds.b2nd[0:10, 5]".'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the path."""
    add_path(parser, "a file, and a slice in brackets if not all of it; quote it for the shell")
    add_rows(parser)


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Declare which rows of a structured array are meant, and their order."""
    parser.add_argument("--filter", metavar="CONDITION", help="only these rows of a structured array")
    parser.add_argument("--sortby", metavar="COLUMNS", help="rows in this order, such as --sortby=-a,b")


def run(context: Context) -> None:
    """Show the data."""
    from caterva2.client.display import json_values
    from caterva2.client.tree import Dataset, File

    path, text = split_slice(context.args.path)
    condition, sortby = context.args.filter, context.args.sortby
    if condition is not None or sortby is not None:
        rows = context.client.filter(path, condition, sortby=sortby, slice_=text)
        if context.output.as_json:
            context.output.document({"path": path, "slice": text, **json_values(rows)})
        else:
            context.output.line(str(rows))
        return
    found = context.client.get(path)
    if not isinstance(found, File):
        raise NotADataset(f"{path} is a directory", hint=f"cat2cli list {path} shows what is in it")
    if isinstance(found, Dataset) and not context.output.as_json:
        context.output.line(found.preview(text))
        return
    data = found.fetch(text)
    if context.output.as_json:
        context.output.document({"path": path, "slice": text, **json_values(data)})
        return
    try:
        shown = data.decode("utf-8")
    except UnicodeDecodeError:
        shown = "Binary data"
    context.output.line(shown)
