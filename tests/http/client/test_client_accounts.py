"""Users, sessions and tokens, from Python, ``cat2cli`` and the operator's programs."""

from __future__ import annotations

import asyncio
import io
import json
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import blosc2
import numpy as np
import pytest

from caterva2 import AsyncClient, Client, get_auth_cookie
from caterva2.cli import admin
from caterva2.cli.main import main
from caterva2.client.tokenfile import KeptToken, keep_token, kept_token, token_file
from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.errors import (
    BadCredentials,
    ConfigError,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    QuotaExceeded,
)
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.accounts import PASSWORD, SECRET
from tests.support.serverthread import RoleThread

ADA, ROOT = "ada@example.org", "root@example.org"


class Home(NamedTuple):
    """A subscriber with two users, its state directory, and the directory behind ``@public``."""

    url: str
    state: Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    state = tmp_path / "state"
    for argv in ([ADA, PASSWORD], ["-S", ROOT, PASSWORD]):
        assert admin.adduser(["--statedir", str(state), *argv]) == 0
    config = SubscriberConfig(
        http=Address("127.0.0.1", 0), statedir=state, login=True, register=True, auth_secret=SECRET
    )
    with RoleThread(run_subscriber, config) as role:
        yield Home(f"http://{role.address}", state)


def cli(home: Home, *args: str) -> int:
    return main(["--subscriber", home.url, *args])


def operate(home: Home, *args: str) -> int:
    return admin.admin(["--statedir", str(home.state), *args])


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


# Python


def test_client_logs_in_with_name_and_password(home: Home) -> None:
    with Client(home.url, (ADA, PASSWORD)) as client:
        me = client.me()

    assert (me["email"], me["is_superuser"], me["scopes"]) == (ADA, False, ["read", "write"])


def test_wrong_password_is_said_in_words(home: Home) -> None:
    with pytest.raises(NotAuthenticated, match="does not know this user, or the password is wrong"):
        Client(home.url, (ADA, "wrong password"))


def test_cookie_of_one_client_serves_another(home: Home) -> None:
    cookie = get_auth_cookie(home.url, {"username": ADA, "password": PASSWORD})

    with Client(home.url, auth_cookie=cookie) as client:
        assert client.me()["email"] == ADA


def test_client_manages_tokens(home: Home) -> None:
    with Client(home.url, (ADA, PASSWORD)) as client:
        token = client.create_token("job", "read", days=1)
        (info,) = client.list_tokens()
        with Client(home.url, token=token) as other:
            assert other.me()["scopes"] == ["read"]
            with pytest.raises(NotPermitted):
                other.create_token("more", "write")
            client.revoke_token(info["id"])
            with pytest.raises(NotAuthenticated):
                other.get_roots()


def test_client_manages_users(home: Home) -> None:
    with Client(home.url, (ROOT, PASSWORD)) as client:
        added = client.adduser("new@example.org")
        Client(home.url, ("new@example.org", added.rpartition(": ")[2])).close()
        users = [user["email"] for user in client.listusers()]
        removed = client.deluser("new@example.org")

    assert "User added" in added
    assert users == [ADA, "new@example.org", ROOT]
    assert removed == "User deleted: new@example.org"


def test_client_changes_a_password(home: Home) -> None:
    with Client(home.url, (ADA, PASSWORD)) as client:
        with pytest.raises(BadCredentials):
            client.change_password("wrong password", "another password")
        client.change_password(PASSWORD, "another password")
        with pytest.raises(NotAuthenticated):
            client.me()

    Client(home.url, (ADA, "another password")).close()


def test_async_client_has_the_same(home: Home) -> None:
    async def work() -> list[object]:
        async with AsyncClient(home.url, (ADA, PASSWORD)) as client:
            await client.create_token("x")
            return [(await client.me())["email"], len(await client.list_tokens())]

    assert asyncio.run(work()) == [ADA, 1]


def test_async_client_makes_an_account_and_changes_its_password(home: Home) -> None:
    async def work() -> str:
        async with AsyncClient(home.url) as client:
            made = await client.register("new@example.org", PASSWORD)
        async with AsyncClient(home.url, (made["email"], PASSWORD)) as client:
            await client.change_password(PASSWORD, "another password")
            with pytest.raises(NotAuthenticated):
                await client.me()
        async with AsyncClient(home.url, (made["email"], "another password")) as client:
            email: str = (await client.me())["email"]
            return email

    assert asyncio.run(work()) == "new@example.org"


def test_async_client_ends_all_sessions(home: Home) -> None:
    async def work() -> None:
        async with (
            AsyncClient(home.url, (ADA, PASSWORD)) as one,
            AsyncClient(home.url, (ADA, PASSWORD)) as other,
        ):
            await other.me()
            await one.logout_everywhere()
            with pytest.raises(NotAuthenticated):
                await other.me()

    asyncio.run(work())


