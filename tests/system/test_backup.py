"""cat2admin backup and restore: while the subscriber runs and people write, and what is refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blosc2
import httpx
import numpy as np
import pytest

from caterva2.cli.admin import admin
from tests.support.daemon import Daemon
from tests.support.processes import Crowd, contents, until

ADA, PASSWORD = "ada@example.org", "a good password"
SECRET = {"CATERVA2_SECRET": "x" * 32}
WORDS = b"some words\n" * 5000


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return a state directory with a user and some files."""
    state = tmp_path / "state"
    assert operate(state, "users", "add", ADA, PASSWORD) == 0
    for path in ("public/a.txt", "public/dir/b.txt", "shared/c.txt"):
        (state / path).parent.mkdir(parents=True, exist_ok=True)
        (state / path).write_bytes(path.encode() + WORDS)
    (state / "public" / "empty").mkdir()
    return state


def operate(state: Path, *argv: object) -> int:
    return admin(["--conf", "none.toml", "--statedir", str(state), *map(str, argv)])


def files(top: Path) -> dict[str, tuple[bytes, int]]:
    """Return contents and times of the files of the areas."""
    return {
        str(file.relative_to(top)): (file.read_bytes(), file.stat().st_mtime_ns)
        for area in ("public", "shared", "personal")
        for file in (top / area).rglob("*")
        if file.is_file()
    }


@contextlib.contextmanager
def logged_in(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
        answer = client.post("/auth/jwt/login", data={"username": ADA, "password": PASSWORD})
        assert answer.status_code == 204
        yield client


def test_restored_state_is_the_one_that_was_copied(state: Path, tmp_path: Path) -> None:
    assert operate(state, "backup", tmp_path / "copy") == 0
    assert operate(tmp_path / "new", "restore", tmp_path / "copy") == 0

    assert files(tmp_path / "new") == files(state) != {}
    assert (tmp_path / "new" / "public" / "empty").is_dir()
    assert operate(tmp_path / "new", "fsck") == 0


def test_backup_of_a_running_subscriber_is_whole_and_users_log_in_to_it(state: Path, tmp_path: Path) -> None:
    """Somebody writes, replaces and moves files all the while."""
    cube = np.arange(20_000.0)
    with (
        Daemon("subscriber", "--statedir", "state", cwd=tmp_path, env=SECRET) as subscriber,
        logged_in(subscriber.url) as ada,
    ):

        def send(path: str, data: bytes) -> None:
            sent = ada.post(f"/api/upload/{path}", files={"file": ("x", data)})
            assert sent.status_code == 200, sent.text

        def write(thread: int, turn: int) -> None:
            name = f"{thread}-{turn % 40}"
            send(f"@personal/{name}.txt", f"{name} {turn}\n".encode() * 3000)
            if turn % 3 == 0:
                ada.post("/api/move/", json={"src": f"@personal/{name}.txt", "dst": f"@shared/{name}.txt"})

        token = ada.post("/api/tokens", json={"name": "job", "scope": "read"}).json()["token"]
        send("@personal/cube.b2nd", blosc2.asarray(cube).to_cframe())
        with Crowd(write, 3) as crowd:
            until(lambda: crowd.rounds > 30, "people write")
            assert operate(state, "backup", tmp_path / "copy") == 0
            rounds = crowd.rounds
            until(lambda: crowd.rounds > rounds + 10, "they still write")

    assert operate(tmp_path / "new", "restore", tmp_path / "copy") == 0
    with Daemon("subscriber", "--statedir", "new", cwd=tmp_path, env=SECRET) as subscriber:
        with logged_in(subscriber.url) as ada:
            read = contents(ada.get("/api/fetch/@personal/cube.b2nd").content)
            names = [name for name in ada.get("/api/list/@personal").json() if name.endswith(".txt")]
            texts = [ada.get(f"/api/download/@personal/{name}").content for name in names]
        headers = {"Authorization": f"Bearer {token}"}
        me = httpx.get(f"{subscriber.url}/api/me", headers=headers, trust_env=False)

    np.testing.assert_array_equal(read, cube)
    assert len(names) > 5
    # Each is one generation: the same line three thousand times.
    assert [len(set(text.splitlines())) for text in texts] == [1] * len(texts)
    assert {len(text.splitlines()) for text in texts} == {3000}
    assert me.json()["email"] == ADA


def test_uploads_under_way_cache_and_locks_stay_out(state: Path, tmp_path: Path, capsys: Any) -> None:
    for path in ("public/.incoming/half", "cache/x", "spool/y", "lock"):
        (state / path).parent.mkdir(parents=True, exist_ok=True)
        (state / path).write_bytes(b"x")
    (state / "public" / "link").symlink_to("/etc/passwd")

    assert operate(state, "backup", tmp_path / "copy") == 0

    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_text())
    assert sorted(file["path"] for file in manifest["files"]) == [
        "public/a.txt", "public/dir/b.txt", "shared/c.txt", "users.sqlite",
    ]  # fmt: skip
    assert sorted(file.name for file in (tmp_path / "copy").iterdir()) == [
        "manifest.json", "public", "shared", "users.sqlite",
    ]  # fmt: skip
    assert "left out public/link" in capsys.readouterr().err


