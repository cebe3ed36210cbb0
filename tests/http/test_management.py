"""What superusers do over HTTP: users with room and limits, tokens of others, reset links, the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from caterva2.errors import InternalError
from tests.support.accounts import PASSWORD, Lab, lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA, BOB, ROOT = "ada@example.org", "bob@example.org", "root@example.org"
ALL = 1_000_000
"""The limit of those who have none of their own."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with lab(tmp_path_factory.mktemp("lab"), userquota=ALL) as made:
        for email in (ADA, BOB):
            await made.add(email)
        await made.add(ROOT, superuser=True)
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def root(here: Lab) -> dict[str, str]:
    return await here.log_in(ROOT)


async def change(here: Lab, headers: dict[str, str], email: str, **values: Any) -> httpx.Response:
    return await here.http.patch(f"/api/users/{email}", json=values, headers=headers)


async def put(here: Lab, headers: dict[str, str], name: str, size: int) -> httpx.Response:
    files = {"file": (name, bytes(size))}
    return await here.http.post(f"/api/upload/@personal/{name}", files=files, headers=headers)


# users


async def test_users_are_listed_with_rights_room_and_limit(here: Lab, root: dict[str, str]) -> None:
    await here.add("lin@example.org", groups={"staff"})
    lin = await here.log_in("lin@example.org")
    await put(here, lin, "a.bin", 1000)
    await here.token(lin, "read")

    answer = await here.http.get("/api/users?filter=LIN@", headers=root)

    (user,) = answer.json()["users"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert user | {"id": "", "used": 0} == {
        "id": "", "email": "lin@example.org", "is_superuser": False, "groups": ["staff"], "used": 0,
        "quota": ALL, "own_quota": False, "ntokens": 1, "nshares": 0,
    }  # fmt: skip
    assert user["used"] >= 1000
    assert (answer.json()["total"], answer.json()["next"], answer.json()["quota"]) == (1, None, ALL)


async def test_users_come_in_pages(here: Lab, root: dict[str, str]) -> None:
    for n in range(5):
        await here.accounts._add(f"page{n}@example.org", PASSWORD, superuser=False)

    first = (await here.http.get("/api/users?filter=page&limit=2", headers=root)).json()
    second = (
        await here.http.get(f"/api/users?filter=page&limit=2&after={first['next']}", headers=root)
    ).json()
    third = (
        await here.http.get(f"/api/users?filter=page&limit=2&after={second['next']}", headers=root)
    ).json()

    emails = [user["email"] for page in (first, second, third) for user in page["users"]]
    assert emails == [f"page{n}@example.org" for n in range(5)]
    assert [page["total"] for page in (first, second, third)] == [5, 5, 5]
    assert third["next"] is None


async def test_looking_at_users_makes_no_directories(here: Lab, root: dict[str, str]) -> None:
    await here.add("idle@example.org")
    idle = here.accounts._db.by_email("idle@example.org")

    await here.http.get("/api/users", headers=root)

    assert not (here.home / "sub" / "personal" / idle.id).exists()


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "nonsense=1"])
async def test_a_page_that_makes_no_sense_is_refused(here: Lab, root: dict[str, str], query: str) -> None:
    assert (await here.http.get(f"/api/users?{query}", headers=root)).status_code == 422


# limits


async def test_a_limit_holds_at_once_and_is_kept(here: Lab, root: dict[str, str]) -> None:
    await here.add("eve@example.org")
    eve = await here.log_in("eve@example.org")
    assert (await put(here, eve, "one.bin", 5000)).status_code == 200

    answer = await change(here, root, "eve@example.org", quota=6000)
    refused = await put(here, eve, "two.bin", 5000)

    assert (answer.json()["quota"], answer.json()["own_quota"]) == (6000, True)
    assert refused.json()["code"] == "quota-exceeded"
    assert here.accounts._db.by_email("eve@example.org").quota == 6000
    assert (await here.http.get("/api/me", headers=eve)).json()["quota"] == 6000


@pytest.mark.parametrize(
    ("quota", "holds", "own"), [(0, None, True), (None, ALL, False), (2**63 - 1, 2**63 - 1, True)]
)  # fmt: skip
async def test_a_limit_can_be_none_or_that_of_all(
    here: Lab, root: dict[str, str], quota: int | None, holds: int | None, own: bool
) -> None:
    await change(here, root, BOB, quota=123)

    answer = (await change(here, root, BOB, quota=quota)).json()

    assert (answer["quota"], answer["own_quota"]) == (holds, own)


