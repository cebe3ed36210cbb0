"""Every command of the tutorial pages does what the page says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.tutorial import REPOSITORY, Command, File, Session, matches, play, steps

PAGES = sorted((REPOSITORY / "docs" / "tutorials").glob("*.md"))

# Pages that begin where another program already runs.
PRELUDES = {"quick-start": "python examples/demo.py --directory _demo"}

# Programs of the system that a page uses.
NEEDS = {"independent-services": "nginx"}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tutorial_does_what_it_says(page: Path, tmp_path: Path) -> None:
    program = NEEDS.get(page.stem, "sh")
    if shutil.which(program, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin") is None:
        pytest.skip(f"needs {program}")

    play(page, tmp_path, prelude=PRELUDES.get(page.stem, ""))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tutorial_has_commands_to_run(page: Path) -> None:
    assert any(isinstance(step, Command) for step in steps(page.read_text(encoding="utf-8")))


def test_steps_are_read_in_their_order() -> None:
    page = """\
Text.

```console
$ cat2bro &
$ echo one \\
  two
one two
```

```{code-block} toml
:caption: caterva2.toml

[broker]
```

```sh
rm -rf everything
```

```python
>>> 1 + 1
2
```
"""

    assert list(steps(page)) == [
        Command("cat2bro &", ""),
        Command("echo one two", "one two"),
        File("caterva2.toml", "[broker]\n"),
        Session(">>> 1 + 1\n2\n"),
    ]


@pytest.mark.parametrize(
    ("promised", "printed", "same"),
    [
        ("a b", "a b\n", True),
        ("a...", "a: more\n", True),
        ("", "", True),
        ("", "surprise\n", False),
        ("a\nb", "a\n", False),
    ],
    ids=["same", "dots", "nothing", "unpromised", "missing"],
)
def test_output_is_compared_with_what_was_promised(promised: str, printed: str, same: bool) -> None:
    assert matches(promised, printed) is same


def test_wrong_page_is_reported(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo right\nwrong\n```\n")
    directory = tmp_path / "directory"
    directory.mkdir()

    with pytest.raises(AssertionError, match=r"\$ echo right\npromised:\nwrong\nprinted:\nright"):
        play(page, directory)


def test_page_sees_an_empty_network(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\n>>> import socket\n>>> [name for _, name in socket.if_nameindex()]\n['lo']\n```\n"
    )
    directory = tmp_path / "directory"
    directory.mkdir()

    play(page, directory)
