"""The publisher over HTTP, beside a real broker: what it serves, what it announces, whom it needs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import blosc2
import httpx
import numpy as np
import pytest
import pytest_asyncio
from tornado.websocket import websocket_connect

from caterva2.compute.extents import CHUNK, SPECIAL, Record, piece_from_record, read_records
from caterva2.compute.frames import skeleton_from_parts
from caterva2.config.schema import BrokerConfig, PublisherConfig
from caterva2.config.units import Address
from caterva2.errors import BrokerUnavailable, ConfigError, RootTaken
from caterva2.model import wire
from caterva2.model.datasets import ArrayInfo, BrokenInfo, CParams, Entry, FileInfo
from caterva2.model.events import DatasetChanged, DatasetRemoved, Envelope, Resync
from caterva2.model.requests import CatalogPage
from caterva2.roles.broker import app as broker_app
from caterva2.roles.publisher import app
from tests.support.frames import array_frame, bytes_frame, object_frame

pytestmark = pytest.mark.asyncio

ARRAY = np.arange(400 * 300, dtype="<i4").reshape(400, 300)
FRAME = array_frame(ARRAY, chunks=(100, 100), blocks=(20, 50), vlmeta={"a": 1})


class Network:
    """A broker and one publisher on loopback, and a client of each."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "root"
        self.root.mkdir()
        self.secret: str | None = None
        self._broker = contextlib.AsyncExitStack()
        self._publisher = contextlib.AsyncExitStack()
        self.broker_address = Address("localhost", 0)

    def put(self, path: str, data: bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}")
        beside.write_bytes(data)
        beside.replace(file)

    async def start_broker(self) -> None:
        config = BrokerConfig(
            http=self.broker_address, statedir=self.home / "bro", secret=self.secret, lease_s=0.6
        )
        running = await self._broker.enter_async_context(broker_app.running(config))
        self.broker_address = running.server.address
        self.broker_hub = running.broker.hub
        headers = {"Caterva2-Secret": self.secret} if self.secret else {}
        self.broker = await self._broker.enter_async_context(
            httpx.AsyncClient(base_url=running.server.url, headers=headers, timeout=10)
        )

    async def stop_broker(self) -> None:
        await self._broker.aclose()

    def config(self, **kwargs: Any) -> PublisherConfig:
        values = {
            "name": "foo",
            "root": str(self.root),
            "broker": self.broker_address,
            "http": Address("localhost", 0),
            "statedir": self.home / "pub",
            "secret": self.secret,
        }
        return PublisherConfig(**{**values, **kwargs})

    async def start(self, **kwargs: Any) -> None:
        self.running = await self._publisher.enter_async_context(
            app.running(self.config(**kwargs), settle_s=0.05)
        )
        self.url = self.running.server.url
        self.http = await self._publisher.enter_async_context(
            httpx.AsyncClient(base_url=self.url, timeout=10)
        )
        assert self.running.watcher is not None
        await self.running.watcher.ready.wait()

    async def stop(self) -> None:
        await self._publisher.aclose()

    async def roots(self) -> dict[str, Any]:
        answer = await self.broker.get("/api/roots")
        return answer.json()  # type: ignore[no-any-return]

    async def catalog(self, **query: Any) -> CatalogPage:
        answer = await self.http.get("/api/catalog", params=query)
        assert answer.status_code == 200, answer.text
        return wire.answer_from_msgpack(answer.content, CatalogPage)

    async def describe(self, path: str) -> Entry:
        answer = await self.http.get(f"/api/describe/{path}")
        assert answer.status_code == 200, answer.text
        return wire.answer_from_msgpack(answer.content, Entry)

    async def blocks(self, path: str, *, etag: str | None = None, **request: Any) -> httpx.Response:
        headers = {"Content-Type": wire.MSGPACK, **({"If-Match": etag} if etag else {})}
        body = wire.to_msgpack(request)
        return await self.http.post(f"/api/blocks/{path}", content=body, headers=headers)

    @contextlib.asynccontextmanager
    async def broker_events(self) -> AsyncIterator[Any]:
        reader = await websocket_connect(f"{self.broker.base_url}/api/events".replace("http:", "ws:"))
        try:
            yield reader
        finally:
            reader.close()


@pytest_asyncio.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    network = Network(tmp_path)
    await network.start_broker()
    try:
        yield network
    finally:
        await network.stop()
        await network.stop_broker()