@pytest.mark.parametrize(
    "body", [{"quota": -1}, {"quota": "10G"}, {"quota": 2**63}, {"is_superuser": None}, {"is_active": False}]
)
async def test_a_change_that_makes_no_sense_is_refused(
    here: Lab, root: dict[str, str], body: dict[str, Any]
) -> None:
    assert (await change(here, root, ADA, **body)).status_code == 422


# rights


async def test_a_user_becomes_a_superuser_and_one_no_longer(here: Lab, root: dict[str, str]) -> None:
    await here.add("pat@example.org")
    pat = await here.log_in("pat@example.org")

    await change(here, root, "Pat@Example.org", is_superuser=True)
    during = await here.http.get("/api/users", headers=pat)
    await change(here, root, "pat@example.org", is_superuser=False)
    after = await here.http.get("/api/users", headers=pat)

    assert (during.status_code, after.status_code) == (200, 401)


async def test_the_last_superuser_stays_one(here: Lab, root: dict[str, str]) -> None:
    demoted = await change(here, root, ROOT, is_superuser=False, groups=["x"])
    removed = await here.http.get(f"/api/deluser/{ROOT}", headers=root)

    for answer in (demoted, removed):
        assert answer.status_code == 400
        assert f"{ROOT} is the only superuser" in answer.json()["detail"]
        assert answer.json()["hint"] == "make somebody else a superuser first"
    kept = here.accounts._db.by_email(ROOT)
    assert (kept.superuser, kept.groups) == (True, frozenset())


async def test_one_of_two_superusers_can_go_whoever_is_first(here: Lab, root: dict[str, str]) -> None:
    await here.add("second@example.org", superuser=True)
    second = await here.log_in("second@example.org")

    answers = await asyncio.gather(
        change(here, root, "second@example.org", is_superuser=False),
        change(here, second, ROOT, is_superuser=False),
    )

    assert sorted(answer.status_code for answer in answers)[0] == 200
    left = [user for user in here.accounts._db.users() if user.superuser]
    assert len(left) == 1
    here.accounts._db.set_superuser(here.accounts._db.by_email(ROOT).id, True)
    here.accounts._db.remove(here.accounts._db.by_email("second@example.org").id)
    here.accounts.forget()


async def test_groups_are_set(here: Lab, root: dict[str, str]) -> None:
    answer = await change(here, root, ADA, groups=["staff", "imaging", "staff"])

    assert answer.json()["groups"] == ["imaging", "staff"]
    assert here.accounts._db.by_email(ADA).groups == {"staff", "imaging"}


@pytest.mark.parametrize("group", ["", " staff", "a\nb", "x" * 101])
async def test_names_of_groups_that_make_no_sense_are_refused(
    here: Lab, root: dict[str, str], group: str
) -> None:
    answer = await change(here, root, ADA, groups=[group], quota=77)

    assert answer.status_code == 400
    assert here.accounts._db.by_email(ADA).quota != 77


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/api/users/"), ("POST", "/api/reset-links/"), ("GET", "/api/tokens?username=")],
)
async def test_a_user_who_does_not_exist_is_404(
    here: Lab, root: dict[str, str], method: str, path: str
) -> None:
    answer = await here.http.request(method, f"{path}nobody@example.org", json={}, headers=root)

    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no user nobody@example.org")


@pytest.mark.parametrize("name", ["%FF", "%00", "%ED%A0%80", "x" * 3000, "%F0%9F%98%80", "a%2Fb"])
@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_names_that_are_none_are_refused(
    here: Lab, root: dict[str, str], method: str, name: str
) -> None:
    path = "/api/users/" if method == "PATCH" else "/api/reset-links/"

    answer = await here.http.request(method, path + name, json={}, headers=root)

    assert answer.status_code in {400, 404}


@pytest.mark.parametrize("text", ["%00", "%F0%9F%98%80", "'", "%25", "x" * 3000])
async def test_any_text_can_be_looked_for(here: Lab, root: dict[str, str], text: str) -> None:
    answer = await here.http.get(f"/api/users?filter={text}", headers=root)

    assert (answer.status_code, answer.json()["total"]) == (200, 0)


# tokens and reset links


