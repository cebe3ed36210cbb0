"""What programs of ours print, and where."""

from __future__ import annotations

import io

import pytest

from caterva2.cli.output import Output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def streams() -> tuple[io.StringIO, Terminal]:
    return io.StringIO(), Terminal()


def test_results_go_to_stdout_and_errors_to_stderr(streams: tuple[io.StringIO, Terminal]) -> None:
    out, err = streams
    output = Output(stdout=out, stderr=err)

    output.line("a")
    output.error("b")
    output.note("c")

    assert (out.getvalue(), err.getvalue()) == ("a\n", "Error: b\nc\n")


@pytest.mark.parametrize(("as_json", "text"), [(False, "text\n"), (True, '["ü"]\n')])
def test_both_is_text_or_json(as_json: bool, text: str, streams: tuple[io.StringIO, Terminal]) -> None:
    out, err = streams

    Output(as_json=as_json, stdout=out, stderr=err).both("text", ["ü"])

    assert out.getvalue() == text


def test_what_a_terminal_can_not_show_is_escaped() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, "ascii")

    Output(stdout=out).line("├── ü")
    out.flush()

    assert raw.getvalue() == b"\\u251c\\u2500\\u2500 \\xfc\n"


def test_progress_is_drawn_on_a_terminal(streams: tuple[io.StringIO, Terminal]) -> None:
    out, err = streams

    with Output(stdout=out, stderr=err).progress("a[1].b2nd") as progress:
        assert progress is not None
        progress(5, 10)
        progress(10, 10)

    assert out.getvalue() == ""
    assert "a[1].b2nd" in err.getvalue()


@pytest.mark.parametrize(("as_json", "stream"), [(True, Terminal()), (False, io.StringIO())])
def test_programs_see_no_progress(as_json: bool, stream: io.StringIO) -> None:
    with Output(as_json=as_json, stderr=stream).progress("x") as progress:
        assert progress is None

    assert stream.getvalue() == ""
