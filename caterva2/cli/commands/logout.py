"""``cat2cli logout``: end the token that ``cat2cli login`` has kept."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "logout"
ALIASES = ()
HELP = "End the token that login has kept for this server, or all sessions."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument("--everywhere", action="store_true", help="end all sessions in browsers, too")


def run(context: Context) -> None:
    """Log out."""
    from caterva2.client.api import Client
    from caterva2.client.tokenfile import keep_token, kept_token
    from caterva2.client.urlbase import Urlbase
    from caterva2.errors import NotAuthenticated, NotFound

    urlbase = str(Urlbase.parse(context.config.urlbase))
    kept = kept_token(urlbase)
    if context.args.everywhere:
        context.client.logout_everywhere()
    if kept is None:
        context.output.both("There is no token for this server", {"user": None})
        return
    with Client(urlbase, token=kept.token) as client:
        try:
            client.revoke_token(kept.id)
        except (NotAuthenticated, NotFound):
            pass  # it has ended already
        finally:
            keep_token(urlbase, None)
    context.output.both(f"Logged out {kept.username}", {"user": kept.username})
