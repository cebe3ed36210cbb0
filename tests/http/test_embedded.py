"""The subscriber inside another program: its user needs no login, and his directory is not harmed."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from caterva2 import Client
from caterva2.errors import ConfigError, DatasetNotFound, NotPermitted
from caterva2.model.events import DatasetChanged, Resync
from caterva2.roles.subscriber.embedded import running_embedded

pytestmark = pytest.mark.asyncio


@pytest.fixture
def notebooks(tmp_path: Path) -> Path:
    directory = tmp_path / "notebooks"
    (directory / ".ipynb_checkpoints").mkdir(parents=True)
    (directory / ".ipynb_checkpoints" / "old.ipynb").write_text("{}")
    (directory / ".secret").write_text("hidden")
    (directory / "note.txt").write_text("shown")
    return directory


@pytest_asyncio.fixture
async def client(tmp_path: Path, notebooks: Path) -> AsyncIterator[Client]:
    socket = tmp_path / "s"
    async with running_embedded(
        socket=socket, statedir=tmp_path / "state", public=notebooks, user="ada"
    ) as running:
        with Client(f"unix:{socket}") as client:
            client.hub = running.subscriber.hub  # type: ignore[attr-defined]
            yield client


async def test_socket_is_for_its_user_alone(tmp_path: Path, client: Client) -> None:
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


async def test_whoever_reaches_the_socket_is_its_user(client: Client) -> None:
    me = await asyncio.to_thread(client.me)

    assert (me["email"], me["scopes"], me["is_superuser"]) == ("ada", ["read", "write"], False)


async def test_hidden_files_are_not_shown(client: Client) -> None:
    assert await asyncio.to_thread(client.get_list, "@public") == ["note.txt"]
    with pytest.raises(DatasetNotFound):
        await asyncio.to_thread(client.get, "@public/.secret")


@pytest.mark.parametrize("area", ["@public", "@shared", "@personal"])
async def test_areas_are_writable_without_a_login(client: Client, area: str) -> None:
    await asyncio.to_thread(client.upload, np.arange(5), f"{area}/x.b2nd")

    assert (await asyncio.to_thread(client.fetch, f"{area}/x.b2nd")).tolist() == [0, 1, 2, 3, 4]


async def test_an_expression_over_the_directory_is_computed(client: Client) -> None:
    await asyncio.to_thread(client.upload, np.arange(5), "@public/x.b2nd")
    await asyncio.to_thread(client.lazyexpr, "y", "a + 1", {"a": "@public/x.b2nd"})

    assert (await asyncio.to_thread(client.fetch, "@personal/y.b2nd")).tolist() == [1, 2, 3, 4, 5]


async def test_the_directory_can_not_be_emptied(client: Client, notebooks: Path) -> None:
    with pytest.raises(NotPermitted):
        await asyncio.to_thread(client.remove, "@public")
    assert (notebooks / ".secret").read_text() == "hidden"
    assert (notebooks / "note.txt").exists()


async def test_a_hidden_directory_of_the_users_own_is_left_alone(tmp_path: Path, notebooks: Path) -> None:
    mine = notebooks / ".incoming" / "mine"
    mine.parent.mkdir()
    mine.write_text("keep")

    async with running_embedded(
        socket=tmp_path / "s", statedir=tmp_path / "state", public=notebooks, user="ada"
    ):
        pass

    assert mine.read_text() == "keep"


async def test_a_file_that_appears_by_other_means_is_announced(client: Client, notebooks: Path) -> None:
    with client.hub.subscribe() as events:  # type: ignore[attr-defined]
        (notebooks / "new.txt").write_text("new")
        async with asyncio.timeout(20):
            # The first look at the directory may come later than the file: then all is to be listed again.
            async for envelope in events:
                event = envelope.event
                if event == Resync(root="@public"):
                    return
                if isinstance(event, DatasetChanged) and event.entry.path == "new.txt":
                    assert event.root == "@public"
                    return
    pytest.fail("the events have ended")


async def test_nothing_is_written_into_the_directory_until_somebody_does(
    client: Client, notebooks: Path
) -> None:
    assert sorted(os.listdir(notebooks)) == [".ipynb_checkpoints", ".secret", "note.txt"]


async def test_two_at_once_do_not_share_a_state_directory(tmp_path: Path, notebooks: Path) -> None:
    state = tmp_path / "state"
    async with (
        running_embedded(socket=tmp_path / "a", statedir=state, public=notebooks, user="ada"),
        running_embedded(socket=tmp_path / "b", statedir=state, public=notebooks, user="ada"),
    ):
        assert (tmp_path / "state-2" / "subscriber.sqlite").exists()


async def test_state_is_taken_up_again(tmp_path: Path, notebooks: Path) -> None:
    state, socket = tmp_path / "state", tmp_path / "s"
    async with running_embedded(socket=socket, statedir=state, public=notebooks, user="ada"):
        with Client(f"unix:{socket}") as client:
            await asyncio.to_thread(client.upload, np.arange(3), "@personal/x.b2nd")
    async with running_embedded(socket=socket, statedir=state, public=notebooks, user="ada"):
        with Client(f"unix:{socket}") as client:
            assert await asyncio.to_thread(client.get_list, "@personal") == ["x.b2nd"]
    assert not (tmp_path / "state-2").exists()


async def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        async with running_embedded(
            socket=tmp_path / "s", statedir=tmp_path / "state", public=tmp_path / "none", user="ada"
        ):
            pass
