"""Whole files from a server to the disk: resumed when interrupted, verified, and complete or absent."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from caterva2.client import calls
from caterva2.errors import (
    AlreadyExists,
    BadPath,
    BrokenDataset,
    ConnectFailed,
    CorruptChunk,
    DatasetChanged,
    DatasetNotFound,
    ProtocolMismatch,
    TimedOut,
)

if TYPE_CHECKING:
    from caterva2.client.datachannel import Answer, Channel
    from caterva2.model.paths import DatasetPath

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the bytes that are there, and the bytes of the whole file if known."""

PART, NOTE = ".part", ".part.json"
MAX_BARREN = 3
"""Give up after so many interruptions one after the other that brought nothing."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def local_target(path: DatasetPath, localpath: str | os.PathLike[str] | None) -> Path:
    """Return where a download goes: below the current directory, in a directory, or at a name."""
    if localpath is None:
        return Path(str(path))
    target = Path(localpath)
    into = target.is_dir() or os.fspath(localpath).endswith(("/", os.sep))
    return target / path.name if into else target


def download_file(
    channel: Channel, path: DatasetPath, target: Path, *, progress: Progress | None = None
) -> Path:
    """Download a file; blocking.

    What has arrived is kept beside `target` as ``NAME.part``, so that the next
    attempt goes on where this one ended, if the file is still the same.

    Raises
    ------
    Caterva2Error
        The server refuses, or the connection breaks again and again.
    CorruptChunk
        What arrived is not the frame that it claims to be.
    AlreadyExists
        Another download to the same place is under way.
    OSError
        The disk refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise BadPath(f"can not save {path} as {target}: that is a directory")
    part = target.with_name(target.name + PART)
    with _open_part(part) as file:
        transfer = _Transfer(channel, path, file, target.with_name(target.name + NOTE), progress)
        try:
            transfer.run()
            file.flush()
        except BaseException:
            if transfer.etag is None:
                part.unlink(missing_ok=True)
            raise
        if path.name.endswith((".b2nd", ".b2frame")):
            _check_frame(file, path, transfer)
        # Not synchronised with the disk: a download can be repeated.
        part.replace(target)
        transfer.forget()
    return target


def download_tree(
    channel: Channel,
    path: DatasetPath,
    names: Iterable[str],
    target: Path,
    *,
    progress: Progress | None = None,
) -> Path:
    """Download the files of a directory, one after the other; blocking.

    Parameters
    ----------
    names
        Paths of the files below `path`, as the server lists them.
    target
        Directory for them; made if missing.
    progress
        Called with the bytes of all files together; their total is not known.

    Raises
    ------
    BrokenDataset, DatasetNotFound
        Some files can not be read, or went away meanwhile; all others are there.
    """
    target.mkdir(parents=True, exist_ok=True)
    before = 0
    failed: list[BrokenDataset | DatasetNotFound] = []
    for source, goal in tree_targets(path, names, target):

        def count(done: int, _: int | None, before: int = before) -> None:
            if progress is not None:
                progress(before + done, None)

        try:
            before += download_file(channel, source, goal, progress=count).stat().st_size
        except (BrokenDataset, DatasetNotFound) as exc:
            failed.append(exc)
    if failed:
        more = f", and {len(failed) - 1} others" if len(failed) > 1 else ""
        raise type(failed[0])(f"{failed[0].message}{more}", hint="all other files were saved")
    return target


def tree_targets(path: DatasetPath, names: Iterable[str], target: Path) -> Iterator[tuple[DatasetPath, Path]]:
    """Yield the files of a directory, and where each goes below `target`.

    Raises
    ------
    BadPath
        A name would leave the directory.
    """
    for name in names:
        source = path / name
        yield source, target.joinpath(*source.parts[len(path.parts) :])