def test_python_blosc2_reads_as_a_user(home: Home) -> None:
    array = np.arange(100)
    personal = home.state / "personal" / Client(home.url, (ADA, PASSWORD)).me()["id"]
    personal.mkdir(parents=True, exist_ok=True)
    blosc2.asarray(array, urlpath=str(personal / "a.b2nd"))

    with blosc2.c2context(urlbase=f"{home.url}/", username=ADA, password=PASSWORD):
        np.testing.assert_array_equal(blosc2.C2Array("@personal/a.b2nd")[10:20], array[10:20])


# the file of tokens


def test_login_keeps_a_token_that_clients_send(home: Home, monkeypatch, capsys) -> None:
    type_in(monkeypatch, PASSWORD)

    assert cli(home, "login", ADA) == 0

    assert "Logged in as ada@example.org" in capsys.readouterr().out
    assert stat.S_IMODE(token_file().stat().st_mode) == 0o600
    assert PASSWORD not in token_file().read_text()
    with Client(home.url) as client:
        assert client.me()["email"] == ADA
    with Client(home.url, token="") as client, pytest.raises(NotAuthenticated):
        client.me()
    assert cli(home, "--username", ADA, "listusers") == 0


def test_logout_revokes_the_token_and_forgets_it(home: Home, monkeypatch) -> None:
    type_in(monkeypatch, PASSWORD)
    cli(home, "login", ADA)
    token = kept_token(home.url).token

    assert cli(home, "logout") == 0

    assert kept_token(home.url) is None
    with Client(home.url, token=token) as client, pytest.raises(NotAuthenticated):
        client.me()


def test_file_that_others_may_read_is_not_used(home: Home) -> None:
    keep_token(home.url, KeptToken("t", ADA, "id")).chmod(0o644)

    with pytest.raises(ConfigError, match="chmod 600"):
        Client(home.url)


@pytest.mark.parametrize("text", ["{", "[]", '{"http://x": "y"}', '{"http://x": [1, 2, 3]}'])
def test_broken_file_is_named(home: Home, text: str) -> None:
    keep_token(home.url, None).write_text(text)

    with pytest.raises(ConfigError, match="tokens"):
        Client(home.url)


def test_token_is_kept_for_one_server_only(home: Home) -> None:
    keep_token("http://elsewhere:1", KeptToken("t", ADA, "id"))

    assert kept_token(home.url) is None


@pytest.fixture
def stale(home: Home) -> Home:
    """A kept token that the server does not know, and a dataset that everybody may read."""
    keep_token(home.url, KeptToken("c2t_of_a_server_thrown_away", ADA, "id"))
    blosc2.asarray(np.arange(10), urlpath=str(home.state / "public" / "x.b2nd"))
    return home


def test_stale_token_of_the_file_does_not_stop_reading(stale: Home, caplog) -> None:
    with Client(stale.url) as client:
        roots = client.get_roots()
        data = client.fetch("@public/x.b2nd")

    assert set(roots) == {"@public"}
    np.testing.assert_array_equal(data, np.arange(10))
    (warning,) = caplog.messages
    assert "cat2cli login" in warning
    assert stale.url in warning


@pytest.mark.parametrize(
    "read",
    [
        lambda client: client.fetch("@public/x.b2nd", slice(2, 4))[0] == 2,
        lambda client: client.get_slice("@public/x.b2nd", slice(2, 4))[0] == 2,
        lambda client: len(client.get_chunk("@public/x.b2nd", 0)) > 0,
        lambda client: client.download("@public/x.b2nd", "here.b2nd").stat().st_size > 0,
        lambda client: client.get("@public").file_list == ["x.b2nd"],
        lambda client: list(client.explain("@public/x.b2nd")["shape"]) == [10],
    ],
    ids=["fetch", "slice", "chunk", "download", "root", "explain"],
)
def test_every_read_goes_on_without_a_stale_token(stale: Home, read) -> None:
    with Client(stale.url) as client:
        assert read(client)
        assert read(client)


def test_stale_token_of_the_file_is_named_where_a_user_is_needed(stale: Home) -> None:
    with Client(stale.url) as client:
        for call in (
            client.me,
            lambda: client.fetch("@personal/x.b2nd"),
            lambda: client.upload(np.arange(3), "@public/y.b2nd"),
        ):
            with pytest.raises(NotAuthenticated, match="token is unknown, has ended, or was revoked") as info:
                call()
            assert "cat2cli login" in str(info.value.hint)


def test_stale_token_that_is_given_is_refused(stale: Home) -> None:
    with Client(stale.url, token="c2t_wrong") as client, pytest.raises(NotAuthenticated):
        client.get_roots()


