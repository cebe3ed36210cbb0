"""What a client does when the server, or something before it, does not do its part."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import caterva2
from caterva2 import AsyncClient, Client, Dataset
from caterva2.client.datachannel import DataChannel
from caterva2.errors import (
    BadRequest,
    Caterva2Error,
    ConnectFailed,
    CorruptChunk,
    DatasetChanged,
    InternalError,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Overloaded,
    ProtocolMismatch,
    PublisherUnavailable,
    ResponseTooLarge,
    ServiceError,
    TimedOut,
    TooManyRequests,
)
from tests.support.fakesub import (
    COOKIE,
    USER,
    FakeSubscriber,
    answer_plain,
    close_connection,
    cut_body,
    fail_with,
)
from tests.support.ports import closed_port
from tests.support.serverthread import ServerThread

LINE = np.arange(100_000)


@pytest.fixture
def line(fake: FakeSubscriber) -> str:
    fake.add_array("foo/line.b2nd", LINE, chunks=(1000,), blocks=(100,))
    return "foo/line.b2nd"


@contextlib.contextmanager
def raw_server(*answers: bytes) -> Iterator[str]:
    """Answer each connection with bytes as they are; an empty one says nothing for as long as it is open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            for answer in answers:
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        if not answer:
                            done.wait(20)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            done.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


@pytest.mark.parametrize(
    "error",
    [
        PublisherUnavailable("the publisher of foo does not answer"),
        Overloaded("too much to do", retry_after_s=3),
        TooManyRequests("slowly"),
        NotPermitted("not you"),
        ResponseTooLarge("too much"),
        InternalError("oops"),
    ],
    ids=lambda error: error.code,
)
@pytest.mark.parametrize("path", ["/api/info/", "/api/fetch/", "/api/chunk/", "/api/download/"])
def test_error_arrives_with_class_message_fields_and_request_id(
    fake: FakeSubscriber, fake_client: Client, line: str, tmp_path, error: Caterva2Error, path: str
) -> None:
    calls = {
        "/api/info/": lambda: fake_client.get_info(line),
        "/api/fetch/": lambda: fake_client.get_slice(line, slice(5)),
        "/api/chunk/": lambda: fake_client.get_chunk(line, 0),
        "/api/download/": lambda: fake_client.download(line, tmp_path / "x"),
    }
    fake.faults.append((path, fail_with(error)))

    with pytest.raises(type(error)) as caught:
        calls[path]()

    assert type(caught.value) is type(error)
    assert caught.value.message == error.message
    assert caught.value.fields == error.fields
    assert caught.value.request_id == "req-1"
    assert not list(tmp_path.iterdir())


def test_unreachable_server_is_named(unused_address: str) -> None:
    with pytest.raises(ConnectFailed, match=f"cannot reach {unused_address}: Connection refused") as caught:
        caterva2.get_roots(unused_address)
    assert isinstance(caught.value, ConnectionError)

    with pytest.raises(ConnectFailed, match="Connection refused"):
        caterva2.fetch("foo/a", unused_address)


@pytest.mark.asyncio
async def test_unreachable_server_is_named_to_asynchronous_programs(unused_address: str) -> None:
    async with AsyncClient(unused_address) as client:
        with pytest.raises(ConnectFailed, match=f"cannot reach {unused_address}: "):
            await client.get_roots()


@pytest.fixture
def unused_address() -> Iterator[str]:
    with closed_port() as port:
        yield f"http://127.0.0.1:{port}"


def test_silent_server_times_out() -> None:
    with raw_server(b"", b"") as urlbase, Client(urlbase, timeout=0.2) as client:
        with pytest.raises(TimedOut) as caught:
            client.get_roots()
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(TimedOut):
            client.fetch("foo/a")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", ProtocolMismatch),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", ConnectFailed),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
            ProtocolMismatch,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
            ProtocolMismatch,
        ),
    ],
    ids=["not http", "cut", "not json", "other json"],
)
def test_nonsense_is_told_as_such(answer: bytes, expected: type[Caterva2Error]) -> None:
    with raw_server(answer, answer, answer) as urlbase, pytest.raises(expected):
        caterva2.get_roots(urlbase)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", ProtocolMismatch),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxyz", ConnectFailed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxyz", CorruptChunk),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(200), CorruptChunk),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nxyz", ProtocolMismatch),
    ],
    ids=["not http", "cut", "short", "zeros", "html"],
)
def test_nonsense_instead_of_data_is_told_as_such(answer: bytes, expected: type[Caterva2Error]) -> None:
    with raw_server(answer, answer, answer) as urlbase, pytest.raises(expected):
        caterva2.fetch("foo/a", urlbase)


