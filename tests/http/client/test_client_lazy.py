"""Computed datasets from Python and from the command line, against a real subscriber with users."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blosc2
import httpx
import numpy as np
import pytest

import caterva2
from caterva2.cli.main import main
from caterva2.client.api import Client
from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.errors import BadExpression
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.accounts import PASSWORD, SECRET
from tests.support.serverthread import RoleThread

ADA = ("ada@example.org", PASSWORD)
A = np.random.default_rng(1).normal(size=(40, 30))
TABLE = np.array([(i % 7, i / 3) for i in range(100)], [("p", "<i4"), ("q", "<f8")])


@pytest.fixture(scope="module")
def urlbase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state: Path = tmp_path_factory.mktemp("sub")
    (state / "public").mkdir()
    blosc2.asarray(A, urlpath=str(state / "public/a.b2nd"), mode="w", chunks=(20, 30), blocks=(10, 10))
    blosc2.asarray(TABLE, urlpath=str(state / "public/t.b2nd"), mode="w")
    config = SubscriberConfig(
        http=Address("127.0.0.1", 0), statedir=state, login=True, register=True, auth_secret=SECRET
    )
    with RoleThread(run_subscriber, config) as role:
        url = f"http://{role.address}"
        httpx.post(f"{url}/auth/register", json={"email": ADA[0], "password": ADA[1]}).raise_for_status()
        yield url


@pytest.fixture(scope="module")
def client(urlbase: str) -> Iterator[Client]:
    with Client(urlbase, ADA) as made:
        yield made


def test_expression_is_a_dataset_like_others(client: Client) -> None:
    path = client.lazyexpr("double", "a * 2", {"a": "@public/a.b2nd"})

    found = client.get(path)

    assert str(path) == "@personal/double.b2nd"
    assert isinstance(found, caterva2.Dataset)
    assert (found.shape, found.chunks, found.expression) == ((40, 30), (20, 30), "a * 2")
    assert found.operands == {"a": "@public/a.b2nd"}
    np.testing.assert_allclose(found[5:9, 3], A[5:9, 3] * 2)
    np.testing.assert_allclose(found[:], A * 2)


def test_operand_may_be_a_dataset(client: Client) -> None:
    path = client.lazyexpr("sine", "sin(a)", {"a": client.get("@public/a.b2nd")}, compute=True)

    np.testing.assert_allclose(client.fetch(path), np.sin(A))
    assert client.get(path).expression is None


def test_functions_do_as_methods(urlbase: str) -> None:
    path = caterva2.lazyexpr("plus", "a + 1", {"a": "@public/a.b2nd"}, urlbase, user_auth=ADA)
    twice = caterva2.concat([path, path], "@personal/twice.b2nd", 0, urlbase, user_auth=ADA)
    pile = caterva2.stack([path, path], "@personal/pile.b2nd", 0, urlbase, user_auth=ADA)
    told = caterva2.explain(pile, "0, 0:5", urlbase, user_auth=ADA)

    with Client(urlbase, ADA) as client:
        np.testing.assert_allclose(client.fetch(twice), np.concatenate([A + 1, A + 1]))
        np.testing.assert_allclose(client.fetch(pile, "1"), A + 1)
    assert (told["shape"], told["bytes"]) == ((5, 30), 1200)


def test_refusal_is_an_error_with_a_name(client: Client) -> None:
    with pytest.raises(BadExpression, match="not there"):
        client.lazyexpr("x", "a + 1", {"a": "@public/gone.b2nd"})


def test_rows_are_selected_and_sorted_by_the_server(client: Client) -> None:
    found = client.get("@public/t.b2nd").filter("p > 3", sortby="q", slice_="0:5", field="p")

    np.testing.assert_array_equal(found, TABLE["p"][TABLE["p"] > 3][:5])


def test_rows_are_explained_before_they_are_read(client: Client) -> None:
    table = client.get("@public/t.b2nd")
    told = table.explain("0:5", condition="p > 3", sortby="-q", field="p")

    assert (told["shape"], told["at_most"]) == ((5,), True)
    assert client.explain("@public/t.b2nd", sortby="q")["at_most"] is False
    found = table.filter("p > 3", sortby="-q", slice_="0:5", field="p")
    np.testing.assert_array_equal(found, TABLE["p"][TABLE["p"] > 3][::-1][:5])


async def use_async_client(urlbase: str) -> None:
    async with caterva2.AsyncClient(urlbase, ADA) as client:
        a = await client.get("@public/a.b2nd")
        assert isinstance(a, caterva2.AsyncDataset)
        path = await client.lazyexpr("async", "a + b", {"a": a, "b": "@public/a.b2nd"})
        both = await client.concat([path, a], "@personal/async-both.b2nd")
        pile = await client.stack([path, a], "@personal/async-pile.b2nd")
        told = await client.explain(pile, "0, 0:5")
        rows = await client.filter("@public/t.b2nd", "p > 3", sortby="q", slice_="0:5", field="p")

        np.testing.assert_allclose(await client.fetch(both), np.concatenate([A + A, A]))
        np.testing.assert_allclose(await client.fetch(pile, "1"), A)
        np.testing.assert_array_equal(rows, TABLE["p"][TABLE["p"] > 3][:5])
        assert (told["shape"], told["bytes"]) == ((5, 30), 1200)


def test_async_client_has_the_same(urlbase: str) -> None:
    asyncio.run(use_async_client(urlbase))


def cat2cli(urlbase: str, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    status = main(["--subscriber", urlbase, "--username", ADA[0], "--password", ADA[1], *args])
    out, err = capsys.readouterr()
    assert status == 0, err
    return out


def test_commands_make_and_explain(urlbase: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = cat2cli(urlbase, capsys, "expr", "cli", "a - mean(a)", "a=@public/a.b2nd")
    joined = cat2cli(urlbase, capsys, "concat", "@personal/cli.b2nd", "@public/a.b2nd", "@personal/both.b2nd")
    piled = cat2cli(urlbase, capsys, "stack", "--axis", "1", "@public/a.b2nd", "@personal/one.b2nd")
    told: Any = json.loads(cat2cli(urlbase, capsys, "explain", "@personal/both.b2nd[0:5]", "--json"))
    text = cat2cli(urlbase, capsys, "explain", "@personal/cli.b2nd[0:5]")
    rows = cat2cli(urlbase, capsys, "explain", "@public/t.b2nd", "--filter", "p > 3", "--sortby=-q")

    assert made == "Expression stored in @personal/cli.b2nd\n"
    assert joined == "Datasets concatenated in @personal/both.b2nd\n"
    assert piled == "Datasets stacked in @personal/one.b2nd\n"
    assert told["shape"] == [5, 30]
    assert "a - mean(a)" in text
    assert "answer  at most [" in rows


def test_wrong_operand_is_wrong_usage(urlbase: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--subscriber", urlbase, "expr", "x", "a + 1", "a"]) == 2
    assert "VARIABLE=PATH" in capsys.readouterr().err


def test_command_shows_selected_rows_in_order(urlbase: str, capsys: pytest.CaptureFixture[str]) -> None:
    last = TABLE[TABLE["p"] > 3][::-1][:2]
    shown = cat2cli(urlbase, capsys, "show", "@public/t.b2nd[0:2]", "--filter", "p > 3", "--sortby=-q")
    told: Any = json.loads(cat2cli(urlbase, capsys, "show", "@public/t.b2nd[0:2]", "--sortby=-p", "--json"))

    assert shown == f"{last}\n"
    assert told["data"]["p"] == sorted(TABLE["p"].tolist(), reverse=True)[:2]
