"""What ``cat2cli`` says: text or JSON on stdout, errors and progress on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Generator
from typing import Any, TextIO


class Output:
    """Where a command writes.

    Parameters
    ----------
    as_json
        One JSON document instead of text.
    """

    def __init__(
        self, *, as_json: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr

    def line(self, text: str) -> None:
        """Write a line for people."""
        self._write(self._stdout, text)

    def document(self, value: Any) -> None:  # noqa: ANN401
        """Write a JSON document."""
        self._write(self._stdout, json.dumps(value, ensure_ascii=False, allow_nan=False))

    def both(self, text: str, value: Any) -> None:  # noqa: ANN401
        """Write the text or the JSON document, whichever is wanted."""
        if self.as_json:
            self.document(value)
        else:
            self.line(text)

    def error(self, text: str) -> None:
        """Write an error to stderr."""
        self._write(self._stderr, f"Error: {text}")

    def note(self, text: str) -> None:
        """Write to stderr what is worth knowing, but no result; after the results so far."""
        self.flush()
        self._write(self._stderr, text)

    def flush(self) -> None:
        """Hand over what was written; `BrokenPipeError` if nobody reads any more."""
        self._stdout.flush()

    def give_up(self) -> None:
        """Write no more: whoever read has gone."""
        # Python flushes stdout once more at its end, and would complain.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stdout.fileno())

    @contextlib.contextmanager
    def progress(self, label: str) -> Generator[Callable[[int, int | None], None] | None, None, None]:
        """Show a progress bar while the block runs; gives None where there is no terminal."""
        if self.as_json or not self._stderr.isatty():
            yield None
            return
        try:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
            from rich.progress import TransferSpeedColumn as SpeedColumn
        except ImportError:
            yield None
            return
        columns = ("{task.description}", BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(file=self._stderr), transient=True) as bar:
            task = bar.add_task(_escaped(label), total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            print(text, file=stream)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def _escaped(text: str) -> str:
    """Return text that rich shows as it is."""
    return text.replace("[", r"\[")