def test_page_of_another_server_is_not_taken_for_an_answer(fake: FakeSubscriber, fake_client: Client) -> None:
    fake.faults.append(("/api/roots", answer_plain(200, "<html>", "text/html")))

    with pytest.raises(ProtocolMismatch, match="is this the address of a subscriber"):
        fake_client.get_roots()


def test_error_page_of_a_proxy_keeps_its_status(fake: FakeSubscriber, fake_client: Client) -> None:
    fake.faults.append(("/api/roots", answer_plain(502, "<html>", "text/html")))

    with pytest.raises(ServiceError, match="502 Bad Gateway"):
        fake_client.get_roots()


def test_redirect_is_not_followed_but_told(fake: FakeSubscriber, fake_client: Client) -> None:
    fake.faults.append(
        ("/api/roots", answer_plain(301, "", "text/html", Location="https://example.org/api/roots"))
    )

    with pytest.raises(ProtocolMismatch, match=r"redirects to https://example\.org/api/roots"):
        fake_client.get_roots()


def test_get_is_sent_again_when_the_connection_breaks(
    fake: FakeSubscriber, fake_client: Client, line: str
) -> None:
    fake.faults.append(("/api/roots", close_connection))
    fake.faults.append(("/api/fetch", close_connection))

    assert "foo" in fake_client.get_roots()
    np.testing.assert_array_equal(fake_client.fetch(line, slice(3)), LINE[:3])


def test_connection_that_always_breaks_is_given_up(
    fake: FakeSubscriber, fake_client: Client, line: str
) -> None:
    fake.faults.extend([("/api/fetch", close_connection)] * 10)

    with pytest.raises(ConnectFailed):
        fake_client.fetch(line)

    assert sum("/api/fetch" in seen.path for seen in fake.seen) == 3


@pytest.mark.asyncio
async def test_async_get_is_sent_again_when_the_connection_breaks(
    fake: FakeSubscriber, fake_server: ServerThread
) -> None:
    fake.faults.append(("/api/roots", close_connection))

    async with AsyncClient(fake_server.urlbase) as client:
        assert "foo" in await client.get_roots()


def test_body_that_ends_early_is_an_error(fake: FakeSubscriber, fake_client: Client, line: str) -> None:
    fake.faults.append(("/api/fetch", cut_body(100)))

    with pytest.raises(ConnectFailed, match="ended its answer"):
        fake_client.fetch(line)


def test_client_survives_a_restart_of_the_server(fake: FakeSubscriber, line: str) -> None:
    with ServerThread(fake.application) as first, Client(first.urlbase) as client:
        client.get_roots()
        client.fetch(line, 0)
        first.stop()
        with ServerThread(fake.application, port=first.port):
            assert client.fetch(line, 7) == 7
            assert "foo" in client.get_roots()


def test_damaged_data_are_refused(fake: FakeSubscriber, fake_client: Client, line: str) -> None:
    stored = fake.files[line]
    stored.frame = stored.frame[:20] + b"\xff" * 8 + stored.frame[28:]

    with pytest.raises(CorruptChunk):
        fake_client.fetch(line)


def test_dataset_that_changed_shape_is_described_again(
    fake: FakeSubscriber, fake_client: Client, line: str
) -> None:
    dataset = fake_client.get(line)
    assert isinstance(dataset, Dataset)
    fake.add_array(line, LINE.reshape(100, 1000).astype("float64"))

    np.testing.assert_array_equal(dataset[...], LINE.reshape(100, 1000).astype("float64"))
    assert dataset.shape == (100, 1000)


def test_file_that_changed_its_length_is_described_again(fake: FakeSubscriber, fake_client: Client) -> None:
    fake.add_file("foo/x.txt", b"short")
    file = fake_client.get("foo/x.txt")
    assert isinstance(file, caterva2.File)
    fake.add_file("foo/x.txt", b"much longer")

    assert file[:] == b"much longer"
    assert len(file) == 11


