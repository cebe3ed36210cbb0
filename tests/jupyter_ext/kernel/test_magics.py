"""``%caterva2`` and ``%%caterva2`` in a real IPython, against a real subscriber."""

from __future__ import annotations

import getpass
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from caterva2 import Client, Directory
from caterva2.cli.commands import COMMANDS as CAT2CLI
from caterva2.client.tokenfile import token_file
from caterva2.errors import (
    BadExpression,
    BadRequest,
    ConnectFailed,
    DatasetNotFound,
    NotADataset,
    NotAuthenticated,
    NotFound,
    RootNotFound,
)
from caterva2_jupyter.commands import COMMANDS, Command
from caterva2_jupyter.context import Parser
from caterva2_jupyter.magics import Caterva2Magics
from tests.jupyter_ext.kernel.conftest import ADA, CUBE, PEOPLE, PLANE, Lab
from tests.support.accounts import PASSWORD

Run = Callable[[str], Any]


# connecting


def test_a_kernel_of_our_jupyterlab_is_connected_without_a_word(handed: Lab, run: Run) -> None:
    assert {"@public", "@personal", "@shared"} <= set(run("%caterva2 roots"))


def test_connect_takes_an_address(lab: Lab, run: Run) -> None:
    assert run(f"%caterva2 connect {lab.url}").urlbase == lab.url
    assert run("%caterva2 ls @public/dir1") == ["cube.b2nd"]


def test_connect_takes_a_name_that_jupyter_has(lab: Lab, hand_over: Any, run: Run) -> None:
    hand_over(away=("http://127.0.0.1:1", None), lab=(lab.url, lab.token))

    assert run("%caterva2 connect lab").urlbase == lab.url


def test_connect_to_an_unknown_name_tells_the_known_ones(handed: Lab, run: Run) -> None:
    with pytest.raises(NotFound, match="there are lab"):
        run("%caterva2 connect nowhere")


def test_a_server_that_is_away_keeps_the_connection_before(handed: Lab, run: Run) -> None:
    with pytest.raises(ConnectFailed):
        run("%caterva2 connect http://127.0.0.1:1")

    assert run("%caterva2 ls @public/dir1") == ["cube.b2nd"]


def test_connect_asks_for_the_password(lab: Lab, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda prompt: PASSWORD)

    run(f"%caterva2 connect {lab.url} --username {ADA}")

    assert run("%caterva2 roots")["@personal"]


def test_login_keeps_a_token_and_not_the_password(
    lab: Lab, run: Run, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda prompt: PASSWORD)
    run(f"%caterva2 connect {lab.url}")

    said = run(f"%caterva2 login {ADA} --days 1")

    assert said.startswith(f"Logged in as {ADA} until 20")
    assert PASSWORD not in token_file().read_text()
    assert PASSWORD not in repr({name: value for name, value in shell.user_ns.items() if name != "_dh"})
    assert Client(lab.url).me()["email"] == ADA


def test_login_with_a_wrong_password_is_refused(lab: Lab, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "wrong")
    run(f"%caterva2 connect {lab.url}")

    with pytest.raises(NotAuthenticated, match="the password is wrong"):
        run(f"%caterva2 login {ADA}")


# looking around


def test_roots_show_which_are_subscribed(handed: Lab, run: Run) -> None:
    roots = run("%caterva2 roots")

    assert "@public (subscribed)" in repr(roots)
    assert "<td" in roots._repr_html_()


def test_ls_is_a_list_of_paths_and_looks_like_one(handed: Lab, run: Run) -> None:
    found = run("%caterva2 ls @public")

    assert found == [
        "README.md",
        "dir1/cube.b2nd",
        "notes.txt",
        "people.b2nd",
        "plane.b2nd",
        "raw.bin",
        "wide.b2nd",
    ]
    assert repr(found).splitlines() == found


def test_ls_alone_lists_the_roots(handed: Lab, run: Run) -> None:
    assert "@public" in run("%caterva2 ls")


def test_tree_is_drawn(handed: Lab, run: Run) -> None:
    assert "├── dir1\n│   └── cube.b2nd" in repr(run("%caterva2 tree @public"))


def test_info_is_a_mapping_and_a_table(handed: Lab, run: Run) -> None:
    info = run("%caterva2 info @public/plane.b2nd")

    assert (info["shape"], info["dtype"]) == ([10, 20], "int32")
    assert "<td" in info._repr_html_()
    assert "'shape': [10, 20]" in repr(info)


def test_subscribe_answers_ok(handed: Lab, run: Run) -> None:
    assert run("%caterva2 subscribe @public") == "Ok"


# data


def test_open_returns_the_object(handed: Lab, run: Run) -> None:
    assert isinstance(run("%caterva2 open @public/dir1"), Directory)
    np.testing.assert_array_equal(run("%caterva2 open @public/plane.b2nd")[:], PLANE)


def test_open_can_be_assigned_and_named(handed: Lab, run: Run, shell: InteractiveShell) -> None:
    run("ds = %caterva2 open @public/plane.b2nd")
    run("%caterva2 open @public/plane.b2nd --as other")

    assert shell.user_ns["ds"].shape == shell.user_ns["other"].shape == (10, 20)


