"""A subscriber without network, cache or files: the contract's read endpoints over a dict of arrays.

It shares no code with the real one beyond the error bodies, so that a client
that works with both relies on the contract only. Faults are planned with
`FakeSubscriber.faults`.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import blosc2
import msgspec
import numpy as np
import tornado.web
import tornado.websocket

from caterva2 import errors
from caterva2.model.problems import error_body

COOKIE = "c2subauth=token-of-jane"
USER = {"username": "jane@example.org", "password": "correct horse"}


@dataclass
class Stored:
    """A file of the fake: what it is, and its bytes."""

    kind: str
    frame: bytes
    array: np.ndarray | None = None
    data: bytes = b""
    typesize: int = 1
    vlmeta: dict[str, Any] = field(default_factory=dict)
    geometry: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    reason: str = ""
    mtime: float = field(default_factory=time.time)

    @property
    def etag(self) -> str:
        return '"' + hashlib.sha256(self.frame + self.reason.encode()).hexdigest()[:16] + '"'


@dataclass
class Seen:
    """A request that arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


class FakeSubscriber:
    """The state of the fake.

    Attributes
    ----------
    seen
        Every request, in order.
    faults
        ``(substring of the path, action)`` pairs; the first that fits is used up. An action gets the
        handler before it answers and may raise, close the connection, or return True to have answered.
    login
        Whether there is a login endpoint.
    """

    def __init__(self, *, login: bool = False) -> None:
        self.files: dict[str, Stored] = {}
        self.roots: dict[str, dict[str, Any]] = {}
        self.seen: list[Seen] = []
        self.faults: deque[tuple[str, Callable[[Any], bool | None]]] = deque()
        self.login = login
        self.epoch = "e1"
        self.envelopes: list[bytes] = []
        self.sockets: list[tornado.websocket.WebSocketHandler] = []
        self.ranges_for_files = True
        self.add_root("@public", http="", subscribed=True)

    def add_root(self, name: str, *, http: str = "localhost:8001", subscribed: bool | None = None) -> None:
        self.roots[name] = {"name": name, "http": http, "subscribed": subscribed, "status": "online"}

    def add_array(
        self,
        path: str,
        array: Any,
        *,
        chunks: tuple[int, ...] | None = None,
        blocks: tuple[int, ...] | None = None,
        vlmeta: dict[str, Any] | None = None,
    ) -> Stored:
        array = np.asarray(array)
        stored = blosc2.asarray(array, chunks=chunks, blocks=blocks, cparams={"clevel": 1})
        for name, value in (vlmeta or {}).items():
            stored.schunk.vlmeta[name] = value
        self.files[path] = Stored(
            "array", stored.to_cframe(), array, typesize=array.dtype.itemsize, vlmeta=vlmeta or {},
            geometry=(stored.chunks, stored.blocks),
        )  # fmt: skip
        return self.files[path]

    def add_frame(self, path: str, data: bytes, *, typesize: int = 1, chunksize: int = 100) -> Stored:
        frame = blosc2.SChunk(chunksize=chunksize, data=data, cparams={"typesize": typesize}).to_cframe()
        self.files[path] = Stored("frame", frame, data=data, typesize=typesize)
        return self.files[path]

    def add_file(self, path: str, data: bytes) -> Stored:
        self.files[path] = Stored("file", blosc2.SChunk(data=data).to_cframe(), data=data)
        return self.files[path]

    def add_broken(self, path: str, reason: str) -> Stored:
        self.files[path] = Stored("broken", b"", reason=reason)
        return self.files[path]

    def emit(self, event: dict[str, Any]) -> None:
        """Send an event to all who follow; call it in the server's thread."""
        envelope = {"epoch": self.epoch, "seq": len(self.envelopes) + 1, "at": time.time(), "event": event}
        self.envelopes.append(json.dumps(envelope).encode())
        for socket in list(self.sockets):
            socket.write_message(self.envelopes[-1].decode())

    def drop_sockets(self) -> None:
        while self.sockets:
            self.sockets.pop().close()

    def application(self) -> tornado.web.Application:
        args = {"fake": self}
        rules = [
            (r"/api/roots/?", Roots, args),
            (r"/api/subscribe/([^/]+)/?", Subscribe, args),
            (r"/api/list/(.*)", List, args),
            (r"/api/info/(.*)", Info, args),
            (r"/api/fetch/(.*)", Fetch, args),
            (r"/api/download/(.*)", Download, args),
            (r"/api/chunk/(.*)", Chunk, args),
            (r"/api/events/?", Events, args),
        ]
        if self.login:
            rules.append((r"/auth/jwt/login", Login, args))
        return tornado.web.Application(rules, default_handler_class=Missing, default_handler_args=args)


