"""A subscriber with users, alone in the test's event loop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber import app
from caterva2.roles.subscriber.accounts import Accounts

SECRET = "correct horse battery staple"
PASSWORD = "a good password"


class Lab:
    """A running subscriber with users, and ways to be one of them."""

    def __init__(self, url: str, accounts: Accounts | None, service: Any, home: Path) -> None:
        self.home = home
        self.url = url
        self.accounts = accounts
        self.service = service
        self.http = httpx.AsyncClient(base_url=url, timeout=20)

    async def add(self, email: str, *, superuser: bool = False, groups: set[str] | None = None) -> None:
        await self.accounts.add_user(email, PASSWORD, superuser=superuser)
        if groups:
            user = self.accounts._db.by_email(email)
            self.accounts._db.set_groups(user.id, frozenset(groups))

    async def log_in(self, email: str, password: str = PASSWORD) -> dict[str, str]:
        """Return the headers of a session."""
        answer = await self.http.post("/auth/jwt/login", data={"username": email, "password": password})
        assert answer.status_code == 204, answer.text
        return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}

    async def token(self, headers: dict[str, str], scope: str, **how: Any) -> dict[str, str]:
        """Return the headers of a new token."""
        answer = await self.http.post(
            "/api/tokens", json={"name": "t", "scope": scope, **how}, headers=headers
        )
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['token']}"}


@contextlib.asynccontextmanager
async def lab(home: Path, **config: Any) -> AsyncIterator[Lab]:
    """Run a subscriber with users until the block ends."""
    values = {"login": True, "register": True, "auth_secret": SECRET, **config}
    subscriber = SubscriberConfig(http=Address("127.0.0.1", 0), statedir=home / "sub", **values)
    async with app.running(subscriber) as running:
        made = Lab(running.server.url, running.subscriber.accounts, running, home)
        try:
            yield made
        finally:
            await made.http.aclose()
