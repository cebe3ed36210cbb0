"""What users call: functions for single questions, `Client` for many."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from caterva2.client import calls, lazy, transfers
from caterva2.client.datachannel import TIMEOUT_S
from caterva2.client.decode import as_result
from caterva2.client.reading import as_slice
from caterva2.client.session import BasicAuth, Session, UserAuth, share_of
from caterva2.client.tree import Dataset, Directory, File, Root, open_path, to_slice
from caterva2.client.urlbase import DEFAULT_URLBASE
from caterva2.errors import BadRequest, NotADataset, ResponseTooLarge
from caterva2.model.requests import FetchQuery, WindowQuery
from caterva2.model.trees import DEFAULT_LIMIT, TreePage, TreeQuery
from caterva2.model.wire import plain

if TYPE_CHECKING:
    import blosc2
    import numpy.typing as npt

    from caterva2.client.calls import PathLike
    from caterva2.client.transfers import Progress
    from caterva2.model.slicing import NDSlice

__all__ = [
    "DEFAULT_URLBASE",
    "BasicAuth",
    "Client",
    "Dataset",
    "Directory",
    "File",
    "Root",
    "append",
    "copy",
    "download",
    "fetch",
    "get",
    "get_auth_cookie",
    "get_chunk",
    "get_info",
    "get_list",
    "get_roots",
    "mkdir",
    "move",
    "remove",
    "subscribe",
    "upload",
]


class Client:
    """A server, seen by one user; may be used by many threads, and as a context manager.

    Parameters
    ----------
    urlbase
        Address of the server; None for the one that Jupyter hands over to its kernels
        (``CATERVA2_JUPYTER``), or else ``http://localhost:8002``.
    auth
        Name and password of a user: a pair, or a mapping with ``username`` and ``password``.
    auth_cookie
        Instead of `auth`: a cookie as `get_auth_cookie` returns it.
    user_auth
        Another name for `auth`.
    token
        Instead of a cookie: a bearer token. Without any of these the one that Jupyter hands over is
        sent, or else the one that ``cat2cli login`` keeps for the server; an empty text sends none.
    share
        Instead of an account: a share link, which names the server, too, or its token alone.
    timeout
        Longest silence of the server, in seconds.

    Raises
    ------
    BadRequest
        `urlbase` is no address.
    NotAuthenticated
        The server does not know the user, or the password is wrong.

    Examples
    --------
    ``with Client("http://localhost:8002") as client: client.get("foo/ds-1d.b2nd")[:10]``
    """

    def __init__(
        self,
        urlbase: str | None = None,
        auth: UserAuth | None = None,
        *,
        auth_cookie: str | None = None,
        user_auth: UserAuth | None = None,
        token: str | None = None,
        share: str | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        if share is not None:
            urlbase, token = share_of(urlbase, share, auth or user_auth or auth_cookie or token)
        self._session = Session(
            urlbase, auth=auth or user_auth, auth_cookie=auth_cookie, token=token, timeout_s=timeout
        )

    @classmethod
    def of(cls, session: Session) -> Self:
        """Return a client that makes its calls through a session that is open."""
        client = cls.__new__(cls)
        client._session = session
        return client

    @property
    def urlbase(self) -> str:
        """Address of the server."""
        return str(self._session.urlbase)

    @property
    def auth_cookie(self) -> str | None:
        """Who asks."""
        return self._session.auth_cookie

    @property
    def session(self) -> Session:
        """What the calls are made through."""
        return self._session

    def get_roots(self) -> dict[str, dict[str, Any]]:
        """Return the roots by name: ``name``, ``http``, ``subscribed``, and how fresh they are."""
        return self._session.send(calls.roots())

    def subscribe(self, root: str) -> str:
        """Subscribe to a root; return ``"Ok"``."""
        return self._session.send(calls.subscribe(root))

    def get_list(self, path: PathLike, *, limit: int | None = None, after: str | None = None) -> list[str]:
        """Return the sorted paths of the files below `path`, relative to it.

        Parameters
        ----------
        limit, after
            At most so many, and only those that sort after `after`: a page.
        """
        return self._session.send(calls.list_files(path, limit=limit, after=after))

    def get_info(self, path: PathLike) -> dict[str, Any]:
        """Return the description of a file or directory."""
        return dict(self._session.send(calls.info(path)).meta)

    def tree(
        self,
        path: PathLike = "",
        *,
        after: str | None = None,
        offset: int | None = None,
        limit: int = DEFAULT_LIMIT,
        filter: str | None = None,
        recursive: bool = False,
    ) -> TreePage:
        """Return a page of what is in a directory, with what is shown of it; see `TreePage`.

        Parameters
        ----------
        path
            A root, area or directory; empty for the list of these roots and areas.
        after
            ``next`` of the page before.
        offset
            Rows to leave out, to begin anywhere; not together with `after`.
        limit
            At most so many rows: 1 to 1000.
        filter
            Only what has this text in its name, or matches it as a pattern (``*.b2nd``).
        recursive
            Everything at any depth.
        """
        query = TreeQuery(after=after, offset=offset, limit=limit, filter=filter or None, recursive=recursive)
        return self._session.send(calls.tree(path, query))

    def get(self, path: PathLike) -> File | Directory:
        """Return the `Root`, `Directory`, `File` or `Dataset` at a path.

        Raises
        ------
        NotFound
            There is none.
        """
        return open_path(self._session, calls.parse_path(path))

    def fetch(self, path: PathLike, slice_: object = None, *, field: str | None = None) -> Any:  # noqa: ANN401
        """Read a slice of a dataset; see `File.fetch`."""
        wanted = to_slice(slice_)
        try:
            data, _ = self._session.reader.slice(path, self._expanded(path, wanted), column=field)
        except ResponseTooLarge:
            found = self.get(path)
            if field is not None or not isinstance(found, Dataset):
                raise
            return found[wanted.items]  # in pieces
        return as_result(data, wanted)

    def window(
        self,
        path: PathLike,
        slice_: object = None,
        *,
        points: int | None = None,
        blocks: int | None = None,
        field: str | None = None,
        filter: str | None = None,
        sortby: str | None = None,
    ) -> tuple[npt.NDArray[Any], tuple[int, ...]]:
        """Look at a slice: every k-th item of it, so that it can be shown whatever its size.

        Parameters
        ----------
        slice_
            As in `fetch`.
        points
            At most so many items along each axis; None for all.
        blocks
            At most so many blocks are read for that; None for some thousands.
        field, filter, sortby
            A column of a structured array; rows by a condition; the column to sort them by.

        Returns
        -------
        ndarray, tuple of int
            The items, little-endian, and how far apart they are along each axis.
        """
        query = WindowQuery(
            slice_=str(to_slice(slice_)) or None, points=points, blocks=blocks, field=field,
            filter=filter, sortby=sortby,
        )  # fmt: skip
        return self._session.reader.look(path, query)

    def get_slice(
        self, path: PathLike, key: object = None, as_blosc2: bool = True, field: str | None = None
    ) -> blosc2.NDArray | blosc2.SChunk | npt.NDArray[Any] | bytes:
        """Read a slice as a Blosc2 object in memory, or like `fetch`."""
        if not as_blosc2:
            data: npt.NDArray[Any] | bytes = self.fetch(path, key, field=field)
            return data
        return self._session.reader.holder(path, self._expanded(path, to_slice(key)), column=field)

    def get_chunk(self, path: PathLike, nchunk: int) -> bytes:
        """Return a compressed chunk as it is stored, by its flat index."""
        return read_chunk(self._session, path, nchunk)

    def download(
        self,
        dataset: PathLike,
        localpath: str | os.PathLike[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Path:
        """Save a file, or all files of a directory.

        Parameters
        ----------
        localpath
            File or directory to save in; None for the path of the dataset, below the current directory.
        progress
            Called with the bytes that arrived, and the bytes of the whole file, or None.

        Returns
        -------
        Path
            Where it was saved.
        """
        path = calls.parse_path(dataset)
        if path.parts:
            try:
                target = transfers.local_target(path, localpath)
                return transfers.download_file(self._session.channel, path, target, progress=progress)
            except NotADataset:
                pass
        return Directory(path, self._session).download(localpath, progress=progress)

    def upload(
        self,
        local_dset: str | os.PathLike[str] | bytes | object,
        dataset: PathLike,
        *,
        if_match: str | None = None,
        unpack: bool = False,
        progress: Progress | None = None,
    ) -> PurePosixPath:
        """Store a file, a directory with all files, a NumPy or Blosc2 array, or bytes in an area.

        Parameters
        ----------
        local_dset
            Path of a file or directory, an array, or bytes.
        dataset
            Where to: ``@personal/new.b2nd``, or a directory that exists.
        if_match
            Only if the file there is of this generation (`File.etag`); ``""``: only if there is none.
        unpack
            The file is an archive (``.zip``, ``.tar.gz``): store its members in the directory `dataset`.
        progress
            Called with the bytes that have arrived, and all bytes.

        Returns
        -------
        PurePosixPath
            Its path at the server.

        Raises
        ------
        NotAuthenticated
            Nobody is logged in.
        QuotaExceeded
            There is no room for it.
        BrokenDataset
            It is not what its name claims.
        DatasetChanged
            Another generation is there than `if_match`.
        """
        from caterva2.client import uploads

        path = calls.parse_path(dataset)
        data = local_dset if isinstance(local_dset, bytes) else None
        if data is None and not isinstance(local_dset, str | os.PathLike):
            data = uploads.as_frame(local_dset)
            if data is None:
                raise BadRequest(f"expected a path, an array or bytes, found {type(local_dset).__name__}")
        if data is not None:
            stored = uploads.upload_data(
                self._session, data, path, if_match=if_match, unpack=unpack, progress=progress
            )
            return PurePosixPath(str(stored))
        local = Path(local_dset)  # type: ignore[arg-type]
        if local.is_dir():
            uploads.upload_tree(self._session, local, path, progress=progress)
            return PurePosixPath(str(path))
        stored = uploads.upload_file(
            self._session, local, path, if_match=if_match, unpack=unpack, progress=progress
        )
        return PurePosixPath(str(stored))

    def append(self, dataset: PathLike, data: object) -> tuple[int, ...]:
        """Append an array (or its frame) to a stored one along axis 0; return the new shape."""
        from caterva2.client import uploads

        frame = data if isinstance(data, bytes) else uploads.as_frame(data)
        if frame is None:
            raise BadRequest(f"expected an array, found {type(data).__name__}")
        return tuple(self._session.patient(uploads.multipart("append", dataset, frame, "rows.b2nd")))

    def move(self, src: PathLike, dst: PathLike) -> PurePosixPath:
        """Move a file or directory of an area; return its new path.

        Parameters
        ----------
        dst
            A directory that exists, or a name without suffix: `src` goes below it. Else the new path.
        """
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.move(src, dst)))

    def copy(self, src: PathLike, dst: PathLike) -> PurePosixPath:
        """Copy a file or directory, also of a published root, into an area; see `move`."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.copy(src, dst)))

    def remove(self, path: PathLike) -> PurePosixPath:
        """Remove a file or directory of an area; of an area itself only what is in it."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.remove(path)))

    def mkdir(self, path: PathLike) -> PurePosixPath:
        """Make a directory in an area, and those above it."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.make_directory(path)))

    def add_notebook(self, path: PathLike) -> PurePosixPath:
        """Make an empty notebook in an area."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.add_notebook(path)))

    def get_download_url(self, path: PathLike) -> str:
        """Return the URL under which a whole file can be downloaded."""
        return f"{self._session.urlbase.url}{calls.fetch(path).target}"

    # computed datasets

    def lazyexpr(
        self,
        name: str,
        expression: str,
        operands: Mapping[str, lazy.Operand] | None = None,
        *,
        compute: bool = False,
    ) -> PurePosixPath:
        """Make a dataset in ``@personal`` that is computed when it is read; see `caterva2.lazyexpr`."""
        return lazy.define(self._session, name, expression, operands, compute=compute)

    def concat(self, srcs: Sequence[lazy.Operand], dst: PathLike, axis: int = 0) -> PurePosixPath:
        """Make a dataset that is others one behind the other along `axis`; nothing is copied."""
        return lazy.join(self._session, srcs, dst, axis, new=False)

    def stack(self, srcs: Sequence[lazy.Operand], dst: PathLike, axis: int = 0) -> PurePosixPath:
        """Make a dataset that is others along a new axis; nothing is copied."""
        return lazy.join(self._session, srcs, dst, axis, new=True)

    def explain(
        self,
        path: PathLike,
        slice_: object = None,
        *,
        field: str | None = None,
        condition: str | None = None,
        sortby: str | None = None,
    ) -> dict[str, Any]:
        """Return what fetching a slice would be and cost; see `caterva2.explain`."""
        return lazy.explained(self._session, path, slice_, field, condition, sortby)

    def filter(
        self,
        path: PathLike,
        condition: str | None = None,
        *,
        sortby: str | None = None,
        field: str | None = None,
        slice_: object = None,
    ) -> npt.NDArray[Any]:
        """Read rows of a structured array; see `Dataset.filter`."""
        query = FetchQuery(slice_=str(to_slice(slice_)) or None, field=field, filter=condition, sortby=sortby)
        return self._session.reader.rows(path, query)

    # users and tokens

    def me(self) -> dict[str, Any]:
        """Return who asks: ``id``, ``email``, ``is_superuser``, ``groups``, ``scopes``."""
        who = self._session.send(calls.me())
        return plain(who)

    def create_token(self, name: str, scope: str = "read", *, days: float | None = 90) -> str:
        """Make a token for scripts and return it; the server shows it this once.

        Parameters
        ----------
        name
            To tell it from others.
        scope
            ``read``, ``write`` or ``admin``.
        days
            How long it is good; None for ever.
        """
        return self._session.send(calls.create_token(name, scope, days)).token

    def list_tokens(self) -> list[dict[str, Any]]:
        """Return one's tokens: ``id``, ``name``, ``scope``, ``created``, ``expires``, ``last_used``."""
        return [plain(token) for token in self._session.send(calls.list_tokens())]

    def revoke_token(self, id: str) -> str:
        """End a token, by its ``id``."""
        return self._session.send(calls.revoke_token(id))

    def create_share(self, path: PathLike, *, name: str = "", days: float = 30) -> str:
        """Make a link that opens a path for reading, without an account, and return it.

        Parameters
        ----------
        path
            A file, or a directory, root or area with all below it.
        name
            To tell it from others.
        days
            How long it is good.
        """
        return str(self._session.send(calls.create_share(path, name, days)).url)

    def list_shares(self, *, everybody: bool = False) -> list[dict[str, Any]]:
        """Return one's share links that have not ended, or as a superuser those of everybody.

        Each has ``id``, ``path``, ``name``, ``owner``, ``created``, ``expires``, ``last_used``, and
        ``url``: None for those of others.
        """
        return [plain(share) for share in self._session.send(calls.list_shares(everybody=everybody))]

    def revoke_share(self, id: str) -> str:
        """End a share link, by its ``id``."""
        return self._session.send(calls.revoke_share(id))

    def shared(self) -> dict[str, Any]:
        """Return what the share link opens with which this client was made: ``path``, ``name``, ``expires``.

        Raises
        ------
        NotFound
            It was made without one.
        """
        found = self._session.send(calls.shared())
        return plain(found)

    def register(self, email: str, password: str) -> dict[str, Any]:
        """Make an account for oneself, where the operator allows it."""
        made = self._session.send(calls.register_user(email, password))
        return plain(made)

    def change_password(self, password: str, new_password: str, *, revoke_tokens: bool = False) -> None:
        """Set a new password; all sessions end, tokens only if `revoke_tokens`."""
        self._session.send(calls.change_password(password, new_password, revoke_tokens=revoke_tokens))

    def logout_everywhere(self) -> None:
        """End all one's sessions; tokens stay."""
        self._session.send(calls.logout_everywhere())

    def adduser(self, newuser: str, password: str | None = None, superuser: bool = False) -> str:
        """Add a user, as a superuser; return what the server says, with the password if it made one."""
        return self._session.send(calls.adduser(newuser, password, superuser=superuser))

    def deluser(self, user: str) -> str:
        """Remove a user and his personal area, as a superuser; return what the server says."""
        return self._session.send(calls.deluser(user))

    def listusers(self, username: str | None = None) -> list[dict[str, Any]]:
        """Return the users, or the one of a name; who is no superuser sees himself."""
        return [plain(user) for user in self._session.send(calls.listusers(username))]

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.urlbase}>"

    def _expanded(self, path: PathLike, wanted: NDSlice) -> NDSlice:
        if Ellipsis not in wanted.items:
            return wanted
        shape = self._session.send(calls.info(path)).shape
        return as_slice(wanted.bind(shape), shape)


