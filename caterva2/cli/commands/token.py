"""``cat2cli token``: make, list and end tokens."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "token"
ALIASES = ()
HELP = "Make, list and end tokens for scripts."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to do."""
    parser.add_argument("action", metavar="ACTION", choices=("create", "list", "revoke"),
        help="create NAME, list, or revoke ID")  # fmt: skip
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of a new token, or id of an old one")
    parser.add_argument(
        "--scope", default="read", choices=("read", "write", "admin"),
        help="what a new token is good for: read, write or admin (default: read)",
    )  # fmt: skip
    parser.add_argument(
        "--days", metavar="DAYS", type=float, default=90.0,
        help="how long a new token is good; 0 for ever (default: 90)",
    )  # fmt: skip


def run(context: Context) -> None:
    """Do it."""
    from caterva2.errors import ConfigError

    args, output = context.args, context.output
    if args.action == "list":
        _list(context)
        return
    if args.name is None:
        raise ConfigError(f"expected a {'name' if args.action == 'create' else 'token id'}, found none")
    if args.action == "create":
        token = context.client.create_token(args.name, args.scope, days=args.days or None)
        output.both(token, {"token": token})
        output.note("This is the only time that the token is shown.")
    else:
        answer = context.client.revoke_token(args.name)
        output.both(answer, answer)


def _list(context: Context) -> None:
    tokens = context.client.list_tokens()
    if context.output.as_json:
        context.output.document(tokens)
        return
    for token in tokens:
        used = token["last_used"] or "never"
        ends = token["expires"] or "never"
        context.output.line(f"{token['id']}  {token['scope']:5}  ends {ends}  used {used}  {token['name']}")
