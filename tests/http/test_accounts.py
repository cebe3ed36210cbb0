"""Accounts over HTTP: log in, register, passwords, users, tokens; statuses as the contract has them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from caterva2.roles.subscriber.accounts import make_reset_link
from caterva2.roles.subscriber.logins import PER_ACCOUNT
from tests.support.accounts import PASSWORD, Lab, lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA, BOB, ROOT = "ada@example.org", "bob@example.org", "root@example.org"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with lab(tmp_path_factory.mktemp("lab")) as made:
        for email in (ADA, BOB):
            await made.add(email)
        await made.add(ROOT, superuser=True)
        yield made


async def test_login_sets_one_cookie_and_answers_nothing(here: Lab) -> None:
    answer = await here.http.post("/auth/jwt/login", data={"username": ADA, "password": PASSWORD, "x": "y"})

    assert (answer.status_code, answer.content) == (204, b"")
    (cookie,) = answer.headers.get_list("Set-Cookie")
    value, *attributes = cookie.split("; ")
    assert value.startswith("c2subauth=")
    assert attributes == ["HttpOnly", "Path=/", "SameSite=lax"]


async def test_cookie_is_secure_behind_https(here: Lab) -> None:
    answer = await here.http.post(
        "/auth/jwt/login",
        data={"username": ADA, "password": PASSWORD},
        headers={"X-Forwarded-Proto": "https"},
    )

    assert answer.headers["Set-Cookie"].endswith("; Secure")


@pytest.mark.parametrize("name", [ADA, "nobody@example.org", "", "no e-mail"])
async def test_bad_login_is_one_answer_whoever_it_was(here: Lab, name: str) -> None:
    answer = await here.http.post("/auth/jwt/login", data={"username": name, "password": "x" * 300})

    assert answer.status_code == 400
    assert answer.json()["detail"] == "LOGIN_BAD_CREDENTIALS"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("form", [{}, {"username": ADA}, {"password": PASSWORD}])
async def test_login_without_a_field_is_422(here: Lab, form: dict[str, str]) -> None:
    answer = await here.http.post("/auth/jwt/login", data=form)

    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)


@pytest.mark.parametrize("written", ["  ADA@Example.ORG ", "\uff41da@example.org"], ids=["capitals", "wide"])
async def test_email_is_one_however_it_is_written(here: Lab, written: str) -> None:
    headers = await here.log_in(written)
    again = await here.http.post("/auth/register", json={"email": written, "password": PASSWORD})

    assert (await here.http.get("/api/me", headers=headers)).json()["email"] == ADA
    assert again.json()["detail"] == "REGISTER_USER_ALREADY_EXISTS"


async def test_user_is_removed_however_his_email_is_written(here: Lab) -> None:
    await here.add("gone@example.org")

    await here.accounts.remove_user(" \uff27one@Example.org")

    assert here.accounts._db.by_email("gone@example.org") is None


async def test_logout_ends_this_session_only(here: Lab) -> None:
    first, second = await here.log_in(ADA), await here.log_in(ADA)

    answer = await here.http.post("/auth/jwt/logout", headers=first)

    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert (await here.http.get("/api/me", headers=first)).status_code == 401
    assert (await here.http.get("/api/me", headers=second)).status_code == 200


async def test_logout_everywhere_ends_all_sessions_and_no_token(here: Lab) -> None:
    first, second = await here.log_in(BOB), await here.log_in(BOB)
    token = await here.token(first, "read")

    await here.http.post("/auth/logout-everywhere", headers=first)

    statuses = [(await here.http.get("/api/me", headers=h)).status_code for h in (first, second, token)]
    assert statuses == [401, 401, 200]


async def test_forged_or_foreign_cookie_is_nobody(here: Lab) -> None:
    headers = await here.log_in(ADA)
    forged = {"Cookie": headers["Cookie"][:-2] + ("AA" if headers["Cookie"][-2:] != "AA" else "BB")}

    assert (await here.http.get("/api/me", headers=forged)).status_code == 401
    assert (await here.http.get("/api/roots", headers=forged)).status_code == 200


async def test_other_cookies_beside_ours_do_not_matter(here: Lab) -> None:
    headers = await here.log_in(ADA)

    answer = await here.http.get("/api/me", headers={"Cookie": f"a=b; {headers['Cookie']}; c=d"})

    assert answer.status_code == 200


async def test_register_makes_a_user_who_can_log_in(here: Lab) -> None:
    body = {"email": "New@example.org", "password": PASSWORD, "is_superuser": True}

    answer = await here.http.post("/auth/register", json=body)

    assert answer.status_code == 201
    made = answer.json()
    assert {k: made[k] for k in ("email", "is_active", "is_superuser", "is_verified")} == {
        "email": "new@example.org",
        "is_active": True,
        "is_superuser": False,
        "is_verified": False,
    }
    await here.log_in("new@example.org")


async def test_registering_twice_is_400(here: Lab) -> None:
    answer = await here.http.post("/auth/register", json={"email": ADA, "password": PASSWORD})

    assert (answer.status_code, answer.json()["detail"]) == (400, "REGISTER_USER_ALREADY_EXISTS")


@pytest.mark.parametrize("password", ["short", "x" * 73, "\N{SNOWMAN}" * 25])
async def test_bad_password_is_refused_with_a_reason(here: Lab, password: str) -> None:
    answer = await here.http.post("/auth/register", json={"email": "p@example.org", "password": password})

    assert answer.status_code == 400
    detail = answer.json()["detail"]
    assert detail["code"] == "REGISTER_INVALID_PASSWORD"
    assert "password" in detail["reason"]


@pytest.mark.parametrize("email", ["", "x", "x@y", "a@b@c.d", "a b@c.de", "../x@y.zz", "a@b.c/d", "a@b.c%0a"])
async def test_malformed_email_is_422(here: Lab, email: str) -> None:
    answer = await here.http.post("/auth/register", json={"email": email, "password": PASSWORD})

    assert answer.status_code == 422


async def test_forgot_password_tells_nothing(here: Lab) -> None:
    answers = [
        await here.http.post("/auth/forgot-password", json={"email": email}) for email in (ADA, "no@x.org")
    ]

    assert [(a.status_code, a.json()) for a in answers] == [(202, None), (202, None)]


class Letterbox:
    """Takes mail, or fails to."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.links: list[str] = []
        self.failure = failure

    def send_reset(self, to: str, link: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.links.append(link)


async def ask_for_links(here: Lab, email: str, count: int) -> None:
    for _ in range(count):
        answer = await here.http.post("/auth/forgot-password", json={"email": email})
        assert answer.status_code == 202
        await asyncio.gather(*here.accounts._tasks._tasks.values())


async def test_user_is_not_flooded_with_reset_links(here: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    await here.add("flooded@example.org")
    box = Letterbox()
    monkeypatch.setattr(here.accounts, "_mailer", box)

    await ask_for_links(here, "flooded@example.org", 5)

    assert len(box.links) == 3
    body = {"token": box.links[-1].rpartition("/")[2], "password": "another password"}
    assert (await here.http.post("/auth/reset-password", json=body)).status_code == 200


async def test_mail_that_can_not_be_sent_is_told_the_operator(
    here: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await here.add("unlucky@example.org")
    monkeypatch.setattr(here.accounts, "_mailer", Letterbox(ConnectionRefusedError(111, "refused")))

    await ask_for_links(here, "unlucky@example.org", 1)

    (said,) = [record.getMessage() for record in caplog.records if record.levelname != "INFO"]
    assert "unlucky@example.org" in said
    assert "refused" in said


async def test_reset_link_sets_a_password_once_and_ends_sessions(here: Lab) -> None:
    await here.add("forgetful@example.org")
    session = await here.log_in("forgetful@example.org")
    db = here.accounts._db
    user = db.by_email("forgetful@example.org")
    link = make_reset_link(db, user.id, here.url, time.time(), 60)
    body = {"token": link.rpartition("/")[2], "password": "another password"}

    first, second = [await here.http.post("/auth/reset-password", json=body) for _ in range(2)]

    assert first.status_code == 200
    assert (second.status_code, second.json()["detail"]) == (400, "RESET_PASSWORD_BAD_TOKEN")
    assert (await here.http.get("/api/me", headers=session)).status_code == 401
    await here.log_in("forgetful@example.org", "another password")


async def test_reset_ends_tokens_a_change_only_if_asked(here: Lab) -> None:
    await here.add("tokens@example.org")
    email, left = "tokens@example.org", []
    for number, more in enumerate(({}, {"revoke_tokens": True})):
        session = await here.log_in(email, PASSWORD if number == 0 else "password number 0")
        token = await here.token(session, "read")
        body = {"password": PASSWORD if number == 0 else "password number 0", **more}
        body["new_password"] = f"password number {number}"
        assert (await here.http.post("/auth/change-password", json=body, headers=session)).is_success
        left.append((await here.http.get("/api/me", headers=token)).status_code)
    token = await here.token(await here.log_in(email, "password number 1"), "read")
    db = here.accounts._db
    link = make_reset_link(db, db.by_email(email).id, here.url, time.time(), 60)
    body = {"token": link.rpartition("/")[2], "password": "another password"}

    await here.http.post("/auth/reset-password", json=body)

    assert left == [200, 401]
    assert (await here.http.get("/api/me", headers=token)).status_code == 401


async def test_reset_link_that_is_sent_many_times_at_once_works_once(here: Lab) -> None:
    await here.add("races@example.org")
    db = here.accounts._db
    link = make_reset_link(db, db.by_email("races@example.org").id, here.url, time.time(), 60)
    token = link.rpartition("/")[2]

    answers = await asyncio.gather(
        *(
            here.http.post("/auth/reset-password", json={"token": token, "password": f"new password {n}"})
            for n in range(4)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


async def test_password_change_needs_the_old_one_and_ends_sessions(here: Lab) -> None:
    await here.add("changes@example.org")
    session = await here.log_in("changes@example.org")
    wrong = {"password": "not that one", "new_password": "another password"}

    refused = await here.http.post("/auth/change-password", json=wrong, headers=session)
    done = await here.http.post(
        "/auth/change-password", json={**wrong, "password": PASSWORD}, headers=session
    )

    assert (refused.status_code, done.status_code) == (400, 200)
    assert (await here.http.get("/api/me", headers=session)).status_code == 401


async def test_superuser_adds_and_removes_a_user(here: Lab) -> None:
    root = await here.log_in(ROOT)
    body = {"username": "carol@example.org", "password": None, "superuser": False}

    added = await here.http.post("/api/adduser/", json=body, headers=root)
    again = await here.http.post("/api/adduser/", json=body, headers=root)
    password = added.json().rpartition(": ")[2]
    await here.log_in("carol@example.org", password)
    removed = await here.http.get("/api/deluser/carol@example.org", headers=root)
    missing = await here.http.get("/api/deluser/carol@example.org", headers=root)

    assert "User added" in added.json()
    assert (again.status_code, missing.status_code) == (400, 400)
    assert removed.json() == "User deleted: carol@example.org"


@pytest.mark.parametrize("body", [{}, {"username": "x@example.org"}, {"username": 1, "password": None}])
async def test_adduser_without_a_field_is_422(here: Lab, body: dict[str, object]) -> None:
    answer = await here.http.post("/api/adduser/", json=body, headers=await here.log_in(ROOT))

    assert answer.status_code == 422


async def test_user_lists_himself_and_superuser_everybody(here: Lab) -> None:
    await here.add("a+b@example.org")
    ada, root = await here.log_in(ADA), await here.log_in(ROOT)

    mine = (await here.http.get("/api/listusers/", headers=ada)).json()
    others = (await here.http.get(f"/api/listusers/?username={BOB}", headers=ada)).json()
    everybody = (await here.http.get("/api/listusers/", headers=root)).json()
    plus = (await here.http.get("/api/listusers/?username=a+b@example.org", headers=root)).json()

    assert [user["email"] for user in mine] == [ADA]
    assert others == []
    assert {ADA, BOB, ROOT} <= {user["email"] for user in everybody}
    assert [user["email"] for user in plus] == ["a+b@example.org"]
    assert not any("password" in user for user in everybody)


async def test_too_many_users_are_refused(tmp_path: Path) -> None:
    async with lab(tmp_path, maxusers=1) as small:
        await small.add(ADA)

        answer = await small.http.post("/auth/register", json={"email": BOB, "password": PASSWORD})

        assert answer.status_code == 400


async def test_registration_can_be_switched_off(tmp_path: Path) -> None:
    async with lab(tmp_path, register=False) as closed:
        answer = await closed.http.post("/auth/register", json={"email": BOB, "password": PASSWORD})

        assert answer.status_code == 404


async def test_token_is_shown_once_and_revoked(here: Lab) -> None:
    ada = await here.log_in(ADA)
    token = await here.token(ada, "read", days=1)
    (shown,) = (await here.http.get("/api/tokens", headers=ada)).json()

    used = await here.http.get("/api/me", headers=token)
    (noted,) = (await here.http.get("/api/tokens", headers=ada)).json()
    foreign = await here.http.delete(f"/api/tokens/{shown['id']}", headers=await here.log_in(BOB))
    gone = await here.http.delete(f"/api/tokens/{shown['id']}", headers=ada)

    assert set(shown) == {"id", "name", "scope", "created", "expires", "last_used"}
    assert (used.status_code, used.json()["scopes"]) == (200, ["read"])
    assert noted["last_used"] is not None
    assert (foreign.status_code, gone.status_code) == (404, 200)
    assert (await here.http.get("/api/roots", headers=token)).status_code == 401


@pytest.mark.parametrize(("maker", "scope", "status"), [("write", "admin", 403), ("write", "write", 201)])
async def test_token_makes_none_that_is_good_for_more(here: Lab, maker: str, scope: str, status: int) -> None:
    token = await here.token(await here.log_in(ROOT), maker)

    answer = await here.http.post("/api/tokens", json={"name": "x", "scope": scope}, headers=token)

    assert answer.status_code == status


async def test_page_of_another_site_can_not_use_the_session(here: Lab) -> None:
    root = await here.log_in(ROOT)

    by_link = await here.http.get(f"/api/deluser/{BOB}", headers={**root, "Sec-Fetch-Site": "cross-site"})
    by_form = await here.http.post(
        "/auth/logout-everywhere", headers={**root, "Origin": "https://evil.example"}
    )

    assert (by_link.status_code, by_form.status_code) == (403, 403)


async def test_secrets_are_stored_as_hashes_only(here: Lab) -> None:
    token = await here.token(await here.log_in(ADA), "read")

    stored = b"".join(file.read_bytes() for file in here.home.joinpath("sub").glob("users.sqlite*"))

    assert token["Authorization"].split()[1].encode() not in stored
    assert PASSWORD.encode() not in stored


async def test_guesses_for_one_account_are_limited(tmp_path: Path) -> None:
    async with lab(tmp_path) as guarded:
        await guarded.add(ADA)
        form = {"username": ADA, "password": "wrong password"}

        answers = await asyncio.gather(*(guarded.http.post("/auth/jwt/login", data=form) for _ in range(20)))

        statuses = Counter(answer.status_code for answer in answers)
        assert statuses == {400: PER_ACCOUNT, 429: 20 - PER_ACCOUNT}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert int(refused.headers["Retry-After"]) > 0
