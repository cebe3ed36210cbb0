"""``cat2cli expr``: make a dataset that is computed when it is read."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from caterva2.errors import ConfigError

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context

NAME = "expr"
ALIASES = ("lazyexpr",)
HELP = "Make a dataset in @personal that is computed when read."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare name, expression and operands."""
    parser.add_argument("name", metavar="NAME", help="name of the new dataset, without suffix")
    parser.add_argument("expression", metavar="EXPRESSION", help="the expression; quote it for the shell")
    parser.add_argument(
        "operands", metavar="VARIABLE=PATH", nargs="+", help="the dataset that a variable stands for"
    )
    parser.add_argument("--compute", action="store_true", help="store the result instead of the expression")


def run(context: Context) -> None:
    """Do it."""
    args = context.args
    path = context.client.lazyexpr(
        args.name, args.expression, parse_operands(args.operands), compute=args.compute
    )
    context.output.both(f"Expression stored in {path}", str(path))


def parse_operands(texts: list[str]) -> dict[str, str]:
    """Read ``VARIABLE=PATH``.

    Raises
    ------
    ConfigError
        There is no ``=``, or a variable is given twice.
    """
    operands: dict[str, str] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path or name in operands:
            raise ConfigError(f"expected VARIABLE=PATH once for each variable, found {text!r}")
        operands[name.strip()] = path.strip()
    return operands