def test_variables_of_the_notebook_can_be_put_in(handed: Lab, run: Run) -> None:
    run("where = '@public/plane.b2nd'")

    assert run("%caterva2 open {where}").shape == (10, 20)


def test_show_of_a_slice_is_an_array(handed: Lab, run: Run) -> None:
    np.testing.assert_array_equal(run("%caterva2 show @public/plane.b2nd[2:4, 5]"), PLANE[2:4, 5])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--filter 'id > 57'", [58, 59]),
        ("--sortby=-id --filter 'id > 57'", [59, 58]),
    ],
)
def test_show_of_some_rows_is_an_array(handed: Lab, run: Run, options: str, expected: list[int]) -> None:
    assert run(f"%caterva2 show @public/people.b2nd {options}")["id"].tolist() == expected


def test_show_of_a_dataset_is_a_viewer(handed: Lab, run: Run) -> None:
    viewer = run("%caterva2 show @public/dir1/cube.b2nd")

    assert viewer.wait()
    assert viewer.error is None
    assert viewer.value == CUBE[3, 20, 25]


def test_show_of_a_text_is_the_text(handed: Lab, run: Run) -> None:
    assert run("%caterva2 show @public/notes.txt") == "plain\n"
    assert run("%caterva2 show @public/raw.bin") == "Binary data"


@pytest.mark.parametrize("name", ["evil.md", "evil.html", "evil.svg"])
def test_show_of_a_file_never_lets_its_scripts_run(handed: Lab, run: Run, name: str) -> None:
    text = "# Hello\n<img src=x onerror=alert(1)>\n"
    (handed.public / name).write_text(text)

    found = run(f"%caterva2 show @public/{name}")

    assert found == text
    data, _ = run("get_ipython()").display_formatter.format(found)
    assert data == {"text/plain": text.rstrip()}


def test_show_of_a_text_that_is_no_utf8_at_its_end_is_the_text(handed: Lab, run: Run) -> None:
    (handed.public / "latin.txt").write_bytes("ein Café".encode("latin-1"))

    assert run("%caterva2 show @public/latin.txt") == "ein Caf�"


def test_show_of_a_directory_is_a_browser(handed: Lab, run: Run) -> None:
    browser = run("%caterva2 show @public/dir1")

    assert browser.wait()
    assert browser.names == ["cube.b2nd"]


def test_slice_of_a_directory_is_refused(handed: Lab, run: Run) -> None:
    with pytest.raises(NotADataset, match="is a directory"):
        run("%caterva2 show @public/dir1[0]")


def test_get_saves_a_file(handed: Lab, run: Run, own_surroundings: Path) -> None:
    saved = run("%caterva2 get @public/notes.txt here/")

    assert saved.read_text() == "plain\n"
    assert saved.resolve() == own_surroundings / "here" / "notes.txt"


def test_get_saves_a_directory(handed: Lab, run: Run) -> None:
    assert [path.as_posix() for path in run("%caterva2 get @public/dir1")] == ["@public/dir1/cube.b2nd"]


def test_put_stores_an_array_of_the_notebook_and_rm_removes_it(handed: Lab, run: Run) -> None:
    run("import numpy as np; mine = np.arange(5)")

    assert run("%caterva2 put mine @personal/mine.b2nd") == "@personal/mine.b2nd"
    np.testing.assert_array_equal(run("%caterva2 open @personal/mine.b2nd")[:], np.arange(5))
    assert run("%caterva2 rm @personal/mine.b2nd") == "@personal/mine.b2nd"
    with pytest.raises(DatasetNotFound):
        run("%caterva2 info @personal/mine.b2nd")


def test_put_stores_a_file(handed: Lab, run: Run, own_surroundings: Path) -> None:
    (own_surroundings / "a.txt").write_text("a")

    assert run("%caterva2 upload a.txt @personal/a.txt") == "@personal/a.txt"


def test_events_come_while_one_waits(handed: Lab, run: Run, lab: Lab, capsys: Any) -> None:
    def make() -> None:
        with Client(lab.url, token=lab.token) as client:
            for at in range(40):
                if done.wait(0.05):
                    return
                client.upload(b"x", f"@shared/event{at}.txt")

    done = threading.Event()
    maker = threading.Thread(target=make)
    maker.start()
    found = run("%caterva2 events @shared --count 1 --timeout 20")
    done.set()
    maker.join()

    assert len(found) == 1
    assert re.search(r"changed  @shared/event\d+.txt", repr(found))
    assert "@shared/event" in capsys.readouterr().out


def test_events_end_by_themselves(handed: Lab, run: Run) -> None:
    # an area that only requests write to: files laid into the directory of @public are told of when seen
    assert run("%caterva2 events @personal --timeout 0.2") == []


# expressions


