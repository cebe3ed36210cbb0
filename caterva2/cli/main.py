# PYTHON_ARGCOMPLETE_OK
"""``cat2cli``: the command line for people and scripts; global options and exit status.

Exit status: 0 done, 1 the server or the disk refuses, 2 wrong command line or
configuration, 130 interrupted, 141 nobody reads the output.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from caterva2._version import __version__
from caterva2.cli.commands import COMMANDS, Context
from caterva2.cli.output import Output
from caterva2.errors import Caterva2Error, ConfigError

logger = logging.getLogger(__name__)

DONE, REFUSED, WRONG_USAGE, INTERRUPTED, NO_READER = 0, 1, 2, 130, 141

_LEVELS = ("debug", "info", "warning", "error", "critical")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``cat2cli`` and return its exit status."""
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:
        from caterva2.cli.completion import complete

        complete(parser)
    args = parser.parse_args(argv)
    output = Output(as_json=args.json)
    try:
        status = _run(args, output)
        output.flush()
        return status
    except BrokenPipeError:
        output.give_up()
        return NO_READER
    except KeyboardInterrupt:
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="cat2cli",
        description="Read the datasets of a Caterva2 subscriber.",
        epilog="What is not given here is looked up in the environment and in caterva2.toml.",
    )
    parser.add_argument("--version", action="version", version=f"cat2cli {__version__}")
    parser.add_argument(
        "--conf", metavar="FILE", help="configuration file (default: caterva2.toml, if there is one)"
    )
    parser.add_argument(
        "--loglevel", metavar="LEVEL", default="warning", type=str.lower, choices=_LEVELS,
        help="what to log on stderr: debug, info, warning, error or critical (default: warning)",
    )  # fmt: skip
    parser.add_argument(
        "--subscriber", metavar="URL",
        help="address of the subscriber (default: subscriber.url of the file, or http://localhost:8002)",
    )  # fmt: skip
    parser.add_argument("--username", metavar="NAME", help="who logs in (default: client.username)")
    parser.add_argument("--password", metavar="TEXT", help="password of that user (default: client.password)")
    parser.add_argument("--json", action="store_true", help="print JSON for programs instead of text")
    # Also behind the command; there it must not reset what stands in front of it.
    again = argparse.ArgumentParser(add_help=False)
    again.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(
            command.NAME, aliases=list(command.ALIASES), parents=[again],
            help=command.HELP, description=command.HELP,
        )  # fmt: skip
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


def _run(args: argparse.Namespace, output: Output) -> int:
    logging.basicConfig(level=args.loglevel.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        with Context(args, output) as context:
            args.run(context)
    except ConfigError as exc:
        output.error(str(exc))
        return WRONG_USAGE
    except BrokenPipeError:
        raise
    except Caterva2Error as exc:
        output.error(str(exc))
        if exc.request_id:
            logger.info("the server knows this as request %s", exc.request_id)
        return REFUSED
    except OSError as exc:
        where = f": {exc.filename}" if exc.filename else ""
        output.error(f"{exc.strerror or exc}{where}")
        return REFUSED
    except Exception as exc:
        logger.debug("unexpected", exc_info=True)
        output.error(f"unexpected {type(exc).__name__}: {exc} (--loglevel debug tells where)")
        return REFUSED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
