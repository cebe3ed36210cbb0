"""The commands of ``%caterva2``: their arguments, and what they do. The words are those of ``cat2cli``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caterva2.client.api import Client
from caterva2.client.tree import Dataset, Directory, File
from caterva2.errors import BrokenDataset, DatasetNotFound, NotADataset
from caterva2.model.slicing import split_slice
from caterva2_jupyter import results
from caterva2_jupyter.bars import progress
from caterva2_jupyter.context import Context, Parser, WrongUsage, ask, ask_secret, variable_name
from caterva2_jupyter.kernel import open_session

TEXT_BYTES = 256 << 10
"""Of a text so much is shown."""
PICTURE_BYTES = 16 << 20
EVENTS_S = 10.0


@dataclass(frozen=True)
class Command:
    """A command: how it is called, and what it does.

    Attributes
    ----------
    takes
        What its arguments are, for completion: ``path``, ``root``, ``server``, ``local``; one for each.
    """

    name: str
    help: str
    arguments: Callable[[Parser], None]
    run: Callable[[Context, argparse.Namespace], object]
    aliases: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


def build_parser(prog: str = "%caterva2") -> Parser:
    """Return the command line."""
    parser = Parser(prog=prog, description="Work with the datasets of a Caterva2 subscriber.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name, aliases=list(command.aliases), help=command.help, description=command.help
        )
        command.arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


def find_command(word: str) -> Command | None:
    """Return the command of a name or alias."""
    return next((c for c in COMMANDS if word == c.name or word in c.aliases), None)


# connections


def _connect_arguments(parser: Parser) -> None:
    parser.add_argument(
        "server", metavar="URL", nargs="?",
        help="address, or a name that JupyterLab has for it (default: the one chosen in JupyterLab, or "
        "subscriber.url of caterva2.toml)",
    )  # fmt: skip
    parser.add_argument("--username", metavar="NAME", help="who logs in; the password is asked for")


def _connect(context: Context, args: argparse.Namespace) -> object:
    auth = (args.username, ask_secret(f"Password of {args.username}: ")) if args.username else None
    session = open_session(args.server, auth=auth)
    Client.of(session).get_roots()  # so that a wrong address is found now
    context.connect(session)
    return context.client


def _login_arguments(parser: Parser) -> None:
    parser.add_argument("user", metavar="USER", nargs="?", help="e-mail; asked for if it is not given")
    parser.add_argument(
        "--scope", default="write", choices=("read", "write", "admin"),
        help="what the token is good for: read, write or admin (default: write)",
    )  # fmt: skip
    parser.add_argument(
        "--days", metavar="DAYS", type=float, default=90.0, help="how long it is good (default: 90)"
    )


def _login(context: Context, args: argparse.Namespace) -> object:
    from caterva2.client.login import keep_login
    from caterva2.client.session import Session, stored_token

    urlbase = context.session.urlbase
    user = args.user or ask("E-mail: ")
    password = ask_secret(f"Password of {user}: ")
    made = keep_login(str(urlbase), user, password, program="notebook", scope=args.scope, days=args.days)
    # Not what Jupyter hands over, if it does: one has just said who one is.
    context.connect(Session(str(urlbase), token=stored_token(urlbase)))
    return results.Text(f"Logged in as {user} until {made.expires}; the token is in {made.file}")


# looking around


def _no_arguments(parser: Parser) -> None:
    del parser


def _roots(context: Context, args: argparse.Namespace) -> object:
    return results.Roots(context.client.get_roots())


def _path(what: str, *, optional: bool = False) -> Callable[[Parser], None]:
    def declare(parser: Parser) -> None:
        parser.add_argument("path", metavar="PATH", nargs="?" if optional else None, help=what)

    return declare


def _ls(context: Context, args: argparse.Namespace) -> object:
    if args.path is None:
        return _roots(context, args)
    path = args.path.rstrip("/")
    return results.Listing(path, context.client.get_list(path))


def _tree(context: Context, args: argparse.Namespace) -> object:
    client = context.client
    paths = [args.path.rstrip("/")] if args.path else sorted(client.get_roots())
    return results.Tree({path: client.get_list(path) for path in paths})


def _info(context: Context, args: argparse.Namespace) -> object:
    path = args.path.rstrip("/")
    return results.Info(path, context.client.get_info(path))


def _subscribe_arguments(parser: Parser) -> None:
    parser.add_argument("root", metavar="ROOT", help="name of the root")


def _subscribe(context: Context, args: argparse.Namespace) -> object:
    return results.Text(context.client.subscribe(args.root.rstrip("/")))


def _events_arguments(parser: Parser) -> None:
    parser.add_argument("path", metavar="PATH", nargs="?", help="only below this root, directory or file")
    parser.add_argument("--count", metavar="N", type=_positive, help="end after N events")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, default=EVENTS_S,
        help=f"end after so many seconds (default: {EVENTS_S:g}); interrupting the kernel ends it too",
    )  # fmt: skip


def _events(context: Context, args: argparse.Namespace) -> object:
    from caterva2.client.display import event_text
    from caterva2.model.events import Envelope
    from caterva2_jupyter.following import follow_events

    def tell(envelope: Envelope) -> None:
        sys.stdout.write(event_text(envelope) + "\n")
        sys.stdout.flush()

    found = follow_events(
        context.session, path=args.path, count=args.count, timeout_s=args.timeout, tell=tell
    )
    return results.Events(found)


# data


def _open_arguments(parser: Parser) -> None:
    parser.add_argument("path", metavar="PATH", help="a root, directory, file or dataset")
    parser.add_argument("--as", metavar="NAME", dest="name", help="variable to keep it in")


def _open(context: Context, args: argparse.Namespace) -> object:
    found = context.client.get(args.path.rstrip("/"))
    if args.name is not None:
        context.namespace[variable_name(args.name)] = found
    return found


def _show_arguments(parser: Parser) -> None:
    parser.add_argument(
        "path", metavar="PATH", nargs="+",
        help="a dataset or file; a slice in brackets, such as foo/ds.b2nd[0:10, 5], gives an array",
    )  # fmt: skip
    parser.add_argument(
        "--filter", metavar="CONDITION", help="an array of only these rows of a structured array"
    )
    parser.add_argument(
        "--sortby", metavar="COLUMNS", help="an array of the rows in this order, such as --sortby=-a,b"
    )


def _show(context: Context, args: argparse.Namespace) -> object:
    path, text = split_slice(" ".join(args.path))
    if args.filter is not None or args.sortby is not None:
        return context.client.filter(path, args.filter, sortby=args.sortby, slice_=text)
    found = context.client.get(path.rstrip("/"))
    if isinstance(found, Directory) and text:
        raise NotADataset(f"{path} is a directory; it has no slices")
    if isinstance(found, File) and text:
        return found.fetch(text)
    if isinstance(found, Dataset | Directory):
        from caterva2_jupyter.showing import show

        return show(found)
    return _contents(found)


def _contents(file: File) -> object:
    """Return what a file that is no array looks like."""
    from IPython import display

    suffix = file.path.suffix.lower()
    if suffix in {".png", ".jpg", ".jpeg", ".gif"} and file.size <= PICTURE_BYTES:
        return display.Image(data=file[:])  # type: ignore[no-untyped-call]
    # Markdown too is shown as it is written: pages in it, scripts too, would run as the user's own, for
    # front ends trust what comes out of a cell. JupyterLab's viewer renders it, and cleans it before.
    data = file[:TEXT_BYTES]
    left = file.size - len(data)
    if not _is_text(data):
        return results.Text("Binary data")
    # A character may be cut in two at the end.
    text = data.decode("utf-8", "ignore" if left > 0 else "replace")
    return results.Text(f"{text}\n… and {left} more bytes" if left > 0 else text)


def _is_text(data: bytes) -> bool:
    try:
        data[: max(0, len(data) - 4)].decode("utf-8")
    except UnicodeDecodeError as exc:
        # The cut may go through a character.
        return exc.end >= len(data) - 8 and exc.reason == "unexpected end of data"
    return b"\0" not in data


def _get_arguments(parser: Parser) -> None:
    parser.add_argument("path", metavar="PATH", help="a file, directory or root")
    parser.add_argument(
        "localpath", metavar="LOCAL", nargs="?",
        help="file or directory to save in (default: PATH, below the current directory)",
    )  # fmt: skip


def _get(context: Context, args: argparse.Namespace) -> object:
    found = context.client.get(args.path.rstrip("/"))
    if isinstance(found, File):
        with progress(str(found.path)) as bar:
            return found.download(args.localpath, progress=bar)
    target = Path(args.localpath or str(found.path))
    saved: list[Path] = []
    failed: list[str] = []
    for file, goal in found.targets(target):
        try:
            with progress(str(file.path)) as bar:
                saved.append(file.download(goal, progress=bar))
        except (BrokenDataset, DatasetNotFound) as exc:
            # One bad file must not stop the others.
            failed.append(str(exc))
    if failed:
        raise BrokenDataset(f"{len(failed)} of {len(failed) + len(saved)} files: {'; '.join(failed[:3])}")
    return saved


def _put_arguments(parser: Parser) -> None:
    parser.add_argument(
        "local", metavar="LOCAL", help="a file, a directory, or a variable that holds an array"
    )
    parser.add_argument(
        "path", metavar="PATH", help="where to, such as @personal/name.b2nd, or a directory that exists"
    )
    parser.add_argument(
        "--unpack", action="store_true", help="LOCAL is a .zip or .tar.gz: store its members below PATH"
    )
    parser.add_argument(
        "--if-match", metavar="ETAG", help='only over the file of this etag; "" only if there is none'
    )


def _put(context: Context, args: argparse.Namespace) -> object:
    local = Path(args.local)
    value: object = local
    if not local.exists() and args.local in context.namespace:
        value = context.namespace[args.local]
    with progress(args.local) as bar:
        stored = context.client.upload(
            value, args.path, if_match=args.if_match, unpack=args.unpack, progress=bar
        )
    return results.Text(stored)


def _rm(context: Context, args: argparse.Namespace) -> object:
    return results.Text(context.client.remove(args.path.rstrip("/")))


def _expr_arguments(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the new dataset, without suffix")
    parser.add_argument("expression", metavar="EXPRESSION", help="the expression, in quotes")
    parser.add_argument(
        "operands", metavar="VARIABLE=PATH", nargs="*",
        help="the dataset that a variable stands for; variables of the notebook need none",
    )  # fmt: skip
    parser.add_argument("--compute", action="store_true", help="store the result instead of the expression")


def _expr(context: Context, args: argparse.Namespace) -> object:
    from caterva2_jupyter.operands import read_expression

    given: dict[str, object] = {}
    for text in args.operands:
        name, equals, path = text.partition("=")
        if not equals or not name or not path or name in given:
            raise WrongUsage(f"expected VARIABLE=PATH once for each variable, found {text!r}")
        given[name.strip()] = path.strip()
    expression = read_expression(args.expression, {**context.namespace, **given})
    return context.lazy(args.name, expression, compute=args.compute)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError(text)
    return value


COMMANDS: tuple[Command, ...] = (
    Command(
        "connect", "Use a subscriber; without an address the one that JupyterLab uses.",
        _connect_arguments, _connect, takes=("server",),
    ),
    Command(
        "login", "Log in: keep a token for this subscriber; the password is asked for and not kept.",
        _login_arguments, _login,
    ),
    Command("roots", "List the roots, and which are subscribed.", _no_arguments, _roots),
    Command(
        "ls", "List all files of a root or directory.", _path("a root, directory or file", optional=True),
        _ls, ("list",), ("path",),
    ),
    Command(
        "tree", "Show the files of a root or directory, or of all roots, as a tree.",
        _path("a root or directory; all roots without one", optional=True), _tree, takes=("path",),
    ),
    Command(
        "info", "Describe a file: shape, dtype, chunks, compression, attributes.",
        _path("a file or directory"), _info, takes=("path",),
    ),
    Command("open", "Return a root, directory, file or dataset.", _open_arguments, _open, takes=("path",)),
    Command(
        "show", "Look at a dataset or file; of a slice in brackets get the array.", _show_arguments, _show,
        takes=("path",),
    ),
    Command(
        "get", "Save a file, or all files of a root or directory.", _get_arguments, _get, ("download",),
        ("path", "local"),
    ),
    Command(
        "put", "Store a file, a directory or an array of the notebook in an area.", _put_arguments, _put,
        ("upload",), ("local", "path"),
    ),
    Command(
        "rm", "Remove a file, or a directory with all that is in it.", _path("a file, directory or area"),
        _rm, ("remove",), ("path",),
    ),
    Command("subscribe", "Subscribe to a root.", _subscribe_arguments, _subscribe, takes=("root",)),
    Command(
        "events", "Follow changes of files and roots for a while.", _events_arguments, _events,
        takes=("path",),
    ),
    Command(
        "expr", "Make a dataset in @personal that is computed when read.", _expr_arguments, _expr,
        ("lazyexpr",), ("name", "expression", *["operand"] * 8),
    ),
)  # fmt: skip
"""All commands, in the order of the help."""
