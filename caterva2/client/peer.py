"""How one service talks to another: blocking calls of a subscriber to brokers and publishers.

Data arrive by `DataChannel`, read straight into their final buffers. Run the
methods in a lane of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlencode

from caterva2.client.datachannel import Answer, DataChannel
from caterva2.client.urlbase import Urlbase
from caterva2.compute.extents import Record, read_records
from caterva2.errors import Caterva2Error, ProtocolMismatch, ServiceError
from caterva2.model import wire
from caterva2.model.datasets import Entry
from caterva2.model.paths import DatasetPath
from caterva2.model.problems import ErrorBody, error_from_body
from caterva2.model.requests import BlocksRequest, CatalogPage
from caterva2.model.roots import BrokerRoot

T = TypeVar("T")
SECRET_HEADER = "Caterva2-Secret"  # noqa: S105 (the name, not the secret)
MAX_ANSWER = 32 << 20
MAX_ERROR = 1 << 16


class Peer:
    """Another service of the network.

    Parameters
    ----------
    http
        Its address as it announced itself: ``host:port``, or the path of a Unix socket.
    secret
        Shared secret of the services, if there is one.
    timeout_s
        Longest silence, in seconds.
    max_connections
        Connections kept at the most.
    """

    def __init__(
        self, http: str, *, secret: str | None = None, timeout_s: float = 10.0, max_connections: int = 16
    ) -> None:
        self.http = http
        text = f"unix:{http}" if "/" in http and "://" not in http and not http.startswith("unix:") else http
        headers = {SECRET_HEADER: secret} if secret else {}
        self._channel = DataChannel(
            Urlbase.parse(text), headers=headers, timeout_s=timeout_s, max_connections=max_connections,
            connect_timeout_s=2.0, retries=0,
        )  # fmt: skip

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()

    def broker_roots(self) -> dict[str, BrokerRoot]:
        """Ask a broker for the roots it knows."""
        return wire.answer_from_json(self._get("/api/roots"), dict[str, BrokerRoot])

    def catalog_page(self, after: str | None, limit: int) -> CatalogPage:
        """Ask a publisher for a page of its catalog."""
        query = {"limit": str(limit), **({} if after is None else {"after": after})}
        return wire.answer_from_msgpack(self._get(f"/api/catalog?{urlencode(query)}"), CatalogPage)

    def describe(self, path: str) -> Entry:
        """Ask a publisher for the complete description of a file."""
        return wire.answer_from_msgpack(self._get(f"/api/describe/{_quote(path)}"), Entry)

    def blocks(
        self, path: str, etag: str, request: BlocksRequest, keep: Callable[[Record], object], *, most: int
    ) -> int:
        """Ask a publisher for parts of a stored frame; each record is verified, then handed on.

        Parameters
        ----------
        most
            Bytes that the answer can have at the most.

        Returns
        -------
        int
            Bytes of the answer.

        Raises
        ------
        DatasetChanged
            The file is no longer of generation `etag`.
        CorruptChunk
            The answer was damaged on its way.
        """
        headers = {"If-Match": f'"{etag}"', "Content-Type": wire.MSGPACK, "Accept": wire.EXTENTS}
        body = wire.to_msgpack(request)
        with self._channel.request(
            "POST", f"/api/blocks/{_quote(path)}", headers=headers, body=body, idempotent=True
        ) as answer:
            _check(answer)
            if answer.length is None:
                raise ProtocolMismatch(f"{self.http} sent blocks without their length")
            if answer.length > most:
                raise ProtocolMismatch(f"{self.http} sent {answer.length} bytes where {most} are the most")
            for record in read_records(answer.readinto, total=answer.length):
                record.verify()
                keep(record)
            return answer.length

    def _get(self, path: str) -> bytes:
        with self._channel.request("GET", path) as answer:
            _check(answer)
            data = _read(answer, MAX_ANSWER)
            if len(data) > MAX_ANSWER:
                raise ProtocolMismatch(f"{self.http} sent an answer of more than {MAX_ANSWER} bytes")
            return data


def _read(answer: Answer, most: int) -> bytes:
    """Read a body; what is beyond `most` bytes is not taken in, except for one piece."""
    data = bytearray()
    for piece in answer.pieces():
        data += piece
        if len(data) > most:
            break
    return bytes(data)


def _quote(path: str) -> str:
    return DatasetPath("", tuple(path.split("/"))).to_url().removeprefix("/")


def _check(answer: Answer) -> None:
    if answer.status == 200:
        return
    raise _error(_read(answer, MAX_ERROR)[:MAX_ERROR], answer.status)


def _error(body: bytes, status: int) -> Caterva2Error:
    try:
        return error_from_body(wire.answer_from_json(body, ErrorBody), status)
    except ProtocolMismatch as exc:
        if status >= 500:
            return ServiceError(f"the service answered with status {status}")
        return ProtocolMismatch(f"the service answered with status {status}, unlike ours: {exc.message}")
