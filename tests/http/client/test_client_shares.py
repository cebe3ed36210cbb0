"""Share links, from Python and ``cat2cli``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import blosc2
import numpy as np
import pytest

import caterva2
from caterva2 import AsyncClient, Client
from caterva2.cli import admin
from caterva2.cli.main import main
from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.errors import NotAuthenticated, NotFound, NotPermitted
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.accounts import PASSWORD, SECRET
from tests.support.serverthread import RoleThread

ADA, ROOT = "ada@example.org", "root@example.org"
DATA = np.arange(60.0).reshape(6, 10)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.chdir(home)
        for argv in ([ADA, PASSWORD], ["-S", ROOT, PASSWORD]):
            assert admin.adduser(["--statedir", str(home / "state"), *argv]) == 0
        config = SubscriberConfig(
            http=Address("127.0.0.1", 0), statedir=home / "state", login=True, auth_secret=SECRET
        )
        with RoleThread(run_subscriber, config) as role:
            with Client(f"http://{role.address}", (ADA, PASSWORD)) as client:
                client.upload(DATA, "@personal/open/a.b2nd")
                client.upload(DATA, "@personal/b.b2nd")
            yield f"http://{role.address}"


@pytest.fixture(scope="module")
def ada(url: str) -> Iterator[Client]:
    with Client(url, (ADA, PASSWORD)) as client:
        yield client


def here(url: str, link: str) -> str:
    """Return a link with the address at which the server of the test listens: its port is 0."""
    return url + link[link.index("/share/") :]


@pytest.fixture(scope="module")
def link(url: str, ada: Client) -> str:
    return here(url, ada.create_share("@personal/open", name="run 7"))


def test_link_to_a_directory_is_opened(link: str) -> None:
    directory = caterva2.open_link(link)

    assert isinstance(directory, caterva2.Directory)
    dataset = directory["a.b2nd"]
    assert isinstance(dataset, caterva2.Dataset)
    assert list(directory) == ["a.b2nd"]
    assert np.array_equal(dataset[2:4], DATA[2:4])


def test_link_to_a_dataset_is_opened(url: str, ada: Client) -> None:
    dataset = caterva2.open_link(here(url, ada.create_share("@personal/open/a.b2nd")))

    assert isinstance(dataset, caterva2.Dataset)
    assert (str(dataset.path), dataset.shape) == ("@personal/open/a.b2nd", DATA.shape)
    assert np.array_equal(dataset[:], DATA)


def test_link_to_an_area_is_opened(url: str, ada: Client) -> None:
    area = caterva2.open_link(here(url, ada.create_share("@personal")))

    assert isinstance(area, caterva2.Root)
    assert list(area) == ["b.b2nd", "open/a.b2nd"]


def test_address_of_a_page_opens_what_it_shows(link: str) -> None:
    dataset = caterva2.open_link(f"{link}/roots/@personal/open/a.b2nd?slice=0")

    assert isinstance(dataset, caterva2.Dataset)
    assert np.array_equal(dataset[1], DATA[1])


def test_client_of_a_link_reads_what_it_opens_and_no_more(link: str) -> None:
    with Client(share=link) as client:
        assert client.shared()["name"] == "run 7"
        assert client.get_roots() == {}
        assert np.array_equal(client.fetch("@personal/open/a.b2nd", "0:2"), DATA[:2])
        with pytest.raises(NotFound):
            client.get("@personal/b.b2nd")
        with pytest.raises(NotPermitted):
            client.upload(DATA, "@personal/open/new.b2nd")


def test_token_of_a_link_does(url: str, link: str) -> None:
    with Client(url, share=link.rpartition("/")[2]) as client:
        assert client.get_list("@personal/open") == ["a.b2nd"]


def test_link_is_an_address_of_a_server(link: str) -> None:
    with Client(link) as client:
        assert client.get_list("@personal/open") == ["a.b2nd"]

    array = blosc2.C2Array("@personal/open/a.b2nd", urlbase=link)
    assert np.array_equal(array[3], DATA[3])


def test_asynchronous_client_has_links_too(url: str) -> None:
    async def walk() -> None:
        async with AsyncClient(url, (ADA, PASSWORD)) as client:
            made = here(url, await client.create_share("@personal/open", name="async"))
            (info,) = [share for share in await client.list_shares() if share["name"] == "async"]
            async with AsyncClient(share=made) as guest:
                assert (await guest.shared())["path"] == "@personal/open"
                assert np.array_equal(await guest.fetch("@personal/open/a.b2nd", 1), DATA[1])
                await client.revoke_share(info["id"])
                with pytest.raises(NotAuthenticated):
                    await guest.get_list("@personal/open")

    asyncio.run(walk())


def test_revoked_link_is_one_clear_line(url: str, ada: Client) -> None:
    made = ada.create_share("@personal/open", name="gone")
    (info,) = [share for share in ada.list_shares() if share["name"] == "gone"]
    ada.revoke_share(info["id"])

    with pytest.raises(NotAuthenticated, match="the share link is unknown, has ended, or was revoked"):
        caterva2.open_link(here(url, made))


def test_cat2cli_makes_lists_and_ends_links(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def cli(*args: str, who: str = ADA) -> str:
        code = main(["--subscriber", url, "--username", who, "--password", PASSWORD, *args])
        assert code == 0
        return capsys.readouterr().out

    made = cli("share", "create", "@personal/open", "--name", "by cli", "--days", "3").strip()
    listed = cli("share", "list")
    seen = json.loads(cli("--json", "share", "list", "--everybody", who=ROOT))
    (id_,) = [line.split()[0] for line in listed.splitlines() if line.endswith("@personal/open  by cli")]
    ended = cli("share", "revoke", id_)

    assert made.startswith("http://localhost:8002/share/c2s_")
    assert [(s["owner"], s["url"]) for s in seen if s["id"] == id_] == [(ADA, None)]
    assert ended == f"Share link revoked: {id_}\n"


def test_cat2cli_without_a_path_says_so(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--subscriber", url, "share", "create"]) != 0

    assert "expected a path" in capsys.readouterr().err
