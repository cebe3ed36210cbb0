"""The commands of ``cat2cli``, one module each."""

from __future__ import annotations

from caterva2.cli.commands import (
    adduser,
    deluser,
    download,
    events,
    info,
    listusers,
    login,
    logout,
    ls,
    passwords,
    roots,
    show,
    subscribe,
    token,
    tree,
    url,
)
from caterva2.cli.commands.base import Command, Context

USERS: tuple[Command, ...] = (login, logout, token, passwords, adduser, deluser, listusers)
COMMANDS: tuple[Command, ...] = (*USERS, roots, subscribe, ls, tree, info, show, url, download, events)

__all__ = ["COMMANDS", "Command", "Context"]