class Base(tornado.web.RequestHandler):
    SUPPORTED_METHODS: ClassVar[tuple[str, ...]] = ("GET", "HEAD", "POST")

    def initialize(self, fake: FakeSubscriber) -> None:
        self.fake = fake

    def prepare(self) -> None:
        request = self.request
        headers = {name.lower(): value for name, value in request.headers.get_all()}
        self.fake.seen.append(Seen(request.method, request.path, request.query, headers))
        for at, (part, action) in enumerate(self.fake.faults):
            if part in request.path:
                del self.fake.faults[at]
                action(self)
                return

    def head(self, *args: str) -> Any:
        return self.get(*args)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        exc = kwargs["exc_info"][1]
        if isinstance(exc, errors.Caterva2Error):
            self.set_status(exc.status)
            body = error_body(exc, "req-1")
        else:
            body = error_body(errors.error_class(None, status_code)(self._reason), "req-1")
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(body))

    def log_exception(self, *args: Any) -> None:
        """Say nothing: the tests look at the answer."""

    def answer(self, value: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(value))

    @property
    def is_jane(self) -> bool:
        return self.request.headers.get("Cookie") == COOKIE

    def stored(self, path: str) -> Stored:
        root = path.partition("/")[0]
        if root not in self.fake.roots or (root == "@shared" and not self.is_jane):
            raise errors.RootNotFound(f"no root named {root!r}")
        if path in self.fake.files:
            found = self.fake.files[path]
            if found.kind == "broken":
                raise errors.BrokenDataset(f"{path} is broken: {found.reason}")
            return found
        if self.below(path):
            raise errors.NotADataset(f"{path} is a directory")
        raise errors.DatasetNotFound(f"{path} does not exist")

    def below(self, path: str) -> list[str]:
        start = path.rstrip("/") + "/"
        return sorted(name.removeprefix(start) for name in self.fake.files if name.startswith(start))

    def label(self, stored: Stored) -> None:
        self.set_header("Caterva2-Generation", stored.etag.strip('"'))

    def send_ranged(self, body: bytes, etag: str, filename: str) -> None:
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f'attachment; filename="{filename}"')
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Etag", etag)
        wanted = self.request.headers.get("Range")
        if wanted and self.request.headers.get("If-Range", etag) == etag:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop = int(first), int(last) + 1 if last else len(body)
            if start >= len(body):
                raise errors.RangeNotSatisfiable(f"range {wanted} of {len(body)} bytes")
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}")
            body = body[start:stop]
        self.finish(body)

    def compute_etag(self) -> str | None:
        return None


class Missing(Base):
    def prepare(self) -> None:
        super().prepare()
        raise errors.RouteNotFound("Not Found")


class Roots(Base):
    def get(self) -> None:
        hidden = set() if self.is_jane else {"@shared"}
        self.answer({name: root for name, root in self.fake.roots.items() if name not in hidden})


class Subscribe(Base):
    def post(self, root: str) -> None:
        if root not in self.fake.roots:
            raise errors.RootNotFound(f"{root} not known by the broker")
        self.fake.roots[root]["subscribed"] = True
        self.answer("Ok")


class List(Base):
    def get(self, path: str) -> None:
        path = path.rstrip("/")
        if path in self.fake.files:
            self.answer([path.rpartition("/")[2]])
            return
        names = self.below(path)
        if not names and path not in self.fake.roots:
            self.stored(path)
        after, limit = self.get_query_argument("after", None), self.get_query_argument("limit", None)
        if after is not None:
            names = [name for name in names if name > after]
        self.answer(names if limit is None else names[: int(limit)])


