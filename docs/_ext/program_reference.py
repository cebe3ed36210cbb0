"""Sphinx extension: writes settings, command lines and modules out as Markdown, from the code.

In a page, ``<!-- settings SECTION -->`` becomes a table of the keys of a section
of the file, ``<!-- program NAME -->`` the options and commands of a program, and
``<!-- modules PACKAGE -->`` a table of the modules of a package of ``caterva2``, or of
``caterva2_jupyter``.
"""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import caterva2
from caterva2.cli.admin import adduser_parser, admin_parser
from caterva2.cli.main import build_parser
from caterva2.config import load
from caterva2.config.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx

PROGRAMS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "cat2bro": load.broker_parser,
    "cat2pub": load.publisher_parser,
    "cat2sub": load.subscriber_parser,
    "cat2cli": build_parser,
    "cat2adduser": adduser_parser,
    "cat2admin": admin_parser,
}

JUPYTER = "caterva2_jupyter"
"""Lies beside ``caterva2``; need not be installed where the documentation is made."""

_MARK = re.compile(r"<!-- (settings|program|modules) (\w+) -->")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(_app: Sphinx, _docname: str, source: list[str]) -> None:
    source[0] = filled(source[0])


def filled(text: str) -> str:
    """Return a page with its marks replaced."""

    def replace(mark: re.Match[str]) -> str:
        write = {"settings": settings_table, "program": program, "modules": modules_table}[mark[1]]
        return write(mark[2])

    return _MARK.sub(replace, text)


def settings_table(section: str) -> str:
    """Write the settings of a section as a table."""
    lines = ["| Key | Default | Meaning | Option | Environment |", "| --- | --- | --- | --- | --- |"]
    for setting in SETTINGS:
        if setting.section == section:
            default = f"`{setting.default}`" if setting.default else "none"
            option = f"`{setting.option}`" if setting.option else ""
            meaning = _cell(setting.meaning)
            lines.append(f"| `{setting.key}` | {default} | {meaning} | {option} | `{setting.variable}` |")
    return "\n".join(lines)


def modules_table(package: str) -> str:
    """Write what each module of a package is for, in the words of its docstring."""
    top = Path(caterva2.__file__).parent
    if package == JUPYTER:
        top = top.parent / "jupyter_ext"
    lines = ["| Module | What lives there |", "| --- | --- |"]
    for path in sorted((top / package).rglob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if path.name != "__init__.py":
            name = ".".join(path.relative_to(top).with_suffix("").parts)
            lines.append(f"| `{name}` | {_cell(text.partition(chr(10))[0])} |")
    return "\n".join(lines)


def program(name: str) -> str:
    """Write the command line of a program: its usage, options and commands."""
    return "\n".join(_program(PROGRAMS[name]()))


def _program(parser: argparse.ArgumentParser, before: str = "") -> list[str]:
    lines = [*_usage(parser), *_options(parser)]
    for group in (action for action in parser._actions if isinstance(action, argparse._SubParsersAction)):
        for choice in group._choices_actions:
            sub = group.choices[choice.dest]
            others = [other for other, same in group.choices.items() if same is sub and other != choice.dest]
            also = f" (also {', '.join(f'`{other}`' for other in others)})" if others else ""
            name = f"{before}{choice.dest}"
            lines += [f"### {name}", "", f"{_sentence(choice.help or '')}{also}", ""]
            lines += _program(sub, f"{name} ")
    return lines


def _usage(parser: argparse.ArgumentParser) -> list[str]:
    # Not parser.format_usage(): its line breaks depend on the terminal.
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=88)
    return ["```text", parser.format_usage().removeprefix("usage: ").rstrip(), "```", ""]


def _options(parser: argparse.ArgumentParser) -> list[str]:
    lines = ["| Argument | Meaning |", "| --- | --- |"]
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        value = f" {action.metavar}" if action.metavar and action.option_strings else ""
        names = ", ".join(f"`{option}{value}`" for option in action.option_strings) or f"`{action.metavar}`"
        text = (action.help or "").replace("%%", "%")
        lines.append(f"| {names} | {_cell(text)} |")
    return [*lines, ""]


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
