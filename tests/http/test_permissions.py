"""Who may call what: every endpoint of the table, by everybody there can be.

An endpoint without a row here fails `test_every_endpoint_has_a_row`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from caterva2.model.routes import Role, routes_of
from caterva2.model.users import Scope
from caterva2.roles.subscriber.accounts import TOKEN_PREFIX, hash_token
from caterva2.storage.userdb import StoredShare, StoredToken
from caterva2.transport.auth import CookieSigner, Session
from tests.support.accounts import PASSWORD, SECRET, Lab, lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHO = (
    "anonymous",  # nothing sent
    "user",
    "other",  # another user
    "superuser",
    "read",  # tokens of a user, by scope
    "write",
    "root-read",  # tokens of a superuser, by scope
    "root-write",
    "root-admin",
    "expired",  # a token of a superuser that has ended
    "revoked",  # one that was revoked
    "logged-out",  # a superuser's cookie after logout
    "old-cookie",  # one whose time is over
    "forged",  # one that somebody else signed
    "guest",  # a share link of a superuser, to @public
    "guest-ended",  # one that has ended
    "guest-forged",  # one that was not signed here
)

OK = 0
"""Stands for: the request gets through to the endpoint, whatever that answers."""


class Row(NamedTuple):
    """One status for each of `WHO`, or `OK`."""

    anonymous: int
    user: int
    other: int
    superuser: int
    read: int
    write: int
    root_read: int
    root_write: int
    root_admin: int
    expired: int
    revoked: int
    logged_out: int
    old_cookie: int
    forged: int
    guest: int
    guest_ended: int
    guest_forged: int


#             anon user other root | read write | root: r    w    a  | exp. rev. | out  old  forged | guest
EVERYBODY = Row(OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK)
READER = Row(OK, OK, OK, OK, OK, OK, OK, OK, OK, 401, 401, OK, OK, OK, OK, 401, 401)
USER = Row(401, OK, OK, OK, OK, OK, OK, OK, OK, 401, 401, 401, 401, 401, 403, 401, 401)
WRITER = Row(401, OK, OK, OK, 403, OK, 403, OK, OK, 401, 401, 401, 401, 401, 403, 401, 401)
SUPERUSER = Row(401, 401, 401, OK, 401, 401, 403, 403, OK, 401, 401, 401, 401, 401, 403, 401, 401)

TABLE: dict[str, tuple[Row, str]] = {
    "health": (EVERYBODY, "/healthz"),
    "metrics": (EVERYBODY, "/metrics"),
    "openapi": (EVERYBODY, "/api/openapi.json"),
    "events": (READER, "/api/events"),
    "roots": (READER, "/api/roots"),
    "subscribe": (READER, "/api/subscribe/@public"),
    "list": (READER, "/api/list/@public"),
    "info": (READER, "/api/info/@public/x"),
    "tree": (READER, "/api/tree/@public/x"),
    "fetch": (READER, "/api/fetch/@public/x"),
    "window": (READER, "/api/window/@public/x"),
    "download": (READER, "/api/download/@public/x"),
    "chunk": (READER, "/api/chunk/@public/x?nchunk=0"),
    "zarr": (READER, "/zarr/v3/@public/zarr.json"),
    "upload": (WRITER, "/api/upload/@shared/x"),
    "new-upload": (WRITER, "/api/uploads"),
    "continue-upload": (WRITER, "/api/uploads/none"),
    "upload-state": (WRITER, "/api/uploads/none"),
    "finish-upload": (WRITER, "/api/uploads/none"),
    "abandon-upload": (WRITER, "/api/uploads/none"),
    "mkdir": (WRITER, "/api/mkdir/@shared/x"),
    "remove": (WRITER, "/api/remove/@shared/x"),
    "move": (WRITER, "/api/move/"),
    "copy": (WRITER, "/api/copy/"),
    "append": (WRITER, "/api/append/@shared/x"),
    "lazyexpr": (WRITER, "/api/lazyexpr/"),
    "upload-lazyarr": (WRITER, "/api/upload_lazyarr/@shared/x.b2nd"),
    "concat": (WRITER, "/api/concat/"),
    "stack": (WRITER, "/api/stack/"),
    "explain": (READER, "/api/explain/@public/x"),
    "addnotebook": (WRITER, "/api/addnotebook/@shared/x"),
    "login": (EVERYBODY, "/auth/jwt/login"),
    "logout": (USER, "/auth/jwt/logout"),
    "logout-everywhere": (WRITER, "/auth/logout-everywhere"),
    "register-user": (EVERYBODY, "/auth/register"),
    "forgot-password": (EVERYBODY, "/auth/forgot-password"),
    "reset-password": (EVERYBODY, "/auth/reset-password"),
    "change-password": (WRITER, "/auth/change-password"),
    "me": (USER, "/api/me"),
    "adduser": (SUPERUSER, "/api/adduser/"),
    "deluser": (SUPERUSER, "/api/deluser/nobody"),
    "users": (SUPERUSER, "/api/users"),
    "change-user": (SUPERUSER, "/api/users/nobody"),
    "create-reset-link": (SUPERUSER, "/api/reset-links/nobody"),
    "service": (SUPERUSER, "/api/service"),
    "listusers": (USER, "/api/listusers/"),
    "list-tokens": (USER, "/api/tokens"),
    "create-token": (WRITER, "/api/tokens"),
    "list-shares": (USER, "/api/shares"),
    "create-share": (WRITER, "/api/shares"),
    "revoke-share": (WRITER, "/api/shares/none"),
    "shared": (READER, "/api/shared"),
    "revoke-token": (WRITER, "/api/tokens/none"),
}

ENDPOINTS = [(route.name, method) for route in routes_of(Role.SUBSCRIBER) for method in route.methods]
USERS_ONLY = {route.name for route in routes_of(Role.SUBSCRIBER) if route.login_only}


async def test_every_endpoint_has_a_row() -> None:
    assert {name for name, _ in ENDPOINTS} == set(TABLE)


async def test_row_has_a_column_for_everybody() -> None:
    assert tuple(name.replace("_", "-") for name in Row._fields) == WHO


class Crowd:
    """Makes the credentials of everybody, anew each time: some requests end a session."""

    def __init__(self, here: Lab) -> None:
        self.here = here

    async def cookie(self, who: str) -> dict[str, str]:
        text = await self.here.accounts.log_in(f"{who}@example.org", PASSWORD, "127.0.0.1")
        return {"Cookie": f"c2subauth={text}"}

    def token(self, owner: str, scope: Scope, *, expires: float | None = None) -> dict[str, str]:
        db = self.here.accounts._db
        text = f"{TOKEN_PREFIX}{secrets.token_hex(8)}"
        user = db.by_email(f"{owner}@example.org")
        db.add_token(
            StoredToken(
                id=secrets.token_hex(8), user=user.id, name="t", scope=scope.value, created=time.time(),
                expires=expires, last_used=None,
            ),
            hash_token(text),
            limit=100_000,
        )  # fmt: skip
        return {"Authorization": f"Bearer {text}"}

    def link(self, who: str) -> dict[str, str]:
        db, id_ = self.here.accounts._db, secrets.token_hex(8)
        user = db.by_email("superuser@example.org")
        expires = time.time() + (-1 if who == "guest-ended" else 100)
        share = StoredShare(id=id_, user=user.id, path="@public", name="", created=0, expires=expires)
        db.add_share(share, 0, limit=100_000)
        text = self.here.accounts.shares._token(id_)
        return {"Authorization": f"Bearer {text[:-4] + 'AAAA' if who == 'guest-forged' else text}"}

    def signed(self, secret: str, expires: float) -> dict[str, str]:
        user = self.here.accounts._db.by_email("superuser@example.org")
        session = Session("x", user.id, user.generation, int(expires))
        return {"Cookie": f"c2subauth={CookieSigner(secret).sign(session)}"}

    async def headers(self, who: str) -> dict[str, str]:
        match who:
            case "anonymous":
                return {}
            case "user" | "other" | "superuser":
                return await self.cookie(who)
            case "read" | "write":
                return self.token("user", Scope(who))
            case "root-read" | "root-write" | "root-admin":
                return self.token("superuser", Scope(who.removeprefix("root-")))
            case "expired":
                return self.token("superuser", Scope.ADMIN, expires=time.time() - 1)
            case "revoked":
                found = self.token("superuser", Scope.ADMIN)
                db = self.here.accounts._db
                owned = db.token_owner(hash_token(found["Authorization"].split()[1]), time.time())
                db.remove_token(owned.user.id, owned.token.id)
                return found
            case "logged-out":
                found = await self.cookie("superuser")
                await self.here.accounts.log_out(found["Cookie"].partition("=")[2])
                return found
            case "old-cookie":
                return self.signed(SECRET, time.time() - 1)
            case "forged":
                return self.signed("another secret", time.time() + 100)
            case "guest" | "guest-ended" | "guest-forged":
                return self.link(who)
        raise AssertionError(who)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crowd]:
    async with lab(tmp_path_factory.mktemp("crowd")) as here:
        for who in ("user", "other"):
            await here.add(f"{who}@example.org")
        await here.add("superuser@example.org", superuser=True)
        yield Crowd(here)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("name", "method"), ENDPOINTS, ids=[f"{n}-{m.lower()}" for n, m in ENDPOINTS])
async def test_permission(crowd: Crowd, name: str, method: str, who: str) -> None:
    row, target = TABLE[name]
    expected = row[WHO.index(who)]

    answer: Any = await crowd.here.http.request(method, target, headers=await crowd.headers(who))

    refused = answer.status_code if answer.status_code in {401, 403} else OK
    assert refused == expected, answer.text
    assert answer.status_code != 500


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("name", sorted(USERS_ONLY))
async def test_endpoints_about_users_do_not_exist_without_users(alone: Lab, name: str, method: str) -> None:
    answer = await alone.http.request(method, TABLE[name][1], headers={"Authorization": "Bearer x"})

    assert (answer.status_code, answer.json()["detail"]) == (404, "Not Found")


@pytest.mark.parametrize(
    "name", [n for n, (row, _) in TABLE.items() if row is WRITER and n not in USERS_ONLY]
)
async def test_writes_are_401_without_users(alone: Lab, name: str) -> None:
    answer = await alone.http.post(TABLE[name][1], headers={"Authorization": "Bearer x"})

    assert (answer.status_code, answer.reason_phrase) == (401, "Unauthorized")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with lab(tmp_path_factory.mktemp("alone"), login=False, register=False) as here:
        yield here
