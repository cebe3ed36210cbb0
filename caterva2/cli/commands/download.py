"""``cat2cli download``: a file, or all files of a directory, to the disk."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from caterva2.cli.commands.base import add_path
from caterva2.errors import BrokenDataset, DatasetNotFound

if TYPE_CHECKING:
    from caterva2.cli.commands.base import Context
    from caterva2.client.tree import Directory, File

NAME = "download"
ALIASES = ("get",)
HELP = "Save a file, or all files of a root or directory. Interrupted downloads go on where they ended."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to save, and where."""
    add_path(parser, "a file, directory or root")
    parser.add_argument(
        "localpath", metavar="LOCAL", nargs="?",
        help="file or directory to save in (default: PATH, below the current directory)",
    )  # fmt: skip


def run(context: Context) -> None:
    """Save the file or the directory."""
    from caterva2.client.tree import File

    found = context.client.get(context.args.path.rstrip("/"))
    if isinstance(found, File):
        saved = _save(context, found, context.args.localpath)
        context.output.both(f"Dataset saved to {saved}", str(saved))
        return
    _save_directory(context, found)


def _save(context: Context, file: File, localpath: str | Path | None) -> Path:
    with context.output.progress(str(file.path)) as progress:
        return file.download(localpath, progress=progress)


def _save_directory(context: Context, directory: Directory) -> None:
    target = Path(context.args.localpath or str(directory.path))
    saved, failed = [], 0
    for file, goal in directory.targets(target):
        try:
            saved.append(str(_save(context, file, goal)))
        except (BrokenDataset, DatasetNotFound) as exc:
            # One bad file must not stop the others.
            context.output.error(str(exc))
            failed += 1
            continue
        if not context.output.as_json:
            context.output.line(f"Dataset saved to {saved[-1]}")
    if context.output.as_json:
        context.output.document(saved)
    elif not saved and not failed:
        context.output.note(f"{directory} holds no files")
    if failed:
        raise BrokenDataset(f"{failed} of {failed + len(saved)} files could not be saved")
