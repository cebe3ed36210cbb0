"""``cat2cli roots``: the roots that the subscriber knows."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "roots"
ALIASES = ()
HELP = "List the roots, and which are subscribed."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments."""
    del parser


def run(context: Context) -> None:
    """List the roots."""
    roots = context.client.get_roots()
    if context.output.as_json:
        context.output.document(roots)
        return
    for name, root in sorted(roots.items()):
        context.output.line(name + _state(root))


def _state(root: dict[str, Any]) -> str:
    words = ["subscribed"] if root.get("subscribed") else []
    if root.get("status") == "offline":
        words.append("offline")
    return f" ({', '.join(words)})" if words else ""
