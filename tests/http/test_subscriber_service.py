"""What a subscriber tells of itself: its API, its counters, request ids, events."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect

from caterva2.model import openapi, wire
from caterva2.model.events import Envelope, Resync
from caterva2.model.routes import Role, routes_of
from tests.support.cluster import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def document(cluster: Cluster) -> Any:
    return (await cluster.get("/api/openapi.json")).json()


async def metrics(cluster: Cluster) -> dict[str, float]:
    """Return the value of every sample, by name and labels."""
    answer = await cluster.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


# the document


def _named(found: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(path, verb.upper()) for path, item in found["paths"].items() for verb in item}


async def test_document_names_every_address_and_verb(filled: Cluster) -> None:
    found = await document(filled)

    rows = routes_of(Role.SUBSCRIBER)
    assert _named(found) == {(row.path, verb) for row in rows if not row.login_only for verb in row.methods}
    assert _named(openapi.document()) == {(row.path, verb) for row in rows for verb in row.methods}
    assert found["openapi"].startswith("3.1")


async def test_every_reference_in_the_document_leads_somewhere(filled: Cluster) -> None:
    found = await document(filled)

    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(found)))
    assert names
    assert names <= set(found["components"]["schemas"])


async def test_every_operation_has_its_own_name_a_summary_and_answers(filled: Cluster) -> None:
    found = await document(filled)

    operations = [operation for item in found["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] and operation["responses"] for operation in operations)


async def test_every_part_of_an_address_is_a_parameter(filled: Cluster) -> None:
    found = await document(filled)

    for path, item in found["paths"].items():
        for operation in item.values():
            declared = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", path)), path


# counters


async def test_counters_can_be_parsed_and_grow(filled: Cluster) -> None:
    await filled.fetch("foo/big.b2nd", "0:50")
    before = await metrics(filled)
    await filled.fetch("foo/big.b2nd", "0:50")
    after = await metrics(filled)

    grown = {name for name in after if after[name] > before.get(name, 0)}
    assert any("request" in name and '"fetch"' in name for name in grown), grown
    assert any("cache_hit_bytes" in name for name in grown), grown
    assert any("publisher_bytes" in name for name in after)
    assert any("event_lag_seconds" in name for name in after)


async def test_health_says_who_answers(filled: Cluster) -> None:
    found = (await filled.get("/healthz")).json()

    assert (found["status"], found["service"]) == ("ok", "subscriber")


# request ids


@pytest.mark.parametrize(
    "target",
    [
        "/api/roots",
        "/api/fetch/foo/ds-1d.b2nd",
        "/api/fetch/foo/ds-1d.b2nd?slice_=1:3",
        "/api/fetch/foo/nothing",
        "/nothing",
        "/api/fetch/foo/big.b2nd?slice_=1:99",
        "/api/download/foo/README.md",
    ],
)
async def test_every_answer_has_a_request_id(filled: Cluster, target: str) -> None:
    first, second = await filled.get(target), await filled.get(target)
    given = await filled.get(target, headers={"X-Request-Id": "mine-1"})

    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert given.headers["X-Request-Id"] == "mine-1"
    assert given.status_code < 400 or given.json()["request_id"] == "mine-1"


@pytest.mark.parametrize("bad", ["a b", "x" * 200, "<script>", "\xe9"])
async def test_odd_request_id_is_replaced(filled: Cluster, bad: str) -> None:
    answer = await filled.get("/api/roots", headers={"X-Request-Id": bad.encode("latin-1")})

    assert answer.headers["X-Request-Id"] != bad


# events


async def test_events_need_a_websocket(filled: Cluster) -> None:
    answer = await filled.get("/api/events")

    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)


async def test_reader_from_another_life_is_told_to_list_again(filled: Cluster) -> None:
    reader = await websocket_connect(
        f"{filled.subscriber.url}/api/events?epoch=other&since=5".replace("http:", "ws:")
    )
    async with asyncio.timeout(10):
        envelope = wire.from_json(await reader.read_message() or b"", Envelope)
    reader.close()

    assert isinstance(envelope.event, Resync)


async def test_pages_of_others_may_not_follow_events(filled: Cluster) -> None:
    from tornado.httpclient import HTTPRequest

    request = HTTPRequest(
        f"{filled.subscriber.url}/api/events".replace("http:", "ws:"),
        headers={"Origin": "https://evil.example"},
    )
    with pytest.raises(HTTPClientError) as caught:
        await websocket_connect(request)

    assert caught.value.code == 403