async def test_tokens_of_a_user_are_listed_without_their_text_and_revoked(
    here: Lab, root: dict[str, str]
) -> None:
    ada = await here.log_in(ADA)
    token = await here.token(ada, "write", name="script")
    text = token["Authorization"].split()[1]

    listed = await here.http.get(f"/api/tokens?username={ADA}", headers=root)
    (info,) = [info for info in listed.json() if info["name"] == "script" or info["name"] == "t"]
    revoked = await here.http.delete(f"/api/tokens/{info['id']}", headers=root)

    assert text not in listed.text
    assert revoked.status_code == 200
    assert (await here.http.get("/api/me", headers=token)).status_code == 401


async def test_tokens_of_others_are_for_superusers(here: Lab, root: dict[str, str]) -> None:
    ada, bob = await here.log_in(ADA), await here.log_in(BOB)
    await here.token(ada, "read")
    (info,) = (await here.http.get("/api/tokens", headers=ada)).json()
    small = await here.token(root, "write")

    for headers in (bob, small):
        assert (await here.http.get(f"/api/tokens?username={ADA}", headers=headers)).status_code == 403
        assert (await here.http.get("/api/tokens?username=nobody", headers=headers)).status_code == 403
        assert (await here.http.delete(f"/api/tokens/{info['id']}", headers=headers)).status_code == 404
    own = await here.http.get(f"/api/tokens?username={ADA}", headers=ada)
    assert own.json() == [info]


async def test_a_reset_link_sets_a_new_password(here: Lab, root: dict[str, str]) -> None:
    await here.add("lost@example.org")

    made = await here.http.post("/api/reset-links/lost@example.org", headers=root)
    token = made.json()["link"].rpartition("/")[2]
    await here.http.post("/auth/reset-password", json={"token": token, "password": "another password"})

    assert made.headers["Cache-Control"] == "no-store"
    assert await here.log_in("lost@example.org", "another password")


# the service


async def test_service_tells_how_it_is(here: Lab, root: dict[str, str]) -> None:
    told = (await here.http.get("/api/service", headers=root)).json()

    assert told["broker"] == {"address": None, "connected": False, "since": None, "error": None}
    assert told["publishers"] == []
    assert told["cache"]["used"] == 0
    assert told["cache"]["limit"] > 0
    assert told["requests"]["answered"] > 0
    assert told["room"]["limit"] is None
    assert told["started"].endswith("Z")


async def test_service_tells_of_uploads_under_way(here: Lab, root: dict[str, str]) -> None:
    ada = await here.log_in(ADA)
    wanted = {"path": "@personal/big.bin", "size": 100, "filename": "big.bin"}
    made = (await here.http.post("/api/uploads", json=wanted, headers=ada)).json()
    await here.http.patch(
        f"/api/uploads/{made['id']}", content=bytes(40), headers={**ada, "Upload-Offset": "0"}
    )

    told = (await here.http.get("/api/service", headers=root)).json()
    await here.http.delete(f"/api/uploads/{made['id']}", headers=ada)
    after = (await here.http.get("/api/service", headers=root)).json()

    (upload,) = told["uploads"]
    assert (told["room"]["promised"], after["room"]["promised"]) == (100, 0)
    assert (upload["owner"], upload["path"]) == (ADA, "@personal/big.bin")
    assert (upload["size"], upload["offset"], told["nuploads"]) == (100, 40, 1)
    assert (after["nuploads"], after["uploads"]) == (0, [])


async def test_service_keeps_what_failed_and_not_what_was_asked_wrongly(
    here: Lab, root: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = here.service.subscriber
    secret_path = str(here.home)

    async def broken(*args: object, **kwargs: object) -> None:
        raise OSError(5, "Input/output error", secret_path)

    async def known(*args: object, **kwargs: object) -> None:
        raise InternalError("the database can not be used")

    monkeypatch.setattr(subscriber.management, "page", broken)
    await here.http.get("/api/users", headers={**root, "X-Request-Id": "defect-1"})
    monkeypatch.setattr(subscriber.management, "page", known)
    await here.http.get("/api/users", headers={**root, "X-Request-Id": "known-1"})
    await here.http.get("/api/fetch/@public/nothing", headers={**root, "X-Request-Id": "wrong-1"})

    told = await here.http.get("/api/service", headers=root)

    second, first = told.json()["failures"][:2]
    assert first | {"at": ""} == {
        "at": "", "request_id": "defect-1", "method": "GET", "route": "users", "status": 500,
        "code": "internal-error", "sentence": "internal error (OSError)",
    }  # fmt: skip
    assert (second["request_id"], second["sentence"]) == ("known-1", "the database can not be used")
    assert "wrong-1" not in told.text
    assert secret_path not in told.text
    assert json.dumps(PASSWORD) not in told.text
