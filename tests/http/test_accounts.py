"""Accounts over HTTP: log in, register, passwords, users, tokens; statuses as the contract has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

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
