"""The commands of ``cat2cli``, one module each."""

from __future__ import annotations

from caterva2.cli.commands import download, events, info, ls, roots, show, subscribe, tree, url
from caterva2.cli.commands.base import Command, Context

COMMANDS: tuple[Command, ...] = (roots, subscribe, ls, tree, info, show, url, download, events)

__all__ = ["COMMANDS", "Command", "Context"]