class Info(Base):
    def get(self, path: str) -> None:
        path = path.rstrip("/")
        if path in self.fake.files:
            stored = self.fake.files[path]
            self.label(stored)
            self.answer(_describe(path, stored))
        elif self.below(path) or path in self.fake.roots:
            self.answer({"kind": "group", "mtime": _iso(0), "size": 0, "nfiles": len(self.below(path))})
        else:
            self.stored(path)


class Fetch(Base):
    def get(self, path: str) -> None:
        stored = self.stored(path)
        known = {"slice_", "indices", "field", "filter"}
        unknown = set(self.request.query_arguments) - known
        if unknown:
            raise errors.ValidationFailed(f"query: unknown parameters {sorted(unknown)}")
        self.label(stored)
        text = self.get_query_argument("slice_", "")
        column = self.get_query_argument("field", None)
        if not text and column is None:
            name = path.rpartition("/")[2] + (".b2" if stored.kind == "file" else "")
            self.send_ranged(stored.frame, stored.etag, name)
            return
        key = _key(text)
        self.set_header("Etag", f'{stored.etag[:-1]}-{text}"')
        self.set_header("Content-Type", "application/octet-stream")
        if stored.array is None:
            self.finish(_slice_bytes(stored, key))
            return
        try:
            items = stored.array if column is None else stored.array[column]
            result = np.asarray(items[key])
        except (IndexError, ValueError) as exc:
            raise errors.BadSlice(f"{path}: {exc}") from exc
        self.finish(blosc2.asarray(np.array(result, copy=True)).to_cframe())


class Download(Base):
    def get(self, path: str) -> None:
        stored = self.stored(path)
        name = path.rpartition("/")[2]
        body = stored.data if stored.kind == "file" else stored.frame
        if stored.kind == "file" and not self.fake.ranges_for_files:
            self.request.headers.pop("Range", None)
        self.send_ranged(body, stored.etag, name)


class Chunk(Base):
    def get(self, path: str) -> None:
        stored = self.stored(path)
        try:
            nchunk = int(self.get_query_argument("nchunk"))
        except (tornado.web.MissingArgumentError, ValueError) as exc:
            raise errors.ValidationFailed(
                "query: nchunk", problems=((("query", "nchunk"), "expected an integer", None),)
            ) from exc
        schunk = blosc2.schunk_from_cframe(stored.frame)
        if not 0 <= nchunk < schunk.nchunks:
            raise errors.BadRequest(f"{path} has no chunk {nchunk}; it has {schunk.nchunks}")
        self.set_header("Content-Type", "application/octet-stream")
        self.finish(schunk.get_chunk(nchunk))


class Login(Base):
    def post(self) -> None:
        given = {name: self.get_body_argument(name, "") for name in USER}
        if given != USER:
            raise errors.BadRequest("LOGIN_BAD_CREDENTIALS")
        self.set_header("Set-Cookie", f"{COOKIE}; HttpOnly; Path=/; SameSite=lax")
        self.set_status(204)
        self.finish()


class Events(tornado.websocket.WebSocketHandler):
    def initialize(self, fake: FakeSubscriber) -> None:
        self.fake = fake

    def open(self) -> None:
        request = self.request
        headers = {name.lower(): value for name, value in request.headers.get_all()}
        self.fake.seen.append(Seen(request.method, request.path, request.query, headers))
        self.fake.sockets.append(self)
        epoch, since = self.get_query_argument("epoch", None), self.get_query_argument("since", None)
        if epoch == self.fake.epoch and since is not None:
            for message in self.fake.envelopes[int(since) :]:
                self.write_message(message.decode())

    def on_close(self) -> None:
        if self in self.fake.sockets:
            self.fake.sockets.remove(self)


def close_connection(handler: Base) -> None:
    """Fault: close without an answer."""
    handler.request.connection.stream.close()  # type: ignore[union-attr]
    raise tornado.web.Finish


