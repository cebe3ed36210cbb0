"""The operator's programs, ``cat2adduser`` and ``cat2admin``: they work on a subscriber's state directory.

Exit status: 0 done, 1 it can not be done, 2 wrong command line or configuration.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from caterva2._version import __version__
from caterva2.cli.output import Output
from caterva2.config.load import SECRET_VARIABLE, load_subscriber
from caterva2.config.units import parse_size
from caterva2.errors import BrokenDataset, Caterva2Error, ConfigError
from caterva2.model.wire import plain

if TYPE_CHECKING:
    from caterva2.config.schema import SubscriberConfig
    from caterva2.roles.subscriber.admin import Admin

    _Command: TypeAlias = Callable[[Admin, argparse.Namespace, Output], None]

DEFAULT = "default"


def adduser_parser() -> argparse.ArgumentParser:
    """Return the command line of ``cat2adduser``."""
    parser = _parser("cat2adduser", "Add a user of a subscriber.")
    parser.add_argument("-S", "--superuser", action="store_true", help="the new user manages users, too")
    parser.add_argument("username", metavar="USERNAME", help="e-mail of the new user")
    parser.add_argument("password", metavar="PASSWORD", nargs="?", help="his password (default: a new one)")
    return parser


def admin_parser() -> argparse.ArgumentParser:
    """Return the command line of ``cat2admin``."""
    parser = _parser("cat2admin", "Manage the users of a subscriber, look after its files, and copy them.")
    parser.add_argument("--json", action="store_true", help="print JSON for programs instead of text")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)

    users = commands.add_parser("users", help="Manage the users.", description="Manage the users.")
    of_users = users.add_subparsers(title="commands", metavar="COMMAND", dest="action", required=True)

    def command(name: str, do: _Command, text: str, group: bool = False) -> argparse.ArgumentParser:
        sub = (of_users if group else commands).add_parser(name, help=text, description=text)
        sub.set_defaults(do=do)
        return sub

    command("list", _list, "List the users.", group=True)
    sub = command("add", _add, "Add a user.", group=True)
    sub.add_argument("-S", "--superuser", action="store_true", help="who manages users, too")
    _user(sub)
    sub.add_argument("password", metavar="PASSWORD", nargs="?", help="his password (default: a new one)")
    _user(command("remove", _remove, "Remove a user and his personal area.", group=True))
    _user(command("promote", _promote, "Make a user a superuser.", group=True))
    _user(command("demote", _demote, "Make a superuser an ordinary user.", group=True))
    sub = command("groups", _groups, "Make a user a member of these groups and no others.", group=True)
    _user(sub)
    sub.add_argument("groups", metavar="GROUP", nargs="*", help="names of groups; none leaves all")
    sub = command("logout", _logout, "End all sessions of a user.", group=True)
    sub.add_argument("--tokens", action="store_true", help="end all his tokens, too")
    _user(sub)
    _user(command("reset-link", _reset_link, "Print a link with which a user sets a new password."))
    _user(command("tokens", _tokens, "List the tokens of a user."))
    sub = command("revoke", _revoke, "End a token of a user.")
    _user(sub)
    sub.add_argument("id", metavar="ID", help="id of the token, see tokens")
    sub = command("quota", _quota, "Print how much room the areas take, or set the limit of a user.")
    sub.add_argument("user", metavar="USER", nargs="?", help="e-mail of a user (default: all areas)")
    sub.add_argument(
        "size", metavar="SIZE", nargs="?", type=_quota_size,
        help="limit of his personal area: a size such as 20G, none, or default for that of userquota",
    )  # fmt: skip
    sub = command("fsck", _fsck, "Look for broken files, leftovers, and personal areas of nobody.")
    sub.add_argument("--deep", action="store_true", help="decode every chunk, too; takes long")
    sub.add_argument("--repair", action="store_true", help="remove leftovers of uploads; no user's file")
    sub = commands.add_parser(
        "backup", help="Copy users and areas to a new directory.",
        description="Copy users, areas and subscriptions to a new directory.",
    )  # fmt: skip
    sub.set_defaults(on_state=_backup)
    sub.add_argument("target", metavar="TARGET", type=Path, help="directory for the copy, new or empty")
    sub = commands.add_parser(
        "restore", help="Make a state directory from a backup.",
        description="Make a state directory, which must be new or empty, from a backup that is sound.",
    )  # fmt: skip
    sub.set_defaults(on_state=_restore)
    sub.add_argument("--check", action="store_true", help="verify the backup, and write nothing")
    sub.add_argument("source", metavar="BACKUP", type=Path, help="directory that backup has made")
    return parser


def adduser(argv: Sequence[str] | None = None) -> int:
    """Run ``cat2adduser`` and return its exit status."""
    args = adduser_parser().parse_args(argv)

    def do(admin: Admin, args: argparse.Namespace, output: Output) -> None:
        password = admin.add(args.username, args.password, superuser=args.superuser)
        output.line(f"Password: {password}")

    args.do = do
    return _main("cat2adduser", args, Output(as_json=False))


def admin(argv: Sequence[str] | None = None) -> int:
    """Run ``cat2admin`` and return its exit status."""
    args = admin_parser().parse_args(argv)
    return _main("cat2admin", args, Output(as_json=args.json))


def _main(prog: str, args: argparse.Namespace, output: Output) -> int:
    logging.basicConfig(level=(args.loglevel or "warning").upper())
    try:
        config = _config(args)
        if "on_state" in args:  # a command that opens no database of users
            args.on_state(config.statedir, args, output)
            return 0
        from caterva2.roles.subscriber.admin import Admin

        with Admin(config) as opened:
            args.do(opened, args, output)
    except ConfigError as exc:
        return _fail(prog, str(exc), 2)
    except Caterva2Error as exc:
        return _fail(prog, str(exc), 1)
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("caterva2"):
            raise
        return _fail(prog, f"needs the package {exc.name}; run: pip install 'caterva2[services]'", 1)
    except OSError as exc:
        return _fail(prog, f"{exc.strerror or exc}{f': {exc.filename}' if exc.filename else ''}", 1)
    return 0


def _config(args: argparse.Namespace) -> SubscriberConfig:
    given = [part for name in ("conf", "id", "statedir", "loglevel") for part in _option(args, name)]
    # Who may log in is not looked at here: the secret need not be known.
    return load_subscriber(given, environ={SECRET_VARIABLE: "unused", **os.environ})


def _option(args: argparse.Namespace, name: str) -> list[str]:
    value = getattr(args, name)
    return [] if value is None else [f"--{name}", value]


def _parser(prog: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=description, allow_abbrev=False,
        epilog="Reads the section [subscriber] of caterva2.toml; the subscriber may run meanwhile.",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"{prog} {__version__}")
    parser.add_argument("--conf", metavar="PATH", help="configuration file (default: caterva2.toml)")
    parser.add_argument("--id", metavar="ID", help="the section [subscriber.ID]")
    parser.add_argument("--statedir", metavar="DIR", help="state directory of the subscriber")
    parser.add_argument("--loglevel", metavar="LEVEL", help="how much is logged (default: warning)")
    return parser


def _user(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", metavar="USER", help="e-mail of the user")


def _list(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    users = admin.users()
    if args.json:
        output.document([plain(user) for user in users])
        return
    for user in users:
        kind = "superuser" if user.is_superuser else "user"
        output.line("  ".join([user.email, kind, *(f"group:{name}" for name in user.groups)]))


def _add(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    password = admin.add(args.user, args.password, superuser=args.superuser)
    output.both(f"Password: {password}", {"user": args.user, "password": password})


def _remove(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    admin.remove(args.user)
    output.both(f"User removed: {args.user}", {"user": args.user})


def _promote(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    admin.set_superuser(args.user, superuser=True)
    output.both(f"{args.user} is a superuser", {"user": args.user, "superuser": True})


def _demote(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    admin.set_superuser(args.user, superuser=False)
    output.both(f"{args.user} is an ordinary user", {"user": args.user, "superuser": False})


def _groups(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    admin.set_groups(args.user, frozenset(args.groups))
    output.both(f"{args.user} is in: {', '.join(args.groups) or 'no group'}", {"groups": args.groups})


def _logout(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    admin.end_sessions(args.user, tokens=args.tokens)
    what = "sessions and tokens" if args.tokens else "sessions"
    output.both(f"All {what} of {args.user} have ended", {"user": args.user, "tokens": args.tokens})


def _reset_link(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    link = admin.reset_link(args.user)
    output.both(link, {"link": link})


def _tokens(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    tokens = admin.tokens(args.user)
    if args.json:
        output.document([plain(token) for token in tokens])
        return
    for token in tokens:
        ends = token.expires or "never"
        output.line(
            f"{token.id}  {token.scope}  ends {ends}  used {token.last_used or 'never'}  {token.name}"
        )


def _revoke(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    admin.revoke_token(args.user, args.id)
    output.both(f"Token revoked: {args.id}", {"id": args.id})


def _quota(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    if args.user is not None:
        if args.size is not None:
            admin.set_quota(args.user, None if args.size == DEFAULT else args.size)
        room = admin.usage_of(args.user)
        name = f"@personal of {args.user}"
        output.both(_room(name, room.used, room.limit), {"used": room.used, "quota": room.limit})
        return
    usage = admin.usage()
    total = sum(room.used for room in usage.values())
    if args.json:
        areas = {name: room.used for name, room in usage.items()}
        quotas = {name: room.limit for name, room in usage.items()}
        output.document({"areas": areas, "quotas": quotas, "total": total, "quota": admin.quota})
        return
    for name, room in usage.items():
        output.line(_room(name, room.used, room.limit))
    output.line(_room("all areas", total, admin.quota))


def _room(name: str, used: int, limit: int | None) -> str:
    return f"{used:>18,}  of {'no limit' if limit is None else f'{limit:,}':>18}  {name}"


def _quota_size(text: str) -> int | str:
    if text == DEFAULT:
        return DEFAULT
    try:
        return 0 if text == "none" else parse_size(text)
    except ConfigError as exc:
        raise argparse.ArgumentTypeError(exc.message) from exc


def _fsck(admin: Admin, args: argparse.Namespace, output: Output) -> None:
    problems, mended = admin.fsck(deep=args.deep, repair=args.repair)
    if args.json:
        output.document({"problems": problems, "mended": mended} if args.repair else problems)
    else:
        for line in mended:
            output.line(f"{line}; removed")
        for line in problems:
            output.line(line)
    if problems:
        raise BrokenDataset(f"{len(problems)} problems were found")
    if not args.json:
        output.line("no problems were found" if not mended else f"{len(mended)} problems were mended")


def _backup(state: Path, args: argparse.Namespace, output: Output) -> None:
    from caterva2.roles.subscriber.admin import back_up

    manifest, left_out, settled = back_up(state, args.target, version=__version__)
    for path in left_out:
        output.note(f"left out {path}: no regular file, or a name that is no text")
    if not settled:
        output.note("files changed all the while: each is whole, but some may be missing that were moved")
    count = len(manifest.files)
    output.both(
        f"{count} files with {manifest.size:,} bytes are in {args.target}",
        {"files": count, "bytes": manifest.size, "settled": settled, "left_out": left_out},
    )


def _restore(state: Path, args: argparse.Namespace, output: Output) -> None:
    from caterva2.cli.serve import owned
    from caterva2.roles.subscriber.admin import check, restore

    if args.check:
        manifest, where = check(args.source), "sound"
    else:
        with owned(state):
            manifest, where = restore(args.source, state), f"in {state}"
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(manifest.made))
    count = len(manifest.files)
    output.both(
        f"{count} files with {manifest.size:,} bytes, copied {made} by {manifest.version}, are {where}",
        {"files": count, "bytes": manifest.size, "made": manifest.made, "version": manifest.version},
    )


def _fail(prog: str, message: str, status: int) -> int:
    sys.stderr.write(f"{prog}: {' '.join(message.split())}\n")
    return status


if __name__ == "__main__":
    sys.exit(admin())