def test_copy_can_be_read_by_its_owner_only(state: Path, tmp_path: Path) -> None:
    assert operate(state, "backup", tmp_path / "copy") == 0
    assert operate(tmp_path / "new", "restore", tmp_path / "copy") == 0

    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "users.sqlite").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", ["public/a.txt", "users.sqlite"])
def test_broken_backup_is_found_and_nothing_is_restored(
    state: Path, tmp_path: Path, capsys: Any, path: str
) -> None:
    assert operate(state, "backup", tmp_path / "copy") == 0
    assert operate(state, "restore", "--check", tmp_path / "copy") == 0
    data = bytearray((tmp_path / "copy" / path).read_bytes())
    data[50] ^= 1
    (tmp_path / "copy" / path).write_bytes(data)

    assert operate(tmp_path / "new", "restore", "--check", tmp_path / "copy") == 1
    assert not (tmp_path / "new").exists()
    assert operate(tmp_path / "new", "restore", tmp_path / "copy") == 1
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["lock"]
    assert f"{path} of the backup is not what was copied" in capsys.readouterr().err


def test_missing_file_and_unfinished_backup_are_refused(state: Path, tmp_path: Path, capsys: Any) -> None:
    assert operate(state, "backup", tmp_path / "copy") == 0
    (tmp_path / "copy" / "shared" / "c.txt").unlink()
    assert operate(tmp_path / "new", "restore", tmp_path / "copy") == 1
    (tmp_path / "copy" / "manifest.json").unlink()
    assert operate(tmp_path / "new", "restore", tmp_path / "copy") == 1

    lacks, unfinished = capsys.readouterr().err.splitlines()
    assert "lacks shared/c.txt" in lacks
    assert "no finished backup" in unfinished


def test_nothing_is_overwritten(state: Path, tmp_path: Path, capsys: Any) -> None:
    assert operate(state, "backup", tmp_path / "copy") == 0
    before = files(state)

    assert operate(state, "backup", tmp_path / "copy") == 1
    assert operate(state, "restore", tmp_path / "copy") == 1
    assert operate(state, "backup", state / "public" / "copy") == 1

    assert files(state) == before
    first, second, third = capsys.readouterr().err.splitlines()
    assert "copy is not empty" in first
    assert "state is not empty" in second
    assert "lies in an area" in third


def test_state_directory_in_use_is_not_restored_to(state: Path, tmp_path: Path, capsys: Any) -> None:
    assert operate(state, "backup", tmp_path / "copy") == 0
    with Daemon("broker", "--statedir", "other", cwd=tmp_path):
        assert operate(tmp_path / "other", "restore", tmp_path / "copy") == 1

    assert "another process uses" in capsys.readouterr().err


def test_manifest_that_names_other_places_is_refused(state: Path, tmp_path: Path, capsys: Any) -> None:
    assert operate(state, "backup", tmp_path / "copy") == 0
    manifest = tmp_path / "copy" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("public/a.txt", "public/../../a.txt"))

    assert operate(tmp_path / "new", "restore", tmp_path / "copy") == 1
    assert "in no area" in capsys.readouterr().err
    assert not (tmp_path / "a.txt").exists()


def test_directory_of_no_subscriber_is_refused(tmp_path: Path, capsys: Any) -> None:
    assert operate(tmp_path / "typo", "backup", tmp_path / "copy") == 1

    assert "nothing of a subscriber" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()
