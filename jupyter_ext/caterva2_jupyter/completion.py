"""Tab in ``%caterva2``: commands, names of subscribers, and paths, which a server is asked for briefly."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caterva2.errors import Caterva2Error
from caterva2_jupyter.commands import COMMANDS, Command, find_command
from caterva2_jupyter.context import Context, Parser

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext

WAIT_S = 0.5
"""A server that takes longer is heard at the next Tab."""
FRESH_S = 10.0
"""What a server said counts so long."""
PAGE = 1000

_UNSAFE = re.compile(r"""[\s'"\\]""")
_LINE = re.compile(r"\s*(?:[\w\s,.\[\]\"']+=\s*)?%{1,2}caterva2\s+(?P<rest>.*)", re.DOTALL)
_OPEN_QUOTE = re.compile(r"""(?:[^'"]|'[^']*'|"[^"]*")*['"](?P<path>[^'"]*)""")


class Completer:
    """A matcher for IPython (its interface 2).

    Parameters
    ----------
    context
        Where the subscriber is found.
    """

    def __init__(self, context: Context) -> None:
        self._paths = Paths(context)

    def __call__(self, context: CompletionContext) -> dict[str, Any]:
        """Return the completions at the cursor, and what they replace."""
        fragment, found = self.complete(context.full_text, context.text_until_cursor)
        if not found:
            return {"completions": [], "suppress": False}
        from IPython.core.completer import SimpleCompletion

        completions = [SimpleCompletion(text=text, type="caterva2") for text in found]
        return {
            "completions": completions,
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    def complete(self, full_text: str, before: str) -> tuple[str, list[str]]:
        """Return what stands before the cursor and is completed, and what it may become.

        Parameters
        ----------
        full_text
            The cell.
        before
            The line, up to the cursor.
        """
        match = _LINE.fullmatch(before)
        if match is None:
            quoted = _OPEN_QUOTE.fullmatch(before)
            if quoted is None or not full_text.startswith("%%caterva2"):
                return "", []
            return quoted["path"], self._paths.starting_with(quoted["path"])
        if before.lstrip().startswith("%%"):
            return "", []
        words, last = split_open(match["rest"])
        if not words:
            names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
            found = sorted(name for name in names if name.startswith(last.text))
        else:
            command = find_command(words[0])
            if command is None:
                return last.written, []
            takes = _takes(command, words[1:], last)
            last = last.behind("=") if takes == "operand" else last
            found = self._argument(command, takes, last.text)
        return last.written, [last.spell(text) for text in found]

    def _argument(self, command: Command, takes: str, text: str) -> list[str]:
        if takes == "option":
            return [option for option in _options(command) if option.startswith(text)]
        if takes in {"path", "operand"}:
            return self._paths.starting_with(text)
        if takes == "root":
            return [path.rstrip("/") for path in self._paths.starting_with(text.partition("/")[0])]
        return _servers(text) if takes == "server" else []


@dataclass(frozen=True)
class Word:
    """The word at the cursor.

    Attributes
    ----------
    text
        What it means.
    written
        How it stands there, behind the quote that is still open.
    quote
        The quote that is still open; empty for none.
    """

    text: str
    written: str
    quote: str = ""

    def behind(self, mark: str) -> Word:
        """Return what stands behind a character that is in it."""
        return Word(self.text.partition(mark)[2], self.written.partition(mark)[2], self.quote)

    def spell(self, text: str) -> str:
        """Return how a text is written in its place, so that it is one word."""
        if self.quote == "'":
            return text.replace("'", r"'\''")
        if self.quote == '"':
            return re.sub(r'(["\\])', r"\\\1", text)
        return _UNSAFE.sub(r"\\\g<0>", text)


def split_open(line: str) -> tuple[list[str], Word]:
    """Split the beginning of a line as the magics split a line: into whole words, and the word at its end."""
    words: list[str] = []
    text, quote = "", ""
    start, opened = 0, None  # of the word; behind the quote that it begins with
    chars = iter(enumerate(line))
    for at, char in chars:
        begins = at == start
        if char == "\\" and quote != "'" and at + 1 < len(line):
            _, after = next(chars)
            # Between double quotes a backslash is one, unless something follows that needs it.
            text += after if not quote or after in {'"', "\\"} else char + after
        elif char == quote:
            quote, opened = "", None
        elif quote:
            text += char
        elif char in {"'", '"'}:
            quote, opened = char, at + 1 if begins else None
        elif char.isspace():
            if not begins:
                words.append(text)
            text, start = "", at + 1
        else:
            text += char
    return words, Word(text, line[opened or start :], quote if opened else "")


class Paths:
    """The paths at a subscriber, asked for in a thread and kept for a while."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str, str], tuple[float, list[str]]] = {}
        self._asked: dict[tuple[str, str, str], threading.Event] = {}

    def starting_with(self, text: str, *, wait_s: float = WAIT_S) -> list[str]:
        """Return the roots, directories (with ``/``) and files whose paths begin with a text.

        Waits only briefly; what comes later is there the next time.
        """
        directory, slash, name = text.rpartition("/")
        try:
            server = str(self._context.session.urlbase)
        except (Caterva2Error, OSError):
            return []
        found = self._ask((server, directory, ""), wait_s)
        if found is not None and len(found) >= PAGE and name:
            found = self._ask((server, directory, name), wait_s) or found
        low = name.casefold()
        return [directory + slash + entry for entry in found or () if entry.casefold().startswith(low)]

    def _ask(self, key: tuple[str, str, str], wait_s: float) -> list[str] | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and time.monotonic() - kept[0] < FRESH_S:
                return kept[1]
            done = self._asked.get(key)
            if done is None:
                done = self._asked[key] = threading.Event()
                _start(lambda: self._fetch(key, done))
        done.wait(wait_s)
        with self._lock:
            kept = self._kept.get(key)
        return None if kept is None else kept[1]

    def _fetch(self, key: tuple[str, str, str], done: threading.Event) -> None:
        _, directory, name = key
        try:
            page = self._context.client.tree(directory, limit=PAGE, filter=f"{name}*" if name else None)
            found = [
                entry.name + ("/" if entry.kind in {"root", "area", "directory"} else "")
                for entry in page.entries
            ]
        except (Caterva2Error, OSError):
            found = []
        with self._lock:
            if len(self._kept) > 500:
                self._kept.clear()
            self._kept[key] = (time.monotonic(), found)
            self._asked.pop(key, None)
        done.set()


def _takes(command: Command, words: Sequence[str], last: Word) -> str:
    """Return what a command takes in the place of its last word, behind others."""
    if last.text.startswith("-"):
        return "option"
    at = sum(not word.startswith("-") for word in words)
    takes = command.takes[at] if at < len(command.takes) else ""
    return "" if takes == "operand" and "=" not in last.written else takes


def _options(command: Command) -> list[str]:
    parser = Parser()
    command.arguments(parser)
    return sorted(set(re.findall(r"(?<=[\s\[,])--[a-z][a-z-]*", parser.format_help())))


def _servers(fragment: str) -> list[str]:
    from caterva2.client.handover import Handover

    handover = Handover.from_environment()
    try:
        names = [] if handover is None else list(handover.subscribers)
    except Caterva2Error:
        return []
    return [name for name in names if name.startswith(fragment)]


def _start(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="caterva2-completion", daemon=True).start()
