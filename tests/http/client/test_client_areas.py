"""Writing with `Client` and ``cat2cli`` against a real subscriber with users."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import blosc2
import numpy as np
import pytest

import caterva2
from caterva2.cli.main import main
from caterva2.client import uploads
from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.errors import BrokenDataset, ConnectFailed, DatasetChanged, NotAuthenticated, NotFound
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.accounts import PASSWORD, SECRET
from tests.support.serverthread import RoleThread

ADA = "ada@example.org"
CUBE = np.arange(600, dtype="f4").reshape(10, 60)


@contextlib.contextmanager
def served(home: Path) -> Iterator[str]:
    config = SubscriberConfig(
        http=Address("127.0.0.1", 0), statedir=home, login=True, register=True, auth_secret=SECRET
    )
    with RoleThread(run_subscriber, config) as role:
        urlbase = f"http://{role.address}"
        import httpx

        httpx.post(f"{urlbase}/auth/register", json={"email": ADA, "password": PASSWORD}).raise_for_status()
        yield urlbase


@pytest.fixture(scope="module")
def urlbase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("state")) as url:
        yield url


@pytest.fixture
def client(urlbase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[caterva2.Client]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with caterva2.Client(urlbase, (ADA, PASSWORD)) as client:
        yield client
        client.remove("@personal")
        client.remove("@shared")


@pytest.mark.parametrize(
    "array", [CUBE, blosc2.asarray(CUBE), np.float64(3)], ids=["numpy", "blosc2", "scalar"]
)
def test_array_is_uploaded_directly(client: caterva2.Client, array: object) -> None:
    stored = client.upload(array, "@personal/x.b2nd")

    assert stored == PurePosixPath("@personal/x.b2nd")
    dataset = client.get(stored)
    assert isinstance(dataset, caterva2.Dataset)
    np.testing.assert_array_equal(dataset[()], np.asarray(array[()]))  # type: ignore[index]


@pytest.mark.parametrize("size", [0, 1000, uploads.PART + 5], ids=["empty", "small", "in parts"])
def test_file_comes_back_as_it_was(client: caterva2.Client, tmp_path: Path, size: int) -> None:
    local = tmp_path / "local.bin"
    local.write_bytes(os.urandom(size))
    seen: list[tuple[int, int | None]] = []

    stored = client.upload(local, "@personal", progress=lambda done, total: seen.append((done, total)))
    back = client.download(stored, tmp_path / "back.bin")

    assert stored == PurePosixPath("@personal/local.bin")
    assert back.read_bytes() == local.read_bytes()
    assert seen[-1] == (size, size)


def test_interrupted_upload_goes_on_where_it_ended(
    client: caterva2.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PART", 1000)
    monkeypatch.setattr(uploads, "SMALL", 10)
    monkeypatch.setattr(uploads, "REMEMBERED", 10)
    local = tmp_path / "local.bin"
    local.write_bytes(os.urandom(5500))
    seen: list[int] = []

    def give_up(done: int, _: int | None) -> None:
        seen.append(done)
        if done == 3000 and seen.count(3000) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.upload(local, "@personal/x.bin", progress=give_up)
    client.upload(local, "@personal/x.bin", progress=give_up)

    assert seen == [0, 1000, 2000, 3000, 3000, 4000, 5000, 5500]
    assert client.download("@personal/x.bin", tmp_path / "back").read_bytes() == local.read_bytes()


def test_lost_answer_is_asked_for_again(
    client: caterva2.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PART", 1000)
    monkeypatch.setattr(uploads, "SMALL", 10)
    monkeypatch.setattr(uploads.time, "sleep", lambda _: None)
    real, lost = client._session.patient, []

    def losing(call):
        answer = real(call)
        if call.method == "PATCH" and not lost:
            lost.append(call)
            raise ConnectFailed("the answer is lost")
        return answer

    monkeypatch.setattr(client._session, "patient", losing)
    data = os.urandom(2500)

    client.upload(data, "@personal/x.bin")

    assert client.download("@personal/x.bin", tmp_path / "back").read_bytes() == data


def test_directory_goes_up_and_comes_down(client: caterva2.Client, tmp_path: Path) -> None:
    (tmp_path / "up" / "e").mkdir(parents=True)
    (tmp_path / "up" / "a.txt").write_text("a")
    (tmp_path / "up" / "e" / "b.txt").write_text("b")

    client.upload(tmp_path / "up", "@shared/all")

    assert client.get_list("@shared/all") == ["a.txt", "e/b.txt"]
    client.download("@shared/all", tmp_path / "down")
    assert (tmp_path / "down" / "e" / "b.txt").read_text() == "b"


def test_empty_directories_go_up_too(client: caterva2.Client, tmp_path: Path) -> None:
    for name in ("full", "none/inner", ".hidden/x"):
        (tmp_path / "up" / name).mkdir(parents=True)
    (tmp_path / "up" / "full" / "a.txt").write_text("a")

    for _ in range(2):
        client.upload(tmp_path / "up", "@shared/all")

    assert client.get_info("@shared/all/none/inner")["kind"] == "group"
    assert client.get_list("@shared/all") == ["full/a.txt"]
    with pytest.raises(NotFound):
        client.get_info("@shared/all/.hidden")


def test_methods_of_objects_write(client: caterva2.Client) -> None:
    root = client.get("@personal")
    cube = root.upload(CUBE, "d/cube.b2nd")
    shape = cube.append(CUBE[:2])
    copied = cube.copy("@shared")
    moved = cube.move("@personal/e/cube.b2nd")
    client.get(moved).remove()

    assert (shape, cube.shape) == ((12, 60), (12, 60))
    assert copied == PurePosixPath("@shared/cube.b2nd")
    assert client.get_list("@personal") == []


def test_server_refuses_with_its_own_errors(client: caterva2.Client, urlbase: str) -> None:
    client.upload(b"1", "@shared/a.txt")
    with pytest.raises(BrokenDataset):
        client.upload(b"no frame", "@personal/x.b2nd")
    with pytest.raises(DatasetChanged):
        client.upload(b"2", "@shared/a.txt", if_match="old")
    with pytest.raises(NotAuthenticated):
        caterva2.upload(b"2", "@public/a.txt", urlbase)


def test_cat2cli_writes(
    client: caterva2.Client, urlbase: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = tmp_path / "cube.b2nd"
    blosc2.asarray(CUBE, urlpath=str(local))
    before = ["--subscriber", urlbase, "--username", ADA, "--password", PASSWORD]
    commands = [
        ["put", str(local), "@personal/cube.b2nd"],
        ["cp", "@personal/cube.b2nd", "@shared/c.b2nd"],
        ["mkdir", "@shared/d"],
        ["mv", "@shared/c.b2nd", "@shared/d"],
        ["append", str(local), "@shared/d/c.b2nd"],
        ["rm", "@personal"],
        ["get", "@shared/d/c.b2nd", str(tmp_path / "back.b2nd")],
    ]

    statuses = [main([*before, *command]) for command in commands]

    assert statuses == [0] * len(commands)
    assert capsys.readouterr().out.splitlines() == [
        "Dataset stored in @personal/cube.b2nd",
        "Dataset @personal/cube.b2nd copied to @shared/c.b2nd",
        "Directory made: @shared/d",
        "Dataset @shared/c.b2nd moved to @shared/d/c.b2nd",
        "Dataset @shared/d/c.b2nd has now shape [20, 60]".replace("[", "(").replace("]", ")"),
        "Dataset (or directory contents) removed: @personal",
        f"Dataset saved to {tmp_path / 'back.b2nd'}",
    ]
