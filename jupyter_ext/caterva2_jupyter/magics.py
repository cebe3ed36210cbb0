"""``%caterva2`` and ``%%caterva2``: what reads their lines, and how failures look."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, cast

import IPython.core.completer
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class

from caterva2.errors import Caterva2Error, ServiceError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from caterva2_jupyter.completion import Completer
    from caterva2_jupyter.context import Context, Parser


@magics_class
class Caterva2Magics(Magics):
    """The magics of Caterva2.

    Parameters
    ----------
    shell
        The IPython that they belong to.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._context: Context | None = None
        self._parser: Parser | None = None

    @property
    def context(self) -> Context:
        """What the commands work with."""
        if self._context is None:
            from caterva2_jupyter.context import Context

            self._context = Context(cast("InteractiveShell", self.shell).user_ns)
        return self._context

    @line_cell_magic
    def caterva2(self, line: str, cell: str | None = None) -> object:
        """Work with the datasets of a Caterva2 subscriber.

        Commands, one to a line; each shows its options with ``--help``::

            %caterva2 connect [URL]           use a subscriber; JupyterLab's without an address
            %caterva2 login [USER]            log in; the password is asked for and not kept
            %caterva2 roots                   the roots, and which are subscribed
            %caterva2 subscribe ROOT          subscribe to a root
            %caterva2 ls [PATH]               the files of a root or directory
            %caterva2 tree [PATH]             the same as a tree
            %caterva2 info PATH               shape, dtype, chunks, compression, attributes
            %caterva2 open PATH [--as NAME]   the dataset, file or directory as an object
            %caterva2 show PATH               look at a dataset or file
            %caterva2 show PATH[0:10, 5]      a slice as an array
            %caterva2 get PATH [LOCAL]        save a file or directory
            %caterva2 put LOCAL PATH          store a file, directory, or array of the notebook
            %caterva2 rm PATH                 remove a file or directory of an area
            %caterva2 events [PATH]           changes, for a while
            %caterva2 expr NAME EXPRESSION    a dataset that is computed when it is read

        What a command finds is its value: ``ds = %caterva2 open foo/ds.b2nd``.
        Tab completes commands, roots and paths; paths with blanks are quoted.

        A cell is an expression over datasets::

            %%caterva2 total
            a + 2*sin("foo/dir/b.b2nd")

        Names are variables of the notebook: datasets, paths, or numbers; quoted
        text is the path of a dataset. The result is a dataset in ``@personal``
        that is computed when it is read, and the variable ``total``.
        With ``--compute`` it is stored.
        """
        from caterva2_jupyter.context import Helped, WrongUsage

        try:
            return self._line(line) if cell is None else self._cell(line, cell)
        except Helped:
            return None
        except WrongUsage as exc:
            raise UsageError(str(exc)) from None
        except (Caterva2Error, OSError) as exc:
            raise in_one_sentence(exc) from None

    def _line(self, line: str) -> object:
        if self._parser is None:
            from caterva2_jupyter.commands import build_parser

            self._parser = build_parser()
        words = _split(line)
        if not words:
            self._parser.print_help()
            return None
        args = self._parser.parse_args(words)
        return args.run(self.context, args)

    def _cell(self, line: str, cell: str) -> object:
        from caterva2_jupyter.context import Parser, variable_name
        from caterva2_jupyter.operands import read_expression

        parser = Parser(prog="%%caterva2", description="The cell is an expression over datasets.")
        parser.add_argument(
            "name", metavar="NAME", type=str, help="of the variable, and of the dataset in @personal"
        )
        parser.add_argument(
            "--compute", action="store_true", help="store the result instead of the expression"
        )
        args = parser.parse_args(_split(line))
        name = variable_name(args.name)
        dataset = self.context.lazy(name, read_expression(cell, self.context.namespace), compute=args.compute)
        self.context.namespace[name] = dataset
        return dataset


def in_one_sentence(exc: BaseException) -> BaseException:
    """Let IPython show an error without its traceback: where we raised it is of no use to anybody."""
    text = str(exc)
    if isinstance(exc, OSError) and exc.strerror:
        text = f"{exc.strerror}: {exc.filename}" if exc.filename else exc.strerror
    lines = [f"{type(exc).__name__}: {text}"]
    request_id = getattr(exc, "request_id", None)
    if request_id and isinstance(exc, ServiceError):
        lines.append(f"(the server knows this as request {request_id})")
    cast("Any", exc)._render_traceback_ = lambda: lines
    return exc


def register(shell: InteractiveShell) -> None:
    """Add the magics, their completion, and how our objects look, to a shell."""
    from caterva2_jupyter import showing

    magics = Caterva2Magics(shell)
    shell.register_magics(magics)
    showing.register(shell)
    _forget_completers(shell)
    completer = _LateCompleter(magics)
    if hasattr(IPython.core.completer, "CompletionContext"):
        shell.Completer.custom_matchers.append(completer)
    else:  # IPython 7, as on Colab
        for key in ("%caterva2", "%%caterva2"):
            hook = completer.hook
            shell.set_hook("complete_command", hook, str_key=key)  # type: ignore[no-untyped-call]


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`."""
    from caterva2_jupyter import showing

    showing.unregister(shell)
    _forget_completers(shell)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("caterva2", None)
    shell.magics_manager.registry.pop(Caterva2Magics.__name__, None)


class _LateCompleter:
    """Loads the completer when Tab is first hit behind ``%caterva2``."""

    matcher_api_version = 2
    matcher_identifier = "caterva2"
    matcher_priority = 100.0

    def __init__(self, magics: Caterva2Magics) -> None:
        self.__qualname__ = self.matcher_identifier  # IPython looks for it on every matcher
        self._magics = magics
        self._completer: Completer | None = None

    def __call__(self, context: Any) -> Any:  # noqa: ANN401
        if "%caterva2" not in context.full_text:
            return {"completions": [], "suppress": False}
        return self._load()(context)

    def hook(self, shell: object, event: Any) -> list[str]:  # noqa: ANN401
        """Do the same for IPython 7, which replaces only what follows the last delimiter."""
        fragment, found = self._load().complete(event.line, event.text_until_cursor)
        kept = len(fragment) - len(event.symbol)
        return [text[kept:] for text in found]

    def _load(self) -> Completer:
        if self._completer is None:
            from caterva2_jupyter.completion import Completer

            self._completer = Completer(self._magics.context)
        return self._completer


def _forget_completers(shell: InteractiveShell) -> None:
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if not isinstance(matcher, _LateCompleter)]


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as exc:
        raise UsageError(f"{exc}: {line.strip()}") from None
