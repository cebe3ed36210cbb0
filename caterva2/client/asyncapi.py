"""The asynchronous twin of `caterva2.client.api.Client`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from caterva2.client import calls
from caterva2.client.api import Client
from caterva2.client.asynctree import AsyncDirectory, AsyncFile, async_object
from caterva2.client.datachannel import TIMEOUT_S
from caterva2.client.handover import Handover
from caterva2.client.session import Session, UserAuth, auth_headers, read_auth, share_of, stored_token
from caterva2.client.urlbase import Urlbase
from caterva2.errors import NotAuthenticated, RequestError
from caterva2.model.trees import DEFAULT_LIMIT, TreePage, TreeQuery
from caterva2.model.wire import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import blosc2
    import numpy.typing as npt

    from caterva2.client.calls import Call, PathLike, T
    from caterva2.client.connection import AsyncConnection
    from caterva2.client.lazy import Operand
    from caterva2.client.transfers import Progress


class AsyncClient:
    """A server, seen by one user, for asynchronous programs; see `Client`.

    Calls that carry data run in threads. Use it in one event loop.
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
        handover = Handover.from_environment()
        self._handed = None if handover is None else handover.find(urlbase)
        if urlbase is None and self._handed is not None:
            urlbase = self._handed.urlbase
        self._handover = handover
        self._urlbase = Urlbase.parse(urlbase)
        self._credentials = read_auth(auth or user_auth)
        self._auth_cookie = auth_cookie
        self._token = token
        self._kept = False
        self._timeout_s = timeout
        self._opening = asyncio.Lock()
        self._opened: tuple[AsyncConnection, Client] | None = None
        self._retired: list[AsyncConnection] = []
        if self._credentials is not None or auth_cookie or token is not None:
            self._handed = None

    @property
    def urlbase(self) -> str:
        """Address of the server."""
        return str(self._urlbase)

    async def get_roots(self) -> dict[str, dict[str, Any]]:
        """Return the roots by name; see `Client.get_roots`."""
        return await self._send(calls.roots())

    async def subscribe(self, root: str) -> str:
        """Subscribe to a root; return ``"Ok"``."""
        return await self._send(calls.subscribe(root))

    async def get_list(
        self, path: PathLike, *, limit: int | None = None, after: str | None = None
    ) -> list[str]:
        """Return the sorted paths of the files below `path`; see `Client.get_list`."""
        return await self._send(calls.list_files(path, limit=limit, after=after))

    async def get_info(self, path: PathLike) -> dict[str, Any]:
        """Return the description of a file or directory."""
        return dict((await self._send(calls.info(path))).meta)

    async def tree(
        self,
        path: PathLike = "",
        *,
        after: str | None = None,
        offset: int | None = None,
        limit: int = DEFAULT_LIMIT,
        filter: str | None = None,
        recursive: bool = False,
    ) -> TreePage:
        """Return a page of what is in a directory; see `Client.tree`."""
        query = TreeQuery(after=after, offset=offset, limit=limit, filter=filter or None, recursive=recursive)
        return await self._send(calls.tree(path, query))

    async def get(self, path: PathLike) -> AsyncFile | AsyncDirectory:
        """Return what is at a path; its attributes need no more calls, reading it is awaited."""
        parsed = calls.parse_path(path)
        if not parsed.parts:
            await self.subscribe(parsed.root)
            return AsyncDirectory(parsed, self, self._urlbase)
        return async_object(self, self._urlbase, await self._send(calls.info(parsed)))

    async def fetch(self, path: PathLike, slice_: object = None, *, field: str | None = None) -> Any:  # noqa: ANN401
        """Read a slice of a dataset; see `File.fetch`."""
        client = await self._blocking()
        return await asyncio.to_thread(client.fetch, path, slice_, field=field)

    async def window(
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
        """Look at a slice, thinned out if `points` say so; see `Client.window`."""
        client = await self._blocking()
        return await asyncio.to_thread(
            client.window,
            path,
            slice_,
            points=points,
            blocks=blocks,
            field=field,
            filter=filter,
            sortby=sortby,
        )

    async def get_slice(
        self, path: PathLike, key: object = None, as_blosc2: bool = True, field: str | None = None
    ) -> blosc2.NDArray | blosc2.SChunk | npt.NDArray[Any] | bytes:
        """Read a slice as a Blosc2 object in memory, or like `fetch`."""
        client = await self._blocking()
        return await asyncio.to_thread(client.get_slice, path, key, as_blosc2, field)

    async def get_chunk(self, path: PathLike, nchunk: int) -> bytes:
        """Return a compressed chunk as it is stored, by its flat index."""
        client = await self._blocking()
        return await asyncio.to_thread(client.get_chunk, path, nchunk)

    async def download(
        self,
        dataset: PathLike,
        localpath: str | os.PathLike[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Path:
        """Save a file or a directory; `progress` is called in a thread. See `Client.download`."""
        client = await self._blocking()
        return await asyncio.to_thread(client.download, dataset, localpath, progress=progress)

    async def me(self) -> dict[str, Any]:
        """Return who asks; see `Client.me`."""
        who = await self._send(calls.me())
        return plain(who)

    async def create_token(self, name: str, scope: str = "read", *, days: float | None = 90) -> str:
        """Make a token for scripts and return it; see `Client.create_token`."""
        return (await self._send(calls.create_token(name, scope, days))).token

    async def list_tokens(self) -> list[dict[str, Any]]:
        """Return one's tokens; see `Client.list_tokens`."""
        return [plain(token) for token in await self._send(calls.list_tokens())]

    async def revoke_token(self, id: str) -> str:
        """End a token, by its ``id``."""
        return await self._send(calls.revoke_token(id))

    async def create_share(self, path: PathLike, *, name: str = "", days: float = 30) -> str:
        """Make a link that opens a path for reading, and return it; see `Client.create_share`."""
        return str((await self._send(calls.create_share(path, name, days))).url)

    async def list_shares(self, *, everybody: bool = False) -> list[dict[str, Any]]:
        """Return share links; see `Client.list_shares`."""
        return [plain(share) for share in await self._send(calls.list_shares(everybody=everybody))]

    async def revoke_share(self, id: str) -> str:
        """End a share link, by its ``id``."""
        return await self._send(calls.revoke_share(id))

    async def shared(self) -> dict[str, Any]:
        """Return what the share link opens; see `Client.shared`."""
        found = await self._send(calls.shared())
        return plain(found)

    async def register(self, email: str, password: str) -> dict[str, Any]:
        """Make an account for oneself, where the operator allows it."""
        made = await self._send(calls.register_user(email, password))
        return plain(made)

    async def change_password(self, password: str, new_password: str, *, revoke_tokens: bool = False) -> None:
        """Set a new password; all sessions end, tokens only if `revoke_tokens`."""
        await self._send(calls.change_password(password, new_password, revoke_tokens=revoke_tokens))

    async def logout_everywhere(self) -> None:
        """End all one's sessions; tokens stay."""
        await self._send(calls.logout_everywhere())

    async def adduser(self, newuser: str, password: str | None = None, superuser: bool = False) -> str:
        """Add a user; see `Client.adduser`."""
        return await self._send(calls.adduser(newuser, password, superuser=superuser))

    async def deluser(self, user: str) -> str:
        """Remove a user; see `Client.deluser`."""
        return await self._send(calls.deluser(user))

    async def listusers(self, username: str | None = None) -> list[dict[str, Any]]:
        """Return the users; see `Client.listusers`."""
        return [plain(user) for user in await self._send(calls.listusers(username))]

    async def upload(
        self,
        local_dset: str | os.PathLike[str] | bytes | object,
        dataset: PathLike,
        *,
        if_match: str | None = None,
        unpack: bool = False,
        progress: Progress | None = None,
    ) -> PurePosixPath:
        """Store a file, directory, array or bytes; `progress` is called in a thread. See `Client.upload`."""
        client = await self._blocking()
        return await asyncio.to_thread(
            client.upload, local_dset, dataset, if_match=if_match, unpack=unpack, progress=progress
        )

    async def append(self, dataset: PathLike, data: object) -> tuple[int, ...]:
        """Append an array to a stored one along axis 0; return the new shape."""
        client = await self._blocking()
        return await asyncio.to_thread(client.append, dataset, data)

    async def move(self, src: PathLike, dst: PathLike) -> PurePosixPath:
        """Move a file or directory of an area; see `Client.move`."""
        client = await self._blocking()
        return await asyncio.to_thread(client.move, src, dst)

    async def copy(self, src: PathLike, dst: PathLike) -> PurePosixPath:
        """Copy a file or directory into an area; see `Client.copy`."""
        client = await self._blocking()
        return await asyncio.to_thread(client.copy, src, dst)

    async def remove(self, path: PathLike) -> PurePosixPath:
        """Remove a file or directory of an area; see `Client.remove`."""
        client = await self._blocking()
        return await asyncio.to_thread(client.remove, path)

    async def mkdir(self, path: PathLike) -> PurePosixPath:
        """Make a directory in an area."""
        client = await self._blocking()
        return await asyncio.to_thread(client.mkdir, path)

    async def lazyexpr(
        self,
        name: str,
        expression: str,
        operands: Mapping[str, Operand | AsyncFile] | None = None,
        *,
        compute: bool = False,
    ) -> PurePosixPath:
        """Make a dataset in ``@personal`` that is computed when it is read; see `caterva2.lazyexpr`."""
        client = await self._blocking()
        paths = {variable: _operand(operand) for variable, operand in (operands or {}).items()}
        return await asyncio.to_thread(client.lazyexpr, name, expression, paths, compute=compute)

    async def concat(
        self, srcs: Sequence[Operand | AsyncFile], dst: PathLike, axis: int = 0
    ) -> PurePosixPath:
        """Make a dataset that is others one behind the other along `axis`; nothing is copied."""
        client = await self._blocking()
        return await asyncio.to_thread(client.concat, [_operand(src) for src in srcs], dst, axis)

    async def stack(self, srcs: Sequence[Operand | AsyncFile], dst: PathLike, axis: int = 0) -> PurePosixPath:
        """Make a dataset that is others along a new axis; nothing is copied."""
        client = await self._blocking()
        return await asyncio.to_thread(client.stack, [_operand(src) for src in srcs], dst, axis)

    async def explain(
        self,
        path: PathLike,
        slice_: object = None,
        *,
        field: str | None = None,
        condition: str | None = None,
        sortby: str | None = None,
    ) -> dict[str, Any]:
        """Return what fetching a slice would be and cost; see `caterva2.explain`."""
        client = await self._blocking()
        return await asyncio.to_thread(
            client.explain, path, slice_, field=field, condition=condition, sortby=sortby
        )

    async def filter(
        self,
        path: PathLike,
        condition: str | None = None,
        *,
        sortby: str | None = None,
        field: str | None = None,
        slice_: object = None,
    ) -> npt.NDArray[Any]:
        """Read rows of a structured array; see `Client.filter`."""
        client = await self._blocking()
        return await asyncio.to_thread(
            client.filter, path, condition, sortby=sortby, field=field, slice_=slice_
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._opened is not None:
            connection, client = self._opened
            await connection.close()
            client.close()
        await self._close_retired(keep=0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.urlbase}>"

    async def _send(self, call: Call[T]) -> T:
        self._renew()
        connection, client = self._opened or await self._open()
        try:
            return await connection.send(call)
        except NotAuthenticated:
            session = client.session
            if not self._kept:
                raise
            result = await asyncio.to_thread(session.send, call)  # knows what to do
            if not session.keeps_token:
                self._kept = False
                connection.forget_token()
            return result

    async def _blocking(self) -> Client:
        self._renew()
        _, client = self._opened or await self._open()
        return client

    def _renew(self) -> None:
        """Take over what Jupyter has renewed; see `Session`."""
        if self._handed is None or self._handover is None or not self._handover.refresh():
            return
        found = self._handover.subscribers.get(self._handed.name)
        if found is None or found == self._handed:
            return
        self._handed, self._urlbase, self._token = found, Urlbase.parse(found.urlbase), None
        if self._opened is not None:
            # Others may still wait for its answers.
            self._retired.append(self._opened[0])
            self._opened = None

    async def _close_retired(self, *, keep: int) -> None:
        while len(self._retired) > keep:
            await self._retired.pop(0).close()

    async def _open(self) -> tuple[AsyncConnection, Client]:
        """Log in if there is a user, and make both ways to the server."""
        from caterva2.client.connection import AsyncConnection

        async with self._opening:
            if self._opened is None:
                if self._credentials is not None and not self._auth_cookie:
                    async with AsyncConnection(self._urlbase, timeout_s=self._timeout_s) as connection:
                        try:
                            self._auth_cookie = await connection.send(calls.login(*self._credentials))
                        except RequestError as exc:
                            raise calls.login_error(exc, self._urlbase) from exc
                if self._token is None and self._handed is not None:
                    self._token = self._handed.token
                if self._token is None and not self._auth_cookie:
                    self._token = await asyncio.to_thread(stored_token, self._urlbase) or ""
                    self._kept = bool(self._token)
                await self._close_retired(keep=1)
                headers = auth_headers(self._auth_cookie, self._token)
                self._opened = (
                    AsyncConnection(self._urlbase, headers=headers, timeout_s=self._timeout_s),
                    Client.of(
                        Session(
                            self._urlbase,
                            auth_cookie=self._auth_cookie,
                            token=self._token,
                            kept=self._kept,
                            timeout_s=self._timeout_s,
                        )
                    ),
                )
            return self._opened


def _operand(operand: Operand | AsyncFile) -> Operand:
    return operand.path if isinstance(operand, AsyncFile) else operand