async def next_event(reader: Any, *kinds: type) -> Any:
    """Return the next event of one of these kinds."""
    async with asyncio.timeout(10):
        while True:
            event = wire.from_json(await reader.read_message(), Envelope).event
            if isinstance(event, kinds):
                return event


def records(answer: httpx.Response) -> list[Record]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == wire.EXTENTS
    assert int(answer.headers["content-length"]) == len(answer.content)
    body = memoryview(answer.content)
    at = 0

    def readinto(buffer: memoryview) -> None:
        nonlocal at
        buffer[:] = body[at : at + len(buffer)]
        at += len(buffer)

    found = list(read_records(readinto, total=len(body)))
    for record in found:
        record.verify()
    return found


def rebuilt(found: list[Record], size: int) -> bytes:
    """Put all units where they lie in the frame."""
    frame = bytearray(b"?" * size)
    for record in found:
        for offset, part in zip(record.units.offsets.tolist(), record.parts(), strict=True):
            frame[offset : offset + len(part)] = part
    return bytes(frame)


# lists and descriptions


async def test_the_list_is_sorted_and_hides_what_is_hidden(network):
    for path in ("b.b2nd", "a/z.b2nd", "README.md", ".hidden", "x~", "c.md.b2"):
        network.put(path, FRAME)
    await network.start()

    answer = await network.http.get("/api/list")

    assert answer.json() == ["README.md", "a/z.b2nd", "b.b2nd", "c.md"]


async def test_info_of_an_array_is_that_of_the_contract(network):
    network.put("d/a.b2nd", FRAME)
    await network.start()

    answer = await network.http.get("/api/info/d/a.b2nd")

    info = answer.json()
    assert info["shape"] == [400, 300]
    assert info["chunks"] == [100, 100]
    assert info["blocks"] == [20, 50]
    assert info["dtype"] == "int32"
    assert info["mtime"].endswith("Z")
    assert info["schunk"]["mtime"] is None
    assert info["schunk"]["urlpath"] == "foo/d/a.b2nd"
    assert info["schunk"]["vlmeta"] == {"a": 1}
    assert set(info["schunk"]["cparams"]) == set(CParams.__struct_fields__)


async def test_info_of_a_plain_file_is_that_of_its_frame(network):
    network.put("a.txt", b"text" * 1000)
    await network.start()

    info = (await network.http.get("/api/info/a.txt")).json()

    assert (info["nbytes"], info["nchunks"], info["chunksize"]) == (4000, 1, 4000)
    assert info["kind"] == "file"
    assert info["mtime"] is not None


@pytest.mark.parametrize("quote", ["", '"'], ids=["bare", "quoted"])
async def test_info_with_the_known_etag_is_not_sent_again(network, quote):
    network.put("a.b2nd", FRAME)
    network.put("a.txt", b"text")
    await network.start()
    etag = (await network.http.get("/api/info/a.b2nd")).headers["etag"]

    same = await network.http.get("/api/info/a.b2nd", headers={"If-None-Match": f"{quote}{etag}{quote}"})
    other = await network.http.get("/api/info/a.b2nd", headers={"If-None-Match": "other"})

    assert not etag.startswith('"')
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert other.status_code == 200


@pytest.mark.parametrize("endpoint", ["info", "describe", "download"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("nothing.b2nd", 404),
        ("d", 404),
        ("d/", 404),
        ("%2e%2e/root/a.b2nd", 400),
        ("d%2f..%2f..%2fsecret", 400),
        ("%2fetc%2fpasswd", 400),
        ("//etc/passwd", 400),
        ("a%00.b2nd", 400),
        ("%ff.b2nd", 400),
        ("..%5csecret", 400),
        ("link/secret.txt", 404),
    ],
)
async def test_what_is_not_in_the_root_is_not_served(network, endpoint, path, status):
    network.put("a.b2nd", FRAME)
    network.put("d/b.b2nd", FRAME)
    (network.home / "secret").mkdir()
    (network.home / "secret" / "secret.txt").write_text("confidential")
    (network.root / "link").symlink_to("../secret")
    await network.start()

    target = f"/api/{endpoint}/{path}?nchunk=0"
    answer = await _raw_get(network.running.server.address.port, target)

    assert answer[0] == status
    assert b"detail" in answer[1]
    assert b"confidential" not in answer[1]