@dataclass
class _Transfer:
    channel: Channel
    path: DatasetPath
    file: IO[bytes]
    note: Path
    progress: Progress | None
    done: int = 0
    total: int | None = None
    etag: str | None = None

    def run(self) -> None:
        """Bring all bytes into the file."""
        self._remember()
        barren = 0
        while True:
            before = self.done
            try:
                self._attempt()
                break
            except (ConnectFailed, TimedOut):
                barren = 0 if self.done > before else barren + 1
                if barren >= MAX_BARREN or not self.etag:
                    raise
        if self.total is not None and self.done != self.total:
            raise ConnectFailed(f"{self.path} has {self.total} bytes; {self.done} arrived")

    def forget(self) -> None:
        """Remove what belongs to an unfinished download."""
        self.note.unlink(missing_ok=True)

    def restart(self) -> None:
        """Begin anew."""
        self.done, self.etag = 0, None
        self.file.seek(0)
        self.file.truncate()
        self.forget()

    def _remember(self) -> None:
        """Take up what an earlier download has left."""
        size = self.file.seek(0, os.SEEK_END)
        try:
            note = json.loads(self.note.read_text("utf-8"))
            if note["path"] == str(self.path) and isinstance(note["etag"], str) and size:
                self.done, self.etag = size, note["etag"]
                return
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.restart()

    def _attempt(self) -> None:
        call = calls.download(self.path)
        headers = dict(call.headers)
        if self.done and self.etag:
            headers |= {"Range": f"bytes={self.done}-", "If-Range": self.etag}
        with self.channel.request(call.method, call.target, headers=headers) as answer:
            if answer.status == 416:
                if not self.done:
                    calls.check(calls.Reply(answer.status, answer.headers, answer.read()))
                self._finish_or_restart(answer)
                return
            if answer.status == 206:
                self._continue(answer)
            elif answer.status == 200:
                self.restart()
                self.total = answer.length
                self._take_note(answer)
            else:
                calls.check(calls.Reply(answer.status, answer.headers, answer.read()))
                raise ProtocolMismatch(f"unexpected status {answer.status} of a download")
            self._receive(answer)

    def _finish_or_restart(self, answer: Answer) -> None:
        """Handle the answer to a range behind the end: all is there, or the file has shrunk."""
        size = answer.headers.get("content-range", "").rpartition("/")[2]
        if size == str(self.done):
            self.total = self.done
            return
        self.restart()
        self._attempt()

    def _continue(self, answer: Answer) -> None:
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        if found is None or int(found[1]) != self.done:
            raise ProtocolMismatch(f"asked for {self.path} from byte {self.done} on; the server sent others")
        etag = answer.headers.get("etag", self.etag)
        if etag != self.etag:
            self.restart()
            raise DatasetChanged(f"{self.path} changed while it was downloaded", hint="download it again")
        self.total = int(found[3])

    def _take_note(self, answer: Answer) -> None:
        etag = answer.headers.get("etag", "")
        if not etag.startswith('"') or answer.headers.get("accept-ranges") != "bytes":
            return
        self.etag = etag
        self.note.write_text(json.dumps({"path": str(self.path), "etag": etag}), "utf-8")

    def _receive(self, answer: Answer) -> None:
        self.file.seek(self.done)
        self._tell()
        for piece in answer.pieces():
            self.file.write(piece)
            self.done += len(piece)
            self._tell()
        if self.total is None:
            self.total = self.done

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.done, self.total)


@contextlib.contextmanager
def _open_part(part: Path) -> Generator[IO[bytes], None, None]:
    """Open the unfinished file for one download at a time."""
    while True:
        fd = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
        with open(fd, "r+b") as file:
            _lock(fd, part)
            # Another download may have finished, and renamed the file, before it was locked.
            if not part.exists() or not os.path.samestat(os.fstat(fd), part.stat()):
                continue
            try:
                yield file
            except BaseException:
                if file.seek(0, os.SEEK_END) == 0:
                    part.unlink(missing_ok=True)
                raise
            return


def _lock(fd: int, part: Path) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise AlreadyExists(f"another download to {part.name.removesuffix(PART)} is under way") from exc


def _check_frame(file: IO[bytes], path: DatasetPath, transfer: _Transfer) -> None:
    """Compare the length that a frame claims with what arrived."""
    file.seek(0)
    head = file.read(24)
    size = file.seek(0, os.SEEK_END)
    if head[:10] != b"\x9e\xa8b2frame\x00" or int.from_bytes(head[16:24], "big") != size:
        transfer.restart()
        raise CorruptChunk(f"what arrived of {path} is not a complete Blosc2 frame", hint="download it again")