def test_async_client_reads_on_without_a_stale_token(stale: Home, caplog) -> None:
    async def work() -> list[object]:
        async with AsyncClient(stale.url) as client:
            with pytest.raises(NotAuthenticated, match="token is unknown"):
                await client.me()
            found = [await client.get_list("@public") for _ in range(2)]
            return [*found, (await client.fetch("@public/x.b2nd", 3)).item()]

    assert asyncio.run(work()) == [["x.b2nd"], ["x.b2nd"], 3]
    assert len(caplog.messages) == 1


def test_cat2cli_reads_on_without_a_stale_token(stale: Home, capsys, caplog) -> None:
    assert cli(stale, "show", "@public/x.b2nd[:3]") == 0

    assert capsys.readouterr().out == "[0 1 2]\n"
    assert "cat2cli login" in caplog.text


def test_cat2cli_events_are_those_of_the_user_whose_token_is_kept(home: Home, monkeypatch, capsys) -> None:
    type_in(monkeypatch, PASSWORD)
    cli(home, "login", ADA)

    with Client(home.url) as client, ThreadPoolExecutor() as pool:
        following = pool.submit(cli, home, "events", "@personal", "--count", "1", "--timeout", "20")
        while not following.done():
            client.upload(np.arange(3), "@personal/x.b2nd")
            wait([following], timeout=0.2)

    assert following.result() == 0
    assert "changed  @personal/x.b2nd" in capsys.readouterr().out


# the commands


def test_token_commands(home: Home, capsys) -> None:
    as_ada = ("--username", ADA, "--password", PASSWORD)

    assert cli(home, *as_ada, "token", "create", "job", "--scope", "read") == 0
    token = capsys.readouterr().out.strip()
    assert cli(home, *as_ada, "token", "list", "--json") == 0
    (info,) = json.loads(capsys.readouterr().out)
    assert cli(home, *as_ada, "token", "revoke", info["id"]) == 0

    assert info["name"] == "job"
    with Client(home.url, token=token) as client, pytest.raises(NotAuthenticated):
        client.me()


def test_user_commands(home: Home, capsys) -> None:
    as_root = ("--username", ROOT, "--password", PASSWORD)

    assert cli(home, *as_root, "adduser", "new@example.org", "new password") == 0
    assert cli(home, *as_root, "lsu", "new@example.org", "--json") == 0
    assert cli(home, *as_root, "deluser", "new@example.org") == 0
    assert cli(home, "--username", ADA, "--password", PASSWORD, "deluser", ROOT) == 1

    said, failed = capsys.readouterr()
    added, listed, removed = said.splitlines()
    assert (added, removed) == ("User added: new@example.org", "User deleted: new@example.org")
    assert [user["email"] for user in json.loads(listed)] == ["new@example.org"]
    assert "superusers" in failed


def test_reset_link_of_the_operator_sets_a_password(home: Home, monkeypatch, capsys) -> None:
    assert operate(home, "reset-link", ADA) == 0
    link = capsys.readouterr().out.strip()
    type_in(monkeypatch, "another password", "another password")

    assert cli(home, "reset-password", link) == 0

    Client(home.url, (ADA, "another password")).close()


def test_operator_changes_users_while_the_subscriber_runs(home: Home, capsys) -> None:
    assert operate(home, "users", "groups", ADA, "staff") == 0
    assert operate(home, "users", "promote", ADA) == 0
    with Client(home.url, (ADA, PASSWORD)) as client:
        me = client.me()
    assert operate(home, "users", "remove", ADA) == 0
    capsys.readouterr()
    assert operate(home, "users", "list") == 0

    assert (me["groups"], me["is_superuser"]) == (["staff"], True)
    assert capsys.readouterr().out == "root@example.org  superuser\n"
    with pytest.raises(NotAuthenticated):
        Client(home.url, (ADA, PASSWORD))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["users", "remove", "nobody@example.org"], "there is no user"),
        (["users", "add", ADA], "already"),
        (["users", "add", "x"], "expected an e-mail"),
        (["users", "add", "x@example.org", "short"], "at least 8"),
        (["revoke", ADA, "none"], "no token"),
    ],
)
def test_operator_is_told_what_can_not_be_done(home: Home, capsys, argv: list[str], said: str) -> None:
    assert operate(home, *argv) == 1

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_fsck_names_what_is_wrong(home: Home, capsys) -> None:
    assert operate(home, "fsck") == 0
    (home.state / "public" / "bad.b2nd").write_bytes(b"no frame")
    (home.state / "personal" / "nobody").mkdir(parents=True)
    capsys.readouterr()

    assert operate(home, "fsck") == 1

    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == ["personal/nobody", "public/bad.b2nd"]