async def test_a_broken_file_is_described_with_its_reason_and_others_are_served(network):
    network.put("objects.b2nd", object_frame())
    network.put("cut.b2nd", FRAME[:1000])
    network.put("good.b2nd", FRAME)
    await network.start()

    page = await network.catalog()
    answer = await network.http.get("/api/info/objects.b2nd")
    blocks = await network.blocks("objects.b2nd", chunks=[(0, None)])
    chunk = await network.http.get("/api/download/cut.b2nd?nchunk=0")

    kinds = {entry.path: type(entry.info) for entry in page.entries}
    assert kinds == {"cut.b2nd": BrokenInfo, "good.b2nd": ArrayInfo, "objects.b2nd": BrokenInfo}
    assert answer.json()["kind"] == "broken"
    assert "Python objects" in answer.json()["error"]
    assert blocks.status_code == chunk.status_code == 400
    assert blocks.json()["code"] == "broken-dataset"
    assert (await network.http.get("/api/download/good.b2nd?nchunk=0")).status_code == 200


async def test_the_catalog_comes_in_pages(network):
    for i in range(5):
        network.put(f"{i}.b2nd", FRAME)
    await network.start()

    pages = [await network.catalog(limit=2)]
    while pages[-1].next is not None:
        pages.append(await network.catalog(limit=2, after=pages[-1].next))

    assert [[entry.path for entry in page.entries] for page in pages] == [
        ["0.b2nd", "1.b2nd"],
        ["2.b2nd", "3.b2nd"],
        ["4.b2nd"],
    ]
    assert pages[0].epoch == network.running.publisher.hub.position.epoch
    assert isinstance(pages[0].entries[0].info, ArrayInfo)


async def test_describe_makes_the_frame_of_a_plain_file(network):
    network.put("a.txt", b"text")
    await network.start()
    before = (await network.catalog()).entries[0]

    entry = await network.describe("a.txt")

    assert before.info == FileInfo(size=4, schunk=None)
    assert isinstance(entry.info, FileInfo)
    assert entry.info.schunk is not None
    assert entry.size > 4
    assert (await network.catalog()).entries[0] == entry


# chunks


async def test_every_stored_chunk_is_served_as_it_is(network):
    network.put("a.b2nd", FRAME)
    await network.start()
    schunk = blosc2.schunk_from_cframe(FRAME)

    answers = [await network.http.get(f"/api/download/a.b2nd?nchunk={n}") for n in range(schunk.nchunks)]

    assert [answer.content for answer in answers] == [schunk.get_chunk(n) for n in range(schunk.nchunks)]
    assert {answer.headers["content-type"] for answer in answers} == {"application/octet-stream"}


@pytest.mark.parametrize("fill", [0, np.nan, 7], ids=["zeros", "nan", "sevens"])
async def test_chunks_of_one_value_are_valid_chunks(network, fill):
    array = blosc2.full((100, 100), fill, dtype="f8", chunks=(50, 50), blocks=(10, 10))
    network.put("a.b2nd", array.to_cframe())
    await network.start()

    answer = await network.http.get("/api/download/a.b2nd?nchunk=3")

    values = np.frombuffer(blosc2.decompress2(answer.content), "f8")
    assert np.array_equal(values, np.full(2500, fill), equal_nan=True)


async def test_chunks_of_a_plain_file_unpack_to_its_bytes(network):
    data = os.urandom(1 << 20) + b"x" * 500_000
    network.put("a.bin", data)
    await network.start()

    chunks = [(await network.http.get(f"/api/download/a.bin?nchunk={n}")).content for n in range(2)]

    assert b"".join(map(blosc2.decompress2, chunks)) == data


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("?nchunk=", 400), ("?nchunk=x", 400), ("?nchunk=-1", 400), ("?nchunk=12", 404)],
)
async def test_a_chunk_that_is_not_there_is_an_error(network, query, status):
    network.put("a.b2nd", FRAME)
    await network.start()

    answer = await network.http.get(f"/api/download/a.b2nd{query}")

    assert answer.status_code == status
    assert answer.json()["detail"]


async def test_an_empty_file_has_no_chunks(network):
    network.put("empty.txt", b"")
    network.put("empty.b2nd", array_frame(np.empty((0, 3))))
    await network.start()

    for path in ("empty.txt", "empty.b2nd"):
        entry = await network.describe(path)
        found = records(await network.blocks(path, skeleton=True))

        assert (await network.http.get(f"/api/download/{path}?nchunk=0")).status_code == 404
        assert entry.info.schunk.nchunks == 0
        assert len(rebuilt(found, entry.size)) == entry.size


