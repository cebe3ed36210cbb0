"""Tab behind ``%caterva2``: what is offered, and that nobody waits long for it."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from caterva2_jupyter.completion import Paths, split_open
from caterva2_jupyter.context import Context
from caterva2_jupyter.magics import _LateCompleter, _split
from tests.jupyter_ext.kernel.conftest import Lab

Complete = Callable[[str], list[tuple[str, str]]]


@pytest.fixture
def complete(shell: InteractiveShell) -> Complete:
    """Return what gives, for a text with the cursor at its end, what is replaced, and by what."""

    def ask(text: str) -> list[tuple[str, str]]:
        with provisionalcompleter():
            found = list(shell.Completer.completions(text, len(text)))
        return [(text[one.start : one.end], one.text) for one in found]

    return ask


@pytest.fixture
def odd_names(handed: Lab) -> Iterator[Lab]:
    """Add names that are no single words."""
    odd = handed.public / "my dir"
    odd.mkdir()
    (odd / "it's.txt").write_text("quoted\n")
    yield handed
    shutil.rmtree(odd)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%caterva2 sh", [("sh", "show")]),
        ("x = %caterva2 op", [("op", "open")]),
        ("%caterva2 ls @pub", [("@pub", "@public/")]),
        ("%caterva2 open @public/d", [("@public/d", "@public/dir1/")]),
        ("%caterva2 info @public/dir1/", [("@public/dir1/", "@public/dir1/cube.b2nd")]),
        ("%caterva2 info @public/DIR", [("@public/DIR", "@public/dir1/")]),
        ('%caterva2 get "@public/no', [("@public/no", "@public/notes.txt")]),
        ("%caterva2 get @public/my", [("@public/my", r"@public/my\ dir/")]),
        (r"%caterva2 get @public/my\ d", [(r"@public/my\ d", r"@public/my\ dir/")]),
        (r"%caterva2 get @public/my\ dir/", [(r"@public/my\ dir/", r"@public/my\ dir/it\'s.txt")]),
        ('%caterva2 get "@public/my d', [("@public/my d", "@public/my dir/")]),
        ("%caterva2 get '@public/my dir/", [("@public/my dir/", r"@public/my dir/it'\''s.txt")]),
        (r"%caterva2 put my\ file.txt @publ", [("@publ", "@public/")]),
        ('%caterva2 put "my file.txt" @publ', [("@publ", "@public/")]),
        ("%caterva2 expr n a+1 a=@public/my", [("@public/my", r"@public/my\ dir/")]),
        ("%caterva2 put file.txt @publ", [("@publ", "@public/")]),
        ("%caterva2 put --unpack file.zip @publ", [("@publ", "@public/")]),
        ("%caterva2 subscribe @pub", [("@pub", "@public")]),
        ("%caterva2 connect l", [("l", "lab")]),
        ("%caterva2 events --t", [("--t", "--timeout")]),
        ('%caterva2 expr n "a+1" a=@public/pl', [("@public/pl", "@public/plane.b2nd")]),
        ('%%caterva2 total\n2 * "@public/plane.b2nd" + "@public/wi', [("@public/wi", "@public/wide.b2nd")]),
    ],
)  # fmt: skip
def test_completions(odd_names: Lab, complete: Complete, text: str, expected: list[tuple[str, str]]) -> None:
    assert complete(text) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ls",
        "ls ",
        r"get foo/my\ file",
        "get 'foo/my file",
        'get "foo/my \\"file',
        "get foo/'my f",
        "x 'y z' w",
    ],
)
@pytest.mark.parametrize("name", ["plain", "two words", "it's", 'say "so"', "back\\slash", "tab\tbed"])
def test_completed_word_is_read_as_it_was_meant(line: str, name: str) -> None:
    words, last = split_open(line)

    completed = line.removesuffix(last.written) + last.spell(name) + last.quote

    assert _split(completed) == [*words, name]


def test_old_ipython_is_given_what_follows_its_delimiters(handed: Lab, shell: InteractiveShell) -> None:
    completer = _LateCompleter(shell.magics_manager.registry["Caterva2Magics"])
    line = "%caterva2 ls @pub"
    event = SimpleNamespace(line=line, text_until_cursor=line, symbol="pub")

    assert completer.hook(shell, event) == ["public/"]


def test_other_lines_are_left_alone(handed: Lab, complete: Complete, shell: InteractiveShell) -> None:
    shell.user_ns["@public"] = None

    assert all("@" not in text for _, text in complete("import caterva2; p = 'pub"))


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_is_silent_is_not_waited_for(silent_server: str, hand_over: Any) -> None:
    hand_over(slow=(silent_server, None))

    assert Paths(Context({})).starting_with("@pub", wait_s=0.01) == []
    assert "caterva2-completion" in {thread.name for thread in threading.enumerate()}


def test_a_server_that_is_away_offers_nothing(hand_over: Any) -> None:
    hand_over(away=("http://127.0.0.1:1", None))

    assert Paths(Context({})).starting_with("@pub", wait_s=10) == []


def test_what_was_asked_is_kept_for_a_while(handed: Lab) -> None:
    paths = Paths(Context({}))
    paths.starting_with("@public/", wait_s=10)

    assert paths.starting_with("@public/pl", wait_s=0) == ["@public/plane.b2nd"]