def stage(home: Home, name: str, *, hours: float) -> Path:
    """Put a file under way into an area, last written so many hours ago."""
    path = home.state / "shared" / ".incoming" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - hours * 3600,) * 2)
    return path


def test_fsck_names_leftovers_and_repair_removes_them(home: Home, capsys) -> None:
    new, old = stage(home, "new", hours=1), stage(home, "old", hours=30)
    stage(home, "kept.upload", hours=1)
    note = stage(home, "kept.upload.json", hours=30)
    capsys.readouterr()

    assert operate(home, "fsck") == 1
    assert operate(home, "fsck", "--repair") == 0
    assert operate(home, "fsck") == 0

    named, removed, mended, sound = capsys.readouterr().out.splitlines()
    assert named == "shared/.incoming/old: left by an upload that has ended"
    assert (removed, mended) == (f"{named}; removed", "1 problems were mended")
    assert sound == "no problems were found"
    assert (new.exists(), old.exists(), note.exists()) == (True, False, True)


def test_deep_fsck_finds_a_chunk_that_can_not_be_decoded(home: Home, capsys) -> None:
    path = home.state / "public" / "x.b2nd"
    blosc2.asarray(np.random.default_rng(0).random(100_000), urlpath=str(path), chunks=(10_000,))
    blosc2.asarray(np.arange(9), urlpath=str(home.state / "public" / "good.b2nd"))
    with Client(home.url, (ADA, PASSWORD)) as client:
        client.upload(b"plain", "@shared/note.txt")
    frame = bytearray(path.read_bytes())
    frame[len(frame) // 2 : len(frame) // 2 + 5000] = bytes(5000)
    path.write_bytes(frame)
    capsys.readouterr()

    assert operate(home, "fsck") == 0
    assert operate(home, "fsck", "--deep") == 1

    _, problem = capsys.readouterr().out.splitlines()
    assert problem.startswith("public/x.b2nd: ")


def test_fsck_names_areas_beyond_their_quota(home: Home, capsys) -> None:
    with Client(home.url, (ADA, PASSWORD)) as client:
        client.upload(np.arange(1000), "@personal/x.b2nd")
    assert operate(home, "quota", ADA, "10") == 0
    capsys.readouterr()

    assert operate(home, "fsck") == 1

    assert "more than its quota of 10" in capsys.readouterr().out


def test_quota_of_a_user_goes_before_that_of_all(home: Home, capsys) -> None:
    assert operate(home, "--json", "quota", ADA, "2K") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"used": 0, "quota": 2048}
    with Client(home.url, (ADA, PASSWORD)) as client:
        with pytest.raises(QuotaExceeded, match=r"your @personal may take 2048 bytes"):
            client.upload(os.urandom(3000), "@personal/x")
        client.upload(os.urandom(3000), "@shared/x")
        with Client(home.url, (ROOT, PASSWORD)) as other:
            other.upload(os.urandom(3000), "@personal/x")
    for size, limit in (("none", None), ("1G", 1 << 30), ("default", None)):
        assert operate(home, "--json", "quota", ADA, size) == 0
        assert json.loads(capsys.readouterr().out)["quota"] == limit
    with Client(home.url, (ADA, PASSWORD)) as client:
        client.upload(os.urandom(3000), "@personal/x")


def test_logout_by_the_operator_can_end_tokens_too(home: Home, capsys) -> None:
    with Client(home.url, (ADA, PASSWORD)) as client:
        token = client.create_token("job")
    assert operate(home, "users", "logout", ADA) == 0
    with Client(home.url, token=token) as client:
        client.me()

    assert operate(home, "users", "logout", "--tokens", ADA) == 0

    assert "tokens" in capsys.readouterr().out
    assert operate(home, "--json", "tokens", ADA) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_quota_tells_the_room_that_areas_take(home: Home, capsys) -> None:
    (home.state / "public" / "x").write_bytes(bytes(1000))
    capsys.readouterr()

    assert operate(home, "--json", "quota") == 0

    usage = json.loads(capsys.readouterr().out)
    assert (usage["areas"]["@public"], usage["total"], usage["quota"]) == (1000, 1000, None)


def test_adduser_makes_a_password_and_prints_it(home: Home, capsys) -> None:
    capsys.readouterr()

    assert admin.adduser(["--statedir", str(home.state), "new@example.org"]) == 0

    password = capsys.readouterr().out.strip().removeprefix("Password: ")
    Client(home.url, ("new@example.org", password)).close()


def test_login_at_a_subscriber_without_users_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    config = SubscriberConfig(http=Address("127.0.0.1", 0), statedir=tmp_path / "state")
    with RoleThread(run_subscriber, config) as role, pytest.raises(NotFound, match="no users"):
        Client(f"http://{role.address}", (ADA, PASSWORD))