def cut_body(after: int) -> Callable[[Base], None]:
    """Fault: promise more bytes than the `after` that are sent."""

    def action(handler: Base) -> None:
        finish = handler.finish

        def short(body: Any = b"") -> Any:
            stream = handler.request.connection.stream  # type: ignore[union-attr]
            handler.set_header("Content-Length", len(body))
            handler._auto_finish = False
            handler.write(body[:after])
            future = handler.flush()
            future.add_done_callback(lambda _: stream.close())
            return future

        del finish
        handler.finish = short  # type: ignore[method-assign, assignment]

    return action


def fail_with(error: errors.Caterva2Error) -> Callable[[Base], None]:
    """Fault: answer with an error."""

    def action(handler: Base) -> None:
        raise error

    return action


def answer_plain(status: int, body: str, content_type: str, **headers: str) -> Callable[[Base], None]:
    """Fault: answer what is not ours, as a reverse proxy would."""

    def action(handler: Base) -> None:
        handler.set_status(status)
        handler.set_header("Content-Type", content_type)
        for name, value in headers.items():
            handler.set_header(name, value)
        handler.finish(body)

    return action


def _describe(path: str, stored: Stored) -> dict[str, Any]:
    if stored.kind == "broken":
        return {"kind": "broken", "error": stored.reason, "mtime": _iso(stored.mtime), "size": 17}
    schunk = blosc2.schunk_from_cframe(stored.frame)
    cparams = {
        "codec": 5, "codec_meta": 0, "clevel": 1, "filters": [0, 0, 0, 0, 0, 1], "filters_meta": [0] * 6,
        "typesize": stored.typesize, "blocksize": schunk.blocksize, "nthreads": 1, "splitmode": 3, "tuner": 0,
        "use_dict": False,
    }  # fmt: skip
    container = {
        "cbytes": schunk.cbytes, "chunkshape": schunk.chunkshape, "chunksize": schunk.chunksize,
        "contiguous": True, "cparams": cparams, "cratio": float(schunk.cratio), "nbytes": schunk.nbytes,
        "urlpath": path, "vlmeta": stored.vlmeta, "nchunks": schunk.nchunks, "blocksize": schunk.blocksize,
        "mtime": None,
    }  # fmt: skip
    if stored.array is None:
        return {**container, "mtime": _iso(stored.mtime), "kind": stored.kind, "accept_ranges": "bytes"}
    chunks, blocks = stored.geometry
    return {
        "shape": stored.array.shape, "chunks": chunks, "blocks": blocks, "dtype": str(stored.array.dtype),
        "schunk": container, "mtime": _iso(stored.mtime), "kind": "array", "accept_ranges": "bytes",
    }  # fmt: skip


def _iso(moment: float) -> str:
    text = datetime.datetime.fromtimestamp(moment, tz=datetime.UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def _key(text: str) -> tuple[int | slice, ...]:
    items: list[int | slice] = []
    for segment in text.split(",") if text.strip() else ():
        parts = [part.strip() for part in segment.split(":")]
        try:
            numbers = [int(part) if part else None for part in parts]
        except ValueError as exc:
            raise errors.BadSlice(f"slice {text!r} is malformed") from exc
        if len(numbers) == 1 and numbers[0] is not None:
            items.append(numbers[0])
        elif len(numbers) in {2, 3}:
            items.append(slice(*numbers))
        else:
            raise errors.BadSlice(f"slice {text!r} is malformed")
    return tuple(items)


def _slice_bytes(stored: Stored, key: tuple[int | slice, ...]) -> bytes:
    if len(key) > 1:
        raise errors.BadSlice("a sequence of bytes has one axis")
    n = stored.typesize
    items = [stored.data[at : at + n] for at in range(0, len(stored.data), n)]
    try:
        chosen = items[key[0]] if key else items
    except IndexError as exc:
        raise errors.BadSlice("index out of bounds") from exc
    data = chosen if isinstance(chosen, bytes) else b"".join(chosen)
    return blosc2.SChunk(data=data, cparams={"typesize": n}).to_cframe()