def test_pieces_of_two_generations_never_mix(fake: FakeSubscriber, fake_client: Client, line: str) -> None:
    from caterva2.client.reading import Reader
    from caterva2.model.slicing import NDSlice

    dataset = fake_client.get(line)
    assert isinstance(dataset, Dataset)
    reader = Reader(fake_client._session.channel, max_piece_bytes=200_000)
    described = dataset.description

    def replace(handler: object) -> None:
        fake.faults.append(
            ("/api/fetch", lambda _: fake.add_array(line, LINE + 1, chunks=(1000,), blocks=(100,)) and None)
        )

    fake.faults.append(("/api/fetch", replace))

    with pytest.raises(DatasetChanged):
        reader.window(described, NDSlice().bind(described.shape))


def test_iteration_notices_a_new_generation(
    fake: FakeSubscriber, fake_client: Client, line: str, monkeypatch
) -> None:
    monkeypatch.setattr("caterva2.client.tree.ITER_BYTES", 80_000)
    dataset = fake_client.get(line)
    rows = iter(dataset)  # type: ignore[arg-type]
    assert next(rows) == 0
    fake.add_array(line, LINE + 1, chunks=(1000,), blocks=(100,))

    with pytest.raises(DatasetChanged):
        list(rows)


def test_iteration_reads_a_part_at_a_time(
    fake: FakeSubscriber, fake_client: Client, line: str, monkeypatch
) -> None:
    monkeypatch.setattr("caterva2.client.tree.ITER_BYTES", 80_000)
    rows = iter(fake_client.get(line))  # type: ignore[arg-type]

    first = [next(rows) for _ in range(5)]

    assert first == [0, 1, 2, 3, 4]
    assert [seen.query for seen in fake.seen if "/api/fetch" in seen.path] == ["slice_=0%3A10000"]


def test_empty_and_wrong_slices_of_a_known_dataset_cost_no_request(
    fake: FakeSubscriber, fake_client: Client, line: str
) -> None:
    dataset = fake_client.get(line)
    before = len(fake.seen)

    assert dataset[0:0].shape == (0,)  # type: ignore[index]
    with pytest.raises(IndexError):
        dataset[100_000]  # type: ignore[index]
    repr(dataset)
    dataset._repr_html_()  # type: ignore[union-attr]

    assert len(fake.seen) == before


def test_repr_of_a_file_that_was_not_described_costs_no_request(
    fake: FakeSubscriber, fake_server: ServerThread
) -> None:
    file = caterva2.File("x.txt", "foo", fake_server.urlbase)

    assert repr(file) == "<File: foo/x.txt>"
    assert "foo/x.txt" in file._repr_html_()
    assert fake.seen == []


def test_preview_of_a_large_array_reads_its_corners_only(fake: FakeSubscriber, fake_client: Client) -> None:
    plane = np.random.default_rng(0).normal(size=(600, 700))
    fake.add_array("foo/plane.b2nd", plane, chunks=(100, 100), blocks=(10, 10))
    dataset = fake_client.get("foo/plane.b2nd")
    assert isinstance(dataset, Dataset)
    fake.seen.clear()

    assert dataset.preview() == str(plane)
    assert dataset.preview("::2, 100:") == str(plane[::2, 100:])
    assert len(fake.seen) == 8


def test_too_large_an_answer_is_read_in_pieces(fake: FakeSubscriber, fake_client: Client, line: str) -> None:
    fake.faults.append(("/api/fetch", fail_with(ResponseTooLarge("too large"))))

    np.testing.assert_array_equal(fake_client.fetch(line), LINE)