def test_cell_makes_a_lazy_dataset_of_variables_paths_and_numbers(
    handed: Lab, run: Run, shell: InteractiveShell
) -> None:
    run("ds = %caterva2 open @public/plane.b2nd\nk = 3")

    made = run('%%caterva2 total\nds * k  # with a remark\n  + np.sqrt("@public/plane.b2nd")')

    assert made is shell.user_ns["total"]
    assert str(made.path) == "@personal/total.b2nd"
    np.testing.assert_allclose(made[2:4], PLANE[2:4] * 3 + np.sqrt(PLANE[2:4]))


def test_cell_can_be_run_again(handed: Lab, run: Run) -> None:
    run('%%caterva2 again\n"@public/plane.b2nd" + 1')

    assert run('%%caterva2 again\n"@public/plane.b2nd" + 2')[0, 0] == 2


def test_result_of_a_cell_is_an_operand_of_the_next(handed: Lab, run: Run) -> None:
    run('%%caterva2 first\n"@public/plane.b2nd" + 1')

    assert run("%%caterva2 second\nfirst * 2")[0, 0] == 2


def test_cell_can_be_computed_at_once(handed: Lab, run: Run) -> None:
    assert run('%%caterva2 --compute stored\nsum("@public/plane.b2nd", axis=0)').expression is None


def test_fields_of_a_table_are_columns(handed: Lab, run: Run) -> None:
    made = run('%%caterva2 ids\n"@public/people.b2nd"["id"] + 1')

    np.testing.assert_array_equal(made[:], PEOPLE["id"] + 1)


def test_expr_takes_operands_as_cat2cli_does(handed: Lab, run: Run) -> None:
    assert run('%caterva2 expr plus "p + 1" p=@public/plane.b2nd')[0, 0] == 1


def test_operands_of_another_server_are_refused(handed: Lab, run: Run, shell: InteractiveShell) -> None:
    run("ds = %caterva2 open @public/plane.b2nd")
    shell.user_ns["ds"]._urlbase = type(shell.user_ns["ds"]._urlbase).parse("http://elsewhere:1")

    with pytest.raises(BadRequest, match="some lie at http://elsewhere:1"):
        run("%%caterva2 x\nds + 1")


def test_unknown_variable_is_named(handed: Lab, run: Run) -> None:
    with pytest.raises(BadExpression, match="there is no variable 'nothing'"):
        run("%%caterva2 x\nnothing + 1")


def test_name_of_a_cell_must_be_one_of_a_variable(handed: Lab, run: Run) -> None:
    with pytest.raises(UsageError, match="expected the name of a variable"):
        run("%%caterva2 a-b\n1")


# failures and help


def test_a_failure_is_one_sentence_without_traceback(handed: Lab, run: Run, capsys: Any) -> None:
    with pytest.raises(RootNotFound):
        run("%caterva2 ls nowhere")

    said = capsys.readouterr().out.strip()
    assert said.startswith("RootNotFound: nowhere not known")
    assert "\n" not in said


@pytest.mark.parametrize(
    "line",
    ["frobnicate", "info", "events --count x", 'show "open', "get a b c", "login --scope all"],
    ids=["command", "missing", "number", "quote", "many", "choice"],
)
def test_wrong_usage_says_what_would_be_right(handed: Lab, run: Run, capsys: Any, line: str) -> None:
    with pytest.raises(UsageError):
        run(f"%caterva2 {line}")

    said = capsys.readouterr()
    assert "UsageError: " in said.err
    assert "Traceback" not in said.out + said.err


def test_missing_file_is_one_sentence(handed: Lab, run: Run, capsys: Any) -> None:
    with pytest.raises(OSError, match="missing"):
        run("%caterva2 put missing.txt @personal/x.txt")

    assert "Traceback" not in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help(run: Run, capsys: Any, command: Any) -> None:
    run(f"%caterva2 {command.name} --help")

    assert f"usage: %caterva2 {command.name}" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_options_are_those_of_cat2cli(command: Command) -> None:
    names = {command.name, *command.aliases}
    theirs = [each for each in CAT2CLI if names & {each.NAME, *each.ALIASES}]
    ours, wanted = Parser(), Parser()

    command.arguments(ours)
    for each in theirs:
        each.add_arguments(wanted)

    # Values are objects; nothing is printed for programs.
    assert _options(wanted) - {"--json"} <= _options(ours)


def _options(parser: Parser) -> set[str]:
    return {text for action in parser._actions for text in action.option_strings}


def test_magic_alone_shows_all_commands(run: Run, capsys: Any) -> None:
    run("%caterva2")

    assert {name for name in capsys.readouterr().out.split() if name == "subscribe"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_question_mark_shows_every_command(command: Any) -> None:
    assert re.search(rf"%caterva2 {command.name}\b", Caterva2Magics.caterva2.__doc__ or "")


def test_extension_can_be_unloaded_and_loaded_again(run: Run, shell: InteractiveShell, handed: Lab) -> None:
    run("%unload_ext caterva2_jupyter")
    assert "caterva2" not in shell.magics_manager.magics["line"]

    run("%load_ext caterva2_jupyter")
    assert len(run("%caterva2 ls @public/dir1")) == 1
