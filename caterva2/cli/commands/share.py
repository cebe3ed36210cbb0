"""``cat2cli share``: make, list and end links that open a path without an account."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "share"
ALIASES = ()
HELP = "Make, list and end links that open a path without an account."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to do."""
    parser.add_argument("action", metavar="ACTION", choices=("create", "list", "revoke"),
        help="create PATH, list, or revoke ID")  # fmt: skip
    action = parser.add_argument(
        "what", metavar="WHAT", nargs="?", help="path that a new link opens, or id of an old one"
    )
    action.completer = "path"  # type: ignore[attr-defined]
    parser.add_argument("--name", metavar="NAME", default="", help="name of a new link")
    parser.add_argument(
        "--days", metavar="DAYS", type=float, default=30.0,
        help="how long a new link is good (default: 30)",
    )  # fmt: skip
    parser.add_argument(
        "--everybody", action="store_true", help="list the links of everybody, as a superuser"
    )


def run(context: Context) -> None:
    """Do it."""
    from caterva2.errors import ConfigError

    args, output = context.args, context.output
    if args.action == "list":
        _list(context)
        return
    if args.what is None:
        raise ConfigError(f"expected a {'path' if args.action == 'create' else 'link id'}, found none")
    if args.action == "create":
        url = context.client.create_share(args.what, name=args.name, days=args.days)
        output.both(url, {"url": url})
    else:
        answer = context.client.revoke_share(args.what)
        output.both(answer, answer)


def _list(context: Context) -> None:
    shares = context.client.list_shares(everybody=context.args.everybody)
    if context.output.as_json:
        context.output.document(shares)
        return
    for share in shares:
        used = share["last_used"] or "never"
        line = f"{share['id']}  ends {share['expires']}  used {used}  {share['path']}"
        owner = f"of {share['owner']}" if context.args.everybody else ""
        context.output.line("  ".join(part for part in (line, owner, share["name"]) if part))