def test_user_logs_in_with_name_and_password(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    fake.add_root("@shared")
    u = fake_server.urlbase

    assert caterva2.get_auth_cookie(u, USER) == COOKIE
    assert "@shared" not in caterva2.get_roots(u)
    assert "@shared" in caterva2.get_roots(u, auth_cookie=COOKIE)
    assert "@shared" in caterva2.get_roots(u, user_auth=USER)
    with Client(u, (USER["username"], USER["password"])) as client:
        assert client.auth_cookie == COOKIE
        fake.add_file("@shared/x.txt", b"hello")
        assert client.fetch("@shared/x.txt") == b"hello"
    root = caterva2.Root("@shared", u, USER)
    assert root["x.txt"][:] == b"hello"  # type: ignore[index]


@pytest.mark.asyncio
async def test_user_logs_in_asynchronously(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    fake.add_root("@shared")
    fake.add_file("@shared/x.txt", b"hello")

    async with AsyncClient(fake_server.urlbase, USER) as client:
        assert "@shared" in await client.get_roots()
        assert await client.fetch("@shared/x.txt") == b"hello"
    async with AsyncClient(fake_server.urlbase, ("jane", "wrong")) as client:
        with pytest.raises(NotAuthenticated):
            await client.get_roots()


def test_wrong_password_is_told(fake_server: ServerThread) -> None:
    with pytest.raises(NotAuthenticated, match="does not know this user"):
        Client(fake_server.urlbase, ("jane@example.org", "wrong"))
    with pytest.raises(BadRequest):
        Client(fake_server.urlbase, {"username": "jane"})


def test_server_without_users_is_told() -> None:
    with ServerThread(FakeSubscriber().application) as server, pytest.raises(NotFound, match="has no users"):
        Client(server.urlbase, USER)


def test_channel_is_shared_by_threads_within_its_bound(
    fake: FakeSubscriber, fake_server: ServerThread, line: str
) -> None:
    channel = DataChannel(fake_server.urlbase, max_connections=2)
    results: list[int] = []

    def read() -> None:
        for _ in range(10):
            with channel.request("GET", f"/api/chunk/{line}?nchunk=1") as answer:
                results.append(len(answer.read()))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    idle = len(channel._idle)
    channel.close()

    assert len(results) == 80
    assert len(set(results)) == 1
    assert 1 <= idle <= 2


def test_busy_channel_times_out(fake_server: ServerThread) -> None:
    channel = DataChannel(fake_server.urlbase, max_connections=1, timeout_s=0.1)

    with (
        channel.request("GET", "/api/roots"),
        pytest.raises(TimedOut, match="busy"),
        channel.request("GET", "/api/roots"),
    ):
        pass
    channel.close()


def test_closed_channel_refuses(fake_server: ServerThread) -> None:
    channel = DataChannel(fake_server.urlbase)
    channel.close()

    with pytest.raises(ConnectFailed, match="closed by this program"), channel.request("GET", "/api/roots"):
        pass


def test_connection_is_kept_after_an_unread_short_body_and_dropped_after_a_long_one(
    fake: FakeSubscriber, fake_server: ServerThread
) -> None:
    fake.add_file("foo/long.bin", np.random.default_rng(0).bytes(1 << 20))
    channel = DataChannel(fake_server.urlbase)

    with channel.request("GET", "/api/roots"):
        pass
    kept = len(channel._idle)
    with channel.request("GET", "/api/download/foo/long.bin"):
        pass
    dropped = len(channel._idle)
    channel.close()

    assert (kept, dropped) == (1, 0)


def test_post_is_not_sent_twice(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    channel = DataChannel(fake_server.urlbase)
    fake.faults.extend([("/api/subscribe", close_connection)] * 3)

    with pytest.raises(ConnectFailed), channel.request("POST", "/api/subscribe/foo", body=b""):
        pass
    channel.close()

    assert len(fake.seen) == 1


def test_unix_socket_is_reached(fake: FakeSubscriber, tmp_path, line: str) -> None:
    path = str(tmp_path / "s.sock")
    with ServerThread(fake.application, unix_path=path), Client(f"unix:{path}") as client:
        assert "foo" in client.get_roots()
        np.testing.assert_array_equal(client.fetch(line, slice(3)), LINE[:3])


def test_proxy_of_the_environment_is_used_for_other_machines(
    fake: FakeSubscriber, fake_server: ServerThread, line: str, monkeypatch
) -> None:
    monkeypatch.setenv("http_proxy", fake_server.urlbase)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with Client("http://data.example.org:8002") as client, pytest.raises(NotFound):
        # The stand-in is no proxy: it gets the whole URL as path, and knows no such address.
        client.fetch(line, slice(3))

    assert fake.seen[-1].headers["host"] == "data.example.org:8002"


def test_prefix_of_a_reverse_proxy_is_kept(fake: FakeSubscriber, fake_server: ServerThread) -> None:
    with Client(f"{fake_server.urlbase}/data/") as client, pytest.raises(NotFound):
        client.get_roots()

    assert fake.seen[-1].path == "/data/api/roots"
