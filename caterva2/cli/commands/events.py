"""``cat2cli events``: changes, as they happen."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path
from caterva2.errors import TimedOut

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "events"
ALIASES = ()
HELP = "Follow changes of files and roots, one line each; with --json one JSON document per line."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to follow, and for how long."""
    add_path(parser, "only below this root, directory or file", optional=True)
    parser.add_argument("--count", metavar="N", type=_positive, help="end after N events")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds,
        help="end after so many seconds; with --count, fail if there were fewer",
    )  # fmt: skip


def run(context: Context) -> None:
    """Follow the events."""
    from caterva2.client.display import event_text
    from caterva2.client.events import EventStream
    from caterva2.model import wire
    from caterva2.model.events import concerns

    args, output = context.args, context.output
    session = context.client.session
    if session.keeps_token:
        context.client.get_roots()  # drops a token that is no longer good
    stream = EventStream(
        context.config.urlbase,
        headers=session.headers,
        patient=False,
        on_change=lambda stands: None if stands else output.note("the connection was lost; connecting again"),
    )
    seen = 0
    for envelope in stream.follow(timeout_s=args.timeout):
        if args.path is not None and not concerns(envelope.event, args.path.rstrip("/")):
            continue
        output.line(wire.to_json(envelope).decode() if output.as_json else event_text(envelope))
        output.flush()
        seen += 1
        if seen == args.count:
            return
    if args.count is not None:
        raise TimedOut(f"waited {args.timeout:g} s for {args.count} events; {seen} came")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError(text)
    return value