# blocks


async def test_the_whole_frame_can_be_rebuilt_from_its_units(network):
    network.put("a.b2nd", FRAME)
    await network.start()

    answer = await network.blocks("a.b2nd", skeleton=True, chunks=[(n, None) for n in range(12)])

    assert rebuilt(records(answer), len(FRAME)) == FRAME
    assert answer.headers["etag"].strip('"') == (await network.describe("a.b2nd")).etag


async def test_some_blocks_of_some_chunks_are_sent_with_their_heads(network):
    network.put("a.b2nd", FRAME)
    await network.start()
    skeleton_record = records(await network.blocks("a.b2nd", skeleton=True))[0]
    head, tail = skeleton_record.parts()
    skeleton = skeleton_from_parts(bytes(head), bytes(tail), len(FRAME))

    found = records(await network.blocks("a.b2nd", chunks=[(3, [0, 7]), (5, []), (3, [1])]))

    pieces = {record.units.nchunk: piece_from_record(record, skeleton) for record in found}
    assert sorted(pieces[3].blocks) == [0, 1, 7]
    assert pieces[5].blocks == {}
    assert pieces[5].layout.nblocks == 10


async def test_byte_ranges_give_every_unit_that_they_touch(network):
    network.put("a.b2nd", FRAME)
    await network.start()

    for start, stop in [(0, len(FRAME)), (0, 1), (500, 501), (len(FRAME) - 1, len(FRAME)), (1000, 20_000)]:
        found = records(await network.blocks("a.b2nd", ranges=[(start, stop)]))

        assert rebuilt(found, len(FRAME))[start:stop] == FRAME[start:stop]
    assert records(await network.blocks("a.b2nd", ranges=[(5, 5)])) == []


async def test_a_whole_plain_file_can_be_rebuilt(network):
    network.put("a.bin", os.urandom(3_000_000) + bytes(2_000_000))
    await network.start()
    entry = await network.describe("a.bin")

    found = records(await network.blocks("a.bin", etag=entry.etag, ranges=[(0, entry.size)]))

    frame = rebuilt(found, entry.size)
    assert blosc2.schunk_from_cframe(frame)[:] == (network.root / "a.bin").read_bytes()


async def test_special_chunks_are_records_without_bytes(network):
    array = blosc2.zeros((100, 100), dtype="f8", chunks=(50, 50), blocks=(10, 10))
    array[:50, :50] = 1.5
    network.put("a.b2nd", array.to_cframe())
    await network.start()

    found = records(await network.blocks("a.b2nd", chunks=[(n, None) for n in range(4)]))

    assert [record.special for record in found if record.units.nchunk > 0] == [1, 1, 1]
    assert [record.units.nchunk for record in found if not record.special] == [0]
    assert (CHUNK, SPECIAL) == (2, 3)


async def test_a_chunk_larger_than_a_batch_is_sent_in_pieces(network, monkeypatch):
    monkeypatch.setattr("caterva2.storage.extentreader.BATCH_BYTES", 10_000)
    data = np.random.default_rng(1).integers(0, 255, 300_000, "u1")
    frame = array_frame(data, chunks=(200_000,), blocks=(20_000,))
    network.put("a.b2nd", frame)
    await network.start()

    found = records(await network.blocks("a.b2nd", skeleton=True, chunks=[(0, None), (1, None)]))

    assert rebuilt(found, len(frame)) == frame


async def test_a_request_may_be_json(network):
    network.put("a.b2nd", FRAME)
    await network.start()

    answer = await network.http.post("/api/blocks/a.b2nd", json={"chunks": [[0, [1]], [1, None]]})

    assert [record.units.nchunk for record in records(answer)] == [0, 1]


async def test_another_generation_is_refused(network):
    network.put("a.b2nd", FRAME)
    await network.start()
    etag = (await network.describe("a.b2nd")).etag
    network.put("a.b2nd", array_frame(ARRAY + 1))

    stale = await network.blocks("a.b2nd", etag="stale", chunks=[(0, None)])
    old = await network.blocks("a.b2nd", etag=etag, chunks=[(0, None)])
    new = await network.blocks("a.b2nd", etag=(await network.describe("a.b2nd")).etag, chunks=[(0, None)])

    assert (stale.status_code, stale.json()["code"]) == (412, "dataset-changed")
    assert old.status_code == 412
    assert new.status_code == 200


