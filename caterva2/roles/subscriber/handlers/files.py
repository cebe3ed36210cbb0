"""Handlers of the endpoints that change areas. Bodies are taken as they arrive, never held as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, cast

from tornado.web import stream_request_body

from caterva2.errors import BadRequest, Caterva2Error, ValidationFailed
from caterva2.model.paths import DatasetPath
from caterva2.model.requests import MoveBody, NewUpload, UploadQuery
from caterva2.roles.subscriber.files import Incoming
from caterva2.roles.subscriber.service import Subscriber
from caterva2.roles.subscriber.uploads import Upload
from caterva2.transport.handler import BaseHandler
from caterva2.transport.multipart import MultipartReader, missing

GATHERED = 1 << 20
"""Bytes that are taken together to the disk."""
MAX_BODY = 1 << 50
STALLED_S = 120.0
"""A body of which nothing arrives for so long is given up."""
DISCARDED = 64 << 20
"""Rest of a refused body that is read, so that its sender sees the answer."""
OFFSET, LENGTH = "Upload-Offset", "Upload-Length"


def wanted_etag(headers: Mapping[str, str]) -> str | None:
    """Return the generation that ``If-Match`` names; ``*`` for any that is there, None without one."""
    text = headers.get("If-Match")
    if text is None:
        return None
    text = text.strip().removeprefix("W/").strip('"')
    return text.removesuffix("-info").removesuffix("-plain")


def wants_new(headers: Mapping[str, str]) -> bool:
    """Whether ``If-None-Match: *`` says that nothing may be replaced."""
    return headers.get("If-None-Match", "").strip() == "*"


class StreamHandler(BaseHandler[Subscriber]):
    """A request whose body may be larger than memory.

    What goes wrong while the body arrives is told when it has ended: a client
    that is cut off while it sends does not see an answer.
    """

    safe = False

    def initialize(self, endpoint: Any) -> None:  # noqa: ANN401 - as `BaseHandler`
        """Take what the application gives; called by Tornado."""
        super().initialize(endpoint)
        self._refusal: BaseException | None = None
        self._discarded = 0
        self._buffer = bytearray()
        self._stall: asyncio.TimerHandle | None = None

    async def prepare(self) -> None:
        """Find out who asks, and begin; called by Tornado when the header has arrived."""
        connection = cast("Any", self.request.connection)
        connection.set_max_body_size(MAX_BODY)
        connection.set_body_timeout(None)
        self._watch()
        try:
            pending = super().prepare()
            if pending is not None:
                await pending
            await self.begin()
        except Caterva2Error as exc:
            length = self.request.headers.get("Content-Length", "0")
            if "Expect" in self.request.headers or not length.isdecimal() or int(length) > DISCARDED:
                self._unwatch()
                await self.abandon()
                raise
            self._refusal = exc

    async def begin(self) -> None:
        """Begin to receive; failures are the answer."""

    async def take(self, data: bytes | bytearray) -> None:
        """Take some bytes of the body."""
        raise NotImplementedError

    async def abandon(self) -> None:
        """Give up what was begun; called once or more in the end, whatever the end is."""

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a piece of the body; called by Tornado, which waits for it before it reads on."""
        self._watch()
        if self._refusal is not None:
            self._discarded += len(chunk)
            if self._discarded > DISCARDED:
                cast("Any", self.request.connection).stream.close()
            return None
        self._buffer += chunk
        return self._flush() if len(self._buffer) >= GATHERED else None

    async def _flush(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        try:
            await self.take(data)
        except Caterva2Error as exc:
            self._refusal = exc
            await self.abandon()

    async def received(self) -> None:
        """Wait until all of the body has been taken; raise what went wrong meanwhile."""
        self._unwatch()
        if self._refusal is None and self._buffer:
            await self._flush()
        if self._refusal is not None:
            raise self._refusal

    def on_connection_close(self) -> None:
        """Give up what did not arrive; called by Tornado."""
        super().on_connection_close()
        self._unwatch()

    def on_finish(self) -> None:
        """Clean up after the answer; called by Tornado."""
        self._unwatch()

    def _watch(self) -> None:
        self._unwatch()
        stream = cast("Any", self.request.connection).stream
        self._stall = asyncio.get_running_loop().call_later(STALLED_S, stream.close)

    def _unwatch(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def expected(self) -> str | None:
        """Return the generation that the client expects to replace; ``""`` for none, None for any."""
        return "" if wants_new(self.request.headers) else wanted_etag(self.request.headers)


class MultipartHandler(StreamHandler):
    """A request with a file in the part ``file`` of its body."""

    incoming: Incoming | None = None
    _arrived = False
    where: DatasetPath

    async def begin(self) -> None:
        """Look at path, query and kind of body, before the first byte is taken."""
        self.where = DatasetPath.from_url(self.path_args[0])
        self._query = self.query(UploadQuery)
        self._expected = self.expected()
        await self.service.files.area(self.principal, self.where.root)
        self._reader = MultipartReader(self.request.headers.get("Content-Type", ""))

    async def take(self, data: bytes | bytearray) -> None:
        """Take the body apart, and write the file."""
        for piece in self._reader.feed(bytes(data)):
            if piece.filename is not None:
                self.incoming = await self.open(piece.filename)
            elif piece.data is not None and self.incoming is not None:
                await self.service.files.write(self.incoming, piece.data)

    async def open(self, filename: str) -> Incoming:
        """Begin the file."""
        length = self.request.headers.get("Content-Length", "0")
        return await self.service.files.begin(
            self.principal,
            self.where,
            filename=filename,
            expected=self._expected,
            size=int(length) if length.isdecimal() else 0,
            directory=self._query.unpack,
        )

    async def whole(self) -> Incoming:
        """Return the file, complete.

        Raises
        ------
        ValidationFailed
            The body has no part ``file``.
        BadRequest
            It ends inside it.
        """
        await self.received()
        if self.incoming is None:
            raise missing("the body has no part named 'file'")
        if not self._reader.complete:
            raise BadRequest("the body ends before the file does")
        return self.incoming

    async def abandon(self) -> None:
        """Drop the file unless it got its name."""
        incoming = self.incoming
        if incoming is not None:
            await self.service.files.drop(incoming)

    def on_connection_close(self) -> None:
        """Drop the file; the client has left while it sent."""
        super().on_connection_close()
        if self.incoming is not None and not self._arrived:
            self.incoming.staged.close()


@stream_request_body
class UploadHandler(MultipartHandler):
    """POST /api/upload/{path}."""

    async def post(self, path: str) -> None:
        """Store a file."""
        del path
        try:
            incoming = await self.whole()
            self._arrived = True
            if self._query.unpack:
                self.send_json(str(await self.service.files.unpack(incoming)))
                return
            stored, etag = await self.service.files.finish(incoming)
            self.set_header("ETag", f'"{etag}"')
            self.send_json(str(stored))
        finally:
            self._arrived = True
            await self.abandon()


@stream_request_body
class AppendHandler(MultipartHandler):
    """POST /api/append/{path}."""

    async def open(self, filename: str) -> Incoming:
        """Begin the file; it never gets a name."""
        del filename
        length = self.request.headers.get("Content-Length", "0")
        return await self.service.files.begin(
            self.principal,
            DatasetPath(self.where.root),
            size=int(length) if length.isdecimal() else 0,
            directory=True,
        )

    async def post(self, path: str) -> None:
        """Append an array."""
        del path
        try:
            incoming = await self.whole()
            self._arrived = True
            expected = wanted_etag(self.request.headers)
            self.send_json(
                await self.service.files.append(self.principal, self.where, incoming, expected=expected)
            )
        finally:
            self._arrived = True
            await self.abandon()


class RemoveHandler(BaseHandler[Subscriber]):
    """POST /api/remove/{path}."""

    async def post(self, path: str) -> None:
        """Remove a file or directory."""
        where, expected = DatasetPath.from_url(path), wanted_etag(self.request.headers)
        self.send_json(str(await self.service.files.remove(self.principal, where, expected=expected)))


class MoveHandler(BaseHandler[Subscriber]):
    """POST /api/move/."""

    async def post(self) -> None:
        """Move a file or directory."""
        body = self.json_body(MoveBody)
        src, dst = DatasetPath.parse(body.src), DatasetPath.parse(body.dst)
        expected, new = wanted_etag(self.request.headers), wants_new(self.request.headers)
        exact = body.exact
        moved = await self.service.files.move(
            self.principal, src, dst, exact=exact, expected=expected, new=new
        )
        self.send_json(str(moved))


class CopyHandler(BaseHandler[Subscriber]):
    """POST /api/copy/."""

    async def post(self) -> None:
        """Copy a file or directory."""
        body = self.json_body(MoveBody)
        src, dst = DatasetPath.parse(body.src), DatasetPath.parse(body.dst)
        expected, new = wanted_etag(self.request.headers), wants_new(self.request.headers)
        exact = body.exact
        copied = await self.service.files.copy(
            self.principal, src, dst, exact=exact, expected=expected, new=new
        )
        self.send_json(str(copied))


class MkdirHandler(BaseHandler[Subscriber]):
    """POST /api/mkdir/{path}."""

    async def post(self, path: str) -> None:
        """Make a directory."""
        made = await self.service.files.make_directory(self.principal, DatasetPath.from_url(path))
        self.send_json(str(made))


class AddNotebookHandler(BaseHandler[Subscriber]):
    """POST /api/addnotebook/{path}."""

    async def post(self, path: str) -> None:
        """Make an empty notebook."""
        made = await self.service.files.add_notebook(self.principal, DatasetPath.from_url(path))
        self.send_json(str(made))


class NewUploadHandler(BaseHandler[Subscriber]):
    """POST /api/uploads."""

    async def post(self) -> None:
        """Begin an upload."""
        state = await self.service.uploads.begin(self.principal, self.json_body(NewUpload))
        self.set_header("Location", f"/api/uploads/{state.id}")
        self.send_json(state, status=201)


@stream_request_body
class ResumableHandler(StreamHandler):
    """PATCH, GET, POST, DELETE /api/uploads/{upload}."""

    async def begin(self) -> None:
        """Find the upload, and see that a part fits behind the last one."""
        self._upload = self.service.uploads.get(self.principal, self.path_args[0])
        self._offset: int | None = None
        self._guard: Any = None
        if self.request.method == "PATCH":
            text = self.request.headers.get(OFFSET, "")
            if not text.isdecimal() or len(text) > 18:
                raise ValidationFailed(
                    f"the header {OFFSET} says where a part begins",
                    problems=((("header", OFFSET), "missing, or no number", text),),
                )
            guard = self.service.uploads.receiving(self._upload, int(text))
            guard.__enter__()
            self._guard = guard

    @property
    def upload(self) -> Upload:
        """The upload."""
        return self._upload

    async def take(self, data: bytes | bytearray) -> None:
        """Write some bytes of a part."""
        if self.request.method == "PATCH":
            await self.service.uploads.write(self.upload, data)

    async def abandon(self) -> None:
        """Let the next part come."""
        self._release()

    def _release(self) -> None:
        guard, self._guard = getattr(self, "_guard", None), None
        if guard is not None:
            guard.__exit__(None, None, None)

    def on_connection_close(self) -> None:
        """Let the rest come in another request."""
        super().on_connection_close()
        self._release()

    async def patch(self, upload: str) -> None:
        """Append a part."""
        del upload
        try:
            await self.received()
        finally:
            self._release()
        self._tell()

    async def get(self, upload: str) -> None:
        """Tell how much has arrived."""
        del upload
        await self.received()
        self._tell()

    async def post(self, upload: str) -> None:
        """Finish."""
        del upload
        await self.received()
        path, etag = await self.service.uploads.finish(self.principal, self.upload, self.expected())
        if etag is not None:
            self.set_header("ETag", f'"{etag}"')
        self.send_json(str(path))

    async def delete(self, upload: str) -> None:
        """Give up."""
        del upload
        await self.received()
        await self.service.uploads.abandon(self.upload)
        self.send_json("Ok")

    def _tell(self) -> None:
        state = self.upload.state()
        self.set_header(OFFSET, str(state.offset))
        self.set_header(LENGTH, str(state.size))
        self.set_header("Cache-Control", "no-store")
        self.send_json(state)