def get_roots(
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the roots of a server by name: ``name``, ``http``, ``subscribed``.

    Parameters
    ----------
    urlbase
        Address of the server.
    auth_cookie
        Who asks, as `get_auth_cookie` returns it.
    user_auth
        Instead of `auth_cookie`: name and password.
    """
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.get_roots()


def subscribe(
    root: str,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> str:
    """Subscribe a server to a root; return ``"Ok"``. See `get_roots` for the rest."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.subscribe(root)


def get_list(
    path: PathLike,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> list[str]:
    """Return the sorted paths of the files below `path`, relative to it."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.get_list(path)


def get_info(
    path: PathLike,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> dict[str, Any]:
    """Return the description of a file or directory."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.get_info(path)


def fetch(
    path: PathLike,
    urlbase: str | None = None,
    slice_: object = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
    field: str | None = None,
) -> Any:  # noqa: ANN401
    """Read a slice of a dataset; see `File.fetch`."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.fetch(path, slice_, field=field)


def get_chunk(
    path: PathLike,
    nchunk: int,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> bytes:
    """Return a compressed chunk as it is stored, by its flat index."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.get_chunk(path, nchunk)


def download(
    dataset: PathLike,
    localpath: str | os.PathLike[str] | None = None,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
    progress: Progress | None = None,
) -> Path:
    """Save a file, or all files of a directory; see `Client.download`."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.download(dataset, localpath, progress=progress)


def upload(
    local_dset: str | os.PathLike[str] | bytes | object,
    dataset: PathLike,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> PurePosixPath:
    """Store a file, directory, array or bytes in an area; see `Client.upload`."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.upload(local_dset, dataset)


def append(
    dataset: PathLike,
    data: object,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> tuple[int, ...]:
    """Append an array to a stored one along axis 0; return the new shape."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.append(dataset, data)


def move(
    src: PathLike,
    dst: PathLike,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> PurePosixPath:
    """Move a file or directory of an area; see `Client.move`."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.move(src, dst)


def copy(
    src: PathLike,
    dst: PathLike,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> PurePosixPath:
    """Copy a file or directory into an area; see `Client.copy`."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.copy(src, dst)


def remove(
    path: PathLike,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> PurePosixPath:
    """Remove a file or directory of an area; see `Client.remove`."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.remove(path)


def mkdir(
    path: PathLike,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> PurePosixPath:
    """Make a directory in an area."""
    with Client(urlbase, user_auth, auth_cookie=auth_cookie) as client:
        return client.mkdir(path)


def get(
    path: PathLike,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> File | Directory:
    """Return the `Root`, `Directory`, `File` or `Dataset` at a path."""
    return Client(urlbase, user_auth, auth_cookie=auth_cookie).get(path)


def get_auth_cookie(urlbase: str | None, user_auth: UserAuth) -> str:
    """Log in and return the cookie for `auth_cookie`.

    Raises
    ------
    NotAuthenticated
        The server does not know the user, or the password is wrong.
    NotFound
        The server has no users.
    """
    session = Session(urlbase, auth=user_auth)
    session.close()
    if session.auth_cookie is None:
        raise BadRequest("expected a username and a password, found none")
    return session.auth_cookie


def read_chunk(session: Session, path: PathLike, nchunk: int) -> bytes:
    """Read a stored chunk."""
    call = calls.chunk(path, nchunk)
    with session.channel.request(call.method, call.target, headers=call.headers) as answer:
        return call.result(calls.Reply(answer.status, answer.headers, answer.read()))