async def test_a_file_written_in_place_while_open_is_refused(network):
    network.put("a.b2nd", FRAME)
    await network.start()
    etag = (await network.describe("a.b2nd")).etag
    assert (await network.blocks("a.b2nd", etag=etag, chunks=[(0, None)])).status_code == 200

    os.utime(network.root / "a.b2nd", ns=(1, 1))
    answer = await network.blocks("a.b2nd", etag=etag, chunks=[(0, None)])

    assert answer.status_code == 412


@pytest.mark.parametrize(
    "request_body",
    [
        {"chunks": [(12, None)]},
        {"chunks": [(-1, None)]},
        {"chunks": [(0, [10])]},
        {"chunks": [(0, [-1])]},
        {"ranges": [(5, 4)]},
        {"ranges": [(-1, 4)]},
        {"ranges": [(0, 10_000_000)]},
        {"ranges": [(0, 1)] * 5000},
    ],
)
async def test_parts_outside_of_the_frame_are_refused(network, request_body):
    network.put("a.b2nd", FRAME)
    await network.start()

    answer = await network.blocks("a.b2nd", **request_body)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad-request")


@pytest.mark.parametrize("body", [b"", b"junk", wire.to_msgpack({"x": 1}), wire.to_msgpack({"chunks": 1})])
async def test_a_malformed_request_is_refused(network, body):
    network.put("a.b2nd", FRAME)
    await network.start()

    answer = await network.http.post("/api/blocks/a.b2nd", content=body)

    assert answer.status_code == 422


async def test_a_damaged_chunk_is_refused_before_anything_is_sent(network):
    frame = bytearray(FRAME)
    header_size = int.from_bytes(frame[11:15], "big")
    frame[header_size + 4 : header_size + 8] = (2**31 - 1).to_bytes(4, "little")
    network.put("a.b2nd", bytes(frame))
    await network.start()

    answers = [await network.blocks("a.b2nd", chunks=[(n, None)]) for n in range(12)]

    assert sorted({answer.status_code for answer in answers}) == [200, 400]
    assert len([answer for answer in answers if answer.status_code == 400]) == 1


# the broker


async def test_the_root_is_registered_under_its_own_spelling(network):
    await network.start()

    assert await network.roots() == {
        "foo": {"name": "foo", "http": str(network.running.server.address), "status": "online"}
    }
    assert str(network.running.server.address).startswith("localhost:")


async def test_an_address_of_all_interfaces_is_advertised_as_one_that_can_be_reached(network):
    await network.start(http=Address("*", 0))

    port = network.running.server.address.port
    assert (await network.roots())["foo"]["http"] == f"localhost:{port}"


async def test_the_advertised_address_of_the_configuration_wins(network):
    await network.start(advertise=Address("data.example.org", 80))

    assert (await network.roots())["foo"]["http"] == "data.example.org:80"


async def test_without_a_broker_it_does_not_start(network):
    await network.stop_broker()

    with pytest.raises(BrokerUnavailable) as caught:
        await network.start()

    address = network.broker_address
    assert caught.value.message == f"cannot reach the broker at {address}: Connection refused"


async def test_a_root_that_another_publisher_serves_is_refused(network):
    await network.start()
    other = network.config(statedir=network.home / "other")

    with pytest.raises(RootTaken, match="served by the publisher at"):
        async with app.running(other):
            pytest.fail("it started")


async def test_a_missing_root_is_refused(network):
    with pytest.raises(ConfigError, match="expected a directory"):
        await network.start(root=str(network.home / "nothing"))


async def test_a_clean_stop_gives_the_root_up(network):
    await network.start()

    await network.stop()

    assert (await network.roots())["foo"]["status"] == "offline"


async def test_it_stays_registered_longer_than_its_lease(network):
    await network.start()
    loop = asyncio.get_running_loop()
    end = loop.time() + 1.5

    statuses = set()
    while loop.time() < end:
        statuses.add((await network.roots())["foo"]["status"])

    assert statuses == {"online"}


async def test_a_broker_that_returns_without_memory_is_told_again(network, caplog):
    network.put("a.b2nd", FRAME)
    await network.start()
    await network.stop_broker()
    await _until(lambda: _has_missed(network))
    assert (await network.http.get("/api/list")).json() == ["a.b2nd"]

    for file in (network.home / "bro").glob("broker.sqlite*"):
        file.unlink()
    await network.start_broker()

    await _until(lambda: _is_online(network))
    assert any("trying again" in record.getMessage() for record in caplog.records)


