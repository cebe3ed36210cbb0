"""Every command of the tutorial pages does what the page says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.tutorial import (
    PROGRAMS,
    REPOSITORY,
    Browsing,
    Command,
    File,
    Session,
    matches,
    play,
    steps,
)
from tests.support.webpage import BUILT

PAGES = sorted((REPOSITORY / "docs" / "tutorials").glob("*.md"))

# Pages that begin where another program already runs.
DEMO = "python examples/demo.py --directory _demo --no-lab"
PRELUDES = {"quick-start": DEMO, "first-look-in-jupyterlab": DEMO}

# Programs of the system that a page uses.
NEEDS = {"independent-services": ("nginx",), "behind-tls": ("nginx", "curl", "openssl", "chromium")}
NEED_THE_PAGE = {"behind-tls"}

OPERATING = sorted((REPOSITORY / "docs" / "operating").glob("*.md"))
GUIDES = [*sorted((REPOSITORY / "docs" / "guides").glob("*.md")), *OPERATING]

# What guides for users take for granted: the demo, Ada who is logged in, and some files of hers.
ADA = """\
cat2admin --statedir _demo/state/sub users add ada@example.org 'a good password'
echo 'a good password' | cat2cli login ada@example.org
python -c "import blosc2, numpy as np
blosc2.asarray(np.arange(600.).reshape(10, 60), urlpath='cube.b2nd', mode='w')
blosc2.asarray(np.arange(120.).reshape(2, 60), urlpath='more.b2nd', mode='w')"
mkdir results
echo text > results/a.txt
tar czf runs.tar.gz results
cat2cli subscribe foo
cat2cli copy foo/dir1/ds-2d.b2nd @shared/b.b2nd
"""
FOR_OPERATORS = {"users-and-access", *(page.stem for page in OPERATING)}


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_guide_does_what_it_says(page: Path, tmp_path: Path) -> None:
    if shutil.which("cat2admin", path=f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}") is None:
        pytest.skip("needs cat2admin installed")
    if page.stem in FOR_OPERATORS:
        play(page, tmp_path)
    else:
        play(page, tmp_path, prelude=DEMO, setup=ADA)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tutorial_does_what_it_says(page: Path, tmp_path: Path) -> None:
    for program in NEEDS.get(page.stem, ()):
        if shutil.which(program, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin") is None:
            pytest.skip(f"needs {program}")
    if page.stem in NEED_THE_PAGE and not BUILT.exists():
        pytest.skip("the page is not built: make web")

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

```{admonition} In the browser
1. Open <https://localhost/>.
2. Fill in *E-mail* with
   `ada@example.org`.
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
        Browsing(("Open <https://localhost/>.", "Fill in *E-mail* with `ada@example.org`.")),
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


def test_sentence_that_nobody_understands_is_reported(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```{admonition} In the browser\n1. Dance.\n```\n")
    directory = tmp_path / "directory"
    directory.mkdir()

    with pytest.raises(AssertionError, match="nobody knows how to: Dance"):
        play(page, directory)


def test_page_sees_an_empty_network(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\n>>> import socket\n>>> [name for _, name in socket.if_nameindex()]\n['lo']\n```\n"
    )
    directory = tmp_path / "directory"
    directory.mkdir()

    play(page, directory)
