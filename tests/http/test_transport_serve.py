"""Binding, draining, signals, counters and the access log."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat

import httpx
import pytest

from caterva2.config.units import Address
from caterva2.errors import ConfigError
from caterva2.transport import logs
from caterva2.transport.serve import Server, ServerOptions, bind
from caterva2.transport.status import HealthHandler, MetricsHandler
from tests.support.serving import LOOPBACK, Silent, application, connected, request, serving


class Waiting(Silent):
    async def get(self, path: str = "") -> None:
        self.service["begun"].set()
        await self.service["go"].wait()
        self.send_json("done")


def waiting():
    return {"begun": asyncio.Event(), "go": asyncio.Event()}


async def asked(server, target):
    async with httpx.AsyncClient(base_url=server.url) as client:
        return await client.get(target)


# Binding


def test_system_chooses_a_port():
    listening = bind(LOOPBACK)

    assert listening.address.port > 0
    assert listening.sockets[0].getsockname()[1] == listening.address.port
    listening.close()


@pytest.mark.parametrize("host", ["localhost", "*"])
def test_all_sockets_of_a_name_share_the_port(host):
    listening = bind(Address(host, 0))

    assert {sock.getsockname()[1] for sock in listening.sockets} == {listening.address.port}
    assert socket.AF_INET in {sock.family for sock in listening.sockets}
    listening.close()


def test_address_in_use_is_one_clear_line():
    taken = bind(LOOPBACK)

    with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1:\d+: address already in use"):
        bind(taken.address)

    taken.close()


def test_unknown_host_is_one_clear_line():
    with pytest.raises(ConfigError, match=r"unknown host 'no-such-host\.invalid'"):
        bind(Address("no-such-host.invalid", 0))


def test_foreign_address_is_one_clear_line():
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:0: "):
        bind(Address("192.0.2.1", 0))


@pytest.fixture
def unix(tmp_path):
    return Address(unix_path=str(tmp_path / "s"))


def test_socket_file_is_removed_at_the_end(unix):
    bind(unix).close()

    assert not os.path.exists(unix.unix_path)


def test_stale_socket_file_is_replaced(unix):
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(unix.unix_path)

    listening = bind(unix)

    assert stat.S_ISSOCK(os.stat(unix.unix_path).st_mode)
    listening.close()


def test_live_socket_file_is_refused(unix):
    live = bind(unix)

    with pytest.raises(ConfigError, match="address already in use"):
        bind(unix)

    assert os.path.exists(unix.unix_path)
    live.close()


def test_file_that_is_no_socket_is_left_alone(unix, tmp_path):
    (tmp_path / "s").write_text("data")

    with pytest.raises(ConfigError, match="address already in use"):
        bind(unix)

    assert (tmp_path / "s").read_text() == "data"


def test_socket_path_that_is_too_long_is_one_clear_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot listen on"):
        bind(Address(unix_path=str(tmp_path / ("x" * 120))))


@pytest.mark.asyncio
async def test_unix_socket_is_served(unix):
    server = Server(application(), bind(unix))
    server.start()
    transport = httpx.AsyncHTTPTransport(uds=unix.unix_path)

    async with httpx.AsyncClient(transport=transport, base_url=server.url) as client:
        answer = await client.get("/api/roots")
    await server.stop()

    assert answer.json() == "roots "


@pytest.mark.asyncio
@pytest.mark.parametrize("xheaders", [False, True])
async def test_forwarded_addresses_are_believed_only_if_told_so(xheaders, caplog):
    caplog.set_level(logging.INFO, "caterva2.access")

    async with (
        serving(application(), ServerOptions(xheaders=xheaders)) as server,
        connected(server) as client,
    ):
        await client.send(request("/api/roots", headers={"X-Forwarded-For": "203.0.113.9"}))
        await client.answer()

    assert caplog.messages[-1].endswith("203.0.113.9" if xheaders else "127.0.0.1")


# The end


@pytest.mark.asyncio
async def test_running_request_is_finished_before_the_stop():
    events = waiting()
    server = Server(application(handlers={"fetch": Waiting}, service=events), bind(LOOPBACK))
    server.start()
    answer = asyncio.create_task(asked(server, "/api/fetch/x"))
    await events["begun"].wait()

    stop = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    events["go"].set()
    await stop

    found = await answer
    assert (found.status_code, found.json(), found.headers["connection"]) == (200, "done", "close")


@pytest.mark.asyncio
async def test_large_answer_leaves_before_the_stop():
    class Large(Silent):
        async def get(self, path: str = "") -> None:
            self.send_bytes(b"x" * 30_000_000)

    server = Server(application(handlers={"fetch": Large}), bind(LOOPBACK))
    server.start()
    async with connected(server) as client:
        await client.send(request("/api/fetch/x"))
        await client.reader.readuntil(b"\r\n\r\n")
        stop = asyncio.create_task(server.stop())
        body = await client.reader.readexactly(30_000_000)
        await stop

    assert body == b"x" * 30_000_000


@pytest.mark.asyncio
async def test_no_connection_is_accepted_after_the_stop():
    server = Server(application(), bind(LOOPBACK))
    server.start()
    await server.stop()
    await server.stop()

    with pytest.raises(httpx.ConnectError):
        await asked(server, "/api/roots")


@pytest.mark.asyncio
async def test_idle_connection_is_closed_by_the_stop():
    server = Server(application(), bind(LOOPBACK))
    server.start()
    async with connected(server) as client:
        await client.send(request("/api/roots"))
        await client.answer()

        await server.stop()

        assert await client.rest() == b""


@pytest.mark.asyncio
async def test_request_that_does_not_end_is_cut_off(caplog):
    events = waiting()
    server = Server(application(handlers={"fetch": Waiting}, service=events), bind(LOOPBACK))
    server.start()
    async with connected(server) as client:
        await client.send(request("/api/fetch/x"))
        await events["begun"].wait()

        await server.stop(0.01)

        assert await client.rest() == b""
    assert "1 requests were cut off by the stop" in caplog.text


@pytest.mark.asyncio
async def test_connection_beyond_the_limit_is_refused_until_another_ends():
    app = application()
    async with serving(app, ServerOptions(max_connections=2)) as server:
        async with connected(server) as first, connected(server) as second:
            await first.send(request("/api/roots"))
            await second.send(request("/api/roots"))
            assert [(await first.answer())[0], (await second.answer())[0]] == [200, 200]
            async with connected(server) as third:
                assert await third.rest() == b""
        while server._http._nconnections:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)
        assert (await asked(server, "/api/roots")).status_code == 200


# What is counted and logged


@pytest.mark.asyncio
async def test_health_names_service_and_version():
    app = application(handlers={"health": HealthHandler}, service=None, version="1.2")

    async with serving(app) as server:
        answer = await asked(server, "/healthz")

    assert answer.json() == {"status": "ok", "service": "caterva2", "version": "1.2"}


@pytest.mark.asyncio
async def test_metrics_count_requests_by_route_and_status():
    app = application(handlers={"metrics": MetricsHandler})
    app.context.metrics.counter("hits", "Hits.", ("root",)).labels("foo").inc(3)
    app.context.metrics.gauge("queue", "Queue.", read=lambda: 7)

    async with serving(app) as server:
        await asked(server, "/api/roots")
        await asked(server, "/api/roots")
        await asked(server, "/nothing")
        answer = await asked(server, "/metrics")

    lines = answer.text.splitlines()
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'caterva2_request_seconds_count{route="roots",status="2xx"} 2.0' in lines
    assert 'caterva2_request_seconds_count{route="unknown",status="4xx"} 1.0' in lines
    assert 'caterva2_sent_bytes_total{route="roots",status="2xx"} 16.0' in lines
    assert "caterva2_requests_in_flight 1.0" in lines
    assert 'caterva2_hits_total{root="foo"} 3.0' in lines
    assert "caterva2_queue 7.0" in lines


@pytest.mark.asyncio
async def test_counters_of_two_applications_are_apart():
    one, other = application(), application()

    async with serving(one) as server:
        await asked(server, "/api/roots")

    assert b'route="roots"' in one.context.metrics.render()
    assert b'route="roots"' not in other.context.metrics.render()


@pytest.mark.asyncio
async def test_each_request_is_one_line_with_its_id(caplog):
    caplog.set_level(logging.INFO, "caterva2.access")

    async with serving(application()) as server, connected(server) as client:
        await client.send(request("/api/info/foo?x=1", headers={"X-Request-Id": "r1"}))
        await client.answer()

    [record] = caplog.records
    assert record.request_id == "r1"
    assert record.getMessage().startswith("GET info /api/info/foo?x=1 200 10 bytes ")
    assert record.getMessage().endswith(" ms 127.0.0.1")


@pytest.mark.asyncio
async def test_every_record_of_a_request_has_its_id(capsys):
    class Telling(Silent):
        async def get(self, path: str = "") -> None:
            logging.getLogger("some.library").warning("told")
            self.send_json(None)

    root = logging.getLogger()
    level, handler = root.level, logs.setup("info")
    try:
        async with serving(application(handlers={"fetch": Telling})) as server, connected(server) as client:
            await client.send(request("/api/fetch/x", headers={"X-Request-Id": "r1"}))
            await client.answer()
        logging.getLogger("some.library").warning("outside")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)

    lines = capsys.readouterr().err.splitlines()
    assert any("some.library [r1] told" in line for line in lines)
    assert any("caterva2.access [r1] GET fetch" in line for line in lines)
    assert any("some.library [-] outside" in line for line in lines)
