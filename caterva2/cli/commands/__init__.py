"""The commands of ``cat2cli``, one module each."""

from __future__ import annotations

from caterva2.cli.commands import (
    adduser,
    append,
    concat,
    copy,
    deluser,
    download,
    events,
    explain,
    expr,
    info,
    listusers,
    login,
    logout,
    ls,
    mkdir,
    move,
    passwords,
    remove,
    roots,
    share,
    show,
    stack,
    subscribe,
    token,
    tree,
    upload,
    url,
)
from caterva2.cli.commands.base import Command, Context

USERS: tuple[Command, ...] = (login, logout, token, share, passwords, adduser, deluser, listusers)
AREAS: tuple[Command, ...] = (upload, copy, move, remove, mkdir, append)
LAZY: tuple[Command, ...] = (expr, concat, stack, explain)
COMMANDS: tuple[Command, ...] = (
    *USERS,
    roots,
    subscribe,
    ls,
    tree,
    info,
    show,
    url,
    download,
    *AREAS,
    *LAZY,
    events,
)

__all__ = ["COMMANDS", "Command", "Context"]