async def test_changes_while_the_broker_is_away_are_announced_when_it_returns(network):
    await network.start()
    await network.stop_broker()
    network.put("new.b2nd", FRAME)
    await _until(lambda: _is_known(network, "new.b2nd"))

    await network.start_broker()

    await _until(lambda: _all_announced(network))
    relayed = [envelope.event for envelope in network.broker_hub._ring]
    changed = [event.entry.path for event in relayed if isinstance(event, DatasetChanged)]
    assert changed == ["new.b2nd"] or Resync(root="foo") in relayed


async def test_the_secret_is_sent_and_asked_for(tmp_path):
    network = Network(tmp_path)
    network.secret = "s3cret"
    await network.start_broker()
    try:
        await network.start()

        refused = await network.http.get("/api/list")
        given = await network.http.get("/api/list", headers={"Caterva2-Secret": "s3cret"})

        assert (refused.status_code, given.status_code) == (401, 200)
        assert (await network.http.get("/healthz")).status_code == 200
    finally:
        await network.stop()
        await network.stop_broker()


# events


async def test_new_changed_and_removed_files_reach_the_broker(network):
    await network.start()
    async with network.broker_events() as reader:
        network.put("d/a.b2nd", FRAME)
        new = await next_event(reader, DatasetChanged)
        network.put("d/a.b2nd", array_frame(ARRAY + 1))
        changed = await next_event(reader, DatasetChanged)
        (network.root / "d" / "a.b2nd").unlink()
        removed = await next_event(reader, DatasetRemoved)

    assert (new.root, new.entry.path) == ("foo", "d/a.b2nd")
    assert changed.entry.etag != new.entry.etag
    assert removed == DatasetRemoved(root="foo", path="d/a.b2nd")


async def test_a_follower_of_the_publisher_can_read_what_it_is_told_of(network):
    await network.start()
    reader = await websocket_connect(f"{network.url}/api/events".replace("http:", "ws:"))
    try:
        network.put("a.b2nd", FRAME)

        event = await next_event(reader, DatasetChanged)

        assert (await network.describe("a.b2nd")) == event.entry
        assert (await network.catalog()).entries == [event.entry]
    finally:
        reader.close()


async def test_what_changed_while_it_was_down_is_announced_at_start(network):
    network.put("gone.b2nd", FRAME)
    network.put("same.b2nd", FRAME)
    await network.start()
    await _until(lambda: _all_announced(network))
    await network.stop()
    (network.root / "gone.b2nd").unlink()
    network.put("new.b2nd", bytes_frame(b"x"))

    async with network.broker_events() as reader:
        await network.start()
        first = await next_event(reader, DatasetChanged, DatasetRemoved, Resync)
        second = await next_event(reader, DatasetChanged, DatasetRemoved, Resync)

    assert first == DatasetRemoved(root="foo", path="gone.b2nd")
    assert second.entry.path == "new.b2nd"


async def test_health_and_metrics_are_served(network):
    await network.start()

    health = await network.http.get("/healthz")
    metrics = await network.http.get("/metrics")

    assert health.json()["service"] == "publisher"
    assert "caterva2_broker_connected 1.0" in metrics.text


async def test_its_state_is_not_published_when_it_lies_in_the_root(network):
    network.put("a.txt", b"text")
    await network.start(statedir=network.root / "_caterva2" / "pub")
    await network.describe("a.txt")

    assert (await network.http.get("/api/list")).json() == ["a.txt"]


async def _is_online(network: Network) -> bool:
    return (await network.roots()).get("foo", {}).get("status") == "online"


async def _is_known(network: Network, path: str) -> bool:
    return path in (await network.http.get("/api/list")).json()


async def _has_missed(network: Network) -> bool:
    return not network.running.link.is_connected


async def _all_announced(network: Network) -> bool:
    return not network.running.root._unannounced


async def _until(check: Any) -> None:
    async with asyncio.timeout(10):
        while not await check():  # noqa: ASYNC110 - it changes beyond the network
            await asyncio.sleep(0)


async def _raw_get(port: int, target: str) -> tuple[int, bytes]:
    """Send a target as it is: httpx would tidy it."""
    reader, writer = await asyncio.open_connection("localhost", port, family=socket.AF_INET)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body
