"""A publisher that can lie in every answer: an honest one whose answers are changed on their way out."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import tornado.web
import tornado.websocket

from caterva2.compute.extents import PREFIX, Record, encode_head, read_records
from caterva2.compute.frames import read_skeleton
from caterva2.model.datasets import Entry
from caterva2.model.requests import BlocksRequest
from caterva2.storage.describe import describe_frame
from caterva2.storage.extentreader import ExtentReader
from caterva2.storage.pinned import BytesFrame
from tests.support.serverthread import ServerThread

GARBAGE = np.random.default_rng(11).integers(0, 256, 5000, dtype="u1").tobytes()

Lie = Callable[["BlocksHandler", list[Record]], None]


class Liar(ServerThread):
    """Serve the same frame under many names; each name has its own lie about blocks.

    Attributes
    ----------
    honest
        While this is true no lies are told.
    catalog
        Called for the body of a page of the catalog; None for the honest one.
    greeting
        Messages for whoever follows the events.
    """

    def __init__(self, frame: bytes, lies: dict[str, Lie]) -> None:
        super().__init__(self._application)
        self.frame = frame
        self.skeleton = read_skeleton(lambda offset, length: frame[offset : offset + length], len(frame))
        self.lies = lies
        self.honest = True
        self.catalog: Callable[[str | None], bytes] | None = None
        self.greeting: list[str | bytes] = []

    def entry(self, name: str, **changed: Any) -> Entry:
        fields: dict[str, Any] = {
            "path": f"{name}.b2nd", "etag": "1", "mtime_ns": 10**18, "size": len(self.frame),
            "info": describe_frame(self.skeleton),
        }  # fmt: skip
        return Entry(**{**fields, **changed})

    def page(self, entries: list[Any], after: str | None = None) -> bytes:
        return msgspec.msgpack.encode({"entries": entries, "next": after, "epoch": "e", "seq": 0})

    def _application(self) -> tornado.web.Application:
        return tornado.web.Application(
            [
                (r"/api/events", EventsHandler, {"liar": self}),
                (r"/api/catalog", CatalogHandler, {"liar": self}),
                (r"/api/blocks/(.*)\.b2nd", BlocksHandler, {"liar": self}),
            ]
        )


class EventsHandler(tornado.websocket.WebSocketHandler):
    def initialize(self, liar: Liar) -> None:
        self.liar = liar

    def open(self) -> None:
        for message in self.liar.greeting:
            self.write_message(message, binary=isinstance(message, bytes))


class CatalogHandler(tornado.web.RequestHandler):
    def initialize(self, liar: Liar) -> None:
        self.liar = liar

    def get(self) -> None:
        if self.liar.catalog is not None:
            self.write(self.liar.catalog(self.get_argument("after", None)))
            return
        self.write(self.liar.page([self.liar.entry(name) for name in sorted(self.liar.lies)]))


class BlocksHandler(tornado.web.RequestHandler):
    def initialize(self, liar: Liar) -> None:
        self.liar = liar

    def post(self, name: str) -> None:
        liar = self.liar
        request = msgspec.msgpack.decode(self.request.body, type=BlocksRequest)
        body = memoryview(
            b"".join(ExtentReader(BytesFrame(liar.frame, name, etag="1"), liar.skeleton, request).batches())
        )
        if liar.honest:
            self.write(bytes(body))
            return
        at = 0

        def readinto(buffer: memoryview) -> None:
            nonlocal at
            buffer.cast("B")[:] = body[at : at + buffer.nbytes]
            at += buffer.nbytes

        liar.lies[name](self, list(read_records(readinto, total=len(body))))

    # lies

    def send_raw(self, data: bytes) -> None:
        """Write bytes instead of an HTTP answer, and hang up."""
        stream = self.detach()
        stream.write(data).add_done_callback(lambda _: stream.close())


def encoded(record: Record) -> bytes:
    """Encode a record, with the digests that it brings."""
    if record.special:
        return PREFIX.pack(3, record.special, 0, 0, record.units.nchunk)
    return encode_head(record.units, record.digests.tolist()) + bytes(record.payload)


def _with(change: Callable[[Record], bytes], *, only_chunks: bool) -> Lie:
    """Let `change` encode each record; skeletons honestly if `only_chunks`."""

    def lie(handler: BlocksHandler, records: list[Record]) -> None:
        for record in records:
            wanted = record.units.nchunk >= 0 or not only_chunks
            handler.write(change(record) if wanted else encoded(record))

    return lie


def _field(at: int, fmt: str, value: int, *, column: int = 0, row: int = 0, only_chunks: bool = True) -> Lie:
    """Overwrite a number in the head of each record: at an offset of the prefix, or in its table of units."""

    def change(record: Record) -> bytes:
        data = bytearray(encoded(record))
        nunits = len(record.units.numbers)
        widths = (0, 4, 12, 16)
        place = (
            at
            if at >= 0
            else PREFIX.size + widths[column] * nunits + struct.calcsize(fmt) * min(row, nunits - 1)
        )
        struct.pack_into(fmt, data, place, value)
        return bytes(data)

    return _with(change, only_chunks=only_chunks)


def _moved(record: Record) -> bytes:
    """Say that the units lie 8 bytes further on."""
    units = record.units
    for offset in range(len(units.offsets)):
        units.offsets[offset] += 8
    return encoded(record)


def _garbage_payload(record: Record) -> bytes:
    """Send other bytes, with the digests of these: only the layout of the chunk can tell."""
    from caterva2.compute.extents import digest

    payload = (GARBAGE * (len(record.payload) // len(GARBAGE) + 1))[: len(record.payload)]
    wrong = Record(record.units, record.digests, memoryview(payload))
    digests = [digest(part) for part in wrong.parts()]
    return encode_head(record.units, digests) + payload


def _raw(data: bytes) -> Lie:
    return lambda handler, _: handler.send_raw(data)


def _page(data: bytes, status: int = 200) -> Lie:
    def lie(handler: BlocksHandler, _: list[Record]) -> None:
        handler.set_status(status)
        handler.write(data)

    return lie


def _half(handler: BlocksHandler, records: list[Record]) -> None:
    body = b"".join(map(encoded, records))
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    handler.send_raw(head + body[: len(body) // 2])


def _claims(length: str, *, only_chunks: bool = False) -> Lie:
    def lie(handler: BlocksHandler, records: list[Record]) -> None:
        body = b"".join(map(encoded, records))
        if only_chunks and records[0].units.nchunk < 0:
            handler.write(body)
            return
        handler.send_raw(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + body)

    return lie


def _skeleton_of_another(handler: BlocksHandler, records: list[Record]) -> None:
    for record in records:
        data = bytearray(encoded(record))
        if record.units.nchunk < 0:  # another shape, with the right digest
            at = bytes(record.payload).index(b"b2nd") + 30
            payload = bytearray(record.payload)
            payload[at] ^= 0xFF
            changed = Record(record.units, record.digests, memoryview(bytes(payload)))
            from caterva2.compute.extents import digest

            data = bytearray(encode_head(record.units, [digest(part) for part in changed.parts()]) + payload)
        handler.write(bytes(data))


def lies() -> dict[str, Lie]:
    """Return lies about blocks, by name; all can be told from the truth."""
    endless = b"".join(b"%x\r\n%s\r\n" % (len(GARBAGE), GARBAGE) for _ in range(400))
    return {
        "garbage-not-http": _raw(GARBAGE),
        "hangs-up": _raw(b""),
        "status-line-only": _raw(b"HTTP/1.1 200 OK\r\n"),
        "endless-header": _raw(b"HTTP/1.1 200 OK\r\n" + b"X-More: " + b"x" * 200_000),
        "many-headers": _raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n"),
        "bad-length": _raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + GARBAGE),
        "bad-chunking": _raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + GARBAGE),
        "no-length": _raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + endless),
        "half": _half,
        "claims-more": _claims("5000000", only_chunks=True),
        "claims-absurd": _claims(str(10**15)),
        "claims-less": _claims("200"),
        "no-content": _page(b"", 204),
        "garbage": _page(GARBAGE),
        "nothing": _page(b""),
        "html": _page(b"<html>it works</html>"),
        "json": _page(b'{"detail": "ok"}'),
        "teapot": _page(b"short and stout", 418),
        "moved": _page(b"", 301),
        "fails": _page(b"<html>500</html>", 500),
        "fails-at-length": _page(GARBAGE * 4000, 500),
        "wrong-json": _page(b'{"detail": [1, {"a": null}], "code": 7}', 503),
        "wrong-digest": _field(-1, "<Q", 12345, column=3, row=1),
        "far-offset": _field(-1, "<Q", 2**50, column=1, row=1),
        "negative-offset": _field(-1, "<Q", 2**64 - 8, column=1),
        "moved-units": _with(_moved, only_chunks=True),
        "moved-skeleton": _with(_moved, only_chunks=False),
        "long-unit": _field(-1, "<I", 2**32 - 1, column=2),
        "no-unit": _field(4, "<I", 0),
        "many-units": _field(4, "<I", 2**32 - 1),
        "high-number": _field(-1, "<I", 2**32 - 1, column=0, row=1),
        "other-number": _field(-1, "<I", 3, column=0),
        "other-chunk": _field(8, "<q", 7),
        "negative-chunk": _field(8, "<q", -9),
        "absurd-chunk": _field(8, "<q", 2**62),
        "unknown-kind": _field(0, "<B", 77),
        "special-value": _with(lambda record: PREFIX.pack(3, 1, 0, 0, record.units.nchunk), only_chunks=True),
        "no-records": _with(lambda record: b"", only_chunks=True),
        "no-skeleton": _with(lambda record: b"", only_chunks=False),
        "garbage-bytes": _with(_garbage_payload, only_chunks=True),
        "garbage-skeleton": _with(_garbage_payload, only_chunks=False),
        "other-skeleton": _skeleton_of_another,
        "short-skeleton": _field(-1, "<I", 60, column=2, only_chunks=False),
    }  # fmt: skip


def impossible_entries(liar: Liar) -> list[Any]:
    """Return entries of a catalog that can not be, as builtins."""
    honest = msgspec.to_builtins(liar.entry("x"))
    return [
        {**honest, **change}
        for change in (
            {"path": "../up.b2nd"},
            {"path": "/etc/passwd"},
            {"path": ""},
            {"path": "a//b.b2nd"},
            {"path": "nul\0.b2nd"},
            {"path": "line\nbreak.b2nd"},
            {"path": "long" * 2000},
            {"path": "cr.b2nd", "etag": "a\r\nSet-Cookie: b"},
            {"path": "no-etag.b2nd", "etag": ""},
            {"path": "quoted.b2nd", "etag": '"1"'},
            {"path": "size.b2nd", "size": -1},
            {"path": "sizes.b2nd", "size": 2**63 + 5},
            {"path": "time.b2nd", "mtime_ns": 2**64 - 1},
            {"path": "times.b2nd", "mtime_ns": -(2**63)},
        )
    ]
