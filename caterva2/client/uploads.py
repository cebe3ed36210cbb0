"""Writing to the areas of a server: files and arrays in parts that resume, and changes of names."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from caterva2.client import calls
from caterva2.client.calls import Call
from caterva2.errors import AlreadyExists, BadRequest, ConnectFailed, NotFound, TimedOut, UploadOffset
from caterva2.model import requests as q
from caterva2.model import wire
from caterva2.model.paths import DatasetPath
from caterva2.model.routes import Role, route

if TYPE_CHECKING:
    from caterva2.client.calls import PathLike
    from caterva2.client.session import Session
    from caterva2.client.transfers import Progress

PART = 8 << 20
"""Bytes that are sent in one request."""
SMALL = 1 << 20
"""Files up to so many bytes go in one request altogether."""
REMEMBERED = 32 << 20
"""Uploads of more bytes are remembered, so that another program can go on with them."""
MAX_BARREN = 5
PATIENCE_S = 900.0
"""Verifying a large upload, and copying from a published root, may take so long."""


def move(src: PathLike, dst: PathLike) -> Call[str]:
    """Move a file or directory."""
    return calls.call(_row("move"), body=q.MoveBody(src=_text(src), dst=_text(dst)))


def copy(src: PathLike, dst: PathLike) -> Call[str]:
    """Copy a file or directory."""
    return calls.call(_row("copy"), body=q.MoveBody(src=_text(src), dst=_text(dst)))


def remove(path: PathLike) -> Call[str]:
    """Remove a file or directory."""
    return calls.call(_row("remove"), path=path)


def make_directory(path: PathLike) -> Call[str]:
    """Make a directory."""
    return calls.call(_row("mkdir"), path=path)


def add_notebook(path: PathLike) -> Call[str]:
    """Make an empty notebook."""
    return calls.call(_row("addnotebook"), path=path)


def multipart(
    name: str, path: PathLike, data: bytes, filename: str, headers: Mapping[str, str] | None = None
) -> Call[Any]:
    """Send bytes in the part ``file`` of a body."""
    boundary = os.urandom(16).hex()
    shown = filename.replace("\\", "_").replace('"', "%22").replace("\r", " ").replace("\n", " ")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{shown}"\r\n'
        f"Content-Type: {wire.BINARY}\r\n\r\n"
    ).encode()
    built = calls.call(_row(name), path=path, headers=headers)
    sent = {**built.headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    body = b"".join((head, data, f"\r\n--{boundary}--\r\n".encode()))
    return Call(built.method, built.target, built.decode, sent, body, idempotent=False)


def as_frame(array: object) -> bytes | None:
    """Return the frame of a NumPy or Blosc2 array; None if it is something else."""
    if hasattr(array, "to_cframe"):
        return cast("bytes", array.to_cframe())
    if hasattr(array, "__array__") or hasattr(array, "__array_interface__"):
        import numpy as np

        from caterva2.compute.codec import stored_frame

        items: np.ndarray[Any, Any] = np.asarray(array, order="C")
        if items.dtype.hasobject:
            raise BadRequest(f"an array of dtype {items.dtype} can not be stored")
        return stored_frame(items)
    return None


def read_array(local: Path) -> object:
    """Return the array of a ``.npy`` file, or the bytes of a frame."""
    if local.suffix != ".npy":
        return local.read_bytes()
    import numpy as np

    return np.load(local, allow_pickle=False)


def upload_data(
    session: Session,
    data: bytes,
    path: DatasetPath,
    *,
    filename: str = "",
    if_match: str | None = None,
    unpack: bool = False,
    progress: Progress | None = None,
) -> DatasetPath:
    """Store bytes; see `upload_file`."""
    sender = _Sender(session, path, filename, len(data), if_match, unpack, progress, None)
    return sender.send(io.BytesIO(data))


def upload_file(
    session: Session,
    local: Path,
    path: DatasetPath,
    *,
    if_match: str | None = None,
    unpack: bool = False,
    progress: Progress | None = None,
) -> DatasetPath:
    """Store a file, and return its path; blocking. Goes on where an interrupted attempt ended.

    Parameters
    ----------
    path
        Where to: a new name, or a directory that exists.
    if_match
        Only if the file there is of this generation; ``""``: only if there is none.
    unpack
        The file is an archive, and `path` the directory for its members.
    progress
        Called with the bytes that have arrived, and those of the file.

    Raises
    ------
    Caterva2Error
        The server refuses, or the connection breaks again and again.
    OSError
        The file can not be read.
    """
    with local.open("rb") as file:
        status = os.fstat(file.fileno())
        stamp = (
            f"{session.urlbase}\n{path}\n{local.resolve()}\n{status.st_size}\n{status.st_mtime_ns}\n{unpack}"
        )
        sender = _Sender(session, path, local.name, status.st_size, if_match, unpack, progress, stamp)
        return sender.send(file)


def upload_tree(
    session: Session, local: Path, path: DatasetPath, *, progress: Progress | None = None
) -> list[DatasetPath]:
    """Store all files and empty directories of a directory below `path`; return the files' paths."""
    for parts in empty_directories(local):
        target = DatasetPath(path.root, (*path.parts, *parts))
        if target.parts:
            with contextlib.suppress(AlreadyExists):
                session.patient(make_directory(target))
    files = list(tree_files(local))
    total = sum(file.stat().st_size for file, _ in files)
    stored, before = [], 0
    for file, parts in files:

        def count(done: int, _: int | None, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        stored.append(
            upload_file(session, file, DatasetPath(path.root, (*path.parts, *parts)), progress=count)
        )
        before += file.stat().st_size
    return stored


def tree_files(local: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield the files of a directory, and their parts below it; hidden ones are left out."""
    for found in sorted(local.rglob("*")):
        parts = found.relative_to(local).parts
        if found.is_file() and not any(part.startswith(".") for part in parts):
            yield found, parts


def empty_directories(local: Path) -> Iterator[tuple[str, ...]]:
    """Yield the parts, below a directory, of those in it that hold nothing; hidden ones are left out."""
    for directory, names, files in os.walk(local):
        names[:] = sorted(name for name in names if not name.startswith("."))
        if not names and not any(not name.startswith(".") for name in files):
            yield Path(directory).relative_to(local).parts


class _Sender:
    """One upload."""

    def __init__(
        self,
        session: Session,
        path: DatasetPath,
        filename: str,
        size: int,
        if_match: str | None,
        unpack: bool,
        progress: Progress | None,
        stamp: str | None,
    ) -> None:
        self._session = session
        self._path = path
        self._filename = filename
        self._size = size
        self._unpack = unpack
        self._progress = progress
        self._headers = {}
        if if_match is not None:
            self._headers = {"If-Match": f'"{if_match}"'} if if_match else {"If-None-Match": "*"}
        self._note = _note(stamp) if stamp is not None and size > REMEMBERED else None

    def send(self, file: IO[bytes]) -> DatasetPath:
        if self._size <= SMALL and not self._unpack:
            data = file.read(SMALL + 1)
            if len(data) == self._size:
                call = multipart("upload", self._path, data, self._filename, self._headers)
                stored = self._session.patient(call)
                self._tell(self._size)
                return DatasetPath.parse(stored)
            file.seek(0)
        return self._in_parts(file)

    def _in_parts(self, file: IO[bytes]) -> DatasetPath:
        state = self._known() or self._begin()
        barren, offset = 0, state.offset
        self._tell(offset)
        while offset < self._size:
            file.seek(offset)
            data = file.read(PART)
            if not data:
                raise BadRequest(f"{self._filename} has become shorter while it was sent")
            headers = {"Upload-Offset": str(offset), "Content-Type": wire.BINARY}
            try:
                state = self._session.patient(_call("continue-upload", state.id, "PATCH", data, headers))
                offset, barren = state.offset, 0
            except UploadOffset as exc:
                offset = int(exc.fields.get("offset") or 0)
                barren += 1
                self._wait(barren, exc)
            except (ConnectFailed, TimedOut) as exc:
                barren += 1
                self._wait(barren, exc)
                with contextlib.suppress(ConnectFailed, TimedOut):
                    offset = self._session.patient(_call("upload-state", state.id, "GET")).offset
            self._tell(offset)
        call = _call("finish-upload", state.id, "POST", headers=self._headers)
        stored = DatasetPath.parse(cast("str", self._session.patient(call)))
        self._forget()
        return stored

    def _wait(self, barren: int, error: Exception) -> None:
        if barren > MAX_BARREN:
            raise error
        time.sleep(min(5.0, 0.2 * 2**barren))

    def _begin(self) -> q.UploadState:
        body = q.NewUpload(
            path=str(self._path), size=self._size, filename=self._filename or None, unpack=self._unpack
        )
        state = cast("q.UploadState", self._session.patient(calls.call(_row("new-upload"), body=body)))
        if self._note is not None:
            with contextlib.suppress(OSError):
                self._note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._note.write_text(json.dumps({"id": state.id}), encoding="utf-8")
        return state

    def _known(self) -> q.UploadState | None:
        """Return what an attempt before has left at the server."""
        if self._note is None:
            return None
        try:
            id_ = str(json.loads(self._note.read_text(encoding="utf-8"))["id"])
            return cast("q.UploadState", self._session.patient(_call("upload-state", id_, "GET")))
        except (OSError, ValueError, KeyError, TypeError, NotFound):
            self._forget()
            return None

    def _forget(self) -> None:
        if self._note is not None:
            with contextlib.suppress(OSError):
                self._note.unlink(missing_ok=True)

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(done, self._size)


def _call(
    name: str, id_: str, method: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Call[Any]:
    built = calls.call(_row(name), method=method, headers=headers)
    target = built.target.replace("{upload}", id_)
    return Call(method, target, built.decode, built.headers, body, idempotent=method == "GET")


def _note(stamp: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "caterva2" / "uploads" / f"{hashlib.sha256(stamp.encode()).hexdigest()[:32]}.json"


def _text(path: PathLike) -> str:
    return str(calls.parse_path(path))


def _row(name: str) -> Any:  # noqa: ANN401 - `Route`
    return route(Role.SUBSCRIBER, name)
